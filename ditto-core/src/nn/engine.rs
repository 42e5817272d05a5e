//! What a model asks of an engine.

use super::compose;
use crate::ctx::Ctx;
use crate::error::Result;
use crate::fixed::Ring;
use crate::mpc::{Bilinear, Share};
use crate::primitives::Primitives;
use crate::public_math::power_of_two;

/// Pointwise non-linear functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x Phi(x)`, within 2^-8.
    Gelu,
    /// `0.125 x^2 + 0.25 x + 0.5`, Ditto's replacement of GeLU; wants a model distilled for it.
    Quad,
    /// Hyperbolic tangent, within 2^-8.
    Tanh,
}

/// A reading of model code.
///
/// Every engine that implements [`Primitives`] is one, through the compositions of this module; an engine that does
/// not work on rings (a float reference, a trainer) implements the methods directly. Fractional bits and widths are
/// passed as numbers; [`Tensor`](super::Tensor) carries them as types.
pub trait Engine: Sized + Sync + 'static {
    /// A secret tensor in a ring.
    type Repr<R: Ring>: Share;
    /// Sums of products before rescaling.
    type Sum<R: Ring>: Share;
    /// A weight matrix.
    type Weight<R: Ring>: Clone + Send + Sync;
    /// Whether joined operations run on threads of their own: they wait for messages.
    const PARALLEL: bool = false;

    /// `x + y`.
    fn add<R: Ring>(x: &Self::Repr<R>, y: &Self::Repr<R>) -> Result<Self::Repr<R>>;
    /// `x - y`.
    fn sub<R: Ring>(x: &Self::Repr<R>, y: &Self::Repr<R>) -> Result<Self::Repr<R>>;
    /// `a + b` of sums at one scale.
    fn add_sums<R: Ring>(a: &Self::Sum<R>, b: &Self::Sum<R>) -> Result<Self::Sum<R>>;
    /// `2^up x` in the same ring, which must hold it.
    fn raise<R: Ring>(ctx: &Ctx<'_, Self>, x: &Self::Repr<R>, up: u32) -> Result<Self::Repr<R>>;
    /// `2^up a` of a sum.
    fn raise_sum<R: Ring>(a: &Self::Sum<R>, up: u32) -> Result<Self::Sum<R>>;
    /// `x` as a sum with `up` more fractional bits.
    fn as_sum<R: Ring>(ctx: &Ctx<'_, Self>, x: &Self::Repr<R>, up: u32) -> Result<Self::Sum<R>>;
    /// `x W`.
    fn linear<R: Ring>(ctx: &Ctx<'_, Self>, x: &Self::Repr<R>, w: &Self::Weight<R>) -> Result<Self::Sum<R>>;
    /// A product of two secret tensors.
    fn product<R: Ring>(
        ctx: &Ctx<'_, Self>,
        op: Bilinear,
        x: &Self::Repr<R>,
        y: &Self::Repr<R>,
    ) -> Result<Self::Sum<R>>;
    /// A sum divided by 2^drop, in the ring `T`.
    fn rescale<R: Ring, T: Ring>(ctx: &Ctx<'_, Self>, z: &Self::Sum<R>, drop: u32) -> Result<Self::Repr<T>>;
    /// `x / 2^drop` in a smaller ring.
    fn downcast<R: Ring, T: Ring>(ctx: &Ctx<'_, Self>, x: &Self::Repr<R>, drop: u32)
    -> Result<Self::Repr<T>>;
    /// `x 2^up` in a larger ring.
    fn upcast<R: Ring, T: Ring>(ctx: &Ctx<'_, Self>, x: &Self::Repr<R>, up: u32) -> Result<Self::Repr<T>>;
    /// `softmax(scores) values` for scores [.., q, n] and values [.., n, d].
    fn softmax_attend<R: Ring, V: Ring, T: Ring>(
        ctx: &Ctx<'_, Self>,
        scores: &Self::Sum<R>,
        scores_fraction: u32,
        values: &Self::Repr<V>,
        values_fraction: u32,
        out_fraction: u32,
    ) -> Result<Self::Repr<T>>;
    /// Rows of a sum less their mean, over their standard deviation.
    fn standardize<R: Ring, T: Ring>(
        ctx: &Ctx<'_, Self>,
        x: &Self::Sum<R>,
        fraction: u32,
        epsilon: f64,
        out_fraction: u32,
    ) -> Result<Self::Repr<T>>;
    /// A pointwise function of a sum.
    fn activation<R: Ring, T: Ring>(
        ctx: &Ctx<'_, Self>,
        function: Activation,
        x: &Self::Sum<R>,
        fraction: u32,
        out_fraction: u32,
    ) -> Result<Self::Repr<T>>;
    /// Mean over the first axis of [n, d].
    fn mean_rows<R: Ring, T: Ring>(
        ctx: &Ctx<'_, Self>,
        x: &Self::Repr<R>,
        fraction: u32,
        out_fraction: u32,
    ) -> Result<Self::Repr<T>>;
    /// Rows scaled to length 1.
    fn normalize<R: Ring, T: Ring>(
        ctx: &Ctx<'_, Self>,
        x: &Self::Repr<R>,
        fraction: u32,
        out_fraction: u32,
    ) -> Result<Self::Repr<T>>;
}

type Word<R> = <R as Ring>::Word;

impl<P: Primitives> Engine for P {
    type Repr<R: Ring> = P::Masked<Word<R>>;
    type Sum<R: Ring> = P::Additive<Word<R>>;
    type Weight<R: Ring> = P::Weight<Word<R>>;
    const PARALLEL: bool = P::TALKS;

    fn add<R: Ring>(x: &Self::Repr<R>, y: &Self::Repr<R>) -> Result<Self::Repr<R>> {
        <P as Primitives>::add(x, y)
    }
    fn sub<R: Ring>(x: &Self::Repr<R>, y: &Self::Repr<R>) -> Result<Self::Repr<R>> {
        <P as Primitives>::sub(x, y)
    }
    fn add_sums<R: Ring>(a: &Self::Sum<R>, b: &Self::Sum<R>) -> Result<Self::Sum<R>> {
        P::add_additive(a, b)
    }
    fn raise<R: Ring>(ctx: &Ctx<'_, Self>, x: &Self::Repr<R>, up: u32) -> Result<Self::Repr<R>> {
        let limit = power_of_two(R::K as i32 - 1 - up as i32);
        P::claim(ctx, "shift to a finer scale", x, 0, -limit, limit)?;
        P::mul_public(x, 1 << up)
    }
    fn raise_sum<R: Ring>(a: &Self::Sum<R>, up: u32) -> Result<Self::Sum<R>> {
        P::mul_public_additive(a, 1 << up)
    }
    fn as_sum<R: Ring>(ctx: &Ctx<'_, Self>, x: &Self::Repr<R>, up: u32) -> Result<Self::Sum<R>> {
        P::mul_public_additive(&P::additive(ctx, x)?, 1 << up)
    }
    fn linear<R: Ring>(ctx: &Ctx<'_, Self>, x: &Self::Repr<R>, w: &Self::Weight<R>) -> Result<Self::Sum<R>> {
        <P as Primitives>::linear(ctx, x, w)
    }
    fn product<R: Ring>(
        ctx: &Ctx<'_, Self>,
        op: Bilinear,
        x: &Self::Repr<R>,
        y: &Self::Repr<R>,
    ) -> Result<Self::Sum<R>> {
        <P as Primitives>::product(ctx, op, x, y)
    }
    fn rescale<R: Ring, T: Ring>(ctx: &Ctx<'_, Self>, z: &Self::Sum<R>, drop: u32) -> Result<Self::Repr<T>> {
        let x = compose::truncate(ctx, z, drop, T::K)?;
        claim_ring::<P, T>(ctx, "rescale", &x)?;
        Ok(x)
    }
    fn downcast<R: Ring, T: Ring>(
        ctx: &Ctx<'_, Self>,
        x: &Self::Repr<R>,
        drop: u32,
    ) -> Result<Self::Repr<T>> {
        let x = if drop == 0 { P::reduce(x, T::K)? } else { P::floor_shift(x, drop, T::K, true)? };
        claim_ring::<P, T>(ctx, "downcast", &x)?;
        Ok(x)
    }
    fn upcast<R: Ring, T: Ring>(ctx: &Ctx<'_, Self>, x: &Self::Repr<R>, up: u32) -> Result<Self::Repr<T>> {
        P::mul_public(&<P as Primitives>::upcast(ctx, x, T::K)?, 1 << up)
    }
    fn softmax_attend<R: Ring, V: Ring, T: Ring>(
        ctx: &Ctx<'_, Self>,
        scores: &Self::Sum<R>,
        scores_fraction: u32,
        values: &Self::Repr<V>,
        values_fraction: u32,
        out_fraction: u32,
    ) -> Result<Self::Repr<T>> {
        compose::softmax_attend::<P, _, _, _>(
            ctx,
            scores,
            scores_fraction,
            values,
            values_fraction,
            out_fraction,
            T::K,
        )
    }
    fn standardize<R: Ring, T: Ring>(
        ctx: &Ctx<'_, Self>,
        x: &Self::Sum<R>,
        fraction: u32,
        epsilon: f64,
        out_fraction: u32,
    ) -> Result<Self::Repr<T>> {
        compose::standardize::<P, _, _>(ctx, x, fraction, epsilon, out_fraction, T::K)
    }
    fn activation<R: Ring, T: Ring>(
        ctx: &Ctx<'_, Self>,
        function: Activation,
        x: &Self::Sum<R>,
        fraction: u32,
        out_fraction: u32,
    ) -> Result<Self::Repr<T>> {
        compose::activation::<P, _, _>(ctx, function, x, fraction, out_fraction, T::K)
    }
    fn mean_rows<R: Ring, T: Ring>(
        ctx: &Ctx<'_, Self>,
        x: &Self::Repr<R>,
        fraction: u32,
        out_fraction: u32,
    ) -> Result<Self::Repr<T>> {
        compose::mean_rows::<P, _, _>(ctx, x, fraction, out_fraction, T::K)
    }
    fn normalize<R: Ring, T: Ring>(
        ctx: &Ctx<'_, Self>,
        x: &Self::Repr<R>,
        fraction: u32,
        out_fraction: u32,
    ) -> Result<Self::Repr<T>> {
        compose::normalize::<P, _, _>(ctx, x, fraction, out_fraction, T::K)
    }
}

impl<E: Engine> Ctx<'_, E> {
    /// Runs two independent operations side by side; the hops of one hide behind the other's.
    pub fn join<A: Send, B: Send>(
        &self,
        a: (&str, impl FnOnce(&Ctx<'_, E>) -> Result<A> + Send),
        b: (&str, impl FnOnce(&Ctx<'_, E>) -> Result<B> + Send),
    ) -> Result<(A, B)> {
        self.join_with(E::PARALLEL, a, b)
    }
}

/// The integer must fit the ring that now holds it.
fn claim_ring<P: Primitives, T: Ring>(
    ctx: &Ctx<'_, P>,
    op: &'static str,
    x: &P::Masked<Word<T>>,
) -> Result<()> {
    let limit = power_of_two(T::K as i32 - 1);
    P::claim(ctx, op, x, 0, -limit, limit)
}
