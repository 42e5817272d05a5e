//! The configuration of a checkpoint, of any family that is supported.

mod bert;
mod common;
mod error;
mod gpt2;
mod head;
mod json;
mod pooling;

#[cfg(test)]
mod tests;

use std::path::Path;

pub use self::bert::{BertConfig, Problem};
pub use self::error::ConfigError;
pub use self::gpt2::Gpt2Config;
pub use self::head::{Head, Scores};
use self::json::Fields;
use crate::checkpoint::Checkpoint;

/// The file of the configuration.
const CONFIG: &str = "config.json";

/// Bounds on sizes: far above any model of these families, far below what makes products of them overflow.
mod bounds {
    pub(super) const VOCAB: usize = 1 << 21;
    pub(super) const HIDDEN: usize = 1 << 14;
    pub(super) const LAYERS: usize = 256;
    pub(super) const INTERMEDIATE: usize = 1 << 16;
    pub(super) const POSITIONS: usize = 1 << 16;
    pub(super) const TYPES: usize = 64;
    pub(super) const LABELS: usize = 1 << 16;
    pub(super) const EPS: f64 = 0.01;
}

/// The configuration of a checkpoint: its `model_type` says of which family.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ModelConfig {
    /// `bert`.
    Bert(BertConfig),
    /// `gpt2`.
    Gpt2(Gpt2Config),
}

impl From<BertConfig> for ModelConfig {
    fn from(config: BertConfig) -> Self {
        Self::Bert(config)
    }
}

impl From<Gpt2Config> for ModelConfig {
    fn from(config: Gpt2Config) -> Self {
        Self::Gpt2(config)
    }
}

impl ModelConfig {
    /// Reads `config.json` of a checkpoint.
    ///
    /// # Errors
    ///
    /// For a file that is missing or malformed, for a family that is not supported, and as
    /// [`BertConfig::open`] and [`Gpt2Config::open`].
    pub fn open(dir: &Path) -> Result<Self, ConfigError> {
        let fields = Fields::read(&dir.join(CONFIG))?;
        match fields.text("model_type")? {
            Some(bert::MODEL_TYPE) => BertConfig::from_fields(&fields).map(Self::Bert),
            Some(gpt2::MODEL_TYPE) => Gpt2Config::from_fields(&fields).map(Self::Gpt2),
            Some(_) => {
                let known = format!("{:?} and {:?} are", bert::MODEL_TYPE, gpt2::MODEL_TYPE);
                Err(fields.unsupported("model_type", known))
            }
            None => Err(fields.missing("model_type")),
        }
    }

    /// The number of tokens in the vocabulary.
    pub fn vocab_size(&self) -> usize {
        match self {
            Self::Bert(config) => config.vocab_size,
            Self::Gpt2(config) => config.vocab_size,
        }
    }

    /// The head that the configuration files announce: see [`Head::of_config`]. A GPT-2 always predicts
    /// tokens.
    ///
    /// # Errors
    ///
    /// For heads that are not supported.
    pub fn head(&self, dir: &Path) -> Result<Head, ConfigError> {
        match self {
            Self::Bert(config) => Head::of_config(config, dir),
            Self::Gpt2(_) => Ok(Head::CausalLm),
        }
    }

    /// The head, checked against the tensors: see [`Head::detect`].
    ///
    /// # Errors
    ///
    /// For heads that are not supported, and tensors of a head that are missing or do not fit.
    pub fn detect_head(&self, checkpoint: &Checkpoint) -> Result<Head, ConfigError> {
        match self {
            Self::Bert(config) => Head::detect(config, checkpoint),
            Self::Gpt2(config) => Head::detect_causal(config, checkpoint),
        }
    }
}
