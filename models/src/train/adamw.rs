//! The optimizer.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::backprop::GradStore;
use candle_core::{Result, Tensor, Var};

use super::TrainError;
use super::elementwise::{update, update_by_two};
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

/// The numbers of one step.
#[derive(Clone, Copy, Debug)]
struct Step {
    b1: f64,
    b2: f64,
    /// What gradients are multiplied by.
    scale: f64,
    /// What moments are divided by, as they begin with zeros.
    first: f64,
    second: f64,
    rate: f64,
    decay: f64,
}

impl Moments {
    /// A step in three passes on a processor.
    fn step(&self, gradient: &Tensor, step: Step) -> Result<()> {
        let Step { b1, b2, scale, first, second, rate, decay } = step;
        let (kept, new) = (b1 as f32, ((1.0 - b1) * scale) as f32);
        update(&self.first, gradient, |m, g| kept * m + new * g)?;
        let (kept, new) = (b2 as f32, ((1.0 - b2) * scale * scale) as f32);
        update(&self.second, gradient, |v, g| kept * v + new * g * g)?;
        let (kept, rate, second) = ((1.0 - decay) as f32, (rate / first) as f32, (1.0 / second) as f32);
        update_by_two(self.var.as_tensor(), &self.first, &self.second, |w, m, v| {
            kept * w - rate * m / ((v * second).sqrt() + EPSILON as f32)
        })
    }

    /// The same in the library's operations, which every device has.
    fn step_by_operations(&mut self, gradient: &Tensor, step: Step) -> Result<()> {
        let Step { b1, b2, scale, first, second, rate, decay } = step;
        self.first = ((&self.first * b1)? + (gradient * (scale * (1.0 - b1)))?)?;
        self.second = ((&self.second * b2)? + (gradient.sqr()? * (scale * scale * (1.0 - b2)))?)?;
        let root = (&self.second * (1.0 / second))?.sqrt()?.affine(1.0, EPSILON)?;
        let step = (&self.first / root)?.affine(rate / first, 0.0)?;
        let now = self.var.as_tensor().detach().affine(1.0 - decay, 0.0)?;
        self.var.set(&(now - step)?)
    }
}

impl AdamW {
    /// For variables by name.
    pub(super) fn new<'a>(
        variables: impl IntoIterator<Item = (&'a str, &'a Var)>,
        rules: Rules,
    ) -> Result<Self> {
        let moments = variables.into_iter().map(|(name, var)| {
            // Each has its own memory: they are changed in place.
            let zeros = || var.as_tensor().detach().zeros_like();
            let moments =
                Moments { var: var.clone(), first: zeros()?, second: zeros()?, shrinks: var.rank() > 1 };
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
            let decay = if moments.shrinks { decay * rate } else { 0.0 };
            let step = Step { b1, b2, scale, first, second, rate, decay };
            if gradient.device().is_cpu() {
                moments.step(&gradient.detach(), step)?;
            } else {
                moments.step_by_operations(&gradient.detach(), step)?;
            }
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

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    #[test]
    fn both_ways_of_a_step_agree() -> Result<()> {
        let var = || Var::new(&[[0.5_f32, -1.0], [2.0, 0.0]], &Device::Cpu);
        let of = |var: &Var| -> Result<Moments> {
            let zeros = || var.as_tensor().detach().zeros_like();
            Ok(Moments { var: var.clone(), first: zeros()?, second: zeros()?, shrinks: true })
        };
        let (a, b) = (var()?, var()?);
        let (here, mut there) = (of(&a)?, of(&b)?);
        for i in 1..6 {
            let gradient = Tensor::new(&[[0.1_f32, 2.0], [-3.0, 0.2 * i as f32]], &Device::Cpu)?.t()?;
            let (b1, b2) = (0.9_f64, 0.99_f64);
            let step = Step {
                b1,
                b2,
                scale: 0.7,
                first: 1.0 - b1.powi(i),
                second: 1.0 - b2.powi(i),
                rate: 0.1,
                decay: 0.01,
            };
            here.step(&gradient, step)?;
            there.step_by_operations(&gradient, step)?;
        }
        let apart = (a.as_tensor() - b.as_tensor())?.abs()?.max_all()?.to_scalar::<f32>()?;
        let moved = (a.as_tensor() - var()?.as_tensor())?.abs()?.min_all()?.to_scalar::<f32>()?;
        assert!(apart < 1e-5 && moved > 0.1, "{apart} {moved}");
        Ok(())
    }
}
