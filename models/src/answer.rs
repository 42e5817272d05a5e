//! What a client makes of the numbers that it receives, as the pipelines of the transformers library do.

mod candidates;
mod scores;
mod span;
#[cfg(test)]
mod tests;
mod tokens;

use serde::Serialize;

pub use self::candidates::Candidate;
pub use self::tokens::Entity;
use crate::config::{Head, Scores};
use crate::input::Prepared;
use crate::text::Tokenizer;

/// An answer to one input. As JSON, it has the fields named here, and `logits` only of a classification.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// Of a sentence embedding.
    Embedding {
        /// The text.
        text: String,
        /// The embedding.
        embedding: Vec<f32>,
    },
    /// Of a classification.
    Label {
        /// The text.
        text: String,
        /// The second text of a pair.
        #[serde(skip_serializing_if = "Option::is_none")]
        text_pair: Option<String>,
        /// Name of the most likely class.
        label: String,
        /// Its probability; its logit in a regression.
        score: f32,
        /// Logits of all classes.
        logits: Vec<f32>,
    },
    /// Of a classification of tokens.
    Entities {
        /// The text.
        text: String,
        /// Every token whose most likely class is not `O`.
        entities: Vec<Entity>,
        /// Logits of all classes, token by token, with special tokens.
        #[serde(skip)]
        logits: Vec<f32>,
    },
    /// Of a question.
    Span {
        /// The question.
        question: String,
        /// Where the answer is looked for.
        context: String,
        /// The answer: a part of the context.
        answer: String,
        /// Probability of its start times that of its end.
        score: f32,
        /// Its first character in the context.
        start: usize,
        /// The character after its last.
        end: usize,
        /// Logits of start and end, token by token, with special tokens and the question.
        #[serde(skip)]
        logits: Vec<f32>,
    },
    /// Of masked tokens.
    Masks {
        /// The text.
        text: String,
        /// The most likely tokens for each mask, best first.
        masks: Vec<Vec<Candidate>>,
        /// Logits of the vocabulary, mask by mask.
        #[serde(skip)]
        logits: Vec<f32>,
    },
    /// Of a text that goes on.
    Next {
        /// The text.
        text: String,
        /// The most likely tokens after it, best first, as what they add to the text.
        next: Vec<Candidate>,
        /// Logits of the vocabulary.
        #[serde(skip)]
        logits: Vec<f32>,
    },
}

impl Answer {
    /// Reads a model's output for one input: its own rows, one after the other.
    pub fn read(head: &Head, tokenizer: &Tokenizer, prepared: &Prepared, output: &[f32]) -> Self {
        let Prepared { input, encoded, masks } = prepared;
        let (text, second) = (input.first().to_owned(), input.second().map(str::to_owned));
        let logits = output.to_vec();
        match head {
            Head::Embedding { .. } => Self::Embedding { text, embedding: logits },
            Head::Classification { labels, scores } => {
                let best = scores::best(output);
                let score = match scores {
                    Scores::Softmax => scores::softmax(output).get(best).copied(),
                    Scores::Sigmoid => output.get(best).map(|v| 1.0 / (1.0 + (-v).exp())),
                    Scores::Logit => output.get(best).copied(),
                };
                Self::Label {
                    text,
                    text_pair: second,
                    label: labels.get(best).cloned().unwrap_or_default(),
                    score: score.unwrap_or_default(),
                    logits,
                }
            }
            Head::TokenClassification { labels } => Self::Entities {
                entities: tokens::entities(labels, tokenizer, &text, encoded, output),
                text,
                logits,
            },
            Head::QuestionAnswering => {
                let context = second.unwrap_or_default();
                let found = span::best(tokenizer, encoded, output);
                Self::Span {
                    answer: crate::text::excerpt(&context, &found.chars),
                    question: text,
                    context,
                    score: found.score,
                    start: found.chars.start,
                    end: found.chars.end,
                    logits,
                }
            }
            Head::MaskedLm => {
                let rows = output.chunks_exact((output.len() / masks.len().max(1)).max(1)).take(masks.len());
                let masks = rows.map(|row| candidates::best(row, |id| tokenizer.token(id))).collect();
                Self::Masks { text, masks, logits }
            }
            Head::CausalLm => {
                let name = |id| tokenizer.token(id).map(|_| tokenizer.decode(&[id]));
                Self::Next { text, next: candidates::best(output, name), logits }
            }
        }
    }

    /// The numbers that the model gave.
    pub fn values(&self) -> &[f32] {
        match self {
            Self::Embedding { embedding, .. } => embedding,
            Self::Label { logits, .. }
            | Self::Entities { logits, .. }
            | Self::Span { logits, .. }
            | Self::Masks { logits, .. }
            | Self::Next { logits, .. } => logits,
        }
    }
}
