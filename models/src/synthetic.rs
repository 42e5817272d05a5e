//! Random checkpoints in the real layout, for tests and benches.
//!
//! The numbers of a tensor depend on the seed and on the tensor's name alone. So checkpoints of one
//! seed hold the same model, however many files it is in and whatever its tensors are called, and
//! it differs between number types by rounding only. Another version of the rand crate may draw
//! other numbers.

mod bert;
mod files;
mod gpt2;
mod tensor;
mod words;

use std::io;
use std::path::PathBuf;

pub use self::bert::{Synthetic, SyntheticHead};
pub use self::gpt2::SyntheticGpt2;

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
