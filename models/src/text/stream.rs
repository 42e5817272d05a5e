//! Tokens back to text, as they come.

use super::{Tokenizer, bytes};

/// What stands for bytes that are no text, and for tokens that the vocabulary lacks.
const UNKNOWN: char = char::REPLACEMENT_CHARACTER;

/// Turns tokens back into text one after the other. A character may have several tokens: it comes with the
/// last.
#[derive(Debug, Clone)]
pub struct Stream<'a> {
    tokenizer: &'a Tokenizer,
    /// The beginning of a character whose rest has not come.
    rest: Vec<u8>,
}

impl<'a> Stream<'a> {
    /// Before the first token.
    pub fn new(tokenizer: &'a Tokenizer) -> Self {
        Self { tokenizer, rest: Vec::new() }
    }

    /// The characters that a token completes. Bytes that cannot become one, and a token that the vocabulary
    /// lacks (a model's may be larger than the tokenizer's), are U+FFFD.
    pub fn push(&mut self, id: u32) -> String {
        let Some(token) = self.tokenizer.token(id) else {
            let mut text = self.finish();
            text.push(UNKNOWN);
            return text;
        };
        self.rest.extend(bytes::of_token(&token));
        let (mut text, mut rest) = (String::new(), Vec::new());
        let mut chunks = self.rest.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            text.push_str(chunk.valid());
            // What is wrong is at the end of a chunk. Only at the end of all may it still become right.
            match std::str::from_utf8(chunk.invalid()) {
                Ok(_) => {}
                Err(error) if error.error_len().is_none() && chunks.peek().is_none() => {
                    rest = chunk.invalid().to_vec();
                }
                Err(_) => text.push(UNKNOWN),
            }
        }
        self.rest = rest;
        text
    }

    /// What is left after the last token: U+FFFD for a character whose rest never came.
    pub fn finish(&mut self) -> String {
        let rest = std::mem::take(&mut self.rest);
        if rest.is_empty() { String::new() } else { UNKNOWN.to_string() }
    }
}

impl Tokenizer {
    /// The text of tokens: see [`Stream`].
    pub fn decode(&self, ids: &[u32]) -> String {
        let mut stream = Stream::new(self);
        let text: String = ids.iter().map(|&id| stream.push(id)).collect();
        text + &stream.finish()
    }
}
