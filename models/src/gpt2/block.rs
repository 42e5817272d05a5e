//! One block: attention and feed-forward part, each behind a normalisation of its own.

use ditto_core::nn::{
    Engine, LayerNorm, Linear, LinearShape, Scope, Tensor, WeightSource, Weights, activation, causal_attend,
    layer_norm, linear,
};
use ditto_macros::{Weights, secure_model};

use super::{Cache, Projection, remember};
use crate::model::ModelSpec;
use crate::plan::{Formats, Functions};

/// A block of a model.
#[derive(Clone, Debug)]
pub struct BlockSpec {
    /// The model.
    pub model: ModelSpec,
    /// Number of the block, from 0.
    pub layer: usize,
}

/// Weights of self-attention (`GPT2Attention`).
#[derive(Weights)]
#[weights(config = BlockSpec)]
pub struct Attention<E: Engine, P: Formats> {
    // 1 / sqrt(d) is folded into the query.
    #[weights(name = "c_attn.query", with = config.model.architecture.square().scaled(config.model.architecture.score_scale_of(config.layer)))]
    query: Linear<E, P::Weight, P::Bias>,
    #[weights(name = "c_attn.key", with = config.model.architecture.square())]
    key: Linear<E, P::Weight, P::Bias>,
    #[weights(name = "c_attn.value", with = config.model.architecture.square())]
    value: Linear<E, P::Weight, P::Bias>,
    #[weights(name = "c_proj", with = (config.model.clone(), config.model.architecture.hidden_size))]
    output: Projection<E, P>,
    #[weights(value = config.model.architecture.num_attention_heads)]
    heads: usize,
    #[weights(value = config.model.functions())]
    functions: Functions,
}

/// Weights of all blocks.
pub struct Blocks<E: Engine, P: Formats>(pub Vec<Block<E, P>>);

impl<E: Engine, P: Formats> Weights<E> for Blocks<E, P> {
    type Config = ModelSpec;
    fn load<S: WeightSource<E>>(scope: &Scope<'_, S>, model: &ModelSpec) -> ditto_core::Result<Self> {
        let load = |layer: usize| {
            Block::load(&scope.pp(&layer.to_string()), &BlockSpec { model: model.clone(), layer })
        };
        (0..model.architecture.num_hidden_layers).map(load).collect::<ditto_core::Result<_>>().map(Self)
    }
}

/// Weights of one block (`GPT2Block`).
#[derive(Weights)]
#[weights(config = BlockSpec)]
pub struct Block<E: Engine, P: Formats> {
    #[weights(name = "ln_1", with = config.model.architecture.norm())]
    attention_norm: LayerNorm<E, P::Gain, P::Bias>,
    #[weights(name = "attn")]
    attention: Attention<E, P>,
    #[weights(name = "ln_2", with = config.model.architecture.norm())]
    norm: LayerNorm<E, P::Gain, P::Bias>,
    #[weights(name = "mlp.c_fc", with = LinearShape::new(config.model.architecture.hidden_size, config.model.architecture.intermediate_size))]
    intermediate: Linear<E, P::Weight, P::Bias>,
    #[weights(name = "mlp.c_proj", with = (config.model.clone(), config.model.architecture.intermediate_size))]
    output: Projection<E, P>,
    #[weights(value = config.model.functions())]
    functions: Functions,
}

/// Multi-head causal self-attention of new tokens with all so far.
#[secure_model]
pub fn attention<P: Formats>(
    w: &Attention<P>,
    cache: &mut Cache<P>,
    x: &Tensor<P::Act>,
) -> Tensor<P::Residual> {
    let (q, k, v): (Tensor<P::Act>, Tensor<P::Act>, Tensor<P::Value>) =
        join!(linear(x, &w.query), linear(x, &w.key), linear(x, &w.value));
    let (keys, values) = remember(cache, k.split_heads(w.heads), v.split_heads(w.heads));
    match &w.output {
        Projection::Narrow(output) => {
            let context: Tensor<P::Act> =
                causal_attend(w.functions.softmax, &q.split_heads(w.heads), &keys, &values);
            linear(&context.merge_heads(), output)
        }
        Projection::Wide(output) => {
            let context: Tensor<P::WideAct> =
                causal_attend(w.functions.softmax, &q.split_heads(w.heads), &keys, &values);
            linear(&context.merge_heads(), output)
        }
    }
}

/// The feed-forward part.
#[secure_model]
pub fn feed_forward<P: Formats>(w: &Block<P>, x: &Tensor<P::Act>) -> Tensor<P::Residual> {
    let inner = linear(x, &w.intermediate);
    match &w.output {
        Projection::Narrow(output) => {
            let active: Tensor<P::Act> = activation(w.functions.activation, &inner);
            linear(&active, output)
        }
        Projection::Wide(output) => {
            let active: Tensor<P::WideAct> = activation(w.functions.activation, &inner);
            linear(&active, output)
        }
    }
}

/// One block, pre-normalisation: embeddings or hidden states [tokens, hidden] to hidden states.
#[secure_model]
pub fn block<P: Formats>(w: &Block<P>, cache: &mut Cache<P>, x: &Tensor<P::Residual>) -> Tensor<P::Residual> {
    let normal: Tensor<P::Act> = layer_norm(x, &w.attention_norm);
    let attended = attention(&w.attention, cache, &normal) + x;
    let normal: Tensor<P::Act> = layer_norm(&attended, &w.norm);
    feed_forward(w, &normal) + &attended
}
