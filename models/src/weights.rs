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
