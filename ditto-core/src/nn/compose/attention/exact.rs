use std::ops::RangeInclusive;

use super::{LOG_VALUE, SCORE_FRACTION, Weights, add_scalar, along, attend};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::mpc::{ExpSpec, Share};
use crate::nn::compose::maximum::row_max;
use crate::nn::compose::{Format, Fractional, log2_ceil};
use crate::observe::SCORE_SPREAD;
use crate::primitives::{Primitives, RingWord};
use crate::public_math::power_of_two;
use crate::settings::StepScale;
use crate::tensor::Rows;

/// Scores of a row may differ by up to 2^8 = 256, unless the settings say otherwise.
const LOG_SPREAD: i32 = 8;
/// Coarse scores count in steps of 2^-1.
const COARSE_FRACTION: u32 = 1;
/// Exponentials below e^-15 are 0.
const LOG_RANGE: u32 = 4;
/// Fractional bits of exponentials.
const EXP_FRACTION: u32 = 14;
/// Ring of an exponential: at most 1, and two bits for UpCast.
const EXP_WIDTH: u32 = EXP_FRACTION + 3;
/// Ring of e V and of its quotient.
const WIDE: u32 = 48;

/// `softmax(scores) values` with the division last.
///
/// # Inputs
/// `scores`, a sum at fraction `scores_fraction` >= 12, whose entries differ by less than 2^s - 2 within a row,
/// s = 8 or this step's range (5 to 12); `values` [.., n, d] with |v| < 2^v, v = 6 or the range of the step `values`
/// below this one (-2 to 12).
/// # Output
/// [.., q, d] at `out_fraction` in Z_{2^out_width}.
/// # Error
/// Scores are rounded to 2^-12, exponentials to 2^-14 of a scale where the row's largest is at least e^-1.5, the
/// sum's reciprocal to 2^-12 relative for up to 128 keys, 2^-10 for 512; all rounding is unbiased. Exponentials below e^-14 of the maximum are 0.
/// # Protocol
/// Open the scores' low 13 + s bits (differences within a row are all that counts); a coarse maximum of their top s + 2
/// bits in a tree; subtract it, so that arguments are below 0; exponentials, 0 where the coarse difference says that
/// the argument is out of the exponential's range; unnormalised exponentials times values; one reciprocal per row.
/// # Cost
/// 3 ceil(log2 n) + 10 hops (3 of the reciprocal hide 2 of e V).
/// # Security
/// As the protocols it is made of. A masked score serves several of them; each has its own dealt numbers.
/// # Source
/// Specification of this project; Ditto and PUMA divide first and clip at -14.
pub(super) fn exact<P: Primitives, W: RingWord, V: RingWord, T: RingWord>(
    ctx: &Ctx<'_, P>,
    rows: &Rows,
    scores: Fractional<'_, P::Additive<W>>,
    values: Fractional<'_, P::Masked<V>>,
    out: Format,
) -> Result<P::Masked<T>> {
    let Fractional { share: scores, fraction: scores_fraction } = scores;
    let spread = range(ctx.scale(), LOG_SPREAD, 5..=12)?;
    let log_value = range(ctx.scale_of("values"), LOG_VALUE as i32, -2..=12)?;
    let width = SCORE_FRACTION + spread as u32 + 1;
    let coarse_width = COARSE_FRACTION + spread as u32 + 1;
    let Some(drop) = scores_fraction.checked_sub(SCORE_FRACTION) else {
        return Err(Error::Unsupported("softmax of scores with fewer than 12 fractional bits"));
    };
    if scores.width() < width.saturating_add(drop) {
        return Err(Error::Unsupported("softmax in so small a ring"));
    }
    let scores = if drop == 0 { scores.clone() } else { P::shrink(ctx, scores, drop)? };
    let x = P::remask(&ctx.step("open")?, &P::reduce_additive::<W, u32>(&scores, width)?)?;

    // The coarse maximum may lie up to one unit below the true one: subtract one unit more.
    let coarse: P::Masked<u16> = P::floor_shift(&x, width - coarse_width, coarse_width, false)?;
    let top = along::<P, u16>(rows, &row_max(&ctx.step("max")?, &coarse, rows)?)?;
    let below = P::sub(&coarse, &top)?;
    let limit = power_of_two(spread);
    P::claim(ctx, SCORE_SPREAD, &below, COARSE_FRACTION, -limit, limit)?;
    let unit = 1i64 << (SCORE_FRACTION - COARSE_FRACTION);
    let shift: P::Masked<u32> = P::shift_up(&top, width - coarse_width)?;
    let x = add_scalar::<P, u32>(&P::sub(&x, &shift)?, -unit)?;

    // A coarse score errs by -1 to 2 units, and one unit was taken off above: with three units of slack, what is kept
    // lies inside the exponential's range.
    let kept = (1i64 << (LOG_RANGE + COARSE_FRACTION)) - 3;
    let far = P::msb(&ctx.step("clip")?, &add_scalar::<P, u16>(&below, kept)?)?;
    let far = P::open_bits(&ctx.step("clip/open")?, &far)?;
    let spec = ExpSpec {
        fraction: SCORE_FRACTION,
        log_range: LOG_RANGE,
        out_fraction: EXP_FRACTION,
        out_width: EXP_WIDTH,
    };
    let exp = ctx.step("exp")?;
    // The clip sees to its range; its results are at most 1, and a row's largest is at least e^-1.5.
    exp.holds_by_construction();
    let e = P::exp(&exp, &spec, &x, &far)?;
    let e = P::remask(&ctx.step("exp/remask")?, &e)?;

    let log_n = log2_ceil(rows.longest());
    let product_fraction = 16.min(EXP_FRACTION + values.fraction);
    let product_width = (2 + EXP_FRACTION + values.fraction + log_n).saturating_add_signed(log_value);
    // The quotient before its rescaling: the reciprocal has 12 + log_n fractional bits.
    let quotient_width = (2 + product_fraction + 12 + log_n).saturating_add_signed(log_value);
    if product_width > values.share.width().min(WIDE) || quotient_width > WIDE {
        return Err(Error::Unsupported("softmax over so many keys with values in so small a ring"));
    }
    let lift = ctx.step("lift")?;
    lift.holds_by_construction();
    let e: P::Masked<u64> = P::upcast(&lift, &e, product_width)?;
    let v: P::Masked<u64> = P::reduce(values.share, product_width)?;
    let weights = Weights {
        share: &e,
        rows,
        fraction: EXP_FRACTION,
        sum_width: (EXP_FRACTION + log_n + 3).min(product_width),
        // The largest is at least e^-2.
        low: -3,
        log_value,
        product_fraction,
        ring: WIDE,
    };
    attend(ctx, weights, Fractional { share: &v, fraction: values.fraction }, out)
}

/// The range of a step, within what a protocol can do.
fn range(scale: StepScale, default: i32, possible: RangeInclusive<i32>) -> Result<i32> {
    let range = scale.range.unwrap_or(default);
    if possible.contains(&range) { Ok(range) } else { Err(Error::Unsupported("attention over this range")) }
}
