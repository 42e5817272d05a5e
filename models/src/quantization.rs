//! The file that calibration writes beside a checkpoint: scales of weights and steps, and ranges of protocols.
//!
//! Everything in it becomes public to the servers. Ranges say a little about the calibration texts, exponents about the
//! weights: one power of two per tensor.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ditto_core::Settings;
use ditto_core::settings::Quantization;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::files::{self, FileError};
use crate::plan::Plan;

/// Version of the format.
pub const VERSION: u32 = 1;

/// Most bytes of a file. One of BERT-large has less than 200 kB.
const LIMIT: u64 = 1 << 22;

/// What calibration found for one checkpoint under one plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuantizationFile {
    /// [`VERSION`].
    pub version: u32,
    /// The plan.
    pub plan: Plan,
    /// SHA-256 of the checkpoint's float tensors, see [`weights_digest`].
    pub weights_sha256: String,
    /// Number of texts that the ranges were seen on.
    pub texts: usize,
    /// Exponents and ranges.
    pub quantization: Quantization,
    /// What was seen: by step and operation, the least and the greatest number.
    pub recorded: BTreeMap<String, [f64; 2]>,
}

/// Why a quantization file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QuantizationError {
    /// It could not be read or written.
    #[error("{}: cannot be read or written as a quantization file", .file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is no regular file, or far too large.
    #[error("{}: not a regular file of at most {LIMIT} bytes", .file.display())]
    NotAFile {
        /// The file.
        file: PathBuf,
    },
    /// It is malformed.
    #[error("{}: not a quantization file", .file.display())]
    Json {
        /// The file.
        file: PathBuf,
        /// What the JSON library said.
        source: serde_json::Error,
    },
    /// It is of another version.
    #[error("{}: version is {found}, but this program reads {VERSION}; calibrate again", .file.display())]
    Version {
        /// The file.
        file: PathBuf,
        /// Its version.
        found: u32,
    },
    /// Its numbers are out of bounds.
    #[error("{}: quantization", .file.display())]
    Bounds {
        /// The file.
        file: PathBuf,
        /// Which one.
        source: Box<ditto_core::Error>,
    },
    /// It was made for another plan.
    #[error("{}: made for plan `{found}`, but the plan is `{wanted}`", .file.display())]
    Plan {
        /// The file.
        file: PathBuf,
        /// Its plan.
        found: Plan,
        /// The plan of the run.
        wanted: Plan,
    },
    /// It was made for other weights.
    #[error(
        "{}: made for other weights than those in {}; calibrate again, or pass `--quantization none`",
        .file.display(), .dir.display()
    )]
    Weights {
        /// The file.
        file: PathBuf,
        /// The checkpoint.
        dir: PathBuf,
    },
    /// It names a weight or step that the model does not have.
    #[error("{}: the model has no {what} `{name}`; calibrate again", .file.display())]
    Unknown {
        /// The file.
        file: PathBuf,
        /// Weight or step.
        what: &'static str,
        /// Its name.
        name: String,
    },
}

impl QuantizationFile {
    /// Where the file of a plan lies by default.
    pub fn path(dir: &Path, plan: Plan) -> PathBuf {
        dir.join(format!("quantization.{plan}.json"))
    }

    /// The file that an option of the command line names: a path, `none`, or by default the one beside the checkpoint
    /// if it exists. Returns its path, too.
    pub fn find(
        dir: &Path,
        plan: Plan,
        option: Option<&Path>,
    ) -> Result<Option<(PathBuf, Self)>, QuantizationError> {
        let path = match option {
            Some(none) if none.as_os_str() == "none" => return Ok(None),
            Some(path) => path.to_owned(),
            None => {
                let path = Self::path(dir, plan);
                // A dangling link should be noticed, not overlooked.
                if path.symlink_metadata().is_err() {
                    return Ok(None);
                }
                path
            }
        };
        let file = Self::read(&path)?;
        if file.plan != plan {
            return Err(QuantizationError::Plan { file: path, found: file.plan, wanted: plan });
        }
        Ok(Some((path, file)))
    }

    /// Reads a file and checks its bounds.
    pub fn read(path: &Path) -> Result<Self, QuantizationError> {
        let file = || path.to_owned();
        let bytes = files::read(path, LIMIT).map_err(|e| match e {
            FileError::Io(source) => QuantizationError::Io { file: file(), source },
            FileError::NotAFile | FileError::TooLarge { .. } => QuantizationError::NotAFile { file: file() },
        })?;
        // The version first: another one may have other fields.
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let json = |source| QuantizationError::Json { file: file(), source };
        let Version { version } = serde_json::from_slice(&bytes).map_err(json)?;
        if version != VERSION {
            return Err(QuantizationError::Version { file: file(), found: version });
        }
        let this: Self = serde_json::from_slice(&bytes).map_err(json)?;
        let bounds =
            |source: ditto_core::Error| QuantizationError::Bounds { file: file(), source: source.into() };
        this.settings().check().map_err(bounds)?;
        Ok(this)
    }

    /// Writes the file, whole or not at all.
    pub fn write(&self, path: &Path) -> Result<(), QuantizationError> {
        let io = |source| QuantizationError::Io { file: path.to_owned(), source };
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(|source| QuantizationError::Json { file: path.to_owned(), source })?;
        text.push(b'\n');
        let mut beside = path.as_os_str().to_owned();
        beside.push(".part");
        std::fs::write(&beside, text).map_err(io)?;
        std::fs::rename(&beside, path).map_err(io)
    }

    /// The settings that parties run with.
    pub fn settings(&self) -> Arc<Settings> {
        Arc::new(Settings { quantization: self.quantization.clone(), ..Settings::default() })
    }
}

/// The settings of a plan for a checkpoint's directory: see [`QuantizationFile::find`]. Weights are not looked at, so
/// that a cost can be told from the configuration alone.
pub fn settings_for(
    dir: &Path,
    plan: Plan,
    option: Option<&Path>,
) -> Result<Arc<Settings>, QuantizationError> {
    let file = QuantizationFile::find(dir, plan, option)?;
    Ok(file.map(|(_, file)| file.settings()).unwrap_or_default())
}

/// SHA-256 over names, shapes and numbers (as f32) of all float tensors in alphabetical order: the same for one file
/// and for shards.
pub fn weights_digest(checkpoint: &Checkpoint) -> Result<String, CheckpointError> {
    let mut hash = Sha256::new();
    for_each_tensor(checkpoint, |name, shape, values| {
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name.as_bytes());
        hash.update((shape.len() as u64).to_le_bytes());
        shape.iter().for_each(|&n| hash.update((n as u64).to_le_bytes()));
        hash.update(bytemuck::cast_slice(values));
        Ok(())
    })?;
    Ok(hash.finalize().iter().map(|b| format!("{b:02x}")).collect())
}

/// Reads the float tensors one after the other.
pub(crate) fn for_each_tensor<E: From<CheckpointError>>(
    checkpoint: &Checkpoint,
    mut f: impl FnMut(&str, &[usize], &[f32]) -> Result<(), E>,
) -> Result<(), E> {
    for name in checkpoint.names() {
        let Some(shape) = checkpoint.shape(name) else { continue };
        match checkpoint.tensor(name, shape) {
            // Position ids and the like.
            Err(CheckpointError::Dtype { .. }) => {}
            Err(error) => return Err(error.into()),
            Ok(values) => f(name, shape, &values)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
