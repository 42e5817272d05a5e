//! Random checkpoints in the real layout, for tests and benches.
//!
//! The numbers of a tensor depend on the seed and on the tensor's name alone. So checkpoints of one
//! seed hold the same model, however many files it is in and whatever its tensors are called, and
//! it differs between number types by rounding only. Another version of the rand crate may draw
//! other numbers.

mod tensors;
mod vocab;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::{fs, io};

use serde_json::{Map, Value, json};

use self::tensors::Tensor;
use crate::config::BertConfig;

/// An error of writing a synthetic checkpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyntheticError {
    /// A file or directory could not be written.
    #[error("{}: cannot write", .path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A weight file could not be written.
    #[error("{}: cannot write the weights", .path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What the safetensors library said.
        source: safetensors::SafeTensorError,
    },
    /// A JSON file could not be written.
    #[error("{}: cannot be expressed as JSON", .path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What the JSON library said.
        source: serde_json::Error,
    },
    /// The vocabulary has no place for the tokens that every text needs.
    #[error("vocab_size is {found}, but a synthetic vocabulary has at least {least} tokens")]
    VocabTooSmall {
        /// The size asked for.
        found: usize,
        /// The least size.
        least: usize,
    },
    /// The number of shards is 0, or above the number of tensors.
    #[error("shards is {found}, but should be from 1 to {most}")]
    Shards {
        /// The number asked for.
        found: usize,
        /// The number of tensors.
        most: usize,
    },
}

/// The type of the numbers in a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dtype {
    /// 32 bits.
    F32,
    /// 16 bits, IEEE.
    F16,
    /// 16 bits, of which 8 for the exponent.
    Bf16,
}

/// The head of a synthetic checkpoint.
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

/// A random checkpoint.
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
        let tokenizer = vocab::tokenizer(vocab_size)
            .ok_or(SyntheticError::VocabTooSmall { found: vocab_size, least: vocab::least() })?;
        let tensors = tensors::all(self);
        if self.shards == 0 || self.shards > tensors.len() {
            return Err(SyntheticError::Shards { found: self.shards, most: tensors.len() });
        }
        create_dir(dir)?;
        write_json(&dir.join("config.json"), &self.config_json(dir)?)?;
        write_json(&dir.join("tokenizer.json"), &tokenizer)?;
        if self.head == SyntheticHead::Embedding {
            self.write_modules(dir)?;
        }
        self.write_weights(dir, tensors)
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
        write_json(&dir.join("modules.json"), &modules)?;
        let pooling = dir.join("1_Pooling");
        create_dir(&pooling)?;
        let config = json!({
            "word_embedding_dimension": self.config.hidden_size,
            "pooling_mode_cls_token": false,
            "pooling_mode_mean_tokens": true,
            "pooling_mode_max_tokens": false,
            "pooling_mode_mean_sqrt_len_tokens": false,
        });
        write_json(&pooling.join("config.json"), &config)
    }

    fn write_weights(&self, dir: &Path, tensors: Vec<Tensor>) -> Result<(), SyntheticError> {
        const SINGLE: &str = "model.safetensors";
        const INDEX: &str = "model.safetensors.index.json";
        for stale in [SINGLE, INDEX] {
            let path = dir.join(stale);
            match fs::remove_file(&path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(SyntheticError::Io { path, source });
                }
                _ => {}
            }
        }
        if self.shards == 1 {
            return write_shard(&dir.join(SINGLE), tensors);
        }
        let mut weight_map = Map::new();
        let mut total_size = 0;
        let mut rest = tensors;
        for shard in 0..self.shards {
            let name = format!("model-{:05}-of-{:05}.safetensors", shard + 1, self.shards);
            // What is left, in equal parts: no shard is empty.
            let after = rest.split_off(rest.len() / (self.shards - shard));
            let tensors = std::mem::replace(&mut rest, after);
            for tensor in &tensors {
                weight_map.insert(tensor.name().to_owned(), Value::from(name.clone()));
                total_size += tensor.bytes();
            }
            write_shard(&dir.join(name), tensors)?;
        }
        let index = json!({ "metadata": { "total_size": total_size }, "weight_map": weight_map });
        write_json(&dir.join(INDEX), &index)
    }
}

fn write_shard(path: &Path, tensors: Vec<Tensor>) -> Result<(), SyntheticError> {
    let tensors = tensors.into_iter().map(|tensor| (tensor.name().to_owned(), tensor));
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    safetensors::serialize_to_file(tensors, Some(metadata), path)
        .map_err(|source| SyntheticError::Weights { path: path.to_owned(), source })
}

fn create_dir(path: &Path) -> Result<(), SyntheticError> {
    fs::create_dir_all(path).map_err(|source| SyntheticError::Io { path: path.to_owned(), source })
}

fn write_json(path: &Path, value: &Value) -> Result<(), SyntheticError> {
    let text = serde_json::to_vec_pretty(value)
        .map_err(|source| SyntheticError::Json { path: path.to_owned(), source })?;
    fs::write(path, text).map_err(|source| SyntheticError::Io { path: path.to_owned(), source })
}
