//! The client's side of the input: looking tokens up.

use ditto_core::session::Floats;
use ditto_core::tensor::Array;

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::config::BertConfig;
use crate::text::Encoded;

/// Prefixes under which the encoder's tensors may stand.
const PREFIXES: [&str; 1] = ["bert"];

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

    /// The sum of a text's embeddings, [tokens, hidden]. Ids must come from a tokenizer made for this model.
    pub fn sum(&self, text: &Encoded) -> ditto_core::Result<Array<f32>> {
        let row = |table: &[f32], i: usize| table[i * self.width..(i + 1) * self.width].to_vec();
        let mut data = Vec::with_capacity(text.len() * self.width);
        for (i, (&id, &kind)) in text.ids.iter().zip(&text.type_ids).enumerate() {
            let (words, types) = (row(&self.words, id as usize), row(&self.types, kind as usize));
            let positions = row(&self.positions, i);
            data.extend(words.iter().zip(types).zip(positions).map(|((w, t), p)| w + t + p));
        }
        Array::new([text.len(), self.width], data)
    }
}

/// A checkpoint's weights under the names of the model code: the encoder without a prefix.
#[derive(Debug, Clone, Copy)]
pub struct BertFloats<'a>(pub &'a Checkpoint);

impl Floats for BertFloats<'_> {
    fn floats(&self, name: &str, shape: &[usize]) -> ditto_core::Result<Vec<f32>> {
        let scope = if name.starts_with("classifier.") { self.0.root() } else { self.0.prefix(&PREFIXES) };
        scope
            .tensor(name, shape)
            .map_err(|e| ditto_core::Error::Weight { name: name.to_owned(), what: crate::report::chain(&e) })
    }
}
