//! What can go wrong in a benchmark.

use std::path::PathBuf;

use ditto_models::checkpoint::CheckpointError;
use ditto_models::config::ConfigError;
use ditto_models::run::RunError;
use ditto_models::synthetic::SyntheticError;

/// Why a benchmark stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// An option that does not fit the others.
    #[error("--{option}: {what}")]
    Option {
        /// The option, without dashes.
        option: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// A private run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A protocol, an engine or the transport.
    #[error(transparent)]
    Core(#[from] ditto_core::Error),
    /// A checkpoint's configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A checkpoint's weights.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Random weights.
    #[error("random weights")]
    Synthetic(#[from] SyntheticError),
    /// The model in floats.
    #[error("the model in floats")]
    Plain(#[from] candle_core::Error),
    /// A head that the model in floats does not have.
    #[error(
        "{dir}: a head for {head} is not measured; sentence embeddings, classes of texts or of tokens, and answers in texts are"
    )]
    Head {
        /// The checkpoint.
        dir: PathBuf,
        /// What the head is for.
        head: &'static str,
    },
    /// The parties sent something else than the meter says.
    #[error("{what}: counted {counted}, metered {metered}")]
    Count {
        /// What was counted.
        what: &'static str,
        /// What the channels counted.
        counted: u64,
        /// What the meter says.
        metered: u64,
    },
    /// A party's report that does not fit the program.
    #[error("party {party}: its trace has {found} times, the program {wanted}")]
    Trace {
        /// The party.
        party: usize,
        /// Times in the trace.
        found: usize,
        /// Times that the program's steps give.
        wanted: usize,
    },
    /// A file or directory.
    #[error("{}", .path.display())]
    File {
        /// The path.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A chart that could not be drawn.
    #[error("{}: {what}", .path.display())]
    Chart {
        /// Its file.
        path: PathBuf,
        /// What the drawing library said.
        what: String,
    },
    /// A result that could not be written down.
    #[error("the result as JSON")]
    Json(#[from] serde_json::Error),
}

/// A result whose error stops a benchmark.
pub type Result<T, E = BenchError> = std::result::Result<T, E>;
