//! The real checkpoint that `scripts/fetch-minilm.sh` fetches. Where it was not fetched, these tests
//! pass without having looked at anything, and say so.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use ditto_models::checkpoint::Checkpoint;
use ditto_models::config::{BertConfig, Head};
use ditto_models::text::Tokenizer;
use serde_json::Value;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn fetched() -> Option<PathBuf> {
    let dir = root().join("checkpoints/all-MiniLM-L6-v2");
    if !dir.join("model.safetensors").exists() {
        eprintln!("skipped: all-MiniLM-L6-v2 is not there, see scripts/fetch-minilm.sh");
        return None;
    }
    Some(dir)
}

#[test]
fn opens_the_real_checkpoint() {
    let Some(dir) = fetched() else { return };
    let config = BertConfig::open(&dir).unwrap();
    assert_eq!((config.hidden_size, config.num_hidden_layers, config.head_size()), (384, 6, 32));
    let checkpoint = Checkpoint::open(&dir).unwrap();
    let head = Head::detect(&config, &checkpoint).unwrap();
    assert_eq!(head, Head::Embedding { normalize: true, max_tokens: Some(256) });

    let bert = checkpoint.prefix(&["bert"]);
    assert_eq!(bert.prefix(), "");
    let words = bert.tensor("embeddings.word_embeddings.weight", &[30522, 384]).unwrap();
    assert_eq!(words.len(), 30522 * 384);
    // All but the position ids, which are whole numbers.
    for name in checkpoint.names().filter(|name| *name != "embeddings.position_ids") {
        checkpoint.tensor(name, checkpoint.shape(name).unwrap()).unwrap();
    }
    assert_eq!(checkpoint.names().count(), 104);
}

#[test]
fn finds_the_tokens_that_python_finds() {
    let Some(dir) = fetched() else { return };
    let tokenizer = Tokenizer::open(&dir).unwrap().for_model(&BertConfig::open(&dir).unwrap()).unwrap();
    let golden = fs::read(root().join("tests/data/minilm_golden.json")).unwrap();
    let golden: Vec<Value> = serde_json::from_slice(&golden).unwrap();
    let sentences = fs::read_to_string(root().join("tests/data/minilm_sentences.txt")).unwrap();
    assert_eq!(golden.len(), sentences.lines().count());
    for (entry, sentence) in golden.iter().zip(sentences.lines()) {
        assert_eq!(entry["text"], sentence);
        let encoded = tokenizer.encode(sentence, 512).unwrap();
        assert_eq!(entry["ids"], Value::from(encoded.ids), "{sentence}");
        assert!(encoded.type_ids.iter().all(|&type_id| type_id == 0));
    }
    let extra = fs::read_to_string(root().join("tests/data/sentences_extra.txt")).unwrap();
    for sentence in extra.lines() {
        assert!(!tokenizer.encode(sentence, 512).unwrap().truncated);
    }
}
