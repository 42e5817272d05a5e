//! What the servers must know of a model: sizes, and which head it has.

use clap::ValueEnum;
use ditto_core::nn::LinearShape;
use ditto_core::tensor::Shape;
use serde::{Deserialize, Serialize};

use crate::config::{Head, ModelConfig};
use crate::model::Request;

/// The public part of a model: everything that shapes depend on. Vocabulary and labels stay with client and owner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Architecture {
    /// Width of hidden states.
    pub hidden_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Attention heads; divides `hidden_size`.
    pub num_attention_heads: usize,
    /// Width of the feed-forward part.
    pub intermediate_size: usize,
    /// What layer normalisation adds to the variance.
    pub layer_norm_eps: f64,
    /// Longest input in tokens.
    pub max_position_embeddings: usize,
    /// What sits on top. It also tells the family: [`PublicHead::CausalLm`] is that of a GPT-2, all others
    /// are BERT's.
    pub head: PublicHead,
    /// The form of GELU that the model was trained with, or what it was distilled for in its place.
    #[serde(default)]
    pub gelu: Gelu,
    /// Whether it was distilled for 2Quad in place of softmax.
    #[serde(default)]
    pub two_quad: bool,
    /// Whether attention scores are also divided by the layer's number, from 1.
    #[serde(default)]
    pub scale_by_layer: bool,
}

/// A form of GELU, or what stands for it. The first two differ by less than 0.0005 everywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gelu {
    /// x·Φ(x).
    #[default]
    Exact,
    /// Its approximation with tanh: x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³))).
    Tanh,
    /// 0.125·x² + 0.25·x + 0.5, which models are distilled for.
    Quad,
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
    /// Prediction of the token that follows a text.
    CausalLm {
        /// Tokens in the vocabulary.
        vocabulary: usize,
        /// What the client receives.
        #[serde(default)]
        opens: Opens,
    },
}

/// What of a prediction is opened to the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Opens {
    /// The logits of all tokens of the vocabulary, for what follows the last token.
    #[default]
    Logits,
    /// The same for what follows each token of the request, as perplexity wants them.
    EachLogits,
    /// The last hidden state, of which a client that holds the table of tokens makes the logits.
    Hidden,
    /// Which token has the largest logit, and nothing else.
    Argmax,
}

impl PublicHead {
    /// Of a checkpoint.
    fn new(head: &Head, vocabulary: usize) -> Self {
        match head {
            Head::Embedding { normalize, .. } => Self::Embedding { unit: *normalize },
            Head::Classification { labels, .. } => Self::Classification { classes: labels.len() },
            Head::TokenClassification { labels } => Self::TokenClassification { classes: labels.len() },
            Head::QuestionAnswering => Self::QuestionAnswering,
            Head::MaskedLm => Self::MaskedLm { vocabulary },
            Head::CausalLm => Self::CausalLm { vocabulary, opens: Opens::default() },
        }
    }

    /// Whether it predicts masked tokens.
    pub fn is_masked(&self) -> bool {
        matches!(self, Self::MaskedLm { .. })
    }

    /// Whether it predicts the token that follows a text, which only a GPT-2 does.
    pub fn is_causal(&self) -> bool {
        matches!(self, Self::CausalLm { .. })
    }
}

/// Largest sizes that a server accepts; far above any model of these families.
const LIMIT: usize = 1 << 16;
/// Largest vocabulary that a server accepts, as in `config.json`.
const VOCABULARY: usize = 1 << 21;

impl Architecture {
    /// Of a checkpoint.
    pub fn new(config: &ModelConfig, head: &Head) -> Self {
        let head = PublicHead::new(head, config.vocab_size());
        match config {
            ModelConfig::Bert(config) => Self {
                hidden_size: config.hidden_size,
                num_hidden_layers: config.num_hidden_layers,
                num_attention_heads: config.num_attention_heads,
                intermediate_size: config.intermediate_size,
                layer_norm_eps: config.layer_norm_eps,
                max_position_embeddings: config.max_position_embeddings,
                head,
                gelu: config.hidden_act,
                two_quad: config.two_quad_softmax,
                scale_by_layer: false,
            },
            ModelConfig::Gpt2(config) => Self {
                hidden_size: config.n_embd,
                num_hidden_layers: config.n_layer,
                num_attention_heads: config.n_head,
                intermediate_size: config.inner_size(),
                layer_norm_eps: config.layer_norm_epsilon,
                max_position_embeddings: config.n_positions,
                head,
                gelu: config.activation_function,
                two_quad: config.two_quad_softmax,
                scale_by_layer: config.scale_attn_by_inverse_layer_idx,
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
        // A vocabulary counts even where something narrower is opened: the matrix before it is as wide.
        let (outputs, most) = match self.head {
            PublicHead::MaskedLm { vocabulary } | PublicHead::CausalLm { vocabulary, .. } => {
                (vocabulary, VOCABULARY)
            }
            _ => (self.outputs(), LIMIT),
        };
        // BERT's attention does not know of its layer.
        let scaled = self.scale_by_layer && !self.head.is_causal();
        sizes.iter().all(|s| (1..=LIMIT).contains(s))
            && (1..=most).contains(&outputs)
            && !scaled
            && self.hidden_size.is_multiple_of(self.num_attention_heads)
            && (0.0..=0.01).contains(&self.layer_norm_eps)
    }

    /// Numbers in a row of the output: the width of an embedding or hidden state, the logits of a text or
    /// token, an index.
    pub fn outputs(&self) -> usize {
        match self.head {
            PublicHead::Embedding { .. } => self.hidden_size,
            PublicHead::Classification { classes } | PublicHead::TokenClassification { classes } => classes,
            PublicHead::QuestionAnswering => 2,
            PublicHead::MaskedLm { vocabulary } => vocabulary,
            PublicHead::CausalLm { vocabulary, opens } => match opens {
                Opens::Logits | Opens::EachLogits => vocabulary,
                Opens::Hidden => self.hidden_size,
                Opens::Argmax => 1,
            },
        }
    }

    /// Shape of a request's output.
    pub fn output_shape(&self, request: &Request) -> Shape {
        Shape::new(&[request.outputs(&self.head).iter().sum(), self.outputs()])
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

    /// What the scores of attention are multiplied by in a layer, counted from 0.
    pub fn score_scale_of(&self, layer: usize) -> f64 {
        if self.scale_by_layer { self.score_scale() / (layer + 1) as f64 } else { self.score_scale() }
    }

    /// A normalisation of hidden states.
    pub(crate) fn norm(&self) -> (usize, f64) {
        (self.hidden_size, self.layer_norm_eps)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::{BertConfig, Gpt2Config};

    fn gpt2() -> Architecture {
        Architecture::new(&Gpt2Config::tiny().into(), &Head::CausalLm)
    }

    fn opening(opens: Opens) -> Architecture {
        Architecture { head: PublicHead::CausalLm { vocabulary: 320, opens }, ..gpt2() }
    }

    #[test]
    fn both_families_become_public() {
        let bert = Architecture::new(&BertConfig::tiny().into(), &Head::MaskedLm);
        assert_eq!((bert.head, bert.gelu), (PublicHead::MaskedLm { vocabulary: 320 }, Gelu::Exact));
        let config = Gpt2Config { n_inner: Some(48), ..Gpt2Config::tiny() };
        let expected = Architecture { intermediate_size: 48, ..gpt2() };
        assert_eq!(Architecture::new(&config.into(), &Head::CausalLm), expected);
        assert_eq!((gpt2().intermediate_size, gpt2().max_position_embeddings), (128, 64));
        assert_eq!((gpt2().gelu, gpt2().head), (Gelu::Tanh, opening(Opens::Logits).head));
    }

    #[test]
    fn the_output_is_what_is_opened() {
        let all = [Opens::Logits, Opens::EachLogits, Opens::Hidden, Opens::Argmax];
        assert_eq!(all.map(|opens| opening(opens).outputs()), [320, 320, 32, 1]);
    }

    #[test]
    fn scores_shrink_with_the_layer_where_the_model_says_so() {
        let scaled = Architecture { scale_by_layer: true, ..gpt2() };
        let root = 8.0_f64.sqrt();
        assert_eq!([0, 3].map(|layer| gpt2().score_scale_of(layer)), [1.0 / root; 2]);
        assert_eq!([0, 3].map(|layer| scaled.score_scale_of(layer)), [1.0 / root, 1.0 / root / 4.0]);
    }

    #[test]
    fn sizes_from_the_network_are_bounded() {
        assert!(gpt2().is_sane());
        for opens in [Opens::Logits, Opens::Hidden, Opens::Argmax] {
            for (vocabulary, sane) in
                [(0, false), (1 << 21, true), ((1 << 21) + 1, false), (usize::MAX, false)]
            {
                let head = PublicHead::CausalLm { vocabulary, opens };
                assert_eq!(Architecture { head, ..gpt2() }.is_sane(), sane, "{head:?}");
            }
        }
        let insane = [
            Architecture { hidden_size: 0, ..gpt2() },
            Architecture { num_attention_heads: 5, ..gpt2() },
            Architecture { max_position_embeddings: 1 << 17, ..gpt2() },
            Architecture { layer_norm_eps: f64::NAN, ..gpt2() },
            Architecture { scale_by_layer: true, head: PublicHead::QuestionAnswering, ..gpt2() },
        ];
        assert!(insane.iter().all(|architecture| !architecture.is_sane()), "{insane:?}");
        assert!(Architecture { scale_by_layer: true, ..gpt2() }.is_sane());
    }

    #[test]
    fn announcements_without_the_newer_fields_are_read() {
        let mut old = serde_json::to_value(gpt2()).unwrap();
        let fields = old.as_object_mut().unwrap();
        fields.remove("gelu");
        fields.remove("scale_by_layer");
        fields.insert("head".to_owned(), json!({ "causal_lm": { "vocabulary": 320 } }));
        let read: Architecture = serde_json::from_value(old).unwrap();
        assert_eq!(read, Architecture { gelu: Gelu::Exact, ..gpt2() });
    }
}
