//! A sum of a few cosines and sines of an opened value.
//!
//! x = m - lambda, so cos(w x) = cos(w m) cos(w lambda) + sin(w m) sin(w lambda): public factors of m times dealt
//! functions of lambda. Every frequency is a whole multiple of one that divides the ring, so nothing wraps; the
//! multiples may be any, not only 1, 2, 3.

use std::sync::{Arc, OnceLock};

use super::dealer::Preprocess;
use super::online::Evaluator;
use super::share::{Additive, Dealt, Mask, Masked};
use super::store::Stored;
use crate::cost::{Cost, Kind, Work};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::public_math::{cos_sin, power_of_two};
use crate::ring::{Word, cast};
use crate::tensor::{Array, Elem};

/// `cos cos(a) + sin sin(a)` with the angle a = 2 pi frequency x / period.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wave {
    /// Turns per period.
    pub frequency: u32,
    /// Factor of the cosine.
    pub cos: f64,
    /// Factor of the sine.
    pub sin: f64,
    /// Fractional bits of the dealt cosine and sine.
    pub dealt: u32,
    /// Fractional bits of the public factors.
    pub public: u32,
}

impl Wave {
    /// The largest value.
    pub(crate) fn amplitude(&self) -> f64 {
        (self.cos * self.cos + self.sin * self.sin).sqrt()
    }

    /// What the rounding of the public and of the dealt numbers can make, at any argument and mask: two vectors are
    /// multiplied, of which the public one errs by at most sqrt(1/2) 2^-public and the dealt one by sqrt(1/2) 2^-dealt.
    pub(crate) fn rounding(&self) -> [f64; 2] {
        let public = std::f64::consts::FRAC_1_SQRT_2 * power_of_two(-(self.public as i32));
        let dealt = std::f64::consts::FRAC_1_SQRT_2 * power_of_two(-(self.dealt as i32));
        [public * (1.0 + dealt), self.amplitude() * dealt]
    }
}

/// `constant + sum of waves`.
#[derive(Clone, Debug)]
pub struct SeriesSpec {
    /// The period is 2^log_period units of the argument.
    pub log_period: u32,
    /// Fractional bits of the result.
    pub out_fraction: u32,
    /// Ring of the result.
    pub out_width: u32,
    /// The constant term.
    pub constant: f64,
    /// The waves.
    pub waves: Vec<Wave>,
    dealt: Tables,
    public: Tables,
}

/// Pairs of integers, per wave and residue; made when they are first needed, and shared by copies.
type Tables = OnceLock<Arc<[Vec<[i32; 2]>]>>;

/// Longest period of the tables.
pub(crate) const MAX_LOG_PERIOD: u32 = 18;
/// Most fractional bits of a dealt number or a public factor; the integers stay below 2^31.
pub(crate) const MAX_FACTOR: u32 = 24;

impl SeriesSpec {
    /// A series; nothing is computed yet.
    pub fn new(log_period: u32, out_fraction: u32, out_width: u32, constant: f64, waves: Vec<Wave>) -> Self {
        let (dealt, public) = Default::default();
        Self { log_period, out_fraction, out_width, constant, waves, dealt, public }
    }

    /// Fractional bits of the sum before its last rounding.
    pub(crate) fn scale(&self) -> u32 {
        self.waves.iter().map(|w| w.dealt + w.public).fold(self.out_fraction, u32::max)
    }

    fn drop(&self) -> u32 {
        self.scale() - self.out_fraction
    }

    /// Ring of a wave's dealt numbers: a factor of 2^u needs u bits less.
    pub(crate) fn dealt_width(&self, wave: &Wave) -> u32 {
        self.out_width + wave.dealt + wave.public - self.out_fraction
    }

    fn check(&self, k: u32) -> Result<()> {
        let wave = |w: &Wave| {
            w.dealt <= MAX_FACTOR
                && w.public <= MAX_FACTOR
                && w.amplitude() < 64.0
                && w.dealt + w.public + self.out_width > self.out_fraction
        };
        let fits = (3..=MAX_LOG_PERIOD.min(k)).contains(&self.log_period)
            && self.out_width <= 32
            && self.out_width + self.drop() <= 64
            && self.waves.iter().all(wave);
        if fits { Ok(()) } else { Err(Error::Unsupported("a series with these formats")) }
    }

    /// What goes into the program digest: the numbers that the tables are computed from, bit for bit.
    pub(crate) fn noted(&self) -> String {
        let Self { log_period, out_fraction, out_width, constant, waves, .. } = self;
        format!("series {log_period} {out_fraction} {out_width} {constant:?} {waves:?}")
    }

    /// The sum at the integer `x`.
    pub(crate) fn value(&self, x: i64) -> f64 {
        let n = 1i64 << self.log_period;
        let at = x.rem_euclid(n);
        let term = |w: &Wave| {
            let (c, s) = cos_sin((at * i64::from(w.frequency) % n) as usize, n as usize);
            w.cos * c + w.sin * s
        };
        self.waves.iter().map(term).fold(self.constant, |sum, term| sum + term)
    }

    /// A table per wave, of what `pair` makes of the wave and the cosine and sine of its angle.
    fn tables(&self, pair: impl Fn(&Wave, (f64, f64)) -> ([f64; 2], u32)) -> Vec<Vec<[i32; 2]>> {
        let n = 1usize << self.log_period;
        let circle: Vec<(f64, f64)> = (0..n).map(|i| cos_sin(i, n)).collect();
        let table = |w: &Wave| {
            let entry = |i: usize| {
                let (values, bits) = pair(w, circle[i * w.frequency as usize % n]);
                values.map(|v| (v * power_of_two(bits as i32)).round_ties_even() as i32)
            };
            (0..n).map(entry).collect()
        };
        self.waves.iter().map(table).collect()
    }

    /// Per wave and residue of lambda: cosine and sine as they are dealt.
    fn dealt(&self) -> &[Vec<[i32; 2]>] {
        self.dealt.get_or_init(|| self.tables(|w, (c, s)| ([c, s], w.dealt)).into())
    }

    /// Per wave and residue of m: the factors of the dealt pair.
    fn public(&self) -> &[Vec<[i32; 2]>] {
        let factors = |w: &Wave, (c, s)| ([w.cos * c + w.sin * s, w.cos * s - w.sin * c], w.public);
        self.public.get_or_init(|| self.tables(factors).into())
    }
}

/// Cost for `n` values: a message per wave.
pub(crate) fn cost(n: usize, spec: &SeriesSpec) -> Cost {
    let deals = spec.waves.iter().map(|w| Cost::deal(2 * n, spec.dealt_width(w)));
    deals.fold(Cost::default(), Cost::then)
}

/// What the parties compute for it. The tables are made once for a process, and left out.
pub(crate) fn work<W: Word>(n: usize, spec: &SeriesSpec) -> Work {
    let wave = |wave| {
        let width = spec.dealt_width(wave);
        let dealt = if width <= 32 {
            Work::deal::<u32>(2 * n, width).helper_passes::<u32>(1, n)
        } else {
            Work::deal::<u64>(2 * n, width).helper_passes::<u64>(1, n)
        };
        dealt.helper(Kind::Step, 2 * n).online_passes::<u64>(1, n).online(Kind::Step, n)
    };
    let waves: Work = spec.waves.iter().map(wave).sum();
    waves.helper_passes::<W>(1, n).online_passes::<u64>(1, n)
}

pub(crate) fn offline<W: Stored + Elem>(
    ctx: &Ctx<'_, Preprocess>,
    spec: &SeriesSpec,
    x: &Mask<W>,
) -> Result<Dealt<u32>> {
    spec.check(x.k)?;
    let lambda = x.lambda();
    for (i, wave) in spec.waves.iter().enumerate() {
        if spec.dealt_width(wave) <= 32 {
            deal::<W, u32>(ctx, spec, i, x, lambda.as_ref())?;
        } else {
            deal::<W, u64>(ctx, spec, i, x, lambda.as_ref())?;
        }
    }
    Ok(Dealt::new(x.shape.clone(), spec.out_width))
}

fn deal<W: Stored + Elem, D: Stored>(
    ctx: &Ctx<'_, Preprocess>,
    spec: &SeriesSpec,
    wave: usize,
    x: &Mask<W>,
    lambda: Option<&Array<W>>,
) -> Result<()> {
    let width = spec.dealt_width(&spec.waves[wave]);
    let values = lambda.map(|lambda| {
        let table = &spec.dealt()[wave];
        let pairs = lambda.data().iter().map(|l| table[l.low(spec.log_period).to_u64() as usize]);
        pairs.flat_map(|pair| pair.map(|v| D::from_i64(i64::from(v)).low(width))).collect()
    });
    let share = ctx.deal(2 * x.shape.len(), width, values)?;
    ctx.keep(share)
}

pub(crate) fn online<W: Stored + Elem>(
    ctx: &Ctx<'_, Evaluator>,
    spec: &SeriesSpec,
    x: &Masked<W>,
) -> Result<Additive<u32>> {
    spec.check(x.k)?;
    let (n, drop, width) = (x.m.len(), spec.drop(), spec.out_width + spec.drop());
    // P0 adds the constant, and rounds its share up.
    let scaled = (spec.constant * power_of_two(spec.scale() as i32)).round_ties_even() as i64 as u64;
    let start = if ctx.first() { scaled.wrapping_add(u64::mask(drop)) } else { 0 };
    let mut sums = vec![start; n];
    for (i, wave) in spec.waves.iter().enumerate() {
        if spec.dealt_width(wave) <= 32 {
            add_wave::<W, u32>(ctx, spec, i, x, &mut sums)?;
        } else {
            add_wave::<W, u64>(ctx, spec, i, x, &mut sums)?;
        }
    }
    let out = sums.into_iter().map(|z| (z.low(width) >> drop) as u32).collect();
    Ok(Additive { k: spec.out_width, a: Array::new(x.m.shape().clone(), out)? })
}

fn add_wave<W: Stored + Elem, D: Stored>(
    ctx: &Ctx<'_, Evaluator>,
    spec: &SeriesSpec,
    wave: usize,
    x: &Masked<W>,
    sums: &mut [u64],
) -> Result<()> {
    let dealt = ctx.take::<D>(2 * x.m.len())?;
    let table = &spec.public()[wave];
    let up = spec.scale() - spec.waves[wave].dealt - spec.waves[wave].public;
    for ((z, m), pair) in sums.iter_mut().zip(x.m.data()).zip(dealt.chunks_exact(2)) {
        let factors = table[m.low(spec.log_period).to_u64() as usize];
        let term = |i: usize| (i64::from(factors[i]) as u64).wrapping_mul(cast::<D, u64>(pair[i]));
        *z = z.wrapping_add(term(0).wrapping_add(term(1)) << up);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roundings_stay_within_their_bound_at_every_argument_and_mask() {
        let wave = |frequency, cos, sin, dealt, public| Wave { frequency, cos, sin, dealt, public };
        for waves in [
            vec![wave(1, 1.0, 0.0, 3, 3)],
            vec![wave(3, -2.9, 0.3, 6, 4), wave(13, 0.24, 0.0, 3, 5), wave(24, 0.0, 0.027, 2, 4)],
            vec![wave(31, 7.7, -5.1, 9, 2), wave(5, 0.01, 0.02, 2, 9)],
        ] {
            let bound: f64 = waves.iter().flat_map(Wave::rounding).sum();
            let spec = SeriesSpec::new(7, 4, 12, 0.0, waves);
            let mut worst = 0f64;
            for m in 0..128usize {
                for lambda in 0..128usize {
                    let product = |(i, w): (usize, &Wave)| {
                        let (p, d) = (spec.public()[i][m], spec.dealt()[i][lambda]);
                        let sum: i32 = p.iter().zip(d).map(|(p, d)| p * d).sum();
                        f64::from(sum) * power_of_two(-((w.dealt + w.public) as i32))
                    };
                    let got: f64 = spec.waves.iter().enumerate().map(product).sum();
                    worst = worst.max((got - spec.value(m as i64 - lambda as i64)).abs());
                }
            }
            assert!(worst <= bound && worst > bound / 8.0, "{worst} of {bound}: {:?}", spec.waves);
        }
    }
}
