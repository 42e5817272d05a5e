//! Tokens in place of masked ones, as `fill-mask` gives them.

use serde::Serialize;

use super::scores::softmax;
use crate::text::Tokenizer;

/// Tokens named for each mask.
const NAMED: usize = 5;

/// A token in place of a mask.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Candidate {
    /// Its id.
    pub token: u32,
    /// The token; empty where the tokenizer has none of this id.
    pub token_str: String,
    /// Its probability.
    pub score: f32,
}

/// The most likely tokens for each mask, best first. `logits` has one row a mask.
pub(super) fn candidates(tokenizer: &Tokenizer, masks: usize, logits: &[f32]) -> Vec<Vec<Candidate>> {
    let best = |row: &[f32]| {
        let mut ids: Vec<u32> = (0..row.len() as u32).collect();
        // Stable: of equal tokens the first in the vocabulary is named first.
        ids.sort_by(|&a, &b| row[b as usize].total_cmp(&row[a as usize]));
        let scores = softmax(row);
        let candidate = |token: u32| Candidate {
            token,
            token_str: tokenizer.token(token).unwrap_or_default(),
            score: scores[token as usize],
        };
        ids.into_iter().take(NAMED).map(candidate).collect()
    };
    logits.chunks_exact((logits.len() / masks.max(1)).max(1)).take(masks).map(best).collect()
}
