//! A secret tensor whose format is a type.

use std::fmt;

use super::Engine;
use crate::error::{Error, Result};
use crate::fixed::Fixed;
use crate::mpc::Share;
use crate::tensor::{Permute, Reshape, Shape, Slice};

/// A secret tensor under engine `E`: signed fixed-point numbers of format `T`, times a public power of two.
///
/// A number is `int * 2^(exponent - F)`. Formats are checked by the compiler; the exponent fits each checkpoint's
/// scales at run time (layer-wise dyadic quantization).
pub struct Tensor<E: Engine, T: Fixed> {
    pub(crate) repr: E::Repr<T::Ring>,
    pub(crate) exponent: i32,
}

impl<E: Engine, T: Fixed> Clone for Tensor<E, T> {
    fn clone(&self) -> Self {
        Self { repr: self.repr.clone(), exponent: self.exponent }
    }
}

impl<E: Engine, T: Fixed> fmt::Debug for Tensor<E, T> {
    // Format and shape only: the contents are secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor<Fx<{}, {}>>{}", T::K, T::F, self.shape())
    }
}

impl<E: Engine, T: Fixed> Tensor<E, T> {
    /// A tensor around what the engine holds; the exponent is 0.
    pub fn new(repr: E::Repr<T::Ring>) -> Self {
        Self::with_exponent(repr, 0)
    }

    /// A tensor whose numbers are scaled by 2^exponent.
    pub fn with_exponent(repr: E::Repr<T::Ring>, exponent: i32) -> Self {
        Self { repr, exponent }
    }

    /// What the engine holds.
    pub fn repr(&self) -> &E::Repr<T::Ring> {
        &self.repr
    }

    /// The public exponent.
    pub fn exponent(&self) -> i32 {
        self.exponent
    }

    /// The shape.
    pub fn shape(&self) -> &Shape {
        self.repr.shape()
    }

    fn map(&self, f: impl FnOnce(&E::Repr<T::Ring>) -> Result<E::Repr<T::Ring>>) -> Result<Self> {
        Ok(Self { repr: f(&self.repr)?, exponent: self.exponent })
    }

    /// The same elements under another shape. Local. PyTorch: `x.reshape(..)`.
    pub fn reshape(&self, dims: &[usize]) -> Result<Self> {
        self.map(|x| x.restructure(&Reshape(&Shape::new(dims))))
    }

    /// Axes in another order. Local. PyTorch: `x.permute(..)`.
    pub fn permute(&self, axes: &[usize]) -> Result<Self> {
        self.map(|x| x.restructure(&Permute(axes)))
    }

    /// Elements `start..end` along an axis. Local. PyTorch: `x.narrow(axis, start, end - start)`.
    pub fn slice(&self, axis: usize, start: usize, end: usize) -> Result<Self> {
        self.map(|x| x.restructure(&Slice { axis, start, end }))
    }

    /// [n, heads * d] to [heads, n, d]. Local.
    pub fn split_heads(&self, heads: usize) -> Result<Self> {
        match *self.shape().dims() {
            [n, width] if heads > 0 && width % heads == 0 => {
                self.reshape(&[n, heads, width / heads])?.permute(&[1, 0, 2])
            }
            _ => Err(Error::shape("split_heads", self.shape(), &Shape::new(&[heads]))),
        }
    }

    /// [heads, n, d] to [n, heads * d]. Local.
    pub fn merge_heads(&self) -> Result<Self> {
        match *self.shape().dims() {
            [heads, n, d] => self.permute(&[1, 0, 2])?.reshape(&[n, heads * d]),
            _ => Err(Error::shape("merge_heads", self.shape(), &Shape::new(&[0, 0, 0]))),
        }
    }
}
