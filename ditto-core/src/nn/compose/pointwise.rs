use super::attention::add_scalar;
use super::puma_gelu::puma_gelu;
use super::truncate::truncate;
use super::{Format, Fractional};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::mpc::{Bilinear, Share};
use crate::nn::pointwise::plan::{Affine, Middle, Plan, Table, Tails};
use crate::nn::{Activation, Pointwise};
use crate::observe::POINTWISE;
use crate::primitives::{Primitives, RingWord};
use crate::public_math::power_of_two;
use crate::tensor::{Reshape, Slice};

/// An activation of a sum: see [`Activation`].
///
/// # Error
/// Quad: 1 ulp, and what an ulp of x makes. PUMA's GeLU: 3 ulp of its polynomials. The others: 2^-8, or 2 ulp where
/// that is more.
/// # Cost
/// Quad 2 hops (4 in a ring of 64 bits), PUMA's GeLU 10; the others as [`pointwise`].
/// # Security
/// As the protocols it is made of.
/// # Source
/// Ditto (Quad), PUMA, and this project.
pub(crate) fn activation<P: Primitives, W: RingWord, T: RingWord>(
    ctx: &Ctx<'_, P>,
    function: Activation,
    x: &P::Additive<W>,
    fraction: u32,
    out_fraction: u32,
    out_width: u32,
) -> Result<P::Masked<T>> {
    if let Some(function) = function.pointwise() {
        return pointwise(ctx, function, x, fraction, out_fraction, out_width);
    }
    if function == Activation::PumaGelu {
        let out = Format { fraction: out_fraction, width: out_width };
        return puma_gelu(ctx, Fractional { share: x, fraction }, out);
    }
    let Some(drop) = fraction.checked_sub(out_fraction) else {
        return Err(Error::Unsupported("Quad of a number with fewer fractional bits than its result"));
    };
    quad(ctx, x, drop, out_fraction, out_width)
}

/// `0.125 x^2 + 0.25 x + 0.5 = (x^2 + 2 x + 4) / 8`.
///
/// # Inputs
/// A sum; |x| < 2^(k-2-drop-fraction), and |x + 1| < 2^((k2+2)/2 - fraction/2) for results in Z_{2^k2}. In a ring of 64
/// bits |x + 1| < 2^(31-fraction).
/// # Error
/// x rounded by less than 1 ulp, the result by less than 1 ulp more.
/// # Protocol
/// Open x under a mask; the polynomial is local from there; truncate. A ring of 64 bits has no larger one: there x is
/// truncated to it, squared, and truncated again.
/// # Cost
/// 2 hops, from k - drop opened bits; 4 in a ring of 64 bits (3 if nothing is dropped).
/// # Security
/// As remask and the polynomial, or product and truncation.
/// # Source
/// Ditto, section 3 (Quad); MPCFormer. One opening for sum and polynomial: specification of this project.
fn quad<P: Primitives, W: RingWord, T: RingWord>(
    ctx: &Ctx<'_, P>,
    x: &P::Additive<W>,
    drop: u32,
    fraction: u32,
    width: u32,
) -> Result<P::Masked<T>> {
    let wide = width + fraction + 3;
    if wide <= 64 && drop + 2 <= x.width() && x.width() - drop + 1 < wide {
        let x = if drop == 0 { x.clone() } else { P::shrink(ctx, x, drop)? };
        let x = P::remask(&ctx.step("input")?, &x)?;
        let z = P::quadratic(&ctx.step("polynomial")?, &x, 2 << fraction, wide)?;
        let z = P::add_public_additive(ctx, &z, 4 << (2 * fraction))?;
        let z = P::reduce_additive::<u64, T>(&P::shrink(ctx, &z, fraction + 3)?, width)?;
        return P::remask(&ctx.step("rescale")?, &z);
    }
    let x: P::Masked<T> = truncate(&ctx.step("input")?, x, drop, width)?;
    let x = add_scalar::<P, T>(&x, 1 << fraction)?;
    let square = P::product(&ctx.step("square")?, Bilinear::Elementwise, &x, &x)?;
    let square = P::add_public_additive(ctx, &square, 3 << (2 * fraction))?;
    truncate(&ctx.step("rescale")?, &square, fraction + 3, width)
}

/// A pointwise function of a sum, by the plan that is fastest for its formats on the link of the settings.
///
/// # Inputs
/// A sum whose numbers lie in the function's range, or in the one that the settings say of this step.
/// # Error
/// The function's tolerance, for all arguments, masks and coins; what [`Pointwise::report`] says is proven for the
/// formats at hand. Out of range: wrong, and reported by the simulation.
/// # Protocol
/// Open x. Side by side: the middle part from the opened value, remasked and lifted; comparisons with the ends of the
/// tails, opened. With C the middle part and v the bit "between the tails", the result is
/// `high + v (C - high) + [x is low] (low - high)`, shrunk, remasked and lifted.
/// # Cost
/// 3 to 7 hops; bits as [`Pointwise::report`] tells, which meters this function.
/// # Security
/// As the protocols it is made of.
/// # Source
/// SHAFT (NDSS 2025) for sines of masked values; free frequencies, the fit and the tails are this project's.
pub(crate) fn pointwise<P: Primitives, W: RingWord, T: RingWord>(
    ctx: &Ctx<'_, P>,
    function: &Pointwise,
    x: &P::Additive<W>,
    fraction: u32,
    out_fraction: u32,
    out_width: u32,
) -> Result<P::Masked<T>> {
    let narrowed;
    let function = match ctx.scale().range {
        Some(log) => {
            narrowed = function.reaching(log)?;
            &narrowed
        }
        None => function,
    };
    let formats = [fraction, out_fraction, out_width];
    function.with_plan(formats, &ctx.settings().link, x.shape().len(), |plan| {
        let needed = plan.open + fraction - plan.input;
        if x.width() < needed {
            return Err(function.error(format!(
                "an argument of {fraction} fractional bits needs a ring of {needed} bits for this range, and has {}",
                x.width()
            )));
        }
        apply_plan(ctx, plan, x, fraction, out_fraction, out_width)
    })
}

/// Runs a plan.
///
/// # Inputs
/// A sum in the plan's range, in a ring of at least `open + fraction - input` bits.
/// # Error
/// As the plan was checked for.
/// # Cost
/// As [`pointwise`].
/// # Security
/// As [`pointwise`].
/// # Source
/// As [`pointwise`].
pub(crate) fn apply_plan<P: Primitives, W: RingWord, T: RingWord>(
    ctx: &Ctx<'_, P>,
    plan: &Plan,
    x: &P::Additive<W>,
    fraction: u32,
    out_fraction: u32,
    out_width: u32,
) -> Result<P::Masked<T>> {
    let drop = fraction - plan.input;
    let x = if drop == 0 { x.clone() } else { P::shrink(ctx, x, drop)? };
    let x = P::remask(&ctx.step("open")?, &P::reduce_additive::<W, u32>(&x, plan.open)?)?;
    let unit = power_of_two(-(plan.input as i32));
    let ends = [plan.range[0], plan.range[1] + 1].map(|end| end as f64 * unit);
    P::claim(ctx, POINTWISE, &x, plan.input as i32, ends[0], ends[1])?;
    // For arguments in the range the plan was checked: its rings hold whatever comes of them.
    ctx.holds_by_construction();
    let (drop, up) = (plan.scale - plan.fraction, out_fraction - plan.fraction);
    let y = combine(ctx, plan, &x)?;
    let y = P::add_public_additive(ctx, &y, -(plan.centre << drop))?;
    let y = if drop == 0 { y } else { P::shrink(ctx, &y, drop)? };
    // A result with more fractional bits than the tolerance needs is shifted up at the end.
    let target = out_width - up;
    let y: P::Masked<T> = if target <= plan.width {
        P::remask(&ctx.step("remask")?, &P::reduce_additive::<u32, T>(&y, target)?)?
    } else {
        let y = P::remask(&ctx.step("remask")?, &y)?;
        P::upcast::<u32, T>(&ctx.step("lift")?, &y, target)?
    };
    let y = add_scalar::<P, T>(&y, plan.centre)?;
    if up == 0 { Ok(y) } else { P::shift_up(&y, up) }
}

/// The result at the plan's scale, in its ring.
fn combine<P: Primitives>(ctx: &Ctx<'_, P>, plan: &Plan, x: &P::Masked<u32>) -> Result<P::Additive<u32>> {
    let ring = plan.ring();
    let sum = |a: &P::Additive<u32>, line: Affine| add_line::<P>(ctx, a, x, line, ring);
    let base = match plan.tails {
        Tails::None => return sum(&middle(&ctx.step("middle")?, plan, x)?, plan.line),
        Tails::Meeting(low, high) => {
            let bits = compare(&ctx.step("regions")?, plan, x)?;
            let bit = bits.restructure(&Reshape(x.shape()))?;
            let step = difference(&ctx.step("tails")?, &bit, x, low.minus(high), ring)?;
            return sum(&step, high);
        }
        Tails::Low(tail) | Tails::High(tail) | Tails::Both(_, tail) => tail,
    };
    // The middle part less the tail that counts where its bit is clear; and the bits.
    let (over, bits) = ctx.join(
        ("middle", |ctx| {
            let y = P::remask(&ctx.step("remask")?, &middle(ctx, plan, x)?)?;
            let y = if plan.narrow < ring { P::upcast(&ctx.step("lift")?, &y, ring)? } else { y };
            let line = plan.line.minus(base);
            let y = add_scalar::<P, u32>(&y, line.offset)?;
            if line.slope == 0 { Ok(y) } else { P::add(&y, &multiple::<P>(x, line.slope, ring)?) }
        }),
        ("regions", |ctx| compare(ctx, plan, x)),
    )?;
    let bit = |i: usize| {
        let row = bits.restructure(&Slice { axis: 0, start: i, end: i + 1 })?;
        row.restructure(&Reshape(x.shape()))
    };
    let chosen = P::select(&ctx.step("choose")?, &bit(0)?, &over)?;
    match plan.tails {
        // The only bit says "low": the middle part counts where it is clear.
        Tails::Low(low) => {
            let rest = P::add_additive(&P::additive(ctx, &over)?, &P::mul_public_additive(&chosen, -1)?)?;
            sum(&rest, low)
        }
        Tails::Both(low, high) if low != high => {
            let step = difference(&ctx.step("tails")?, &bit(1)?, x, low.minus(high), ring)?;
            sum(&P::add_additive(&chosen, &step)?, high)
        }
        _ => sum(&chosen, base),
    }
}

/// Opened bits, a row each: "between the tails" and, if they differ, "low"; or the only comparison there is.
fn compare<P: Primitives>(ctx: &Ctx<'_, P>, plan: &Plan, x: &P::Masked<u32>) -> Result<P::OpenedBits<u8>> {
    let signs = plan.signs.as_ref().ok_or(Error::Internal("tails without comparisons"))?;
    let signs = P::signs(&ctx.step("compare")?, signs, x)?;
    let bits = match plan.tails {
        Tails::Both(low, high) => {
            let row = |i| signs.restructure(&Slice { axis: 0, start: i, end: i + 1 });
            let (below, low_bit) = (row(0)?, row(1)?);
            let between = P::xor(&below, &low_bit)?;
            if low == high { between } else { Share::concat(&[&between, &low_bit], 0)? }
        }
        _ => signs,
    };
    P::open_bits(&ctx.step("open")?, &bits)
}

/// `c x` in a ring for which x's own may have too few bits, if the factor has enough zeros. Local.
fn multiple<P: Primitives>(x: &P::Masked<u32>, c: i64, ring: u32) -> Result<P::Masked<u32>> {
    let zeros = c.trailing_zeros().min(ring - 1);
    let x = P::mul_public(&P::reduce::<u32, u32>(x, ring - zeros)?, c >> zeros)?;
    P::shift_up(&x, zeros)
}

/// `a + slope x + offset`. Local.
fn add_line<P: Primitives>(
    ctx: &Ctx<'_, P>,
    a: &P::Additive<u32>,
    x: &P::Masked<u32>,
    line: Affine,
    ring: u32,
) -> Result<P::Additive<u32>> {
    let a = P::add_public_additive(ctx, a, line.offset)?;
    if line.slope == 0 {
        return Ok(a);
    }
    P::add_additive(&a, &P::additive(ctx, &multiple::<P>(x, line.slope, ring)?)?)
}

/// Factors of two that slope and offset of a line have in common, and that its product with a bit can do without.
fn common_zeros(line: Affine, ring: u32) -> u32 {
    (line.slope | line.offset).trailing_zeros().min(ring - 1)
}

/// `bit (slope x + offset)`: of a constant only the bits that its factor of two leaves are dealt.
fn difference<P: Primitives>(
    ctx: &Ctx<'_, P>,
    bit: &P::OpenedBits<u8>,
    x: &P::Masked<u32>,
    line: Affine,
    ring: u32,
) -> Result<P::Additive<u32>> {
    let zeros = common_zeros(line, ring);
    let small = ring - zeros;
    let y = if line.slope == 0 {
        let bit = P::bits_to_arithmetic::<u8, u32>(ctx, bit, small)?;
        P::mul_public_additive(&bit, line.offset >> zeros)?
    } else {
        let y = multiple::<P>(x, line.slope >> zeros, small)?;
        P::select(ctx, bit, &add_scalar::<P, u32>(&y, line.offset >> zeros)?)?
    };
    P::shift_up_additive(&y, zeros)
}

/// The middle part at the plan's scale in its narrow ring.
fn middle<P: Primitives>(ctx: &Ctx<'_, P>, plan: &Plan, x: &P::Masked<u32>) -> Result<P::Additive<u32>> {
    match &plan.middle {
        Middle::Nothing => Err(Error::Internal("tails that meet have no middle")),
        Middle::Series(spec) => P::series(&ctx.step("series")?, spec, x),
        Middle::Table(spec) => table(&ctx.step("table")?, spec, x, plan.narrow),
    }
}

/// A table's value, plus its slope times what the index leaves of x.
fn table<P: Primitives>(
    ctx: &Ctx<'_, P>,
    spec: &Table,
    x: &P::Masked<u32>,
    ring: u32,
) -> Result<P::Additive<u32>> {
    let x = add_scalar::<P, u32>(x, -spec.start)?;
    let number = |ctx: &Ctx<'_, P>, opened: &P::OpenedBits<u64>, shift: u32, least: i64| {
        let y = P::bits_to_arithmetic::<u64, u32>(ctx, opened, ring - shift)?;
        P::add_public_additive(ctx, &y, least)
    };
    let (up, value) = (spec.shifts, spec.value);
    let look = ctx.step("lookup")?;
    let Some(slope) = spec.slope else {
        let word = P::open_bits(&ctx.step("open")?, &P::lookup(&look, &x, &spec.lookup)?)?;
        return P::shift_up_additive(&number(&ctx.step("value")?, &word, up[0], value.least)?, up[0]);
    };
    let (word, rest) = P::lookup_with_rest::<u32, u32>(&look, &x, &spec.lookup, ring - up[1])?;
    let word = P::open_bits(&ctx.step("open")?, &word)?;
    let at_zero = P::part_of_bits(&word, 0, value.bits)?;
    let at_zero = number(&ctx.step("value")?, &at_zero, up[0], value.least)?;
    let steep = P::part_of_bits(&word, value.bits, slope.bits)?;
    let steep = P::remask(&ctx.step("remask")?, &number(&ctx.step("slope")?, &steep, up[1], slope.least)?)?;
    let product = P::product(&ctx.step("product")?, Bilinear::Elementwise, &steep, &rest)?;
    P::add_additive(&P::shift_up_additive(&at_zero, up[0])?, &P::shift_up_additive(&product, up[1])?)
}
