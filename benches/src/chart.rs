//! Charts as SVG.

use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::document::{Operation, Run};
use crate::error::{BenchError, Result};
use crate::scaling::{Figure, Scaling};

/// Colours that people with any colour vision tell apart (Okabe and Ito, 2008).
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(213, 94, 0),
];

fn colour(i: usize) -> RGBColor {
    COLOURS[i % COLOURS.len()]
}

/// What the drawing library says, as text: its errors name the backend's type.
type Drawn = std::result::Result<(), String>;

fn failed(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Draws into memory, then writes the file as a whole.
fn write(
    file: &Path,
    size: (u32, u32),
    draw: impl FnOnce(&DrawingArea<SVGBackend<'_>, Shift>) -> Drawn,
) -> Result<()> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        let drawn = area.fill(&WHITE).map_err(failed).and_then(|()| draw(&area));
        let done = drawn.and_then(|()| area.present().map_err(failed));
        done.map_err(|what| BenchError::Chart { path: file.to_owned(), what })?;
    }
    std::fs::write(file, svg).map_err(|source| BenchError::File { path: file.to_owned(), source })
}

/// Time and bytes of every part of a model under every plan, side by side.
pub fn parts(runs: &[Run], file: &Path) -> Result<()> {
    let mut names: Vec<&str> = Vec::new();
    for operation in runs.iter().flat_map(|run| &run.request.operations) {
        if !names.contains(&operation.name.as_str()) {
            names.push(&operation.name);
        }
    }
    let height = 120 + (names.len() * (12 * runs.len() + 14)) as u32;
    write(file, (1100, height), |area| {
        let title = match runs.first() {
            Some(run) => format!("{}, {} tokens", run.model, run.seq),
            None => String::new(),
        };
        let area = area.titled(&title, ("sans-serif", 20)).map_err(failed)?;
        let (left, right) = area.split_horizontally(610);
        let time = |operation: &Operation| operation.seconds;
        let bytes =
            |operation: &Operation| (operation.sent.online_bytes + operation.sent.offline_bytes) as f64 / 1e6;
        bars(&left, "seconds, both phases", runs, &names, &time, true)?;
        bars(&right, "MB, both phases", runs, &names, &bytes, false)
    })
}

/// Bars of one figure, a group for each part and in it a bar for each plan.
fn bars(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    caption: &str,
    runs: &[Run],
    names: &[&str],
    figure: &dyn Fn(&Operation) -> f64,
    labelled: bool,
) -> Drawn {
    let value = |run: &Run, name: &str| {
        run.request.operations.iter().find(|operation| operation.name == name).map_or(0.0, figure)
    };
    let all = runs.iter().flat_map(|run| names.iter().map(move |name| value(run, name)));
    let most = all.fold(0.0, f64::max).max(f64::MIN_POSITIVE) * 1.05;
    // A part's bars lie below each other around its number, the first part on top.
    let rows = names.len() as f64;
    let mut chart = ChartBuilder::on(area)
        .margin(10)
        .caption(caption, ("sans-serif", 15))
        .x_label_area_size(30)
        .y_label_area_size(if labelled { 160 } else { 20 })
        .build_cartesian_2d(0.0..most, -0.5..rows - 0.5)
        .map_err(failed)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .x_labels(6)
        .max_light_lines(1)
        .draw()
        .map_err(failed)?;
    let thickness = 0.8 / runs.len().max(1) as f64;
    for (i, run) in runs.iter().enumerate() {
        let bar = |(at, name): (usize, &&str)| {
            let top = rows - 1.0 - at as f64 + 0.4 - i as f64 * thickness;
            Rectangle::new([(0.0, top), (value(run, name), top - thickness)], colour(i).filled())
        };
        let series = chart.draw_series(names.iter().enumerate().map(bar)).map_err(failed)?;
        series
            .label(run.plan)
            .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 12, y + 5)], colour(i).filled()));
    }
    if labelled {
        for (at, name) in names.iter().enumerate() {
            let (_, y) = chart.backend_coord(&(0.0, rows - 1.0 - at as f64));
            let (_, top) = area.get_base_pixel();
            let place = (12, y - top - 7);
            area.draw(&Text::new((*name).to_owned(), place, ("sans-serif", 13))).map_err(failed)?;
        }
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()
        .map_err(failed)
}

/// Figures that are drawn as they grow: a caption, and the figure.
const GROWING: [(&str, Figure); 2] =
    [("seconds, both phases", Figure::Seconds), ("bytes, both phases", Figure::Bytes)];

/// How time and bytes grow under every plan, in logarithms, with the fitted powers.
pub fn growth(scaling: &Scaling, file: &Path) -> Result<()> {
    write(file, (1100, 460), |area| {
        let model = scaling.points.first().and_then(|p| p.runs.first()).map_or("", |run| run.model.as_str());
        let title = format!("{model}: growth with {}", scaling.scaling);
        let area = area.titled(&title, ("sans-serif", 20)).map_err(failed)?;
        let (left, right) = area.split_horizontally(550);
        for (area, (caption, figure)) in [left, right].iter().zip(GROWING) {
            lines(area, caption, scaling, figure)?;
        }
        Ok(())
    })
}

fn lines(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    caption: &str,
    scaling: &Scaling,
    figure: Figure,
) -> Drawn {
    let sizes = || scaling.points.iter().map(|point| point.size as f64);
    let plans = scaling.growth.len();
    let of = |plan: usize| scaling.points.iter().map(move |p| (p.size as f64, figure.of(&p.runs[plan])));
    let values = || (0..plans).flat_map(&of).map(|(_, y)| y);
    let bounds = |values: &mut dyn Iterator<Item = f64>| {
        values.fold((f64::INFINITY, f64::MIN_POSITIVE), |(low, high), v| (low.min(v), high.max(v)))
    };
    let ((left, right), (low, high)) = (bounds(&mut sizes()), bounds(&mut values()));
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .caption(caption, ("sans-serif", 15))
        .x_label_area_size(40)
        .y_label_area_size(70)
        .build_cartesian_2d(
            (left * 0.9..right * 1.1).log_scale(),
            (low.max(f64::MIN_POSITIVE) * 0.8..high * 1.25).log_scale(),
        )
        .map_err(failed)?;
    chart.configure_mesh().x_desc(scaling.scaling).max_light_lines(1).draw().map_err(failed)?;
    for (i, growth) in scaling.growth.iter().enumerate() {
        let points: Vec<(f64, f64)> = of(i).collect();
        let law = growth.laws.iter().find(|(of, _)| *of == figure).and_then(|(_, law)| *law);
        let exponent = law.map_or_else(String::new, |law| format!(", exponent {:.2}", law.exponent));
        let series =
            chart.draw_series(LineSeries::new(points.clone(), colour(i).stroke_width(2))).map_err(failed)?;
        series
            .label(format!("{}{exponent}", growth.plan))
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour(i).stroke_width(2)));
        let dot = |&point: &(f64, f64)| Circle::new(point, 3, colour(i).filled());
        chart.draw_series(points.iter().map(dot)).map_err(failed)?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()
        .map_err(failed)
}
