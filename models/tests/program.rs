//! The `ditto` program: three processes and threads, JSON, bad input, a party that dies.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ditto_core::net::Limits;
use ditto_core::prg::Randomness;
use ditto_models::config::BertConfig;
use ditto_models::plan::Plan;
use ditto_models::report::chain;
use ditto_models::run::{Launch, Phase, Task, run_private};
use ditto_models::synthetic::{Synthetic, SyntheticHead};
use serde_json::Value;

const DITTO: &str = env!("CARGO_BIN_EXE_ditto");

fn ditto(args: &[&str]) -> Output {
    Command::new(DITTO).args(args).output().unwrap()
}

fn checkpoint(dir: &Path, head: SyntheticHead) {
    Synthetic::new(BertConfig::tiny(), head, 3).write(dir).unwrap();
}

fn json(dir: &Path, more: &[&str]) -> Value {
    let dir = dir.to_str().unwrap();
    let out = ditto(
        &[&["run", "--model", dir, "--json", "--text", "the cat", "--text", "a dog ran"], more].concat(),
    );
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

fn numbers(v: &Value) -> Vec<f64> {
    v.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

#[test]
fn processes_and_threads_give_the_same_answers_within_rounding() {
    let dir = tempfile::tempdir().unwrap();
    checkpoint(dir.path(), SyntheticHead::Embedding);
    let (processes, threads) = (json(dir.path(), &[]), json(dir.path(), &["--in-process"]));
    for i in 0..2 {
        let of = |v: &Value, from: &str| numbers(&v[from][i]["embedding"]);
        let (a, b, float) = (of(&processes, "results"), of(&threads, "results"), of(&processes, "reference"));
        assert_eq!(a.len(), 32);
        for ((a, b), f) in a.iter().zip(&b).zip(&float) {
            // Coordinates of unit vectors; a dozen steps with 10 fractional bits each.
            assert!((a - b).abs() < 0.01 && (a - f).abs() < 0.01, "{a} {b} {f}");
        }
    }
    assert_eq!(processes["cost"], threads["cost"]);
}

#[test]
fn json_has_the_promised_names() {
    let dir = tempfile::tempdir().unwrap();
    checkpoint(dir.path(), SyntheticHead::Classification { labels: 2 });
    let out = json(dir.path(), &["--network", "wan", "--plan", "ditto-gelu"]);
    assert_eq!((&out["plan"], &out["network"]), (&"ditto-gelu".into(), &"wan".into()));
    for from in ["results", "reference"] {
        let first = &out[from][0];
        assert_eq!(first["text"], "the cat");
        assert!(first["label"].as_str().unwrap().starts_with("LABEL_"));
        assert!((0.5..=1.0).contains(&first["score"].as_f64().unwrap()));
        assert_eq!(numbers(&first["logits"]).len(), 2);
    }
    for name in ["online_bytes", "offline_bytes", "hops"] {
        assert!(out["cost"][name].as_u64().unwrap() > 0, "{name}");
    }
    for name in ["share_weights", "preprocess", "online", "total", "modelled_network"] {
        assert!(out["seconds"][name].as_f64().unwrap() > 0.0, "{name}");
    }
    assert_eq!(numbers(&out["peak_rss_bytes"]).len(), 3);
    assert!(out["requests_per_minute"].as_f64().unwrap() > 0.0 && out.get("failures").is_none());
}

#[test]
fn requests_in_flight_cost_what_they_cost_alone() {
    let dir = tempfile::tempdir().unwrap();
    checkpoint(dir.path(), SyntheticHead::Embedding);
    let (one, two) = (json(dir.path(), &[]), json(dir.path(), &["--in-flight", "2", "--prepared", "1"]));
    let overlapped = json(dir.path(), &["--overlap"]);
    assert_eq!((&one["cost"], &one["cost"]), (&two["cost"], &overlapped["cost"]));
    assert_eq!(two["results"].as_array().unwrap().len(), 2);
    for out in [&two, &overlapped] {
        assert_eq!(out["results"][1]["text"], one["results"][1]["text"]);
    }
}

#[test]
fn json_of_every_head_has_the_promised_names() {
    let run = |head: SyntheticHead, args: &[&str]| -> Value {
        let dir = tempfile::tempdir().unwrap();
        checkpoint(dir.path(), head);
        let model = dir.path().to_str().unwrap();
        let out = ditto(&[&["run", "--in-process", "--json", "--model", model], args].concat());
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        serde_json::from_slice(&out.stdout).unwrap()
    };
    let names = |v: &Value| v.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let pair = ["--text", "the cat", "--text-pair", "a dog"];
    let out = run(SyntheticHead::Classification { labels: 3 }, &pair);
    assert_eq!(names(&out["results"][0]), ["label", "logits", "score", "text", "text_pair"]);

    let out = run(
        SyntheticHead::TokenClassification { labels: 4 },
        &["--text", "a cat", "--text", "the dogs", "--batch", "8"],
    );
    for from in ["results", "reference"] {
        assert_eq!(names(&out[from][1]), ["entities", "text"]);
        let entities = out[from][1]["entities"].as_array().unwrap();
        // No class is called O, so every token is there.
        let words: Vec<_> = entities.iter().map(|e| e["word"].as_str().unwrap()).collect();
        assert_eq!(words, ["the", "dog", "##s"]);
        assert_eq!(names(&entities[0]), ["end", "entity", "index", "score", "start", "word"]);
        assert_eq!(
            (&entities[1]["start"], &entities[1]["end"], &entities[1]["index"]),
            (&4.into(), &7.into(), &2.into())
        );
    }

    let question = ["--question", "who ran", "--context", "the dog ran", "--plan", "ditto-gelu"];
    let out = run(SyntheticHead::QuestionAnswering, &question);
    let first = &out["results"][0];
    assert_eq!(names(first), ["answer", "context", "end", "question", "score", "start"]);
    let (start, end) = (first["start"].as_u64().unwrap() as usize, first["end"].as_u64().unwrap() as usize);
    assert_eq!(first["answer"], "the dog ran"[start..end]);

    let out = run(SyntheticHead::MaskedLm { tied: true }, &["--text", "[MASK] dog [MASK] away"]);
    assert_eq!(names(&out["results"][0]), ["masks", "text"]);
    let masks = out["results"][0]["masks"].as_array().unwrap();
    assert_eq!(masks.iter().map(|m| m.as_array().unwrap().len()).collect::<Vec<_>>(), [5, 5]);
    assert_eq!(names(&masks[0][0]), ["score", "token", "token_str"]);
}

#[test]
fn a_file_may_hold_pairs_and_answers_keep_its_order() {
    let dir = tempfile::tempdir().unwrap();
    checkpoint(dir.path(), SyntheticHead::Classification { labels: 2 });
    let file = dir.path().join("lines.txt");
    std::fs::write(&file, "a cat sat on the mat\n\nit rains\tit is wet\nno\n").unwrap();
    let (model, file) = (dir.path().to_str().unwrap(), file.to_str().unwrap());
    let run = |batch: &str| {
        let out = ditto(&["run", "--in-process", "--model", model, "--file", file, "--batch", batch]);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    let titles = |out: &str| {
        let lines = out.lines().take_while(|l| !l.starts_with("plan "));
        lines.filter(|l| !l.starts_with("  ") && !l.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    let expected = ["a cat sat on the mat", "it rains", "it is wet", "no"];
    assert_eq!(titles(&run("1")), expected);
    assert_eq!(titles(&run("2")), expected);
}

#[test]
fn what_was_counted_is_what_was_metered() {
    let dir = tempfile::tempdir().unwrap();
    checkpoint(dir.path(), SyntheticHead::Embedding);
    for plan in Plan::ALL {
        let texts = ["a", "the cat sat", "x y z x y z x y z"].map(str::to_owned).to_vec();
        let task = Task::open(dir.path(), plan, texts).unwrap();
        let out =
            run_private(&task, &Launch::Threads, Limits::default(), Randomness::system(), &|_| ()).unwrap();
        assert_eq!(out.counted, out.metered, "{plan:?}");
    }
}

#[test]
fn bad_input_is_named() {
    let dir = tempfile::tempdir().unwrap();
    checkpoint(dir.path(), SyntheticHead::Embedding);
    let model = dir.path().to_str().unwrap();
    let refused = |args: &[&str], what: &str| {
        let out = ditto(args);
        let error = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(!out.status.success() && error.contains(what), "`{what}` is not in: {error}");
        assert!(!error.contains("panicked"), "{error}");
    };
    refused(&["run", "--model", "no/such/dir", "--text", "a"], "no/such/dir");
    refused(&["run", "--model", model], "--text");
    refused(&["run", "--model", model, "--text", ""], "text 1");
    refused(&["run", "--model", model, "--file", "no/such/file"], "no/such/file");
    refused(&["run", "--model", model, "--text", "a", "--plan", "fast"], "accurate");
    refused(&["run", "--model", model, "--text", "a", "--text-pair", "b"], "text 1: it is a pair of texts");
    let unpaired = ["run", "--model", model, "--text", "a", "--text", "b", "--text-pair", "c"];
    refused(&unpaired, "--text is given 2 times, but --text-pair 1 times");
    refused(&["run", "--model", model, "--question", "a"], "--context");
    refused(&["run", "--model", model, "--text", "a", "--batch", "65"], "--batch");
    refused(&["run", "--model", model, "--text", "a", "--in-flight", "17"], "--in-flight");
    std::fs::write(dir.path().join("model.safetensors"), b"nothing").unwrap();
    refused(&["run", "--model", model, "--text", "a"], "model.safetensors");
}

#[test]
fn a_killed_party_ends_the_run_with_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    checkpoint(dir.path(), SyntheticHead::Embedding);
    for victim in 0..3 {
        let texts = vec!["the cat sat on the mat".to_owned(); 50];
        let task = Task::open(dir.path(), Plan::Accurate, texts).unwrap();
        let limits = Limits { time_limit: Duration::from_secs(20), ..Limits::default() };
        let (pids, killed) = (std::sync::OnceLock::new(), AtomicBool::new(false));
        let started = Instant::now();
        let launch = Launch::Processes { program: DITTO.into() };
        let result = run_private(&task, &launch, limits, Randomness::system(), &|phase| match phase {
            Phase::Started(all) => pids.set(all).unwrap(),
            Phase::Online(1, _) if !killed.swap(true, Ordering::Relaxed) => {
                let pid = pids.get().unwrap()[victim].to_string();
                assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
            }
            _ => (),
        });
        let error = chain(&result.unwrap_err());
        assert!(error.contains(&format!("P{victim}")), "P{victim} was killed, but: {error}");
        assert!(started.elapsed() < Duration::from_secs(20), "it took too long");
    }
}
