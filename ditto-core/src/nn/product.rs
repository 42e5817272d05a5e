//! Products before rescaling, and how they become tensors.

use std::fmt;
use std::marker::PhantomData;

use super::{Engine, Tensor};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::fixed::Fixed;
use crate::mpc::Share;
use crate::tensor::Shape;

/// A sum of products of an `A` and a `B`, not yet rescaled: scale 2^(A::F + B::F) in their common ring.
///
/// Products add locally, so a whole sum costs one rescaling. A product can never be opened as it is.
#[must_use = "a product does nothing until it is rescaled or given to a function"]
pub struct Product<E: Engine, A: Fixed, B: Fixed<Ring = A::Ring>> {
    pub(crate) sum: E::Sum<A::Ring>,
    pub(crate) exponent: i32,
    pub(crate) scales: PhantomData<(A, B)>,
}

impl<E: Engine, A: Fixed, B: Fixed<Ring = A::Ring>> Clone for Product<E, A, B> {
    fn clone(&self) -> Self {
        Self { sum: self.sum.clone(), exponent: self.exponent, scales: PhantomData }
    }
}

impl<E: Engine, A: Fixed, B: Fixed<Ring = A::Ring>> fmt::Debug for Product<E, A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Product<Z<{}>, {} + {}>{}", A::K, A::F, B::F, self.shape())
    }
}

impl<E: Engine, A: Fixed, B: Fixed<Ring = A::Ring>> Product<E, A, B> {
    /// Fractional bits.
    pub const FRACTION: u32 = A::F + B::F;

    pub(crate) fn new(sum: E::Sum<A::Ring>, exponent: i32) -> Self {
        Self { sum, exponent, scales: PhantomData }
    }

    /// The shape.
    pub fn shape(&self) -> &Shape {
        self.sum.shape()
    }

    /// The sum of two products of the same formats, at the finer of their scales. Local.
    pub fn plus(&self, other: &Self) -> Result<Self> {
        let exponent = self.exponent.min(other.exponent);
        let (a, b) = (self.at(exponent)?, other.at(exponent)?);
        Ok(Self::new(E::add_sums(&a.sum, &b.sum)?, exponent))
    }

    /// The same number at a finer scale. A product has no range of its own: whatever takes it checks its integers.
    fn at(&self, exponent: i32) -> Result<Self> {
        let up = i64::from(self.exponent) - i64::from(exponent);
        let Some(up) = u32::try_from(up).ok().filter(|&up| up < A::K.min(63)) else {
            return Err(Error::Exponent { op: "add", lhs: self.exponent, rhs: exponent });
        };
        if up == 0 {
            return Ok(self.clone());
        }
        Ok(Self::new(E::raise_sum(&self.sum, up)?, exponent))
    }

    /// Adds a tensor of the same ring (a bias, a residual), at the product's scale, or at the tensor's if that is the
    /// finer one. Local.
    pub fn plus_tensor<T: Fixed<Ring = A::Ring>>(&self, ctx: &Ctx<'_, E>, x: &Tensor<E, T>) -> Result<Self> {
        const {
            assert!(
                T::F <= A::F + B::F,
                "the tensor's scale is finer than the product's; rescale the product first"
            )
        };
        // value = int 2^(exponent - F): align the tensor's ulp with the product's.
        let finer = i64::from(A::F + B::F) - i64::from(T::F) + i64::from(x.exponent);
        let up = finer - i64::from(self.exponent);
        if up < 0 {
            let Ok(exponent) = i32::try_from(finer) else {
                return Err(Error::Exponent { op: "add", lhs: self.exponent, rhs: x.exponent });
            };
            return self.at(exponent)?.plus_tensor(ctx, x);
        }
        // A shift by the whole ring would leave nothing of the tensor.
        let Some(up) = u32::try_from(up).ok().filter(|&up| up < A::K.min(63)) else {
            return Err(Error::Exponent { op: "add", lhs: self.exponent, rhs: x.exponent });
        };
        let x = E::as_sum(ctx, &x.repr, up)?;
        Ok(Self::new(E::add_sums(&self.sum, &x)?, self.exponent))
    }
}

/// What may enter a function that starts with a rescaling or an opening: a product, or a tensor.
pub trait Unscaled<E: Engine> {
    /// The ring.
    type Ring: crate::fixed::Ring;
    /// Fractional bits of [`Self::sum`].
    const FRACTION: u32;
    /// The public exponent.
    fn exponent(&self) -> i32;
    /// The shape.
    fn shape(&self) -> &Shape;
    /// The numbers as a sum. Local.
    fn sum(&self, ctx: &Ctx<'_, E>) -> Result<E::Sum<Self::Ring>>;
    /// The numbers as they are, if they are no sum: what starts from a masked value saves opening it.
    fn masked(&self) -> Option<&E::Repr<Self::Ring>>;
}

impl<E: Engine, A: Fixed, B: Fixed<Ring = A::Ring>> Unscaled<E> for Product<E, A, B> {
    type Ring = A::Ring;
    const FRACTION: u32 = A::F + B::F;
    fn exponent(&self) -> i32 {
        self.exponent
    }
    fn shape(&self) -> &Shape {
        self.sum.shape()
    }
    fn sum(&self, _: &Ctx<'_, E>) -> Result<E::Sum<A::Ring>> {
        Ok(self.sum.clone())
    }
    fn masked(&self) -> Option<&E::Repr<A::Ring>> {
        None
    }
}

impl<E: Engine, T: Fixed> Unscaled<E> for Tensor<E, T> {
    type Ring = T::Ring;
    const FRACTION: u32 = T::F;
    fn exponent(&self) -> i32 {
        self.exponent
    }
    fn shape(&self) -> &Shape {
        self.repr.shape()
    }
    fn sum(&self, ctx: &Ctx<'_, E>) -> Result<E::Sum<T::Ring>> {
        E::as_sum(ctx, &self.repr, 0)
    }
    fn masked(&self) -> Option<&E::Repr<T::Ring>> {
        Some(&self.repr)
    }
}

/// The conversion that `#[secure_model]` inserts where a format is written down: a product is rescaled, whatever already
/// has the type is left alone.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot become `{Target}`",
    label = "this has another format than the one written down",
    note = "a product becomes a tensor of any format by rescaling; a tensor changes format only by `upcast` or `downcast`"
)]
pub trait Rescale<E: Engine, Target> {
    /// The value in the target format. Narrows `ctx` by `name` only if there is something to do.
    ///
    /// # Error
    /// Less than 1 ulp of the target, unbiased. Never a wrap while the product stays below 2^(K-2) - 2^shift in
    /// magnitude (as an integer).
    /// # Cost
    /// A product: 2 hops; 2 K2 bits online; 2 (K2 - K + shift) bits offline; if K2 <= K - shift, 1 hop and nothing
    /// offline. Anything else: nothing.
    fn rescale(self, ctx: &Ctx<'_, E>, name: &str) -> Result<Target>;
}

impl<E: Engine, T> Rescale<E, T> for T {
    fn rescale(self, _: &Ctx<'_, E>, _: &str) -> Result<T> {
        Ok(self)
    }
}

impl<E: Engine, A: Fixed, B: Fixed<Ring = A::Ring>, T: Fixed> Rescale<E, Tensor<E, T>> for Product<E, A, B> {
    fn rescale(self, ctx: &Ctx<'_, E>, name: &str) -> Result<Tensor<E, T>> {
        const { assert!(T::F <= A::F + B::F, "rescaling cannot add fractional bits") };
        let ctx = ctx.step(name)?;
        let exponent = ctx.scale().exponent;
        let drop = i64::from(A::F + B::F) - i64::from(T::F) - i64::from(self.exponent) + i64::from(exponent);
        let Ok(drop) = u32::try_from(drop) else {
            return Err(Error::Exponent { op: "rescale", lhs: self.exponent, rhs: exponent });
        };
        Ok(Tensor::with_exponent(E::rescale::<A::Ring, T::Ring>(&ctx, &self.sum, drop)?, exponent))
    }
}
