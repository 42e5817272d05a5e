//! The encoder: attention, feed-forward part, residuals and normalisations.

use std::ops::Range;

use ditto_core::nn::{
    Engine, LayerNorm, Linear, LinearShape, Product, Tensor, activation, concat, layer_norm, linear,
    matmul_t, softmax_attend,
};
use ditto_macros::{Weights, secure_model};

use crate::model::ModelSpec;
use crate::plan::{Formats, Functions};

/// Weights of self-attention (`BertSelfAttention` and the dense part of `BertSelfOutput`).
#[derive(Weights)]
#[weights(config = ModelSpec)]
pub struct Attention<E: Engine, P: Formats> {
    // 1 / sqrt(d) is folded into the query.
    #[weights(name = "self.query", with = config.architecture.square().scaled(config.architecture.score_scale()))]
    query: Linear<E, P::Weight, P::Bias>,
    #[weights(name = "self.key", with = config.architecture.square())]
    key: Linear<E, P::Weight, P::Bias>,
    #[weights(name = "self.value", with = config.architecture.square())]
    value: Linear<E, P::Weight, P::Bias>,
    #[weights(name = "output.dense", with = config.architecture.square())]
    output: Linear<E, P::Weight, P::Bias>,
    #[weights(value = config.architecture.num_attention_heads)]
    heads: usize,
    #[weights(value = config.functions())]
    functions: Functions,
}

/// Weights of one encoder layer (`BertLayer`).
#[derive(Weights)]
#[weights(config = ModelSpec)]
pub struct Layer<E: Engine, P: Formats> {
    attention: Attention<E, P>,
    #[weights(name = "attention.output.LayerNorm", with = config.architecture.norm())]
    attention_norm: LayerNorm<E, P::Gain, P::Bias>,
    #[weights(name = "intermediate.dense", with = LinearShape::new(config.architecture.hidden_size, config.architecture.intermediate_size))]
    intermediate: Linear<E, P::Weight, P::Bias>,
    #[weights(name = "output.dense", with = LinearShape::new(config.architecture.intermediate_size, config.architecture.hidden_size))]
    output: Linear<E, P::Weight, P::Bias>,
    #[weights(name = "output.LayerNorm", with = config.architecture.norm())]
    output_norm: LayerNorm<E, P::Gain, P::Bias>,
    #[weights(value = config.functions())]
    functions: Functions,
}

/// Weights of the encoder with the normalisation of its input (`BertModel` without its embedding tables).
#[derive(Weights)]
#[weights(config = ModelSpec)]
pub struct Encoder<E: Engine, P: Formats> {
    #[weights(name = "embeddings.LayerNorm", with = config.architecture.norm())]
    norm: LayerNorm<E, P::Gain, P::Bias>,
    #[weights(name = "encoder.layer", count = config.architecture.num_hidden_layers)]
    layers: Vec<Layer<E, P>>,
}

/// Multi-head self-attention of every text with itself, side by side. PyTorch: `nn.MultiheadAttention`.
#[secure_model]
pub fn attention<P: Formats>(
    w: &Attention<P>,
    x: &Tensor<P::Act>,
    texts: &[Range<usize>],
) -> Product<P::Act, P::Weight> {
    let (q, k, v): (Tensor<P::Act>, Tensor<P::Act>, Tensor<P::Value>) =
        join!(linear(x, &w.query), linear(x, &w.key), linear(x, &w.value));
    let contexts: Vec<Tensor<P::Act>> = join!(for text in texts {
        let (q, k) = (q.slice(0, text.start, text.end), k.slice(0, text.start, text.end));
        let scores = matmul_t(&q.split_heads(w.heads), &k.split_heads(w.heads));
        let values = v.slice(0, text.start, text.end).split_heads(w.heads);
        let context: Tensor<P::Act> = softmax_attend(w.functions.softmax, &scores, &values);
        context.merge_heads()
    });
    linear(&concat(&contexts, 0), &w.output)
}

/// One encoder layer, post-normalisation. PyTorch: `nn.TransformerEncoderLayer`.
#[secure_model]
pub fn layer<P: Formats>(w: &Layer<P>, x: &Tensor<P::Act>, texts: &[Range<usize>]) -> Tensor<P::Act> {
    let attended: Tensor<P::Act> = layer_norm(&(attention(&w.attention, x, texts) + x), &w.attention_norm);
    let inner: Tensor<P::Act> = activation(w.functions.activation, &linear(&attended, &w.intermediate));
    layer_norm(&(linear(&inner, &w.output) + &attended), &w.output_norm)
}

/// Embeddings [rows, hidden] to the last hidden states [rows, hidden].
#[secure_model]
pub fn encoder<P: Formats>(
    w: &Encoder<P>,
    embeddings: &Tensor<P::Input>,
    texts: &[Range<usize>],
) -> Tensor<P::Act> {
    let mut x: Tensor<P::Act> = layer_norm(embeddings, &w.norm);
    for weights in &w.layers {
        x = layer(weights, &x, texts);
    }
    x
}
