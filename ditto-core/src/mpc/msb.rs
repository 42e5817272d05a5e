//! The sign bit: one-hot digits of the mask, compared with the opened value.
//!
//! x = m - lambda, so `msb(x) = msb(m) ^ msb(lambda) ^ [m_low < lambda_low]` over the low k-1 bits. P2 deals one-hot
//! encodings of lambda's digits; the evaluators read `[c < d]` and `[c = d]` of each digit locally and combine them with
//! one AND per further digit.

use super::dealer::Preprocess;
use super::online::Evaluator;
use super::share::{Dealt, Mask, Masked, Xor};
use super::store::Stored;
use crate::cost::{Cost, Kind, Work};
use crate::ctx::Ctx;
use crate::error::Result;
use crate::ring::Word;
use crate::tensor::{Array, Elem};

/// Widest digit; its one-hot encoding fills one 64-bit word.
const MAX_DIGIT: u32 = 6;

/// Digit widths of the low k-1 bits, low digit first, as equal as can be.
fn digits(k: u32, widest: u32) -> Vec<u32> {
    let n = (k - 1).div_ceil(widest);
    if n == 0 {
        return Vec::new();
    }
    let (base, extra) = ((k - 1) / n, (k - 1) % n);
    (0..n).map(|i| base + u32::from(i < extra)).collect()
}

/// Cost for `n` signs in Z_{2^k}.
pub(crate) fn cost(n: usize, k: u32) -> Cost {
    let digits = digits(k, MAX_DIGIT);
    let hot = digits.iter().map(|&w| Cost::deal(n, 1 << w)).fold(Cost::deal(n, 1), Cost::then);
    let and = Cost::deal(n, 1) + Cost::exchange(n, 2);
    (1..digits.len()).fold(hot, |cost, _| cost + and)
}

/// What the parties compute for it.
pub(crate) fn work<W: Word>(n: usize, k: u32) -> Work {
    let top = Work::deal::<u8>(n, 1)
        .helper_passes::<W>(1, n)
        .helper(Kind::Step, n)
        .online(Kind::Step, n);
    let digit = |&width: &u32| {
        let hot = match width {
            1..=3 => Work::deal::<u8>(n, 1 << width),
            4 => Work::deal::<u16>(n, 1 << width),
            5 => Work::deal::<u32>(n, 1 << width),
            _ => Work::deal::<u64>(n, 1 << width),
        };
        hot.helper(Kind::Step, n).online(Kind::Step, n)
    };
    let and = (Work::mask::<u8>(n) + Work::deal::<u8>(n, 1) + Work::exchange::<u8>(n, 2))
        .helper(Kind::Step, n)
        .prepare_passes::<u8>(1, n)
        .online(Kind::Step, 2 * n);
    let digits = digits(k, MAX_DIGIT);
    let hot: Work = digits.iter().map(digit).sum();
    (1..digits.len()).fold(top + hot, |sum, _| sum + and)
}

pub(crate) fn offline<W: Stored + Elem>(ctx: &Ctx<'_, Preprocess>, x: &Mask<W>) -> Result<Dealt<u8>> {
    offline_by(ctx, x, MAX_DIGIT)
}

/// With digits of at most `widest` bits: tests of views need tiny ones.
pub(in crate::mpc) fn offline_by<W: Stored + Elem>(
    ctx: &Ctx<'_, Preprocess>,
    x: &Mask<W>,
    widest: u32,
) -> Result<Dealt<u8>> {
    let (k, n) = (x.k, x.shape.len());
    let lambda = x.lambda();
    let top = lambda.as_ref().map(|l| l.data().iter().map(|l| l.bit(k - 1)).collect());
    let share = ctx.deal_xor::<u8>(n, 1, top)?;
    ctx.keep(share)?;
    let mut position = 0;
    for (i, width) in digits(k, widest).into_iter().enumerate() {
        let digit = |l: &W| (*l >> position).low(width).to_u64() as u32;
        match width {
            1..=3 => deal_digit::<u8>(ctx, n, width, lambda.as_ref().map(|l| l.data().iter().map(digit)))?,
            4 => deal_digit::<u16>(ctx, n, width, lambda.as_ref().map(|l| l.data().iter().map(digit)))?,
            5 => deal_digit::<u32>(ctx, n, width, lambda.as_ref().map(|l| l.data().iter().map(digit)))?,
            _ => deal_digit::<u64>(ctx, n, width, lambda.as_ref().map(|l| l.data().iter().map(digit)))?,
        }
        if i > 0 {
            deal_and(ctx, n)?;
        }
        position += width;
    }
    Ok(Dealt::new(x.shape.clone(), 1))
}

fn deal_digit<D: Stored>(
    ctx: &Ctx<'_, Preprocess>,
    n: usize,
    width: u32,
    digits: Option<impl Iterator<Item = u32>>,
) -> Result<()> {
    let hot = digits.map(|d| d.map(|d| D::one() << d).collect());
    let share = ctx.deal_xor::<D>(n, 1 << width, hot)?;
    ctx.keep(share)
}

/// A triple for `n` ANDs: masks x, y drawn by each evaluator with P2 (bits 0 and 1 of a byte), x y dealt (bit 2).
fn deal_and(ctx: &Ctx<'_, Preprocess>, n: usize) -> Result<()> {
    let (r0, r1) = (ctx.draw0::<u8>(n, 2), ctx.draw1::<u8>(n, 2));
    let products = match (&r0, &r1) {
        (Some(a), Some(b)) => Some(a.iter().zip(b).map(|(a, b)| ((a ^ b) & 1) & ((a ^ b) >> 1)).collect()),
        _ => None,
    };
    let share = ctx.deal_xor::<u8>(n, 1, products)?;
    if let (Some(z), Some(r)) = (share, r0.or(r1)) {
        ctx.keep(Some(std::sync::Arc::new(r.iter().zip(z.iter()).map(|(r, z)| r | (z << 2)).collect())))?;
    }
    Ok(())
}

pub(crate) fn online<W: Stored + Elem>(ctx: &Ctx<'_, Evaluator>, x: &Masked<W>) -> Result<Xor<u8>> {
    online_by(ctx, x, MAX_DIGIT)
}

pub(in crate::mpc) fn online_by<W: Stored + Elem>(
    ctx: &Ctx<'_, Evaluator>,
    x: &Masked<W>,
    widest: u32,
) -> Result<Xor<u8>> {
    let (k, n) = (x.k, x.m.len());
    let mut out = ctx.take::<u8>(n)?.to_vec();
    let first = ctx.first();
    if first {
        for (o, m) in out.iter_mut().zip(x.m.data()) {
            *o ^= m.bit(k - 1);
        }
    }
    let mut less = vec![0u8; n];
    let mut position = 0;
    for (i, width) in digits(k, widest).into_iter().enumerate() {
        // Bit 0: [c < d], bit 1: [c = d].
        let read = match width {
            1..=3 => read_digit::<W, u8>(ctx, x.m.data(), position, width)?,
            4 => read_digit::<W, u16>(ctx, x.m.data(), position, width)?,
            5 => read_digit::<W, u32>(ctx, x.m.data(), position, width)?,
            _ => read_digit::<W, u64>(ctx, x.m.data(), position, width)?,
        };
        if i == 0 {
            less.iter_mut().zip(&read).for_each(|(l, r)| *l = r & 1);
        } else {
            let equal: Vec<u8> = read.iter().map(|r| r >> 1).collect();
            less = and(ctx, &equal, &less)?;
            less.iter_mut().zip(&read).for_each(|(l, r)| *l ^= r & 1);
        }
        position += width;
    }
    out.iter_mut().zip(&less).for_each(|(o, l)| *o ^= l);
    Ok(Xor { bits: 1, x: Array::new(x.m.shape().clone(), out)? })
}

fn read_digit<W: Word, D: Stored>(
    ctx: &Ctx<'_, Evaluator>,
    m: &[W],
    position: u32,
    width: u32,
) -> Result<Vec<u8>> {
    let hot = ctx.take::<D>(m.len())?;
    let read = |(m, h): (&W, &D)| {
        let from = h.to_u64() >> (*m >> position).low(width).to_u64();
        let above = (from >> 1).count_ones() as u8 & 1;
        above | ((from as u8 & 1) << 1)
    };
    Ok(m.iter().zip(hot.iter()).map(read).collect())
}

/// AND of XOR-shared bits; one hop, two bits each way.
fn and(ctx: &Ctx<'_, Evaluator>, a: &[u8], b: &[u8]) -> Result<Vec<u8>> {
    let triple = ctx.take::<u8>(a.len())?;
    let mine = a.iter().zip(b).zip(triple.iter()).map(|((a, b), t)| (a | (b << 1)) ^ (t & 3)).collect();
    let opened = ctx.open(mine, 2, |x, y| x ^ y)?;
    let first = u8::from(ctx.first());
    let product = |(o, t): (&u8, &u8)| {
        let (d, e, x, y, z) = (o & 1, o >> 1, t & 1, (t >> 1) & 1, t >> 2);
        (d & e & first) ^ (d & y) ^ (e & x) ^ z
    };
    Ok(opened.iter().zip(triple.iter()).map(product).collect())
}
