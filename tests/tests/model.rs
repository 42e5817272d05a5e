//! A small Transformer block under the macros, in the clear and in simulation.

use ditto_core::engine::{Clear, Simulate};
use ditto_core::nn::{
    Activation, LayerNorm, Linear, LinearShape, Scope, Softmax, WeightSource, Weights, activation,
    layer_norm, linear, matmul_t, softmax_attend,
};
use ditto_core::{Engine, Fixed, Fx, Product, Result, Tensor, Z};
use ditto_macros::{Weights, secure_model};
use ditto_tests::weights::{Floats, Plain};

/// Formats of a model.
trait Plan: Copy + std::fmt::Debug + Send + Sync + 'static {
    type Act: Fixed<Ring = Z<32>>;
    type Weight: Fixed<Ring = Z<32>>;
    type Value: Fixed;
    type Bias: Fixed<Ring = Z<32>>;
    type Norm: Fixed<Ring = Z<32>>;
    const ACTIVATION: Activation;
}

#[derive(Clone, Copy, Debug)]
struct Small;

impl Plan for Small {
    type Act = Fx<32, 10>;
    type Weight = Fx<32, 9>;
    type Value = Fx<64, 12>;
    type Bias = Fx<32, 12>;
    type Norm = Fx<32, 12>;
    const ACTIVATION: Activation = Activation::Quad;
}

#[derive(Clone, Copy)]
struct Config {
    width: usize,
    inner: usize,
    heads: usize,
    layers: usize,
    pooled: bool,
}

impl Config {
    fn norm(&self) -> (usize, f64) {
        (self.width, 1e-5)
    }
}

#[derive(Weights)]
#[weights(config = Config)]
struct Attention<E: Engine, P: Plan> {
    #[weights(name = "self.query", with = LinearShape::new(config.width, config.width)
        .scaled(((config.width / config.heads) as f64).sqrt().recip()))]
    query: Linear<E, P::Weight, P::Bias>,
    #[weights(name = "self.key", with = LinearShape::new(config.width, config.width))]
    key: Linear<E, P::Weight, P::Bias>,
    #[weights(name = "self.value", with = LinearShape::new(config.width, config.width))]
    value: Linear<E, P::Weight, P::Bias>,
    #[weights(name = "output", with = LinearShape::new(config.width, config.width))]
    output: Linear<E, P::Weight, P::Bias>,
    #[weights(value = config.heads)]
    heads: usize,
}

#[derive(Weights)]
#[weights(config = Config)]
struct Layer<E: Engine, P: Plan> {
    attention: Attention<E, P>,
    #[weights(with = config.norm())]
    attention_norm: LayerNorm<E, P::Norm, P::Norm>,
    #[weights(with = LinearShape::new(config.width, config.inner))]
    intermediate: Linear<E, P::Weight, P::Bias>,
    #[weights(with = LinearShape::new(config.inner, config.width))]
    output: Linear<E, P::Weight, P::Bias>,
    #[weights(with = config.norm())]
    output_norm: LayerNorm<E, P::Norm, P::Norm>,
}

#[derive(Weights)]
#[weights(config = Config)]
struct Encoder<E: Engine, P: Plan> {
    #[weights(name = "layer", count = config.layers)]
    layers: Vec<Layer<E, P>>,
    #[weights(when = config.pooled, with = LinearShape::new(config.width, config.width))]
    pooler: Option<Linear<E, P::Weight, P::Bias>>,
}

#[secure_model]
fn attention<P: Plan>(w: &Attention<P>, x: &Tensor<P::Act>) -> Product<P::Act, P::Weight> {
    let (q, k, v): (Tensor<P::Act>, Tensor<P::Act>, Tensor<P::Value>) =
        join!(linear(x, &w.query), linear(x, &w.key), linear(x, &w.value));
    let scores = matmul_t(&q.split_heads(w.heads), &k.split_heads(w.heads));
    let context: Tensor<P::Act> = softmax_attend(Softmax::Exact, &scores, &v.split_heads(w.heads));
    linear(&context.merge_heads(), &w.output)
}

#[secure_model]
fn encoder<P: Plan>(w: &Encoder<P>, x: &Tensor<P::Act>) -> Tensor<P::Act> {
    let mut x = x.clone();
    for layer in &w.layers {
        let attended: Tensor<P::Act> =
            layer_norm(&(attention(&layer.attention, &x) + &x), &layer.attention_norm);
        let inner: Tensor<P::Act> = activation(P::ACTIVATION, &linear(&attended, &layer.intermediate));
        x = layer_norm(&(linear(&inner, &layer.output) + &attended), &layer.output_norm);
    }
    if let Some(pooler) = &w.pooler {
        let first = x.slice(0, 0, 1);
        return activation(Activation::Tanh, &linear(&first, pooler));
    }
    x
}

/// Numbers that look random and are always the same.
fn numbers(n: usize, scale: f64) -> impl FnMut(usize) -> Vec<f64> {
    let mut state = n as u64;
    move |len| {
        (0..len)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                ((state >> 40) as f64 / 8_388_608.0 - 1.0) * scale
            })
            .collect()
    }
}

fn floats(config: &Config) -> Floats {
    let (mut floats, mut next) = (Floats::default(), numbers(7, 0.4));
    let mut linear = |name: String, inputs: usize, outputs: usize| {
        floats.insert(&format!("{name}.weight"), next(inputs * outputs));
        floats.insert(&format!("{name}.bias"), next(outputs));
    };
    for layer in 0..config.layers {
        for name in ["self.query", "self.key", "self.value", "output"] {
            linear(format!("layer.{layer}.attention.{name}"), config.width, config.width);
        }
        linear(format!("layer.{layer}.intermediate"), config.width, config.inner);
        linear(format!("layer.{layer}.output"), config.inner, config.width);
        for name in ["attention_norm", "output_norm"] {
            linear(format!("layer.{layer}.{name}"), 1, config.width);
        }
    }
    linear("pooler".to_owned(), config.width, config.width);
    floats
}

const CONFIG: Config = Config { width: 8, inner: 16, heads: 2, layers: 2, pooled: false };

fn read<E: Plain>(ctx: &ditto_core::Ctx<'_, E>, config: &Config) -> Result<Vec<f64>>
where
    Floats: WeightSource<E>,
{
    let floats = floats(config);
    let w = Encoder::<E, Small>::load(&Scope::new(&floats), config)?;
    let x = E::secret(&[5, config.width], &numbers(3, 1.5)(5 * config.width))?;
    Ok(E::reveal(&encoder(ctx, &w, &x)?))
}

#[test]
fn simulation_stays_near_the_clear_model() {
    for config in [CONFIG, Config { pooled: true, ..CONFIG }] {
        let clear = Clear::run(|ctx| read(ctx, &config)).expect("runs in the clear");
        let fixed = Simulate::run(std::sync::Arc::default(), [1; 16], |ctx| read(ctx, &config))
            .expect("runs in simulation");
        assert_eq!(clear.len(), fixed.len());
        let worst = clear.iter().zip(&fixed).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(worst < 0.05, "{worst}");
        assert!(clear.iter().any(|v| v.abs() > 0.1));
    }
}
