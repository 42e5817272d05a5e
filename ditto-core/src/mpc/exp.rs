//! The exponential of a non-positive number, from its opened masked value.
//!
//! x = m - lambda with m known to the evaluators and lambda to P2, so e^x is a public e^m times a dealt e^-lambda.
//! The top bits of m and lambda say where the difference wraps: with h the middle of the ring,
//! lambda below h: e^x = e^m e^-lambda, or e^(m-2h) e^-lambda where m is above h;
//! lambda above h: e^x = e^(m-h) e^-(lambda-h) for all m.
//! P2 deals a pair of which the one that does not apply is 0, so the evaluators learn nothing of lambda.
//!
//! Over a range of R a dealt number has 1.44 R bits more than the result, of which an evaluator needs but those that its
//! public factor moves into the result: it reads 128 bits at a place that m says.

mod power;

use super::dealer::Preprocess;
use super::online::Evaluator;
use super::share::{Additive, Dealt, Mask, Masked, OpenedBits, OpenedMask};
use super::store::Stored;
use crate::cost::{Cost, Kind, Work};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::ring::Word;
use crate::tensor::{Array, Elem, Shape};
use power::{Factor, Powers};
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

/// Widest dealt number, in bits.
const WIDEST: u32 = 256;
/// Bits that an evaluator reads of a dealt number.
const WINDOW: u32 = 128;

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

    /// Whether the argument's ring and these formats fit.
    pub(crate) fn check(&self, k: u32) -> Result<()> {
        let fits = self.log_range <= 7
            && self.out_fraction <= 24
            && (self.out_fraction + 2..=64).contains(&self.out_width)
            && self.dealt_width() <= WIDEST
            && self.argument() <= k.min(20);
        if fits { Ok(()) } else { Err(Error::Unsupported("an exponential with these formats")) }
    }

    fn powers(&self) -> Arc<Powers> {
        Powers::of(self.fraction, 1 << self.log_range)
    }
}

/// Numbers dealt for each argument: one for each half of the ring, and of those one for each mask of the bit.
fn numbers(by_bit: bool) -> usize {
    if by_bit { 4 } else { 2 }
}

/// Cost for `n` exponentials: two dealt numbers, or four where each is multiplied by an opened bit.
pub(crate) fn cost(n: usize, spec: &ExpSpec, by_bit: bool) -> Cost {
    let columns = Preprocess::columns(spec.dealt_width());
    let number = columns.map(|bits| Cost::deal(n, bits)).fold(Cost::default(), Cost::then);
    (0..numbers(by_bit)).fold(Cost::default(), |sum, _| sum + number)
}

/// What the parties compute for it. The tables are made once and kept.
pub(crate) fn work<W: Word>(n: usize, spec: &ExpSpec, by_bit: bool) -> Work {
    let columns = Preprocess::columns(spec.dealt_width());
    let number: Work = columns.map(|bits| Work::deal::<u64>(n, bits)).sum();
    (0..numbers(by_bit))
        .map(|_| number)
        .sum::<Work>()
        .helper_passes::<W>(1, n)
        .helper(Kind::Step, 4 * n)
        .online(Kind::Step, 6 * n)
}

pub(crate) fn offline<W: Stored + Elem>(
    ctx: &Ctx<'_, Preprocess>,
    spec: &ExpSpec,
    x: &Mask<W>,
    zero: Option<&OpenedMask<u8>>,
) -> Result<Dealt<u64>> {
    spec.check(x.k)?;
    check_shapes(&x.shape, zero.map(|z| &z.shape))?;
    let (n, width) = (x.shape.len(), spec.dealt_width());
    let count = numbers(zero.is_some());
    let mut dealt: Vec<Option<Vec<Vec<u64>>>> = vec![None; count];
    if let Some(lambda) = x.lambda() {
        let t = zero.and_then(|z| z.t.as_ref());
        let (powers, h) = (spec.powers(), 1u64 << (spec.argument() - 1));
        let limbs = Preprocess::columns(width).len();
        let mut columns = vec![vec![vec![0u64; n]; limbs]; count];
        for (i, l) in lambda.data().iter().enumerate() {
            let l = l.low(spec.argument()).to_u64();
            let half = usize::from(l >= h);
            let number = match t {
                Some(t) => 2 * half + usize::from(t.data()[i]),
                None => half,
            };
            let value = powers.exp(-((l % h) as i64)).scaled(spec.dealt_fraction());
            for (column, limb) in columns[number].iter_mut().zip(value) {
                column[i] = limb;
            }
        }
        dealt = columns.into_iter().map(Some).collect();
    }
    for values in dealt {
        for share in ctx.deal_wide(n, width, values)? {
            ctx.keep(share)?;
        }
    }
    Ok(Dealt::new(x.shape.clone(), spec.out_width))
}

pub(crate) fn online<W: Stored + Elem>(
    ctx: &Ctx<'_, Evaluator>,
    spec: &ExpSpec,
    x: &Masked<W>,
    zero: Option<&OpenedBits<u8>>,
) -> Result<Additive<u64>> {
    spec.check(x.k)?;
    check_shapes(x.m.shape(), zero.map(|z| z.u.shape()))?;
    let n = x.m.len();
    let limbs = Preprocess::columns(spec.dealt_width()).len();
    let number = |_| (0..limbs).map(|_| ctx.take::<u64>(n)).collect::<Result<Vec<_>>>();
    let dealt = (0..numbers(zero.is_some())).map(number).collect::<Result<Vec<_>>>()?;
    let (powers, h) = (spec.powers(), 1i64 << (spec.argument() - 1));
    // Bits below the result's that are kept until the shares are rounded: P0 up, P1 down.
    let guard = WINDOW - spec.out_width;
    let first = ctx.first();
    let round = if first { (1u128 << guard) - 1 } else { 0 };
    let term = |number: usize, i: usize, y: i64| {
        let Factor { mantissa, shift } = powers.exp(y).factor(spec.public_fraction());
        let window = window(&dealt[number], i, spec.drop() as i32 - guard as i32 - shift as i32);
        // What lies below the window would carry into it half of the time, for each of two shares.
        window.wrapping_add(u128::from(first)).wrapping_mul(u128::from(mantissa))
    };
    let value = |i: usize| {
        let m = x.m.data()[i].low(spec.argument()).to_u64() as i64;
        // The secret bit is u xor t: where u = 0 it is t, and the numbers for t = 0 must count.
        let [low, high] = match zero {
            Some(zero) => [0, 2].map(|half| half + usize::from(zero.u.data()[i])),
            None => [0, 1],
        };
        let z = term(low, i, if m < h { m } else { m - 2 * h }).wrapping_add(term(high, i, m - h));
        ((z.wrapping_add(round)) >> guard) as u64
    };
    let out = (0..n).map(value).collect();
    Ok(Additive { k: spec.out_width, a: Array::new(x.m.shape().clone(), out)? })
}

/// The 128 bits from bit `from` on of element `i` of numbers in columns of 64 bits; zeros beyond both ends.
fn window(columns: &[Arc<Vec<u64>>], i: usize, from: i32) -> u128 {
    let limb = |j: usize| columns.get(j).map_or(0, |column| u128::from(column[i]));
    let Ok(from) = u32::try_from(from) else {
        return (limb(0) | limb(1) << 64).checked_shl(from.unsigned_abs()).unwrap_or(0);
    };
    let (at, bits) = ((from / 64) as usize, from % 64);
    let low = (limb(at) | limb(at + 1) << 64) >> bits;
    if bits == 0 { low } else { low | limb(at + 2) << (128 - bits) }
}

/// Bits, where there are any, have the argument's shape.
pub(crate) fn check_shapes(x: &Shape, zero: Option<&Shape>) -> Result<()> {
    match zero {
        Some(zero) if zero != x => Err(Error::shape("exponential", x, zero)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_shifts_of_the_whole_number() {
        let limbs: [u64; 3] = [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210, 0x0f1e_2d3c_4b5a_6978];
        let columns: Vec<_> = limbs.iter().map(|&l| Arc::new(vec![7, l])).collect();
        let bit = |i: i32| {
            u32::try_from(i).is_ok_and(|i| limbs.get(i as usize / 64).is_some_and(|l| l >> (i % 64) & 1 == 1))
        };
        for from in -130..200 {
            let want = (0..128).rev().fold(0u128, |w, i| w << 1 | u128::from(bit(from + i)));
            assert_eq!(window(&columns, 1, from), want, "from {from}");
        }
    }
}
