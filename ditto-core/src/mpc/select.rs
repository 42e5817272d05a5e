//! Opened bits times a shared number: the number where all of them are set, else 0.

use super::dealer::Preprocess;
use super::online::Evaluator;
use super::share::{Additive, Dealt, Mask, Masked, OpenedBits, OpenedMask};
use super::store::Stored;
use crate::cost::{Cost, Kind, Work};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::ring::Word;
use crate::tensor::{Array, Elem};

/// Most bits of one product; each doubles what is dealt.
const MOST: usize = 4;

/// Cost for `n` products of `bits` bits with a number in Z_{2^k}: for each non-empty set of them, the product of their
/// masks, and that times the number's mask.
pub(crate) fn cost(n: usize, bits: usize, k: u32) -> Cost {
    (1..1usize << bits).map(|_| Cost::deal(n, k) + Cost::deal(n, k)).fold(Cost::default(), Cost::then)
}

/// Whether so many bits, of these shapes, may multiply a number of that shape.
pub(crate) fn check<'a>(
    bits: impl ExactSizeIterator<Item = &'a crate::tensor::Shape>,
    y: &crate::tensor::Shape,
) -> Result<()> {
    if !(1..=MOST).contains(&bits.len()) {
        return Err(Error::Unsupported("a selection by no bits or by more than 4"));
    }
    for bit in bits {
        if bit != y {
            return Err(Error::shape("select", bit, y));
        }
    }
    Ok(())
}

/// What the parties compute for it.
pub(crate) fn work<W: Word>(n: usize, bits: usize, k: u32) -> Work {
    let set = |_| {
        let dealt = Work::deal::<W>(n, k) + Work::deal::<W>(n, k);
        dealt.helper_passes::<W>(2, n).helper(Kind::Step, 2 * n).online(Kind::Step, n)
    };
    let sets: Work = (1..1usize << bits).map(set).sum();
    sets.helper_passes::<W>(1, n).online_passes::<W>(1, n).online(Kind::Step, n)
}

pub(crate) fn offline<W: Stored + Elem>(
    ctx: &Ctx<'_, Preprocess>,
    bits: &[&OpenedMask<u8>],
    y: &Mask<W>,
) -> Result<Dealt<W>> {
    check(bits.iter().map(|b| &b.shape), &y.shape)?;
    let (k, n) = (y.k, y.shape.len());
    let masks: Option<Vec<&[u8]>> = bits.iter().map(|b| Some(b.t.as_ref()?.data())).collect();
    let known = masks.zip(y.lambda());
    for set in 1..1usize << bits.len() {
        let all =
            |i: usize, masks: &[&[u8]]| masks.iter().enumerate().all(|(j, t)| set >> j & 1 == 0 || t[i] == 1);
        let choose = |f: &dyn Fn(usize, W) -> W| {
            known.as_ref().map(|(masks, lambda)| {
                let value = |(i, &l)| if all(i, masks) { f(i, l) } else { W::default() };
                lambda.data().iter().enumerate().map(value).collect()
            })
        };
        let t = ctx.deal(n, k, choose(&|_, _| W::one()))?;
        let p = ctx.deal(n, k, choose(&|_, l| l))?;
        ctx.keep(t)?;
        ctx.keep(p)?;
    }
    Ok(Dealt::new(y.shape.clone(), k))
}

pub(crate) fn online<W: Stored + Elem>(
    ctx: &Ctx<'_, Evaluator>,
    bits: &[&OpenedBits<u8>],
    y: &Masked<W>,
) -> Result<Additive<W>> {
    check(bits.iter().map(|b| b.u.shape()), y.m.shape())?;
    let (k, n) = (y.k, y.m.len());
    let dealt = (1..1usize << bits.len())
        .map(|_| Ok((ctx.take::<W>(n)?, ctx.take::<W>(n)?)))
        .collect::<Result<Vec<_>>>()?;
    let first = ctx.first();
    // A bit is u + (1 - 2u) t. Of the product's terms over sets of bits only those are there that take t of every bit
    // with u = 0; each bit with u = 1 that gives its t changes the sign. A set's t is dealt, and so is t lambda:
    // t y = t m - t lambda.
    let part = |i: usize| {
        let (m, own) = (y.m.data()[i], y.own.data()[i]);
        let closed =
            bits.iter().enumerate().fold(0, |set, (j, b)| set | usize::from(b.u.data()[i] == 0) << j);
        let mut sum = match (closed, first) {
            (0, true) => m.wrapping_sub(&own),
            (0, false) => own.wrapping_neg(),
            _ => W::default(),
        };
        for (set, (t, p)) in (1usize..).zip(&dealt) {
            if set & closed == closed {
                let term = t[i].wrapping_mul(&m).wrapping_sub(&p[i]);
                let negative = (set & !closed).count_ones() % 2 == 1;
                sum = if negative { sum.wrapping_sub(&term) } else { sum.wrapping_add(&term) };
            }
        }
        sum.low(k)
    };
    Ok(Additive { k, a: Array::new(y.m.shape().clone(), (0..n).map(part).collect())? })
}
