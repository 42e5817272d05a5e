mod byte_level;

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{TextError, Tokenizer};
use crate::config::BertConfig;
use crate::synthetic::{Synthetic, SyntheticHead};

const CLS: u32 = 2;
const SEP: u32 = 3;

fn checkpoint() -> TempDir {
    let dir = TempDir::new().unwrap();
    Synthetic::new(BertConfig::tiny(), SyntheticHead::Embedding, 1).write(dir.path()).unwrap();
    dir
}

fn tokenizer() -> Tokenizer {
    Tokenizer::open(checkpoint().path()).unwrap().for_model(&BertConfig::tiny()).unwrap()
}

fn change(dir: &Path, change: impl Fn(&mut Value)) {
    let file = dir.join("tokenizer.json");
    let mut value: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    change(&mut value);
    fs::write(file, value.to_string()).unwrap();
}

#[test]
fn can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Tokenizer>();
    shared::<crate::checkpoint::Checkpoint>();
}

#[test]
fn encodes_words_and_letters() {
    let tokenizer = tokenizer();
    let encoded = tokenizer.encode("The dog's WATERS, 42!", 64).unwrap();
    let tokens: Vec<_> = encoded.ids.iter().map(|&id| tokenizer.token(id).unwrap()).collect();
    assert_eq!(tokens, ["[CLS]", "the", "dog", "'", "s", "water", "##s", ",", "4", "##2", "!", "[SEP]"]);
    assert_eq!(encoded.type_ids, [0; 12]);
    assert_eq!((encoded.len(), encoded.is_empty(), encoded.truncated), (12, false, false));
    assert_eq!(tokenizer.id("[PAD]"), Some(0));
    assert_eq!(tokenizer.id("nowhere"), None);
}

#[test]
fn ignores_the_files_own_padding_and_length() {
    // The synthetic file asks for padding to 16 tokens, and for truncation to as many.
    let tokenizer = tokenizer();
    assert_eq!(tokenizer.encode("cat", 64).unwrap().ids.len(), 3);
    assert_eq!(tokenizer.encode(&"cat ".repeat(30), 64).unwrap().ids.len(), 32);
}

#[test]
fn truncates_and_keeps_the_separator() {
    let tokenizer = tokenizer();
    let long = "cat dog ".repeat(100);
    for (limit, length) in [(3, 3), (10, 10), (64, 64), (65, 64), (usize::MAX, 64)] {
        let encoded = tokenizer.encode(&long, limit).unwrap();
        assert_eq!(encoded.len(), length);
        assert!(encoded.truncated);
        assert_eq!(encoded.ids[0], CLS);
        assert_eq!(encoded.ids[1], tokenizer.id("cat").unwrap());
        assert_eq!(encoded.ids[length - 1], SEP);
    }
    assert!(!tokenizer.encode("cat", 3).unwrap().truncated);
    for limit in 0..3 {
        let error = tokenizer.encode("cat", limit).unwrap_err();
        assert!(matches!(error, TextError::LimitTooSmall { special: 2, .. }), "{error}");
    }
}

#[test]
fn truncates_at_the_end_that_the_file_says() {
    let dir = checkpoint();
    change(dir.path(), |value| value["truncation"]["direction"] = json!("Left"));
    let tokenizer = Tokenizer::open(dir.path()).unwrap();
    let encoded = tokenizer.encode("cat dog", 3).unwrap();
    assert_eq!(encoded.ids, [CLS, tokenizer.id("dog").unwrap(), SEP]);
}

#[test]
fn encodes_pairs() {
    let tokenizer = tokenizer();
    let (cat, dog) = (tokenizer.id("cat").unwrap(), tokenizer.id("dog").unwrap());
    let encoded = tokenizer.encode_pair("cat", "dog dog", 64).unwrap();
    assert_eq!(encoded.ids, [CLS, cat, SEP, dog, dog, SEP]);
    assert_eq!(encoded.type_ids, [0, 0, 0, 1, 1, 1]);
    let encoded = tokenizer.encode_pair("cat", &"dog ".repeat(100), 7).unwrap();
    assert_eq!(encoded.ids, [CLS, cat, SEP, dog, dog, dog, SEP]);
    assert!(encoded.truncated);
    let encoded = tokenizer.encode_pair(&"cat ".repeat(100), &"dog ".repeat(90), 5).unwrap();
    assert_eq!(encoded.ids, [CLS, cat, SEP, dog, SEP]);
    assert!(matches!(tokenizer.encode_pair("cat", "dog", 4), Err(TextError::LimitTooSmall { .. })));
    assert!(matches!(tokenizer.encode_pair("cat", " ", 9), Err(TextError::NoTokens { .. })));
}

#[test]
fn cuts_off_the_context_and_never_the_question() {
    let tokenizer = tokenizer();
    let (cat, dog) = (tokenizer.id("cat").unwrap(), tokenizer.id("dog").unwrap());
    let encoded = tokenizer.encode_question("cat cat cat", &"dog ".repeat(9), 8).unwrap();
    assert_eq!(encoded.ids, [CLS, cat, cat, cat, SEP, dog, dog, SEP]);
    assert!(encoded.truncated);
    let error = tokenizer.encode_question("cat cat cat", "dog", 6).unwrap_err();
    assert!(matches!(error, TextError::QuestionTooLong { tokens: 3, max_tokens: 6 }), "{error}");
    assert!(!tokenizer.encode_question("cat cat cat", "dog", 7).unwrap().truncated);
}

#[test]
fn knows_where_tokens_come_from() {
    let tokenizer = tokenizer();
    // Characters, not bytes: each accented letter has two of these.
    let encoded = tokenizer.encode_pair("éé dogs", "[MASK] in a", 64).unwrap();
    let tokens: Vec<_> = encoded.ids.iter().map(|&id| tokenizer.token(id).unwrap()).collect();
    assert_eq!(tokens, ["[CLS]", "e", "##e", "dog", "##s", "[SEP]", "[MASK]", "in", "a", "[SEP]"]);
    let at = |i: usize| encoded.origins[i].as_ref().map(|o| (o.text, o.chars.clone()));
    let expected = [(0, 0..1), (0, 1..2), (0, 3..6), (0, 6..7)].map(Some);
    assert_eq!([at(1), at(2), at(3), at(4)], expected);
    assert_eq!((at(0), at(5), at(9)), (None, None, None));
    assert_eq!((at(6), at(8)), (Some((1, 0..6)), Some((1, 10..11))));
    assert_eq!((encoded.word_chars(1), encoded.word_chars(4)), (Some(0..2), Some(3..7)));
    assert_eq!((encoded.word_chars(8), encoded.word_chars(0)), (Some(10..11), None));
    assert_eq!(encoded.places(tokenizer.id("[MASK]").unwrap()), [6]);
    assert_eq!(super::excerpt("éé dogs", &(1..5)), "é do");
}

#[test]
fn refuses_texts_without_tokens_and_endless_ones() {
    let tokenizer = tokenizer();
    for text in ["", "   ", "\n\t", "\0\u{7}", "\u{a0}"] {
        assert!(matches!(tokenizer.encode(text, 64), Err(TextError::NoTokens { .. })), "{text:?}");
    }
    let blank = tokenizer.encode(&" ".repeat(1 << 20), 64).unwrap_err().to_string();
    assert!(blank.len() < 100);
    let long = "a".repeat((1 << 20) + 1);
    assert!(matches!(tokenizer.encode(&long, 64), Err(TextError::TextTooLong { .. })));
    // One endless word is one unknown token.
    assert_eq!(tokenizer.encode(&long[1..], 64).unwrap().ids, [CLS, 1, SEP]);
}

#[test]
fn refuses_tokens_and_types_that_the_model_lacks() {
    let dir = checkpoint();
    let small = BertConfig { vocab_size: 319, ..BertConfig::tiny() };
    let error = Tokenizer::open(dir.path()).unwrap().for_model(&small).unwrap_err().to_string();
    assert!(error.contains("has id 319, but config.json has vocab_size 319"), "{error}");
    let one_type = BertConfig { type_vocab_size: 1, ..BertConfig::tiny() };
    let tokenizer = Tokenizer::open(dir.path()).unwrap().for_model(&one_type).unwrap();
    assert!(tokenizer.encode("cat", 64).is_ok());
    assert!(matches!(tokenizer.encode_pair("cat", "dog", 64), Err(TextError::TokenType { type_id: 1, .. })));
}

#[test]
fn refuses_templates_that_the_model_cannot_take() {
    let encode = |template: &dyn Fn(&mut Value)| {
        let dir = checkpoint();
        change(dir.path(), |value| template(&mut value["post_processor"]));
        let tokenizer = Tokenizer::open(dir.path()).unwrap().for_model(&BertConfig::tiny()).unwrap();
        tokenizer.encode("cat dog cat dog cat dog cat dog", 8)
    };
    assert_eq!(encode(&|_| ()).unwrap().len(), 8);
    let foreign = encode(&|template| template["special_tokens"]["[SEP]"]["ids"] = json!([320]));
    assert!(matches!(foreign, Err(TextError::Vocabulary { id: 320, .. })), "{foreign:?}");
    let typed = encode(&|template| template["single"][2]["SpecialToken"]["type_id"] = json!(2));
    assert!(matches!(typed, Err(TextError::TokenType { type_id: 2, .. })), "{typed:?}");
    let twice = encode(&|template| {
        let text = template["single"][1].clone();
        template["single"].as_array_mut().unwrap().push(text);
    });
    assert!(matches!(twice, Err(TextError::TooManyTokens { tokens: 14, .. })), "{twice:?}");
}

#[test]
fn survives_panics_of_the_library() {
    let dir = checkpoint();
    change(dir.path(), |value| value["post_processor"]["special_tokens"] = json!({ "[CLS]": null }));
    let malformed = Tokenizer::open(dir.path());
    assert!(matches!(malformed, Err(TextError::Malformed { .. })), "{malformed:?}");

    let dir = checkpoint();
    change(dir.path(), |value| value["post_processor"]["special_tokens"] = json!({}));
    let tokenizer = Tokenizer::open(dir.path()).unwrap();
    let failed = tokenizer.encode("cat", 64);
    assert!(matches!(failed, Err(TextError::Encode { .. })), "{failed:?}");

    // What turns tokens back into text is not read at all.
    let dir = checkpoint();
    change(dir.path(), |value| value["decoder"] = json!(17));
    assert!(Tokenizer::open(dir.path()).unwrap().encode("cat", 64).is_ok());
}

#[test]
fn copes_without_a_post_processor() {
    let dir = checkpoint();
    change(dir.path(), |value| value["post_processor"] = Value::Null);
    let tokenizer = Tokenizer::open(dir.path()).unwrap();
    assert_eq!(tokenizer.encode("cat dog cat", 2).unwrap().len(), 2);
    assert!(matches!(tokenizer.encode("cat", 0), Err(TextError::LimitTooSmall { special: 0, .. })));
}

#[test]
fn refuses_bad_files() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("tokenizer.json");
    assert!(matches!(Tokenizer::open(dir.path()), Err(TextError::Io { .. })));
    for malformed in ["", "{}", "[]", "{\"model\": {\"type\": \"Oracle\"}}"] {
        fs::write(&file, malformed).unwrap();
        assert!(matches!(Tokenizer::open(dir.path()), Err(TextError::Malformed { .. })));
    }
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    assert!(matches!(Tokenizer::open(dir.path()), Err(TextError::NotAFile { .. })));
    // A file that is large, but takes no place on the disk.
    fs::remove_dir(&file).unwrap();
    fs::File::create(&file).unwrap().set_len((128 << 20) + 1).unwrap();
    assert!(matches!(Tokenizer::open(dir.path()), Err(TextError::TooLarge { .. })));
}
