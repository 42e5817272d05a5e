//! The engine that training reads models under.

use std::f32::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};
use std::sync::{Mutex, PoisonError};

use candle_core::cpu::erf::erf_f32;
use candle_core::{D, DType, Tensor};
use ditto_core::Ctx;
use ditto_core::error::{Error, Result};
use ditto_core::fixed::Ring;
use ditto_core::mpc::Bilinear;
use ditto_core::nn::{Activation, Engine, NormOf, Pointwise, Softmax};
use ditto_core::tensor::{Rows, Shape};

use super::elementwise::Curve;
use super::rounding::round;
use super::value::{Matrix, Value, failed};

/// Reads a model in floats with gradients, rounded wherever the protocols round: at the scales that are served.
///
/// What a protocol truncates with random coins is rounded to the nearest here; what it opens in more bits than its result has
/// is not rounded. Under [`Numbers::Floats`] nothing is rounded: that is how a teacher is read.
#[derive(Debug)]
pub struct Train {
    numbers: Numbers,
    gradients: bool,
    seen: Mutex<Seen>,
}

/// What numbers a model is read in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// Floats as they are.
    Floats,
    /// Floats rounded to the fixed-point numbers that are served.
    Served,
}

/// What a reading left behind.
#[derive(Debug, Default)]
pub struct Seen {
    /// Attention scores before softmax, by layer.
    pub scores: Vec<Tensor>,
    /// Rows as normalisations see them, standardised: embeddings and hidden states, by layer.
    pub hidden: Vec<Tensor>,
    /// What enters normalisations, as it is.
    pub sums: Vec<Tensor>,
    /// What normalisations give.
    pub normalised: Vec<Tensor>,
}

impl Train {
    /// An engine for one reading.
    pub fn new(numbers: Numbers) -> Self {
        Self { numbers, gradients: true, seen: Mutex::default() }
    }

    /// The same without a graph of gradients: reads what is not to be trained, in less memory.
    #[must_use]
    pub fn without_gradients(self) -> Self {
        Self { gradients: false, ..self }
    }

    /// What numbers it reads in.
    pub fn numbers(&self) -> Numbers {
        self.numbers
    }

    /// Whether it keeps a graph of gradients.
    pub fn gradients(&self) -> bool {
        self.gradients
    }

    /// What the reading left behind.
    pub fn into_seen(self) -> Seen {
        self.seen.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, what: impl FnOnce(&mut Seen)) {
        what(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Numbers at a scale in a ring, as they are served.
    fn served(&self, x: &Tensor, fraction: i32, width: u32) -> Result<Value> {
        if self.numbers == Numbers::Floats {
            return Ok(Value::new(x.clone(), fraction, width));
        }
        let x = round(x, fraction).map_err(failed("rounding"))?;
        Ok(Value::new(x, fraction, width))
    }
}

/// `f` of two values after broadcasting, with the batch as the first axis of both.
fn both(
    op: &'static str,
    x: &Value,
    y: &Value,
    f: impl Fn(&Tensor, &Tensor) -> candle_core::Result<Tensor>,
) -> Result<Tensor> {
    let shape = x.shape.broadcast(&y.shape, op)?;
    if x.shape == y.shape && x.tensor.dims() == y.tensor.dims() {
        return f(&x.tensor, &y.tensor).map_err(failed(op));
    }
    let (a, b) = (x.of_rank(shape.rank())?, y.of_rank(shape.rank())?);
    let dims = a.shape().broadcast_shape_binary_op(b.shape(), "broadcast").map_err(failed(op))?;
    let at = |t: &Tensor| t.broadcast_as(&dims);
    at(&a).and_then(|a| f(&a, &at(&b)?)).map_err(failed(op))
}

fn add(op: &'static str, x: &Value, y: &Value) -> Result<Value> {
    Ok(x.with(both(op, x, y, |a, b| a + b)?))
}

/// `x / y` for y [.., 1].
fn over(x: &Tensor, y: &Tensor) -> candle_core::Result<Tensor> {
    x.broadcast_mul(&y.recip()?)
}

/// Rows less their mean, over their standard deviation.
pub(super) fn standard(x: &Tensor, epsilon: f64) -> candle_core::Result<Tensor> {
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
    centred.broadcast_mul(&variance.affine(1.0, epsilon)?.sqrt()?.recip()?)
}

/// Products of matrices, [batch, .., m, k] x [batch, .., k, n].
fn matmul(x: &Tensor, y: &Tensor) -> candle_core::Result<Tensor> {
    x.contiguous()?.matmul(&y.contiguous()?)
}

/// 1 where a query sees a key, [queries, keys], of rows that grow by one; `None` where each sees all.
fn visible(rows: &Rows, keys: usize, device: &candle_core::Device) -> candle_core::Result<Option<Tensor>> {
    if rows.count() == 1 && rows.longest() == keys {
        return Ok(None);
    }
    let ones = rows.lengths().iter().flat_map(|&n| (0..keys).map(move |key| u8::from(key < n))).collect();
    Tensor::from_vec::<_, u8>(ones, (rows.count(), keys), device).map(Some)
}

/// A function whose slope is taken from its values.
fn pointwise(x: &Tensor, f: &dyn Fn(f64) -> f64) -> candle_core::Result<Tensor> {
    const STEP: f64 = 1e-3;
    let exact = x.detach();
    let numbers = exact.flatten_all()?.to_vec1::<f32>()?;
    let at = |f: &dyn Fn(f64) -> f64| {
        let values = numbers.iter().map(|&v| f(f64::from(v)) as f32).collect::<Vec<_>>();
        Tensor::from_vec(values, x.shape(), x.device())
    };
    let value = at(f)?;
    if !x.track_op() {
        return Ok(value);
    }
    let slope = at(&|v| (f(v + STEP) - f(v - STEP)) / (2.0 * STEP))?;
    ((x - exact)? * slope)? + value
}

/// x times the normal distribution's function of x.
const GELU: Curve = Curve {
    name: "gelu",
    value: |x| 0.5 * x * (1.0 + erf_f32(x * FRAC_1_SQRT_2)),
    slope: |x| {
        let density = (-0.5 * x * x).exp() * (0.5 * FRAC_1_SQRT_2 * FRAC_2_SQRT_PI);
        0.5 * (1.0 + erf_f32(x * FRAC_1_SQRT_2)) + x * density
    },
};
/// 0.125 (x + 1)^2 + 0.375
const QUAD: Curve =
    Curve { name: "quad", value: |x| 0.125 * (x + 1.0) * (x + 1.0) + 0.375, slope: |x| 0.25 * (x + 1.0) };

/// A ready-made function.
pub(super) fn activation(function: Activation, x: &Tensor) -> candle_core::Result<Tensor> {
    match function {
        Activation::Gelu if x.device().is_cpu() => GELU.of(x),
        Activation::Quad if x.device().is_cpu() => QUAD.of(x),
        Activation::Gelu => x.gelu_erf(),
        Activation::GeluTanh => x.gelu(),
        Activation::Quad => x.affine(1.0, 1.0)?.sqr()?.affine(0.125, 0.375),
        Activation::Tanh => x.tanh(),
        Activation::Silu => x.silu(),
        Activation::Sigmoid => x.neg()?.exp()?.affine(1.0, 1.0)?.recip(),
        Activation::PumaGelu => pointwise(x, &|v| function.value(v)),
    }
}

/// Weights of attention [.., queries, keys] of scores, of which each query sees some.
fn weigh(kind: Softmax, scores: &Tensor, seen: Option<&Tensor>) -> candle_core::Result<Tensor> {
    let masked = |x: &Tensor, with: f32| match seen {
        None => Ok(x.clone()),
        Some(seen) => {
            let seen = seen.broadcast_as(x.shape())?;
            seen.where_cond(x, &Tensor::full(with, x.shape(), x.device())?)
        }
    };
    let terms = match kind {
        Softmax::TwoQuad => masked(&scores.affine(1.0, f64::from(Softmax::SHIFT))?.sqr()?, 0.0)?,
        Softmax::Exact | Softmax::ExactWithin(_) | Softmax::Clipped => {
            let scores = masked(scores, f32::NEG_INFINITY)?;
            let below = scores.broadcast_sub(&scores.detach().max_keepdim(D::Minus1)?)?;
            let terms = below.exp()?;
            if kind == Softmax::Clipped {
                let kept = below.detach().ge(-f64::from(Softmax::CLIP))?.to_dtype(DType::F32)?;
                (terms * kept)?
            } else {
                terms
            }
        }
    };
    over(&terms, &terms.sum_keepdim(D::Minus1)?)
}

impl Engine for Train {
    type Repr<R: Ring> = Value;
    type Sum<R: Ring> = Value;
    type Weight<R: Ring> = Matrix;
    /// 1 or 0.
    type Bits = Value;

    fn add<R: Ring>(x: &Value, y: &Value) -> Result<Value> {
        add("add", x, y)
    }
    fn sub<R: Ring>(x: &Value, y: &Value) -> Result<Value> {
        Ok(x.with(both("subtract", x, y, |a, b| a - b)?))
    }
    fn add_sums<R: Ring>(a: &Value, b: &Value) -> Result<Value> {
        add("add", a, b)
    }
    // Numbers are kept as what they stand for: at another scale they are the same.
    fn raise<R: Ring>(_: &Ctx<'_, Self>, x: &Value, up: u32) -> Result<Value> {
        Ok(Value { fraction: x.fraction + up as i32, ..x.clone() })
    }
    fn raise_sum<R: Ring>(a: &Value, up: u32) -> Result<Value> {
        Ok(Value { fraction: a.fraction + up as i32, ..a.clone() })
    }
    fn as_sum<R: Ring>(_: &Ctx<'_, Self>, x: &Value, up: u32) -> Result<Value> {
        Ok(Value { fraction: x.fraction + up as i32, ..x.clone() })
    }
    fn linear<R: Ring>(_: &Ctx<'_, Self>, x: &Value, w: &Matrix) -> Result<Value> {
        let (inputs, outputs) = w.tensor.dims2().map_err(failed("linear"))?;
        if x.shape.last() != inputs {
            return Err(Error::shape("linear", &x.shape, &Shape::new(&[inputs, outputs])));
        }
        let mut dims = x.tensor.dims().to_vec();
        let rows = dims.iter().rev().skip(1).product::<usize>();
        if let Some(last) = dims.last_mut() {
            *last = outputs;
        }
        let y = x.tensor.reshape((rows, inputs)).and_then(|x| x.matmul(&w.tensor)?.reshape(dims));
        Ok(Value::new(y.map_err(failed("linear"))?, x.fraction + w.fraction, R::K))
    }
    fn product<R: Ring>(_: &Ctx<'_, Self>, op: Bilinear, x: &Value, y: &Value) -> Result<Value> {
        let shape = op.shape(&x.shape, &y.shape)?;
        let transposed = || y.tensor.transpose(D::Minus2, D::Minus1);
        let tensor = match op {
            Bilinear::Elementwise => both("elementwise product", x, y, |a, b| a * b)?,
            Bilinear::MatMul => matmul(&x.tensor, &y.tensor).map_err(failed("matrix product"))?,
            Bilinear::MatMulTransposed | Bilinear::CausalScores => {
                transposed().and_then(|y| matmul(&x.tensor, &y)).map_err(failed("matrix product"))?
            }
            Bilinear::RowDot => {
                let dot = (&x.tensor * &y.tensor).and_then(|z| z.sum(D::Minus1));
                dot.map_err(failed("inner product of rows"))?
            }
            Bilinear::CausalMix { .. } => return Err(Error::Unsupported("causal weighting in training")),
        };
        Ok(Value { tensor, shape, fraction: x.fraction + y.fraction, width: R::K })
    }
    fn rescale<R: Ring, T: Ring>(ctx: &Ctx<'_, Self>, z: &Value, drop: u32) -> Result<Value> {
        ctx.engine().served(&z.tensor, z.fraction - drop as i32, T::K)
    }
    fn downcast<R: Ring, T: Ring>(ctx: &Ctx<'_, Self>, x: &Value, drop: u32) -> Result<Value> {
        ctx.engine().served(&x.tensor, x.fraction - drop as i32, T::K)
    }
    fn upcast<R: Ring, T: Ring>(_: &Ctx<'_, Self>, x: &Value, up: u32) -> Result<Value> {
        Ok(Value { fraction: x.fraction + up as i32, width: T::K, ..x.clone() })
    }
    fn softmax_attend<R: Ring, V: Ring, T: Ring>(
        ctx: &Ctx<'_, Self>,
        kind: Softmax,
        rows: &Rows,
        scores: &Value,
        _: u32,
        values: &Value,
        _: u32,
        out_fraction: u32,
    ) -> Result<Value> {
        let keys = values.shape.dims().iter().rev().nth(1).copied().unwrap_or_default();
        let attend = || -> candle_core::Result<(Tensor, Tensor)> {
            let seen = visible(rows, keys, scores.tensor.device())?;
            let y = matmul(&weigh(kind, &scores.tensor, seen.as_ref())?, &values.tensor)?;
            // What is masked is no score.
            let kept = match &seen {
                None => scores.tensor.clone(),
                Some(seen) => scores.tensor.broadcast_mul(&seen.to_dtype(DType::F32)?)?,
            };
            Ok((y, kept))
        };
        let (y, kept) = attend().map_err(failed("softmax"))?;
        ctx.engine().keep(|seen| seen.scores.push(kept));
        ctx.engine().served(&y, out_fraction as i32, T::K)
    }
    fn layer_norm<R: Ring, G: Ring, T: Ring>(
        ctx: &Ctx<'_, Self>,
        x: &Value,
        _: u32,
        norm: NormOf<'_, Value>,
        out_fraction: u32,
    ) -> Result<Value> {
        let y = standard(&x.tensor, norm.epsilon).map_err(failed("layer_norm"))?;
        ctx.engine().keep(|seen| {
            seen.sums.push(x.tensor.clone());
            seen.hidden.push(y.clone());
        });
        let y = x.with(y);
        let y = y.with(both("gain", &y, norm.gain, |y, gain| y * gain)?);
        let y = add("bias", &y, norm.bias)?;
        let y = ctx.engine().served(&y.tensor, out_fraction as i32, T::K)?;
        ctx.engine().keep(|seen| seen.normalised.push(y.tensor.clone()));
        Ok(y)
    }
    fn layer_norm_tensor<R: Ring, G: Ring, T: Ring>(
        ctx: &Ctx<'_, Self>,
        x: &Value,
        fraction: u32,
        norm: NormOf<'_, Value>,
        out_fraction: u32,
    ) -> Result<Value> {
        Self::layer_norm::<R, G, T>(ctx, x, fraction, norm, out_fraction)
    }
    fn activation<R: Ring, T: Ring>(
        ctx: &Ctx<'_, Self>,
        function: Activation,
        x: &Value,
        _: u32,
        out_fraction: u32,
    ) -> Result<Value> {
        let y = activation(function, &x.tensor).map_err(failed("activation"))?;
        ctx.engine().served(&y, out_fraction as i32, T::K)
    }
    fn greater<R: Ring>(_: &Ctx<'_, Self>, x: &Value, y: &Value) -> Result<Value> {
        let bits = both("compare", x, y, |a, b| a.detach().gt(&b.detach()))?;
        Ok(Value::new(bits, 0, 1))
    }
    fn select<R: Ring>(_: &Ctx<'_, Self>, bits: &Value, x: &Value, y: &Value) -> Result<Value> {
        let one = both("select", bits, x, |bits, x| bits.to_dtype(DType::F32)? * x)?;
        let other = both("select", bits, y, |bits, y| bits.to_dtype(DType::F32)?.affine(-1.0, 1.0)? * y)?;
        add("select", &x.with(one), &x.with(other))
    }
    fn relu<R: Ring, T: Ring>(ctx: &Ctx<'_, Self>, x: &Value, drop: u32) -> Result<Value> {
        let y = x.tensor.relu().map_err(failed("relu"))?;
        ctx.engine().served(&y, x.fraction - drop as i32, T::K)
    }
    fn max_last<R: Ring>(_: &Ctx<'_, Self>, x: &Value) -> Result<Value> {
        Ok(x.with(x.tensor.max_keepdim(D::Minus1).map_err(failed("maximum"))?))
    }
    fn argmax<R: Ring, T: Ring>(_: &Ctx<'_, Self>, x: &Value, _: u32, out_fraction: u32) -> Result<Value> {
        let index = x.tensor.detach().argmax_keepdim(D::Minus1).and_then(|i| i.to_dtype(DType::F32));
        Ok(Value::new(index.map_err(failed("argmax"))?, out_fraction as i32, T::K))
    }
    fn pointwise<R: Ring, T: Ring>(
        ctx: &Ctx<'_, Self>,
        function: &Pointwise,
        x: &Value,
        _: u32,
        out_fraction: u32,
    ) -> Result<Value> {
        let y = pointwise(&x.tensor, &|v| function.value(v)).map_err(failed("pointwise"))?;
        ctx.engine().served(&y, out_fraction as i32, T::K)
    }
    fn mean_rows<R: Ring, T: Ring>(
        ctx: &Ctx<'_, Self>,
        x: &Value,
        _: u32,
        out_fraction: u32,
    ) -> Result<Value> {
        let mean = x.tensor.mean_keepdim(1).map_err(failed("mean of rows"))?;
        ctx.engine().served(&mean, out_fraction as i32, T::K)
    }
    fn normalize<R: Ring, T: Ring>(
        ctx: &Ctx<'_, Self>,
        x: &Value,
        _: u32,
        out_fraction: u32,
    ) -> Result<Value> {
        let unit = x.tensor.sqr().and_then(|s| over(&x.tensor, &s.sum_keepdim(D::Minus1)?.sqrt()?));
        ctx.engine().served(&unit.map_err(failed("normalize"))?, out_fraction as i32, T::K)
    }
}
