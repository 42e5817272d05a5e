//! The real checkpoint that `scripts/fetch-minilm.sh` fetches. Where it was not fetched, these tests
//! pass without having looked at anything, and say so.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use ditto_core::net::Limits;
use ditto_core::prg::Randomness;
use ditto_core::session::{SecureModel, simulate};
use ditto_models::answer::Answer;
use ditto_models::checkpoint::Checkpoint;
use ditto_models::config::{BertConfig, Head};
use ditto_models::model::{Request, Visit};
use ditto_models::plan::Plan;
use ditto_models::run::{Launch, Task, run_private};
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

/// Cosine of every private answer with its float reference, for the first so many sentences.
fn cosines(plan: Plan, sentences: usize) -> Option<Vec<f64>> {
    let dir = fetched()?;
    let texts = fs::read_to_string(root().join("tests/data/minilm_sentences.txt")).unwrap();
    let texts: Vec<String> = texts.lines().map(str::to_owned).collect();
    assert_eq!(texts.len(), 20);
    let task = Task::open(&dir, plan, texts.into_iter().take(sentences)).unwrap().batched(5).unwrap();
    let private =
        run_private(&task, &Launch::Threads, Limits::default(), Randomness::system(), &|_| ()).unwrap();
    assert_eq!(private.counted, private.metered);
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(x * y)).sum::<f64>();
    let pairs = private.answers.iter().zip(task.reference().unwrap());
    let cosine = |(a, b): (&Answer, Answer)| {
        let (a, b) = (a.values(), b.values());
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    };
    Some(pairs.map(cosine).collect())
}

#[test]
fn private_embeddings_are_accurate() {
    let Some(cosines) = cosines(Plan::Accurate, 20) else { return };
    assert!(cosines.iter().all(|&c| c >= 0.999), "{cosines:?}");
}

#[test]
fn private_embeddings_with_eight_bits_are_near() {
    let Some(cosines) = cosines(Plan::DittoGelu, 20) else { return };
    let mean = cosines.iter().sum::<f64>() / cosines.len() as f64;
    assert!(cosines.iter().all(|&c| c >= 0.99) && mean >= 0.995, "mean {mean}: {cosines:?}");
}

#[test]
fn private_embeddings_under_puma_are_near() {
    let Some(cosines) = cosines(Plan::Puma, 5) else { return };
    assert!(cosines.iter().all(|&c| c >= 0.998), "{cosines:?}");
}

#[test]
fn no_range_condition_fails_in_simulation() {
    struct Simulate<'a>(&'a Task);
    impl Visit for Simulate<'_> {
        type Out = ();
        fn visit<M: SecureModel<Request = Request>>(self, model: &M) {
            let run = simulate(model, &self.0.floats()).unwrap();
            for (i, (request, x)) in self.0.job.requests.iter().zip(&self.0.inputs).enumerate() {
                run([i as u8; 16], request, x).unwrap();
            }
        }
    }
    let Some(dir) = fetched() else { return };
    let texts = ["minilm_sentences.txt", "sentences_extra.txt"]
        .map(|f| fs::read_to_string(root().join("tests/data").join(f)).unwrap());
    let texts: Vec<String> = texts.iter().flat_map(|t| t.lines()).map(str::to_owned).collect();
    for plan in [Plan::Accurate, Plan::DittoGelu] {
        let task = Task::open(&dir, plan, texts.clone()).unwrap();
        task.job.model.with_model(Simulate(&task));
    }
}
