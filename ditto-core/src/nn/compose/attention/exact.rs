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

/// Widest ring of a whole product.
const WIDEST: u32 = 64;

/// How far scores of a row may differ, and the formats that go with it.
struct Spread {
    /// Differences are below 2^log.
    log: u32,
    /// A coarse score counts in steps of 2^-coarse.
    coarse: i32,
    /// Ring of coarse scores.
    width: u32,
    /// The exponential's range, if it is less than the spread: further below the maximum, exponentials are 0.
    clip: Option<u32>,
    /// Fractional bits of scores: two more than the result's, up to 12.
    fraction: u32,
}

impl Spread {
    /// Up to 2^7 the exponential covers the whole spread, and a coarse score has 7 bits: such numbers are compared without a
    /// hop. Beyond, dealing for that range would cost more than cutting it off.
    fn new(log: u32, out_fraction: u32) -> Self {
        let fraction = SCORE_FRACTION.min(out_fraction + 2);
        if log <= 7 {
            Self { log, coarse: 6 - log as i32, width: 7, clip: None, fraction }
        } else {
            Self { log, coarse: 1, width: log + 2, clip: Some(4), fraction }
        }
    }

    /// Bits of a score that count.
    fn score(&self) -> u32 {
        self.fraction + self.log + 1
    }

    /// The largest exponential of a row is above e^-(3 units).
    fn bits_below_one(&self) -> f64 {
        3.0 * power_of_two(-self.coarse) * std::f64::consts::LOG2_E
    }

    /// Fractional bits of exponentials: 11.5 for the largest of a row, or half a bit less than scores have.
    fn exp_fraction(&self) -> u32 {
        (f64::from(self.fraction) - 0.5 + self.bits_below_one()).ceil() as u32
    }

    /// Index bits of the reciprocal's tables, and bits of its first guess: its range grows as the largest exponential of a
    /// row may be smaller.
    fn guess(&self) -> (u32, u32) {
        match self.log {
            6 if self.fraction == SCORE_FRACTION => (12, 10),
            7 => (12, 12),
            _ => (11, 10),
        }
    }

    /// Formats of exponentials that are multiplied in a ring of `beside` bits more than they have fractional ones.
    fn exponential(&self, beside: u32) -> Option<ExpSpec> {
        let spec = |out_fraction| ExpSpec {
            fraction: self.fraction,
            log_range: self.clip.unwrap_or(self.log),
            out_fraction,
            out_width: out_fraction + beside,
        };
        // Over many keys of large values, exponentials have a bit or two less than they would like.
        let wanted = self.exp_fraction();
        let mut formats = (wanted.saturating_sub(2)..=wanted).rev().map(spec);
        formats.find(|spec| spec.check(self.score()).is_ok())
    }
}

/// `softmax(scores) values` with the division last.
///
/// # Inputs
/// `scores`, a sum with at least F = min(12, out.fraction + 2) fractional bits, whose entries differ by less than 61/64 of 2^s within a row, s =
/// `log_spread` or this step's range (5 to 12), by less than 2^s - 2 for s above 7; `values` [.., n, d] with |v| < 2^v,
/// v = 6 or the range of the step `values` below this one (-2 to 12).
/// # Output
/// [.., q, d] at `out_fraction` in Z_{2^out_width}.
/// # Error
/// Scores are rounded to 2^-F, exponentials to 2^-(F - 0.5) of the row's largest, the sum's reciprocal to 2^-10 relative
/// for up to 128 keys, 2^-9 for 512; all rounding is unbiased. For s above 7, exponentials below e^-14 of the maximum are 0.
/// # Protocol
/// Open the scores' low F + 1 + s bits (differences within a row are all that counts); a coarse maximum of their top 7 bits
/// (s + 2 for s above 7) in a tree; subtract it, so that arguments are below 0; exponentials, for s above 7 set to 0 where
/// the coarse difference says that the argument is out of the exponential's range; unnormalised exponentials times values;
/// one reciprocal per row.
/// # Cost
/// 7 hops and those of the maximum, 2 a level; for s above 7 9 hops and 3 a level (3 of the reciprocal hide 2 of e V).
/// # Security
/// As the protocols it is made of. A masked score serves several of them; each has its own dealt numbers.
/// # Source
/// Specification of this project; Ditto and PUMA divide first and clip at -14.
pub(super) fn exact<P: Primitives, W: RingWord, V: RingWord, T: RingWord>(
    ctx: &Ctx<'_, P>,
    log_spread: u32,
    rows: &Rows,
    scores: Fractional<'_, P::Additive<W>>,
    values: Fractional<'_, P::Masked<V>>,
    out: Format,
) -> Result<P::Masked<T>> {
    let Fractional { share: scores, fraction: scores_fraction } = scores;
    let spread = Spread::new(range(ctx.scale(), log_spread as i32, 5..=12)?.unsigned_abs(), out.fraction);
    let log_value = range(ctx.scale_of("values"), LOG_VALUE as i32, -2..=12)?;
    let width = spread.score();
    let Some(drop) = scores_fraction.checked_sub(spread.fraction) else {
        return Err(Error::Unsupported("softmax of scores with so few fractional bits"));
    };
    if scores.width() < width.saturating_add(drop) {
        return Err(Error::Unsupported("softmax in so small a ring"));
    }
    let log_n = log2_ceil(rows.longest());
    let beside = (2 + values.fraction + log_n).saturating_add_signed(log_value);
    let spec = spread.exponential(beside).filter(|spec| spec.out_width <= values.share.width());
    let Some(spec) = spec else {
        return Err(Error::Unsupported("softmax over so many keys with values in so small a ring"));
    };

    let scores = if drop == 0 { scores.clone() } else { P::shrink(ctx, scores, drop)? };
    let x = P::remask(&ctx.step("open")?, &P::reduce_additive::<W, u32>(&scores, width)?)?;

    // The coarse maximum may lie up to one unit below the true one: subtract one unit more.
    let coarse: P::Masked<u16> = P::floor_shift(&x, width - spread.width, spread.width, false)?;
    let top = along::<P, u16>(rows, &row_max(&ctx.step("max")?, &coarse, rows)?)?;
    let below = P::sub(&coarse, &top)?;
    let unit = 1i64 << (width - spread.width);
    let shift: P::Masked<u32> = P::shift_up(&top, width - spread.width)?;
    let x = add_scalar::<P, u32>(&P::sub(&x, &shift)?, -unit)?;

    let limit = power_of_two(spread.log as i32);
    // A coarse score errs by -1 to 2 units, and one unit was taken off above: with three units of slack, what is kept
    // lies inside the exponential's range.
    let slack = 3;
    let far = match spread.clip {
        None => {
            let slack = slack as f64 * power_of_two(-spread.coarse);
            P::claim(ctx, SCORE_SPREAD, &below, spread.coarse, slack - limit, limit)?;
            None
        }
        Some(log_range) => {
            P::claim(ctx, SCORE_SPREAD, &below, spread.coarse, -limit, limit)?;
            let kept = (1i64 << (log_range as i32 + spread.coarse)) - slack;
            let far = P::msb(&ctx.step("clip")?, &add_scalar::<P, u16>(&below, kept)?)?;
            Some(P::open_bits(&ctx.step("clip/open")?, &far)?)
        }
    };
    let exp = ctx.step("exp")?;
    // What was claimed or clipped sees to its range; its results are at most 1, and a row's largest is above e^-(3 units).
    exp.holds_by_construction();
    let e = P::exp(&exp, &spec, &x, far.as_ref())?;
    let e = P::remask(&ctx.step("exp/remask")?, &e)?;

    // Fractional bits of a weighted sum: as many more than 16 as exponentials have more than 14.
    let product_fraction = (2 + spec.out_fraction.max(14)).min(spec.out_fraction + values.fraction);
    // The quotient before its rescaling: the reciprocal has F + log_n fractional bits.
    let ring = (2 + product_fraction + spread.fraction + log_n).saturating_add_signed(log_value);
    if ring > WIDEST {
        return Err(Error::Unsupported("softmax over so many keys with such values"));
    }
    let v: P::Masked<u64> = P::reduce(values.share, spec.out_width)?;
    let low = -(spread.bits_below_one().ceil() as i32);
    let weights = Weights {
        share: &e,
        rows,
        fraction: spec.out_fraction,
        sum_width: (spec.out_fraction + log_n + 3).min(spec.out_width),
        low,
        precision: spread.fraction,
        guess: spread.guess(),
        log_value,
        product_fraction,
        ring,
    };
    attend(ctx, weights, Fractional { share: &v, fraction: values.fraction }, out)
}

/// The range of a step, within what a protocol can do.
fn range(scale: StepScale, default: i32, possible: RangeInclusive<i32>) -> Result<i32> {
    let range = scale.range.unwrap_or(default);
    if possible.contains(&range) { Ok(range) } else { Err(Error::Unsupported("attention over this range")) }
}
