//! Tokens that a model predicts, as `fill-mask` names them.

use serde::Serialize;

use super::scores::softmax;

/// Tokens named for each prediction.
const NAMED: usize = 5;

/// A token that is predicted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Candidate {
    /// Its id.
    pub token: u32,
    /// The token; empty where the tokenizer has none of this id.
    pub token_str: String,
    /// Its probability.
    pub score: f32,
}

/// The most likely tokens of a row of logits, best first, with the names that `name` has for them.
pub(super) fn best(row: &[f32], name: impl Fn(u32) -> Option<String>) -> Vec<Candidate> {
    let mut ids: Vec<u32> = (0..row.len() as u32).collect();
    // Stable: of equal tokens the first in the vocabulary is named first.
    ids.sort_by(|&a, &b| row[b as usize].total_cmp(&row[a as usize]));
    let scores = softmax(row);
    let candidate = |token: u32| Candidate {
        token,
        token_str: name(token).unwrap_or_default(),
        score: scores[token as usize],
    };
    ids.into_iter().take(NAMED).map(candidate).collect()
}
