//! A decoder that takes token by token and keeps keys and values of those before, in two ways.

use ditto_core::nn::{
    Engine, LayerNorm, Linear, LinearShape, Scope, Softmax, Tensor, WeightSource, Weights, activation,
    concat, layer_norm, linear, matmul_t, softmax_attend,
};
use ditto_core::session::SecureModel;
use ditto_core::tensor::Shape;
use ditto_core::{Ctx, Result};
use ditto_macros::{Weights, secure_model};

use crate::{Plan, Small};

#[derive(Clone, Debug)]
pub(crate) struct Decoder {
    pub(crate) width: usize,
    pub(crate) heads: usize,
    pub(crate) layers: usize,
    pub(crate) keeping: Keeping,
}

/// How a cache keeps keys and values.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Keeping {
    /// Joined to one tensor whenever a token comes.
    Joined,
    /// As a list that is joined when it is read.
    Listed,
}

/// Keys and values of one layer.
pub(crate) struct Cache<E: Engine, P: Plan> {
    #[allow(clippy::type_complexity)] // A pair under an option, as an author would write it.
    joined: Option<(Tensor<E, P::Act>, Tensor<E, P::Value>)>,
    keys: Vec<Tensor<E, P::Act>>,
    values: Vec<Tensor<E, P::Value>>,
}

impl<E: Engine, P: Plan> Cache<E, P> {
    fn new() -> Self {
        Self { joined: None, keys: Vec::new(), values: Vec::new() }
    }
}

#[derive(Weights)]
#[weights(config = Decoder)]
pub(crate) struct Block<E: Engine, P: Plan> {
    #[weights(with = (config.width, 1e-5))]
    ln_1: LayerNorm<E, P::Act, P::Act>,
    #[weights(with = LinearShape::new(config.width, config.width).scaled(((config.width / config.heads) as f64).sqrt().recip()))]
    query: Linear<E, P::Weight, P::Act>,
    #[weights(with = LinearShape::new(config.width, config.width))]
    key: Linear<E, P::Weight, P::Act>,
    #[weights(with = LinearShape::new(config.width, config.width))]
    value: Linear<E, P::Weight, P::Act>,
    #[weights(with = LinearShape::new(config.width, config.width))]
    output: Linear<E, P::Weight, P::Act>,
    #[weights(with = (config.width, 1e-5))]
    ln_2: LayerNorm<E, P::Act, P::Act>,
    #[weights(with = LinearShape::new(config.width, 2 * config.width))]
    up: Linear<E, P::Weight, P::Act>,
    #[weights(with = LinearShape::new(2 * config.width, config.width))]
    down: Linear<E, P::Weight, P::Act>,
    #[weights(value = config.heads)]
    heads: usize,
    #[weights(value = config.keeping)]
    keeping: Keeping,
}

#[derive(Weights)]
#[weights(config = Decoder)]
pub(crate) struct Network<E: Engine, P: Plan> {
    #[weights(name = "h", count = config.layers)]
    blocks: Vec<Block<E, P>>,
}

#[secure_model]
impl<P: Plan> Block<P> {
    /// Adds a token's key and value, and gives all so far.
    fn keep(
        &self,
        cache: &mut Cache<P>,
        key: Tensor<P::Act>,
        value: Tensor<P::Value>,
    ) -> (Tensor<P::Act>, Tensor<P::Value>) {
        match self.keeping {
            Keeping::Joined => {
                let all = match &cache.joined {
                    Some((keys, values)) => (concat(&[keys, &key], 0), concat(&[values, &value], 0)),
                    None => (key, value),
                };
                cache.joined = Some(all.clone());
                all
            }
            Keeping::Listed => {
                cache.keys.push(key);
                cache.values.push(value);
                (concat(&cache.keys, 0), concat(&cache.values, 0))
            }
        }
    }

    fn forward(&self, cache: &mut Cache<P>, x: &Tensor<P::Act>) -> Tensor<P::Act> {
        let normal: Tensor<P::Act> = layer_norm(x, &self.ln_1);
        let (query, key, value): (Tensor<P::Act>, Tensor<P::Act>, Tensor<P::Value>) =
            join!(linear(&normal, &self.query), linear(&normal, &self.key), linear(&normal, &self.value));
        let (keys, values) = self.keep(cache, key, value);
        let scores = matmul_t(&query.split_heads(self.heads), &keys.split_heads(self.heads));
        let context: Tensor<P::Act> =
            softmax_attend(Softmax::Exact, &scores, &values.split_heads(self.heads));
        let x: Tensor<P::Act> = linear(&context.merge_heads(), &self.output) + x;
        let normal: Tensor<P::Act> = layer_norm(&x, &self.ln_2);
        let inner: Tensor<P::Act> = activation(P::ACTIVATION, &linear(&normal, &self.up));
        linear(&inner, &self.down) + x
    }
}

#[secure_model]
fn decode<P: Plan>(w: &Network<P>, tokens: &Tensor<P::Act>) -> Tensor<P::Act> {
    let mut caches: Vec<Cache<P>> = Vec::new();
    for _ in &w.blocks {
        caches.push(Cache::new());
    }
    let mut out: Vec<Tensor<P::Act>> = vec![];
    for token in 0..tokens.shape().rows() {
        let mut x = tokens.slice(0, token, token + 1);
        for (block, cache) in w.blocks.iter().zip(&mut caches) {
            x = block.forward(cache, &x);
        }
        out.push(x);
    }
    concat(&out, 0)
}

impl SecureModel for Decoder {
    type Weights<E: Engine> = Network<E, Small>;
    type State<E: Engine> = ();
    type Input = <Small as Plan>::Act;
    type Output = <Small as Plan>::Act;
    type Request = usize;

    fn description(&self) -> Vec<u8> {
        format!("{self:?}").into_bytes()
    }
    fn input_shape(&self, &tokens: &usize) -> Shape {
        Shape::new(&[tokens, self.width])
    }
    fn load<E: Engine, S: WeightSource<E>>(&self, source: &S) -> Result<Network<E, Small>> {
        Network::load(&Scope::new(source), self)
    }
    fn forward<E: Engine>(
        &self,
        ctx: &Ctx<'_, E>,
        w: &Network<E, Small>,
        (): &mut (),
        x: &Tensor<E, Self::Input>,
        _: &usize,
    ) -> Result<Tensor<E, Self::Output>> {
        decode(ctx, w, x)
    }
}
