//! A checkpoint's weights under the names that the model code asks for.
//!
//! Each family's file says under which names and in which layout the transformers library stores them.

mod bert;
mod gpt2;

use ditto_core::session::Floats;

pub use self::bert::BertFloats;
pub use self::gpt2::Gpt2Floats;
use crate::architecture::PublicHead;
use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::report::chain;

/// Where a checkpoint has a tensor of the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    /// The full name.
    pub(crate) name: String,
    /// Whether it is a matrix stored [inputs, outputs].
    pub(crate) transposed: bool,
    /// Which of how many equal parts of its outputs is meant, from 0.
    pub(crate) part: (usize, usize),
}

/// The weights of a checkpoint of either family.
#[derive(Debug, Clone, Copy)]
pub enum ModelFloats<'a> {
    /// Of a BERT.
    Bert(BertFloats<'a>),
    /// Of a GPT-2.
    Gpt2(Gpt2Floats<'a>),
}

impl<'a> ModelFloats<'a> {
    /// Of a checkpoint, whose family its head tells.
    pub fn new(checkpoint: &'a Checkpoint, head: &PublicHead) -> Self {
        if head.is_causal() { Self::Gpt2(Gpt2Floats(checkpoint)) } else { Self::Bert(BertFloats(checkpoint)) }
    }

    /// Where the checkpoint has the tensor that the model calls `name`.
    pub(crate) fn stored(&self, name: &str) -> Stored {
        match self {
            Self::Bert(floats) => floats.place(name),
            Self::Gpt2(floats) => floats.place(name),
        }
    }

    /// Whether the checkpoint stores a matrix [inputs, outputs], as no linear layer of PyTorch does.
    pub(crate) fn is_transposed(&self, stored: &str) -> bool {
        match self {
            Self::Bert(_) => false,
            Self::Gpt2(_) => gpt2::is_transposed(stored),
        }
    }
}

impl Floats for ModelFloats<'_> {
    fn floats(&self, name: &str, shape: &[usize]) -> ditto_core::Result<Vec<f32>> {
        match self {
            Self::Bert(floats) => floats.floats(name, shape),
            Self::Gpt2(floats) => floats.floats(name, shape),
        }
    }

    fn transposed(&self, name: &str, inputs: usize, outputs: usize) -> ditto_core::Result<Option<Vec<f32>>> {
        match self {
            Self::Bert(floats) => floats.transposed(name, inputs, outputs),
            Self::Gpt2(floats) => floats.transposed(name, inputs, outputs),
        }
    }
}

/// An error about the tensor that the model calls `name`; the cause says what the checkpoint calls it.
fn named(name: &str, cause: &CheckpointError) -> ditto_core::Error {
    ditto_core::Error::Weight { name: name.to_owned(), what: chain(cause) }
}
