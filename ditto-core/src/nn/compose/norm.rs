use super::inverse::{Inverse, InverseSpec, inverse};
use super::log2_ceil;
use super::truncate::truncate;
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::mpc::{Bilinear, Share};
use crate::primitives::{Primitives, RingWord};
use crate::public_math::power_of_two;
use crate::tensor::{Permute, Reshape, Shape, SumLast};

/// Fractional bits of the numbers that statistics are made of.
const FRACTION: u32 = 12;
/// Variances and squared lengths lie in [2^-12, 2^10), unless the settings say otherwise; a variance after scaling by
/// (d / 2^ceil(log2 d))^2 > 1/4.
const LOW: i32 = -12;
const HIGH: i32 = 10;
/// Fractional bits of a variance.
const VARIANCE_FRACTION: u32 = 22;
/// Fractional bits of an inverse square root of a number below 2^10.
const RSQRT_FRACTION: u32 = 17;
/// Largest range of squares.
const HIGHEST: i32 = 22;
/// Fractional bits that the smallest square must have left.
const LEAST: i32 = 8;
/// Ring of a quotient.
const WIDE: u32 = 48;

/// The range of squares, and the formats that go with it.
struct Squares {
    low: i32,
    high: i32,
    /// What is above 2^10 goes with fewer fractional bits: half as many octaves of the rows.
    coarser: u32,
}

impl Squares {
    /// From the range of the step `root` below this one.
    fn of<P>(ctx: &Ctx<'_, P>) -> Result<Self> {
        let scale = ctx.scale_of("root");
        let (low, high) = (scale.low.unwrap_or(LOW), scale.range.unwrap_or(HIGH));
        let coarser = (high - HIGH).max(0).unsigned_abs().div_ceil(2);
        let squares = Self { low, high, coarser };
        // A table for each third of the octaves.
        if high > HIGHEST || high - low < 3 || low + (squares.fraction() as i32) < LEAST {
            return Err(Error::Unsupported("a normalisation of rows with this range"));
        }
        Ok(squares)
    }

    /// Fractional bits of squares.
    fn fraction(&self) -> u32 {
        VARIANCE_FRACTION - 2 * self.coarser
    }

    /// Fractional bits of inverse roots.
    fn root_fraction(&self) -> u32 {
        RSQRT_FRACTION + self.coarser
    }

    fn inverse_root<P: Primitives>(&self, ctx: &Ctx<'_, P>, x: &P::Masked<u64>) -> Result<P::Masked<u64>> {
        let spec = InverseSpec {
            kind: Inverse::Rsqrt,
            fraction: self.fraction(),
            low: self.low,
            high: self.high,
            out_fraction: self.root_fraction(),
            out_width: WIDE,
            index: 13,
        };
        inverse(ctx, x, &spec)
    }
}

/// x [..] as [.., 1].
fn column<P: Primitives>(x: &P::Masked<u64>) -> Result<P::Masked<u64>> {
    let mut dims = x.shape().dims().to_vec();
    dims.push(1);
    x.restructure(&Reshape(&Shape::new(&dims)))
}

/// Rows less their mean, over their standard deviation.
///
/// # Inputs
/// `x` [.., d], a sum at `fraction`, with |x| < 2^(k-2-fraction) and row variance in [2^-10, 2^10). Other bounds of the
/// variance, scaled by (d / 2^ceil(log2 d))^2, come as the range of the step `root` below this one, within [2^-14, 2^10), or [2^(high - 24), 2^high) up to high = 22.
/// # Output
/// `(x - mean) / sqrt(variance + epsilon)` at `out_fraction` in Z_{2^out_width}; |result| < 64.
/// # Error
/// Input rounded to 2^-12, factor relative 2^-9 (measured: 2^-9.8 at worst over the range of variances), plus 1 ulp.
/// A range above 2^10 costs half a bit of the input per bit; a range of fewer octaves makes the factor finer (see the
/// inverse).
/// # Protocol
/// Truncate to 12 fractional bits in a ring that holds d sum x^2 - (sum x)^2 exactly; open that per row, take its
/// inverse root, multiply with the centred rows d x - sum x.
/// # Cost
/// 8 hops: 2 truncation, 1 variance, 3 inverse root, 2 truncation; each truncation 1 if its ring is no larger than what
/// dropping bits leaves.
/// # Security
/// As the protocols it is made of.
/// # Source
/// Specification of this project.
pub(crate) fn standardize<P: Primitives, W: RingWord, T: RingWord>(
    ctx: &Ctx<'_, P>,
    x: &P::Additive<W>,
    fraction: u32,
    epsilon: f64,
    out_fraction: u32,
    out_width: u32,
) -> Result<P::Masked<T>> {
    let d = x.shape().last();
    let log_d = log2_ceil(d);
    let squares = Squares::of(ctx)?;
    let rows = FRACTION - squares.coarser;
    // Short rows need less, but the centred rows must fill the quotient's ring.
    let width = (2 + 2 * log_d + 2 * rows).saturating_add_signed(squares.high).max(WIDE);
    let product = rows + log_d + squares.root_fraction();
    if d == 0 || width > 64 || product + 8 > WIDE || out_fraction > product {
        return Err(Error::Unsupported("a normalisation of rows so long or so fine"));
    }
    let x = if fraction < rows { P::mul_public_additive(x, 1 << (rows - fraction))? } else { x.clone() };
    let x: P::Masked<u64> = truncate(&ctx.step("widen")?, &x, fraction.saturating_sub(rows), width)?;

    let sum = x.restructure(&SumLast)?;
    let dot = P::product(&ctx.step("squares")?, Bilinear::RowDot, &x, &x)?;
    let square = P::product(&ctx.step("mean")?, Bilinear::Elementwise, &sum, &sum)?;
    let variance =
        P::add_additive(&P::mul_public_additive(&dot, d as i64)?, &P::mul_public_additive(&square, -1)?)?;
    // In units of 2^-2f / d^2.
    let epsilon = (epsilon * power_of_two(2 * rows as i32) * (d * d) as f64).round_ties_even() as i64;
    let variance = P::add_public_additive(ctx, &variance, epsilon)?;
    let drop = 2 * log_d + 2 * rows - squares.fraction();
    let variance = P::remask(&ctx.step("variance")?, &P::shrink(ctx, &variance, drop)?)?;
    let root = squares.inverse_root(&ctx.step("root")?, &variance)?;

    // d x - sum, times 2^ceil(log2 d) / (d sigma).
    let centred = P::sub(&P::mul_public(&x, d as i64)?, &column::<P>(&sum)?)?;
    let centred = P::reduce::<u64, u64>(&centred, WIDE)?;
    let z = P::product(&ctx.step("scale")?, Bilinear::Elementwise, &centred, &column::<P>(&root)?)?;
    truncate(&ctx.step("rescale")?, &z, product - out_fraction, out_width)
}

/// Rows scaled to Euclidean length 1.
///
/// # Inputs
/// `x` [.., d] at `fraction` <= 12, row length between 2^-6 and 2^5; other bounds of its square come as the range of the
/// step `root` below this one.
/// # Output
/// `x / |x|` at `out_fraction` in Z_{2^out_width}.
/// # Error
/// Factor relative 2^-9 (measured: 2^-9.8 at worst over the range of lengths), plus 1 ulp.
/// # Cost
/// 7 hops: 1 UpCast, 1 squared length, 3 inverse root, 2 truncation (1 if the result's ring is no larger than what
/// dropping bits leaves of 48).
/// # Security
/// As the protocols it is made of.
/// # Source
/// Specification of this project.
pub(crate) fn normalize<P: Primitives, W: RingWord, T: RingWord>(
    ctx: &Ctx<'_, P>,
    x: &P::Masked<W>,
    fraction: u32,
    out_fraction: u32,
    out_width: u32,
) -> Result<P::Masked<T>> {
    let range = Squares::of(ctx)?;
    if x.width() >= WIDE || fraction > FRACTION || out_fraction > fraction + range.root_fraction() {
        return Err(Error::Unsupported("normalising rows of this format"));
    }
    let x: P::Masked<u64> = P::upcast(&ctx.step("widen")?, x, WIDE)?;
    let squares = P::product(&ctx.step("squares")?, Bilinear::RowDot, &x, &x)?;
    let (up, drop) =
        (range.fraction().saturating_sub(2 * fraction), (2 * fraction).saturating_sub(range.fraction()));
    let squares = P::mul_public_additive(&squares, 1 << up)?;
    let squares = if drop > 0 { P::shrink(ctx, &squares, drop)? } else { squares };
    let length = P::remask(&ctx.step("length")?, &squares)?;
    let root = range.inverse_root(&ctx.step("root")?, &length)?;
    let z = P::product(&ctx.step("scale")?, Bilinear::Elementwise, &x, &column::<P>(&root)?)?;
    truncate(&ctx.step("rescale")?, &z, fraction + range.root_fraction() - out_fraction, out_width)
}

/// Mean over the first axis of [n, d], as [1, d].
///
/// # Inputs
/// `x` [n, d] in Z_{2^k}, k < 48, whose sums over the first axis stay below 2^(k-2).
/// # Error
/// 1/n rounded to 2^-16, plus 1 ulp.
/// # Cost
/// 3 hops: 1 UpCast of the sum, 2 truncation (1 if the result's ring is no larger than what dropping bits leaves of
/// 48).
/// # Security
/// As truncation.
/// # Source
/// Linear.
pub(crate) fn mean_rows<P: Primitives, W: RingWord, T: RingWord>(
    ctx: &Ctx<'_, P>,
    x: &P::Masked<W>,
    fraction: u32,
    out_fraction: u32,
    out_width: u32,
) -> Result<P::Masked<T>> {
    let &[n, d] = x.shape().dims() else {
        return Err(Error::shape("mean_rows", x.shape(), &Shape::new(&[0, 0])));
    };
    if n == 0 || x.width() >= WIDE || out_fraction > fraction + 16 {
        return Err(Error::Unsupported("a mean of no rows or of this format"));
    }
    let sum = x
        .restructure(&Permute(&[1, 0]))?
        .restructure(&SumLast)?
        .restructure(&Reshape(&Shape::new(&[1, d])))?;
    let sum: P::Masked<u64> = P::upcast(&ctx.step("widen")?, &sum, WIDE)?;
    let inverse = (65536.0 / n as f64).round_ties_even() as i64;
    let mean = P::mul_public_additive(&P::additive(ctx, &sum)?, inverse)?;
    truncate(&ctx.step("rescale")?, &mean, 16 + fraction - out_fraction, out_width)
}
