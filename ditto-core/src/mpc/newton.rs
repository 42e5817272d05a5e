//! One Newton step `lead r - x r^p` of row scalars, as a polynomial of two opened values: no hop of its own.

use super::dealer::Preprocess;
use super::online::Evaluator;
use super::share::{Additive, Dealt, Mask, Masked};
use crate::cost::{Cost, Kind, Work};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::ring::Word;
use crate::tensor::Array;

/// Cost for `n` scalars in Z_{2^k}: P2 deals mu^b for b = 2..p and lambda mu^b for b = 1..p, where lambda and mu are
/// the masks of x and r.
pub(crate) fn cost(n: usize, k: u32, power: u32) -> Cost {
    (0..2 * power - 1).map(|_| Cost::deal(n, k)).fold(Cost::default(), Cost::then)
}

/// What the parties compute for it.
pub(crate) fn work(n: usize, k: u32, power: u32) -> Work {
    let monomial = |_| Work::deal::<u128>(n, k).helper(Kind::Step, 2 * n).online(Kind::Step, 8 * n);
    monomials(power).map(monomial).sum()
}

pub(crate) fn offline(
    ctx: &Ctx<'_, Preprocess>,
    x: &Mask<u128>,
    r: &Mask<u128>,
    power: u32,
) -> Result<Dealt<u128>> {
    let (k, n) = (r.k, r.shape.len());
    if x.shape != r.shape {
        return Err(Error::shape("newton step", &x.shape, &r.shape));
    }
    let both = x.lambda().zip(r.lambda());
    for (a, b) in monomials(power) {
        let values = both.as_ref().map(|(lambda, mu)| {
            let pairs = lambda.data().iter().zip(mu.data());
            pairs
                .map(|(&l, &m)| (if a == 1 { l } else { 1 }).wrapping_mul(m.wrapping_pow(b)).low(k))
                .collect()
        });
        let share = ctx.deal(n, k, values)?;
        ctx.keep(share)?;
    }
    Ok(Dealt::new(r.shape.clone(), k))
}

/// Exponents (of lambda, of mu) of the dealt products.
fn monomials(power: u32) -> impl Iterator<Item = (u32, u32)> {
    (2..=power).map(|b| (0, b)).chain((1..=power).map(|b| (1, b)))
}

pub(crate) fn online(
    ctx: &Ctx<'_, Evaluator>,
    x: &Masked<u128>,
    r: &Masked<u128>,
    power: u32,
    lead: u128,
) -> Result<Additive<u128>> {
    let (k, n) = (r.k, r.m.len());
    let dealt = monomials(power).map(|_| ctx.take::<u128>(n)).collect::<Result<Vec<_>>>()?;
    let one = u128::from(ctx.first());
    let binomial = |b: u32| (0..b).fold(1u128, |c, i| c * u128::from(power - i) / u128::from(i + 1));
    let element = |i: usize| {
        let (mx, mr, lx, lr) = (x.m.data()[i], r.m.data()[i], x.own.data()[i], r.own.data()[i]);
        // This evaluator's share of lambda^a mu^b.
        let share = |a: u32, b: u32| match (a, b) {
            (0, 0) => one,
            (1, 0) => lx,
            (0, 1) => lr,
            (0, b) => dealt[b as usize - 2][i],
            (_, b) => dealt[(power - 1 + b - 1) as usize][i],
        };
        let mut z = lead.wrapping_mul(mr.wrapping_mul(one).wrapping_sub(lr));
        for b in 0..=power {
            let sign = |v: u128| if b % 2 == 0 { v } else { v.wrapping_neg() };
            let factor = sign(binomial(b).wrapping_mul(mr.wrapping_pow(power - b)));
            // x r^p = sum_b C(p, b) mr^(p-b) (-mu)^b (mx - lambda)
            let term = mx.wrapping_mul(share(0, b)).wrapping_sub(share(1, b));
            z = z.wrapping_sub(factor.wrapping_mul(term));
        }
        z.low(k)
    };
    let out = (0..n).map(element).collect();
    Ok(Additive { k, a: Array::new(r.m.shape().clone(), out)? })
}
