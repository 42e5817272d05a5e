//! What a lookup leaves over: a value less its index times the length of a step.
//!
//! The index of a lookup is `(m >> d) - (lambda >> d)`. What remains of x = m - lambda is the difference of the low
//! parts, a number between -2^d and 2^d. The evaluators know the low part of m; P2 shares the low part of lambda
//! between them, as the masks of a masked sharing in a ring of any width.

use super::dealer::Preprocess;
use super::online::Evaluator;
use super::share::{Mask, Masked};
use super::store::Stored;
use crate::cost::{Cost, Work};
use crate::ctx::Ctx;
use crate::error::Result;
use crate::ring::{Word, cast};
use crate::tensor::{Array, Elem};

/// Cost for `n` elements in Z_{2^k}.
pub(crate) fn cost(n: usize, k: u32) -> Cost {
    Cost::deal(n, k)
}

/// What the parties compute for it.
pub(crate) fn work<V: Word>(n: usize, k: u32) -> Work {
    Work::deal::<V>(n, k).helper_passes::<V>(1, n).online_passes::<V>(1, n)
}

pub(crate) fn offline<W: Stored + Elem, V: Stored + Elem>(
    ctx: &Ctx<'_, Preprocess>,
    x: &Mask<W>,
    drop: u32,
    k: u32,
) -> Result<Mask<V>> {
    let n = x.shape.len();
    let low =
        x.lambda().map(|lambda| lambda.data().iter().map(|l| cast::<W, V>(l.low(drop)).low(k)).collect());
    let wrap = |v: Option<Vec<V>>| v.map(|v| Array::new(x.shape.clone(), v)).transpose();
    let [l0, l1] = ctx.deal_parts::<V>(n, k, low)?;
    let (l0, l1) = (wrap(l0)?, wrap(l1)?);
    let out = Mask { k, shape: x.shape.clone(), l0, l1 };
    ctx.keep_mask(&out)?;
    Ok(out)
}

pub(crate) fn online<W: Stored + Elem, V: Stored + Elem>(
    ctx: &Ctx<'_, Evaluator>,
    x: &Masked<W>,
    drop: u32,
    k: u32,
) -> Result<Masked<V>> {
    let own = ctx.take_array::<V>(x.m.shape())?;
    Ok(Masked { k, m: x.m.map(|m| cast::<W, V>(m.low(drop)).low(k)), own })
}
