//! An opened bit times a shared number.

use super::dealer::Preprocess;
use super::online::Evaluator;
use super::share::{Additive, Dealt, Mask, Masked, OpenedBits, OpenedMask};
use super::store::Stored;
use crate::cost::{Cost, Kind, Work};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::ring::Word;
use crate::tensor::{Array, Elem};

/// Cost for `n` products in Z_{2^k}.
pub(crate) fn cost(n: usize, k: u32) -> Cost {
    Cost::deal(n, k) + Cost::deal(n, k)
}

/// What the parties compute for it.
pub(crate) fn work<W: Word>(n: usize, k: u32) -> Work {
    let dealt = Work::deal::<W>(n, k) + Work::deal::<W>(n, k);
    dealt.helper_passes::<W>(3, n).helper(Kind::Step, n).online_passes::<W>(2, n).online(Kind::Step, n)
}

pub(crate) fn offline<W: Stored + Elem>(
    ctx: &Ctx<'_, Preprocess>,
    bit: &OpenedMask<u8>,
    y: &Mask<W>,
) -> Result<Dealt<W>> {
    let (k, n) = (y.k, y.shape.len());
    if bit.shape != y.shape {
        return Err(Error::shape("select", &bit.shape, &y.shape));
    }
    let (mut bits, mut products) = (None, None);
    if let (Some(t), Some(lambda)) = (&bit.t, y.lambda()) {
        bits = Some(t.data().iter().map(|&t| W::from_u64(u64::from(t))).collect());
        products = Some(t.zip(&lambda, "select", |t, l| if t == 1 { l } else { W::default() })?.into_vec());
    }
    let t = ctx.deal(n, k, bits)?;
    let p = ctx.deal(n, k, products)?;
    ctx.keep(t)?;
    ctx.keep(p)?;
    Ok(Dealt::new(y.shape.clone(), k))
}

pub(crate) fn online<W: Stored + Elem>(
    ctx: &Ctx<'_, Evaluator>,
    bit: &OpenedBits<u8>,
    y: &Masked<W>,
) -> Result<Additive<W>> {
    let (k, n) = (y.k, y.m.len());
    let t = ctx.take::<W>(n)?;
    let p = ctx.take::<W>(n)?;
    let first = ctx.first();
    // bit = u + (1 - 2u) t, so bit y = u y + (1 - 2u) (t m - t lambda), with t and t lambda dealt.
    let part = |i: usize| {
        let (m, own) = (y.m.data()[i], y.own.data()[i]);
        let masked = t[i].wrapping_mul(&m).wrapping_sub(&p[i]);
        let part = if bit.u.data()[i] == 0 {
            masked
        } else if first {
            m.wrapping_sub(&own).wrapping_sub(&masked)
        } else {
            own.wrapping_neg().wrapping_sub(&masked)
        };
        part.low(k)
    };
    Ok(Additive { k, a: Array::new(y.m.shape().clone(), (0..n).map(part).collect())? })
}
