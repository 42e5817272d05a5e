//! Secret choices: comparisons, and what is made of them.

use std::fmt;

use super::ops::{effective, same_exponent};
use super::{Engine, Tensor, Unscaled};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::fixed::Fixed;
use crate::mpc::Share;
use crate::tensor::Shape;

/// Secret bits, one for each element of a tensor: what [`greater`] gives and [`select`] takes.
pub struct Bits<E: Engine> {
    repr: E::Bits,
}

impl<E: Engine> Clone for Bits<E> {
    fn clone(&self) -> Self {
        Self { repr: self.repr.clone() }
    }
}

impl<E: Engine> fmt::Debug for Bits<E> {
    // The shape only: the contents are secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bits{}", self.shape())
    }
}

impl<E: Engine> Bits<E> {
    /// The shape.
    pub fn shape(&self) -> &Shape {
        self.repr.shape()
    }
}

/// `x > y`, with broadcasting. PyTorch: `x > y`.
///
/// # Cost
/// 2 hops in rings of 8 and 16 bits, 3 in larger ones; larger rings deal more: DownCast first where precision allows.
pub fn greater<E: Engine, T: Fixed>(ctx: &Ctx<'_, E>, x: &Tensor<E, T>, y: &Tensor<E, T>) -> Result<Bits<E>> {
    same_exponent("compare", x.exponent, y.exponent)?;
    Ok(Bits { repr: E::greater(ctx, &x.repr, &y.repr)? })
}

/// `x` where the bit is set, `y` where it is not, with broadcasting. One hop. PyTorch: `torch.where(bits, x, y)`.
pub fn select<E: Engine, T: Fixed>(
    ctx: &Ctx<'_, E>,
    bits: &Bits<E>,
    x: &Tensor<E, T>,
    y: &Tensor<E, T>,
) -> Result<Tensor<E, T>> {
    let exponent = same_exponent("select", x.exponent, y.exponent)?;
    Ok(Tensor::with_exponent(E::select(ctx, &bits.repr, &x.repr, &y.repr)?, exponent))
}

/// The larger of two tensors, element by element, with broadcasting. PyTorch: `torch.maximum(x, y)`.
pub fn maximum<E: Engine, T: Fixed>(
    ctx: &Ctx<'_, E>,
    x: &Tensor<E, T>,
    y: &Tensor<E, T>,
) -> Result<Tensor<E, T>> {
    let bits = greater(&ctx.step("greater")?, x, y)?;
    select(&ctx.step("select")?, &bits, x, y)
}

/// `max(x, 0)` of a product or a tensor. PyTorch: `torch.relu(x)`.
///
/// # Error
/// Less than 1 ulp, unbiased.
/// # Cost
/// 3 hops, and those of msb in the ring that is left when a product is rescaled: 4 for a product in 32 bits that drops
/// 10.
pub fn relu<E: Engine, X: Unscaled<E>, T: Fixed>(ctx: &Ctx<'_, E>, x: &X) -> Result<Tensor<E, T>> {
    let fraction = effective("relu", X::FRACTION, x.exponent())?;
    let Some(drop) = fraction.checked_sub(T::F) else {
        return Err(Error::Exponent { op: "relu", lhs: x.exponent(), rhs: 0 });
    };
    Ok(Tensor::new(E::relu::<X::Ring, T::Ring>(ctx, &x.sum(ctx)?, drop)?))
}

/// The maximum along the last axis, whose extent becomes 1. PyTorch: `x.amax(-1, keepdim=True)`.
///
/// # Cost
/// At most ceil(log2 n) levels of one hop more than [`greater`]; half as many where the network is slow.
pub fn max_last<E: Engine, T: Fixed>(ctx: &Ctx<'_, E>, x: &Tensor<E, T>) -> Result<Tensor<E, T>> {
    if x.shape().rank() == 0 || x.shape().last() == 0 {
        return Err(Error::shape("maximum over the last axis", x.shape(), &Shape::new(&[1])));
    }
    Ok(Tensor::with_exponent(E::max_last(ctx, &x.repr)?, x.exponent))
}

/// The index of the largest element along the last axis, whose extent becomes 1; of a product or a tensor. PyTorch:
/// `x.argmax(-1, keepdim=True)`.
///
/// # Error
/// Numbers are rounded to multiples of 2^-10 before they are compared, so the index is that of an element within 2^-9 of
/// the largest.
/// # Cost
/// Levels as [`max_last`], in the ring that rounding leaves.
pub fn argmax<E: Engine, X: Unscaled<E>, T: Fixed>(ctx: &Ctx<'_, E>, x: &X) -> Result<Tensor<E, T>> {
    let fraction = effective("argmax", X::FRACTION, x.exponent())?;
    let drop = fraction.saturating_sub(ARGMAX_FRACTION);
    Ok(Tensor::new(E::argmax::<X::Ring, T::Ring>(ctx, &x.sum(ctx)?, drop, T::F)?))
}

/// Fractional bits of numbers that [`argmax`] compares.
const ARGMAX_FRACTION: u32 = 10;

/// The maximum over the first axis of [n, d], as [1, d]: max-pooling of tokens. PyTorch: `x.amax(0, keepdim=True)`.
///
/// # Cost
/// That of [`max_last`] with as many levels as n asks for.
pub fn max_rows<E: Engine, T: Fixed>(ctx: &Ctx<'_, E>, x: &Tensor<E, T>) -> Result<Tensor<E, T>> {
    if x.shape().rank() != 2 {
        return Err(Error::shape("maximum over rows", x.shape(), &Shape::new(&[0, 0])));
    }
    let columns = x.permute(&[1, 0])?;
    max_last(ctx, &columns)?.permute(&[1, 0])
}
