//! `x^2 + a x` of an opened masked value, in a larger ring and without a hop.
//!
//! With bias B = 2^(h-2) the evaluators know c = m + B mod 2^h, and as integers x = C - rho with C = c - B and
//! rho = lambda - 2^h msb(lambda) (1 - msb(c)): see UpCast. So x^2 + a x = C^2 + a C - (2 C + a) rho + rho^2. P2 deals what
//! shares of rho and rho^2 lack: the carry of lambda's two parts, msb(lambda), lambda^2, and the difference between the
//! two squares, a multiple of 2^(h+1). The evaluators pick by the bit that they know.

use super::dealer::Preprocess;
use super::online::Evaluator;
use super::share::{Additive, Dealt, Mask, Masked};
use super::store::Stored;
use crate::cost::{Cost, Kind, Work};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::ring::{Word, cast};
use crate::tensor::{Array, Elem};

/// Runs `$body` with `$word` the smaller word that holds `$bits` bits: what is kept is no wider than it must be.
macro_rules! with_word {
    ($bits:expr, $word:ident => $body:expr) => {
        if $bits <= 32 {
            type $word = u32;
            $body
        } else {
            type $word = u64;
            $body
        }
    };
}

/// Cost for `n` elements of Z_{2^h}, results in Z_{2^k}.
pub(crate) fn cost(n: usize, h: u32, k: u32) -> Cost {
    Cost::deal(n, k - h) + Cost::deal(n, k - h) + Cost::deal(n, k - h - 1) + Cost::deal(n, k)
}

/// What the parties compute for it.
pub(crate) fn work<W: Word>(n: usize, h: u32, k: u32) -> Work {
    let wraps: Work = with_word!(k - h, D => {
        [k - h, k - h, k - h - 1].map(|bits| Work::deal::<D>(n, bits)).into_iter().sum()
    });
    (wraps + Work::deal::<u64>(n, k)).helper_passes::<W>(1, n).helper(Kind::Step, n).online(Kind::Step, n)
}

/// Whether results in Z_{2^k} of numbers in Z_{2^h} can be had.
pub(crate) fn check(h: u32, k: u32) -> Result<()> {
    if (2..k).contains(&h) && k > h + 1 && k <= 64 {
        Ok(())
    } else {
        Err(Error::Unsupported("a polynomial in so small a ring"))
    }
}

pub(crate) fn offline<W: Stored + Elem>(
    ctx: &Ctx<'_, Preprocess>,
    x: &Mask<W>,
    k: u32,
) -> Result<Dealt<u64>> {
    check(x.k, k)?;
    with_word!(k - x.k, D => offline_in::<W, D>(ctx, x, k))
}

fn offline_in<W: Stored + Elem, D: Stored>(
    ctx: &Ctx<'_, Preprocess>,
    x: &Mask<W>,
    k: u32,
) -> Result<Dealt<u64>> {
    let (h, n) = (x.k, x.shape.len());
    let (mut wraps, mut square): ([Option<Vec<D>>; 3], _) = (Default::default(), None);
    if let (Some(l0), Some(l1)) = (&x.l0, &x.l1) {
        let mut small: [Vec<D>; 3] = std::array::from_fn(|_| Vec::with_capacity(n));
        let mut squares = Vec::with_capacity(n);
        let half = 1u64 << (h - 1);
        for (&a, &b) in l0.data().iter().zip(l1.data()) {
            let sum = a.wrapping_add(&b).low(h);
            let (carry, lambda, top) = (sum < a, sum.to_u64(), u64::from(sum.bit(h - 1)));
            let difference = top.wrapping_mul(lambda.wrapping_sub(half)).low(k - h - 1);
            let numbers = [u64::from(carry), top, difference];
            small.iter_mut().zip(numbers).for_each(|(column, number)| column.push(D::from_u64(number)));
            squares.push(lambda.wrapping_mul(lambda).low(k));
        }
        (wraps, square) = (small.map(Some), Some(squares));
    }
    let [carry, top, difference] = wraps;
    for (values, bits) in [(carry, k - h), (top, k - h), (difference, k - h - 1)] {
        let share = ctx.deal::<D>(n, bits, values)?;
        ctx.keep(share)?;
    }
    let share = ctx.deal::<u64>(n, k, square)?;
    ctx.keep(share)?;
    Ok(Dealt::new(x.shape.clone(), k))
}

pub(crate) fn online<W: Stored + Elem>(
    ctx: &Ctx<'_, Evaluator>,
    x: &Masked<W>,
    a: i64,
    k: u32,
) -> Result<Additive<u64>> {
    check(x.k, k)?;
    with_word!(k - x.k, D => online_in::<W, D>(ctx, x, a, k))
}

fn online_in<W: Stored + Elem, D: Stored>(
    ctx: &Ctx<'_, Evaluator>,
    x: &Masked<W>,
    a: i64,
    k: u32,
) -> Result<Additive<u64>> {
    let (h, n) = (x.k, x.m.len());
    let (carry, top, difference) = (ctx.take::<D>(n)?, ctx.take::<D>(n)?, ctx.take::<D>(n)?);
    let square = ctx.take::<u64>(n)?;
    let (one, a, bias) = (u64::from(ctx.first()), a as u64, 1u64 << (h - 2));
    let value = |i: usize| {
        let c = cast::<W, u64>(x.m.data()[i]).wrapping_add(bias).low(h);
        // All ones where the lower wrap counts.
        let keep = (c >> (h - 1)).wrapping_sub(1);
        let public = c.wrapping_sub(bias);
        let wraps = carry[i].to_u64().wrapping_add(top[i].to_u64() & keep);
        let rho = cast::<W, u64>(x.own.data()[i]).wrapping_sub(wraps << h);
        let square = square[i].wrapping_sub((difference[i].to_u64() & keep) << (h + 1));
        let linear = public.wrapping_add(public).wrapping_add(a).wrapping_mul(rho);
        let constant = one.wrapping_mul(public.wrapping_mul(public.wrapping_add(a)));
        constant.wrapping_sub(linear).wrapping_add(square).low(k)
    };
    let out = Array::new(x.m.shape().clone(), (0..n).map(value).collect())?;
    Ok(Additive { k, a: out })
}
