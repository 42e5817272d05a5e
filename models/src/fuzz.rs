//! Broken checkpoints of all kinds: whatever is in the files, the answer is a result.

use std::fs;
use std::path::Path;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::checkpoint::Checkpoint;
use crate::config::{BertConfig, Gpt2Config, ModelConfig};
use crate::embeddings::Gpt2Embeddings;
use crate::synthetic::{Synthetic, SyntheticGpt2, SyntheticHead};
use crate::text::{Encoded, Tokenizer};

/// Reads everything there is in a checkpoint, and says whether it was good.
fn read(dir: &Path) -> bool {
    let config = ModelConfig::open(dir);
    let checkpoint = Checkpoint::open(dir);
    let tokenizer = Tokenizer::open(dir);
    let (Ok(config), Ok(checkpoint), Ok(tokenizer)) = (config, checkpoint, tokenizer) else { return false };
    let head = config.detect_head(&checkpoint).is_ok();
    let names: Vec<_> = checkpoint.names().map(str::to_owned).collect();
    let tensors = names.iter().all(|name| {
        let shape = checkpoint.shape(name).unwrap().to_vec();
        checkpoint.tensor(name, &shape).is_ok()
    });
    let text = tokenizer.for_model(&config).is_ok_and(|tokenizer| {
        let (text, most) = ("The cat, unfathomably: 42!", 12);
        let fits = |encoded: Encoded| {
            assert!(encoded.len() <= most);
            assert!(encoded.ids.iter().all(|&id| (id as usize) < config.vocab_size()));
            encoded
        };
        match &config {
            ModelConfig::Bert(_) => {
                tokenizer.encode(text, most).map(fits).is_ok()
                    && tokenizer.encode_pair("the cat", "a dog", 9).is_ok()
            }
            ModelConfig::Gpt2(config) => tokenizer.encode_plain(text, most).map(fits).is_ok_and(|encoded| {
                assert!(!tokenizer.decode(&encoded.ids).is_empty());
                let tables = Gpt2Embeddings::open(&checkpoint, config);
                tables.is_ok_and(|tables| tables.rows(&encoded.ids, 0).is_ok())
            }),
        }
    });
    head && tensors && text
}

/// A value somewhere in a document.
fn pick<'a>(value: &'a mut Value, rng: &mut StdRng) -> &'a mut Value {
    let children = match value {
        Value::Object(map) => map.len(),
        Value::Array(list) => list.len(),
        _ => 0,
    };
    if children == 0 || rng.random_ratio(1, 6) {
        return value;
    }
    let child = rng.random_range(0..children);
    match value {
        Value::Object(map) => pick(map.values_mut().nth(child).unwrap(), rng),
        Value::Array(list) => pick(&mut list[child], rng),
        _ => unreachable!(),
    }
}

fn change_value(content: &[u8], rng: &mut StdRng) -> Vec<u8> {
    let mut document: Value = serde_json::from_slice(content).unwrap();
    let replacements = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(7),
        json!(u32::MAX),
        json!(u64::MAX),
        json!(1e300),
        json!(""),
        json!("[SEP]"),
        json!("BertNormalizer"),
        json!([]),
        json!({}),
        json!([[0, 1]]),
        json!({ "type": "WordPiece" }),
    ];
    let replacement = replacements[rng.random_range(0..replacements.len())].clone();
    *pick(&mut document, rng) = replacement;
    document.to_string().into_bytes()
}

fn change_bytes(content: &[u8], rng: &mut StdRng) -> Vec<u8> {
    let mut content = content.to_vec();
    // The start is where headers are, so it gets its part.
    let end = if rng.random() { content.len() } else { content.len().min(200) };
    match rng.random_range(0..3) {
        0 => content.truncate(rng.random_range(0..end)),
        1 => content[rng.random_range(0..end)] = rng.random(),
        _ => content[rng.random_range(0..end)] ^= 1 << rng.random_range(0..8_u32),
    }
    content
}

/// Breaks a good checkpoint of two shards in many ways, and reads it each time.
fn break_in_many_ways(dir: &Path, json: &[&str]) {
    assert!(read(dir));
    let mut rng = StdRng::seed_from_u64(1);
    let mut refused = 0;
    for name in json.iter().copied().chain(["model-00001-of-00002.safetensors"]) {
        let path = dir.join(name);
        let good = fs::read(&path).unwrap();
        let rounds: u32 = std::env::var("DITTO_FUZZ_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(150);
        for _ in 0..rounds {
            let by_value = name.ends_with(".json") && rng.random();
            let change = if by_value { change_value } else { change_bytes };
            fs::write(&path, change(&good, &mut rng)).unwrap();
            refused += u32::from(!read(dir));
        }
        fs::write(&path, good).unwrap();
    }
    assert!(read(dir));
    assert!(refused > 100, "only {refused} were refused");
}

#[test]
fn never_panics_on_broken_files_of_a_bert() {
    let dir = TempDir::new().unwrap();
    let config = BertConfig { vocab_size: 130, hidden_size: 4, intermediate_size: 4, ..BertConfig::tiny() };
    Synthetic { shards: 2, ..Synthetic::new(config, SyntheticHead::Embedding, 1) }.write(dir.path()).unwrap();
    let pooling = ["modules.json", "1_Pooling/config.json"];
    let files = ["config.json", "tokenizer.json", "model.safetensors.index.json"];
    break_in_many_ways(dir.path(), &[&files[..], &pooling].concat());
}

#[test]
fn never_panics_on_broken_files_of_a_gpt2() {
    let dir = TempDir::new().unwrap();
    let config = Gpt2Config { vocab_size: 270, n_embd: 4, n_head: 2, n_positions: 16, ..Gpt2Config::tiny() };
    let config = Gpt2Config { bos_token_id: None, eos_token_id: Some(269), ..config };
    let spec = SyntheticGpt2 { shards: 2, buffers: true, ..SyntheticGpt2::new(config, 1) };
    spec.write(dir.path()).unwrap();
    break_in_many_ways(dir.path(), &["config.json", "tokenizer.json", "model.safetensors.index.json"]);
}
