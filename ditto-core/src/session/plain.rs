//! Readings of a model without parties.

use std::sync::Arc;

use super::SecureModel;
use crate::ctx::Ctx;
use crate::engine::{Clear, Simulate, Simulated, SimulatedWeight};
use crate::error::{Error, Result};
use crate::fixed::{Encoder, Fixed, decode};
use crate::nn::{Tensor, WeightSource};
use crate::observe::Observation;
use crate::primitives::RingWord;
use crate::public_math::power_of_two;
use crate::settings::Settings;
use crate::tensor::{Array, Elem, Permute, Shape, Structure};

/// Where float weights come from: a checkpoint.
pub trait Floats: Sync {
    /// The tensor `name`, which must have this shape, row-major.
    fn floats(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>>;

    /// The matrix that [`Self::floats`] gives as [outputs, inputs], as [inputs, outputs] if it is stored so; `None` if not.
    fn transposed(&self, name: &str, inputs: usize, outputs: usize) -> Result<Option<Vec<f32>>> {
        let _ = (name, inputs, outputs);
        Ok(None)
    }
}

/// A matrix as it is multiplied from the right, scaled.
pub(super) fn matrix(
    floats: &dyn Floats,
    name: &str,
    inputs: usize,
    outputs: usize,
    scale: f64,
) -> Result<Array<f32>> {
    let matrix = match floats.transposed(name, inputs, outputs)? {
        Some(matrix) => Array::new([inputs, outputs], matrix)?,
        None => {
            let stored = Array::new([outputs, inputs], floats.floats(name, &[outputs, inputs])?)?;
            Permute(&[1, 0]).apply_to(&stored)?
        }
    };
    Ok(scaled(matrix, scale))
}

/// A tensor as it is stored, scaled.
pub(super) fn tensor(floats: &dyn Floats, name: &str, shape: &Shape, scale: f64) -> Result<Array<f32>> {
    Ok(scaled(Array::new(shape.clone(), floats.floats(name, shape.dims())?)?, scale))
}

fn scaled(x: Array<f32>, scale: f64) -> Array<f32> {
    if scale == 1.0 { x } else { x.map(|v| (f64::from(v) * scale) as f32) }
}

/// Rounds to a format; a value that does not fit is named.
fn quantize(name: &str, x: &Array<f32>, width: u32, fraction: i32) -> Result<Array<i64>> {
    quantized(name, x, width, fraction, |int| int)
}

/// Rounds to a format, as ring words.
pub(super) fn words<W: RingWord>(name: &str, x: &Array<f32>, width: u32, fraction: i32) -> Result<Array<W>> {
    quantized(name, x, width, fraction, |int| W::from_i64(int).low(width))
}

fn quantized<T: Elem>(
    name: &str,
    x: &Array<f32>,
    width: u32,
    fraction: i32,
    each: impl Fn(i64) -> T + Sync,
) -> Result<Array<T>> {
    let encoder = Encoder::scaled(fraction, width);
    // Numbers that do not fit are rare: look for one only if there is one.
    if let Some(&bad) = x.data().iter().find(|&&v| encoder.encode(f64::from(v)).is_none()) {
        return Err(Error::Encode { name: name.to_owned(), value: f64::from(bad), bits: width, fraction });
    }
    Ok(x.map(|v| each(encoder.encode(f64::from(v)).unwrap_or_default())))
}

struct ClearWeights<'a>(&'a dyn Floats);

impl WeightSource<Clear> for ClearWeights<'_> {
    fn matrix<T: Fixed>(
        &self,
        name: &str,
        inputs: usize,
        outputs: usize,
        scale: f64,
    ) -> Result<(Arc<ndarray::Array2<f32>>, i32)> {
        let m = matrix(self.0, name, inputs, outputs, scale)?;
        let m = ndarray::Array2::from_shape_vec((inputs, outputs), m.into_vec())
            .map_err(|_| Error::Internal("matrix view"))?;
        Ok((Arc::new(m), 0))
    }
    fn tensor<T: Fixed>(&self, name: &str, shape: &Shape, scale: f64) -> Result<Tensor<Clear, T>> {
        Ok(Tensor::new(tensor(self.0, name, shape, scale)?))
    }
}

struct SimulatedWeights<'a>(&'a dyn Floats, Arc<Settings>);

impl SimulatedWeights<'_> {
    /// Integers of format `T` and their exponent.
    fn integers<T: Fixed>(&self, name: &str, x: &Array<f32>) -> Result<(Array<i64>, i32)> {
        let exponent = self.1.quantization.weight(name);
        Ok((quantize(name, x, T::K, T::F as i32 - exponent)?, exponent))
    }
}

impl WeightSource<Simulate> for SimulatedWeights<'_> {
    fn matrix<T: Fixed>(
        &self,
        name: &str,
        inputs: usize,
        outputs: usize,
        scale: f64,
    ) -> Result<(SimulatedWeight, i32)> {
        let (m, exponent) = self.integers::<T>(name, &matrix(self.0, name, inputs, outputs, scale)?)?;
        Ok((SimulatedWeight::new(&m)?.named(name), exponent))
    }
    fn tensor<T: Fixed>(&self, name: &str, shape: &Shape, scale: f64) -> Result<Tensor<Simulate, T>> {
        let (v, exponent) = self.integers::<T>(name, &tensor(self.0, name, shape, scale)?)?;
        Ok(Tensor::with_exponent(Simulated::new(v.map(i128::from), T::K).named(name), exponent))
    }
}

/// A loaded model read in f32: the reference.
pub struct ClearModel<'a, M: SecureModel> {
    model: &'a M,
    weights: M::Weights<Clear>,
}

impl<'a, M: SecureModel> ClearModel<'a, M> {
    /// Loads a model.
    pub fn new(model: &'a M, floats: &dyn Floats) -> Result<Self> {
        Ok(Self { model, weights: model.load::<Clear, _>(&ClearWeights(floats))? })
    }

    /// The output of the next request of a conversation.
    pub fn read(
        &self,
        state: &mut M::State<Clear>,
        request: &M::Request,
        x: Array<f32>,
    ) -> Result<Array<f32>> {
        let x = Tensor::new(x);
        Clear::run(|ctx| Ok(self.model.forward(ctx, &self.weights, state, &x, request)?.repr().clone()))
    }
}

/// A loaded model read in fixed point in one process, with range checks.
pub struct SimulatedModel<'a, M: SecureModel> {
    model: &'a M,
    settings: Arc<Settings>,
    weights: M::Weights<Simulate>,
}

impl<'a, M: SecureModel> SimulatedModel<'a, M> {
    /// Loads a model.
    pub fn new(model: &'a M, floats: &dyn Floats) -> Result<Self> {
        let settings = model.settings();
        let weights = model.load::<Simulate, _>(&SimulatedWeights(floats, settings.clone()))?;
        Ok(Self { model, settings, weights })
    }

    /// The output of the next request of a conversation; rounding is drawn from `coins`.
    pub fn read(
        &self,
        coins: [u8; 16],
        state: &mut M::State<Simulate>,
        request: &M::Request,
        x: &Array<f32>,
    ) -> Result<Array<f32>> {
        let x = simulated::<M>(x)?;
        let read = |ctx: &Ctx<'_, Simulate>| self.model.forward(ctx, &self.weights, state, &x, request);
        Ok(floats_of(&Simulate::run(self.settings.clone(), coins, read)?))
    }

    /// As [`Self::read`], but reads on where a range condition fails, and also returns what was seen of every condition.
    pub fn observe(
        &self,
        coins: [u8; 16],
        state: &mut M::State<Simulate>,
        request: &M::Request,
        x: &Array<f32>,
    ) -> Result<(Array<f32>, Vec<Observation>)> {
        let x = simulated::<M>(x)?;
        let read = |ctx: &Ctx<'_, Simulate>| self.model.forward(ctx, &self.weights, state, &x, request);
        let (y, seen) = Simulate::observe(self.settings.clone(), coins, read)?;
        Ok((floats_of(&y), seen))
    }
}

/// [`ClearModel`] as a function of a request, which begins a conversation, and its input.
// A type alias cannot name an opaque function.
#[allow(clippy::type_complexity)]
pub fn clear<'a, M: SecureModel>(
    model: &'a M,
    floats: &dyn Floats,
) -> Result<impl Fn(&M::Request, Array<f32>) -> Result<Array<f32>> + 'a> {
    let model = ClearModel::new(model, floats)?;
    Ok(move |request: &M::Request, x| model.read(&mut M::State::default(), request, x))
}

/// [`SimulatedModel`] as a function of coins, a request, which begins a conversation, and its input.
// A type alias cannot name an opaque function.
#[allow(clippy::type_complexity)]
pub fn simulate<'a, M: SecureModel>(
    model: &'a M,
    floats: &dyn Floats,
) -> Result<impl Fn([u8; 16], &M::Request, &Array<f32>) -> Result<Array<f32>> + 'a> {
    let model = SimulatedModel::new(model, floats)?;
    Ok(move |coins, request: &M::Request, x: &Array<f32>| {
        model.read(coins, &mut M::State::default(), request, x)
    })
}

fn simulated<M: SecureModel>(x: &Array<f32>) -> Result<Tensor<Simulate, M::Input>> {
    let x = quantize("the input", x, M::Input::K, M::Input::F as i32)?;
    Ok(Tensor::new(Simulated::new(x.map(i128::from), M::Input::K)))
}

fn floats_of<T: Fixed>(y: &Tensor<Simulate, T>) -> Array<f32> {
    let unit = power_of_two(y.exponent());
    y.repr().values().map(|v| (decode(v as i64, T::F) * unit) as f32)
}
