//! A small byte-level BPE vocabulary: every text has tokens in it, and comes back from them as it was.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use crate::synthetic::words::WORDS;
use crate::text::bytes::SYMBOLS;

/// The end of a text, the only special token. As in GPT-2 it is the last of the vocabulary.
const END: &str = "<|endoftext|>";

/// The least size of a vocabulary: all bytes, and the end.
pub(super) const LEAST: usize = SYMBOLS.len() + 1;

/// Tokens in order, and the pairs of earlier ones that they are merged of.
struct Vocabulary {
    tokens: Vec<String>,
    merges: Vec<String>,
    known: HashSet<String>,
    size: usize,
}

impl Vocabulary {
    /// All bytes, in GPT-2's order.
    fn new(size: usize) -> Self {
        let mut symbols = SYMBOLS;
        symbols.sort_unstable();
        let tokens: Vec<String> = symbols.map(String::from).to_vec();
        Self { known: tokens.iter().cloned().collect(), tokens, merges: Vec::new(), size }
    }

    fn is_full(&self) -> bool {
        self.tokens.len() == self.size
    }

    /// Adds the merge of two tokens, unless there is such a token or no place for another.
    fn merge(&mut self, first: &str, second: &str) {
        let merged = format!("{first}{second}");
        if !self.is_full() && self.known.insert(merged.clone()) {
            self.tokens.push(merged);
            self.merges.push(format!("{first} {second}"));
        }
    }

    /// Adds a word with the space before it, and all that it begins with.
    fn word(&mut self, word: &str) {
        let spaced: String = std::iter::once(space()).chain(word.chars()).collect();
        for (end, letter) in spaced.char_indices().skip(1) {
            self.merge(&spaced[..end], letter.encode_utf8(&mut [0; 4]));
        }
    }
}

/// What a space is in disguise.
fn space() -> char {
    SYMBOLS[usize::from(b' ')]
}

/// `tokenizer.json` with exactly `size` tokens: bytes, frequent words with a space before them, pairs of
/// letters, pairs of these, and then `<|unused…|>`.
pub(super) fn tokenizer(size: usize) -> Option<Value> {
    let mut all = Vocabulary::new(size.checked_sub(1).filter(|&most| most >= SYMBOLS.len())?);
    WORDS.split_whitespace().for_each(|word| all.word(word));
    let letters = || ('a'..='z').map(String::from);
    let starts: Vec<String> = std::iter::once(space().to_string()).chain(letters()).collect();
    let pairs: Vec<[String; 2]> =
        starts.iter().flat_map(|a| letters().map(move |b| [a.clone(), b])).collect();
    pairs.iter().for_each(|[a, b]| all.merge(a, b));
    for [a, b] in &pairs {
        // A space is only ever at the front.
        for [c, d] in pairs.iter().filter(|[c, _]| *c != starts[0]) {
            if !all.is_full() {
                all.merge(&format!("{a}{b}"), &format!("{c}{d}"));
            }
        }
    }
    let unused = all.size - all.tokens.len();
    all.tokens.extend((0..unused).map(|number| format!("<|unused{number}|>")));
    let end = all.tokens.len();
    all.tokens.push(END.to_owned());
    let vocab: Map<String, Value> =
        all.tokens.into_iter().zip(0_u32..).map(|(token, id)| (token, id.into())).collect();
    Some(json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [{
            "id": end, "content": END, "special": true,
            "single_word": false, "lstrip": false, "rstrip": false, "normalized": true,
        }],
        "normalizer": null,
        "pre_tokenizer": { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true },
        "post_processor": { "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false },
        "decoder": { "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true },
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "",
            "end_of_word_suffix": "", "fuse_unk": false, "vocab": vocab, "merges": all.merges,
        },
    }))
}
