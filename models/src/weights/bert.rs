//! How a BERT is stored.

use ditto_core::session::Floats;

use super::{Stored, named};
use crate::checkpoint::{Checkpoint, Scope};

/// Prefixes under which the encoder's tensors may stand.
const PREFIXES: [&str; 1] = ["bert"];
/// How the names of heads start, which have no such prefix.
const HEADS: [&str; 3] = ["classifier.", "qa_outputs.", "cls."];

/// A checkpoint's weights under the names of the model code: the encoder without a prefix, and one name for tensors that
/// the transformers library stores under one of several.
#[derive(Debug, Clone, Copy)]
pub struct BertFloats<'a>(pub &'a Checkpoint);

impl<'a> BertFloats<'a> {
    /// The tensors of the encoder.
    pub(crate) fn encoder(&self) -> Scope<'a> {
        self.0.prefix(&PREFIXES)
    }

    /// Where the checkpoint has the tensor that the model calls `name`.
    fn stored<'n>(&self, name: &'n str) -> (Scope<'a>, &'n str) {
        let (root, encoder) = (self.0.root(), self.encoder());
        match name.strip_prefix("cls.predictions.decoder") {
            // Without a matrix of its own, the decoder has the table of word embeddings.
            Some(".weight") if !root.has(name) => (encoder, "embeddings.word_embeddings.weight"),
            Some(".bias") if !root.has(name) => (root, "cls.predictions.bias"),
            _ if HEADS.iter().any(|head| name.starts_with(head)) => (root, name),
            _ => (encoder, name),
        }
    }
}

impl BertFloats<'_> {
    /// Where the checkpoint has the tensor that the model calls `name`.
    pub(super) fn place(&self, name: &str) -> Stored {
        let (scope, stored) = self.stored(name);
        Stored { name: format!("{}{stored}", scope.prefix()), transposed: false, part: (0, 1) }
    }
}

impl Floats for BertFloats<'_> {
    fn floats(&self, name: &str, shape: &[usize]) -> ditto_core::Result<Vec<f32>> {
        let (scope, stored) = self.stored(name);
        scope.tensor(stored, shape).map_err(|e| named(name, &e))
    }
}
