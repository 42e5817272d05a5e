//! The client's side of the input: looking tokens up.

use ditto_core::session::Floats;
use ditto_core::tensor::Array;

use crate::checkpoint::{Checkpoint, CheckpointError, Scope};
use crate::config::BertConfig;
use crate::text::Encoded;

/// Prefixes under which the encoder's tensors may stand.
const PREFIXES: [&str; 1] = ["bert"];
/// How the names of heads start, which have no such prefix.
const HEADS: [&str; 3] = ["classifier.", "qa_outputs.", "cls."];

/// The embedding tables of a BERT.
#[derive(Debug)]
pub struct Embeddings {
    width: usize,
    words: Vec<f32>,
    positions: Vec<f32>,
    types: Vec<f32>,
}

impl Embeddings {
    /// Reads the three tables.
    pub fn open(checkpoint: &Checkpoint, config: &BertConfig) -> Result<Self, CheckpointError> {
        let scope = checkpoint.prefix(&PREFIXES).pp("embeddings");
        let width = config.hidden_size;
        let table = |name: &str, rows: usize| scope.tensor(&format!("{name}.weight"), &[rows, width]);
        Ok(Self {
            width,
            words: table("word_embeddings", config.vocab_size)?,
            positions: table("position_embeddings", config.max_position_embeddings)?,
            types: table("token_type_embeddings", config.type_vocab_size)?,
        })
    }

    /// The sum of a text's embeddings, [tokens, hidden]: the rows of the tokens at `first`, then all others in the text's
    /// order. Ids must come from a tokenizer made for this model.
    ///
    /// The order of rows carries nothing: every row has its position in it.
    pub fn sum(&self, text: &Encoded, first: &[usize]) -> ditto_core::Result<Array<f32>> {
        let row = |table: &[f32], i: usize| table[i * self.width..(i + 1) * self.width].to_vec();
        let mut data = Vec::with_capacity(text.len() * self.width);
        for [word, r#type, position] in rows(text, first) {
            let words = row(&self.words, word);
            let types = row(&self.types, r#type);
            let positions = row(&self.positions, position);
            data.extend(words.iter().zip(types).zip(positions).map(|((w, t), p)| w + t + p));
        }
        Array::new([text.len(), self.width], data)
    }
}

/// The rows of the tables of words, types and positions that belong to each row of a text's input: those of the tokens at
/// `first`, then all others in the text's order.
pub fn rows<'a>(text: &'a Encoded, first: &'a [usize]) -> impl Iterator<Item = [usize; 3]> + 'a {
    let rest = (0..text.len()).filter(|i| !first.contains(i));
    first.iter().copied().chain(rest).map(|i| [text.ids[i] as usize, text.type_ids[i] as usize, i])
}

/// A checkpoint's weights under the names of the model code: the encoder without a prefix, and one name for tensors that
/// the transformers library stores under one of several.
#[derive(Debug, Clone, Copy)]
pub struct BertFloats<'a>(pub &'a Checkpoint);

impl BertFloats<'_> {
    /// Where the checkpoint has the tensor that the model calls `name`.
    fn stored<'n>(&self, name: &'n str) -> (Scope<'_>, &'n str) {
        let (root, encoder) = (self.0.root(), self.0.prefix(&PREFIXES));
        match name.strip_prefix("cls.predictions.decoder") {
            // Without a matrix of its own, the decoder has the table of word embeddings.
            Some(".weight") if !root.has(name) => (encoder, "embeddings.word_embeddings.weight"),
            Some(".bias") if !root.has(name) => (root, "cls.predictions.bias"),
            _ if HEADS.iter().any(|head| name.starts_with(head)) => (root, name),
            _ => (encoder, name),
        }
    }
}

impl Floats for BertFloats<'_> {
    fn floats(&self, name: &str, shape: &[usize]) -> ditto_core::Result<Vec<f32>> {
        let (scope, stored) = self.stored(name);
        scope
            .tensor(stored, shape)
            .map_err(|e| ditto_core::Error::Weight { name: name.to_owned(), what: crate::report::chain(&e) })
    }
}
