//! Texts through the simulation: how near each range condition came to its limit, and how near the answers are to those
//! of floats.

use std::collections::BTreeMap;

use ditto_core::observe::Observation;
use ditto_core::session::{SecureModel, SimulatedModel};
use rayon::prelude::*;
use serde::Serialize;

use crate::answer::Answer;
use crate::model::{Request, Visit};
use crate::run::{RunError, Task};

/// Texts whose observations are in memory together.
const TOGETHER: usize = 64;

/// What all texts came to.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Every range condition with what depends on data, in alphabetical order of its step.
    pub conditions: Vec<Condition>,
    /// The distance to floats.
    pub accuracy: Accuracy,
    /// The answers to all texts.
    pub answers: Vec<Answer>,
}

/// One range condition over all texts.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// What was seen.
    pub seen: Observation,
    /// The text (from 0) with the least headroom.
    pub text: usize,
    /// Its place among the conditions in program order, about.
    pub place: usize,
}

/// How far answers are from those of floats.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Accuracy {
    /// Of embeddings: cosines.
    Cosine {
        /// The least.
        cosine_min: f64,
        /// The mean.
        cosine_mean: f64,
    },
    /// Of logits: differences.
    Error {
        /// The greatest.
        error_max: f64,
        /// The mean of all magnitudes.
        error_mean: f64,
    },
}

impl Accuracy {
    /// Of answers beside their reference.
    pub fn of(answers: &[Answer], reference: &[Answer]) -> Self {
        let pairs = || answers.iter().zip(reference).map(|(a, b)| (a.values(), b.values()));
        if matches!(reference.first(), Some(Answer::Embedding { .. })) {
            let cosines = pairs().map(|(a, b)| cosine(a, b));
            let (min, sum) = cosines.fold((1.0, 0.0), |(min, sum), c| (f64::min(min, c), sum + c));
            return Self::Cosine { cosine_min: min, cosine_mean: sum / reference.len() as f64 };
        }
        let errors = || pairs().flat_map(|(a, b)| a.iter().zip(b)).map(|(a, b)| f64::from((a - b).abs()));
        let count = errors().count().max(1) as f64;
        Self::Error { error_max: errors().fold(0.0, f64::max), error_mean: errors().sum::<f64>() / count }
    }
}

impl std::fmt::Display for Accuracy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cosine { cosine_min, cosine_mean } => {
                write!(f, "cosine to floats min {cosine_min:.6}, mean {cosine_mean:.6}")
            }
            Self::Error { error_max, error_mean } => {
                write!(f, "logits off by max {error_max:.5}, mean {error_mean:.5}")
            }
        }
    }
}

/// Cosine of two vectors.
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

impl Trial {
    /// Reads every text of a task under its settings.
    pub fn run(task: &Task, reference: &[Answer]) -> Result<Self, RunError> {
        Self::run_with(task, reference, &|_| ())
    }

    /// The same; `progress` is told the number of texts read.
    pub fn run_with(
        task: &Task,
        reference: &[Answer],
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<Self, RunError> {
        let (answers, conditions) = task.job.model.with_model(Observe { task, progress })?;
        Ok(Self { conditions, accuracy: Accuracy::of(&answers, reference), answers })
    }

    /// Conditions with less than `bits` of headroom, the worst first.
    pub fn below(&self, bits: f64) -> Vec<&Condition> {
        let mut all: Vec<_> = self.conditions.iter().filter(|c| c.seen.headroom < bits).collect();
        all.sort_by(|a, b| a.seen.headroom.total_cmp(&b.seen.headroom));
        all
    }

    /// The least headroom of all conditions.
    pub fn headroom(&self) -> f64 {
        self.conditions.iter().map(|c| c.seen.headroom).fold(f64::INFINITY, f64::min)
    }
}

struct Observe<'a> {
    task: &'a Task,
    progress: &'a (dyn Fn(usize) + Sync),
}

impl Visit for Observe<'_> {
    type Out = Result<(Vec<Answer>, Vec<Condition>), RunError>;

    fn visit<M: SecureModel<Request = Request>>(self, model: &M) -> Self::Out {
        let Self { task, progress } = self;
        let model = SimulatedModel::new(model, &task.floats())?;
        let mut answers = Vec::new();
        let mut all: BTreeMap<(String, &'static str), Condition> = BTreeMap::new();
        let texts: Vec<usize> = (0..task.inputs.len()).collect();
        for together in texts.chunks(TOGETHER) {
            let one = |&i: &usize| {
                // Coins of rounding: public, and others for each text.
                let coins = (i as u128 + 1).to_le_bytes();
                model
                    .observe(coins, &mut M::State::default(), &task.job.requests[i], &task.inputs[i])
                    .map_err(|source| RunError::Read { index: i + 1, source: Box::new(source) })
            };
            let outputs: Vec<_> = together.par_iter().map(one).collect::<Result<_, _>>()?;
            for (&i, (output, seen)) in together.iter().zip(outputs) {
                answers.extend(task.answers(i, output.data()));
                for (place, seen) in seen.into_iter().enumerate() {
                    let key = (seen.step.clone(), seen.op);
                    match all.get_mut(&key) {
                        None => {
                            all.insert(key, Condition { seen, text: i, place });
                        }
                        Some(known) => {
                            if seen.headroom < known.seen.headroom {
                                known.text = i;
                            }
                            known.seen.merge(seen);
                        }
                    }
                }
            }
            progress(answers.len());
        }
        Ok((answers, all.into_values().collect()))
    }
}
