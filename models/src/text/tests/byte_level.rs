//! The byte-level vocabulary of a GPT-2.

use serde_json::json;
use tempfile::TempDir;

use super::change;
use crate::config::Gpt2Config;
use crate::synthetic::SyntheticGpt2;
use crate::text::{Stream, TextError, Tokenizer};

const TEXTS: [&str; 6] = [
    "The cat sat on the mat.",
    "  two spaces,\ttab\nand a new line \r\n",
    "naïve café — “quotes”",
    "日本語のテキスト",
    "👩‍👩‍👧 family, 🎉",
    "\u{0}\u{7f}\u{ad}\u{ffff}",
];

fn checkpoint(config: Gpt2Config) -> TempDir {
    let dir = TempDir::new().unwrap();
    SyntheticGpt2::new(config, 1).write(dir.path()).unwrap();
    dir
}

fn tokenizer(config: &Gpt2Config) -> Tokenizer {
    let dir = checkpoint(config.clone());
    Tokenizer::open(dir.path()).unwrap().for_model(config).unwrap().for_generation().unwrap()
}

#[test]
fn texts_come_back_as_they_were() {
    for vocab_size in [257, 320, 2000] {
        let config = Gpt2Config { vocab_size, bos_token_id: None, eos_token_id: None, ..Gpt2Config::tiny() };
        let tokenizer = tokenizer(&config);
        for text in TEXTS {
            let encoded = tokenizer.encode_whole(text, usize::MAX).unwrap();
            assert_eq!(tokenizer.decode(&encoded.ids), text);
            assert!(!encoded.truncated);
        }
    }
}

#[test]
fn words_are_merged_and_nothing_is_added() {
    let tokenizer = tokenizer(&Gpt2Config::tiny());
    let ids = tokenizer.encode_plain("to the end", 64).unwrap().ids;
    let tokens: Vec<_> = ids.iter().map(|&id| tokenizer.token(id).unwrap()).collect();
    assert_eq!(tokens[..3], ["t", "o", "Ġthe"]);
    assert_eq!(tokenizer.encode_plain("!<|endoftext|>", 64).unwrap().ids, [0, 319]);
    assert_eq!(tokenizer.decode(&[0, 319]), "!<|endoftext|>");
}

#[test]
fn a_stream_gives_whole_characters_only() {
    let tokenizer = tokenizer(&Gpt2Config::tiny());
    for text in TEXTS {
        let mut stream = Stream::new(&tokenizer);
        let parts: Vec<String> =
            tokenizer.encode_plain(text, 64).unwrap().ids.iter().map(|&id| stream.push(id)).collect();
        assert_eq!(parts.concat(), text);
        assert!(!parts.iter().any(|part| part.contains('\u{fffd}')), "{parts:?}");
        assert_eq!(stream.finish(), "");
    }
    // Three bytes a character: nothing, nothing, all.
    let mut stream = Stream::new(&tokenizer);
    let ids = tokenizer.encode_plain("語", 64).unwrap().ids;
    let parts: Vec<String> = ids.iter().map(|&id| stream.push(id)).collect();
    assert_eq!(parts, ["", "", "語"]);
}

#[test]
fn broken_characters_and_unknown_tokens_have_a_placeholder() {
    let tokenizer = tokenizer(&Gpt2Config::tiny());
    let ids = tokenizer.encode_plain("語!", 64).unwrap().ids;
    let [first, second, third, mark] = ids[..] else { panic!("{ids:?}") };
    // A character that is not finished is one placeholder, at the latest at the end.
    assert_eq!(tokenizer.decode(&[first, second, mark]), "\u{fffd}!");
    assert_eq!(tokenizer.decode(&[mark, first, second]), "!\u{fffd}");
    assert_eq!(tokenizer.decode(&[third, mark]), "\u{fffd}!");
    assert_eq!(tokenizer.decode(&[first, first, second, third]), "\u{fffd}語");
    for unknown in [320, 50_000, u32::MAX] {
        assert_eq!(tokenizer.decode(&[mark, unknown, mark]), "!\u{fffd}!");
        assert_eq!(tokenizer.decode(&[first, unknown]), "\u{fffd}\u{fffd}");
    }
    assert_eq!(tokenizer.decode(&[]), "");
}

#[test]
fn prompts_are_never_cut_off() {
    let tokenizer = tokenizer(&Gpt2Config::tiny());
    let long = "!".repeat(65);
    let ids = |limit| tokenizer.encode_whole(&long[..limit], usize::MAX).map(|encoded| encoded.ids.len());
    assert_eq!(ids(64).unwrap(), 64);
    assert!(matches!(ids(65), Err(TextError::TooLong { tokens: 65, max_tokens: 64 })));
    let short = tokenizer.encode_whole("!!!", 2);
    assert!(matches!(short, Err(TextError::TooLong { tokens: 3, max_tokens: 2 })), "{short:?}");
    assert!(matches!(tokenizer.encode_whole("", 9), Err(TextError::NoTokens { .. })));
    // Elsewhere they are, and it is said.
    let cut = tokenizer.encode_plain(&long, 100).unwrap();
    assert_eq!((cut.len(), cut.truncated), (64, true));
    assert!(matches!(tokenizer.encode_plain("!", 0), Err(TextError::LimitTooSmall { special: 0, .. })));
}

#[test]
fn other_decoders_are_refused_for_generation_only() {
    for decoder in [json!(null), json!(17), json!({}), json!({ "type": "Metaspace" })] {
        let dir = checkpoint(Gpt2Config::tiny());
        change(dir.path(), |value| value["decoder"] = decoder.clone());
        let tokenizer = Tokenizer::open(dir.path()).unwrap();
        assert!(tokenizer.encode_plain("cat", 9).is_ok());
        let refused = tokenizer.for_generation();
        assert!(matches!(refused, Err(TextError::NotByteLevel { .. })), "{decoder}");
    }
}
