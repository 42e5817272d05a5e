use super::attention::add_scalar;
use super::truncate::truncate;
use super::{Format, Fractional};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::mpc::{Bilinear, Share, Signs};
use crate::nn::puma_gelu::{HIGH, LOW, THRESHOLDS};
use crate::primitives::{Primitives, RingWord};
use crate::public_math::power_of_two;
use crate::tensor::{Reshape, Shape, Slice};

/// Most fractional bits of a coefficient: their rounding then adds 411 2^-28 at most.
const COEFFICIENT: u32 = 28;
/// Fewest, and integer bits of x with its sign.
const LEAST: u32 = 12;
const LOG_X: u32 = 8;
/// x^6 is at most 2^12 between the outer thresholds.
const LOG_POWER: u32 = 12;

/// PUMA's piecewise polynomial for GeLU, all of it in the result's ring.
///
/// # Inputs
/// A sum with |x| < 2^(k-2-c-F) at the result's F fractional bits, c = min(28, k-10-F) those of coefficients: 2^16 for
/// F = 18 in Z_{2^64}.
/// # Output
/// 0 below -4, a cubic below -1.95, an even sextic plus x/2 below 3, x from there on, at `out`.
/// # Error
/// Below 3 ulp against the piecewise function of the rounded x, plus up to 411 2^-c of coefficients; x is rounded by less
/// than 1 ulp. The function itself is
/// within 0.02 of GeLU, which is its step at 3.
/// # Protocol
/// Truncate x. Beside each other: three comparisons from one one-hot encoding, their bits opened; x^2, then x^3 and x^4,
/// then x^6, each truncated. The two polynomials are local sums of masked powers, so a threshold's bit selects the step
/// from one piece to the next, un-rescaled, and one truncation ends it all. Powers of numbers outside [-4, 3) may wrap:
/// what is made of them cancels exactly.
/// # Cost
/// 10 hops: 2 truncation, 6 powers (3 of comparing hide), 2 truncation. For F = 18 in Z_{2^64} from a sum of 36: 954 bits
/// online, 1423 offline.
/// # Security
/// As the protocols it is made of. The powers and comparisons that share a masked x have their own dealt numbers.
/// # Source
/// PUMA (arXiv 2307.12533); selecting un-rescaled pieces is this project's.
pub(super) fn puma_gelu<P: Primitives, W: RingWord, T: RingWord>(
    ctx: &Ctx<'_, P>,
    x: Fractional<'_, P::Additive<W>>,
    out: Format,
) -> Result<P::Masked<T>> {
    let Format { fraction, width } = out;
    let coefficient = COEFFICIENT.min(width.saturating_sub(2 + LOG_X + fraction));
    let (Some(drop), true) =
        (x.fraction.checked_sub(fraction), coefficient >= LEAST && 2 * fraction + LOG_POWER + 3 <= width)
    else {
        return Err(Error::Unsupported("PUMA's GeLU in these formats"));
    };
    let shape = x.share.shape().clone();
    let row = Shape::new(&[1, shape.len()]);
    let x: P::Masked<T> = truncate(&ctx.step("input")?, x.share, drop, width)?;
    let x = x.restructure(&Reshape(&row))?;

    // Rounded up, so that a number is below both or neither.
    let thresholds = THRESHOLDS.map(|t| (t * power_of_two(fraction as i32)).ceil() as i64);
    let (bits, [x1, x2, x3, x4, x6]) = ctx.join(
        ("regions", |ctx| {
            let spec = Signs { drop: 0, bits: width, add: thresholds.map(|t| -t).to_vec() };
            P::open_bits(&ctx.step("open")?, &P::signs(&ctx.step("below")?, &spec, &x)?)
        }),
        ("powers", |ctx| {
            let x = P::disregard_outside(ctx, &x, thresholds[0], thresholds[2])?;
            let times = |ctx: &Ctx<'_, P>, a: &P::Masked<T>, b: &P::Masked<T>| -> Result<P::Masked<T>> {
                let z = P::product(&ctx.step("product")?, Bilinear::Elementwise, a, b)?;
                truncate(ctx, &z, fraction, width)
            };
            let x2 = times(&ctx.step("2")?, &x, &x)?;
            let both = times(&ctx.step("3 and 4")?, &Share::concat(&[&x, &x2], 0)?, &x2)?;
            let part = |i| both.restructure(&Slice { axis: 0, start: i, end: i + 1 });
            let (x3, x4) = (part(0)?, part(1)?);
            let x6 = times(&ctx.step("6")?, &x2, &x4)?;
            Ok([x, x2, x3, x4, x6])
        }),
    )?;

    // At F + c fractional bits.
    let sum = |constant: f64, terms: &[(f64, &P::Masked<T>)]| -> Result<P::Masked<T>> {
        let integer = |c: f64, f: u32| (c * power_of_two(f as i32)).round_ties_even() as i64;
        let mut sum: Option<P::Masked<T>> = None;
        for &(c, power) in terms {
            let term = P::mul_public(power, integer(c, coefficient))?;
            sum = Some(match sum {
                Some(sum) => P::add(&sum, &term)?,
                None => term,
            });
        }
        let sum = sum.ok_or(Error::Internal("a polynomial without terms"))?;
        add_scalar::<P, T>(&sum, integer(constant, fraction + coefficient))
    };
    let low = sum(LOW[0], &[(LOW[1], &x1), (LOW[2], &x2), (LOW[3], &x3)])?;
    let high = sum(HIGH[0], &[(HIGH[1], &x1), (HIGH[2], &x2), (HIGH[3], &x4), (HIGH[4], &x6)])?;
    let same = P::mul_public(&x, 1 << coefficient)?;

    // From the right: x, from each threshold down the step to the next piece.
    let steps = [P::mul_public(&low, -1)?, P::sub(&low, &high)?, P::sub(&high, &same)?];
    let mut y = P::additive(ctx, &same)?;
    for (i, step) in steps.iter().enumerate() {
        let bit = bits.restructure(&Slice { axis: 0, start: i, end: i + 1 })?;
        y = P::add_additive(&y, &P::select(&ctx.index("select", i)?, &bit, step)?)?;
    }
    let y: P::Masked<T> = truncate(&ctx.step("rescale")?, &y, coefficient, width)?;
    y.restructure(&Reshape(&shape))
}
