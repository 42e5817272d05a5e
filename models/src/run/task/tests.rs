//! A task of a GPT-2, up to what the model would be given.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::super::job::Announcement;
use super::Task;
use crate::answer::Answer;
use crate::architecture::{Opens, PublicHead};
use crate::config::{Gpt2Config, Head};
use crate::embeddings::Gpt2Embeddings;
use crate::lookup::Lookup;
use crate::model::{ModelSpec, Request};
use crate::plan::Plan;
use crate::report::chain;

use crate::synthetic::SyntheticGpt2;
use crate::weights::ModelFloats;

fn checkpoint() -> TempDir {
    let dir = TempDir::new().unwrap();
    SyntheticGpt2::new(Gpt2Config::tiny(), 1).write(dir.path()).unwrap();
    dir
}

fn open(dir: &Path, texts: &[&str]) -> Task {
    Task::open(dir, Plan::Accurate, texts.iter().copied()).unwrap()
}

#[test]
fn every_text_is_a_request_of_its_own() {
    let dir = checkpoint();
    let long = "!".repeat(100);
    let task = open(dir.path(), &["to", &long]).batched(16).unwrap();
    assert_eq!(task.head, Head::CausalLm);
    let head = PublicHead::CausalLm { vocabulary: 320, opens: Opens::Logits };
    assert_eq!(task.job.model.architecture.head, head);
    assert!(matches!(task.floats(), ModelFloats::Gpt2(_)));
    let tokens: Vec<_> = task.job.requests.iter().map(|request| request.tokens.clone()).collect();
    assert_eq!(tokens, [vec![2], vec![64]]);
    assert_eq!(task.truncated, [2]);
    let tables = Gpt2Embeddings::open(&task.checkpoint, &Gpt2Config::tiny()).unwrap();
    let ids = &task.texts[0].encoded.ids;
    assert_eq!(task.inputs[0].data(), tables.rows(ids, 0).unwrap().data());
    // What parties are told is what they accept.
    let model = &task.job.model;
    let announced = Announcement { model: model.clone(), serving: task.serving };
    assert_eq!(Announcement::decode(&announced.encode()).unwrap(), announced);
    for request in &task.job.requests {
        assert_eq!(Request::decode(&request.encode(), &model.architecture).unwrap(), *request);
    }
    assert_eq!(
        ModelSpec::of_config(dir.path(), Plan::Accurate, Default::default(), Lookup::Client).unwrap(),
        task.job.model
    );
}

#[test]
fn a_row_of_logits_is_an_answer() {
    let dir = checkpoint();
    let task = open(dir.path(), &["to", "a"]);
    let answers = task.answers(1, &vec![0.0; 320]);
    assert!(matches!(&answers[..], [Answer::Next { text, .. }] if text == "a"), "{answers:?}");
}

#[test]
fn tokens_that_cannot_be_turned_back_into_text_are_refused() {
    let dir = checkpoint();
    let file = dir.path().join("tokenizer.json");
    let mut value: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    value["decoder"] = json!({ "type": "WordPiece" });
    fs::write(file, value.to_string()).unwrap();
    let error = chain(&Task::open(dir.path(), Plan::Accurate, ["to"]).unwrap_err());
    assert!(error.contains("tokenizer.json: decoder is not \"ByteLevel\""), "{error}");
}
