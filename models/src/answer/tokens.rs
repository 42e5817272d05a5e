//! Classes of tokens, as `token-classification` without aggregation gives them.

use serde::Serialize;

use super::scores::{best, softmax};
use crate::text::{Encoded, Tokenizer, excerpt};

/// The class of tokens that belong to nothing.
const OUTSIDE: &str = "O";
/// The token in place of words that the vocabulary lacks.
const UNKNOWN: &str = "[UNK]";

/// A token and its class.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entity {
    /// Name of the most likely class.
    pub entity: String,
    /// Its probability.
    pub score: f32,
    /// The token's place, counted with special tokens.
    pub index: usize,
    /// The token; what stands in the text, if the vocabulary lacks it.
    pub word: String,
    /// Its first character in the text.
    pub start: usize,
    /// The character after its last.
    pub end: usize,
}

/// Every token of the text whose most likely class is not `O`. `logits` has one row a token.
pub(super) fn entities(
    labels: &[String],
    tokenizer: &Tokenizer,
    text: &str,
    encoded: &Encoded,
    logits: &[f32],
) -> Vec<Entity> {
    let unknown = tokenizer.id(UNKNOWN);
    let rows = logits.chunks_exact(labels.len().max(1)).enumerate();
    let entity = |(index, row): (usize, &[f32])| {
        let chars = &encoded.origins.get(index)?.as_ref()?.chars;
        let class = best(row);
        let entity = labels.get(class).filter(|label| *label != OUTSIDE)?.clone();
        let id = encoded.ids[index];
        let word = match tokenizer.token(id) {
            Some(token) if Some(id) != unknown => token,
            _ => excerpt(text, chars),
        };
        Some(Entity { entity, score: softmax(row)[class], index, word, start: chars.start, end: chars.end })
    };
    rows.filter_map(entity).collect()
}
