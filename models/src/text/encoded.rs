//! A text as the model takes it.

use std::ops::Range;

use tokenizers::Encoding;

/// A text, or a pair of texts, as the model takes it: with `[CLS]` and `[SEP]`, without padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// The ids of the tokens.
    pub ids: Vec<u32>,
    /// The types of the tokens: 0, or 1 in the second of two texts.
    pub type_ids: Vec<u32>,
    /// Where the tokens come from; `None` for special tokens that no text has.
    pub origins: Vec<Option<Origin>>,
    /// Whether tokens were cut off.
    pub truncated: bool,
}

/// Where a token comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The text: 0, or 1 for the second of two.
    pub text: usize,
    /// The word in this text, if the tokenizer splits into words.
    pub word: Option<u32>,
    /// The characters (not bytes) of this text.
    pub chars: Range<usize>,
}

/// Above every character of a text: what the offsets of a second text are raised by. The library tells the texts of a
/// pair apart only if it tokenizes them together, which would leave no room to truncate in between.
const SECOND: usize = 1 << 32;

/// Marks a second text's tokens, before special tokens are added.
pub(super) fn mark_second(encoding: &mut Encoding) {
    encoding.get_offsets_mut().iter_mut().for_each(|(start, end)| {
        *start += SECOND;
        *end += SECOND;
    });
}

impl Encoded {
    pub(super) fn new(encoding: &Encoding, truncated: bool) -> Self {
        let (words, special) = (encoding.get_word_ids(), encoding.get_special_tokens_mask());
        let origin = |(i, &(start, end)): (usize, &(usize, usize))| {
            let chars = start % SECOND..end % SECOND;
            let word = words.get(i).copied().flatten();
            (special.get(i) != Some(&1)).then_some(Origin { text: start / SECOND, word, chars })
        };
        let origins = encoding.get_offsets().iter().enumerate().map(origin);
        Self {
            ids: encoding.get_ids().to_vec(),
            type_ids: encoding.get_type_ids().to_vec(),
            origins: origins.collect(),
            truncated,
        }
    }

    /// The number of tokens.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are no tokens, which [`Tokenizer::encode`](super::Tokenizer::encode) never returns.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The places of a token.
    pub fn places(&self, id: u32) -> Vec<usize> {
        (0..self.len()).filter(|&i| self.ids[i] == id).collect()
    }

    /// The characters of the word that a token is in; its own where the tokenizer does not split into words.
    pub fn word_chars(&self, token: usize) -> Option<Range<usize>> {
        let origin = self.origins.get(token)?.as_ref()?;
        let same = |other: &&Origin| other.text == origin.text && other.word == origin.word;
        let parts = self.origins.iter().flatten().filter(same).map(|other| &other.chars);
        match origin.word {
            None => Some(origin.chars.clone()),
            Some(_) => parts.cloned().reduce(|word, part| word.start.min(part.start)..word.end.max(part.end)),
        }
    }
}

/// The text between two characters.
pub fn excerpt(text: &str, chars: &Range<usize>) -> String {
    text.chars().skip(chars.start).take(chars.len()).collect()
}
