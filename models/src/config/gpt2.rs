//! The configuration of a GPT-2.

use std::path::Path;

use serde::Serialize;

use super::json::Fields;
use super::{CONFIG, ConfigError, bounds, common};
use crate::architecture::Gelu;

/// `model_type` of a GPT-2.
pub(super) const MODEL_TYPE: &str = "gpt2";

/// What layer normalisation adds to the variance where the file does not say.
const LAYER_NORM_EPSILON: f64 = 1e-5;

/// The names of activations, and which form of GELU each stands for.
const GELU: [(&str, Gelu); 5] = [
    ("gelu_new", Gelu::Tanh),
    ("gelu", Gelu::Exact),
    ("gelu_python", Gelu::Exact),
    ("gelu_pytorch_tanh", Gelu::Tanh),
    (common::QUAD, Gelu::Quad),
];

/// Classes of the transformers library that predict the next token, the second as part of another model.
/// Those with other heads would answer another question than they were trained for without them, so they are
/// refused.
const CLASSES: [&str; 2] = ["GPT2LMHeadModel", "GPT2Model"];

/// The sizes and choices of a GPT-2, as `config.json` has them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Gpt2Config {
    /// The classes of the transformers library that can load the checkpoint.
    pub architectures: Vec<String>,
    /// The number of tokens in the vocabulary.
    pub vocab_size: usize,
    /// The number of learnt positions, which is the longest text in tokens.
    pub n_positions: usize,
    /// The width of the hidden states.
    pub n_embd: usize,
    /// The number of layers.
    pub n_layer: usize,
    /// The number of attention heads in each layer. It divides `n_embd`.
    pub n_head: usize,
    /// The width of the feed-forward part, where it is not four times `n_embd`.
    pub n_inner: Option<usize>,
    /// The activation of the feed-forward part.
    #[serde(serialize_with = "common::serialize_activation")]
    pub activation_function: Gelu,
    /// Whether attention has 2Quad in place of softmax.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub two_quad_softmax: bool,
    /// What layer normalisation adds to the variance.
    pub layer_norm_epsilon: f64,
    /// Whether attention scores are also divided by the layer's number, from 1.
    pub scale_attn_by_inverse_layer_idx: bool,
    /// Whether the table of tokens also turns hidden states into logits.
    pub tie_word_embeddings: bool,
    /// The token that begins a text, if there is one.
    pub bos_token_id: Option<u32>,
    /// The token that ends a text, if there is one.
    pub eos_token_id: Option<u32>,
}

impl Gpt2Config {
    /// A GPT-2 that is small enough for tests: two layers of width 32.
    pub fn tiny() -> Self {
        Self {
            architectures: vec!["GPT2LMHeadModel".to_owned()],
            vocab_size: 320,
            n_positions: 64,
            n_embd: 32,
            n_layer: 2,
            n_head: 4,
            n_inner: None,
            activation_function: Gelu::Tanh,
            two_quad_softmax: false,
            layer_norm_epsilon: LAYER_NORM_EPSILON,
            scale_attn_by_inverse_layer_idx: false,
            tie_word_embeddings: true,
            bos_token_id: Some(319),
            eos_token_id: Some(319),
        }
    }

    /// The width of the feed-forward part.
    pub fn inner_size(&self) -> usize {
        self.n_inner.unwrap_or(4 * self.n_embd)
    }

    /// Reads `config.json` of a checkpoint.
    ///
    /// # Errors
    ///
    /// For a file that is missing or malformed, for another kind of model than a GPT-2 that predicts tokens,
    /// and for values that are out of bounds or not supported. The error names the field.
    pub fn open(dir: &Path) -> Result<Self, ConfigError> {
        Self::from_fields(&Fields::read(&dir.join(CONFIG))?)
    }

    pub(super) fn from_fields(fields: &Fields) -> Result<Self, ConfigError> {
        common::check_model_type(fields, MODEL_TYPE)?;
        common::check_plain_floats(fields)?;
        if fields.flag("add_cross_attention")? {
            return Err(fields.unsupported("add_cross_attention", "the model must be a decoder alone"));
        }
        if !fields.flag_or("scale_attn_weights", true)? {
            return Err(
                fields.unsupported("scale_attn_weights", "scores are divided by the root of a head's width")
            );
        }
        let architectures = common::architectures(fields)?;
        if architectures.iter().any(|class| !CLASSES.contains(&class.as_str())) {
            return Err(fields.unsupported("architectures", format!("{} are", CLASSES.join(" and "))));
        }
        let activation = match fields.text("activation_function")? {
            None => Some(Gelu::Tanh),
            Some(name) => GELU.into_iter().find(|(known, _)| *known == name).map(|(_, gelu)| gelu),
        };
        let n_embd = fields.count("n_embd", 1..=bounds::HIDDEN)?;
        let vocab_size = fields.count("vocab_size", 1..=bounds::VOCAB)?;
        // The vocabulary's bound is far below 2^32.
        let token = |field| Ok(fields.optional_count(field, 0..=vocab_size - 1)?.map(|id| id as u32));
        // What early files call n_ctx is the same number.
        let n_positions = match fields.get("n_positions") {
            None if fields.get("n_ctx").is_some() => "n_ctx",
            _ => "n_positions",
        };
        Ok(Self {
            architectures,
            vocab_size,
            n_positions: fields.count(n_positions, 1..=bounds::POSITIONS)?,
            n_embd,
            n_layer: fields.count("n_layer", 1..=bounds::LAYERS)?,
            n_head: common::heads(fields, "n_head", ("n_embd", n_embd))?,
            n_inner: fields.optional_count("n_inner", 1..=bounds::INTERMEDIATE)?,
            activation_function: activation.ok_or_else(|| {
                let known = GELU.map(|(name, _)| name).join(", ");
                fields.unsupported("activation_function", format!("one of {known} is"))
            })?,
            two_quad_softmax: fields.flag(common::TWO_QUAD)?,
            layer_norm_epsilon: common::layer_norm_eps(fields, "layer_norm_epsilon", LAYER_NORM_EPSILON)?,
            scale_attn_by_inverse_layer_idx: fields.flag("scale_attn_by_inverse_layer_idx")?,
            tie_word_embeddings: fields.flag_or("tie_word_embeddings", true)?,
            bos_token_id: token("bos_token_id")?,
            eos_token_id: token("eos_token_id")?,
        })
    }
}

#[cfg(test)]
mod tests;
