//! The optimizer.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::backprop::GradStore;
use candle_core::{Result, Tensor, Var};

use super::TrainError;
use super::variables::write_tensors;

/// Decay of the mean of gradients.
const BETA1: f64 = 0.9;
/// Added to roots of squares.
const EPSILON: f64 = 1e-8;

/// Adam with decoupled weight decay (Loshchilov and Hutter, 2019), of variables by name.
#[derive(Debug)]
pub(super) struct AdamW {
    rules: Rules,
    moments: BTreeMap<String, Moments>,
    steps: i32,
}

/// How far it goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// Decay of the mean of gradients' squares.
    pub(super) beta2: f64,
    /// Weight decay.
    pub(super) decay: f64,
    /// Largest norm of all gradients together.
    pub(super) clip: f64,
}

#[derive(Debug)]
struct Moments {
    var: Var,
    first: Tensor,
    second: Tensor,
    /// Biases, gains and other vectors do not shrink.
    shrinks: bool,
}

impl AdamW {
    /// For variables by name.
    pub(super) fn new<'a>(
        variables: impl IntoIterator<Item = (&'a str, &'a Var)>,
        rules: Rules,
    ) -> Result<Self> {
        let moments = variables.into_iter().map(|(name, var)| {
            let zeros = var.as_tensor().zeros_like()?.detach();
            let moments =
                Moments { var: var.clone(), first: zeros.clone(), second: zeros, shrinks: var.rank() > 1 };
            Ok((name.to_owned(), moments))
        });
        Ok(Self { rules, moments: moments.collect::<Result<_>>()?, steps: 0 })
    }

    /// One step down the gradients of a loss. Returns their norm before it was clipped; a norm that is no number changes
    /// nothing.
    pub(super) fn step(&mut self, gradients: &GradStore, rate: f64) -> Result<f64> {
        let squares = self.moments.values().filter_map(|m| gradients.get(&m.var)).map(|g| g.sqr()?.sum_all());
        let squares = squares.collect::<Result<Vec<_>>>()?;
        if squares.is_empty() {
            return Ok(0.0);
        }
        let norm = f64::from(Tensor::stack(&squares, 0)?.sum_all()?.to_scalar::<f32>()?).sqrt();
        if !norm.is_finite() {
            return Ok(norm);
        }
        self.steps += 1;
        let Rules { beta2: b2, decay, clip } = self.rules;
        let (b1, scale) = (BETA1, (clip / norm).min(1.0));
        let (first, second) = (1.0 - b1.powi(self.steps), 1.0 - b2.powi(self.steps));
        for moments in self.moments.values_mut() {
            let Some(gradient) = gradients.get(&moments.var) else { continue };
            let gradient = gradient.detach();
            moments.first = ((&moments.first * b1)? + (&gradient * (scale * (1.0 - b1)))?)?;
            moments.second = ((&moments.second * b2)? + (gradient.sqr()? * (scale * scale * (1.0 - b2)))?)?;
            let root = (&moments.second * (1.0 / second))?.sqrt()?.affine(1.0, EPSILON)?;
            let step = (&moments.first / root)?.affine(rate / first, 0.0)?;
            let decay = if moments.shrinks { decay * rate } else { 0.0 };
            let now = moments.var.as_tensor().detach().affine(1.0 - decay, 0.0)?;
            moments.var.set(&(now - step)?)?;
        }
        Ok(norm)
    }

    /// Writes the moments.
    pub(super) fn write(&self, file: &Path) -> std::result::Result<(), TrainError> {
        let named: Vec<(String, &Tensor)> = self
            .moments
            .iter()
            .flat_map(|(name, m)| {
                [(format!("{name}.first"), &m.first), (format!("{name}.second"), &m.second)]
            })
            .collect();
        write_tensors(file, named.iter().map(|(name, tensor)| (name.as_str(), *tensor)), false)
    }

    /// Reads what [`Self::write`] wrote after so many steps.
    pub(super) fn restore(&mut self, file: &Path, steps: i32) -> std::result::Result<(), TrainError> {
        let Some(device) = self.moments.values().next().map(|m| m.var.device().clone()) else {
            return Ok(());
        };
        let mut stored = candle_core::safetensors::load(file, &device)?;
        let mut take = |name: String, like: &Tensor| {
            let tensor = stored.remove(&name).filter(|t| t.dims() == like.dims());
            let what = || format!("it has no tensor `{name}` of this shape");
            tensor.ok_or_else(|| TrainError::Resume { file: file.to_owned(), what: what() })
        };
        for (name, m) in &mut self.moments {
            m.first = take(format!("{name}.first"), &m.first)?;
            m.second = take(format!("{name}.second"), &m.second)?;
        }
        self.steps = steps;
        Ok(())
    }
}
