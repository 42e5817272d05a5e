use ditto_core::tensor::Array;

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::config::BertConfig;
use crate::text::Encoded;
use crate::weights::BertFloats;

/// The embedding tables of a BERT.
#[derive(Debug)]
pub struct BertEmbeddings {
    width: usize,
    words: Vec<f32>,
    positions: Vec<f32>,
    types: Vec<f32>,
}

impl BertEmbeddings {
    /// Reads the three tables.
    pub fn open(checkpoint: &Checkpoint, config: &BertConfig) -> Result<Self, CheckpointError> {
        let scope = BertFloats(checkpoint).encoder().pp("embeddings");
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

/// The token, type and position whose embeddings each row of a text's input sums: those of the tokens at `first`, then all
/// others in the text's order.
pub fn rows<'a>(text: &'a Encoded, first: &'a [usize]) -> impl Iterator<Item = [usize; 3]> + 'a {
    let rest = (0..text.len()).filter(|i| !first.contains(i));
    first.iter().copied().chain(rest).map(|i| [text.ids[i] as usize, text.type_ids[i] as usize, i])
}
