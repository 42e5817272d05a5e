//! The functions that model code calls.

use std::borrow::Borrow;

use super::{Activation, Engine, LayerNorm, Linear, NormOf, Pointwise, Product, Softmax, Tensor, Unscaled};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::fixed::{Fixed, Narrow, Widen};
use crate::mpc::{Bilinear, Share};
use crate::tensor::{Rows, Shape};

pub(super) fn same_exponent(op: &'static str, lhs: i32, rhs: i32) -> Result<i32> {
    if lhs == rhs { Ok(lhs) } else { Err(Error::Exponent { op, lhs, rhs }) }
}

/// Two tensors at the finer of their scales: the coarser one is shifted up, if it has room for that.
fn aligned<E: Engine, T: Fixed>(
    ctx: &Ctx<'_, E>,
    op: &'static str,
    x: &Tensor<E, T>,
    y: &Tensor<E, T>,
) -> Result<(Tensor<E, T>, Tensor<E, T>)> {
    let exponent = x.exponent.min(y.exponent);
    let at = |t: &Tensor<E, T>| {
        let up = i64::from(t.exponent) - i64::from(exponent);
        match u32::try_from(up).ok().filter(|&up| up < T::K - 1) {
            Some(0) => Ok(t.clone()),
            Some(up) => Ok(Tensor::with_exponent(E::raise::<T::Ring>(ctx, &t.repr, up)?, exponent)),
            None => Err(Error::Exponent { op, lhs: x.exponent, rhs: y.exponent }),
        }
    };
    Ok((at(x)?, at(y)?))
}

/// A public exponent of 2^e on x moved into its fractional bits: F - e.
pub(super) fn effective(op: &'static str, fraction: u32, exponent: i32) -> Result<u32> {
    let bits = u32::try_from(i64::from(fraction) - i64::from(exponent)).ok().filter(|&bits| bits <= 128);
    bits.ok_or(Error::Exponent { op, lhs: exponent, rhs: 0 })
}

/// The exponent of a product.
fn sum_of_exponents(op: &'static str, lhs: i32, rhs: i32) -> Result<i32> {
    lhs.checked_add(rhs).ok_or(Error::Exponent { op, lhs, rhs })
}

/// `x + y`, at the finer of two exponents. Local. PyTorch: `x + y`.
pub fn add<E: Engine, T: Fixed>(
    ctx: &Ctx<'_, E>,
    x: &Tensor<E, T>,
    y: &Tensor<E, T>,
) -> Result<Tensor<E, T>> {
    let (x, y) = aligned(ctx, "add", x, y)?;
    Ok(Tensor::with_exponent(E::add(&x.repr, &y.repr)?, x.exponent))
}

/// `x - y`, at the finer of two exponents. Local. PyTorch: `x - y`.
pub fn sub<E: Engine, T: Fixed>(
    ctx: &Ctx<'_, E>,
    x: &Tensor<E, T>,
    y: &Tensor<E, T>,
) -> Result<Tensor<E, T>> {
    let (x, y) = aligned(ctx, "subtract", x, y)?;
    Ok(Tensor::with_exponent(E::sub(&x.repr, &y.repr)?, x.exponent))
}

fn bilinear<E: Engine, A: Fixed, B: Fixed<Ring = A::Ring>>(
    ctx: &Ctx<'_, E>,
    op: Bilinear,
    x: &Tensor<E, A>,
    y: &Tensor<E, B>,
) -> Result<Product<E, A, B>> {
    let exponent = sum_of_exponents("multiply", x.exponent, y.exponent)?;
    Ok(Product::new(E::product(ctx, op, &x.repr, &y.repr)?, exponent))
}

/// Joins tensors along an axis; all other extents agree. Local. PyTorch: `torch.cat(parts, axis)`.
pub fn concat<E: Engine, T: Fixed, X: Borrow<Tensor<E, T>>>(
    _: &Ctx<'_, E>,
    parts: &[X],
    axis: usize,
) -> Result<Tensor<E, T>> {
    let parts: Vec<&Tensor<E, T>> = parts.iter().map(Borrow::borrow).collect();
    let [first, rest @ ..] = &parts[..] else { return Err(Error::Unsupported("joining no tensors")) };
    let same = |exponent, part: &&Tensor<E, T>| same_exponent("concat", exponent, part.exponent);
    let exponent = rest.iter().try_fold(first.exponent, same)?;
    let reprs: Vec<_> = parts.iter().map(|part| &part.repr).collect();
    Ok(Tensor::with_exponent(Share::concat(&reprs, axis)?, exponent))
}

/// Elementwise product, with broadcasting. PyTorch: `x * y`.
pub fn mul<E: Engine, A: Fixed, B: Fixed<Ring = A::Ring>>(
    ctx: &Ctx<'_, E>,
    x: &Tensor<E, A>,
    y: &Tensor<E, B>,
) -> Result<Product<E, A, B>> {
    bilinear(ctx, Bilinear::Elementwise, x, y)
}

/// Batched matrix product [.., m, k] x [.., k, n]. PyTorch: `x @ y`.
pub fn matmul<E: Engine, A: Fixed, B: Fixed<Ring = A::Ring>>(
    ctx: &Ctx<'_, E>,
    x: &Tensor<E, A>,
    y: &Tensor<E, B>,
) -> Result<Product<E, A, B>> {
    bilinear(ctx, Bilinear::MatMul, x, y)
}

/// Batched matrix product with the right operand transposed, [.., m, k] x [.., n, k]. PyTorch: `x @ y.mT`.
pub fn matmul_t<E: Engine, A: Fixed, B: Fixed<Ring = A::Ring>>(
    ctx: &Ctx<'_, E>,
    x: &Tensor<E, A>,
    y: &Tensor<E, B>,
) -> Result<Product<E, A, B>> {
    bilinear(ctx, Bilinear::MatMulTransposed, x, y)
}

/// `x W + b`, or `x W` of a layer without bias, un-rescaled. PyTorch: `nn.Linear`.
pub fn linear<E: Engine, A: Fixed, B: Fixed<Ring = A::Ring>, C: Fixed<Ring = A::Ring>>(
    ctx: &Ctx<'_, E>,
    x: &Tensor<E, A>,
    w: &Linear<E, B, C>,
) -> Result<Product<E, A, B>> {
    let exponent = sum_of_exponents("linear", x.exponent, w.exponent)?;
    let product = Product::<E, A, B>::new(E::linear(ctx, &x.repr, &w.weight)?, exponent);
    match &w.bias {
        Some(bias) => product.plus_tensor(ctx, bias),
        None => Ok(product),
    }
}

/// DownCast to a smaller ring with at most as many fractional bits. Local and free; within 1.5 ulp of the result.
pub fn downcast<E: Engine, A: Fixed, B: Fixed>(ctx: &Ctx<'_, E>, x: &Tensor<E, A>) -> Result<Tensor<E, B>>
where
    A::Ring: Narrow<B::Ring>,
{
    const {
        assert!(B::F <= A::F, "DownCast cannot add fractional bits; use `upcast`");
        assert!(
            B::K + (A::F - B::F) <= A::K,
            "DownCast drops more bits than the ring has to spare: K2 + (F - F2) <= K"
        );
    };
    Ok(Tensor::with_exponent(E::downcast::<A::Ring, B::Ring>(ctx, &x.repr, A::F - B::F)?, x.exponent))
}

/// UpCast to a larger ring with at least as many fractional bits. One hop; exact while |x| < 2^(K-2-F).
pub fn upcast<E: Engine, A: Fixed, B: Fixed>(ctx: &Ctx<'_, E>, x: &Tensor<E, A>) -> Result<Tensor<E, B>>
where
    A::Ring: Widen<B::Ring>,
{
    const { assert!(B::F >= A::F, "UpCast cannot drop fractional bits; use `downcast`") };
    Ok(Tensor::with_exponent(E::upcast::<A::Ring, B::Ring>(ctx, &x.repr, B::F - A::F)?, x.exponent))
}

/// `softmax(scores) values` along the last axis of the scores, the division last; `kind` says which softmax.
///
/// PyTorch: `torch.softmax(scores, -1) @ values`. All n keys count: rows of padding are left out by the caller, whose
/// lengths are public.
pub fn softmax_attend<E: Engine, S: Unscaled<E>, V: Fixed, T: Fixed>(
    ctx: &Ctx<'_, E>,
    kind: Softmax,
    scores: &S,
    values: &Tensor<E, V>,
) -> Result<Tensor<E, T>> {
    attend_rows(ctx, kind, &Rows::whole(scores.shape().last()), scores, values)
}

/// Causal attention: `softmax(q k^T) v` for queries [.., q, d], keys and values [.., n, d], where the queries are those of
/// the last q tokens and each sees the tokens up to its own. What is masked is not computed.
///
/// PyTorch: `scaled_dot_product_attention(q, k, v, is_causal=True)` with the scale folded into the queries.
///
/// # Cost
/// That of a product and of [`softmax_attend`] with n keys, for q (n - q) + q (q + 1) / 2 scores instead of q n.
pub fn causal_attend<E: Engine, A: Fixed, B: Fixed<Ring = A::Ring>, V: Fixed, T: Fixed>(
    ctx: &Ctx<'_, E>,
    kind: Softmax,
    queries: &Tensor<E, A>,
    keys: &Tensor<E, B>,
    values: &Tensor<E, V>,
) -> Result<Tensor<E, T>> {
    let scores = bilinear(&ctx.step("qk")?, Bilinear::CausalScores, queries, keys)?;
    let tokens = |shape: &Shape| shape.dims()[shape.rank() - 2];
    let (q, n) = (tokens(queries.shape()), tokens(keys.shape()));
    attend_rows(ctx, kind, &Rows::causal(n - q, q), &scores, values)
}

fn attend_rows<E: Engine, S: Unscaled<E>, V: Fixed, T: Fixed>(
    ctx: &Ctx<'_, E>,
    kind: Softmax,
    rows: &Rows,
    scores: &S,
    values: &Tensor<E, V>,
) -> Result<Tensor<E, T>> {
    let fraction = effective("softmax", S::FRACTION, scores.exponent())?;
    let exponent = ctx.scale().exponent;
    let out = E::softmax_attend::<S::Ring, V::Ring, T::Ring>(
        ctx,
        kind,
        rows,
        &scores.sum(ctx)?,
        fraction,
        &values.repr,
        effective("softmax", V::F, values.exponent)?,
        effective("softmax", T::F, exponent)?,
    )?;
    Ok(Tensor::with_exponent(out, exponent))
}

/// Layer normalisation over the last axis, with gain and bias. PyTorch: `nn.LayerNorm`.
pub fn layer_norm<E: Engine, X: Unscaled<E>, G: Fixed, C: Fixed<Ring = G::Ring>, T: Fixed>(
    ctx: &Ctx<'_, E>,
    x: &X,
    w: &LayerNorm<E, G, C>,
) -> Result<Tensor<E, T>> {
    let fraction = effective("layer_norm", X::FRACTION, x.exponent())?;
    let exponent = ctx.scale().exponent;
    let out_fraction = effective("layer_norm", T::F, exponent)?;
    let norm = NormOf {
        gain: &w.gain.repr,
        gain_fraction: effective("layer_norm", G::F, w.gain.exponent)?,
        bias: &w.bias.repr,
        bias_fraction: effective("layer_norm", C::F, w.bias.exponent)?,
        epsilon: w.epsilon,
    };
    let out = match x.masked() {
        Some(x) => E::layer_norm_tensor::<X::Ring, G::Ring, T::Ring>(ctx, x, fraction, norm, out_fraction)?,
        None => E::layer_norm::<X::Ring, G::Ring, T::Ring>(ctx, &x.sum(ctx)?, fraction, norm, out_fraction)?,
    };
    Ok(Tensor::with_exponent(out, exponent))
}

/// A ready-made function; see [`Activation`].
pub fn activation<E: Engine, X: Unscaled<E>, T: Fixed>(
    ctx: &Ctx<'_, E>,
    function: Activation,
    x: &X,
) -> Result<Tensor<E, T>> {
    let fraction = effective("activation", X::FRACTION, x.exponent())?;
    let exponent = ctx.scale().exponent;
    let out_fraction = effective("activation", T::F, exponent)?;
    let out = E::activation::<X::Ring, T::Ring>(ctx, function, &x.sum(ctx)?, fraction, out_fraction)?;
    Ok(Tensor::with_exponent(out, exponent))
}

/// A pointwise function of the author's own; see [`Pointwise`] for what it costs and how far it errs.
pub fn pointwise<E: Engine, X: Unscaled<E>, T: Fixed>(
    ctx: &Ctx<'_, E>,
    function: &Pointwise,
    x: &X,
) -> Result<Tensor<E, T>> {
    let fraction = effective("pointwise", X::FRACTION, x.exponent())?;
    let exponent = ctx.scale().exponent;
    let out_fraction = effective("pointwise", T::F, exponent)?;
    let out = E::pointwise::<X::Ring, T::Ring>(ctx, function, &x.sum(ctx)?, fraction, out_fraction)?;
    Ok(Tensor::with_exponent(out, exponent))
}

/// Mean over the first axis of [n, d]: mean pooling of tokens. PyTorch: `x.mean(0)`.
pub fn mean_rows<E: Engine, A: Fixed, T: Fixed>(ctx: &Ctx<'_, E>, x: &Tensor<E, A>) -> Result<Tensor<E, T>> {
    let fraction = effective("mean_rows", A::F, x.exponent)?;
    let exponent = ctx.scale().exponent;
    let out_fraction = effective("mean_rows", T::F, exponent)?;
    let out = E::mean_rows::<A::Ring, T::Ring>(ctx, &x.repr, fraction, out_fraction)?;
    Ok(Tensor::with_exponent(out, exponent))
}

/// Rows scaled to Euclidean length 1. PyTorch: `nn.functional.normalize(x, dim=-1)`.
pub fn normalize<E: Engine, A: Fixed, T: Fixed>(ctx: &Ctx<'_, E>, x: &Tensor<E, A>) -> Result<Tensor<E, T>> {
    let fraction = effective("normalize", A::F, x.exponent)?;
    let exponent = ctx.scale().exponent;
    let out_fraction = effective("normalize", T::F, exponent)?;
    let out = E::normalize::<A::Ring, T::Ring>(ctx, &x.repr, fraction, out_fraction)?;
    Ok(Tensor::with_exponent(out, exponent))
}
