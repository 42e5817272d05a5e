//! Products of two sharings: elements, batches of matrices, rows with rows, and what causal attention needs of them.

mod causal;

use super::dealer::Preprocess;
use super::online::Evaluator;
use super::share::{Additive, Dealt, Mask, Masked};
use super::store::Stored;
use crate::cost::{Cost, Kind, Work};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::kernel;
use crate::ring::Word;
use crate::tensor::{Array, Elem, Repeat, Shape, broadcast_zip, filled, in_rows};
use causal::Causal;

/// A map that is linear in each of two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bilinear {
    /// Element by element, with broadcasting (PyTorch `a * b`).
    Elementwise,
    /// Batches of matrices: [.., m, k] x [.., k, n] (PyTorch `a @ b`).
    MatMul,
    /// The same with the right operand given transposed, [.., n, k] (PyTorch `a @ b.mT`).
    MatMulTransposed,
    /// Inner product of corresponding rows: [.., n] x [.., n] to [..].
    RowDot,
    /// Scores of causal attention: queries [.., q, d] with keys [.., n, d], of which each query sees those up to its own,
    /// the last q being theirs. The rows of [`Rows::causal`](crate::tensor::Rows::causal) lie side by side on the last
    /// axis; what is masked is not computed.
    CausalScores,
    /// Such rows, as weights of values [.., n, d], to [.., queries, d].
    CausalMix {
        /// Number of rows.
        queries: usize,
    },
}

/// Extents of a batch of matrix products.
struct Batch {
    count: usize,
    m: usize,
    k: usize,
    n: usize,
    out: Shape,
}

impl Bilinear {
    fn name(self) -> &'static str {
        match self {
            Self::Elementwise => "elementwise product",
            Self::MatMul | Self::MatMulTransposed => "matrix product",
            Self::RowDot => "inner product of rows",
            Self::CausalScores => "causal scores",
            Self::CausalMix { .. } => "causal weighting",
        }
    }

    fn batch(self, x: &Shape, y: &Shape) -> Result<Batch> {
        let bad = || Error::shape(self.name(), x, y);
        let ([bx @ .., m, k], [by @ .., p, q]) = (x.dims(), y.dims()) else { return Err(bad()) };
        let (inner, n) = if self == Self::MatMulTransposed { (*q, *p) } else { (*p, *q) };
        if bx != by || *k != inner {
            return Err(bad());
        }
        let mut out = bx.to_vec();
        out.extend([*m, n]);
        Ok(Batch { count: bx.iter().product(), m: *m, k: *k, n, out: Shape::new(&out) })
    }

    /// Shape of the result.
    pub fn shape(self, x: &Shape, y: &Shape) -> Result<Shape> {
        match self {
            Self::Elementwise => x.broadcast(y, self.name()),
            Self::MatMul | Self::MatMulTransposed => Ok(self.batch(x, y)?.out),
            Self::RowDot if x == y && x.rank() > 0 => Ok(Shape::new(&x.dims()[..x.rank() - 1])),
            Self::RowDot => Err(Error::shape(self.name(), x, y)),
            Self::CausalScores => Ok(Causal::of_queries(self.name(), x, y)?.scores()),
            Self::CausalMix { queries } => Ok(Causal::of_weights(self.name(), queries, x, y)?.mixed()),
        }
    }

    /// Multiply-adds of one evaluation in the clear.
    pub fn multiply_adds(self, x: &Shape, y: &Shape) -> Result<u64> {
        Ok(match self {
            Self::Elementwise => self.shape(x, y)?.len() as u64,
            Self::MatMul | Self::MatMulTransposed => self.shape(x, y)?.len() as u64 * x.last() as u64,
            Self::RowDot => x.len() as u64,
            Self::CausalScores => self.shape(x, y)?.len() as u64 * x.last() as u64,
            Self::CausalMix { .. } => {
                self.shape(x, y)?;
                x.len() as u64 * y.last() as u64
            }
        })
    }

    /// The product in Z_{2^k}.
    pub(crate) fn apply<W: Word + Elem>(self, width: u32, x: &Array<W>, y: &Array<W>) -> Result<Array<W>> {
        match self {
            Self::Elementwise => broadcast_zip(x, y, self.name(), |a, b| a.wrapping_mul(&b).low(width)),
            Self::MatMul | Self::MatMulTransposed => {
                let s = self.batch(x.shape(), y.shape())?;
                let mut out = vec![W::default(); s.out.len()];
                if self == Self::MatMul {
                    kernel::batched_matmul(width, s.count, s.m, s.k, s.n, x.data(), y.data(), &mut out);
                } else {
                    kernel::batched_matmul_bt(width, s.count, s.m, s.k, s.n, x.data(), y.data(), &mut out);
                }
                Array::new(s.out, out)
            }
            Self::RowDot => {
                let shape = self.shape(x.shape(), y.shape())?;
                let n = x.shape().last();
                let dot = |r: usize| {
                    let row = r * n..(r + 1) * n;
                    let terms = x.data()[row.clone()].iter().zip(&y.data()[row]);
                    terms.fold(W::default(), |s, (a, b)| s.wrapping_add(&a.wrapping_mul(b))).low(width)
                };
                let data = (0..shape.len()).map(dot).collect();
                Array::new(shape, data)
            }
            Self::CausalScores => {
                let causal = Causal::of_queries(self.name(), x.shape(), y.shape())?;
                causal.score(x, y, |[m, k, n], a, b, c| {
                    kernel::matmul_bt(width, m, k, n, a, b, c);
                    Ok(())
                })
            }
            Self::CausalMix { queries } => {
                let causal = Causal::of_weights(self.name(), queries, x.shape(), y.shape())?;
                causal.mix(x, y, |[m, k, n], a, b, c| {
                    kernel::matmul(width, m, k, n, a, b, c);
                    Ok(())
                })
            }
        }
    }

    /// The product of floats, for the reference engine.
    pub(crate) fn apply_f32(self, x: &Array<f32>, y: &Array<f32>) -> Result<Array<f32>> {
        match self {
            Self::Elementwise => broadcast_zip(x, y, self.name(), |a, b| a * b),
            Self::RowDot => {
                let shape = self.shape(x.shape(), y.shape())?;
                let n = x.shape().last();
                let rows = x.data().chunks(n.max(1)).zip(y.data().chunks(n.max(1)));
                let mut data: Vec<f32> =
                    rows.map(|(a, b)| a.iter().zip(b).map(|(a, b)| a * b).sum()).collect();
                data.resize(shape.len(), 0.0);
                Array::new(shape, data)
            }
            Self::MatMul | Self::MatMulTransposed => {
                let s = self.batch(x.shape(), y.shape())?;
                let mut out = Vec::with_capacity(s.out.len());
                for b in 0..s.count {
                    let a = view(&x.data()[b * s.m * s.k..(b + 1) * s.m * s.k], s.m, s.k)?;
                    let c = &y.data()[b * s.k * s.n..(b + 1) * s.k * s.n];
                    let product = if self == Self::MatMul {
                        a.dot(&view(c, s.k, s.n)?)
                    } else {
                        a.dot(&view(c, s.n, s.k)?.t())
                    };
                    out.extend(product.iter());
                }
                Array::new(s.out, out)
            }
            Self::CausalScores => {
                let causal = Causal::of_queries(self.name(), x.shape(), y.shape())?;
                causal.score(x, y, |[m, k, n], a, b, c| {
                    put(&view(a, m, k)?.dot(&view(b, n, k)?.t()), c);
                    Ok(())
                })
            }
            Self::CausalMix { queries } => {
                let causal = Causal::of_weights(self.name(), queries, x.shape(), y.shape())?;
                causal.mix(x, y, |[m, k, n], a, b, c| {
                    put(&view(a, m, k)?.dot(&view(b, k, n)?), c);
                    Ok(())
                })
            }
        }
    }
}

/// Writes a matrix down row by row.
fn put(from: &ndarray::Array2<f32>, to: &mut [f32]) {
    to.iter_mut().zip(from.iter()).for_each(|(to, &v)| *to = v);
}

fn view(data: &[f32], rows: usize, columns: usize) -> Result<ndarray::ArrayView2<'_, f32>> {
    ndarray::ArrayView2::from_shape((rows, columns), data).map_err(|_| Error::Internal("matrix view"))
}

/// Cost of a product in Z_{2^k}: one dealt number per output; five evaluations over the parties.
pub(crate) fn cost(op: Bilinear, x: &Shape, y: &Shape, k: u32) -> Result<Cost> {
    let n = op.shape(x, y)?.len();
    Ok(Cost { multiply_adds: 5 * op.multiply_adds(x, y)?, ..Cost::deal(n, k) })
}

/// What the parties compute for it: one product at the helper, two at each evaluator.
pub(crate) fn work<W: Word>(op: Bilinear, x: &Shape, y: &Shape, k: u32) -> Result<Work> {
    let n = op.shape(x, y)?.len();
    let work = Work::deal::<W>(n, k)
        .helper_passes::<W>(1, x.len())
        .helper_passes::<W>(1, y.len())
        .online_passes::<W>(1, y.len())
        .online_passes::<W>(4, n);
    let products = op.multiply_adds(x, y)? as usize;
    Ok(match op {
        Bilinear::Elementwise | Bilinear::RowDot => {
            work.helper(Kind::Step, products).online(Kind::Step, 2 * products)
        }
        // The right operand is packed for each product.
        _ => work
            .helper(Kind::multiply(k), products)
            .helper_passes::<W>(1, y.len())
            .online(Kind::multiply(k), 2 * products)
            .online_passes::<W>(2, y.len()),
    })
}

pub(crate) fn offline<W: Stored + Elem>(
    ctx: &Ctx<'_, Preprocess>,
    op: Bilinear,
    x: &Mask<W>,
    y: &Mask<W>,
) -> Result<Dealt<W>> {
    let k = x.k;
    let shape = op.shape(&x.shape, &y.shape)?;
    let values = match (x.lambda(), y.lambda()) {
        (Some(lx), Some(ly)) => Some(op.apply(k, &lx, &ly)?.into_vec()),
        _ => None,
    };
    let share = ctx.deal(shape.len(), k, values)?;
    ctx.keep(share)?;
    Ok(Dealt::new(shape, k))
}

pub(crate) fn online<W: Stored + Elem>(
    ctx: &Ctx<'_, Evaluator>,
    op: Bilinear,
    x: &Masked<W>,
    y: &Masked<W>,
) -> Result<Additive<W>> {
    let k = x.k;
    let g = ctx.take_array(&op.shape(x.m.shape(), y.m.shape())?)?;
    if let (Bilinear::Elementwise, true) = (op, x.m.shape() == g.shape())
        && let Some(repeat) = Repeat::of(y.m.shape(), g.shape())
    {
        return Ok(Additive { k, a: elementwise(ctx.first(), x, y, repeat, &g)? });
    }
    // (mx - lx)(my - ly) with lx ly dealt: P0 takes the terms with mx my, both those with their own masks.
    let cross = op.apply(k, &x.own, &y.m)?;
    let a = if ctx.first() {
        let direct = op.apply(k, &x.m, &y.m.zip(&y.own, "product", |m, l| m.wrapping_sub(&l).low(k))?)?;
        direct.zip(&cross, "product", |d, c| d.wrapping_sub(&c))?
    } else {
        let other = op.apply(k, &x.m, &y.own)?;
        other.zip(&cross, "product", |o, c| W::default().wrapping_sub(&o).wrapping_sub(&c))?
    };
    Ok(Additive { k, a: a.zip(&g, "product", |a, g| a.wrapping_add(&g).low(k))? })
}

/// [`online`] of elements, in one pass.
fn elementwise<W: Word + Elem>(
    first: bool,
    x: &Masked<W>,
    y: &Masked<W>,
    repeat: Repeat,
    g: &Array<W>,
) -> Result<Array<W>> {
    let (k, [mx, lx, my, ly]) = (x.k, [&x.m, &x.own, &y.m, &y.own].map(Array::data));
    let terms = |mx: W, lx: W, my: W, ly: W, g: W| {
        let direct =
            if first { mx.wrapping_mul(&my.wrapping_sub(&ly)) } else { mx.wrapping_mul(&ly).wrapping_neg() };
        direct.wrapping_sub(&lx.wrapping_mul(&my)).wrapping_add(&g).low(k)
    };
    let data = filled(g.len(), &|at, out| {
        // Of y a row has one element, or as many as x.
        let (n, one) = match repeat {
            Repeat::Not => (g.len(), false),
            Repeat::Elements(n) => (n, true),
            Repeat::Rows(n) => (n, false),
        };
        in_rows(at, n, out, |row, at, out| {
            let of_x = mx[at..].iter().zip(&lx[at..]).zip(&g.data()[at..]);
            if one {
                let (my, ly) = (my[row], ly[row]);
                out.iter_mut().zip(of_x).for_each(|(out, ((&mx, &lx), &g))| *out = terms(mx, lx, my, ly, g));
            } else {
                let of_y = my[at - row * n..].iter().zip(&ly[at - row * n..]);
                let all = of_x.zip(of_y);
                out.iter_mut().zip(all).for_each(|(out, (((&mx, &lx), &g), (&my, &ly)))| {
                    *out = terms(mx, lx, my, ly, g);
                });
            }
        });
    });
    Array::new(g.shape().clone(), data)
}
