//! Where a student with Quad starts: with feed-forward parts that are near its teacher's.
//!
//! `Quad(a x + b) + d` is any quadratic function with a positive square, and a, b and d go into the linear layers before and
//! after it. So each unit gets, by least squares over what enters it on the training texts, a function of its own; what is left of
//! the difference, the layer after the activations makes up for as far as a linear layer can, and gradients move both layers
//! on from there. Each part is fitted by itself, which costs a small part of a reading of the model, and to what the parts before
//! it really give, so that what they have wrong is made up for.

mod cholesky;
mod part;
mod quadratic;

use candle_core::{Result, Tensor};
use serde::{Deserialize, Serialize};

use self::part::Part;
use super::TrainError;
use super::data::{Batch, Data, Example};
use super::engine::Train;
use super::learner::Learner;
use super::loss;
use super::trainer::{Options, Told};

/// Tokens that are read together.
const TOGETHER: usize = 2048;
/// Most bytes of the teacher's hidden states.
const MOST_BYTES: usize = 4 << 30;

/// How feed-forward parts are fitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// Tokens that they are fitted to, about; fewer where the teacher's hidden states of so many are more than 4 GiB.
    pub tokens: usize,
    /// Steps of each part.
    pub steps: usize,
    /// Their highest learning rate.
    pub rate: f64,
}

/// Moves the weights of a student's feed-forward parts so that it is near its teacher, one layer after the other.
///
/// # Errors
///
/// As reading teacher and student.
pub(super) fn start_near(
    student: &Learner,
    teacher: &Learner,
    data: &Data,
    start: &Start,
    options: &Options,
    told: &dyn Fn(Told<'_>),
) -> std::result::Result<(), TrainError> {
    let architecture = &teacher.spec.architecture;
    let (layers, causal) = (architecture.num_hidden_layers, architecture.head.is_causal());
    let bytes_of_token = size_of::<f32>() * architecture.hidden_size * layers;
    let enough = start.tokens.min(MOST_BYTES / bytes_of_token.max(1));
    let mut tokens = 0;
    let batches = data.batches(TOGETHER, options.seed).into_iter().take_while(|texts| {
        let before = tokens;
        tokens += texts.iter().filter_map(|&i| data.examples.get(i)).map(Example::tokens).sum::<usize>();
        before < enough
    });
    let batches = batches.map(|texts| data.batch(&texts, student.variables.device()));
    let batches = batches.collect::<Result<Vec<Batch>>>()?;
    // A part is between two normalisations: BERT has one before its layers, GPT-2 two in each and one behind them.
    let (before, after) = (|layer: usize| 2 * layer + 1, |layer: usize| 2 * layer + 2);
    let mut wanted: Vec<Vec<Tensor>> = vec![Vec::new(); layers];
    for batch in &batches {
        let sums = teacher.read(batch)?.seen.sums;
        for (layer, wanted) in wanted.iter_mut().enumerate() {
            wanted.push(loss::rows(&sums[after(layer)])?);
        }
    }
    for (layer, wanted) in wanted.into_iter().enumerate() {
        told(Told::Fitting { layer, layers, step: 0, steps: start.steps });
        let (mut x, mut residual) = (Vec::new(), Vec::new());
        for batch in &batches {
            let engine = Train::new(student.numbers()).without_gradients();
            let seen = student.read_with(engine, batch)?.seen;
            x.push(loss::rows(&seen.normalised[before(layer)])?);
            if causal {
                residual.push(loss::rows(&seen.sums[before(layer)])?);
            }
        }
        let x = Tensor::cat(&x, 0)?;
        let residual = if causal { Tensor::cat(&residual, 0)? } else { x.clone() };
        let part = Part { student, layer, x, residual, wanted: Tensor::cat(&wanted, 0)? };
        let step = |step| told(Told::Fitting { layer, layers, step, steps: start.steps });
        let function = teacher.spec.functions().activation;
        let wrong = part.fit(function, start, options.tokens, options.seed, &step)?;
        told(Told::Fitted { layer, layers, wrong });
    }
    Ok(())
}
