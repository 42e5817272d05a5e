//! The exponential of a non-positive number, from its opened masked value.
//!
//! x = m - lambda with m known to the evaluators and lambda to P2, so e^x is a public e^m times a dealt e^-lambda.
//! The top bits of m and lambda say where the difference wraps: with h the middle of the ring,
//! lambda below h: e^x = e^m e^-lambda, or e^(m-2h) e^-lambda where m is above h;
//! lambda above h: e^x = e^(m-h) e^-(lambda-h) for all m.
//! P2 deals a pair of which the one that does not apply is 0, so the evaluators learn nothing of lambda.

use super::dealer::Preprocess;
use super::online::Evaluator;
use super::share::{Additive, Dealt, Mask, Masked, OpenedBits, OpenedMask};
use super::store::Stored;
use crate::cost::{Cost, Kind, Work};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::public_math;
use crate::recent::Recent;
use crate::ring::Word;
use crate::tensor::{Array, Elem};
use std::sync::Arc;

/// Formats of an exponential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpSpec {
    /// Fractional bits of the argument.
    pub fraction: u32,
    /// The argument lies in (-2^log_range, 0].
    pub log_range: u32,
    /// Fractional bits of the result.
    pub out_fraction: u32,
    /// Ring of the result.
    pub out_width: u32,
}

impl ExpSpec {
    /// Bits of the argument that count.
    pub(crate) fn argument(&self) -> u32 {
        self.fraction + 1 + self.log_range
    }

    /// Fractional bits of the dealt factor: its rounding costs half an ulp of the result at e^m = e^(2^log_range).
    fn dealt_fraction(&self) -> u32 {
        (f64::from(1u32 << self.log_range) * std::f64::consts::LOG2_E).ceil() as u32 + self.out_fraction
    }

    /// Fractional bits of the public factor.
    fn public_fraction(&self) -> u32 {
        self.out_fraction + 2
    }

    /// Bits dropped from the product of the two factors.
    fn drop(&self) -> u32 {
        self.dealt_fraction() + self.public_fraction() - self.out_fraction
    }

    /// Ring of the dealt numbers: large enough that dropping bits of shares cannot wrap.
    pub(crate) fn dealt_width(&self) -> u32 {
        self.out_width + self.drop()
    }

    fn check(&self, k: u32) -> Result<()> {
        if self.dealt_width() <= 64 && self.argument() <= 20 && self.argument() <= k {
            Ok(())
        } else {
            Err(Error::Unsupported("an exponential with these formats"))
        }
    }

    /// e^-i for i in units of the argument, as dealt.
    fn dealt_table(&self) -> Result<Arc<Vec<u64>>> {
        static TABLES: Tables = Recent::new(TABLES_KEPT);
        TABLES.get(*self, |spec| {
            let unit = public_math::power_of_two(-(spec.fraction as i32));
            let scale = public_math::power_of_two(spec.dealt_fraction() as i32);
            let entry = |i: u32| (public_math::exp(-f64::from(i) * unit) * scale).round_ties_even() as u64;
            Ok((0..1 << (spec.argument() - 1)).map(entry).collect())
        })
    }

    /// e^(i - h) for i in [0, 2h), h the middle of the ring.
    fn public_table(&self) -> Result<Arc<Vec<u64>>> {
        static TABLES: Tables = Recent::new(TABLES_KEPT);
        TABLES.get(*self, |spec| {
            let h = f64::from(1u32 << (spec.argument() - 1));
            let unit = public_math::power_of_two(-(spec.fraction as i32));
            let scale = public_math::power_of_two(spec.public_fraction() as i32);
            let entry =
                |i: u32| (public_math::exp((f64::from(i) - h) * unit) * scale).round_ties_even() as u64;
            Ok((0..1 << spec.argument()).map(entry).collect())
        })
    }
}

/// Tables of exponentials, by their formats.
type Tables = Recent<ExpSpec, Vec<u64>>;

/// A model has one or two formats of exponentials.
const TABLES_KEPT: usize = 4;

/// Cost for `n` exponentials, each times an opened bit: four dealt numbers.
pub(crate) fn cost(n: usize, spec: &ExpSpec) -> Cost {
    (0..4).map(|_| Cost::deal(n, spec.dealt_width())).fold(Cost::default(), Cost::then)
}

/// What the parties compute for it. The tables are made once and kept.
pub(crate) fn work<W: Word>(n: usize, spec: &ExpSpec) -> Work {
    (0..4)
        .map(|_| Work::deal::<u64>(n, spec.dealt_width()))
        .sum::<Work>()
        .helper_passes::<W>(1, n)
        .helper(Kind::Step, 2 * n)
        .online(Kind::Step, 3 * n)
}

pub(crate) fn offline<W: Stored + Elem>(
    ctx: &Ctx<'_, Preprocess>,
    spec: &ExpSpec,
    x: &Mask<W>,
    zero: &OpenedMask<u8>,
) -> Result<Dealt<u32>> {
    spec.check(x.k)?;
    if x.shape != zero.shape {
        return Err(Error::shape("exponential", &x.shape, &zero.shape));
    }
    let n = x.shape.len();
    let mut numbers: [Option<Vec<u64>>; 4] = Default::default();
    if let (Some(lambda), Some(t)) = (x.lambda(), &zero.t) {
        let table = spec.dealt_table()?;
        let h = table.len();
        let mut columns: [Vec<u64>; 4] = std::array::from_fn(|_| vec![0; n]);
        for (i, (l, t)) in lambda.data().iter().zip(t.data()).enumerate() {
            let l = l.low(spec.argument()).to_u64() as usize;
            columns[2 * usize::from(l >= h) + usize::from(*t)][i] = table[l % h];
        }
        numbers = columns.map(Some);
    }
    for values in numbers {
        let share = ctx.deal(n, spec.dealt_width(), values)?;
        ctx.keep(share)?;
    }
    Ok(Dealt::new(x.shape.clone(), spec.out_width))
}

pub(crate) fn online<W: Stored + Elem>(
    ctx: &Ctx<'_, Evaluator>,
    spec: &ExpSpec,
    x: &Masked<W>,
    zero: &OpenedBits<u8>,
) -> Result<Additive<u32>> {
    spec.check(x.k)?;
    let n = x.m.len();
    let low = [ctx.take::<u64>(n)?, ctx.take::<u64>(n)?];
    let high = [ctx.take::<u64>(n)?, ctx.take::<u64>(n)?];
    let table = spec.public_table()?;
    let (h, drop) = (table.len() / 2, spec.drop());
    let round = if ctx.first() { (1u64 << drop) - 1 } else { 0 };
    let value = |i: usize| {
        let m = x.m.data()[i].low(spec.argument()).to_u64() as usize;
        // The secret bit is u xor t: where u = 0 it is t, and the numbers for t = 0 must count.
        let keep = usize::from(zero.u.data()[i]);
        let (a, b) = (low[keep][i], high[keep][i]);
        let public = if m < h { table[m + h] } else { table[m - h] };
        let z = public.wrapping_mul(a).wrapping_add(table[m].wrapping_mul(b)).low(spec.dealt_width());
        ((z.wrapping_add(round)).low(spec.dealt_width()) >> drop) as u32
    };
    let out = (0..n).map(value).collect();
    Ok(Additive { k: spec.out_width, a: Array::new(x.m.shape().clone(), out)? })
}
