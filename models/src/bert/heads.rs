//! What sits on top of the encoder.

use std::ops::Range;

use ditto_core::error::{Error, Result};
use ditto_core::nn::{
    Activation, Engine, LayerNorm, Linear, Scope, Tensor, WeightSource, Weights, activation, concat,
    layer_norm, linear, mean_rows, normalize,
};
use ditto_macros::{Weights, secure_model};

use crate::architecture::PublicHead;
use crate::model::ModelSpec;
use crate::plan::{Formats, Functions, Output, Pooled};

/// Weights of sequence classification (`BertPooler` and the classifier of `BertForSequenceClassification`).
#[derive(Weights)]
#[weights(config = ModelSpec)]
pub struct Classifier<E: Engine, P: Formats> {
    #[weights(name = "pooler.dense", with = config.architecture.square())]
    pooler: Linear<E, P::Weight, P::Bias>,
    #[weights(with = config.architecture.last())]
    classifier: Linear<E, P::Weight, P::Bias>,
}

/// Weights of the prediction of tokens (`BertLMPredictionHead`).
#[derive(Weights)]
#[weights(config = ModelSpec)]
pub struct Predictor<E: Engine, P: Formats> {
    #[weights(name = "transform.dense", with = config.architecture.square())]
    transform: Linear<E, P::Weight, P::Bias>,
    #[weights(name = "transform.LayerNorm", with = config.architecture.norm())]
    norm: LayerNorm<E, P::Gain, P::Bias>,
    #[weights(with = config.architecture.last())]
    decoder: Linear<E, P::Weight, P::Bias>,
    #[weights(value = config.functions())]
    functions: Functions,
}

/// Weights of the head that a model has.
pub enum Head<E: Engine, P: Formats> {
    /// Mean pooling: no weights.
    Embedding {
        /// Whether the mean is scaled to length 1.
        unit: bool,
    },
    /// Classification of texts and pairs.
    Classification(Classifier<E, P>),
    /// A linear layer on every token: classification of tokens, start and end of answers.
    Tokens(Linear<E, P::Weight, P::Bias>),
    /// Prediction of masked tokens.
    MaskedLm(Predictor<E, P>),
}

impl<E: Engine, P: Formats> Weights<E> for Head<E, P> {
    type Config = ModelSpec;
    fn load<S: WeightSource<E>>(scope: &Scope<'_, S>, config: &ModelSpec) -> Result<Self> {
        let tokens = |name: &str| Linear::load(&scope.pp(name), &config.architecture.last());
        Ok(match config.architecture.head {
            PublicHead::Embedding { unit } => Self::Embedding { unit },
            PublicHead::Classification { .. } => Self::Classification(Classifier::load(scope, config)?),
            PublicHead::TokenClassification { .. } => Self::Tokens(tokens("classifier")?),
            PublicHead::QuestionAnswering => Self::Tokens(tokens("qa_outputs")?),
            PublicHead::MaskedLm { .. } => {
                Self::MaskedLm(Predictor::load(&scope.pp("cls.predictions"), config)?)
            }
            PublicHead::CausalLm { .. } => {
                return Err(Error::Internal("BERT does not predict what follows a text"));
            }
        })
    }
}

/// Sentence embeddings [texts, hidden]: the mean over each text's tokens, scaled to length 1 if the checkpoint says so.
#[secure_model]
pub fn sentence_embedding<P: Formats>(
    x: &Tensor<P::Act>,
    texts: &[Range<usize>],
    unit: bool,
) -> Tensor<Output> {
    if unit {
        let means: Vec<Tensor<Pooled>> = join!(for text in texts {
            mean_rows(&x.slice(0, text.start, text.end))
        });
        normalize(&concat(&means, 0))
    } else {
        let means: Vec<Tensor<Output>> = join!(for text in texts {
            mean_rows(&x.slice(0, text.start, text.end))
        });
        concat(&means, 0)
    }
}

/// Logits of sequence classification [texts, classes], from the hidden states of each text's first token [texts, hidden].
#[secure_model]
pub fn classify<P: Formats>(w: &Classifier<P>, first: &Tensor<P::Act>) -> Tensor<Output> {
    let pooled: Tensor<P::Act> = activation(Activation::Tanh, &linear(first, &w.pooler));
    linear(&pooled, &w.classifier)
}

/// Logits of all tokens of the vocabulary [masks, vocabulary], from the hidden states of masked tokens [masks, hidden].
#[secure_model]
pub fn predict<P: Formats>(w: &Predictor<P>, masked: &Tensor<P::Act>) -> Tensor<Output> {
    let inner: Tensor<P::Act> = activation(w.functions.activation, &linear(masked, &w.transform));
    let normal: Tensor<P::Act> = layer_norm(&inner, &w.norm);
    linear(&normal, &w.decoder)
}
