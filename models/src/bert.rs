//! BERT (Devlin et al., 2019), as Hugging Face's `modeling_bert.py` has it, written in `#[secure_model]`.
//!
//! The client looks its own tokens up and shares the sum of their embeddings; everything after that is private.

use ditto_core::nn::{
    Activation, Engine, LayerNorm, Linear, LinearShape, Product, Tensor, activation, layer_norm, linear,
    matmul_t, mean_rows, normalize, softmax_attend,
};
use ditto_macros::{Weights, secure_model};

use crate::model::ModelSpec;
use crate::plan::{Formats, Functions, Output, Pooled};

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

/// Weights of sequence classification (`BertPooler` and the classifier of `BertForSequenceClassification`).
#[derive(Weights)]
#[weights(config = ModelSpec)]
pub struct Classifier<E: Engine, P: Formats> {
    #[weights(name = "pooler.dense", with = config.architecture.square())]
    pooler: Linear<E, P::Weight, P::Bias>,
    #[weights(with = config.architecture.classifier())]
    classifier: Linear<E, P::Weight, P::Bias>,
}

/// Weights of BERT with its head.
#[derive(Weights)]
#[weights(config = ModelSpec)]
pub struct Bert<E: Engine, P: Formats> {
    #[weights(name = "")]
    encoder: Encoder<E, P>,
    #[weights(name = "", when = config.architecture.classes() > 0)]
    classifier: Option<Classifier<E, P>>,
    #[weights(value = config.architecture.unit())]
    unit: bool,
}

/// Multi-head self-attention. PyTorch: `nn.MultiheadAttention`.
#[secure_model]
pub fn attention<P: Formats>(w: &Attention<P>, x: &Tensor<P::Act>) -> Product<P::Act, P::Weight> {
    let (q, k, v): (Tensor<P::Act>, Tensor<P::Act>, Tensor<P::Value>) =
        join!(linear(x, &w.query), linear(x, &w.key), linear(x, &w.value));
    let scores = matmul_t(&q.split_heads(w.heads), &k.split_heads(w.heads));
    let context: Tensor<P::Act> = softmax_attend(&scores, &v.split_heads(w.heads));
    linear(&context.merge_heads(), &w.output)
}

/// One encoder layer, post-normalisation. PyTorch: `nn.TransformerEncoderLayer`.
#[secure_model]
pub fn layer<P: Formats>(w: &Layer<P>, x: &Tensor<P::Act>) -> Tensor<P::Act> {
    let attended: Tensor<P::Act> = layer_norm(&(attention(&w.attention, x) + x), &w.attention_norm);
    let inner: Tensor<P::Act> = activation(w.functions.activation, &linear(&attended, &w.intermediate));
    layer_norm(&(linear(&inner, &w.output) + &attended), &w.output_norm)
}

/// Embeddings [n, hidden] to the last hidden states [n, hidden].
#[secure_model]
pub fn encoder<P: Formats>(w: &Encoder<P>, embeddings: &Tensor<P::Input>) -> Tensor<P::Act> {
    let mut x: Tensor<P::Act> = layer_norm(embeddings, &w.norm);
    for weights in &w.layers {
        x = layer(weights, &x);
    }
    x
}

/// Sentence embedding [1, hidden]: mean over tokens, scaled to length 1 if the checkpoint says so.
#[secure_model]
pub fn sentence_embedding<P: Formats>(x: &Tensor<P::Act>, unit: bool) -> Tensor<Output> {
    if unit {
        let mean: Tensor<Pooled> = mean_rows(x);
        normalize(&mean)
    } else {
        mean_rows(x)
    }
}

/// Logits of sequence classification [1, classes], from the first token's hidden state.
#[secure_model]
pub fn classify<P: Formats>(w: &Classifier<P>, x: &Tensor<P::Act>) -> Tensor<Output> {
    let pooled: Tensor<P::Act> = activation(Activation::Tanh, &linear(&x.slice(0, 0, 1), &w.pooler));
    linear(&pooled, &w.classifier)
}

/// BERT with its head: embeddings [n, hidden] to what the client receives.
#[secure_model]
pub fn bert<P: Formats>(w: &Bert<P>, embeddings: &Tensor<P::Input>) -> Tensor<Output> {
    let x = encoder(&w.encoder, embeddings);
    match &w.classifier {
        Some(classifier) => classify(classifier, &x),
        None => sentence_embedding::<P>(&x, w.unit),
    }
}
