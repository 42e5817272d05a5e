//! How a sentence-transformers checkpoint pools.

use std::path::Path;

use serde_json::{Map, Value};

use super::json::{self, Fields};
use super::{BertConfig, CONFIG, ConfigError, Head, bounds};

/// The list of steps of a sentence-transformers checkpoint.
const MODULES: &str = "modules.json";
/// The pooling of a sentence-transformers checkpoint, where `modules.json` does not say.
const POOLING_DIR: &str = "1_Pooling";
/// The longest input of a sentence-transformers checkpoint.
const SENTENCE: &str = "sentence_bert_config.json";

/// Whether a directory is that of a sentence-transformers checkpoint.
pub(super) fn is_there(dir: &Path) -> bool {
    dir.join(MODULES).symlink_metadata().is_ok()
}

/// The head that embeds sentences, as the files of sentence-transformers say, where there are any.
pub(super) fn head(config: &BertConfig, dir: &Path) -> Result<Head, ConfigError> {
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
    Ok(Head::Embedding { normalize, max_tokens })
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
