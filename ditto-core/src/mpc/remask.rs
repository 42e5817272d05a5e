//! Additive shares to a masked sharing: the one way in which values are opened.

use super::dealer::Preprocess;
use super::online::Evaluator;
use super::share::{Additive, Dealt, Mask, Masked};
use super::store::Stored;
use crate::cost::{Cost, Work};
use crate::ctx::Ctx;
use crate::error::Result;
use crate::ring::Word;
use crate::tensor::{Array, Elem};

/// Cost for `n` elements of Z_{2^k}.
pub(crate) fn cost(n: usize, k: u32) -> Cost {
    Cost::exchange(n, k)
}

/// What the parties compute for it.
pub(crate) fn work<W: Word>(n: usize, k: u32) -> Work {
    (Work::mask::<W>(n) + Work::exchange::<W>(n, k)).online_passes::<W>(1, n)
}

pub(crate) fn offline<W: Stored + Elem>(ctx: &Ctx<'_, Preprocess>, a: &Dealt<W>) -> Result<Mask<W>> {
    let mask = ctx.mask(&a.shape, a.k)?;
    ctx.keep_mask(&mask)?;
    Ok(mask)
}

pub(crate) fn online<W: Stored + Elem>(ctx: &Ctx<'_, Evaluator>, a: &Additive<W>) -> Result<Masked<W>> {
    let k = a.k;
    let own = ctx.take_array(a.a.shape())?;
    let mine = a.a.zip(&own, "remask", |a, l: W| a.wrapping_add(&l).low(k))?;
    let m = Array::new(own.shape().clone(), ctx.open_sum(mine.into_vec(), k)?)?;
    Ok(Masked { k, m, own })
}
