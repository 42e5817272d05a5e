//! Where weights come from: one description of a model's tensors, read by the owner, the parties and the engines.

use super::{Engine, Tensor};
use crate::error::Result;
use crate::fixed::Fixed;
use crate::tensor::Shape;

/// Gives an engine its part of named weights: floats of a checkpoint, shares received from the owner, or shapes only.
pub trait WeightSource<E: Engine> {
    /// The matrix stored under `name` as [outputs, inputs] (PyTorch `nn.Linear`), times `scale`, ready to multiply from
    /// the right; and its public exponent.
    fn matrix<T: Fixed>(
        &self,
        name: &str,
        inputs: usize,
        outputs: usize,
        scale: f64,
    ) -> Result<(E::Weight<T::Ring>, i32)>;
    /// The tensor of this shape stored under `name`, times `scale`.
    fn tensor<T: Fixed>(&self, name: &str, shape: &Shape, scale: f64) -> Result<Tensor<E, T>>;
}

/// A place in a checkpoint's tree of names.
pub struct Scope<'a, S> {
    source: &'a S,
    prefix: String,
}

impl<'a, S> Scope<'a, S> {
    /// The root.
    pub fn new(source: &'a S) -> Self {
        Self { source, prefix: String::new() }
    }

    /// A place below this one.
    #[must_use]
    pub fn pp(&self, name: &str) -> Self {
        Self { source: self.source, prefix: self.name(name) }
    }

    /// The full name of a tensor at this place.
    pub fn name(&self, name: &str) -> String {
        match (self.prefix.is_empty(), name.is_empty()) {
            (true, _) => name.to_owned(),
            (_, true) => self.prefix.clone(),
            _ => format!("{}.{name}", self.prefix),
        }
    }

    /// Where the weights come from.
    pub fn source(&self) -> &'a S {
        self.source
    }
}

/// A struct of weights: `#[derive(Weights)]` writes this.
pub trait Weights<E: Engine>: Sized {
    /// What the shapes depend on.
    type Config;
    /// Reads the weights at `scope`.
    fn load<S: WeightSource<E>>(scope: &Scope<'_, S>, config: &Self::Config) -> Result<Self>;
}

/// A bare parameter, stored under the scope's own name: a class token, learned positions, a gain.
impl<E: Engine, T: Fixed> Weights<E> for Tensor<E, T> {
    /// The shape.
    type Config = Shape;
    fn load<S: WeightSource<E>>(scope: &Scope<'_, S>, shape: &Shape) -> Result<Self> {
        scope.source().tensor(&scope.name(""), shape, 1.0)
    }
}
