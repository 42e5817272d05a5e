//! A vision transformer (Dosovitskiy et al., 2021): bare parameters for class token and positions, pre-normalisation.
//! It consists of structs that hold each other, with methods.

use ditto_core::nn::{
    Engine, LayerNorm, Linear, LinearShape, Product, Scope, Softmax, Tensor, WeightSource, Weights,
    activation, concat, layer_norm, linear, matmul_t, softmax_attend,
};
use ditto_core::session::SecureModel;
use ditto_core::tensor::Shape;
use ditto_core::{Ctx, Result};
use ditto_macros::{Weights, secure_model};

use crate::{Plan, Small};

#[derive(Clone, Debug)]
pub(crate) struct VisionTransformer {
    /// Numbers in a patch.
    pub(crate) patch: usize,
    pub(crate) width: usize,
    pub(crate) heads: usize,
    pub(crate) layers: usize,
    pub(crate) patches: usize,
    pub(crate) classes: usize,
}

impl VisionTransformer {
    fn square(&self) -> LinearShape {
        LinearShape::new(self.width, self.width)
    }
    fn norm(&self) -> (usize, f64) {
        (self.width, 1e-5)
    }
}

#[derive(Weights)]
#[weights(config = VisionTransformer)]
pub(crate) struct Attention<E: Engine, P: Plan> {
    #[weights(with = config.square().scaled(((config.width / config.heads) as f64).sqrt().recip()))]
    query: Linear<E, P::Weight, P::Act>,
    #[weights(with = config.square())]
    key: Linear<E, P::Weight, P::Act>,
    #[weights(with = config.square())]
    value: Linear<E, P::Weight, P::Act>,
    #[weights(with = config.square())]
    output: Linear<E, P::Weight, P::Act>,
    #[weights(value = config.heads)]
    heads: usize,
}

#[derive(Weights)]
#[weights(config = VisionTransformer)]
pub(crate) struct Mlp<E: Engine, P: Plan> {
    #[weights(with = LinearShape::new(config.width, 2 * config.width))]
    up: Linear<E, P::Weight, P::Act>,
    #[weights(with = LinearShape::new(2 * config.width, config.width))]
    down: Linear<E, P::Weight, P::Act>,
}

#[derive(Weights)]
#[weights(config = VisionTransformer)]
pub(crate) struct Layer<E: Engine, P: Plan> {
    #[weights(with = config.norm())]
    norm1: LayerNorm<E, P::Act, P::Act>,
    attention: Attention<E, P>,
    #[weights(with = config.norm())]
    norm2: LayerNorm<E, P::Act, P::Act>,
    mlp: Mlp<E, P>,
}

#[derive(Weights)]
#[weights(config = VisionTransformer)]
pub(crate) struct Network<E: Engine, P: Plan> {
    #[weights(with = LinearShape::new(config.patch, config.width))]
    embedding: Linear<E, P::Weight, P::Act>,
    #[weights(with = Shape::new(&[1, config.width]))]
    class_token: Tensor<E, P::Act>,
    #[weights(with = Shape::new(&[config.patches + 1, config.width]))]
    positions: Tensor<E, P::Act>,
    #[weights(name = "encoder.layer", count = config.layers)]
    layers: Vec<Layer<E, P>>,
    #[weights(with = config.norm())]
    norm: LayerNorm<E, P::Act, P::Act>,
    #[weights(with = LinearShape::new(config.width, config.classes))]
    head: Linear<E, P::Weight, P::Act>,
}

#[secure_model]
impl<P: Plan> Attention<P> {
    fn forward(&self, x: &Tensor<P::Act>) -> Product<P::Act, P::Weight> {
        let (q, k, v): (Tensor<P::Act>, Tensor<P::Act>, Tensor<P::Value>) =
            join!(linear(x, &self.query), linear(x, &self.key), linear(x, &self.value));
        let scores = matmul_t(&q.split_heads(self.heads), &k.split_heads(self.heads));
        let context: Tensor<P::Act> = softmax_attend(Softmax::Exact, &scores, &v.split_heads(self.heads));
        linear(&context.merge_heads(), &self.output)
    }
}

#[secure_model]
impl<P: Plan> Mlp<P> {
    fn forward(&self, x: &Tensor<P::Act>) -> Product<P::Act, P::Weight> {
        let inner: Tensor<P::Act> = activation(P::ACTIVATION, &linear(x, &self.up));
        linear(&inner, &self.down)
    }
}

#[secure_model]
impl<P: Plan> Layer<P> {
    fn forward(&self, x: &Tensor<P::Act>) -> Tensor<P::Act> {
        let normal: Tensor<P::Act> = layer_norm(x, &self.norm1);
        let x: Tensor<P::Act> = self.attention.forward(&normal) + x;
        let normal: Tensor<P::Act> = layer_norm(&x, &self.norm2);
        self.mlp.forward(&normal) + x
    }
}

#[secure_model]
impl<P: Plan> Network<P> {
    fn forward(&self, patches: &Tensor<P::Act>) -> Tensor<P::Act> {
        let embedded: Tensor<P::Act> = linear(patches, &self.embedding);
        let mut x = concat(&[&self.class_token, &embedded], 0) + &self.positions;
        for layer in &self.layers {
            x = layer.forward(&x);
        }
        let class: Tensor<P::Act> = layer_norm(&x.slice(0, 0, 1), &self.norm);
        linear(&class, &self.head)
    }
}

impl SecureModel for VisionTransformer {
    type Weights<E: Engine> = Network<E, Small>;
    type State<E: Engine> = ();
    type Input = <Small as Plan>::Act;
    type Output = <Small as Plan>::Act;
    type Request = usize;

    fn description(&self) -> Vec<u8> {
        format!("{self:?}").into_bytes()
    }
    fn input_shape(&self, &patches: &usize) -> Shape {
        Shape::new(&[patches, self.patch])
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
        w.forward(ctx, x)
    }
}
