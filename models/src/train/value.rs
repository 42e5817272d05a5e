//! What the trainer holds of a secret tensor.

use candle_core::Tensor;
use ditto_core::error::{Error, Result};
use ditto_core::mpc::Share;
use ditto_core::tensor::{Movement, Shape, Structure};

/// Numbers of a batch of texts of one length, in floats, with their gradients' graph.
///
/// The model's code sees one text: [`Self::shape`] is that of one, and the batch is an axis before it. So one reading of the
/// code trains on many texts, and every product is as large as the batch.
#[derive(Clone, Debug)]
pub struct Value {
    /// [batch, ..shape], or [1, ..shape] of what all texts share. Scores of causal attention are squares,
    /// [batch, .., queries, keys], in place of the rows that the shape has.
    pub(super) tensor: Tensor,
    pub(super) shape: Shape,
    /// Fractional bits: the numbers are served in units of 2^-fraction.
    pub(super) fraction: i32,
    /// Width of the ring in bits.
    pub(super) width: u32,
}

/// A weight matrix [inputs, outputs].
#[derive(Clone, Debug)]
pub struct Matrix {
    pub(super) tensor: Tensor,
    pub(super) fraction: i32,
}

/// An error of the tensor library in an operation.
pub(super) fn failed(op: &'static str) -> impl Fn(candle_core::Error) -> Error {
    move |error| Error::Tensors { op, what: error.to_string() }
}

impl Value {
    /// A value whose shape is that of `tensor` without its first axis.
    pub(super) fn new(tensor: Tensor, fraction: i32, width: u32) -> Self {
        let shape = Shape::new(tensor.dims().get(1..).unwrap_or_default());
        Self { tensor, shape, fraction, width }
    }

    /// The same format around other numbers.
    pub(super) fn with(&self, tensor: Tensor) -> Self {
        Self::new(tensor, self.fraction, self.width)
    }

    /// The numbers, [batch, ..shape].
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// The numbers with axes of extent 1 between the batch and the shape, so that the shape has `rank` axes.
    pub(super) fn of_rank(&self, rank: usize) -> Result<Tensor> {
        let missing = rank.saturating_sub(self.shape.rank());
        (0..missing).try_fold(self.tensor.clone(), |t, _| t.unsqueeze(1)).map_err(failed("broadcast"))
    }

    fn moved(&self, by: Movement<'_>) -> candle_core::Result<Tensor> {
        let t = &self.tensor;
        match by {
            Movement::Reshape(shape) => {
                let mut dims = vec![t.dim(0)?];
                dims.extend(shape.dims());
                t.reshape(dims)
            }
            Movement::Permute(axes) => {
                let axes: Vec<usize> = std::iter::once(0).chain(axes.iter().map(|axis| axis + 1)).collect();
                t.permute(axes)
            }
            Movement::Slice { axis, start, end } => t.narrow(axis + 1, start, end.saturating_sub(start)),
        }
    }
}

impl Share for Value {
    fn shape(&self) -> &Shape {
        &self.shape
    }
    fn width(&self) -> u32 {
        self.width
    }
    fn restructure(&self, by: &impl Structure) -> Result<Self> {
        let by = by.movement().ok_or(Error::Unsupported("this change of shape in training"))?;
        self.moved(by).map(|t| self.with(t)).map_err(failed("a change of shape"))
    }
    fn concat(parts: &[&Self], axis: usize) -> Result<Self> {
        let first = parts.first().ok_or(Error::Unsupported("joining no tensors"))?;
        let all: Vec<_> = parts.iter().map(|part| &part.tensor).collect();
        Tensor::cat(&all, axis + 1).map(|t| first.with(t)).map_err(failed("concat"))
    }
}
