//! UpCast: a sharing modulo 2^k of a number below 2^(k-2) in magnitude, to a larger ring.
//!
//! With bias B = 2^(k-2) the evaluators know c = m + B mod 2^k, and as integers
//! `x + B = c - l0 - l1 + 2^k (carry + msb(lambda) (1 - msb(c)))`, where lambda = l0 + l1 mod 2^k and
//! carry = [l0 + l1 >= 2^k]. The bracket depends on P2's numbers and one bit that the evaluators know, so P2 deals
//! shares s of carry (with the new top masks folded in) and t of msb(lambda), and one hop remasks s + t (1 - msb(c)).

use super::dealer::Preprocess;
use super::online::Evaluator;
use super::share::{Mask, Masked};
use super::store::Stored;
use crate::cost::{Cost, Kind, Work};
use crate::ctx::Ctx;
use crate::error::Result;
use crate::ring::{Word, cast};
use crate::tensor::{Array, Elem};

/// Cost for `n` elements, Z_{2^k} to Z_{2^k2}.
pub(crate) fn cost(n: usize, k: u32, k2: u32) -> Cost {
    let d = k2 - k;
    Cost::deal(n, d) + Cost::deal(n, d) + Cost::exchange(n, d)
}

/// Runs `$body` with `$word` the smallest word that holds `$bits` bits: what is dealt and kept is no wider than it
/// must be.
macro_rules! with_word {
    ($bits:expr, $word:ident => $body:expr) => {
        match $bits {
            ..=8 => {
                type $word = u8;
                $body
            }
            9..=16 => {
                type $word = u16;
                $body
            }
            17..=32 => {
                type $word = u32;
                $body
            }
            33..=64 => {
                type $word = u64;
                $body
            }
            _ => {
                type $word = u128;
                $body
            }
        }
    };
}

/// What the parties compute for it.
pub(crate) fn work<W: Word, V: Word>(n: usize, k: u32, k2: u32) -> Work {
    with_word!(k2 - k, D => {
        let d = k2 - k;
        (Work::mask::<D>(n) + Work::deal::<D>(n, d) + Work::deal::<D>(n, d) + Work::exchange::<D>(n, d))
            .helper(Kind::Step, 2 * n)
            .helper_passes::<V>(2, n)
            .prepare_passes::<V>(1, n)
            .online(Kind::Step, n)
            .online_passes::<W>(1, n)
            .online_passes::<V>(1, n)
    })
}

pub(crate) fn offline<W: Stored + Elem, V: Stored + Elem>(
    ctx: &Ctx<'_, Preprocess>,
    x: &Mask<W>,
    k2: u32,
) -> Result<Mask<V>> {
    with_word!(k2 - x.k, D => offline_in::<W, V, D>(ctx, x, k2))
}

fn offline_in<W: Stored + Elem, V: Stored + Elem, D: Stored + Elem>(
    ctx: &Ctx<'_, Preprocess>,
    x: &Mask<W>,
    k2: u32,
) -> Result<Mask<V>> {
    let (k, d, n) = (x.k, k2 - x.k, x.shape.len());
    let top = ctx.mask::<D>(&x.shape, d)?;
    let (mut carries, mut msbs) = (None, None);
    if let (Some(l0), Some(l1), Some(u0), Some(u1)) = (&x.l0, &x.l1, &top.l0, &top.l1) {
        let mut s = Vec::with_capacity(n);
        let mut t = Vec::with_capacity(n);
        for (((&a, &b), &u), &v) in l0.data().iter().zip(l1.data()).zip(u0.data()).zip(u1.data()) {
            let lambda = a.wrapping_add(&b).low(k);
            let carry = D::from_u64(u64::from(lambda < a));
            s.push(carry.wrapping_add(&u).wrapping_add(&v).low(d));
            t.push(D::from_u64(u64::from(lambda.bit(k - 1))));
        }
        (carries, msbs) = (Some(s), Some(t));
    }
    let s = ctx.deal(n, d, carries)?;
    let t = ctx.deal(n, d, msbs)?;
    ctx.keep(s)?;
    ctx.keep(t)?;
    let widen = |l: &Option<Array<W>>, u: &Option<Array<D>>| match (l, u) {
        (Some(l), Some(u)) => l.zip(u, "upcast", |l, u| cast::<W, V>(l) | (cast::<D, V>(u) << k)).map(Some),
        _ => Ok(None),
    };
    let (l0, l1) = (widen(&x.l0, &top.l0)?, widen(&x.l1, &top.l1)?);
    // The evaluator has the rest of its mask with x.
    ctx.keep_mask(&top)?;
    Ok(Mask { k: k2, shape: x.shape.clone(), l0, l1 })
}

pub(crate) fn online<W: Stored + Elem, V: Stored + Elem>(
    ctx: &Ctx<'_, Evaluator>,
    x: &Masked<W>,
    k2: u32,
) -> Result<Masked<V>> {
    with_word!(k2 - x.k, D => online_in::<W, V, D>(ctx, x, k2))
}

fn online_in<W: Stored + Elem, V: Stored + Elem, D: Stored + Elem>(
    ctx: &Ctx<'_, Evaluator>,
    x: &Masked<W>,
    k2: u32,
) -> Result<Masked<V>> {
    let (k, d, n) = (x.k, k2 - x.k, x.m.len());
    let s = ctx.take::<D>(n)?;
    let t = ctx.take::<D>(n)?;
    let top = ctx.take_array::<D>(x.m.shape())?;
    let own = x.own.zip(&top, "upcast", |l, u| cast::<W, V>(l) | (cast::<D, V>(u) << k))?;
    let bias = W::one() << (k - 2);
    let c = x.m.map(|m| m.wrapping_add(&bias).low(k));
    let mine = c.data().iter().zip(s.iter().zip(t.iter()));
    let mine =
        mine.map(|(c, (&s, &t))| if c.bit(k - 1) == 0 { s.wrapping_add(&t).low(d) } else { s }).collect();
    let w = Array::new(c.shape().clone(), ctx.open_sum(mine, d)?)?;
    let bias = V::one() << (k - 2);
    let m = c.zip(&w, "upcast", |c, w: D| {
        (cast::<W, V>(c) | (cast::<D, V>(w) << k)).wrapping_sub(&bias).low(k2)
    })?;
    Ok(Masked { k: k2, m, own })
}
