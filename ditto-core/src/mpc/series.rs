//! A short Fourier series of an opened value, plus a multiple of the value itself.
//!
//! x = m - lambda, so cos(j x) = cos(j m) cos(j lambda) + sin(j m) sin(j lambda): public factors of m times dealt
//! functions of lambda. If the period divides the ring, nothing wraps.

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

/// Fractional bits of dealt cosines and sines.
const DEALT: u32 = 12;
/// Fractional bits of public factors.
const PUBLIC: u32 = 11;

/// Coefficients of one harmonic.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Harmonic {
    /// Factor of cos(2 pi j x / period).
    pub cos: f64,
    /// Factor of sin(2 pi j x / period).
    pub sin: f64,
}

/// `constant + x / 2^halvings (if any) + sum_j harmonic_j(2 pi j x / period)`.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesSpec {
    /// Fractional bits of x and of the result.
    pub fraction: u32,
    /// The period is 2^log_period.
    pub log_period: u32,
    /// Ring of the result.
    pub out_width: u32,
    /// The constant term.
    pub constant: f64,
    /// `Some(h)`: adds x / 2^h; then x's ring must be h bits wider than the result's.
    pub halvings: Option<u32>,
    /// Harmonics j = 1, 2, ..
    pub harmonics: Vec<Harmonic>,
}

impl SeriesSpec {
    fn drop(&self) -> u32 {
        DEALT + PUBLIC - self.fraction
    }

    /// Ring of the dealt numbers.
    pub(crate) fn dealt_width(&self) -> u32 {
        self.out_width + self.drop()
    }

    fn period(&self) -> usize {
        1 << (self.log_period + self.fraction)
    }

    fn check(&self, k: u32) -> Result<()> {
        let fits = self.fraction < DEALT + PUBLIC
            && self.dealt_width() <= 32
            && self.log_period + self.fraction <= k.min(16)
            && self.halvings.is_none_or(|h| self.out_width + h <= k && self.fraction + h <= DEALT + PUBLIC);
        if fits { Ok(()) } else { Err(Error::Unsupported("a series with these formats")) }
    }

    /// Fractional bits of [`Self::scaled_value`].
    pub(crate) const SCALED: u32 = DEALT + PUBLIC;

    /// What the series stands for at the integer `x`, before its last rounding.
    pub(crate) fn scaled_value(&self, x: i64) -> i128 {
        let n = self.period() as i64;
        let i = x.rem_euclid(n) as usize;
        let terms = self.harmonics.iter().enumerate().map(|(j, h)| {
            let (c, s) = cos_sin(i * (j + 1), n as usize);
            h.cos * c + h.sin * s
        });
        let series = (self.constant + terms.sum::<f64>()) * power_of_two(Self::SCALED as i32);
        let linear = self.halvings.map_or(0, |h| i128::from(x) << (Self::SCALED - self.fraction - h));
        series.round_ties_even() as i128 + linear
    }

    /// Per residue of lambda: cos and sin of every harmonic, as dealt.
    fn dealt_table(&self) -> Vec<u32> {
        let scale = power_of_two(DEALT as i32);
        let n = self.period();
        let mut table = Vec::with_capacity(n * 2 * self.harmonics.len());
        for i in 0..n {
            for j in 1..=self.harmonics.len() {
                let (c, s) = cos_sin(i * j, n);
                table.extend(
                    [c, s].map(|v| ((v * scale).round_ties_even() as i32 as u32).low(self.dealt_width())),
                );
            }
        }
        table
    }

    /// Per residue of m: what each dealt number is multiplied with.
    fn public_table(&self) -> Vec<u32> {
        let scale = power_of_two(PUBLIC as i32);
        let n = self.period();
        let mut table = Vec::with_capacity(n * 2 * self.harmonics.len());
        for i in 0..n {
            for (j, h) in self.harmonics.iter().enumerate() {
                let (c, s) = cos_sin(i * (j + 1), n);
                let factors = [h.cos * c + h.sin * s, h.cos * s - h.sin * c];
                table.extend(factors.map(|v| (v * scale).round_ties_even() as i32 as u32));
            }
        }
        table
    }
}

/// Cost for `n` values.
pub(crate) fn cost(n: usize, spec: &SeriesSpec) -> Cost {
    Cost::deal(n * 2 * spec.harmonics.len(), spec.dealt_width())
}

/// What the parties compute for it.
pub(crate) fn work<W: Word>(n: usize, spec: &SeriesSpec) -> Work {
    let (per, functions) = (2 * spec.harmonics.len(), spec.period() * spec.harmonics.len());
    Work::deal::<u32>(n * per, spec.dealt_width())
        .helper(Kind::Function, functions)
        .helper_passes::<W>(1, n)
        .helper_passes::<u32>(1, n * per)
        .helper(Kind::Step, n)
        .online(Kind::Function, functions)
        .online(Kind::Step, 2 * n)
        .online(Kind::Pass, n * (2 * size_of::<W>() + 8 * per))
}

pub(crate) fn offline<W: Stored + Elem>(
    ctx: &Ctx<'_, Preprocess>,
    spec: &SeriesSpec,
    x: &Mask<W>,
) -> Result<Dealt<u32>> {
    spec.check(x.k)?;
    let per = 2 * spec.harmonics.len();
    let values = x.lambda().map(|lambda| {
        let table = spec.dealt_table();
        let period = spec.period() - 1;
        let mut out = Vec::with_capacity(lambda.len() * per);
        for l in lambda.data() {
            let at = (l.to_u64() as usize & period) * per;
            out.extend_from_slice(&table[at..at + per]);
        }
        out
    });
    let share = ctx.deal(x.shape.len() * per, spec.dealt_width(), values)?;
    ctx.keep(share)?;
    Ok(Dealt::new(x.shape.clone(), spec.out_width))
}

pub(crate) fn online<W: Stored + Elem>(
    ctx: &Ctx<'_, Evaluator>,
    spec: &SeriesSpec,
    x: &Masked<W>,
) -> Result<Additive<u32>> {
    spec.check(x.k)?;
    let per = 2 * spec.harmonics.len();
    let dealt = ctx.take::<u32>(x.m.len() * per)?;
    let table = spec.public_table();
    let (period, width, drop) = (spec.period() - 1, spec.dealt_width(), spec.drop());
    let first = ctx.first();
    let constant = (spec.constant * power_of_two((DEALT + PUBLIC) as i32)).round_ties_even() as i64 as u32;
    let (start, round) = if first { (constant, (1u32 << drop) - 1) } else { (0, 0) };
    let value = |(i, (m, own)): (usize, (&W, &W))| {
        let at = (m.to_u64() as usize & period) * per;
        let terms = table[at..at + per].iter().zip(&dealt[i * per..(i + 1) * per]);
        let mut z = terms.fold(start, |z, (&p, &d)| z.wrapping_add(p.wrapping_mul(d)));
        if let Some(h) = spec.halvings {
            let share = if first { m.wrapping_sub(own) } else { own.wrapping_neg() };
            z = z.wrapping_add(cast::<W, u32>(share) << (DEALT + PUBLIC - spec.fraction - h));
        }
        z.wrapping_add(round).low(width) >> drop
    };
    let out = x.m.data().iter().zip(x.own.data()).enumerate().map(value).collect();
    Ok(Additive { k: spec.out_width, a: Array::new(x.m.shape().clone(), out)? })
}
