use super::{LOG_VALUE, SCORE_FRACTION, Weights, add_scalar, along, attend, one_ring};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::mpc::ExpSpec;
use crate::nn::Softmax;
use crate::nn::compose::maximum::row_max;
use crate::nn::compose::{Format, Fractional, log2_ceil};
use crate::primitives::{Primitives, RingWord};
use crate::tensor::Rows;

/// Scores of a row may differ by up to 2^8 = 256.
const LOG_SPREAD: u32 = 8;
/// The exponential's range, 16, holds the clip's.
const LOG_RANGE: u32 = 4;
/// Most fractional bits of an exponential: what it deals fills 64 bits.
const EXP_FRACTION: u32 = 18;
/// The argument errs by -1 to 2 units and shall be below 0, so that an exponential is below 1.
const MARGIN: i64 = 3;

/// `softmax(scores) values` with terms more than 14 below the row's maximum left out, all in one ring.
///
/// # Inputs
/// `scores` in Z_{2^k}, a sum at fraction >= 12, whose entries differ by less than 256 within a row; `values`
/// [.., n, d] in Z_{2^k} with |v| < 2^6; e V, up to n 2^6 at both fractions, below 2^(k-2).
/// # Output
/// [.., q, d] at `out`, in Z_{2^k}.
/// # Error
/// Weights within 1.5 * 2^-12 relative (rounding of the argument) and 1.5 ulp of min(18, F) bits, F those of the values; the
/// sum's reciprocal within 2^-12 relative for up to 128 keys, 2^-11 for 512; the result's rounding below 1 ulp.
/// # Protocol
/// Open the scores as they are, un-rescaled; row maximum; subtract; one comparison says what is clipped. The exponential
/// reads 17 bits of the opened difference. Unnormalised exponentials times values; one reciprocal per row.
/// # Cost
/// 4 ceil(log2 n) + 11 hops in Z_{2^64}: 1 open, 4 a level of the maximum, 3 clip, 1 remask and 1 UpCast of exponentials,
/// 3 of the reciprocal beside 2 of e V, 2 rescale.
/// # Security
/// As the protocols it is made of. A masked score serves several of them; each has its own dealt numbers.
/// # Source
/// PUMA (arXiv 2307.12533) and Ditto: maximum, clip at -14; exponential and late division as in the exact kind.
pub(super) fn clipped<P: Primitives, W: RingWord, V: RingWord, T: RingWord>(
    ctx: &Ctx<'_, P>,
    rows: &Rows,
    scores: Fractional<'_, P::Additive<W>>,
    values: Fractional<'_, P::Masked<V>>,
    out: Format,
) -> Result<P::Masked<T>> {
    let k = one_ring::<P, W, V>(scores.share, values.share, out)?;
    let log_n = log2_ceil(rows.longest());
    let e_fraction = EXP_FRACTION.min(values.fraction);
    let fits = scores.fraction >= SCORE_FRACTION
        && scores.fraction + LOG_SPREAD + 2 <= k
        && e_fraction + values.fraction + log_n + LOG_VALUE + 2 <= k;
    if !fits {
        return Err(Error::Unsupported("softmax of scores and values in these formats"));
    }
    let x = P::remask(&ctx.step("open")?, scores.share)?;
    let x = P::sub(&x, &along::<P, W>(rows, &row_max(&ctx.step("max")?, &x, rows)?)?)?;

    let clip = i64::from(Softmax::CLIP) << scores.fraction;
    let far = P::msb(&ctx.step("clip")?, &add_scalar::<P, W>(&x, clip)?)?;
    let far = P::open_bits(&ctx.step("clip/open")?, &far)?;

    let spec = ExpSpec {
        fraction: SCORE_FRACTION,
        log_range: LOG_RANGE,
        out_fraction: e_fraction,
        // Below 1, with the two bits that UpCast wants.
        out_width: e_fraction + 2,
    };
    let drop = scores.fraction - SCORE_FRACTION;
    let (x, margin): (P::Masked<u32>, i64) = if drop == 0 {
        (P::reduce(&x, spec.argument())?, 1)
    } else {
        (P::floor_shift(&x, drop, spec.argument(), false)?, MARGIN)
    };
    let (exp, lift) = (ctx.step("exp")?, ctx.step("lift")?);
    // The clip sees to the exponential's range; its results are below 1.
    exp.holds_by_construction();
    lift.holds_by_construction();
    let e = P::exp(&exp, &spec, &add_scalar::<P, u32>(&x, -margin)?, Some(&far))?;
    let e = P::remask(&ctx.step("exp/remask")?, &e)?;
    let e: P::Masked<u64> = P::upcast(&lift, &e, k)?;

    let weights = Weights {
        share: &e,
        rows,
        fraction: e_fraction,
        sum_width: k,
        // The largest is nearly 1.
        low: -1,
        precision: 12,
        guess: (11, 10),
        log_value: LOG_VALUE as i32,
        product_fraction: values.fraction,
        ring: k,
    };
    let v: P::Masked<u64> = P::reduce(values.share, k)?;
    attend(ctx, weights, Fractional { share: &v, fraction: values.fraction }, out)
}
