use super::attention::add_scalar;
use super::puma_gelu::puma_gelu;
use super::truncate::truncate;
use super::{Format, Fractional};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::mpc::{Bilinear, Harmonic, SeriesSpec, Share};
use crate::nn::Activation;
use crate::primitives::{Primitives, RingWord};
use crate::public_math::power_of_two;
use crate::tensor::Slice;

/// Cosine coefficients, period 16, of `x erf(x / sqrt 2) / 2` on [-6, 6]; minimax error 0.55 * 2^-8.
const GELU: [f64; 7] = [
    1.921_030_708_505_096_4,
    -1.584_413_328_386_923_3,
    -0.121_510_427_729_561_85,
    -0.126_963_783_214_785_21,
    -0.056_214_765_790_473_166,
    -0.014_090_875_910_898_767,
    -0.015_691_710_406_574_445,
];
/// Sine coefficients, period 16, of `tanh x` on [-6, 6]; minimax error 0.23 * 2^-8.
const TANH: [f64; 10] = [
    1.199_423_268_665_226_5,
    -0.002_212_701_477_989_191_7,
    0.248_981_268_225_059_84,
    0.012_089_553_009_106_451,
    0.054_078_007_098_558_5,
    0.019_861_220_303_156_082,
    0.002_956_972_755_580_144,
    0.013_745_574_084_302_294,
    -0.002_776_570_191_118_557_5,
    0.004_858_026_338_884_248,
];

/// Most fractional bits of a series; results with more get zeros.
const FINEST: u32 = 12;

/// A pointwise function of a sum: see [`Activation`].
///
/// # Error
/// Quad: 1 ulp, and what an ulp of x makes. GeLU and tanh: 2^-8 plus 2 ulp, or 2 units of 2^-12. PUMA's GeLU: 3 ulp of its polynomials.
/// # Cost
/// Quad 4 hops, GeLU and tanh 5, PUMA's GeLU 10; see the functions that do it.
/// # Security
/// As the protocols it is made of.
/// # Source
/// Ditto (Quad), SHAFT (sines), and this project.
pub(crate) fn activation<P: Primitives, W: RingWord, T: RingWord>(
    ctx: &Ctx<'_, P>,
    function: Activation,
    x: &P::Additive<W>,
    fraction: u32,
    out_fraction: u32,
    out_width: u32,
) -> Result<P::Masked<T>> {
    let Some(drop) = fraction.checked_sub(out_fraction) else {
        return Err(Error::Unsupported("a pointwise function that adds fractional bits"));
    };
    if matches!(function, Activation::Gelu | Activation::Tanh) && out_fraction > FINEST {
        let y = activation(ctx, function, x, fraction, FINEST, out_width)?;
        return P::mul_public(&y, 1 << (out_fraction - FINEST));
    }
    match function {
        Activation::Quad => quad(ctx, x, drop, out_fraction, out_width),
        Activation::PumaGelu => {
            let out = Format { fraction: out_fraction, width: out_width };
            puma_gelu(ctx, Fractional { share: x, fraction }, out)
        }
        Activation::Gelu => {
            let harmonics = GELU[1..].iter().map(|&cos| Harmonic { cos, sin: 0.0 }).collect();
            let middle = Middle { constant: GELU[0], halvings: Some(1), harmonics };
            saturating(ctx, x, drop, out_fraction, out_width, middle, Tails::ZeroAndIdentity)
        }
        Activation::Tanh => {
            let harmonics = TANH.iter().map(|&sin| Harmonic { cos: 0.0, sin }).collect();
            let middle = Middle { constant: 0.0, halvings: None, harmonics };
            saturating(ctx, x, drop, out_fraction, out_width, middle, Tails::MinusOneAndOne)
        }
    }
}

/// `0.125 x^2 + 0.25 x + 0.5 = ((x + 1)^2 + 3) / 8`.
///
/// # Inputs
/// A sum; |x + 1| < 2^((k-2)/2 - fraction) in the result's ring.
/// # Error
/// x rounded by less than 1 ulp, the result by less than 1 ulp more.
/// # Cost
/// 4 hops: two truncations; 3 if the first drops nothing and keeps the ring.
/// # Security
/// As product and truncation.
/// # Source
/// Ditto, section 3 (Quad); MPCFormer.
fn quad<P: Primitives, W: RingWord, T: RingWord>(
    ctx: &Ctx<'_, P>,
    x: &P::Additive<W>,
    drop: u32,
    fraction: u32,
    width: u32,
) -> Result<P::Masked<T>> {
    let x: P::Masked<T> = truncate(&ctx.step("input")?, x, drop, width)?;
    let x = add_scalar::<P, T>(&x, 1 << fraction)?;
    let square = P::product(&ctx.step("square")?, Bilinear::Elementwise, &x, &x)?;
    let square = P::add_public_additive(ctx, &square, 3 << (2 * fraction))?;
    truncate(&ctx.step("rescale")?, &square, fraction + 3, width)
}

/// A function on [-6, 6]: a Fourier series of period 16, plus x / 2^h.
struct Middle {
    constant: f64,
    halvings: Option<u32>,
    harmonics: Vec<Harmonic>,
}

/// A function below -4 and above 4.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tails {
    ZeroAndIdentity,
    MinusOneAndOne,
}

/// Integer bits of the argument, with sign; UpCast of the result needs one bit to spare, so |x| < 127.
const INTEGER: u32 = 9;

/// A function that is a short series in the middle and affine outside.
///
/// # Inputs
/// A sum with |x| < 127.
/// # Error
/// That of the series (below 2^-8) and of rounding argument and result (below 2 ulp), for all x in the range. The regions may switch anywhere in
/// 4 <= |x| <= 6, where both sides agree to 2^-11 (GeLU: 1.3e-4; tanh: 6.7e-4).
/// # Protocol
/// Open x; the series from the opened value; two comparisons of its integer part; with C the series, the result is
/// `high + [x < 6] (C - high) + [x < -4] (low - C)` up to the slack of the comparisons.
/// # Cost
/// 5 hops: open x; comparison beside remasking C; open two bits; remask; UpCast.
/// # Security
/// As the protocols it is made of.
/// # Source
/// SHAFT (NDSS 2025) for sines; regions by comparison are this project's.
fn saturating<P: Primitives, W: RingWord, T: RingWord>(
    ctx: &Ctx<'_, P>,
    x: &P::Additive<W>,
    drop: u32,
    fraction: u32,
    out_width: u32,
    middle: Middle,
    tails: Tails,
) -> Result<P::Masked<T>> {
    let width = fraction + INTEGER;
    let x = if drop == 0 { x.clone() } else { P::shrink(ctx, x, drop)? };
    if x.width() < width + 1 {
        return Err(Error::Unsupported("a pointwise function in so small a ring"));
    }
    let x = P::remask(&ctx.step("open")?, &P::reduce_additive::<W, u32>(&x, width + 1)?)?;
    let limit = power_of_two(INTEGER as i32 - 2) - 1.0;
    P::claim(ctx, "pointwise function", &x, fraction, -limit, limit)?;
    let spec = SeriesSpec {
        fraction,
        log_period: 4,
        out_width: width,
        constant: middle.constant,
        halvings: middle.halvings,
        harmonics: middle.harmonics,
    };
    let (c, bits) = ctx.join(
        ("series", |ctx| P::remask(&ctx.step("remask")?, &P::series(ctx, &spec, &x)?)),
        ("regions", |ctx| {
            // The integer part errs by -1 to 2: thresholds 6 and -4 switch within [4, 6] and [-6, -4].
            let whole: P::Masked<u16> = P::floor_shift(&x, fraction, INTEGER, false)?;
            let (upper, lower) = (add_scalar::<P, u16>(&whole, -6)?, add_scalar::<P, u16>(&whole, 4)?);
            let flat = |m: &P::Masked<u16>| {
                let n = m.shape().len();
                m.restructure(&crate::tensor::Reshape(&crate::tensor::Shape::new(&[1, n])))
            };
            let both = Share::concat(&[&flat(&upper)?, &flat(&lower)?], 0)?;
            P::open_bits(&ctx.step("open")?, &P::msb(&ctx.step("msb")?, &both)?)
        }),
    )?;
    let side = |i| {
        let row = bits.restructure(&Slice { axis: 0, start: i, end: i + 1 })?;
        row.restructure(&crate::tensor::Reshape(x.shape()))
    };
    let x: P::Masked<u32> = P::reduce(&x, width)?;
    let one = 1i64 << fraction;
    let (high, to_middle, to_low) = match tails {
        Tails::ZeroAndIdentity => (x.clone(), P::sub(&c, &x)?, P::mul_public(&c, -1)?),
        Tails::MinusOneAndOne => {
            let zero = P::sub(&c, &c)?;
            let to_low = add_scalar::<P, u32>(&P::mul_public(&c, -1)?, -one)?;
            (add_scalar::<P, u32>(&zero, one)?, add_scalar::<P, u32>(&c, -one)?, to_low)
        }
    };
    let middle = P::select(&ctx.step("middle")?, &side(0)?, &to_middle)?;
    let low = P::select(&ctx.step("low")?, &side(1)?, &to_low)?;
    let y = P::add_additive(&P::additive(ctx, &high)?, &P::add_additive(&middle, &low)?)?;
    let y = P::remask(&ctx.step("remask")?, &y)?;
    P::upcast(&ctx.step("lift")?, &y, out_width)
}
