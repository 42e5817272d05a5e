//! Protocols as models of their own.

use std::marker::PhantomData;

use ditto_core::Ctx;
use ditto_core::Fixed;
use ditto_core::error::{Error, Result};
use ditto_core::net::Limits;
use ditto_core::nn::{
    Activation, Engine, LayerNorm, Linear, LinearShape, Pointwise, Rescale, Scope, Softmax, Tensor,
    WeightSource, Weights, activation, argmax, greater, layer_norm, linear, matmul_t, max_last, mul,
    pointwise, select, softmax_attend,
};
use ditto_core::session::{Floats, Report, SecureModel, operations, program};
use ditto_core::tensor::{Array, Shape};
use ditto_models::plan::{Formats, Plan, VisitFormats};
use serde::Serialize;

use super::world::reports;
use crate::error::Result as BenchResult;
use crate::statistics::median;

/// What is measured.
#[derive(Clone, Debug)]
pub enum Protocol {
    /// Products of this many pairs, rescaled.
    Product(usize),
    /// Rows times a weight matrix, rescaled: rows, inputs, outputs.
    Linear([usize; 3]),
    /// Queries times keys, rescaled: heads, tokens, width of a head.
    Scores([usize; 3]),
    /// Comparisons of this many pairs.
    Greater(usize),
    /// Choices between this many pairs, by bits that are there.
    Select(usize),
    /// Maxima of rows: rows, columns.
    Max([usize; 2]),
    /// The index of the largest of this many.
    Argmax(usize),
    /// Softmax of rescaled scores, times values: kind, heads, tokens, width of a head.
    Attend(Softmax, [usize; 3]),
    /// Normalisation of rows: rows, columns.
    LayerNorm([usize; 2]),
    /// A ready-made function of this many numbers.
    Activation(Activation, usize),
    /// An author's function of this many numbers.
    Function(Pointwise, usize),
}

/// What one protocol came to.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// The protocol.
    pub protocol: String,
    /// Whose formats.
    pub plan: &'static str,
    /// Elements that bytes are told for: those of the output, of scores in attention.
    pub elements: usize,
    /// Median seconds until all parties have prepared.
    pub preprocess_seconds: f64,
    /// Median seconds of the evaluators.
    pub online_seconds: f64,
    /// What both evaluators send.
    pub online_bytes: u64,
    /// What the helper sends.
    pub offline_bytes: u64,
    /// Longest chain of messages.
    pub hops: u32,
}

impl Protocol {
    /// Those of BERT-base and GPT-2 with 128 tokens, and functions of `n` elements.
    pub fn all(n: usize) -> Vec<Self> {
        let functions = [
            ("exp", f64::exp as fn(f64) -> f64, -10.0, 0.0),
            ("reciprocal", f64::recip, 1.0, 100.0),
            ("reciprocal square root", |x| x.sqrt().recip(), 0.1, 10.0),
        ];
        let functions = functions.into_iter().filter_map(|(name, f, low, high)| {
            Some(Self::Function(Pointwise::new(name, f, low..=high, 0.01).ok()?, n))
        });
        let mut all = vec![
            Self::Linear([128, 768, 768]),
            Self::Linear([128, 768, 3072]),
            Self::Linear([128, 3072, 768]),
            Self::Linear([32, 768, 3072]),
            Self::Linear([1, 768, 3072]),
            Self::Linear([1, 768, 50257]),
            Self::Scores([12, 128, 64]),
            Self::Product(n),
            Self::Greater(n),
            Self::Select(n),
            Self::Max([512, 128]),
            Self::Argmax(50257),
        ];
        let softmaxes = [Softmax::Exact, Softmax::ExactWithin(6), Softmax::Clipped, Softmax::TwoQuad];
        all.extend(softmaxes.map(|kind| Self::Attend(kind, [12, 128, 64])));
        all.push(Self::LayerNorm([128, 768]));
        let activations = [Activation::Quad, Activation::Gelu, Activation::PumaGelu, Activation::Tanh];
        all.extend(activations.map(|function| Self::Activation(function, n)));
        all.extend(functions);
        all
    }

    /// Its name with its shape.
    pub fn name(&self) -> String {
        match self {
            Self::Product(n) => format!("product, rescaled, {n}"),
            Self::Linear([m, k, n]) => format!("linear layer {m} x {k} x {n}"),
            Self::Scores([heads, tokens, d]) => format!("scores, {heads} heads, {tokens} x {d} x {tokens}"),
            Self::Greater(n) => format!("comparison, {n}"),
            Self::Select(n) => format!("choice by a bit, {n}"),
            Self::Max([rows, columns]) => format!("maximum, {rows} rows of {columns}"),
            Self::Argmax(n) => format!("argmax of {n}"),
            Self::Attend(kind, [heads, tokens, d]) => {
                let softmax = match kind {
                    Softmax::Exact => "softmax".to_owned(),
                    Softmax::ExactWithin(log) => format!("softmax of rows within {}", 1u64 << log),
                    Softmax::Clipped => "clipped softmax".to_owned(),
                    Softmax::TwoQuad => "2Quad softmax".to_owned(),
                };
                format!("{softmax} and values, {heads} heads, {tokens} x {tokens} x {d}")
            }
            Self::LayerNorm([rows, columns]) => format!("LayerNorm {rows} x {columns}"),
            Self::Activation(function, n) => format!("{}, {n}", name(*function)),
            Self::Function(function, n) => {
                let range = function.range();
                format!("{} on [{}, {}], {n}", function.name(), range.start(), range.end())
            }
        }
    }

    fn elements(&self) -> usize {
        match *self {
            Self::Product(n) | Self::Greater(n) | Self::Select(n) | Self::Argmax(n) => n,
            Self::Linear([m, _, n]) => m * n,
            Self::Scores([heads, tokens, _]) | Self::Attend(_, [heads, tokens, _]) => heads * tokens * tokens,
            Self::Max([rows, columns]) | Self::LayerNorm([rows, columns]) => rows * columns,
            Self::Activation(_, n) | Self::Function(_, n) => n,
        }
    }

    fn input_shape(&self) -> Shape {
        match *self {
            // Two of everything below each other.
            Self::Product(n) | Self::Greater(n) | Self::Select(n) => Shape::new(&[2, n]),
            Self::Linear([m, k, _]) => Shape::new(&[m, k]),
            Self::Scores([heads, tokens, d]) | Self::Attend(_, [heads, tokens, d]) => {
                Shape::new(&[tokens, heads * d])
            }
            Self::Max([rows, columns]) | Self::LayerNorm([rows, columns]) => Shape::new(&[rows, columns]),
            Self::Argmax(n) | Self::Activation(_, n) | Self::Function(_, n) => Shape::new(&[1, n]),
        }
    }

    /// Measures it in the formats of each plan that it can run in; the plans take turns.
    pub fn measure(&self, plans: &[Plan], reps: usize) -> BenchResult<Vec<Measured>> {
        let mut able = Vec::new();
        for &plan in plans {
            if plan.with_formats(Able(self))? {
                able.push(plan);
            }
        }
        let plans = &able;
        let mut runs: Vec<Vec<[f64; 2]>> = plans.iter().map(|_| Vec::new()).collect();
        let mut sent = Vec::new();
        for turn in 0..reps {
            for (plan, runs) in plans.iter().zip(&mut runs) {
                let one = plan.with_formats(Turn(self))?;
                runs.push(one.seconds);
                if turn == 0 {
                    sent.push(one.sent);
                }
            }
        }
        let measured = plans.iter().zip(runs).zip(sent).map(|((plan, runs), [online, offline, hops])| {
            let seconds =
                [0, 1].map(|phase| median(&runs.iter().map(|run| run[phase]).collect::<Vec<f64>>()));
            Measured {
                protocol: self.name(),
                plan: plan.as_str(),
                elements: self.elements(),
                preprocess_seconds: seconds[0],
                online_seconds: seconds[1],
                online_bytes: online,
                offline_bytes: offline,
                hops: u32::try_from(hops).unwrap_or(u32::MAX),
            }
        });
        Ok(measured.collect())
    }
}

/// An activation as papers call it.
fn name(function: Activation) -> &'static str {
    match function {
        Activation::Gelu => "GeLU",
        Activation::GeluTanh => "GeLU by tanh",
        Activation::Quad => "Quad",
        Activation::Tanh => "tanh",
        Activation::Silu => "SiLU",
        Activation::Sigmoid => "sigmoid",
        Activation::PumaGelu => "PUMA's GeLU",
    }
}

/// Whether some formats have what the protocol needs: the baselines' softmaxes want everything in one ring, and a weight is
/// shared in one message.
struct Able<'a>(&'a Protocol);

impl VisitFormats for Able<'_> {
    type Out = Result<bool>;
    fn visit<P: Formats>(self) -> Result<bool> {
        if let Protocol::Linear([_, inputs, outputs]) = *self.0
            && (inputs * outputs) as u64 * u64::from(P::Weight::K) / 8 > Limits::default().frame_bytes
        {
            return Ok(false);
        }
        match program(&Single::<P> { protocol: self.0.clone(), formats: PhantomData }, &()) {
            Ok(_) => Ok(true),
            Err(Error::Unsupported(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// A run in some formats.
struct Turn<'a>(&'a Protocol);

/// What it came to.
struct Once {
    seconds: [f64; 2],
    /// Bytes online, bytes offline, hops.
    sent: [u64; 3],
}

/// The step below which the protocol runs.
const MEASURED: &str = "measured";

impl VisitFormats for Turn<'_> {
    type Out = BenchResult<Once>;
    fn visit<P: Formats>(self) -> BenchResult<Once> {
        let model = Single::<P> { protocol: self.0.clone(), formats: PhantomData };
        let (steps, _, output) = program(&model, &())?;
        let steps = steps.steps;
        let x = Array::new(self.0.input_shape(), small(self.0.input_shape().len()))?;
        // The first finds memory and tables, the second is counted.
        let reports = reports(&model, &Small, &x, &output, 2)?;
        let Some(last) = reports.last() else { return Err(Error::Internal("a request has reports").into()) };
        let Some(at) = steps.names().iter().position(|name| name == MEASURED) else {
            return Err(Error::Internal("a protocol has a step").into());
        };
        let since = |times: &[u32]| match (times.get(at), times.last()) {
            (Some(begun), Some(end)) => f64::from(end - begun) / 1e6,
            _ => 0.0,
        };
        let longest = |times: fn(&Report) -> &[u32]| last.iter().map(|r| since(times(r))).fold(0.0, f64::max);
        let seconds = [longest(|r| &r.trace.preprocess), longest(|r| &r.trace.online)];

        let (operations, _) = operations(&model, &())?;
        let (mut before, mut sent) = (0, [0; 3]);
        for operation in &operations {
            match operation.step.strip_prefix(MEASURED) {
                Some(rest) if rest.is_empty() || rest.starts_with('/') => {
                    sent[0] += operation.cost.online;
                    sent[1] += operation.cost.offline;
                    sent[2] = sent[2].max(u64::from(operation.depth));
                }
                _ if operation.step != "output" => before = before.max(u64::from(operation.depth)),
                _ => {}
            }
        }
        sent[2] = sent[2].saturating_sub(before);
        Ok(Once { seconds, sent })
    }
}

/// Small numbers of both signs.
fn small(n: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 37) % 101) as f32 / 101.0 - 0.5).collect()
}

/// Weights that are [`small`].
struct Small;

impl Floats for Small {
    fn floats(&self, _: &str, shape: &[usize]) -> Result<Vec<f32>> {
        Ok(small(shape.iter().product()))
    }
}

/// A model of one protocol.
struct Single<P> {
    protocol: Protocol,
    formats: PhantomData<P>,
}

enum Loaded<E: Engine, P: Formats> {
    None,
    Linear(Linear<E, P::Weight, P::Bias>),
    Norm(LayerNorm<E, P::Gain, P::Bias>),
}

impl<P: Formats> SecureModel for Single<P> {
    type Weights<E: Engine> = Loaded<E, P>;
    type State<E: Engine> = ();
    type Input = P::Act;
    type Output = P::Act;
    type Request = ();

    fn description(&self) -> Vec<u8> {
        self.protocol.name().into_bytes()
    }
    fn input_shape(&self, (): &()) -> Shape {
        self.protocol.input_shape()
    }
    fn load<E: Engine, S: WeightSource<E>>(&self, source: &S) -> Result<Loaded<E, P>> {
        let scope = Scope::new(source);
        Ok(match self.protocol {
            Protocol::Linear([_, inputs, outputs]) => {
                Loaded::Linear(Linear::load(&scope, &LinearShape::new(inputs, outputs).without_bias())?)
            }
            Protocol::LayerNorm([_, columns]) => Loaded::Norm(LayerNorm::load(&scope, &(columns, 1e-5))?),
            _ => Loaded::None,
        })
    }
    fn forward<E: Engine>(
        &self,
        ctx: &Ctx<'_, E>,
        weights: &Loaded<E, P>,
        (): &mut (),
        x: &Tensor<E, P::Act>,
        (): &(),
    ) -> Result<Tensor<E, P::Act>> {
        let measured = || ctx.step(MEASURED);
        let half = |i| x.slice(0, i, i + 1);
        match (&self.protocol, weights) {
            (Protocol::Product(_), _) => {
                let ctx = measured()?;
                mul(&ctx.step("mul")?, &half(0)?, &half(1)?)?.rescale(&ctx, "rescale")
            }
            (Protocol::Linear(_), Loaded::Linear(w)) => {
                let ctx = measured()?;
                linear(&ctx.step("linear")?, x, w)?.rescale(&ctx, "rescale")
            }
            (Protocol::Scores([heads, ..]), _) => {
                let (ctx, x) = (measured()?, x.split_heads(*heads)?);
                matmul_t(&ctx.step("matmul")?, &x, &x)?.rescale(&ctx, "rescale")
            }
            (Protocol::Greater(_), _) => {
                greater(&measured()?, &half(0)?, &half(1)?)?;
                half(0)
            }
            (Protocol::Select(_), _) => {
                let (a, b) = (half(0)?, half(1)?);
                let bits = greater(&ctx.step("bits")?, &a, &b)?;
                select(&measured()?, &bits, &a, &b)
            }
            (Protocol::Max(_), _) => max_last(&measured()?, x),
            (Protocol::Argmax(_), _) => argmax(&measured()?, x),
            (Protocol::Attend(kind, [heads, ..]), _) => {
                let before = ctx.step("before")?;
                let x = x.split_heads(*heads)?;
                let scores = matmul_t(&before.step("scores")?, &x, &x)?;
                let values = mul(&before.step("values")?, &x, &x)?;
                let values: Tensor<E, P::Value> = values.rescale(&before, "rescale")?;
                softmax_attend(&measured()?, *kind, &scores, &values)
            }
            (Protocol::LayerNorm(_), Loaded::Norm(w)) => layer_norm(&measured()?, x, w),
            (Protocol::Activation(function, _), _) => activation(&measured()?, *function, x),
            (Protocol::Function(function, _), _) => pointwise(&measured()?, function, x),
            _ => Err(Error::Internal("a protocol has the weights it loads")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_protocol_runs_in_small() {
        let small = [
            Protocol::Product(10),
            Protocol::Linear([2, 8, 4]),
            Protocol::Scores([2, 4, 4]),
            Protocol::Greater(10),
            Protocol::Select(10),
            Protocol::Max([3, 5]),
            Protocol::Argmax(9),
            Protocol::Attend(Softmax::Exact, [2, 4, 4]),
            Protocol::LayerNorm([2, 8]),
            Protocol::Activation(Activation::Quad, 10),
        ];
        for protocol in small {
            let [ditto] = &protocol.measure(&[Plan::Ditto], 1).unwrap()[..] else { panic!("one plan") };
            assert!(ditto.online_seconds > 0.0 && ditto.hops > 0 && ditto.online_bytes > 0, "{ditto:?}");
        }
        let clipped =
            Protocol::Attend(Softmax::Clipped, [2, 4, 4]).measure(&[Plan::Ditto, Plan::Puma], 1).unwrap();
        assert!(clipped.len() == 1 && clipped[0].plan == "puma", "{clipped:?}");
        // A choice alone, without the comparison before it: one hop of a bit and a number.
        let [choice] = &Protocol::Select(8).measure(&[Plan::Ditto], 1).unwrap()[..] else {
            panic!("one plan")
        };
        assert!(choice.hops <= 2 && choice.online_bytes <= 8 * 16, "{choice:?}");
    }
}
