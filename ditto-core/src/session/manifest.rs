use std::sync::{Arc, Mutex, PoisonError};

use crate::engine::Meter;
use crate::error::Result;
use crate::fixed::Fixed;
use crate::mpc::Dealt;
use crate::nn::{Tensor, WeightSource};
use crate::session::SecureModel;
use crate::settings::Settings;
use crate::tensor::Shape;

/// What a model does with a tensor that it loads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Multiplies from the right; the checkpoint has it transposed.
    Matrix,
    /// Takes part in arithmetic as it is.
    Parameter,
    /// Is looked up, row by row, for the input.
    Table,
}

/// One tensor that a model loads.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Name in the checkpoint.
    pub name: String,
    /// What it is for.
    pub r#use: Use,
    /// The shape in use: `[inputs, outputs]` of a matrix.
    pub shape: Shape,
    /// Ring width.
    pub width: u32,
    /// Fractional bits of the type.
    pub fraction: u32,
    /// Public exponent: numbers are multiples of 2^(exponent - fraction).
    pub exponent: i32,
    /// Public factor.
    pub scale: f64,
}

impl Entry {
    /// The shape in the checkpoint.
    pub fn stored_shape(&self) -> Vec<usize> {
        let mut dims = self.shape.dims().to_vec();
        if self.r#use == Use::Matrix {
            dims.reverse();
        }
        dims
    }
}

/// The tensors that a model loads, in the order in which it asks for them, and the tables of its input.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Manifest(pub Vec<Entry>);

impl Manifest {
    /// Of a model.
    pub fn of<M: SecureModel>(model: &M) -> Result<Self> {
        let recorder = Recorder::new(model.settings());
        model.load::<Meter, _>(&recorder)?;
        let mut entries = recorder.entries.into_inner().unwrap_or_else(PoisonError::into_inner);
        // Rows are summed to the input, which has the exponent 0.
        entries.extend(model.input().tables().iter().map(|table| Entry {
            name: table.name.clone(),
            r#use: Use::Table,
            shape: table.shape(),
            width: M::Input::K,
            fraction: M::Input::F,
            exponent: 0,
            scale: 1.0,
        }));
        Ok(Self(entries))
    }
}

/// Writes down what is asked for, and answers with shapes.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    settings: Arc<Settings>,
    entries: Mutex<Vec<Entry>>,
}

impl Recorder {
    pub(super) fn new(settings: Arc<Settings>) -> Self {
        Self { settings, entries: Mutex::default() }
    }

    /// Returns the exponent.
    fn record<T: Fixed>(&self, name: &str, r#use: Use, shape: &Shape, scale: f64) -> i32 {
        let exponent = self.settings.quantization.weight(name);
        let (name, shape) = (name.to_owned(), shape.clone());
        let entry = Entry { name, r#use, shape, width: T::K, fraction: T::F, exponent, scale };
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
        exponent
    }
}

impl WeightSource<Meter> for Recorder {
    fn matrix<T: Fixed>(
        &self,
        name: &str,
        inputs: usize,
        outputs: usize,
        scale: f64,
    ) -> Result<(Shape, i32)> {
        let shape = Shape::new(&[inputs, outputs]);
        let exponent = self.record::<T>(name, Use::Matrix, &shape, scale);
        Ok((shape, exponent))
    }

    fn tensor<T: Fixed>(&self, name: &str, shape: &Shape, scale: f64) -> Result<Tensor<Meter, T>> {
        let exponent = self.record::<T>(name, Use::Parameter, shape, scale);
        Ok(Tensor::with_exponent(Dealt::new(shape.clone(), T::K), exponent))
    }
}
