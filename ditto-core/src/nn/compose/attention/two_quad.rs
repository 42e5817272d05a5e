use super::{LOG_VALUE, add_scalar, divide, one_ring, weighted};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::mpc::{Bilinear, Share};
use crate::nn::Softmax;
use crate::nn::compose::inverse::{Inverse, InverseSpec, inverse};
use crate::nn::compose::truncate::truncate;
use crate::nn::compose::{Format, Fractional, log2_ceil};
use crate::primitives::{Primitives, RingWord};
use crate::tensor::{Rows, SumRows};

/// The mean of a row's weights is at least 2^-2, and a weight below 2^13: |x + 5| < 90.
const LOG_LEAST: u32 = 2;
const LOG_WEIGHT: u32 = 13;
/// Significant bits of the smallest sum, and of the smallest reciprocal.
const PRECISION: u32 = 12;

/// `(x + 5)^2 values / sum (x + 5)^2`, all in one ring.
///
/// # Inputs
/// `scores` in Z_{2^k}, a sum; |x + 5| < 90, and the mean of (x + 5)^2 over a row at least 1/4; `values` [.., n,
/// d] in Z_{2^k} with |v| < 2^6, at the F fractional bits of the scores' rounding.
/// # Output
/// [.., q, d] at `out`, in Z_{2^k}.
/// # Error
/// Scores rounded by less than 1 ulp of F, weights by less than 1 ulp of min(F, k - 21 - ceil(log2 n) - F) bits, their sum
/// and its reciprocal to 2^-11 relative, the result by less than 1 ulp.
/// # Protocol
/// Truncate the scores, add 5, square. Beside each other: the sum of the un-rescaled squares, opened with 12 to 27
/// significant bits, and its reciprocal; the squares, truncated, times the values. One product per output divides.
/// # Cost
/// 10 hops, 12 where rows differ in length: 2 truncation, 6 (8) for the sum and its reciprocal (beside 4 for the weighted values), 2 rescale.
/// # Security
/// As the protocols it is made of.
/// # Source
/// MPCFormer (ICLR 2023), 2Quad; the late division is this project's.
pub(super) fn two_quad<P: Primitives, W: RingWord, V: RingWord, T: RingWord>(
    ctx: &Ctx<'_, P>,
    rows: &Rows,
    scores: Fractional<'_, P::Additive<W>>,
    values: Fractional<'_, P::Masked<V>>,
    out: Format,
) -> Result<P::Masked<T>> {
    let k = one_ring::<P, W, V>(scores.share, values.share, out)?;
    let (log_n, fraction) = (log2_ceil(rows.longest()), values.fraction);
    let log_shortest = log2_ceil(rows.shortest());
    let spec = InverseSpec {
        kind: Inverse::Reciprocal,
        fraction: (PRECISION + LOG_LEAST).saturating_sub(log_shortest),
        low: log_shortest as i32 - LOG_LEAST as i32 - 1,
        high: (log_n + LOG_WEIGHT) as i32,
        out_fraction: PRECISION + LOG_WEIGHT + log_n,
        out_width: k,
        mantissa: 10,
        index: 11,
        // Rows of many lengths have sums of many octaves, which leaves a first guess fewer bits.
        steps: if log_n > log_shortest { 3 } else { 2 },
    };
    let weight_fraction = fraction.min(k.saturating_sub(2 + LOG_WEIGHT + LOG_VALUE + log_n + fraction));
    let product_fraction = fraction.min(k.saturating_sub(2 + LOG_VALUE + spec.out_fraction));
    let (Some(drop), true) = (
        scores.fraction.checked_sub(fraction),
        log_n < PRECISION
            && weight_fraction.min(product_fraction) >= 8
            && 2 * fraction + LOG_WEIGHT + log_n + 3 <= k
            && spec.fraction <= 2 * fraction,
    ) else {
        return Err(Error::Unsupported("2Quad in these formats or over so many keys"));
    };
    let x: P::Masked<u64> = truncate(&ctx.step("scores")?, scores.share, drop, k)?;
    let x = add_scalar::<P, u64>(&x, i64::from(Softmax::SHIFT) << fraction)?;
    let square = P::product(&ctx.step("square")?, Bilinear::Elementwise, &x, &x)?;
    let (reciprocal, y) = ctx.join(
        ("reciprocal", |ctx| {
            let sum = P::shrink(ctx, &square.restructure(&SumRows(rows))?, 2 * fraction - spec.fraction)?;
            inverse(ctx, &P::remask(&ctx.step("sum")?, &sum)?, &spec)
        }),
        ("values", |ctx| {
            let weights = truncate(&ctx.step("weights")?, &square, 2 * fraction - weight_fraction, k)?;
            let v: P::Masked<u64> = P::reduce(values.share, k)?;
            let y = weighted(&ctx.step("product")?, rows, &weights, &v)?;
            truncate::<P, u64, u64>(ctx, &y, weight_fraction + fraction - product_fraction, k)
        }),
    )?;
    let y = Fractional { share: &y, fraction: product_fraction };
    divide(ctx, y, Fractional { share: &reciprocal, fraction: spec.out_fraction }, out)
}
