//! What sits on top of the encoder.

use std::path::Path;

use serde::Serializer;
use serde_json::{Map, Value};

use super::json::{self, Fields};
use super::{BertConfig, CONFIG, ConfigError, bounds};
use crate::checkpoint::Checkpoint;

/// The matrix whose presence makes a checkpoint a classifier.
const CLASSIFIER: &str = "classifier.weight";
/// The class of the transformers library that classifies sequences.
const CLASSIFICATION: &str = "BertForSequenceClassification";
/// Classes of a classifier whose configuration names none, which is why the transformers library does not write them.
const DEFAULT_LABELS: usize = 2;
/// Classes with heads that are not computed. Their encoder alone would answer another question than
/// the checkpoint was trained for, so they are refused rather than read as sentence embeddings.
const OTHER_HEADS: [&str; 5] = [
    "BertForTokenClassification",
    "BertForQuestionAnswering",
    "BertForMultipleChoice",
    "BertForNextSentencePrediction",
    "BertLMHeadModel",
];

/// The list of steps of a sentence-transformers checkpoint.
const MODULES: &str = "modules.json";
/// The pooling of a sentence-transformers checkpoint, where `modules.json` does not say.
const POOLING_DIR: &str = "1_Pooling";
/// The longest input of a sentence-transformers checkpoint.
const SENTENCE: &str = "sentence_bert_config.json";

/// What sits on top of the encoder.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Head {
    /// The pooler (a dense layer and tanh on the first token) and a linear classifier.
    Classification {
        /// The names of the classes: as many as the classifier has rows.
        labels: Vec<String>,
    },
    /// The mean over all tokens.
    Embedding {
        /// Whether the mean is then scaled to length 1.
        normalize: bool,
        /// The longest input in tokens that the checkpoint is meant for, where it says so. It is
        /// at most `max_position_embeddings`.
        max_tokens: Option<usize>,
    },
}

impl Head {
    /// The head that the configuration files of a checkpoint announce: it classifies if `architectures` lists
    /// `BertForSequenceClassification`; otherwise it embeds sentences, with mean pooling and scaling to length 1 unless
    /// the files of sentence-transformers say something else. Without labels in the configuration there are two, as in
    /// the transformers library.
    ///
    /// # Errors
    ///
    /// For heads and poolings that are not supported.
    pub fn of_config(config: &BertConfig, dir: &Path) -> Result<Self, ConfigError> {
        let is = |class: &str| config.architectures.iter().any(|name| name == class);
        if let Some(other) = OTHER_HEADS.iter().find(|class| is(class)) {
            return Err(ConfigError::Unsupported {
                file: dir.join(CONFIG),
                field: "architectures".to_owned(),
                found: other.to_string(),
                reason: format!("{CLASSIFICATION}, BertModel and sentence-transformers checkpoints are"),
            });
        }
        if is(CLASSIFICATION) {
            let labels = config.labels.clone().unwrap_or_else(|| numbered(DEFAULT_LABELS));
            return Ok(Self::Classification { labels });
        }
        Self::embedding(config, dir)
    }

    /// The head that the configuration announces ([`Head::of_config`]), checked against the tensors. A checkpoint that
    /// has a `classifier.weight` classifies, whatever its configuration says; where that names no labels, there are as
    /// many as the matrix has rows.
    ///
    /// # Errors
    ///
    /// For heads and poolings that are not supported, and a classifier that is missing or does not fit.
    pub fn detect(config: &BertConfig, checkpoint: &Checkpoint) -> Result<Self, ConfigError> {
        let dir = checkpoint.dir();
        let head = Self::of_config(config, dir)?;
        match (checkpoint.shape(CLASSIFIER), head) {
            (Some(shape), _) => Self::classification(config, dir, shape),
            (None, Self::Classification { .. }) => Err(ConfigError::HeadMissing {
                dir: dir.to_owned(),
                tensor: CLASSIFIER.to_owned(),
                file: dir.join(CONFIG),
                architecture: CLASSIFICATION.to_owned(),
            }),
            (None, head) => Ok(head),
        }
    }

    fn classification(config: &BertConfig, dir: &Path, shape: &[usize]) -> Result<Self, ConfigError> {
        let wrong = |expected| ConfigError::HeadShape {
            dir: dir.to_owned(),
            tensor: CLASSIFIER.to_owned(),
            found: shape.to_vec(),
            file: dir.join(CONFIG),
            expected,
        };
        let classes = match *shape {
            [classes, hidden] if hidden == config.hidden_size && (1..=bounds::LABELS).contains(&classes) => {
                classes
            }
            _ => return Err(wrong(format!("[1 to {}, {}]", bounds::LABELS, config.hidden_size))),
        };
        let labels = match &config.labels {
            Some(labels) if labels.len() == classes => labels.clone(),
            Some(labels) => return Err(wrong(format!("{} rows, one for each of id2label", labels.len()))),
            None => numbered(classes),
        };
        Ok(Self::Classification { labels })
    }

    fn embedding(config: &BertConfig, dir: &Path) -> Result<Self, ConfigError> {
        let (pooling, normalize) = modules(dir)?;
        check_pooling(&dir.join(pooling).join(CONFIG), config.hidden_size)?;
        let max_tokens = match json::read_optional(&dir.join(SENTENCE))? {
            Some(map) => {
                let fields = Fields::new(&dir.join(SENTENCE), map);
                fields.optional_count("max_seq_length", 1..=bounds::POSITIONS)?
            }
            None => None,
        };
        let max_tokens = max_tokens.map(|tokens| tokens.min(config.max_position_embeddings));
        Ok(Self::Embedding { normalize, max_tokens })
    }
}

/// Labels as the transformers library makes them up.
pub(super) fn numbered(classes: usize) -> Vec<String> {
    (0..classes).map(|class| format!("LABEL_{class}")).collect()
}

/// Reads the steps of a sentence-transformers checkpoint: where the pooling is configured, and
/// whether scaling to length 1 follows. Without the file, it does.
fn modules(dir: &Path) -> Result<(String, bool), ConfigError> {
    let file = dir.join(MODULES);
    let Some(modules) = json::read_optional::<Vec<Map<String, Value>>>(&file)? else {
        return Ok((POOLING_DIR.to_owned(), true));
    };
    let modules: Vec<_> = modules.into_iter().map(|map| Fields::new(&file, map)).collect();
    let mut pooling = None;
    let mut normalize = false;
    for (place, module) in modules.iter().enumerate() {
        let class = module.text("type")?.ok_or_else(|| module.missing("type"))?;
        // The module's path in Python differs between versions; its last part is the class.
        let class = class.rsplit('.').next().unwrap_or_default();
        match (place, class) {
            (0, "Transformer") => {
                if !module.text("path")?.unwrap_or_default().is_empty() {
                    return Err(module.unsupported("path", "the encoder must be in the directory itself"));
                }
            }
            (1, "Pooling") => {
                let path = module.text("path")?.unwrap_or(POOLING_DIR);
                let plain = path.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
                if path.is_empty() || !plain {
                    return Err(module.wrong("path", "the plain name of a directory"));
                }
                pooling = Some(path.to_owned());
            }
            (2, "Normalize") => normalize = true,
            _ => {
                return Err(
                    module.unsupported("type", "Transformer, Pooling and then Normalize are, in this order")
                );
            }
        }
    }
    let pooling = pooling.ok_or_else(|| ConfigError::MissingField {
        file,
        field: "a module of type Transformer, and one of type Pooling after it".to_owned(),
    })?;
    Ok((pooling, normalize))
}

/// Checks that a pooling configuration says "mean", and nothing else. Absence means the same.
fn check_pooling(file: &Path, hidden_size: usize) -> Result<(), ConfigError> {
    let Some(map) = json::read_optional(file)? else { return Ok(()) };
    let fields = Fields::new(file, map);
    // Newer versions of sentence-transformers have one field, older ones a flag for each mode.
    if !matches!(fields.text("pooling_mode")?, None | Some("mean")) {
        return Err(fields.unsupported("pooling_mode", "only \"mean\" is"));
    }
    for field in fields.map.keys() {
        let mean = field == "pooling_mode_mean_tokens";
        if field.starts_with("pooling_mode_") && fields.flag(field)? != mean {
            return Err(fields.unsupported(field, "mean pooling alone is"));
        }
    }
    match fields.optional_count("word_embedding_dimension", 1..=bounds::HIDDEN)? {
        Some(width) if width != hidden_size => {
            Err(fields.wrong("word_embedding_dimension", format!("hidden_size, which is {hidden_size}")))
        }
        _ => Ok(()),
    }
}

/// Writes labels as `id2label` has them: an object with numbers as keys.
pub(super) fn serialize_labels<S: Serializer>(
    labels: &Option<Vec<String>>,
    to: S,
) -> Result<S::Ok, S::Error> {
    to.collect_map(labels.iter().flatten().enumerate())
}
