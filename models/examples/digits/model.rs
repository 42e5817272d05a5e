//! A small vision transformer (Dosovitskiy et al., 2021) on 16 x 16 grey images.

use ditto_core::nn::{
    Activation, Engine, LayerNorm, Linear, LinearShape, Product, Scope, Softmax, Tensor, WeightSource,
    Weights, activation, concat, layer_norm, linear, matmul_t, softmax_attend,
};
use ditto_core::session::SecureModel;
use ditto_core::tensor::Shape;
use ditto_core::{Ctx, Fx, Result};
use ditto_macros::{Weights, secure_model};

type Act = Fx<32, 10>; // activations: 32 bits, 10 of them fractional
type Weight = Fx<32, 11>; // matrices
type Bias = Fx<32, 16>; // whatever is added to a product
type Value = Fx<48, 10>; // values of attention, which are summed up

/// Sizes. They are public; the weights are not.
#[derive(Clone, Debug)]
pub struct Config {
    pub patches: usize,
    pub pixels: usize, // of a patch
    pub width: usize,
    pub heads: usize,
    pub blocks: usize,
    pub classes: usize,
}

#[derive(Weights)]
#[weights(config = Config)]
pub struct Block<E: Engine> {
    #[weights(with = (config.width, 1e-6))]
    norm1: LayerNorm<E, Act, Bias>,
    // 1 / sqrt(d) of attention is folded into the query.
    #[weights(with = square(config).scaled(1.0 / ((config.width / config.heads) as f64).sqrt()))]
    query: Linear<E, Weight, Bias>,
    #[weights(with = square(config))]
    key: Linear<E, Weight, Bias>,
    #[weights(with = square(config))]
    value: Linear<E, Weight, Bias>,
    #[weights(with = square(config))]
    project: Linear<E, Weight, Bias>,
    #[weights(with = (config.width, 1e-6))]
    norm2: LayerNorm<E, Act, Bias>,
    #[weights(with = LinearShape::new(config.width, 2 * config.width))]
    up: Linear<E, Weight, Bias>,
    #[weights(with = LinearShape::new(2 * config.width, config.width))]
    down: Linear<E, Weight, Bias>,
    #[weights(value = config.heads)]
    heads: usize,
}

#[derive(Weights)]
#[weights(config = Config)]
pub struct Vit<E: Engine> {
    #[weights(with = LinearShape::new(config.pixels, config.width))]
    patch: Linear<E, Weight, Bias>,
    #[weights(with = Shape::new(&[1, config.width]))]
    class_token: Tensor<E, Act>,
    #[weights(with = Shape::new(&[config.patches + 1, config.width]))]
    positions: Tensor<E, Act>,
    #[weights(count = config.blocks)]
    blocks: Vec<Block<E>>,
    #[weights(with = (config.width, 1e-6))]
    norm: LayerNorm<E, Act, Bias>,
    #[weights(with = LinearShape::new(config.width, config.classes))]
    head: Linear<E, Weight, Bias>,
}

fn square(config: &Config) -> LinearShape {
    LinearShape::new(config.width, config.width)
}

#[secure_model]
fn attention(w: &Block, x: &Tensor<Act>) -> Product<Act, Weight> {
    let (q, k, v): (Tensor<Act>, Tensor<Act>, Tensor<Value>) =
        join!(linear(x, &w.query), linear(x, &w.key), linear(x, &w.value));
    let scores = matmul_t(&q.split_heads(w.heads), &k.split_heads(w.heads));
    let context: Tensor<Act> = softmax_attend(Softmax::Exact, &scores, &v.split_heads(w.heads));
    linear(&context.merge_heads(), &w.project)
}

#[secure_model]
fn block(w: &Block, x: &Tensor<Act>) -> Tensor<Act> {
    let inner: Tensor<Act> = layer_norm(x, &w.norm1);
    let x: Tensor<Act> = attention(w, &inner) + x;
    let inner: Tensor<Act> = layer_norm(&x, &w.norm2);
    let inner: Tensor<Act> = activation(Activation::Gelu, &linear(&inner, &w.up));
    linear(&inner, &w.down) + &x
}

/// Patches [n, pixels] to logits [1, classes].
#[secure_model]
fn vit(w: &Vit, patches: &Tensor<Act>) -> Tensor<Bias> {
    let tokens: Tensor<Act> = linear(patches, &w.patch);
    let mut x = concat(&[&w.class_token, &tokens], 0) + &w.positions;
    for weights in &w.blocks {
        x = block(weights, &x);
    }
    let x: Tensor<Act> = layer_norm(&x.slice(0, 0, 1), &w.norm);
    linear(&x, &w.head)
}

/// The function with its sizes: what parties run.
pub struct Digits(pub Config);

impl SecureModel for Digits {
    type Weights<E: Engine> = Vit<E>;
    type State<E: Engine> = (); // nothing is kept for the next image
    type Input = Act;
    type Output = Bias;
    type Request = (); // every image has the same size

    fn description(&self) -> Vec<u8> {
        format!("digits {:?}", self.0).into_bytes()
    }
    fn input_shape(&self, (): &()) -> Shape {
        Shape::new(&[self.0.patches, self.0.pixels])
    }
    fn load<E: Engine, S: WeightSource<E>>(&self, source: &S) -> Result<Vit<E>> {
        Vit::load(&Scope::new(source), &self.0)
    }
    fn forward<E: Engine>(
        &self,
        ctx: &Ctx<'_, E>,
        weights: &Vit<E>,
        (): &mut (),
        patches: &Tensor<E, Act>,
        (): &(),
    ) -> Result<Tensor<E, Bias>> {
        vit(ctx, weights, patches)
    }
}
