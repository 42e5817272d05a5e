//! Opened words of bits to numbers.

use super::dealer::Preprocess;
use super::online::Evaluator;
use super::share::{Additive, Dealt, OpenedBits, OpenedMask};
use super::store::Stored;
use crate::cost::{Cost, Kind, Work};
use crate::ctx::Ctx;
use crate::error::Result;
use crate::ring::Word;
use crate::tensor::{Array, Elem};

/// Cost for `n` words of `bits` bits into Z_{2^k}: bit j needs only the ring 2^(k-j).
pub(crate) fn cost(n: usize, bits: u32, k: u32) -> Cost {
    (0..bits).map(|j| Cost::deal(n, k - j)).fold(Cost::default(), Cost::then)
}

/// What the parties compute for it.
pub(crate) fn work<V: Word>(n: usize, bits: u32, k: u32) -> Work {
    let bit = |j| Work::deal::<V>(n, k - j).helper(Kind::Step, n).online(Kind::Step, n);
    (0..bits).map(bit).sum()
}

pub(crate) fn offline<W: Stored + Elem, V: Stored + Elem>(
    ctx: &Ctx<'_, Preprocess>,
    x: &OpenedMask<W>,
    k: u32,
) -> Result<Dealt<V>> {
    for j in 0..x.bits {
        let bits = x.t.as_ref().map(|t| t.data().iter().map(|t| V::from_u64(u64::from(t.bit(j)))).collect());
        let share = ctx.deal(x.shape.len(), k - j, bits)?;
        ctx.keep(share)?;
    }
    Ok(Dealt::new(x.shape.clone(), k))
}

pub(crate) fn online<W: Stored + Elem, V: Stored + Elem>(
    ctx: &Ctx<'_, Evaluator>,
    x: &OpenedBits<W>,
    k: u32,
) -> Result<Additive<V>> {
    let mut a = vec![V::default(); x.u.len()];
    let one = if ctx.first() { V::one() } else { V::default() };
    for j in 0..x.bits {
        let t = ctx.take::<V>(a.len())?;
        for ((a, &u), &t) in a.iter_mut().zip(x.u.data()).zip(t.iter()) {
            let s = if u.bit(j) == 0 { t } else { one.wrapping_sub(&t) };
            *a = a.wrapping_add(&(s << j)).low(k);
        }
    }
    Ok(Additive { k, a: Array::new(x.u.shape().clone(), a)? })
}
