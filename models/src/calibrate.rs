//! Calibration: ranges seen on sample texts become scales and ranges of protocols, and a checkpoint that cannot be run
//! safely is refused by name.

mod choose;
mod report;
mod rows;
mod trial;

use std::path::PathBuf;
use std::sync::Arc;

use ditto_core::Settings;

pub use report::{Excerpt, Headroom, Report};
pub use rows::MOST as MOST_ROW;
pub use trial::{Accuracy, Condition, Trial, cosine};

use crate::answer::Answer;
use crate::quantization::{QuantizationFile, VERSION, weights_digest};
use crate::run::{RunError, Task};

/// Headroom that every condition must have on the calibration texts.
pub const REQUIRED: f64 = 1.0;

/// Readings of the texts at most: choices move the numbers a little, so they are made again from their own outcome.
const READINGS: usize = 4;

/// Why a checkpoint cannot be run safely.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Problem {
    /// A row of a weight is out of proportion.
    Row {
        /// The tensor.
        tensor: String,
        /// The row, from 0.
        row: usize,
        /// Its norm in norms of the median row.
        ratio: f64,
    },
    /// The scale that a product needs leaves a weight too few bits.
    Coarse {
        /// The tensor.
        tensor: String,
        /// The output, from 0, that needs the scale.
        row: Option<usize>,
        /// Where.
        step: Option<String>,
        /// The text, from 0.
        text: Option<usize>,
        /// A typical weight in units of its last bit.
        units: f64,
    },
    /// A range condition without a bit of headroom.
    Range(Condition),
}

/// Why calibration failed: the checkpoint's problems, the first few in words.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be run safely under plan `{plan}`:{}", .dir.display(), .problems.join(""))]
pub struct Unsafe {
    /// The checkpoint.
    pub dir: PathBuf,
    /// The plan.
    pub plan: crate::plan::Plan,
    /// One line each.
    pub problems: Vec<String>,
}

/// Most problems that are told.
const TOLD: usize = 12;

impl Problem {
    fn describe(&self, task: &Task) -> String {
        let row = |row: &Option<usize>| row.map(|r| format!(", row {r}")).unwrap_or_default();
        match self {
            Self::Row { tensor, row, ratio } => format!(
                "tensor `{tensor}`, row {row}: its norm is {ratio:.0} times that of the median row (at most {MOST_ROW}): \
                 the tensor's one scale would leave the other rows {:.1} bits fewer",
                ratio.log2()
            ),
            Self::Coarse { tensor, row: at, step, text, units } => format!(
                "tensor `{tensor}`{}: its products{}{} need a scale at which a typical weight is {units:.1} units (at \
                 least 4); a ring of more than 32 bits would be needed",
                row(at),
                step.as_ref().map(|s| format!(" at step `{s}`")).unwrap_or_default(),
                text.map(|t| format!(" on text {}", Excerpt::of(task, t))).unwrap_or_default(),
            ),
            Self::Range(condition) => {
                let seen = &condition.seen;
                let tensor = seen.weight.as_ref().map(|w| format!("tensor `{w}`{}: ", row(&seen.row)));
                format!(
                    "{}step `{}` ({}) has {:.2} bits of headroom (at least {REQUIRED}): numbers from {:.4} to {:.4}, \
                     allowed from {:.4} to {:.4}, worst on text {}",
                    tensor.unwrap_or_default(),
                    seen.step,
                    seen.op,
                    seen.headroom,
                    seen.least,
                    seen.greatest,
                    seen.low,
                    seen.high,
                    Excerpt::of(task, condition.text)
                )
            }
        }
    }
}

fn refuse(task: &Task, problems: &[Problem]) -> Result<(), RunError> {
    if problems.is_empty() {
        return Ok(());
    }
    let mut told: Vec<_> = problems.iter().take(TOLD).map(|p| format!("\n  {}", p.describe(task))).collect();
    if problems.len() > TOLD {
        told.push(format!("\n  and {} more", problems.len() - TOLD));
    }
    let dir = task.checkpoint.dir().to_owned();
    Err(RunError::Unsafe(Unsafe { dir, plan: task.job.model.plan, problems: told }))
}

/// Conditions without enough headroom, in program order: the first is where it begins.
fn without_headroom(trial: &Trial) -> Vec<Problem> {
    let mut below = trial.below(REQUIRED);
    below.sort_by_key(|c| c.place);
    below.into_iter().cloned().map(Problem::Range).collect()
}

/// What calibration found.
#[derive(Clone, Debug)]
pub struct Calibration {
    /// What to write.
    pub file: QuantizationFile,
    /// The texts under the plan's own formats and ranges.
    pub before: Trial,
    /// The texts under the file.
    pub after: Trial,
}

/// Calibrates a task's plan to its checkpoint and texts. `progress` is told which reading (from 1) has come how far.
///
/// # Errors
/// [`RunError::Unsafe`] for a checkpoint that cannot be run safely; nothing is written in any case.
pub fn calibrate(
    task: Task,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<(Task, Calibration), RunError> {
    // Rows first: the texts may not show them.
    refuse(&task, &rows::out_of_proportion(&task)?)?;
    let reference: Vec<Answer> = task.reference()?;
    let mut task = task.with_settings(Arc::default());
    let before = Trial::run_with(&task, &reference, &|n| progress(1, n))?;
    let (mut after, mut problems) = (before.clone(), Vec::new());
    for reading in 2..=READINGS {
        let (quantization, coarse) = choose::choose(&task, &after)?;
        let widened = quantization.wide != task.job.model.settings.quantization.wide;
        let settings = Arc::new(Settings { quantization, ..Settings::default() });
        settings.check()?;
        let settled = *task.job.model.settings == *settings;
        task = task.with_settings(settings);
        if !coarse.is_empty() {
            // Conditions that fail say where large numbers begin.
            refuse(&task, &[coarse, without_headroom(&after)].concat())?;
        }
        if !settled {
            after = Trial::run_with(&task, &reference, &|n| progress(reading, n))?;
        }
        problems = without_headroom(&after);
        // A layer with another ring has steps of other names, whose ranges are still to be chosen.
        if problems.is_empty() && !widened {
            break;
        }
    }
    refuse(&task, &problems)?;
    let recorded = after.conditions.iter().filter(|c| c.seen.has_range() || c.seen.op == "rescale");
    let recorded =
        recorded.map(|c| (format!("{}: {}", c.seen.step, c.seen.op), [c.seen.least, c.seen.greatest]));
    let file = QuantizationFile {
        version: VERSION,
        plan: task.job.model.plan,
        weights_sha256: weights_digest(&task.checkpoint)?,
        texts: task.texts.len(),
        quantization: task.job.model.settings.quantization.clone(),
        recorded: recorded.collect(),
    };
    Ok((task, Calibration { file, before, after }))
}
