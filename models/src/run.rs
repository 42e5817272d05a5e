//! Runs a checkpoint privately on this machine: owner, client and three parties.

mod job;
mod launch;
mod party;
mod private;
mod task;

pub use job::Job;
pub use launch::{Launch, Network};
pub use party::party_process;
pub use private::{Outcome, Phase, Seconds, run_private};
pub use task::{Answer, Task};

use crate::checkpoint::CheckpointError;
use crate::config::ConfigError;
use crate::text::TextError;

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The weights.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The tokenizer or a text.
    #[error("text {index}")]
    Text {
        /// Which text, from 1; 0 for the tokenizer itself.
        index: usize,
        /// The cause.
        source: TextError,
    },
    /// A protocol, an engine or the transport.
    #[error(transparent)]
    Core(#[from] ditto_core::Error),
    /// A party's process could not be started or spoken to.
    #[error("party {role}: {what}")]
    Process {
        /// The party.
        role: String,
        /// What happened.
        what: String,
    },
    /// A file of texts.
    #[error("{file}: {source}")]
    File {
        /// The file.
        file: String,
        /// The cause.
        source: std::io::Error,
    },
    /// Nothing to do.
    #[error("no text given: use --text \"...\" or --file lines.txt")]
    NoText,
    /// A length that the model does not take.
    #[error("a text of {tokens} tokens: the model takes 1 to {longest} (max_position_embeddings)")]
    Length {
        /// The length asked for.
        tokens: usize,
        /// The largest.
        longest: usize,
    },
    /// What a client announced to a party.
    #[error("the job that the client announced cannot be run: {0}")]
    Job(String),
}
