//! Headroom for people and for programs.

use serde::Serialize;

use super::{Accuracy, Condition, Trial};
use crate::input::Input;
use crate::run::Task;

/// A text in a report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Excerpt {
    /// Its line in the file, from 1.
    pub line: usize,
    /// Its beginning.
    pub excerpt: String,
}

/// Characters of an excerpt.
const EXCERPT: usize = 48;
/// Conditions that a report for people lists.
const LISTED: usize = 12;

impl Excerpt {
    pub(super) fn of(task: &Task, text: usize) -> Self {
        let all = match task.texts.get(text).map(|text| &text.input) {
            Some(Input::Text(text) | Input::Pair(text, _)) => text.as_str(),
            None => "",
        };
        let mut excerpt: String = all.chars().take(EXCERPT).collect();
        if excerpt.len() < all.len() {
            excerpt.push_str("..");
        }
        Self { line: task.lines.get(text).copied().unwrap_or_default(), excerpt }
    }
}

impl std::fmt::Display for Excerpt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({:?})", self.line, self.excerpt)
    }
}

/// One condition in a report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Headroom {
    /// The step.
    pub step: String,
    /// The operation.
    pub operation: &'static str,
    /// Headroom in bits.
    pub bits: f64,
    /// The numbers seen, least and greatest.
    pub seen: [f64; 2],
    /// The numbers allowed.
    pub allowed: [f64; 2],
    /// The weight that the worst number came through last.
    pub weight: Option<String>,
    /// Its row.
    pub row: Option<usize>,
    /// The worst text.
    pub text: Excerpt,
}

impl Headroom {
    fn of(task: &Task, Condition { seen, text, .. }: &Condition) -> Self {
        Self {
            step: seen.step.clone(),
            operation: seen.op,
            // JSON has no infinity: what no number came near of has as much as any.
            bits: seen.headroom.clamp(-64.0, 64.0),
            seen: [seen.least, seen.greatest],
            allowed: [seen.low, seen.high],
            weight: seen.weight.as_deref().map(str::to_owned),
            row: seen.row,
            text: Excerpt::of(task, *text),
        }
    }
}

/// What a trial says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Texts read.
    pub texts: usize,
    /// Distance to floats.
    pub accuracy: Accuracy,
    /// The least headroom of all.
    pub least_bits: f64,
    /// All conditions, the tightest first.
    pub headroom: Vec<Headroom>,
}

impl Report {
    /// Of a trial of a task.
    pub fn new(task: &Task, trial: &Trial) -> Self {
        Self {
            texts: task.texts.len(),
            accuracy: trial.accuracy,
            least_bits: trial.headroom().clamp(-64.0, 64.0),
            headroom: trial.below(f64::INFINITY).into_iter().map(|c| Headroom::of(task, c)).collect(),
        }
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{} text(s), {}", self.texts, self.accuracy)?;
        writeln!(f, "headroom of {} range conditions, the tightest first:", self.headroom.len())?;
        for h in self.headroom.iter().take(LISTED) {
            let weight = h.weight.as_ref().map(|w| format!(", through `{w}`")).unwrap_or_default();
            let row = h.row.map(|r| format!(" row {r}")).unwrap_or_default();
            writeln!(
                f,
                "  {:6.2} bits  {} ({}){weight}{row}, worst on text {}",
                h.bits, h.step, h.operation, h.text
            )?;
        }
        Ok(())
    }
}
