//! Weights of the common layers.

use super::{Engine, Scope, Tensor, WeightSource, Weights};
use crate::error::Result;
use crate::fixed::Fixed;
use crate::tensor::Shape;

/// Weights of `x W + b`: the matrix in format `W`, the bias, if there is one, in format `B`.
pub struct Linear<E: Engine, W: Fixed, B: Fixed> {
    pub(crate) weight: E::Weight<W::Ring>,
    pub(crate) exponent: i32,
    pub(crate) bias: Option<Tensor<E, B>>,
}

/// Shape of a linear layer, and a public factor folded into its weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinearShape {
    /// Width of the input.
    pub inputs: usize,
    /// Width of the output.
    pub outputs: usize,
    /// Factor of weight and bias (1 / sqrt(d) of attention, for example).
    pub scale: f64,
    /// Whether there is a bias.
    pub bias: bool,
}

impl LinearShape {
    /// Without a factor, with a bias.
    pub fn new(inputs: usize, outputs: usize) -> Self {
        Self { inputs, outputs, scale: 1.0, bias: true }
    }

    /// With the factor `scale`.
    #[must_use]
    pub fn scaled(self, scale: f64) -> Self {
        Self { scale, ..self }
    }

    /// Without a bias.
    #[must_use]
    pub fn without_bias(self) -> Self {
        Self { bias: false, ..self }
    }
}

impl<E: Engine, W: Fixed, B: Fixed> Weights<E> for Linear<E, W, B> {
    type Config = LinearShape;
    fn load<S: WeightSource<E>>(scope: &Scope<'_, S>, shape: &LinearShape) -> Result<Self> {
        let source = scope.source();
        let (weight, exponent) =
            source.matrix::<W>(&scope.name("weight"), shape.inputs, shape.outputs, shape.scale)?;
        let bias = || source.tensor::<B>(&scope.name("bias"), &Shape::new(&[shape.outputs]), shape.scale);
        let bias = if shape.bias { Some(bias()?) } else { None };
        Ok(Self { weight, exponent, bias })
    }
}

/// Weights of a layer normalisation: gain in format `G`, bias in format `B`.
pub struct LayerNorm<E: Engine, G: Fixed, B: Fixed> {
    pub(crate) gain: Tensor<E, G>,
    pub(crate) bias: Tensor<E, B>,
    pub(crate) epsilon: f64,
}

impl<E: Engine, G: Fixed, B: Fixed> Weights<E> for LayerNorm<E, G, B> {
    /// Width and epsilon.
    type Config = (usize, f64);
    fn load<S: WeightSource<E>>(scope: &Scope<'_, S>, &(width, epsilon): &(usize, f64)) -> Result<Self> {
        let source = scope.source();
        let row = Shape::new(&[width]);
        let gain = source.tensor::<G>(&scope.name("weight"), &row, 1.0)?;
        let bias = source.tensor::<B>(&scope.name("bias"), &row, 1.0)?;
        Ok(Self { gain, bias, epsilon })
    }
}
