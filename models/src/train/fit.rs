//! Training on labels, or on what follows in a text.

use std::path::PathBuf;

use candle_core::Device;

use super::TrainError;
use super::data::{Data, Files, Reader};
use super::distill::create;
use super::engine::Numbers;
use super::held_out::{answer, measure};
use super::learner::Learner;
use super::loss;
use super::metrics::Measure;
use super::trainer::{Beginning, Options, Point, Stage, Told, Trainer, has_state};
use crate::architecture::PublicHead;
use crate::plan::Plan;

/// What to train.
#[derive(Debug)]
pub struct Fitting {
    /// The directory of the model to begin with.
    pub from: PathBuf,
    /// The trained model's directory; may be the same.
    pub out: PathBuf,
    /// The texts, labelled for a model that classifies.
    pub files: Files,
    /// Longest text in tokens.
    pub longest: usize,
    /// Held-out texts that are measured, at most.
    pub measured: usize,
    /// How long, and how fast.
    pub stage: Stage,
    /// How to train.
    pub options: Options,
    /// Whether to go on from an earlier state.
    pub resume: bool,
    /// Whether weights are written in f16.
    pub half: bool,
    /// Where to compute.
    pub device: Device,
}

/// What a training came to.
#[derive(Debug)]
pub struct Fitted {
    /// Texts that it was trained and measured on, and lines that were left out.
    pub texts: [usize; 3],
    /// Before the first step.
    pub start: Vec<Measure>,
    /// What was measured on the way.
    pub points: Vec<Point>,
}

/// Trains a classifier of texts on labels, or a language model on text, in floats.
///
/// # Errors
///
/// For a model of another kind, texts without labels, and as [`distill`](super::distill()).
pub fn fit(task: &Fitting, told: &dyn Fn(Told<'_>)) -> Result<Fitted, TrainError> {
    let learner =
        Learner::student(&task.from, Plan::Accurate, Default::default(), Numbers::Floats, &task.device)?;
    let head = learner.spec.architecture.head;
    if !matches!(head, PublicHead::Classification { .. } | PublicHead::CausalLm { .. }) {
        return Err(TrainError::Head { dir: task.from.clone() });
    }
    let reader = Reader::new(&task.from, &learner.config, &learner.head, task.longest)?;
    let (data, mut held_out) = task.files.read(&reader)?;
    let asked = |data: &Data| data.examples.iter().all(|e| e.label.is_some() || !e.next.is_empty());
    if !asked(&data) || !asked(&held_out) {
        let what = "texts without classes: a file of labelled texts ends in .tsv".to_owned();
        return Err(TrainError::Data { file: task.files.data.clone(), line: 0, what });
    }
    held_out.truncate(task.measured);
    let measured = || Ok(measure(&head, &held_out, &answer(&learner, &held_out)?, None));
    create(&task.out)?;
    let trainer = Trainer {
        learner: &learner,
        data: &data,
        options: &task.options,
        stages: std::slice::from_ref(&task.stage),
        loss: &|_, batch| {
            let loss = loss::task(&learner.read(batch)?.output, batch)?;
            loss.ok_or(TrainError::Core(ditto_core::Error::Internal("a batch without labels")))
        },
        measure: &measured,
        told,
        from: Beginning { dir: task.from.clone(), start: None },
        out: &task.out,
    };
    let (start, points) = trainer.run(task.resume && has_state(&task.out))?;
    learner.write(&task.out, task.half)?;
    Ok(Fitted { texts: [data.examples.len(), held_out.examples.len(), data.skipped], start, points })
}
