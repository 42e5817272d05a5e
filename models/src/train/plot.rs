//! The course of a training as a picture.

use std::path::Path;

use plotters::prelude::*;

use super::TrainError;
use super::trainer::{Point, Stage};

/// Width and height.
const SIZE: (u32, u32) = (900, 600);

/// Draws losses (logarithmic) and held-out measures over steps as SVG.
///
/// # Errors
///
/// For a file that cannot be written.
pub fn plot(file: &Path, stages: &[Stage], points: &[Point]) -> Result<(), TrainError> {
    let failed = |e: &dyn std::fmt::Display| TrainError::Plot { file: file.to_owned(), what: e.to_string() };
    let root = SVGBackend::new(file, SIZE).into_drawing_area();
    let (above, below) = root.split_vertically(SIZE.1 / 2);
    let losses: Vec<Series> = stages
        .iter()
        .enumerate()
        .map(|(i, stage)| Series {
            name: format!("loss: {}", stage.name),
            line: points
                .iter()
                .filter(|p| p.stage == i)
                .map(|p| (p.step as f64, p.loss.max(1e-9).log10()))
                .collect(),
        })
        .collect();
    let names: Vec<&str> =
        points.first().map_or(Vec::new(), |p| p.measures.iter().map(|m| m.name.as_str()).collect());
    let measures: Vec<Series> = names
        .iter()
        .enumerate()
        .map(|(i, name)| Series {
            name: (*name).to_owned(),
            line: points.iter().filter_map(|p| Some((p.step as f64, p.measures.get(i)?.value))).collect(),
        })
        .collect();
    draw(&above, "log10 of the loss", &losses).map_err(|e| failed(&e))?;
    draw(&below, "held-out texts", &measures).map_err(|e| failed(&e))?;
    root.present().map_err(|e| failed(&e))
}

struct Series {
    name: String,
    line: Vec<(f64, f64)>,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Failed = DrawingAreaErrorKind<std::io::Error>;

fn draw(area: &Area<'_>, title: &str, all: &[Series]) -> Result<(), Failed> {
    let range = |of: fn(&(f64, f64)) -> f64| {
        let numbers = || all.iter().flat_map(|series| series.line.iter().map(of));
        let (low, high) =
            (numbers().fold(f64::INFINITY, f64::min), numbers().fold(f64::NEG_INFINITY, f64::max));
        // A single number, or none, has no range of its own.
        let (low, high) = if low <= high { (low, high) } else { (0.0, 0.0) };
        if low < high { low..high } else { low - 0.5..high + 0.5 }
    };
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 18))
        .margin(10)
        .x_label_area_size(30)
        .y_label_area_size(60)
        .build_cartesian_2d(range(|p| p.0), range(|p| p.1))?;
    chart.configure_mesh().x_desc("steps").draw()?;
    for (i, series) in all.iter().enumerate() {
        let colour = Palette99::pick(i).to_rgba();
        chart
            .draw_series(LineSeries::new(series.line.iter().copied(), colour))?
            .label(series.name.as_str())
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 16, y)], colour));
    }
    chart.configure_series_labels().border_style(BLACK).background_style(WHITE.mix(0.8)).draw()
}
