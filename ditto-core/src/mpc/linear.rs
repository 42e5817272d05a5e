//! A shared tensor times a shared weight matrix, with all that depends on masks prepared.

use super::dealer::Preprocess;
use super::online::Evaluator;
use super::role::Role;
use super::share::{Additive, Dealt, Mask, Masked, Weight};
use super::store::Stored;
use crate::cost::{Cost, Kind, Work};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::kernel;
use crate::ring::Word;
use crate::tensor::{Array, Elem, Shape};
use std::sync::Arc;

/// Shape of [.., k] x [k, n].
pub(crate) fn shape(x: &Shape, w: &Shape) -> Result<Shape> {
    match (x.dims(), w.dims()) {
        ([.., a], [b, n]) if a == b => Ok(x.with_last(*n)),
        _ => Err(Error::shape("linear", x, w)),
    }
}

/// Cost in Z_{2^k}: one dealt number per output; one product at the helper, two at each evaluator.
pub(crate) fn cost(x: &Shape, w: &Shape, k: u32) -> Result<Cost> {
    let n = shape(x, w)?.len();
    Ok(Cost { multiply_adds: 5 * n as u64 * x.last() as u64, ..Cost::deal(n, k) })
}

/// What the parties compute for it: a product each, before the input and (at the evaluators) after it.
pub(crate) fn work<W: Word>(x: &Shape, w: &Shape, k: u32) -> Result<Work> {
    let (n, word) = (shape(x, w)?.len(), size_of::<W>());
    let (multiply, products, stream) = (Kind::multiply(k), n * x.last(), w.len() * word);
    let work = Work::deal::<W>(n, k).helper_passes::<W>(1, x.len());
    let work = work.helper(multiply, products).prepare(multiply, products).online(multiply, products);
    let work = work.helper(Kind::Stream, stream).prepare(Kind::Stream, stream).online(Kind::Stream, stream);
    Ok(work.prepare_passes::<W>(1, n).online_passes::<W>(2, n))
}

fn product<W: Word + Elem>(x: &Array<W>, w: &Weight<W>, out: &Shape) -> Vec<W> {
    let mut c = vec![W::default(); out.len()];
    kernel::matmul_packed(x.data(), x.shape().rows(), &w.packed, &mut c);
    c
}

pub(crate) fn offline<W: Stored + Elem>(
    ctx: &Ctx<'_, Preprocess>,
    x: &Mask<W>,
    w: &Weight<W>,
) -> Result<Dealt<W>> {
    let (k, out) = (x.k, shape(&x.shape, &w.shape)?);
    let values = x.lambda().map(|l| product(&l, w, &out));
    let dealt = ctx.deal(out.len(), k, values)?;
    // At the evaluators the packed matrix is m_W, and what is kept is the bracket g - l_x m_W.
    if let (Some(g), Some(own)) = (dealt, x.own()) {
        debug_assert_ne!(ctx.role(), Role::P2);
        let mut g = Arc::unwrap_or_clone(g);
        for (g, p) in g.iter_mut().zip(product(own, w, &out)) {
            *g = g.wrapping_sub(&p).low(k);
        }
        ctx.keep(Some(Arc::new(g)))?;
    }
    Ok(Dealt::new(out, k))
}

pub(crate) fn online<W: Stored + Elem>(
    ctx: &Ctx<'_, Evaluator>,
    x: &Masked<W>,
    w: &Weight<W>,
) -> Result<Additive<W>> {
    let (k, out) = (x.k, shape(x.m.shape(), &w.shape)?);
    let bracket: Array<W> = ctx.take_array(&out)?;
    // P0's matrix is m_W - l0_W, P1's is l1_W.
    let p = Array::new(out, product(&x.m, w, bracket.shape()))?;
    let first = ctx.first();
    let a = bracket.zip(&p, "linear", |b, p| {
        if first { b.wrapping_add(&p).low(k) } else { b.wrapping_sub(&p).low(k) }
    })?;
    Ok(Additive { k, a })
}
