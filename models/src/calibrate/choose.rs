//! Exponents and ranges from what was seen.

use ditto_core::nn::least_variance;
use ditto_core::session::{Entry, Floats, Manifest, SecureModel, Use};
use ditto_core::settings::Quantization;

use super::rows::typical;
use super::{Condition, Problem, Trial};
use crate::model::{ModelSpec, Request, Visit};
use crate::run::{RunError, Task};

/// Headroom that scales leave on the texts that they are chosen on, so that others keep a bit.
const AIM: f64 = 2.0;
/// The same for ranges whose every bit costs communication.
const AIM_WHERE_DEAR: f64 = 1.5;
/// Bits of a product above its point, the sign's among them, at least. An argument of a pointwise function needs three more
/// than its range: its sign, and what comparisons with its tails take.
const WHOLE: i32 = 10;
/// Fractional bits of weights beyond which rounding of activations hides those of weights.
const FINEST: i32 = 14;
/// Farthest that a scale goes from the format's; what needs more is refused by its range.
const FARTHEST: i32 = 24;
/// Bits by which products may be coarser than the format's before a layer takes a larger ring, where it can.
const COARSEST: i32 = 1;
/// What a typical weight must be in units of its last bit: two bits beside the sign.
const UNITS: f64 = 4.0;

/// What a choice depends on beside the observations.
struct Shapes {
    manifest: Manifest,
    /// Fractional bits of activations.
    activations: i32,
    model: ModelSpec,
}

struct Load;

impl Visit for Load {
    type Out = ditto_core::Result<Manifest>;
    fn visit<M: SecureModel<Request = Request>>(self, model: &M) -> Self::Out {
        Manifest::of(model)
    }
}

/// Chooses settings from a trial under the task's present ones. Also returns weights that would have too few bits.
pub(super) fn choose(task: &Task, trial: &Trial) -> Result<(Quantization, Vec<Problem>), RunError> {
    let manifest = task.job.model.with_model(Load)?;
    let model = task.job.model.clone();
    let shapes = Shapes { manifest, activations: model.plan.activation_fraction() as i32, model };
    let now = &task.job.model.settings.quantization;
    let mut next = Quantization { wide: now.wide.clone(), ..Quantization::default() };
    ranges(shapes.model.architecture.hidden_size, trial, &mut next);
    scales(&shapes, trial, &mut next);
    let problems = coarse(task, &shapes.manifest, &next, trial)?;
    Ok((next, problems))
}

/// Ranges of protocols.
fn ranges(width: usize, trial: &Trial, next: &mut Quantization) {
    for seen in trial.conditions.iter().map(|c| &c.seen).filter(|s| s.has_range()) {
        let step = next.steps.entry(seen.step.clone()).or_default();
        let largest = seen.least.abs().max(seen.greatest.abs()).max(f64::MIN_POSITIVE);
        let above = |aim: f64| (largest.log2() + aim).ceil();
        if seen.low > 0.0 {
            let low = (seen.least.max(f64::MIN_POSITIVE).log2() - AIM).floor();
            let (low, high) = squares(width, low, above(AIM));
            (step.low, step.range) = (Some(low), Some(high));
        } else if seen.step.ends_with("/values") {
            step.range = Some(above(AIM).clamp(-2.0, 12.0) as i32);
        } else {
            step.range = Some(above(AIM_WHERE_DEAR).clamp(5.0, 12.0) as i32);
        }
    }
}

/// The nearest range of squares that a normalisation of rows can have: `[2^low, 2^high)`.
fn squares(width: usize, low: f64, high: f64) -> (i32, i32) {
    let high = high.clamp(-8.0, 22.0) as i32;
    let low = (low.clamp(-24.0, 24.0) as i32).max(least_variance(width, high)).min(19);
    // A table for each third of the octaves.
    (low, high.max(low + 3))
}

/// Exponents of weights and of their biases; and which products want a larger ring.
fn scales(shapes: &Shapes, trial: &Trial, next: &mut Quantization) {
    for entry in shapes.manifest.0.iter().filter(|e| e.r#use != Use::Table) {
        let Some(layer) = entry.name.strip_suffix("weight") else { continue };
        let lifts = trial.conditions.iter().map(|c| &c.seen);
        let lifts = lifts.filter(|s| s.is_lift() && s.weight.as_deref() == Some(&*entry.name));
        let lifts: Vec<_> = lifts.collect();
        // Bits by which the product may become finer.
        let spare = lifts.iter().map(|s| s.headroom).fold(f64::INFINITY, f64::min) - AIM;
        let spare = spare.clamp(-32.0, 32.0).floor() as i32;
        let (width, fraction) = (entry.width as i32, entry.fraction as i32);
        let present = fraction - entry.exponent;
        let mut chosen;
        let product = if entry.r#use == Use::Matrix {
            let arguments = trial.conditions.iter().map(|c| &c.seen).filter(|s| s.is_argument());
            let own = arguments.filter(|s| s.weight.as_deref() == Some(&*entry.name));
            let whole = own.filter_map(|s| next.step(&s.step).range).map(|range| range + 3).max();
            let whole = whole.unwrap_or_default().max(WHOLE);
            let most = (width - whole - shapes.activations).min(fraction.max(FINEST));
            chosen = (present + spare).min(most).max(fraction - FARTHEST);
            if chosen < fraction - COARSEST
                && shapes.model.can_widen(&entry.name)
                && next.wide.insert(entry.name.clone())
            {
                // What scale it takes there, the next reading tells.
                chosen = fraction;
            }
            shapes.activations + chosen
        } else {
            // Gains are lifted to a ring of their own, where biases of any scale meet them.
            let spare = if lifts.is_empty() { 0 } else { spare };
            chosen = (present + spare).min(fraction.max(FINEST)).max(fraction - FARTHEST);
            i32::MAX
        };
        if chosen != fraction {
            next.weights.insert(entry.name.clone(), fraction - chosen);
        }
        // A bias is at most as fine as the product that it is added to.
        let bias = format!("{layer}bias");
        if let Some(bias) = shapes.manifest.0.iter().find(|e| e.name == bias)
            && bias.fraction as i32 > product
        {
            next.weights.insert(bias.name.clone(), bias.fraction as i32 - product);
        }
    }
}

/// Matrices whose typical weight would have too few bits.
fn coarse(
    task: &Task,
    manifest: &Manifest,
    next: &Quantization,
    trial: &Trial,
) -> Result<Vec<Problem>, RunError> {
    let floats = task.floats();
    let mut problems = Vec::new();
    for entry in manifest.0.iter().filter(|e| e.r#use == Use::Matrix) {
        let values = floats.floats(&entry.name, &entry.stored_shape())?;
        let inputs = entry.stored_shape().get(1).copied().unwrap_or(1);
        let size = typical(&values, inputs) * entry.scale.abs();
        let units = size * f64::from(units_per_one(entry, next)).exp2();
        if size > 0.0 && units < UNITS {
            let own = |c: &&Condition| c.seen.is_lift() && c.seen.weight.as_deref() == Some(&*entry.name);
            let worst = trial.conditions.iter().filter(own);
            let worst = worst.min_by(|a, b| a.seen.headroom.total_cmp(&b.seen.headroom));
            problems.push(Problem::Coarse {
                tensor: entry.name.clone(),
                row: worst.and_then(|c| c.seen.row),
                step: worst.map(|c| c.seen.step.clone()),
                text: worst.map(|c| c.text),
                units,
            });
        }
    }
    Ok(problems)
}

fn units_per_one(entry: &Entry, quantization: &Quantization) -> i32 {
    entry.fraction as i32 - quantization.weight(&entry.name)
}
