//! A small WordPiece vocabulary: every ASCII text has tokens in it.

use serde_json::{Map, Value, json};

use crate::synthetic::words::WORDS;

/// In BERT's usual order, though not at its usual ids.
const SPECIAL: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

const PUNCTUATION: &str = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";

/// Word ends, so that not everything is spelt.
const ENDS: &str = "ing ed er ly es ness ment tion able ful less est al ive ous ion";

/// The tokens that there are in a vocabulary of any size.
fn base() -> Vec<String> {
    let letters = || ('a'..='z').chain('0'..='9');
    let mut tokens: Vec<String> = SPECIAL.iter().map(|&token| token.to_owned()).collect();
    tokens.extend(letters().map(String::from));
    tokens.extend(letters().map(|letter| format!("##{letter}")));
    tokens.extend(PUNCTUATION.chars().map(String::from));
    tokens
}

/// The least size of a vocabulary.
pub(super) fn least() -> usize {
    base().len()
}

/// `tokenizer.json` with exactly `size` tokens: letters, then words, then `[unused…]`.
pub(super) fn tokenizer(size: usize) -> Option<Value> {
    let mut tokens = base();
    if tokens.len() > size {
        return None;
    }
    let ends = ENDS.split_whitespace().map(|end| format!("##{end}"));
    for token in ends.chain(WORDS.split_whitespace().map(str::to_owned)) {
        if tokens.len() < size && !tokens.contains(&token) {
            tokens.push(token);
        }
    }
    let unused = size - tokens.len();
    tokens.extend((0..unused).map(|number| format!("[unused{number}]")));

    let id = |wanted: &str| SPECIAL.iter().position(|&token| token == wanted);
    let added: Vec<_> = SPECIAL
        .iter()
        .enumerate()
        .map(|(id, token)| {
            json!({
                "id": id, "content": token, "special": true,
                "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
            })
        })
        .collect();
    let special =
        |token: &str, type_id: usize| json!({ "SpecialToken": { "id": token, "type_id": type_id } });
    let sequence = |name: &str, type_id: usize| json!({ "Sequence": { "id": name, "type_id": type_id } });
    let template = |token: &str| json!({ "id": token, "ids": [id(token)], "tokens": [token] });
    let vocab: Map<String, Value> =
        tokens.into_iter().zip(0_u32..).map(|(token, id)| (token, id.into())).collect();
    Some(json!({
        "version": "1.0",
        // Real files come with both of these set, so readers have to cope.
        "truncation": { "direction": "Right", "max_length": 16, "strategy": "LongestFirst", "stride": 0 },
        "padding": {
            "strategy": { "Fixed": 16 }, "direction": "Right", "pad_to_multiple_of": null,
            "pad_id": id("[PAD]"), "pad_type_id": 0, "pad_token": "[PAD]",
        },
        "added_tokens": added,
        "normalizer": {
            "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": null, "lowercase": true,
        },
        "pre_tokenizer": { "type": "BertPreTokenizer" },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [special("[CLS]", 0), sequence("A", 0), special("[SEP]", 0)],
            "pair": [
                special("[CLS]", 0), sequence("A", 0), special("[SEP]", 0),
                sequence("B", 1), special("[SEP]", 1),
            ],
            "special_tokens": { "[CLS]": template("[CLS]"), "[SEP]": template("[SEP]") },
        },
        "decoder": { "type": "WordPiece", "prefix": "##", "cleanup": true },
        "model": {
            "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocab,
        },
    }))
}
