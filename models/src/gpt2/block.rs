//! One block: attention and feed-forward part, each behind a normalisation of its own.

use ditto_core::nn::{
    Engine, LayerNorm, Linear, LinearShape, Tensor, activation, causal_attend, layer_norm, linear,
};
use ditto_macros::{Weights, secure_model};

use super::{Cache, Projection, remember};
use crate::model::ModelSpec;
use crate::plan::{Formats, Functions};

/// Weights of self-attention (`GPT2Attention`).
#[derive(Weights)]
#[weights(config = ModelSpec)]
pub struct Attention<E: Engine, P: Formats> {
    // 1 / sqrt(d) is folded into the query.
    #[weights(name = "c_attn.query", with = config.architecture.square().scaled(config.architecture.score_scale()))]
    query: Linear<E, P::Weight, P::Bias>,
    #[weights(name = "c_attn.key", with = config.architecture.square())]
    key: Linear<E, P::Weight, P::Bias>,
    #[weights(name = "c_attn.value", with = config.architecture.square())]
    value: Linear<E, P::Weight, P::Bias>,
    #[weights(name = "c_proj", with = (config.clone(), config.architecture.hidden_size))]
    output: Projection<E, P>,
    #[weights(value = config.architecture.num_attention_heads)]
    heads: usize,
    #[weights(value = config.functions())]
    functions: Functions,
}

/// Weights of one block (`GPT2Block`).
#[derive(Weights)]
#[weights(config = ModelSpec)]
pub struct Block<E: Engine, P: Formats> {
    #[weights(name = "ln_1", with = config.architecture.norm())]
    attention_norm: LayerNorm<E, P::Gain, P::Bias>,
    #[weights(name = "attn")]
    attention: Attention<E, P>,
    #[weights(name = "ln_2", with = config.architecture.norm())]
    norm: LayerNorm<E, P::Gain, P::Bias>,
    #[weights(name = "mlp.c_fc", with = LinearShape::new(config.architecture.hidden_size, config.architecture.intermediate_size))]
    intermediate: Linear<E, P::Weight, P::Bias>,
    #[weights(name = "mlp.c_proj", with = (config.clone(), config.architecture.intermediate_size))]
    output: Projection<E, P>,
    #[weights(value = config.functions())]
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
