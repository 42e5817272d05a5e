//! The configuration of a BERT.

use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use super::json::Fields;
use super::{CONFIG, ConfigError, bounds, common, head};
use crate::architecture::Gelu;

/// `model_type` of a BERT.
pub(super) const MODEL_TYPE: &str = "bert";

/// What layer normalisation adds to the variance where the file does not say.
const LAYER_NORM_EPS: f64 = 1e-12;

/// The names of activations that are computed as GELU.
///
/// `gelu` and `gelu_python` are the exact function, x·Φ(x). `gelu_new` and `gelu_pytorch_tanh`
/// stand for an approximation with tanh, which differs from it by less than 0.0005 everywhere; both
/// are private functions here, which are approximated in any case, so they are taken for the same.
const GELU: [&str; 4] = ["gelu", "gelu_python", "gelu_new", "gelu_pytorch_tanh"];

/// The sizes and choices of a BERT, as `config.json` has them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BertConfig {
    /// The classes of the transformers library that can load the checkpoint.
    pub architectures: Vec<String>,
    /// The number of tokens in the vocabulary.
    pub vocab_size: usize,
    /// The width of the hidden states.
    pub hidden_size: usize,
    /// The number of encoder layers.
    pub num_hidden_layers: usize,
    /// The number of attention heads in each layer. It divides `hidden_size`.
    pub num_attention_heads: usize,
    /// The width of the feed-forward part.
    pub intermediate_size: usize,
    /// The activation of the feed-forward part.
    ///
    /// A form of GELU that is near the exact one is read as that.
    #[serde(serialize_with = "common::serialize_activation")]
    pub hidden_act: Gelu,
    /// Whether attention has 2Quad in place of softmax.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub two_quad_softmax: bool,
    /// The number of learnt positions, which is the longest input in tokens.
    pub max_position_embeddings: usize,
    /// The number of token types.
    pub type_vocab_size: usize,
    /// What layer normalisation adds to the variance.
    pub layer_norm_eps: f64,
    /// The token that pads.
    pub pad_token_id: u32,
    /// Whether the table of word embeddings also turns hidden states into logits of tokens.
    pub tie_word_embeddings: bool,
    /// What a classifier of texts was trained for, where the file says so.
    #[serde(rename = "problem_type", skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
    /// The names of the classes, in order, where the file gives them.
    #[serde(
        serialize_with = "head::serialize_labels",
        rename = "id2label",
        skip_serializing_if = "Option::is_none"
    )]
    pub labels: Option<Vec<String>>,
}

/// What a classifier of texts was trained for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Problem {
    /// One number.
    #[serde(rename = "regression")]
    Regression,
    /// One of several classes.
    #[serde(rename = "single_label_classification")]
    SingleLabel,
    /// Any number of classes at once.
    #[serde(rename = "multi_label_classification")]
    MultiLabel,
}

impl BertConfig {
    /// A BERT that is small enough for tests: two layers of width 32.
    pub fn tiny() -> Self {
        Self {
            architectures: vec!["BertModel".to_owned()],
            vocab_size: 320,
            hidden_size: 32,
            num_hidden_layers: 2,
            num_attention_heads: 4,
            intermediate_size: 64,
            hidden_act: Gelu::Exact,
            two_quad_softmax: false,
            max_position_embeddings: 64,
            type_vocab_size: 2,
            layer_norm_eps: 1e-12,
            pad_token_id: 0,
            tie_word_embeddings: true,
            problem: None,
            labels: None,
        }
    }

    /// The width of one attention head.
    pub fn head_size(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    /// Reads `config.json` of a checkpoint.
    ///
    /// # Errors
    ///
    /// For a file that is missing or malformed, for another kind of model than BERT, and for
    /// values that are out of bounds or not supported. The error names the field.
    pub fn open(dir: &Path) -> Result<Self, ConfigError> {
        Self::from_fields(&Fields::read(&dir.join(CONFIG))?)
    }

    pub(super) fn from_fields(fields: &Fields) -> Result<Self, ConfigError> {
        common::check_model_type(fields, MODEL_TYPE)?;
        if !matches!(fields.text("position_embedding_type")?, None | Some("absolute")) {
            return Err(fields.unsupported("position_embedding_type", "only \"absolute\" is"));
        }
        for field in ["is_decoder", "add_cross_attention"] {
            if fields.flag(field)? {
                return Err(fields.unsupported(field, "the model must be an encoder"));
            }
        }
        common::check_plain_floats(fields)?;
        let hidden_act = match fields.text("hidden_act")? {
            None => Gelu::Exact,
            Some(name) if GELU.contains(&name) => Gelu::Exact,
            Some(common::QUAD) => Gelu::Quad,
            Some(_) => {
                let known = format!("one of {}, {} is", GELU.join(", "), common::QUAD);
                return Err(fields.unsupported("hidden_act", known));
            }
        };

        let hidden_size = fields.count("hidden_size", 1..=bounds::HIDDEN)?;
        let vocab_size = fields.count("vocab_size", 1..=bounds::VOCAB)?;
        let pad = fields.optional_count("pad_token_id", 0..=vocab_size - 1)?.unwrap_or(0);
        Ok(Self {
            architectures: common::architectures(fields)?,
            vocab_size,
            hidden_size,
            num_hidden_layers: fields.count("num_hidden_layers", 1..=bounds::LAYERS)?,
            num_attention_heads: common::heads(fields, "num_attention_heads", ("hidden_size", hidden_size))?,
            intermediate_size: fields.count("intermediate_size", 1..=bounds::INTERMEDIATE)?,
            hidden_act,
            two_quad_softmax: fields.flag(common::TWO_QUAD)?,
            max_position_embeddings: fields.count("max_position_embeddings", 1..=bounds::POSITIONS)?,
            type_vocab_size: fields.optional_count("type_vocab_size", 1..=bounds::TYPES)?.unwrap_or(2),
            layer_norm_eps: common::layer_norm_eps(fields, "layer_norm_eps", LAYER_NORM_EPS)?,
            // The vocabulary's bound is far below 2^32.
            pad_token_id: pad as u32,
            tie_word_embeddings: fields.flag_or("tie_word_embeddings", true)?,
            problem: problem(fields)?,
            labels: labels(fields)?,
        })
    }
}

fn problem(fields: &Fields) -> Result<Option<Problem>, ConfigError> {
    match fields.text("problem_type")? {
        None => Ok(None),
        Some("regression") => Ok(Some(Problem::Regression)),
        Some("single_label_classification") => Ok(Some(Problem::SingleLabel)),
        Some("multi_label_classification") => Ok(Some(Problem::MultiLabel)),
        Some(_) => Err(fields.unsupported(
            "problem_type",
            "regression, single_label_classification and multi_label_classification are",
        )),
    }
}

/// The names of the classes: `id2label` must have the keys "0", "1" and so on, without gaps; without it, `num_labels` of
/// them are numbered.
fn labels(fields: &Fields) -> Result<Option<Vec<String>>, ConfigError> {
    const FIELD: &str = "id2label";
    let Some(value) = fields.get(FIELD) else {
        return Ok(fields.optional_count("num_labels", 1..=bounds::LABELS)?.map(head::numbered));
    };
    let Some(map) = value.as_object().filter(|map| !map.is_empty() && map.len() <= bounds::LABELS) else {
        return Err(fields.wrong(FIELD, format!("an object of 1 to {} labels", bounds::LABELS)));
    };
    let label = |id: usize| map.get(&id.to_string()).and_then(Value::as_str).map(str::to_owned);
    let labels: Option<Vec<_>> = (0..map.len()).map(label).collect();
    labels.map(Some).ok_or_else(|| {
        fields.wrong(FIELD, format!("an object of labels with the keys 0 to {}", map.len() - 1))
    })
}
