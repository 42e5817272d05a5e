//! Training and distillation: models read with gradients, at the scales that are served.
//!
//! [`Train`] reads the same `#[secure_model]` source as the protocols do. [`distill()`] makes a student of a teacher, [`fit()`]
//! trains on labels or text.

mod adamw;
mod data;
mod distill;
mod elementwise;
mod engine;
mod fit;
mod held_out;
mod learner;
mod loss;
pub mod metrics;
mod plot;
mod read;
mod rounding;
mod scales;
mod schedule;
mod scratch;
mod start;
mod trainer;
mod transformers;
mod value;
mod variables;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub use self::data::{Batch, Data, Example, Files, Reader};
pub use self::distill::{Distillation, Distilled, distill};
pub use self::engine::{Numbers, Seen, Train};
pub use self::fit::{Fitted, Fitting, fit};
pub use self::learner::Learner;
pub use self::plot::plot;
pub use self::read::{Reading, read};
pub use self::scales::Scales;
pub use self::scratch::{Kind, NewModel};
pub use self::start::Start;
pub use self::trainer::{Options, Point, STATE, Stage, Told};
pub use self::value::{Matrix, Value};
pub use self::variables::Variables;
use crate::checkpoint::CheckpointError;
use crate::config::ConfigError;
use crate::quantization::QuantizationError;
use crate::run::RunError;

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
    /// The tokenizer.
    #[error(transparent)]
    Text(#[from] crate::text::TextError),
    /// A file of texts.
    #[error("{}{}: {what}", .file.display(), if *.line > 0 { format!(", line {}", .line) } else { String::new() })]
    Data {
        /// The file.
        file: PathBuf,
        /// The line, from 1; 0 for the file itself.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// A file that is no JSON.
    #[error("{}", .file.display())]
    Json {
        /// The file.
        file: PathBuf,
        /// What the library said.
        source: serde_json::Error,
    },
    /// A checkpoint of another kind.
    #[error("{}: its head is neither a classifier of texts nor a language model, which can be trained", .dir.display())]
    Head {
        /// The checkpoint.
        dir: PathBuf,
    },
    /// A student that is not its teacher's.
    #[error("{}: its sizes or its head are not those of {}", .student.display(), .teacher.display())]
    Apart {
        /// The student.
        student: PathBuf,
        /// The teacher.
        teacher: PathBuf,
    },
    /// A tokenizer that could not be made.
    #[error("{}: a tokenizer of its texts: {what}", .file.display())]
    Tokenizer {
        /// The file of texts.
        file: PathBuf,
        /// What the library said.
        what: String,
    },
    /// A new model that could not be written.
    #[error(transparent)]
    New(#[from] crate::synthetic::SyntheticError),
    /// A picture that could not be drawn.
    #[error("{}: {what}", .file.display())]
    Plot {
        /// The file.
        file: PathBuf,
        /// What the library said.
        what: String,
    },
    /// Numbers that grew without bound.
    #[error("losses or their gradients are no numbers, up to step {step}: try a lower --rate")]
    Diverged {
        /// The step.
        step: usize,
    },
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
    /// A student whose scales could not be fitted.
    #[error("scales")]
    Calibration(#[source] Box<RunError>),
    /// A file of scales.
    #[error(transparent)]
    Quantization(#[from] QuantizationError),
    /// A state that training cannot go on from.
    #[error("{}: {what}; train from the beginning without --resume", .file.display())]
    Resume {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        what: String,
    },
}
