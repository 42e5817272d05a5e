//! How time and bytes grow with the length of a text, or with layers.

use std::fmt::Write;

use serde::Serialize;

use crate::document::Run;
use crate::options::Axis;
use crate::statistics::PowerLaw;
use crate::text::{self, Table, megabytes, seconds};

/// Runs of a row of sizes.
#[derive(Debug, Serialize)]
pub struct Scaling {
    /// What is varied: `seq` or `layers`.
    pub scaling: &'static str,
    /// The runs, by size: of each plan one.
    pub points: Vec<Point>,
    /// By which powers of the size the figures of each plan grow.
    pub growth: Vec<Growth>,
}

/// One size.
#[derive(Debug, Serialize)]
pub struct Point {
    /// The size.
    pub size: usize,
    /// The plans.
    pub runs: Vec<Run>,
}

/// Power laws of one plan, fitted to all sizes.
#[derive(Debug, Serialize)]
pub struct Growth {
    /// The plan.
    pub plan: &'static str,
    /// Of each figure.
    pub laws: Vec<(Figure, Option<PowerLaw>)>,
}

/// A figure that grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// Median seconds in all.
    Seconds,
    /// Median seconds of preprocessing.
    Preprocess,
    /// Median seconds online.
    Online,
    /// Median seconds in floats.
    Plaintext,
    /// Bytes of both phases.
    Bytes,
    /// Bytes online.
    OnlineBytes,
    /// Bytes offline.
    OfflineBytes,
    /// Hops.
    Hops,
}

impl Figure {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Seconds,
        Self::Preprocess,
        Self::Online,
        Self::Plaintext,
        Self::Bytes,
        Self::OnlineBytes,
        Self::OfflineBytes,
        Self::Hops,
    ];

    /// Of a run.
    pub fn of(self, run: &Run) -> f64 {
        let request = &run.request;
        match self {
            Self::Seconds => request.seconds.total,
            Self::Preprocess => request.seconds.preprocess,
            Self::Online => request.seconds.online,
            Self::Plaintext => request.plaintext_seconds,
            Self::Bytes => request.bytes() as f64,
            Self::OnlineBytes => request.cost.online_bytes as f64,
            Self::OfflineBytes => request.cost.offline_bytes as f64,
            Self::Hops => request.cost.hops.into(),
        }
    }

    /// As tables call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Seconds => "in all s",
            Self::Preprocess => "preprocessing s",
            Self::Online => "online s",
            Self::Plaintext => "floats s",
            Self::Bytes => "MB",
            Self::OnlineBytes => "online MB",
            Self::OfflineBytes => "offline MB",
            Self::Hops => "hops",
        }
    }

    fn show(self, value: f64) -> String {
        match self {
            Self::Seconds | Self::Preprocess | Self::Online | Self::Plaintext => seconds(value),
            Self::Bytes | Self::OnlineBytes | Self::OfflineBytes => megabytes(value as u64),
            Self::Hops => format!("{value:.0}"),
        }
    }
}

impl Axis {
    /// As documents and tables call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Seq => "seq",
            Self::Layers => "layers",
        }
    }
}

impl Scaling {
    /// Of the runs at each size.
    pub fn new(axis: Axis, points: Vec<(usize, Vec<Run>)>) -> Self {
        let points: Vec<Point> = points.into_iter().map(|(size, runs)| Point { size, runs }).collect();
        let plans = points.first().map_or(0, |point| point.runs.len());
        let growth = (0..plans).map(|plan| {
            let law = |figure: Figure| {
                let pairs = points.iter().map(|point| (point.size as f64, figure.of(&point.runs[plan])));
                (figure, PowerLaw::fit(&pairs.collect::<Vec<_>>()))
            };
            Growth { plan: points[0].runs[plan].plan, laws: Figure::ALL.map(law).into() }
        });
        Self { scaling: axis.name(), growth: growth.collect(), points }
    }

    /// As tables.
    pub fn text(&self, reps: usize) -> String {
        let mut out = String::new();
        let Some(one) = self.points.first().and_then(|point| point.runs.first()) else { return out };
        let _ = writeln!(
            out,
            "## {}: growth with {}\n\nProtocols chosen for network `{}`; {reps} repetitions; seed {}.\n{}.\n\n{}",
            one.model,
            self.scaling,
            one.network,
            one.seed,
            text::host(&one.host),
            text::INCLUDED
        );
        for (plan, growth) in self.growth.iter().enumerate() {
            let _ = writeln!(out, "\n### `{}`\n", growth.plan);
            let mut table = Table::new(std::iter::once(self.scaling).chain(Figure::ALL.map(Figure::name)));
            for point in &self.points {
                let figures = Figure::ALL.map(|figure| figure.show(figure.of(&point.runs[plan])));
                table.row(std::iter::once(point.size.to_string()).chain(figures));
            }
            let exponents = growth
                .laws
                .iter()
                .map(|(_, law)| law.map_or_else(|| "none".to_owned(), |law| format!("{:.2}", law.exponent)));
            table.row(std::iter::once("exponent".to_owned()).chain(exponents));
            out += &table.markdown();
        }
        out
    }
}
