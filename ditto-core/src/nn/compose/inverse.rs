use std::sync::Arc;

use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::mpc::{Lookup, MAX_INDEX_BITS, Segments, Share};
use crate::observe::INVERSE;
use crate::primitives::Primitives;
use crate::public_math::power_of_two;
use crate::recent::Recent;

/// Which inverse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inverse {
    /// 1 / x.
    Reciprocal,
    /// 1 / sqrt(x).
    Rsqrt,
}

/// Formats of an inverse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InverseSpec {
    pub(crate) kind: Inverse,
    /// Fractional bits of x.
    pub(crate) fraction: u32,
    /// x >= 2^low.
    pub(crate) low: i32,
    /// x < 2^high.
    pub(crate) high: i32,
    /// Fractional bits of the result.
    pub(crate) out_fraction: u32,
    /// Ring of the result.
    pub(crate) out_width: u32,
    /// Index bits of each table; a segment of o octaves gets 2^(index - o - 1) entries in its lowest one.
    pub(crate) index: u32,
    /// Bits of a first guess.
    pub(crate) mantissa: u32,
    /// Newton steps, at least 1; each squares the relative error.
    pub(crate) steps: u32,
}

/// Most tables that are kept, of 64 KiB at most: a calibrated model has nine formats a layer.
const TABLES_KEPT: usize = 256;

impl InverseSpec {
    /// Edges of the three segments, as exponents of two.
    fn edge(&self, g: i32) -> i32 {
        self.low + (g * (self.high - self.low) + 2) / 3
    }

    fn power(&self) -> u32 {
        match self.kind {
            Inverse::Reciprocal => 2,
            Inverse::Rsqrt => 3,
        }
    }

    /// Bits that the Newton step adds to the scale.
    fn drop(&self) -> u32 {
        match self.kind {
            Inverse::Reciprocal => self.out_fraction + self.fraction,
            Inverse::Rsqrt => 2 * self.out_fraction + self.fraction + 1,
        }
    }

    fn function(&self, x: f64) -> f64 {
        match self.kind {
            Inverse::Reciprocal => 1.0 / x,
            Inverse::Rsqrt => 1.0 / x.sqrt(),
        }
    }

    /// Exponent of the last mantissa bit in segment `g`: the largest value there just fits.
    fn shift(&self, g: i32) -> Result<u32> {
        let edge = self.edge(g);
        let top = match self.kind {
            Inverse::Reciprocal => -edge,
            Inverse::Rsqrt => -edge.div_euclid(2),
        };
        u32::try_from(self.out_fraction as i32 + top - self.mantissa as i32 + 1)
            .map_err(|_| Error::Unsupported("an inverse with so few fractional bits"))
    }

    fn segments(&self) -> Result<Segments> {
        let width = self.out_width + self.drop();
        if width > 128 {
            return Err(Error::Unsupported("an inverse with so many fractional bits"));
        }
        Ok(Segments {
            mantissa: self.mantissa,
            shifts: [self.shift(0)?, self.shift(1)?, self.shift(2)?],
            width,
        })
    }

    /// Table of segment `g` for arguments of `width` bits.
    fn table(&self, g: i32, width: u32) -> Result<Arc<Lookup>> {
        static TABLES: Recent<(InverseSpec, i32, u32), Lookup> = Recent::new(TABLES_KEPT);
        TABLES.get((*self, g, width), |(spec, g, width)| spec.make_table(*g, &spec.segments()?, *width))
    }

    /// Its mantissa, and from segment 1 on the flag, at their place in the common word.
    fn make_table(&self, g: i32, segments: &Segments, width: u32) -> Result<Lookup> {
        // The value modulo twice the segment's end, so that the next segment has taken over before it wraps.
        let bits = ((self.edge(g + 1) + 1 + self.fraction as i32).max(1) as u32).min(width);
        let drop = bits.saturating_sub(self.index.min(MAX_INDEX_BITS));
        let unit = power_of_two(drop as i32 - self.fraction as i32);
        let scale = power_of_two(self.out_fraction as i32 - segments.shifts[g as usize] as i32);
        let limit = power_of_two(self.mantissa as i32) - 1.0;
        let entry = |i: u32| {
            // Index i stands for values within one unit of i units.
            let x = f64::from(i).max(0.5) * unit;
            let on = g == 0 || x >= power_of_two(self.edge(g));
            let mantissa =
                if on { (self.function(x) * scale).round_ties_even().min(limit) as u64 } else { 0 };
            let flag = u64::from(on && g > 0) << self.mantissa;
            (mantissa | flag) << segments.position(g as usize)
        };
        Lookup::new(drop, segments.word_bits(), (0..1 << (bits - drop)).map(entry).collect())
    }
}

/// 1/x or 1/sqrt(x) of positive scalars.
///
/// # Inputs
/// `x` in Z_{2^h} at `fraction`, 2^low <= x < 2^high, and below 2^(h-2) as an integer.
/// # Output
/// The inverse at `out_fraction` in Z_{2^out_width}.
/// # Error
/// With o the octaves of a segment, the first guess errs by less than d = 2^(o + 1 - index) + 2^(o - mantissa - 1) for
/// the reciprocal, half the first plus 2^((o + 1) / 2 - mantissa - 1) for the root (index unit in the lowest octave, mantissa in the highest).
/// A step makes d^2 of d for the reciprocal, 1.5 d^2 for the root, both relative, plus 1 ulp. Outside the range: wrong.
/// # Protocol
/// Three tables, one per third of the octaves, of which the last with its flag set wins; beside them x is lifted to
/// the ring of the Newton step, which is one polynomial of opened values.
/// # Cost
/// 3 hops, and 2 more for every Newton step after the first, which takes as many bits as the first and an UpCast
/// again; per element with one step about 2 (3 mantissa + 2) + 2 (h2 + (h2 - h) + out_width) bits online, h2 the Newton step's ring.
/// # Security
/// As lookup, upcast, open_bits, segments, remask and newton.
/// # Source
/// Specification of this project.
pub(crate) fn inverse<P: Primitives>(
    ctx: &Ctx<'_, P>,
    x: &P::Masked<u64>,
    spec: &InverseSpec,
) -> Result<P::Masked<u64>> {
    let segments = spec.segments()?;
    P::claim(ctx, INVERSE, x, spec.fraction as i32, power_of_two(spec.low), power_of_two(spec.high))?;
    let (wide, guess) = ctx.join(
        ("lift", |ctx| P::upcast::<u64, u128>(ctx, x, segments.width)),
        ("guess", |ctx| {
            let read = |g: i32| P::lookup(&ctx.index("table", g as usize)?, x, &*spec.table(g, x.width())?);
            let word = P::xor(&P::xor(&read(0)?, &read(1)?)?, &read(2)?)?;
            let word = P::open_bits(&ctx.step("open")?, &word)?;
            let guess = P::segments(&ctx.step("segments")?, &segments, &word)?;
            P::remask(&ctx.step("remask")?, &guess)
        }),
    )?;
    let lead = match spec.kind {
        Inverse::Reciprocal => 2u128 << spec.drop(),
        Inverse::Rsqrt => 3u128 << (spec.drop() - 1),
    };
    let mut root = newton_step(ctx, spec, &wide, &guess, lead)?;
    for step in 1..spec.steps {
        let ctx = ctx.index("again", step as usize)?;
        let guess = P::upcast::<u64, u128>(&ctx.step("lift")?, &root, segments.width)?;
        root = newton_step(&ctx, spec, &wide, &guess, lead)?;
    }
    Ok(root)
}

fn newton_step<P: Primitives>(
    ctx: &Ctx<'_, P>,
    spec: &InverseSpec,
    x: &P::Masked<u128>,
    guess: &P::Masked<u128>,
    lead: u128,
) -> Result<P::Masked<u64>> {
    let better = P::newton(&ctx.step("newton")?, x, guess, spec.power(), lead)?;
    let better = P::shrink(ctx, &better, spec.drop())?;
    P::remask(&ctx.step("remask")?, &P::reduce_additive::<u128, u64>(&better, spec.out_width)?)
}
