//! Measurements on held-out texts, in the engine of training.

use super::TrainError;
use super::data::Data;
use super::engine::Train;
use super::learner::Learner;
use super::loss;
use super::metrics::{Measure, accuracy, agreement, embeddings};
use crate::architecture::PublicHead;

/// Tokens of a batch that is measured.
const TOKENS: usize = 4096;

/// A model's answers to held-out texts.
#[derive(Debug)]
pub(super) struct Answers {
    /// Of each text, row after row; empty of a model that continues texts.
    outputs: Vec<Vec<f32>>,
    /// Mean cross-entropy to what follows, of a model that continues texts.
    surprise: f64,
}

/// Reads held-out texts.
pub(super) fn answer(learner: &Learner, data: &Data) -> Result<Answers, TrainError> {
    let mut outputs = vec![Vec::new(); data.examples.len()];
    let (mut surprise, mut rows) = (0.0, 0.0);
    for texts in data.batches(TOKENS, 0) {
        let batch = data.batch(&texts, learner.variables.device())?;
        let engine = Train::new(learner.numbers()).without_gradients();
        let output = learner.read_with(engine, &batch)?.output;
        if let Some(next) = &batch.next {
            let n = next.dim(0)? as f64;
            surprise += n * f64::from(loss::cross_entropy(&output, next)?.to_scalar::<f32>()?);
            rows += n;
        } else {
            for (text, own) in texts.iter().zip(output.flatten_from(1)?.to_vec2::<f32>()?) {
                outputs[*text] = own;
            }
        }
    }
    Ok(Answers { outputs, surprise: surprise / f64::max(rows, 1.0) })
}

/// A model's answers in its task's metric, and beside a teacher's where there is one.
pub(super) fn measure(
    head: &PublicHead,
    data: &Data,
    own: &Answers,
    teacher: Option<&Answers>,
) -> Vec<Measure> {
    match (head, teacher) {
        (PublicHead::CausalLm { .. }, _) => vec![Measure::new("perplexity", own.surprise.exp())],
        (PublicHead::Embedding { .. }, Some(teacher)) => embeddings(&own.outputs, &teacher.outputs),
        (PublicHead::Embedding { .. }, None) => Vec::new(),
        _ => {
            let labels: Option<Vec<usize>> =
                data.examples.iter().map(|example| example.label.map(|label| label as usize)).collect();
            let labels = labels.map(|labels| Measure::new("accuracy", accuracy(&own.outputs, &labels)));
            let agrees = teacher.map(|t| Measure::new("agreement", agreement(&own.outputs, &t.outputs)));
            labels.into_iter().chain(agrees).collect()
        }
    }
}
