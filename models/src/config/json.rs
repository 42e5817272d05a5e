//! JSON files field by field, so that each error names the file and the field.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::ConfigError;
use crate::files::{self, FileError};

/// The most bytes that a configuration may have. Label maps are the only long thing in it.
const MAX_CONFIG: u64 = 4 << 20;

/// The most characters of a value that an error repeats.
const SHOWN: usize = 80;

/// Reads a JSON file.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    let file = path.to_owned();
    let content = match files::read(path, MAX_CONFIG) {
        Ok(content) => content,
        Err(FileError::Io(source)) => return Err(ConfigError::Io { file, source }),
        Err(FileError::NotAFile) => return Err(ConfigError::NotAFile { file }),
        Err(FileError::TooLarge { bytes }) => {
            return Err(ConfigError::TooLarge { file, bytes, limit: MAX_CONFIG });
        }
    };
    serde_json::from_slice(&content).map_err(|source| ConfigError::Json { file, source })
}

/// Reads a JSON file that need not be there.
pub(super) fn read_optional<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, ConfigError> {
    match path.symlink_metadata() {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        _ => read(path).map(Some),
    }
}

/// A JSON object and the file that it came from.
pub(super) struct Fields {
    pub(super) file: PathBuf,
    pub(super) map: Map<String, Value>,
}

impl Fields {
    pub(super) fn new(file: &Path, map: Map<String, Value>) -> Self {
        Self { file: file.to_owned(), map }
    }

    pub(super) fn read(file: &Path) -> Result<Self, ConfigError> {
        Ok(Self::new(file, read(file)?))
    }

    /// A field; one that is null is as good as absent, as in the transformers library.
    pub(super) fn get(&self, field: &str) -> Option<&Value> {
        self.map.get(field).filter(|value| !value.is_null())
    }

    pub(super) fn wrong(&self, field: &str, expected: impl Display) -> ConfigError {
        ConfigError::Field {
            file: self.file.clone(),
            field: field.to_owned(),
            found: self.shown(field),
            expected: expected.to_string(),
        }
    }

    pub(super) fn unsupported(&self, field: &str, reason: impl Display) -> ConfigError {
        ConfigError::Unsupported {
            file: self.file.clone(),
            field: field.to_owned(),
            found: self.shown(field),
            reason: reason.to_string(),
        }
    }

    pub(super) fn missing(&self, field: &str) -> ConfigError {
        ConfigError::MissingField { file: self.file.clone(), field: field.to_owned() }
    }

    /// A whole number within bounds.
    pub(super) fn count(&self, field: &str, bounds: RangeInclusive<usize>) -> Result<usize, ConfigError> {
        self.optional_count(field, bounds)?.ok_or_else(|| self.missing(field))
    }

    /// A whole number within bounds, if it is there.
    pub(super) fn optional_count(
        &self,
        field: &str,
        bounds: RangeInclusive<usize>,
    ) -> Result<Option<usize>, ConfigError> {
        let Some(value) = self.get(field) else { return Ok(None) };
        let number = value.as_u64().and_then(|n| usize::try_from(n).ok()).filter(|n| bounds.contains(n));
        let expected = || format!("a whole number from {} to {}", bounds.start(), bounds.end());
        number.map(Some).ok_or_else(|| self.wrong(field, expected()))
    }

    /// A text, if it is there.
    pub(super) fn text(&self, field: &str) -> Result<Option<&str>, ConfigError> {
        self.get(field).map(|value| value.as_str().ok_or_else(|| self.wrong(field, "a text"))).transpose()
    }

    /// A truth value; absence is false.
    pub(super) fn flag(&self, field: &str) -> Result<bool, ConfigError> {
        self.flag_or(field, false)
    }

    /// A truth value, or what its absence means.
    pub(super) fn flag_or(&self, field: &str, absent: bool) -> Result<bool, ConfigError> {
        let value =
            self.get(field).map(|value| value.as_bool().ok_or_else(|| self.wrong(field, "true or false")));
        Ok(value.transpose()?.unwrap_or(absent))
    }

    fn shown(&self, field: &str) -> String {
        let text = self.map.get(field).map_or_else(|| "absent".to_owned(), Value::to_string);
        match text.char_indices().nth(SHOWN) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text,
        }
    }
}
