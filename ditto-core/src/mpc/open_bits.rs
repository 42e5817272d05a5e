//! Opens XOR-shared words under mask words that P2 knows, so that products with them become dealt numbers.

use super::dealer::Preprocess;
use super::online::Evaluator;
use super::share::{OpenedBits, OpenedMask, Xor};
use super::store::Stored;
use crate::cost::{Cost, Work};
use crate::ctx::Ctx;
use crate::error::Result;
use crate::ring::Word;
use crate::tensor::{Array, Elem, Shape};
use std::sync::Arc;

/// Cost for `n` words of `bits` bits.
pub(crate) fn cost(n: usize, bits: u32) -> Cost {
    Cost::exchange(n, bits)
}

/// What the parties compute for it.
pub(crate) fn work<W: Word>(n: usize, bits: u32) -> Work {
    let work = Work::mask::<W>(n) + Work::exchange::<W>(n, bits);
    work.helper_passes::<W>(1, n).online_passes::<W>(1, n)
}

pub(crate) fn offline<W: Stored + Elem>(
    ctx: &Ctx<'_, Preprocess>,
    shape: &Shape,
    bits: u32,
) -> Result<OpenedMask<W>> {
    let n = shape.len();
    let (r0, r1) = (ctx.draw0::<W>(n, bits), ctx.draw1::<W>(n, bits));
    let t = match (r0, r1) {
        (Some(r0), Some(r1)) => {
            let t = r0.iter().zip(&r1).map(|(&a, &b)| a ^ b).collect();
            Some(Array::new(shape.clone(), t)?)
        }
        (r0, r1) => {
            ctx.keep(r0.or(r1).map(Arc::new))?;
            None
        }
    };
    Ok(OpenedMask { bits, shape: shape.clone(), t })
}

pub(crate) fn online<W: Stored + Elem>(ctx: &Ctx<'_, Evaluator>, x: &Xor<W>) -> Result<OpenedBits<W>> {
    let r = ctx.take::<W>(x.x.len())?;
    let mine = x.x.data().iter().zip(r.iter()).map(|(&s, &r)| s ^ r).collect();
    let u = ctx.open(mine, x.bits, |a, b| a ^ b)?;
    Ok(OpenedBits { bits: x.bits, u: Array::new(x.x.shape().clone(), u)? })
}
