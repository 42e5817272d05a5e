//! Weighted means of values, the weights made of scores: what they have in common, and one file per kind of weight.

mod clipped;
mod exact;
mod two_quad;

use super::inverse::{Inverse, InverseSpec, inverse};
use super::truncate::truncate;
use super::{Format, Fractional, log2_ceil};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::mpc::{Bilinear, Share};
use crate::nn::Softmax;
use crate::observe::VALUES;
use crate::primitives::{Primitives, RingWord};
use crate::public_math::power_of_two;
use crate::tensor::{Array, RepeatRows, Reshape, Rows, SumRows};

/// Fractional bits of the argument of an exponential.
const SCORE_FRACTION: u32 = 12;
/// Scores of a row may differ by up to 2^8 = 256, unless the kind or the settings say otherwise.
const LOG_SPREAD: u32 = 8;
/// Values and results stay below 2^6 in magnitude, unless the settings say otherwise.
const LOG_VALUE: u32 = 6;

/// `softmax(scores) values`; see [`Softmax`].
///
/// # Inputs
/// `scores`, a sum, and `values` [.., n, d]: scores [.., q, n] with one whole row, or [.., extent] with a row for each of
/// q queries (causal attention: only as many keys as a query sees). Ranges and rings are those of the kind.
/// # Output
/// [.., q, d] at `out`.
/// # Error
/// That of the kind.
/// # Cost
/// With L = ceil(log2 n), n the longest row: exact 7 hops and those of a maximum (9 for wide rows), clipped in Z_{2^64} 4 L + 11, two-quad 10.
/// # Security
/// As the protocols they are made of.
/// # Source
/// Ditto, PUMA, MPCFormer, with the division last.
pub(crate) fn softmax_attend<P: Primitives, W: RingWord, V: RingWord, T: RingWord>(
    ctx: &Ctx<'_, P>,
    kind: Softmax,
    rows: &Rows,
    scores: Fractional<'_, P::Additive<W>>,
    values: Fractional<'_, P::Masked<V>>,
    out: Format,
) -> Result<P::Masked<T>> {
    if rows.lengths().contains(&0) || scores.share.shape().last() != rows.extent() {
        return Err(Error::Unsupported("softmax over no keys, or of rows that are not there"));
    }
    match kind {
        Softmax::Exact => exact::exact::<P, W, V, T>(ctx, LOG_SPREAD, rows, scores, values, out),
        Softmax::ExactWithin(log) => exact::exact::<P, W, V, T>(ctx, log, rows, scores, values, out),
        Softmax::Clipped => clipped::clipped::<P, W, V, T>(ctx, rows, scores, values, out),
        Softmax::TwoQuad => two_quad::two_quad::<P, W, V, T>(ctx, rows, scores, values, out),
    }
}

/// Weights at most 1, of which the largest of a row is not small.
struct Weights<'a, S> {
    /// As the scores.
    share: &'a S,
    rows: &'a Rows,
    fraction: u32,
    /// The sum of a row fits this ring with two bits to spare.
    sum_width: u32,
    /// The sum of a row is at least 2^low.
    low: i32,
    /// Fractional bits of the reciprocal of a sum of 1: two more than the result has.
    precision: u32,
    /// Index bits of the reciprocal's tables, and bits of its first guess.
    guess: (u32, u32),
    /// Values are below 2^log_value in magnitude.
    log_value: i32,
    /// Fractional bits of the weighted sum.
    product_fraction: u32,
    /// Ring of the weighted sum and its quotient.
    ring: u32,
}

/// Weights times values: [.., q, d].
fn weighted<P: Primitives>(
    ctx: &Ctx<'_, P>,
    rows: &Rows,
    weights: &P::Masked<u64>,
    values: &P::Masked<u64>,
) -> Result<P::Additive<u64>> {
    let whole = weights.shape().rank() == values.shape().rank();
    let op = if whole { Bilinear::MatMul } else { Bilinear::CausalMix { queries: rows.count() } };
    P::product(ctx, op, weights, values)
}

/// One number for each row, in a shape that sums with the row's own numbers.
fn along<P: Primitives, W: RingWord>(rows: &Rows, x: &P::Masked<W>) -> Result<P::Masked<W>> {
    // A single row's number broadcasts.
    if rows.count() == 1 { Ok(x.clone()) } else { x.restructure(&RepeatRows(rows)) }
}

/// Values weighted and divided by the sum of weights.
fn attend<P: Primitives, T: RingWord>(
    ctx: &Ctx<'_, P>,
    weights: Weights<'_, P::Masked<u64>>,
    values: Fractional<'_, P::Masked<u64>>,
    out: Format,
) -> Result<P::Masked<T>> {
    let log_n = log2_ceil(weights.rows.longest());
    let spec = InverseSpec {
        kind: Inverse::Reciprocal,
        fraction: weights.fraction,
        low: weights.low,
        high: log_n as i32 + 1,
        out_fraction: weights.precision + log_n,
        out_width: weights.ring,
        index: weights.guess.0,
        mantissa: weights.guess.1,
        steps: 1,
    };
    let (reciprocal, y) = ctx.join(
        ("reciprocal", |ctx| {
            // The sum of weights of which the largest is not small.
            ctx.holds_by_construction();
            let sum = weights.share.restructure(&SumRows(weights.rows))?;
            inverse(ctx, &P::reduce::<u64, u64>(&sum, weights.sum_width)?, &spec)
        }),
        ("values", |ctx| {
            let limit = power_of_two(weights.log_value);
            P::claim(ctx, VALUES, values.share, values.fraction as i32, -limit, limit)?;
            let y = weighted(&ctx.step("product")?, weights.rows, weights.share, values.share)?;
            let drop = weights.fraction + values.fraction - weights.product_fraction;
            truncate::<P, u64, u64>(ctx, &y, drop, weights.ring)
        }),
    )?;
    let y = Fractional { share: &y, fraction: weights.product_fraction };
    divide(ctx, y, Fractional { share: &reciprocal, fraction: spec.out_fraction }, out)
}

/// Rows [.., q, d] times one reciprocal each, [.., q] or [.., q, 1].
fn divide<P: Primitives, T: RingWord>(
    ctx: &Ctx<'_, P>,
    rows: Fractional<'_, P::Masked<u64>>,
    reciprocal: Fractional<'_, P::Masked<u64>>,
    out: Format,
) -> Result<P::Masked<T>> {
    let Some(drop) = (rows.fraction + reciprocal.fraction).checked_sub(out.fraction) else {
        return Err(Error::Unsupported("softmax with so many fractional bits in its result"));
    };
    let column = reciprocal.share.restructure(&Reshape(&rows.share.shape().with_last(1)))?;
    let z = P::product(&ctx.step("divide")?, Bilinear::Elementwise, rows.share, &column)?;
    truncate(&ctx.step("rescale")?, &z, drop, out.width)
}

/// The ring that scores, values and result have in common.
fn one_ring<P: Primitives, W: RingWord, V: RingWord>(
    scores: &P::Additive<W>,
    values: &P::Masked<V>,
    out: Format,
) -> Result<u32> {
    let k = scores.width();
    if values.width() == k && out.width == k {
        Ok(k)
    } else {
        Err(Error::Unsupported("this kind of softmax with scores, values and result in several rings"))
    }
}

/// `x + c` for one public integer.
pub(super) fn add_scalar<P: Primitives, W: RingWord>(x: &P::Masked<W>, c: i64) -> Result<P::Masked<W>> {
    P::add_public(x, &Array::new([1], vec![c])?)
}
