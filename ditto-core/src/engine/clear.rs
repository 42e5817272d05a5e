//! The float reference.

use std::sync::Arc;

use crate::ctx::{Ctx, Steps};
use crate::error::{Error, Result};
use crate::fixed::Ring;
use crate::mpc::{Bilinear, Share, linear};
use crate::nn::{Activation, Engine, NormOf, Pointwise, Softmax};
use crate::tensor::{Array, Broadcast, Concat, Permute, Rows, Shape, Structure, SumLast, broadcast_zip};

/// Reads a model in f32: what PyTorch would compute.
#[derive(Debug)]
pub struct Clear;

impl Clear {
    /// Reads `model` in the clear. Floats have no scales: there are no settings.
    pub fn run<T>(model: impl FnOnce(&Ctx<'_, Self>) -> Result<T>) -> Result<T> {
        let steps = Steps::record(Arc::default());
        model(&Ctx::root(&Self, &steps))
    }
}

impl Share for Array<f32> {
    fn shape(&self) -> &Shape {
        self.shape()
    }
    /// Floats have no ring.
    fn width(&self) -> u32 {
        0
    }
    fn restructure(&self, by: &impl Structure) -> Result<Self> {
        by.apply_to(self)
    }
    fn concat(parts: &[&Self], axis: usize) -> Result<Self> {
        Concat { axis }.join(parts)
    }
}

/// Maps each row of the last axis.
fn each_row(x: &Array<f32>, f: impl Fn(&mut [f32])) -> Result<Array<f32>> {
    let n = x.shape().last().max(1);
    let mut data = x.data().to_vec();
    data.chunks_mut(n).for_each(f);
    Array::new(x.shape().clone(), data)
}

impl Engine for Clear {
    type Repr<R: Ring> = Array<f32>;
    type Sum<R: Ring> = Array<f32>;
    type Weight<R: Ring> = Arc<ndarray::Array2<f32>>;
    /// 1 or 0.
    type Bits = Array<f32>;

    fn add<R: Ring>(x: &Array<f32>, y: &Array<f32>) -> Result<Array<f32>> {
        broadcast_zip(x, y, "add", |a, b| a + b)
    }
    fn sub<R: Ring>(x: &Array<f32>, y: &Array<f32>) -> Result<Array<f32>> {
        broadcast_zip(x, y, "subtract", |a, b| a - b)
    }
    fn add_sums<R: Ring>(a: &Array<f32>, b: &Array<f32>) -> Result<Array<f32>> {
        broadcast_zip(a, b, "add", |a, b| a + b)
    }
    // A float is the same number at every scale.
    fn raise<R: Ring>(_: &Ctx<'_, Self>, x: &Array<f32>, _: u32) -> Result<Array<f32>> {
        Ok(x.clone())
    }
    fn raise_sum<R: Ring>(a: &Array<f32>, _: u32) -> Result<Array<f32>> {
        Ok(a.clone())
    }
    fn as_sum<R: Ring>(_: &Ctx<'_, Self>, x: &Array<f32>, _: u32) -> Result<Array<f32>> {
        Ok(x.clone())
    }
    fn linear<R: Ring>(
        _: &Ctx<'_, Self>,
        x: &Array<f32>,
        w: &Arc<ndarray::Array2<f32>>,
    ) -> Result<Array<f32>> {
        let out = linear::shape(x.shape(), &Shape::new(w.shape()))?;
        let a = ndarray::ArrayView2::from_shape((x.shape().rows(), x.shape().last()), x.data())
            .map_err(|_| Error::Internal("matrix view"))?;
        Array::new(out, a.dot(&**w).iter().copied().collect())
    }
    fn product<R: Ring>(
        _: &Ctx<'_, Self>,
        op: Bilinear,
        x: &Array<f32>,
        y: &Array<f32>,
    ) -> Result<Array<f32>> {
        op.apply_f32(x, y)
    }
    fn rescale<R: Ring, T: Ring>(_: &Ctx<'_, Self>, z: &Array<f32>, _: u32) -> Result<Array<f32>> {
        Ok(z.clone())
    }
    fn downcast<R: Ring, T: Ring>(_: &Ctx<'_, Self>, x: &Array<f32>, _: u32) -> Result<Array<f32>> {
        Ok(x.clone())
    }
    fn upcast<R: Ring, T: Ring>(_: &Ctx<'_, Self>, x: &Array<f32>, _: u32) -> Result<Array<f32>> {
        Ok(x.clone())
    }
    fn softmax_attend<R: Ring, V: Ring, T: Ring>(
        _: &Ctx<'_, Self>,
        kind: Softmax,
        rows: &Rows,
        scores: &Array<f32>,
        _: u32,
        values: &Array<f32>,
        _: u32,
        _: u32,
    ) -> Result<Array<f32>> {
        let weigh = |row: &mut [f32]| {
            let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let clip = -(Softmax::CLIP as f32);
            row.iter_mut().for_each(|v| match kind {
                Softmax::Exact | Softmax::ExactWithin(_) => *v = (*v - top).exp(),
                Softmax::Clipped => *v = if *v - top < clip { 0.0 } else { (*v - top).exp() },
                Softmax::TwoQuad => *v = (*v + Softmax::SHIFT as f32).powi(2),
            });
            let sum: f32 = row.iter().sum();
            row.iter_mut().for_each(|v| *v /= sum);
        };
        let p = each_row(scores, |axis| rows.ranges().for_each(|row| weigh(&mut axis[row])))?;
        let whole = scores.shape().rank() == values.shape().rank();
        let mix = if whole { Bilinear::MatMul } else { Bilinear::CausalMix { queries: rows.count() } };
        mix.apply_f32(&p, values)
    }
    fn layer_norm<R: Ring, G: Ring, T: Ring>(
        _: &Ctx<'_, Self>,
        x: &Array<f32>,
        _: u32,
        norm: NormOf<'_, Array<f32>>,
        _: u32,
    ) -> Result<Array<f32>> {
        let rows = each_row(x, |row| {
            let n = row.len() as f64;
            let mean = row.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
            let variance = row.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n;
            let root = (variance + norm.epsilon).sqrt();
            row.iter_mut().for_each(|v| *v = ((f64::from(*v) - mean) / root) as f32);
        })?;
        let rows = broadcast_zip(&rows, norm.gain, "gain", |x, g| x * g)?;
        broadcast_zip(&rows, norm.bias, "bias", |x, b| x + b)
    }
    fn layer_norm_tensor<R: Ring, G: Ring, T: Ring>(
        ctx: &Ctx<'_, Self>,
        x: &Array<f32>,
        fraction: u32,
        norm: NormOf<'_, Array<f32>>,
        out_fraction: u32,
    ) -> Result<Array<f32>> {
        Self::layer_norm::<R, G, T>(ctx, x, fraction, norm, out_fraction)
    }
    fn activation<R: Ring, T: Ring>(
        _: &Ctx<'_, Self>,
        function: Activation,
        x: &Array<f32>,
        _: u32,
        _: u32,
    ) -> Result<Array<f32>> {
        Ok(x.map(|v| function.value(v.into()) as f32))
    }
    fn greater<R: Ring>(_: &Ctx<'_, Self>, x: &Array<f32>, y: &Array<f32>) -> Result<Array<f32>> {
        broadcast_zip(x, y, "compare", |a, b| f32::from(a > b))
    }
    fn select<R: Ring>(
        _: &Ctx<'_, Self>,
        bits: &Array<f32>,
        x: &Array<f32>,
        y: &Array<f32>,
    ) -> Result<Array<f32>> {
        let shape = x.shape().broadcast(y.shape(), "select")?.broadcast(bits.shape(), "select")?;
        let to = Broadcast(&shape);
        let (bits, x, y) = (to.apply_to(bits)?, to.apply_to(x)?, to.apply_to(y)?);
        let both = bits.data().iter().zip(x.data()).zip(y.data());
        Array::new(shape.clone(), both.map(|((&bit, &x), &y)| if bit > 0.0 { x } else { y }).collect())
    }
    fn relu<R: Ring, T: Ring>(_: &Ctx<'_, Self>, x: &Array<f32>, _: u32) -> Result<Array<f32>> {
        Ok(x.map(|v| v.max(0.0)))
    }
    fn max_last<R: Ring>(_: &Ctx<'_, Self>, x: &Array<f32>) -> Result<Array<f32>> {
        let rows = x.data().chunks(x.shape().last().max(1));
        let tops = rows.map(|row| row.iter().copied().fold(f32::NEG_INFINITY, f32::max)).collect();
        Array::new(x.shape().with_last(1), tops)
    }
    fn argmax<R: Ring, T: Ring>(_: &Ctx<'_, Self>, x: &Array<f32>, _: u32, _: u32) -> Result<Array<f32>> {
        let rows = x.data().chunks(x.shape().last().max(1));
        let first = |best: (usize, f32), (i, &v): (usize, &f32)| if v > best.1 { (i, v) } else { best };
        let indices = rows.map(|row| row.iter().enumerate().fold((0, f32::NEG_INFINITY), first).0 as f32);
        Array::new(x.shape().with_last(1), indices.collect())
    }
    fn pointwise<R: Ring, T: Ring>(
        _: &Ctx<'_, Self>,
        function: &Pointwise,
        x: &Array<f32>,
        _: u32,
        _: u32,
    ) -> Result<Array<f32>> {
        Ok(function.map(x))
    }
    fn mean_rows<R: Ring, T: Ring>(_: &Ctx<'_, Self>, x: &Array<f32>, _: u32, _: u32) -> Result<Array<f32>> {
        let &[n, d] = x.shape().dims() else {
            return Err(Error::shape("mean_rows", x.shape(), &Shape::new(&[0, 0])));
        };
        let sum = SumLast.apply_to(&Permute(&[1, 0]).apply_to(x)?)?;
        sum.map(|v| v / n as f32).reshape([1, d])
    }
    fn normalize<R: Ring, T: Ring>(_: &Ctx<'_, Self>, x: &Array<f32>, _: u32, _: u32) -> Result<Array<f32>> {
        each_row(x, |row| {
            let length = row.iter().map(|v| v * v).sum::<f32>().sqrt();
            row.iter_mut().for_each(|v| *v /= length);
        })
    }
}
