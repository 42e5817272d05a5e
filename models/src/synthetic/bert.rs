//! A random BERT.

mod tensors;
mod wordpiece;

#[cfg(test)]
mod tests;

use std::path::Path;

use serde_json::{Value, json};

use super::files::{self, Weights};
use super::{Dtype, SyntheticError};
use crate::config::BertConfig;

/// The head of a synthetic BERT.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SyntheticHead {
    /// A classifier with this many classes.
    Classification {
        /// The number of classes.
        labels: usize,
    },
    /// A classifier of tokens with this many classes.
    TokenClassification {
        /// The number of classes.
        labels: usize,
    },
    /// Start and end of answers.
    QuestionAnswering,
    /// Prediction of masked tokens.
    MaskedLm {
        /// Whether the last matrix is the table of word embeddings.
        tied: bool,
    },
    /// Sentence embeddings: `modules.json` and `1_Pooling/config.json` are written as well.
    Embedding,
}

impl SyntheticHead {
    /// The class of the transformers library.
    fn architecture(&self) -> &'static str {
        match self {
            Self::Classification { .. } => "BertForSequenceClassification",
            Self::TokenClassification { .. } => "BertForTokenClassification",
            Self::QuestionAnswering => "BertForQuestionAnswering",
            Self::MaskedLm { .. } => "BertForMaskedLM",
            Self::Embedding => "BertModel",
        }
    }

    /// Number of classes of a classifier.
    fn labels(&self) -> Option<usize> {
        match self {
            Self::Classification { labels } | Self::TokenClassification { labels } => Some(*labels),
            Self::QuestionAnswering | Self::MaskedLm { .. } | Self::Embedding => None,
        }
    }
}

/// A random BERT.
///
/// ```no_run
/// # use ditto_models::config::BertConfig;
/// # use ditto_models::synthetic::{Synthetic, SyntheticHead};
/// let config = BertConfig { num_hidden_layers: 1, ..BertConfig::tiny() };
/// Synthetic { shards: 3, ..Synthetic::new(config, SyntheticHead::Embedding, 7) }
///     .write("checkpoints/tiny".as_ref())?;
/// # Ok::<(), ditto_models::synthetic::SyntheticError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Synthetic {
    /// The sizes. `architectures` and `labels` are set from the head.
    pub config: BertConfig,
    /// The head.
    pub head: SyntheticHead,
    /// What the numbers are drawn from.
    pub seed: u64,
    /// The type of the numbers.
    pub dtype: Dtype,
    /// The number of weight files; with more than one, there is an index.
    pub shards: usize,
    /// Whether the encoder's tensors are called `bert.…`.
    pub prefix: bool,
    /// Whether layer normalisations have `gamma` and `beta`, as in checkpoints from TensorFlow.
    pub old_names: bool,
}

impl Synthetic {
    /// A checkpoint in one file of F32, with the prefix that the transformers library writes: with a
    /// head there is one, an encoder alone has none.
    pub fn new(config: BertConfig, head: SyntheticHead, seed: u64) -> Self {
        let prefix = head != SyntheticHead::Embedding;
        Self { config, head, seed, dtype: Dtype::F32, shards: 1, prefix, old_names: false }
    }

    /// Writes the checkpoint's files into a directory, which is created where it does not exist.
    /// An earlier checkpoint in it is replaced, though shards that only it had stay behind, unused.
    ///
    /// # Errors
    ///
    /// When a file cannot be written, and for sizes that cannot be.
    pub fn write(&self, dir: &Path) -> Result<(), SyntheticError> {
        let vocab_size = self.config.vocab_size;
        let tokenizer = wordpiece::tokenizer(vocab_size)
            .ok_or(SyntheticError::VocabTooSmall { found: vocab_size, least: wordpiece::least() })?;
        let weights = Weights::new(tensors::all(self), self.shards)?;
        files::create_dir(dir)?;
        files::write_json(&dir.join("config.json"), &self.config_json(dir)?)?;
        files::write_json(&dir.join("tokenizer.json"), &tokenizer)?;
        if self.head == SyntheticHead::Embedding {
            self.write_modules(dir)?;
        }
        weights.write(dir)
    }

    fn config_json(&self, dir: &Path) -> Result<Value, SyntheticError> {
        let mut config = self.config.clone();
        let labels = self.head.labels();
        config.architectures = vec![self.head.architecture().to_owned()];
        config.tie_word_embeddings = self.head != SyntheticHead::MaskedLm { tied: false };
        config.labels = match config.labels {
            Some(names) if labels == Some(names.len()) => Some(names),
            _ => labels.map(|labels| (0..labels).map(|label| format!("LABEL_{label}")).collect()),
        };
        let mut value = serde_json::to_value(config)
            .map_err(|source| SyntheticError::Json { path: dir.join("config.json"), source })?;
        // What BertConfig has no field for, as it only ever has one value.
        value["model_type"] = json!("bert");
        value["position_embedding_type"] = json!("absolute");
        Ok(value)
    }

    fn write_modules(&self, dir: &Path) -> Result<(), SyntheticError> {
        let module = |idx: usize, path: &str, class: &str| {
            json!({
                "idx": idx,
                "name": idx.to_string(),
                "path": path,
                "type": format!("sentence_transformers.models.{class}"),
            })
        };
        let modules = json!([
            module(0, "", "Transformer"),
            module(1, "1_Pooling", "Pooling"),
            module(2, "2_Normalize", "Normalize"),
        ]);
        files::write_json(&dir.join("modules.json"), &modules)?;
        let pooling = dir.join("1_Pooling");
        files::create_dir(&pooling)?;
        let config = json!({
            "word_embedding_dimension": self.config.hidden_size,
            "pooling_mode_cls_token": false,
            "pooling_mode_mean_tokens": true,
            "pooling_mode_max_tokens": false,
            "pooling_mode_mean_sqrt_len_tokens": false,
        });
        files::write_json(&pooling.join("config.json"), &config)
    }
}
