//! GPT-2 (Radford et al., 2019), as Hugging Face's `modeling_gpt2.py` has it, written in `#[secure_model]`.
//!
//! The first request of a conversation reads a prompt, each further one the tokens that follow. Keys and values of all
//! tokens so far stay with the parties as shares, so a new token costs one pass over its own row and its attention to
//! those before it. What is masked by causality is not computed.
//!
//! The residual stream holds numbers in the thousands at a few places, so it has a ring of its own, and a layer whose
//! products do not fit the plan's ring takes a larger one: calibration says which.

mod block;
mod cache;
mod projection;

use std::ops::Range;

use ditto_core::nn::{Engine, LayerNorm, Linear, LinearShape, Scope, Tensor, WeightSource, argmax};
use ditto_core::nn::{Weights, layer_norm, linear};
use ditto_macros::{Weights, secure_model};

pub use self::block::{Attention, Block, BlockSpec, Blocks, attention, block, feed_forward};
pub use self::cache::{Cache, remember};
pub use self::projection::Projection;
use crate::architecture::{Opens, PublicHead};
use crate::model::ModelSpec;
use crate::plan::Formats;

/// What the client receives: logits, a hidden state, or an index.
pub type Output = ditto_core::Fx<48, 16>;

/// Weights of GPT-2 with what it gives the client.
#[derive(Weights)]
#[weights(config = ModelSpec)]
pub struct Gpt2<E: Engine, P: Formats> {
    #[weights(name = "h")]
    blocks: Blocks<E, P>,
    #[weights(name = "ln_f", with = config.architecture.norm())]
    norm: LayerNorm<E, P::Gain, P::Bias>,
    #[weights(name = "lm_head")]
    answer: Answer<E, P>,
}

/// What becomes of hidden states: of the last token's, or of each.
pub enum Answer<E: Engine, P: Formats> {
    /// They are what the client receives.
    Hidden,
    /// The logits of the vocabulary, or the index of the largest.
    Logits {
        /// From hidden states to logits.
        head: Linear<E, P::Weight, P::Bias>,
        /// Whether the index is all that the client receives.
        index: bool,
    },
}

impl<E: Engine, P: Formats> Weights<E> for Answer<E, P> {
    type Config = ModelSpec;
    fn load<S: WeightSource<E>>(scope: &Scope<'_, S>, config: &ModelSpec) -> ditto_core::Result<Self> {
        let PublicHead::CausalLm { vocabulary, opens } = config.architecture.head else {
            return Err(ditto_core::Error::Unsupported("GPT-2 with another head than a language model's"));
        };
        let shape = LinearShape::new(config.architecture.hidden_size, vocabulary).without_bias();
        Ok(match opens {
            Opens::Hidden => Self::Hidden,
            Opens::Logits | Opens::EachLogits => {
                Self::Logits { head: Linear::load(scope, &shape)?, index: false }
            }
            Opens::Argmax => Self::Logits { head: Linear::load(scope, &shape)?, index: true },
        })
    }
}

/// Embeddings [tokens, hidden] of what follows the tokens in the caches, to what the client receives of those that are `read`.
#[secure_model]
pub fn gpt2<P: Formats>(
    w: &Gpt2<P>,
    caches: &mut Vec<Cache<P>>,
    embeddings: &Tensor<P::Residual>,
    read: &Range<usize>,
) -> Tensor<Output> {
    if caches.is_empty() {
        for _ in &w.blocks.0 {
            caches.push(Cache::default());
        }
    }
    let mut x = embeddings.clone();
    for (weights, cache) in w.blocks.0.iter().zip(caches.iter_mut()) {
        x = block(weights, cache, &x);
    }
    let rows = x.slice(0, read.start, read.end);
    match &w.answer {
        Answer::Hidden => layer_norm(&rows, &w.norm),
        Answer::Logits { head, index } => {
            let hidden: Tensor<P::Act> = layer_norm(&rows, &w.norm);
            let scores = linear(&hidden, head);
            if *index { argmax(&scores) } else { scores }
        }
    }
}
