use super::inverse::{Inverse, InverseSpec, inverse};
use super::truncate::truncate;
use super::{Format, Fractional, log2_ceil};
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
/// Ring of lengths and means of rows in smaller ones.
const WIDE: u32 = 48;
/// The ring in which everything stays if rows and result are there.
const WHOLE: u32 = 64;

/// Octaves over which one, two and three Newton steps make an inverse root exact enough.
const OCTAVES: [i32; 3] = [22, 29, 33];

/// The range of squares, and the formats that go with it.
struct Squares {
    low: i32,
    high: i32,
    /// Fractional bits that rows lose where the ring of their statistics is too small for all.
    coarser: u32,
    /// Fractional bits that inverse roots gain: half as many as there are octaves above 2^10.
    finer: u32,
    /// Fractional bits that rows and inverse roots can do without, for a coarse result.
    spare: u32,
}

/// Fractional bits of rows beyond those of the result that still tell.
const BEYOND: u32 = 2;

impl Squares {
    /// From the range of the step `root` below this one, for rows whose squares' integer and fractional bits have `room` and
    /// a result with so many fractional bits.
    fn of<P>(ctx: &Ctx<'_, P>, room: u32, out_fraction: u32) -> Result<Self> {
        let scale = ctx.scale_of("root");
        let (low, high) = (scale.low.unwrap_or(LOW), scale.range.unwrap_or(HIGH));
        let finer = (high - HIGH).max(0).unsigned_abs().div_ceil(2);
        let spare = FRACTION.saturating_sub(out_fraction + BEYOND);
        let squares = Self { low, high, coarser: Self::coarser(high, room), finer, spare };
        // A table for each third of the octaves.
        if high > HIGHEST
            || !(3..=OCTAVES[2]).contains(&(high - low))
            || low + (squares.fraction() as i32) < LEAST
        {
            return Err(Error::Unsupported("a normalisation of rows with this range"));
        }
        Ok(squares)
    }

    fn coarser(high: i32, room: u32) -> u32 {
        let excess = (high + 2 * FRACTION as i32 - room as i32).max(0).unsigned_abs();
        excess.div_ceil(2).min(FRACTION)
    }

    /// Fractional bits of squares.
    fn fraction(&self) -> u32 {
        VARIANCE_FRACTION - 2 * self.coarser
    }

    /// Fractional bits of inverse roots.
    fn root_fraction(&self) -> u32 {
        RSQRT_FRACTION + self.finer - self.spare
    }

    fn inverse_root<P: Primitives>(
        &self,
        ctx: &Ctx<'_, P>,
        x: &P::Masked<u64>,
        ring: u32,
    ) -> Result<P::Masked<u64>> {
        let spec = InverseSpec {
            kind: Inverse::Rsqrt,
            fraction: self.fraction(),
            low: self.low,
            high: self.high,
            out_fraction: self.root_fraction(),
            out_width: ring,
            index: 13,
            mantissa: 10,
            steps: 1 + OCTAVES.iter().filter(|&&most| self.high - self.low > most).count() as u32,
        };
        inverse(ctx, x, &spec)
    }
}

/// Bits that a square has in the widest ring, beside what a row of 2^log_d of them takes.
fn room(log_d: u32) -> u32 {
    (WHOLE - 2).saturating_sub(2 * log_d)
}

/// The least exponent `low` that the range [2^low, 2^high) of variances of rows of `width` numbers can have.
pub fn least_variance(width: usize, high: i32) -> i32 {
    let coarser = Squares::coarser(high, room(log2_ceil(width)));
    (LEAST - VARIANCE_FRACTION as i32 + 2 * coarser as i32).max(high - OCTAVES[2])
}

/// x [..] as [.., 1].
fn column<P: Primitives>(x: &P::Masked<u64>) -> Result<P::Masked<u64>> {
    let mut dims = x.shape().dims().to_vec();
    dims.push(1);
    x.restructure(&Reshape(&Shape::new(&dims)))
}

/// Formats of a layer normalisation.
#[derive(Clone, Copy)]
struct Formats {
    /// Fractional bits of the rows that statistics are made of.
    fraction: u32,
    /// Ring of the statistics: holds d sum x^2 - (sum x)^2 exactly.
    width: u32,
    /// Ring of centred rows times gains.
    gained: u32,
    /// Ring of the quotient before its rescaling.
    ring: u32,
}

/// Integer bits of centred rows times gains, with the sign and a bit for UpCast.
const GAINED: u32 = 16;
/// The same of quotients.
const QUOTIENT: u32 = 12;

impl Formats {
    /// For rows of `x`, with the range of the step `root` below this one.
    fn of<P>(ctx: &Ctx<'_, P>, x: &impl Share, gain_fraction: u32, out: Format) -> Result<(Squares, Self)> {
        let d = x.shape().last();
        if d == 0 {
            return Err(Error::Unsupported("a normalisation of empty rows"));
        }
        let log_d = log2_ceil(d);
        let squares = Squares::of(ctx, room(log_d), out.fraction)?;
        let formats = Self::new(&squares, log_d, x.width(), gain_fraction, out)?;
        Ok((squares, formats))
    }

    /// For rows of 2^log_d numbers in Z_{2^k}.
    fn new(squares: &Squares, log_d: u32, k: u32, gain_fraction: u32, out: Format) -> Result<Self> {
        let (finest, root) = (FRACTION - squares.coarser.max(squares.spare), squares.root_fraction());
        // Bits of a variance, and what its sum needs beside the rows' fraction.
        let high = (2 + 2 * log_d).saturating_add_signed(squares.high);
        let formats = if k == WHOLE && out.width == WHOLE {
            // As many fractional bits as the ring holds.
            let most =
                (WHOLE.saturating_sub(high) / 2).min(WHOLE.saturating_sub(GAINED + log_d + gain_fraction));
            let fraction = out.fraction.max(finest).min(most);
            Self { fraction, width: WHOLE, gained: WHOLE, ring: WHOLE }
        } else {
            let gained = GAINED + finest + log_d + gain_fraction;
            let ring = QUOTIENT + finest + root;
            Self { fraction: finest, width: (high + 2 * finest).max(gained).max(ring), gained, ring }
        };
        let fits = formats.width <= WHOLE
            && formats.fraction >= finest
            && formats.fraction + root + QUOTIENT <= formats.ring
            && out.fraction <= formats.fraction + root;
        if fits { Ok(formats) } else { Err(Error::Unsupported("a normalisation of rows so long or so fine")) }
    }
}

/// What a layer normalisation does to normalised rows: secret gains and biases, and a public epsilon.
pub(crate) struct Norm<'a, S> {
    pub(crate) gain: Fractional<'a, S>,
    pub(crate) bias: Fractional<'a, S>,
    pub(crate) epsilon: f64,
}

/// Layer normalisation: rows less their mean, over their standard deviation, times gains, plus biases.
///
/// # Inputs
/// `x` [.., d], a sum at `fraction`, with |x| < 2^(k-2-fraction) and row variance in [2^-10, 2^10). Other bounds of the
/// variance, scaled by (d / 2^ceil(log2 d))^2, come as the range of the step `root` below this one, within [2^-14, 2^10), or
/// [2^(high - 24), 2^high) up to high = 22. Gains and biases, d of each; |(x - mean) gain| < 2^14.
/// # Output
/// `(x - mean) / sqrt(variance + epsilon) gain + bias` at `out.fraction` in Z_{2^out.width}; |result| < 2^10.
/// # Error
/// Input rounded to 2^-f and once more times its gain, factor relative 2^-9 (measured: 2^-9.8 at worst over the range of
/// variances), plus 1 ulp. f = 12, or two more than the result has if that is less; with x and result in Z_{2^64} it is the result's F, up to 26 - ceil(log2 d). A range
/// above 2^(38 - 2 ceil(log2 d)) costs half a bit of f per bit; a range of fewer octaves makes the factor finer (see the
/// inverse).
/// # Protocol
/// Truncate to f fractional bits in a ring that holds d sum x^2 - (sum x)^2 exactly. Side by side: open that per row and
/// take its inverse root; multiply the centred rows d x - sum x with the gains and truncate. Multiply the two, add the
/// biases, truncate. With x and result in Z_{2^64} all this stays there.
/// # Cost
/// 8 hops: 2 truncation, 1 variance, 3 inverse root (5 over more than 22 octaves, 7 over more than 29; the gains hide
/// behind them), 2 truncation; each truncation 1 if its ring is no larger than what dropping bits leaves.
/// # Security
/// As the protocols it is made of.
/// # Source
/// Specification of this project.
pub(crate) fn layer_norm<P: Primitives, W: RingWord, G: RingWord, T: RingWord>(
    ctx: &Ctx<'_, P>,
    x: Fractional<'_, P::Additive<W>>,
    norm: Norm<'_, P::Masked<G>>,
    out: Format,
) -> Result<P::Masked<T>> {
    let Fractional { share: x, fraction } = x;
    let (squares, formats) = Formats::of(ctx, x, norm.gain.fraction, out)?;
    let f = formats.fraction;
    let x = if fraction < f { P::mul_public_additive(x, 1 << (f - fraction))? } else { x.clone() };
    let x = truncate(&ctx.step("widen")?, &x, fraction.saturating_sub(f), formats.width)?;
    normal(ctx, &x, &squares, formats, norm, out)
}

/// [`layer_norm`] of rows that are masked already, which need not be opened again where they have the statistics' scale
/// and no more bits than these.
///
/// # Inputs
/// As [`layer_norm`].
/// # Error
/// That of [`layer_norm`]; where rows are taken as they are, they are not rounded.
/// # Cost
/// That of [`layer_norm`] for a sum in the same ring; where rows are taken as they are, one hop and 2 k bits online per
/// element less.
/// # Security
/// As the protocols it is made of. A masked row serves several of them; each has its own dealt numbers.
/// # Source
/// Specification of this project.
pub(crate) fn layer_norm_tensor<P: Primitives, W: RingWord, G: RingWord, T: RingWord>(
    ctx: &Ctx<'_, P>,
    x: Fractional<'_, P::Masked<W>>,
    norm: Norm<'_, P::Masked<G>>,
    out: Format,
) -> Result<P::Masked<T>> {
    let (squares, formats) = Formats::of(ctx, x.share, norm.gain.fraction, out)?;
    if x.fraction != formats.fraction || x.share.width() >= formats.width {
        let sum = P::additive(ctx, x.share)?;
        return layer_norm(ctx, Fractional { share: &sum, fraction: x.fraction }, norm, out);
    }
    let x = P::upcast(&ctx.step("widen")?.step("lift")?, x.share, formats.width)?;
    normal(ctx, &x, &squares, formats, norm, out)
}

/// The rest of a layer normalisation, of rows in the ring of their statistics.
fn normal<P: Primitives, G: RingWord, T: RingWord>(
    ctx: &Ctx<'_, P>,
    x: &P::Masked<u64>,
    squares: &Squares,
    formats: Formats,
    norm: Norm<'_, P::Masked<G>>,
    out: Format,
) -> Result<P::Masked<T>> {
    let d = x.shape().last();
    let (f, log_d) = (formats.fraction, log2_ceil(d));
    let sum = x.restructure(&SumLast)?;
    let (root, y) = ctx.join(
        ("root", |ctx| {
            let dot = P::product(&ctx.step("squares")?, Bilinear::RowDot, x, x)?;
            let square = P::product(&ctx.step("mean")?, Bilinear::Elementwise, &sum, &sum)?;
            let (dot, square) =
                (P::mul_public_additive(&dot, d as i64)?, P::mul_public_additive(&square, -1)?);
            let variance = P::add_additive(&dot, &square)?;
            // In units of 2^-2f / d^2.
            let epsilon =
                (norm.epsilon * power_of_two(2 * f as i32) * (d * d) as f64).round_ties_even() as i64;
            let variance = P::add_public_additive(ctx, &variance, epsilon)?;
            let drop = 2 * log_d + 2 * f - squares.fraction();
            let variance = P::remask(&ctx.step("variance")?, &P::shrink(ctx, &variance, drop)?)?;
            squares.inverse_root(ctx, &variance, formats.ring)
        }),
        ("gain", |ctx| {
            // d x - sum, times 2^ceil(log2 d) / d.
            let centred = P::sub(&P::mul_public(x, d as i64)?, &column::<P>(&sum)?)?;
            let centred: P::Masked<u64> = P::reduce(&centred, formats.gained)?;
            let gain = in_ring::<P, G>(&ctx.step("lift")?, norm.gain.share, formats.gained)?;
            let z = P::product(&ctx.step("product")?, Bilinear::Elementwise, &centred, &gain)?;
            truncate::<P, u64, u64>(&ctx.step("rescale")?, &z, log_d + norm.gain.fraction, formats.ring)
        }),
    )?;
    let z = P::product(&ctx.step("scale")?, Bilinear::Elementwise, &y, &column::<P>(&root)?)?;
    let fraction = f + squares.root_fraction();
    let Some(up) = fraction.checked_sub(norm.bias.fraction).filter(|&up| up < formats.ring) else {
        return Err(Error::Unsupported("a bias finer than the normalised rows that it is added to"));
    };
    let bias = in_ring::<P, G>(&ctx.step("bias")?, norm.bias.share, formats.ring - up)?;
    let bias = P::additive(ctx, &P::shift_up::<u64, u64>(&bias, up)?)?;
    truncate(&ctx.step("rescale")?, &P::add_additive(&z, &bias)?, fraction - out.fraction, out.width)
}

/// `x` in a ring of `k` bits: lifted if its own is smaller.
fn in_ring<P: Primitives, W: RingWord>(ctx: &Ctx<'_, P>, x: &P::Masked<W>, k: u32) -> Result<P::Masked<u64>> {
    if x.width() < k { P::upcast(ctx, x, k) } else { P::reduce(x, k) }
}

/// Rows scaled to Euclidean length 1.
///
/// # Inputs
/// `x` [.., d] at `fraction`, row length between 2^-6 and 2^5 (other bounds of its square come as the range of the step
/// `root` below this one); in rings of at most 48 bits `fraction` <= 12, in Z_{2^64} <= 20.
/// # Output
/// `x / |x|` at `out_fraction` in Z_{2^out_width}.
/// # Error
/// Factor relative 2^-9 (measured: 2^-9.8 at worst over the range of lengths), plus 1 ulp.
/// # Cost
/// 7 hops: 1 UpCast (none from 48 bits on), 1 squared length, 3 inverse root, 2 truncation (1 if the result's ring is no
/// larger than what dropping bits leaves of 48, or of x's own if that is larger).
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
    let ring = x.width().max(WIDE);
    let range = Squares::of(ctx, WIDE - 2, FRACTION)?;
    let (finest, Some(drop)) =
        (FRACTION + (ring - WIDE) / 2, (fraction + range.root_fraction()).checked_sub(out_fraction))
    else {
        return Err(Error::Unsupported("normalising rows to so many fractional bits"));
    };
    if fraction > finest || ring > WHOLE {
        return Err(Error::Unsupported("normalising rows of this format"));
    }
    let x = in_ring::<P, W>(&ctx.step("widen")?, x, ring)?;
    let squares = P::product(&ctx.step("squares")?, Bilinear::RowDot, &x, &x)?;
    let (up, down) =
        (range.fraction().saturating_sub(2 * fraction), (2 * fraction).saturating_sub(range.fraction()));
    let squares = P::mul_public_additive(&squares, 1 << up)?;
    let squares = if down > 0 { P::shrink(ctx, &squares, down)? } else { squares };
    let length = P::remask(&ctx.step("length")?, &squares)?;
    let root = range.inverse_root(&ctx.step("root")?, &length, ring)?;
    let z = P::product(&ctx.step("scale")?, Bilinear::Elementwise, &x, &column::<P>(&root)?)?;
    truncate(&ctx.step("rescale")?, &z, drop, out_width)
}

/// Mean over the first axis of [n, d], as [1, d].
///
/// # Inputs
/// `x` [n, d] in Z_{2^k} whose sums over the first axis stay below 2^(k-2), and times 2^16 / n below 2^46 or 2^(k-2).
/// # Error
/// 1/n rounded to 2^-16, plus 1 ulp.
/// # Cost
/// 3 hops: 1 UpCast of the sum (none from 48 bits on), 2 truncation (1 if the result's ring is no larger than what
/// dropping bits leaves of 48, or of x's own if that is larger).
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
    let Some(drop) = (16 + fraction).checked_sub(out_fraction).filter(|_| n > 0 && x.width() <= WHOLE) else {
        return Err(Error::Unsupported("a mean of no rows or of this format"));
    };
    let sum = x
        .restructure(&Permute(&[1, 0]))?
        .restructure(&SumLast)?
        .restructure(&Reshape(&Shape::new(&[1, d])))?;
    let sum = in_ring::<P, W>(&ctx.step("widen")?, &sum, x.width().max(WIDE))?;
    let inverse = (65536.0 / n as f64).round_ties_even() as i64;
    let mean = P::mul_public_additive(&P::additive(ctx, &sum)?, inverse)?;
    truncate(&ctx.step("rescale")?, &mean, drop, out_width)
}
