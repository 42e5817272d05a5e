//! `ditto cost`: what it says is what a run counts, without weights or tokenizer.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use ditto_core::Settings;
use ditto_core::cost::{Cost, Kind, Load};
use ditto_core::net::{Limits, Link};
use ditto_core::prg::Randomness;
use ditto_core::session::Operation;
use ditto_models::config::{BertConfig, Head};
use ditto_models::estimate::Estimate;
use ditto_models::input::Input;
use ditto_models::lookup::Lookup;
use ditto_models::model::{ModelSpec, Request};
use ditto_models::plan::Plan;
use ditto_models::run::{Launch, Task, run_private};
use ditto_models::synthetic::{Synthetic, SyntheticHead};
use serde_json::{Value, json};
use tempfile::TempDir;

const HEADS: [SyntheticHead; 5] = [
    SyntheticHead::Embedding,
    SyntheticHead::Classification { labels: 5 },
    SyntheticHead::TokenClassification { labels: 3 },
    SyntheticHead::QuestionAnswering,
    SyntheticHead::MaskedLm { tied: true },
];

fn checkpoint(head: &SyntheticHead) -> TempDir {
    let dir = TempDir::new().unwrap();
    let config = BertConfig { num_hidden_layers: 1, ..BertConfig::tiny() };
    Synthetic::new(config, head.clone(), 3).write(dir.path()).unwrap();
    dir
}

/// All checkpoints: every head, and an embedding that is not scaled to length 1.
fn checkpoints() -> Vec<TempDir> {
    let mut all: Vec<TempDir> = HEADS.iter().map(checkpoint).collect();
    let raw = checkpoint(&SyntheticHead::Embedding);
    let file = raw.path().join("modules.json");
    let mut modules: Vec<Value> = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    modules.truncate(2);
    fs::write(&file, json!(modules).to_string()).unwrap();
    all.push(raw);
    all
}

fn estimate(dir: &Path, plan: Plan, link: Link, tokens: usize) -> Estimate {
    estimate_with(dir, plan, link, tokens, Lookup::Client)
}

fn estimate_with(dir: &Path, plan: Plan, link: Link, tokens: usize, lookup: Lookup) -> Estimate {
    let settings = Settings { link, ..Settings::default() };
    let model = ModelSpec::of_config(dir, plan, Arc::new(settings), lookup).unwrap();
    Estimate::new(&model, &Request::new(&[tokens], &model.architecture.head)).unwrap()
}

/// A text of some words, as the head takes it.
fn input(head: &Head, words: usize) -> Input {
    let words = "a ".repeat(words);
    match head {
        Head::QuestionAnswering => ("a", words.as_str()).into(),
        Head::MaskedLm => format!("{words}[MASK]").as_str().into(),
        _ => words.as_str().into(),
    }
}

fn sum(estimate: &Estimate) -> Cost {
    let sum = estimate.operations.iter().fold(Cost::default(), |sum, o| sum + o.cost);
    Cost { hops: estimate.cost.hops, ..sum }
}

#[test]
fn counted_is_metered_is_told() {
    for dir in checkpoints() {
        let config = BertConfig::open(dir.path()).unwrap();
        let head = Head::of_config(&config, dir.path()).unwrap();
        for plan in Plan::ALL {
            for (words, link) in [(1, Link::NONE), (2, Link::WAN), (9, Link::NONE), (57, Link::WAN)] {
                let task = Task::open(dir.path(), plan, [input(&head, words)]).unwrap().with_link(link);
                let (limits, threads) = (Limits::default(), &Launch::Threads);
                let run = run_private(&task, threads, limits, Randomness::system(), &|_| ()).unwrap();
                let tokens = task.job.requests[0].rows();
                let told = estimate(dir.path(), plan, link, tokens);
                assert_eq!(run.counted, run.metered, "{head:?}, {plan}, {tokens} tokens");
                assert_eq!(told.cost, run.counted, "{head:?}, {plan}, {tokens} tokens");
                assert_eq!(sum(&told), told.cost, "{head:?}, {plan}, {tokens} tokens");
            }
        }
    }
}

#[test]
fn a_private_lookup_is_counted_metered_and_told() {
    for dir in checkpoints() {
        let config = BertConfig::open(dir.path()).unwrap();
        let head = Head::of_config(&config, dir.path()).unwrap();
        let task = Task::open(dir.path(), Plan::Accurate, [input(&head, 9)]).unwrap();
        let task = task.with_lookup(Lookup::Private).unwrap();
        let (limits, threads) = (Limits::default(), &Launch::Threads);
        let run = run_private(&task, threads, limits, Randomness::system(), &|_| ()).unwrap();
        let tokens = task.job.requests[0].rows();
        let told = estimate_with(dir.path(), Plan::Accurate, Link::NONE, tokens, Lookup::Private);
        assert_eq!((run.counted, told.cost), (run.metered, run.counted), "{head:?}");
        assert_eq!(sum(&told), told.cost);
        let [input, lookup, ..] = &told.operations[..] else { panic!("no operations") };
        assert_eq!((input.step.as_str(), lookup.step.as_str()), ("input", "lookup"));
        // All three servers take part: at the ends of the links between them each byte counts twice.
        let wire = |o: &Operation| 2 * o.work.online[Kind::Wire] + o.work.assist[Kind::Wire];
        assert_eq!((wire(input), wire(lookup)), (input.cost.online, 2 * lookup.cost.online));
    }
}

#[test]
fn both_links_of_the_helper_carry_the_same() {
    let [bert, gpt2] = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    fs::write(bert.path().join("config.json"), r#"{ "model_type": "bert", "hidden_size": 768,
        "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072, "vocab_size": 30522,
        "max_position_embeddings": 512, "type_vocab_size": 2, "layer_norm_eps": 1e-12, "hidden_act": "gelu" }"#).unwrap();
    fs::write(
        gpt2.path().join("config.json"),
        r#"{ "model_type": "gpt2", "n_embd": 768, "n_layer": 12,
        "n_head": 12, "n_positions": 1024, "vocab_size": 50257, "layer_norm_epsilon": 1e-5 }"#,
    )
    .unwrap();
    for (dir, tokens) in [(&bert, 128), (&gpt2, 32), (&gpt2, 1)] {
        for plan in [Plan::Ditto, Plan::Accurate] {
            let told = estimate(dir.path(), plan, Link::NONE, tokens);
            let [to0, to1] = told.dealt;
            assert_eq!(to0 + to1, told.cost.offline);
            assert!(
                to0.abs_diff(to1) as f64 <= 0.02 * told.cost.offline as f64,
                "{plan} {tokens}: {to0} {to1}"
            );
        }
    }
}

#[test]
fn work_goes_with_cost() {
    for dir in checkpoints() {
        for plan in Plan::ALL {
            let told = estimate(dir.path(), plan, Link::NONE, 17);
            let [first, inner @ .., last] = &told.operations[..] else { panic!("no operations") };
            assert_eq!((first.step.as_str(), last.step.as_str()), ("input", "output"));
            // Of what clients send and receive, an evaluator sees half.
            for client in [first, last] {
                assert_eq!(2 * client.work.online[Kind::Wire], client.cost.online);
            }
            for o in inner {
                let wire = [&o.work.helper, &o.work.prepare[1], &o.work.online].map(|l| l[Kind::Wire]);
                assert_eq!(wire, [o.cost.offline, o.cost.offline, o.cost.online], "{}", o.step);
                assert_eq!(o.work.prepare[0][Kind::Wire], 0, "{}: who draws receives nothing", o.step);
                // Elements are multiplied in passes, matrices by kernels.
                let kernels = [Kind::Multiply32, Kind::Multiply52, Kind::Multiply64];
                let of = |load: &Load| kernels.iter().map(|&k| load[k]).sum::<u64>();
                let all =
                    of(&o.work.helper) + o.work.prepare.iter().map(of).sum::<u64>() + 2 * of(&o.work.online);
                assert!(all == 0 || all == o.cost.multiply_adds, "{}: {all}", o.step);
            }
        }
    }
}

fn ditto(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ditto")).args(args).output().unwrap()
}

fn ditto_json(dir: &Path, more: &[&str]) -> Value {
    let out = ditto(&[&["cost", "--model", dir.to_str().unwrap(), "--json"], more].concat());
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

#[test]
fn json_has_the_promised_names_and_needs_only_the_configuration() {
    let dir = checkpoint(&SyntheticHead::Embedding);
    for file in ["model.safetensors", "tokenizer.json"] {
        fs::remove_file(dir.path().join(file)).unwrap();
    }
    let out = ditto_json(dir.path(), &["--seq", "12", "--plan", "ditto", "--network", "wan"]);
    assert_eq!((&out["plan"], &out["network"], &out["seq"]), (&"ditto".into(), &"wan".into(), &12.into()));
    assert_eq!(keys(&out["cost"]), ["hops", "offline_bytes", "online_bytes"]);
    assert_eq!(keys(&out["predicted_seconds"]), ["online", "overlapped", "preprocess"]);
    let told = estimate(dir.path(), Plan::Ditto, Link::WAN, 12);
    assert_eq!(
        out["cost"],
        json!({ "online_bytes": told.cost.online, "offline_bytes": told.cost.offline, "hops": told.cost.hops })
    );
    // Half a round trip of 40 ms for every hop.
    assert!(out["predicted_seconds"]["online"].as_f64().unwrap() > 0.02 * f64::from(told.cost.hops));
    assert!(out["predicted_seconds"]["preprocess"].as_f64().unwrap() > 0.02);
    let operations = out["operations"].as_array().unwrap();
    let total = |field: &str| operations.iter().map(|o| o[field].as_u64().unwrap()).sum::<u64>();
    for operation in operations {
        assert_eq!(keys(operation), ["hops", "multiply_adds", "offline_bytes", "online_bytes", "step"]);
        assert!(operation["step"].as_str().is_some_and(|s| !s.is_empty()));
    }
    assert_eq!((total("online_bytes"), total("offline_bytes")), (told.cost.online, told.cost.offline));
    assert_eq!(total("multiply_adds"), told.cost.multiply_adds);
    assert!(total("hops") >= u64::from(told.cost.hops));
}

#[test]
fn one_core_is_enough_to_predict() {
    let dir = checkpoint(&SyntheticHead::Embedding);
    let mut command = Command::new("taskset");
    command.args(["-c", "0", env!("CARGO_BIN_EXE_ditto"), "cost", "--json", "--seq", "8", "--model"]);
    // Where there is no taskset, there is no way to have one core.
    let Ok(out) = command.arg(dir.path()).output() else { return };
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let out: Value = serde_json::from_slice(&out.stdout).unwrap();
    for phase in ["preprocess", "online"] {
        assert!(out["predicted_seconds"][phase].as_f64().unwrap() > 0.0, "{phase}");
    }
}

#[test]
fn the_table_has_totals_and_a_prediction() {
    let dir = checkpoint(&SyntheticHead::Classification { labels: 2 });
    let out = ditto(&["cost", "--model", dir.path().to_str().unwrap(), "--seq", "8"]);
    let text = String::from_utf8(out.stdout).unwrap();
    for part in [
        "input",
        "output",
        "in all",
        "offline MB",
        "hops",
        "predicted on loopback",
        "this machine",
        "in a run",
    ] {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

#[test]
fn bad_input_is_named() {
    let dir = checkpoint(&SyntheticHead::Embedding);
    let model = dir.path().to_str().unwrap();
    let refused = |args: &[&str], what: &str| {
        let out = ditto(&[&["cost"], args].concat());
        let error = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(!out.status.success() && error.contains(what), "`{what}` is not in: {error}");
        assert!(!error.contains("panicked"), "{error}");
    };
    refused(&["--model", "no/such/dir", "--seq", "8"], "no/such/dir/config.json");
    refused(&["--model", model, "--seq", "0"], "1 to 64");
    refused(&["--model", model, "--seq", "65"], "1 to 64");
    refused(&["--model", model, "--seq", "8", "--plan", "fast"], "accurate");
    refused(&["--model", model, "--seq", "8", "--network", "moon"], "wan");
    refused(&["--model", model], "--seq");
    fs::remove_file(dir.path().join("config.json")).unwrap();
    refused(&["--model", model, "--seq", "8"], "config.json");
}
