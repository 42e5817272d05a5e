//! The part of a context that answers a question, as `question-answering` finds it.

use std::ops::Range;

use super::scores::softmax;
use crate::text::{Encoded, Tokenizer};

/// Most tokens of an answer.
const LONGEST: usize = 15;
/// The token on which models put what a context does not answer.
const FIRST: &str = "[CLS]";

/// A part of the context.
pub(super) struct Span {
    /// Its characters, widened to whole words.
    pub(super) chars: Range<usize>,
    /// Probability of its start times that of its end.
    pub(super) score: f32,
}

/// The most likely span of at most [`LONGEST`] tokens. `logits` has two numbers a token: start and end.
///
/// Only tokens of the context may start or end it. Probabilities are over these and `[CLS]`, which takes what the model
/// does not find in the context.
pub(super) fn best(tokenizer: &Tokenizer, encoded: &Encoded, logits: &[f32]) -> Span {
    let in_context: Vec<bool> =
        encoded.origins.iter().map(|origin| origin.as_ref().is_some_and(|o| o.text == 1)).collect();
    let first = tokenizer.id(FIRST);
    let probabilities = |which: usize| {
        let counts = |i: usize| in_context[i] || Some(encoded.ids[i]) == first;
        let logit = |(i, row): (usize, &[f32])| if counts(i) { row[which] } else { f32::NEG_INFINITY };
        let logits: Vec<f32> = logits.chunks_exact(2).take(encoded.len()).enumerate().map(logit).collect();
        softmax(&logits)
    };
    let (starts, ends) = (probabilities(0), probabilities(1));
    let mut found: Option<Span> = None;
    for start in (0..starts.len()).filter(|&i| in_context[i]) {
        let last = (start + LONGEST).min(ends.len());
        for end in (start..last).filter(|&i| in_context[i]) {
            let score = starts[start] * ends[end];
            if found.as_ref().is_none_or(|best| score > best.score)
                && let (Some(first), Some(last)) = (encoded.word_chars(start), encoded.word_chars(end))
            {
                found = Some(Span { chars: first.start..last.end, score });
            }
        }
    }
    // Every context has tokens.
    found.unwrap_or(Span { chars: 0..0, score: 0.0 })
}
