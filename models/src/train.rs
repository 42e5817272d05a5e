//! Training and distillation: models read with gradients, at the scales that are served.
//!
//! [`Train`] reads the same `#[secure_model]` source as the protocols do. [`distill`] makes a student of a teacher, [`fit`]
//! trains on labels or text.

mod engine;
mod read;
mod rounding;
mod value;
mod variables;

use std::path::PathBuf;

pub use self::engine::{Numbers, Seen, Train};
pub use self::read::{Reading, read};
pub use self::value::{Matrix, Value};
pub use self::variables::Variables;
use crate::checkpoint::CheckpointError;
use crate::config::ConfigError;

/// Why training failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The weights.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The model's code.
    #[error(transparent)]
    Core(#[from] ditto_core::Error),
    /// The tensor library.
    #[error("training")]
    Tensors(#[from] candle_core::Error),
    /// A file that could not be read or written.
    #[error("{}", .file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Weights that could not be written.
    #[error("{}", .file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// What the library said.
        source: safetensors::SafeTensorError,
    },
    /// A state that training cannot go on from.
    #[error("{}: {what}; train from the beginning without --resume", .file.display())]
    Resume {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        what: String,
    },
}
