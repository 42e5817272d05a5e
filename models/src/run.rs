//! Runs a checkpoint privately on this machine: owner, client and three parties.

mod arguments;
mod job;
mod launch;
mod party;
mod private;
mod quantized;
mod relay;
mod requests;
mod session;
mod task;

pub use arguments::{PartyArguments, Testing};
pub use job::{Job, Serving};
pub(crate) use launch::Parties;
pub use launch::{Launch, Network};
pub use private::{Failure, Outcome, Phase, Seconds, run_private};
pub use requests::{Requested, Requests, run_requests};
pub(crate) use session::{Asked, Begun, Session};
pub use task::Task;

use crate::calibrate::Unsafe;
use crate::checkpoint::CheckpointError;
use crate::config::ConfigError;
use crate::input::InputError;
use crate::quantization::QuantizationError;
use crate::train::TrainError;

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
        source: Box<InputError>,
    },
    /// A protocol, an engine or the transport.
    #[error(transparent)]
    Core(#[from] ditto_core::Error),
    /// A text that could not be read through.
    #[error("text {index}")]
    Read {
        /// Which text, from 1.
        index: usize,
        /// The cause.
        source: Box<ditto_core::Error>,
    },
    /// A quantization file.
    #[error(transparent)]
    Quantization(Box<QuantizationError>),
    /// A checkpoint that cannot be run safely.
    #[error(transparent)]
    Unsafe(#[from] Unsafe),
    /// Range conditions that other texts broke.
    #[error(
        "{count} range condition(s) failed, first at step `{step}`: the quantization does not hold for these texts"
    )]
    Violated {
        /// How many.
        count: usize,
        /// The worst.
        step: String,
    },
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
    /// Texts of pairs that do not pair up.
    #[error("{first} is given {firsts} times, but {second} {seconds} times")]
    Unpaired {
        /// The option of the first texts.
        first: &'static str,
        /// How often it is given.
        firsts: usize,
        /// The option of the second texts.
        second: &'static str,
        /// How often it is given.
        seconds: usize,
    },
    /// A prompt.
    #[error("the prompt")]
    Prompt(#[source] Box<crate::generate::PromptError>),
    /// Requests that failed while others were answered.
    #[error("{count} request(s) failed, the first because {first}")]
    Requests {
        /// How many.
        count: usize,
        /// Why the first did.
        first: String,
    },
    /// Training.
    #[error(transparent)]
    Train(Box<TrainError>),
    /// What a client announced to a party.
    #[error("the job that the client announced cannot be run: {0}")]
    Job(String),
}

impl From<TrainError> for RunError {
    fn from(error: TrainError) -> Self {
        Self::Train(Box::new(error))
    }
}

impl From<QuantizationError> for RunError {
    fn from(error: QuantizationError) -> Self {
        Self::Quantization(Box::new(error))
    }
}
