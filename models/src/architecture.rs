//! What the servers must know of a BERT: sizes, and which head it has.

use ditto_core::nn::LinearShape;
use serde::{Deserialize, Serialize};

use crate::config::{BertConfig, Head};

/// The public part of a model: everything that shapes depend on. Vocabulary and labels stay with client and owner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Architecture {
    /// Width of hidden states.
    pub hidden_size: usize,
    /// Encoder layers.
    pub num_hidden_layers: usize,
    /// Attention heads; divides `hidden_size`.
    pub num_attention_heads: usize,
    /// Width of the feed-forward part.
    pub intermediate_size: usize,
    /// What layer normalisation adds to the variance.
    pub layer_norm_eps: f64,
    /// Longest input in tokens.
    pub max_position_embeddings: usize,
    /// What sits on top.
    pub head: PublicHead,
}

/// The public part of a [`Head`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PublicHead {
    /// Mean of the hidden states.
    Embedding {
        /// Whether it is scaled to length 1.
        unit: bool,
    },
    /// Pooler and classifier.
    Classification {
        /// Number of classes.
        classes: usize,
    },
    /// Classifier of every token.
    TokenClassification {
        /// Number of classes.
        classes: usize,
    },
    /// Logits of start and end of an answer, of every token.
    QuestionAnswering,
    /// Logits of every token of the vocabulary, in place of masked ones.
    MaskedLm {
        /// Tokens in the vocabulary.
        vocabulary: usize,
    },
}

impl PublicHead {
    /// Whether it predicts masked tokens.
    pub fn is_masked(&self) -> bool {
        matches!(self, Self::MaskedLm { .. })
    }
}

/// Largest sizes that a server accepts; far above any BERT.
const LIMIT: usize = 1 << 16;
/// Largest vocabulary that a server accepts, as in `config.json`.
const VOCABULARY: usize = 1 << 21;

impl Architecture {
    /// Of a checkpoint.
    pub fn new(config: &BertConfig, head: &Head) -> Self {
        Self {
            hidden_size: config.hidden_size,
            num_hidden_layers: config.num_hidden_layers,
            num_attention_heads: config.num_attention_heads,
            intermediate_size: config.intermediate_size,
            layer_norm_eps: config.layer_norm_eps,
            max_position_embeddings: config.max_position_embeddings,
            head: match head {
                Head::Embedding { normalize, .. } => PublicHead::Embedding { unit: *normalize },
                Head::Classification { labels, .. } => PublicHead::Classification { classes: labels.len() },
                Head::TokenClassification { labels } => {
                    PublicHead::TokenClassification { classes: labels.len() }
                }
                Head::QuestionAnswering => PublicHead::QuestionAnswering,
                Head::MaskedLm => PublicHead::MaskedLm { vocabulary: config.vocab_size },
            },
        }
    }

    /// Whether a server may allocate for these sizes, which came from the network.
    pub fn is_sane(&self) -> bool {
        let sizes = [
            self.hidden_size,
            self.num_hidden_layers,
            self.num_attention_heads,
            self.intermediate_size,
            self.max_position_embeddings,
        ];
        let outputs = match self.head {
            PublicHead::MaskedLm { .. } => 1..=VOCABULARY,
            _ => 1..=LIMIT,
        };
        sizes.iter().all(|s| (1..=LIMIT).contains(s))
            && outputs.contains(&self.outputs())
            && self.hidden_size.is_multiple_of(self.num_attention_heads)
            && (0.0..=0.01).contains(&self.layer_norm_eps)
    }

    /// Numbers in a row of the output: the width of an embedding, the logits of a text or token.
    pub fn outputs(&self) -> usize {
        match self.head {
            PublicHead::Embedding { .. } => self.hidden_size,
            PublicHead::Classification { classes } | PublicHead::TokenClassification { classes } => classes,
            PublicHead::QuestionAnswering => 2,
            PublicHead::MaskedLm { vocabulary } => vocabulary,
        }
    }

    /// The linear layer that gives the output.
    pub(crate) fn last(&self) -> LinearShape {
        LinearShape::new(self.hidden_size, self.outputs())
    }

    /// A linear layer from hidden states to hidden states.
    pub(crate) fn square(&self) -> LinearShape {
        LinearShape::new(self.hidden_size, self.hidden_size)
    }

    /// 1 / sqrt(d) of attention with heads of width d.
    pub(crate) fn score_scale(&self) -> f64 {
        1.0 / ((self.hidden_size / self.num_attention_heads) as f64).sqrt()
    }

    /// A normalisation of hidden states.
    pub(crate) fn norm(&self) -> (usize, f64) {
        (self.hidden_size, self.layer_norm_eps)
    }
}
