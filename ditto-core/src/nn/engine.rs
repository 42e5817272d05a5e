//! What a model asks of an engine.

use super::{Pointwise, compose};
use crate::ctx::{Ctx, side_by_side};
use crate::error::Result;
use crate::fixed::Ring;
use crate::mpc::{Bilinear, Share};
use crate::primitives::Primitives;
use crate::public_math::power_of_two;
use crate::tensor::Rows;

/// Functions that models use between linear layers.
///
/// All but Quad and PUMA's GeLU are ready-made [`Pointwise`] functions for |x| <= 120, within 2^-8, or within two units of the
/// result's last place where that is more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x Phi(x)`.
    Gelu,
    /// GeLU's approximation `x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))`, which GPT-2 has.
    GeluTanh,
    /// `0.125 x^2 + 0.25 x + 0.5`, Ditto's replacement of GeLU; wants a model distilled for it.
    Quad,
    /// Hyperbolic tangent.
    Tanh,
    /// `x / (1 + e^-x)`.
    Silu,
    /// `1 / (1 + e^-x)`.
    Sigmoid,
    /// GeLU as PUMA has it: polynomials of degree 3 and 6 between -4 and 3, 0 below and x above; within 0.02 of GeLU.
    PumaGelu,
}

/// How scores become weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Softmax {
    /// `e^x / sum e^x`, in whatever rings are cheapest.
    Exact,
    /// The same for scores that differ by less than 2^n within a row, unless calibration says otherwise: [`Self::Exact`] has
    /// n = 8, and up to 7 it takes fewer hops.
    ExactWithin(u32),
    /// [`Self::Exact`] with terms more than 14 below the row's maximum left out, as PUMA and Ditto have it; scores, values and
    /// result are in one ring, and so is the maximum.
    Clipped,
    /// `(x + 5)^2 / sum (x + 5)^2`, MPCFormer's replacement, in one ring; wants a model distilled for it.
    TwoQuad,
}

impl Softmax {
    /// How far below the row's maximum [`Self::Clipped`] cuts terms off.
    pub const CLIP: u32 = 14;
    /// What [`Self::TwoQuad`] adds to a score.
    pub const SHIFT: u32 = 5;
}

/// Gains and biases of a layer normalisation, each with its fractional bits.
#[derive(Clone, Copy, Debug)]
pub struct NormOf<'a, S> {
    /// What normalised rows are multiplied with.
    pub gain: &'a S,
    /// Fractional bits of the gains.
    pub gain_fraction: u32,
    /// What is added after that.
    pub bias: &'a S,
    /// Fractional bits of the biases.
    pub bias_fraction: u32,
    /// What is added to a variance.
    pub epsilon: f64,
}

impl<'a, S> NormOf<'a, S> {
    fn shares(self) -> compose::Norm<'a, S> {
        compose::Norm {
            gain: compose::Fractional { share: self.gain, fraction: self.gain_fraction },
            bias: compose::Fractional { share: self.bias, fraction: self.bias_fraction },
            epsilon: self.epsilon,
        }
    }
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
    /// Secret bits that choose between numbers.
    type Bits: Share;
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
    /// `softmax(scores) values` for scores [.., q, n], or rows of their own lengths [.., extent], and values [.., n, d].
    // Scores and values each come with their fraction.
    #[allow(clippy::too_many_arguments)]
    fn softmax_attend<R: Ring, V: Ring, T: Ring>(
        ctx: &Ctx<'_, Self>,
        kind: Softmax,
        rows: &Rows,
        scores: &Self::Sum<R>,
        scores_fraction: u32,
        values: &Self::Repr<V>,
        values_fraction: u32,
        out_fraction: u32,
    ) -> Result<Self::Repr<T>>;
    /// Rows of a sum less their mean, over their standard deviation, times gains, plus biases.
    fn layer_norm<R: Ring, G: Ring, T: Ring>(
        ctx: &Ctx<'_, Self>,
        x: &Self::Sum<R>,
        fraction: u32,
        norm: NormOf<'_, Self::Repr<G>>,
        out_fraction: u32,
    ) -> Result<Self::Repr<T>>;
    /// [`Self::layer_norm`] of rows that are no sum.
    fn layer_norm_tensor<R: Ring, G: Ring, T: Ring>(
        ctx: &Ctx<'_, Self>,
        x: &Self::Repr<R>,
        fraction: u32,
        norm: NormOf<'_, Self::Repr<G>>,
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
    /// `x > y`.
    fn greater<R: Ring>(ctx: &Ctx<'_, Self>, x: &Self::Repr<R>, y: &Self::Repr<R>) -> Result<Self::Bits>;
    /// `x` where the bit is set, `y` where it is not.
    fn select<R: Ring>(
        ctx: &Ctx<'_, Self>,
        bits: &Self::Bits,
        x: &Self::Repr<R>,
        y: &Self::Repr<R>,
    ) -> Result<Self::Repr<R>>;
    /// `max(x, 0)` of a sum divided by 2^drop, in the ring `T`.
    fn relu<R: Ring, T: Ring>(ctx: &Ctx<'_, Self>, x: &Self::Sum<R>, drop: u32) -> Result<Self::Repr<T>>;
    /// The maximum along the last axis, whose extent becomes 1.
    fn max_last<R: Ring>(ctx: &Ctx<'_, Self>, x: &Self::Repr<R>) -> Result<Self::Repr<R>>;
    /// The index of the largest element along the last axis, whose extent becomes 1, at `out_fraction`; elements are
    /// compared without their lowest `drop` bits.
    fn argmax<R: Ring, T: Ring>(
        ctx: &Ctx<'_, Self>,
        x: &Self::Sum<R>,
        drop: u32,
        out_fraction: u32,
    ) -> Result<Self::Repr<T>>;
    /// An author's pointwise function of a sum.
    fn pointwise<R: Ring, T: Ring>(
        ctx: &Ctx<'_, Self>,
        function: &Pointwise,
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
    type Bits = P::OpenedBits<u8>;
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
        kind: Softmax,
        rows: &Rows,
        scores: &Self::Sum<R>,
        scores_fraction: u32,
        values: &Self::Repr<V>,
        values_fraction: u32,
        out_fraction: u32,
    ) -> Result<Self::Repr<T>> {
        let scores = compose::Fractional { share: scores, fraction: scores_fraction };
        let values = compose::Fractional { share: values, fraction: values_fraction };
        let out = compose::Format { fraction: out_fraction, width: T::K };
        compose::softmax_attend::<P, _, _, _>(ctx, kind, rows, scores, values, out)
    }
    fn layer_norm<R: Ring, G: Ring, T: Ring>(
        ctx: &Ctx<'_, Self>,
        x: &Self::Sum<R>,
        fraction: u32,
        norm: NormOf<'_, Self::Repr<G>>,
        out_fraction: u32,
    ) -> Result<Self::Repr<T>> {
        let out = compose::Format { fraction: out_fraction, width: T::K };
        compose::layer_norm::<P, _, _, _>(ctx, compose::Fractional { share: x, fraction }, norm.shares(), out)
    }
    fn layer_norm_tensor<R: Ring, G: Ring, T: Ring>(
        ctx: &Ctx<'_, Self>,
        x: &Self::Repr<R>,
        fraction: u32,
        norm: NormOf<'_, Self::Repr<G>>,
        out_fraction: u32,
    ) -> Result<Self::Repr<T>> {
        let out = compose::Format { fraction: out_fraction, width: T::K };
        let x = compose::Fractional { share: x, fraction };
        compose::layer_norm_tensor::<P, _, _, _>(ctx, x, norm.shares(), out)
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
    fn greater<R: Ring>(ctx: &Ctx<'_, Self>, x: &Self::Repr<R>, y: &Self::Repr<R>) -> Result<Self::Bits> {
        compose::greater::<P, _>(ctx, x, y)
    }
    fn select<R: Ring>(
        ctx: &Ctx<'_, Self>,
        bits: &Self::Bits,
        x: &Self::Repr<R>,
        y: &Self::Repr<R>,
    ) -> Result<Self::Repr<R>> {
        compose::select::<P, _>(ctx, bits, x, y)
    }
    fn relu<R: Ring, T: Ring>(ctx: &Ctx<'_, Self>, x: &Self::Sum<R>, drop: u32) -> Result<Self::Repr<T>> {
        compose::relu::<P, _, _>(ctx, x, drop, T::K)
    }
    fn max_last<R: Ring>(ctx: &Ctx<'_, Self>, x: &Self::Repr<R>) -> Result<Self::Repr<R>> {
        compose::maximum::row_max::<P, _>(ctx, x, &Rows::whole(x.shape().last()))
    }
    fn argmax<R: Ring, T: Ring>(
        ctx: &Ctx<'_, Self>,
        x: &Self::Sum<R>,
        drop: u32,
        out_fraction: u32,
    ) -> Result<Self::Repr<T>> {
        let out = compose::Format { fraction: out_fraction, width: T::K };
        compose::argmax::<P, _, _>(ctx, x, drop, out)
    }
    fn pointwise<R: Ring, T: Ring>(
        ctx: &Ctx<'_, Self>,
        function: &Pointwise,
        x: &Self::Sum<R>,
        fraction: u32,
        out_fraction: u32,
    ) -> Result<Self::Repr<T>> {
        compose::pointwise::<P, _, _>(ctx, function, x, fraction, out_fraction, T::K)
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

/// Branches nested in pairs: a closure that runs them all, and a pattern (or value) of what it gives.
macro_rules! nested {
    (@run $x:ident $at:ident) => { || $x.1($at) };
    (@run $x:ident $at:ident $($rest:ident)+) => {
        || -> Result<_> {
            let (a, b) = side_by_side(E::PARALLEL, nested!(@run $x $at), nested!(@run $($rest)+));
            Ok((a?, b?))
        }
    };
    (@all $x:ident) => { $x };
    (@all $x:ident $($rest:ident)+) => { ($x, nested!(@all $($rest)+)) };
}

/// A method that runs so many operations side by side.
macro_rules! join {
    ($(#[$doc:meta])* $method:ident: $($out:ident $x:ident $at:ident),+) => {
        $(#[$doc])*
        pub fn $method<$($out: Send),+>(
            &self,
            $($x: (&str, impl FnOnce(&Ctx<'_, E>) -> Result<$out> + Send)),+
        ) -> Result<($($out),+)> {
            let branches = self.branches([$($x.0),+])?;
            let [$($at),+] = &branches;
            let joined = nested!(@run $($x $at)+)();
            self.meet(&branches);
            let nested!(@all $($x)+) = joined?;
            Ok(($($x),+))
        }
    };
}

impl<E: Engine> Ctx<'_, E> {
    join! {
        /// Runs two independent operations side by side; the hops of one hide behind the other's.
        ///
        /// Each closure gets a context narrowed to its name. Under engines that talk they run on threads of their own,
        /// under the others one after the other.
        join: A a at_a, B b at_b
    }
    join! {
        /// [`Self::join`] of three operations.
        join3: A a at_a, B b at_b, C c at_c
    }
    join! {
        /// [`Self::join`] of four operations.
        join4: A a at_a, B b at_b, C c at_c, D d at_d
    }
    join! {
        /// [`Self::join`] of five operations.
        join5: A a at_a, B b at_b, C c at_c, D d at_d, F f at_f
    }
    join! {
        /// [`Self::join`] of six operations.
        join6: A a at_a, B b at_b, C c at_c, D d at_d, F f at_f, G g at_g
    }

    /// Runs `f(0, ..)`, .., `f(count - 1, ..)` side by side in passes `name.0`, `name.1`, ..; their hops hide behind
    /// each other.
    ///
    /// Under engines that talk, 64 passes run at once, each on a thread of its own; more take turns of 64.
    pub fn join_each<T: Send>(
        &self,
        name: &str,
        count: usize,
        f: impl Fn(usize, &Ctx<'_, E>) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        self.join_items(name, 0..count, f)
    }

    /// [`Self::join_each`] over items instead of numbers.
    pub fn join_items<I: Send, T: Send>(
        &self,
        name: &str,
        items: impl IntoIterator<Item = I>,
        f: impl Fn(I, &Ctx<'_, E>) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        self.join_each_with(E::PARALLEL, name, items, f)
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
