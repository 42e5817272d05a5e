//! Weights by name, for engines that hold no shares.

use std::collections::HashMap;
use std::sync::Arc;

use ditto_core::engine::{Clear, Simulate, Simulated, SimulatedWeight};
use ditto_core::fixed::Encoder;
use ditto_core::nn::{Scope, WeightSource, Weights};
use ditto_core::tensor::{Array, Shape};
use ditto_core::{Engine, Error, Fixed, Result, Tensor};

/// Named tensors; matrices that multiply from the right as [outputs, inputs].
#[derive(Debug, Default)]
pub struct Floats(HashMap<String, Vec<f64>>);

impl Floats {
    /// Names the numbers.
    pub fn insert(&mut self, name: &str, values: Vec<f64>) {
        self.0.insert(name.to_owned(), values);
    }

    fn get(&self, name: &str, len: usize, scale: f64) -> Result<Vec<f64>> {
        let wrong = |what: &str| Error::Weight { name: name.to_owned(), what: what.to_owned() };
        let values = self.0.get(name).ok_or_else(|| wrong("missing"))?;
        if values.len() != len {
            return Err(wrong("has another shape"));
        }
        Ok(values.iter().map(|v| v * scale).collect())
    }

    /// The matrix as [inputs, outputs].
    fn transposed(&self, name: &str, inputs: usize, outputs: usize, scale: f64) -> Result<Vec<f64>> {
        let w = self.get(name, inputs * outputs, scale)?;
        Ok((0..inputs * outputs).map(|i| w[(i % outputs) * inputs + i / outputs]).collect())
    }
}

fn integers<T: Fixed>(values: &[f64]) -> Result<Vec<i64>> {
    values
        .iter()
        .map(|&v| Encoder::new(T::F, T::K).encode(v).ok_or(Error::Unsupported("a number outside its format")))
        .collect()
}

impl WeightSource<Clear> for Floats {
    fn matrix<T: Fixed>(
        &self,
        name: &str,
        inputs: usize,
        outputs: usize,
        scale: f64,
    ) -> Result<(<Clear as Engine>::Weight<T::Ring>, i32)> {
        let values = self.transposed(name, inputs, outputs, scale)?;
        let matrix =
            ndarray::Array2::from_shape_fn((inputs, outputs), |(i, j)| values[i * outputs + j] as f32);
        Ok((Arc::new(matrix), 0))
    }
    fn tensor<T: Fixed>(&self, name: &str, shape: &Shape, scale: f64) -> Result<Tensor<Clear, T>> {
        Clear::secret(shape.dims(), &self.get(name, shape.len(), scale)?)
    }
}

impl WeightSource<Simulate> for Floats {
    fn matrix<T: Fixed>(
        &self,
        name: &str,
        inputs: usize,
        outputs: usize,
        scale: f64,
    ) -> Result<(<Simulate as Engine>::Weight<T::Ring>, i32)> {
        let values = integers::<T>(&self.transposed(name, inputs, outputs, scale)?)?;
        Ok((SimulatedWeight::new(&Array::new([inputs, outputs], values)?)?, 0))
    }
    fn tensor<T: Fixed>(&self, name: &str, shape: &Shape, scale: f64) -> Result<Tensor<Simulate, T>> {
        Simulate::secret(shape.dims(), &self.get(name, shape.len(), scale)?)
    }
}

/// Engines that tests can give numbers to, and read.
pub trait Plain: Engine + Sized {
    /// Numbers as a tensor.
    fn secret<T: Fixed>(dims: &[usize], values: &[f64]) -> Result<Tensor<Self, T>>;
    /// A tensor's numbers.
    fn reveal<T: Fixed>(x: &Tensor<Self, T>) -> Vec<f64>;
    /// Weights by name.
    fn load<W: Weights<Self>>(floats: &Floats, config: &W::Config) -> Result<W>;
}

impl Plain for Clear {
    fn secret<T: Fixed>(dims: &[usize], values: &[f64]) -> Result<Tensor<Self, T>> {
        Ok(Tensor::new(Array::new(Shape::new(dims), values.iter().map(|&v| v as f32).collect())?))
    }
    fn load<W: Weights<Self>>(floats: &Floats, config: &W::Config) -> Result<W> {
        W::load(&Scope::new(floats), config)
    }
    fn reveal<T: Fixed>(x: &Tensor<Self, T>) -> Vec<f64> {
        x.repr().data().iter().map(|&v| f64::from(v)).collect()
    }
}

impl Plain for Simulate {
    fn secret<T: Fixed>(dims: &[usize], values: &[f64]) -> Result<Tensor<Self, T>> {
        let integers = integers::<T>(values)?.into_iter().map(i128::from).collect();
        Ok(Tensor::new(Simulated::new(Array::new(Shape::new(dims), integers)?, T::K)))
    }
    fn load<W: Weights<Self>>(floats: &Floats, config: &W::Config) -> Result<W> {
        W::load(&Scope::new(floats), config)
    }
    fn reveal<T: Fixed>(x: &Tensor<Self, T>) -> Vec<f64> {
        let unit = f64::from(x.exponent() - T::F as i32).exp2();
        x.repr().values().data().iter().map(|&v| v as f64 * unit).collect()
    }
}
