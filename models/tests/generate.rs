//! `ditto generate` and `ditto cost` of a GPT-2, as programs.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};

use ditto_models::config::{BertConfig, Gpt2Config};
use ditto_models::synthetic::{Synthetic, SyntheticGpt2, SyntheticHead};
use ditto_models::text::Tokenizer;
use serde_json::Value;
use tempfile::TempDir;

fn checkpoint() -> TempDir {
    let dir = TempDir::new().unwrap();
    let config = Gpt2Config { eos_token_id: None, ..Gpt2Config::tiny() };
    SyntheticGpt2::new(config, 5).write(dir.path()).unwrap();
    dir
}

fn ditto(command: &str, dir: &Path, args: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_ditto"));
    program.arg(command).arg("--model").arg(dir).args(args).output().unwrap()
}

fn json(command: &str, dir: &Path, args: &[&str]) -> Value {
    let out = ditto(command, dir, &[args, &["--json"]].concat());
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

const COSTS: [&str; 3] = ["online_bytes", "offline_bytes", "hops"];

#[test]
fn json_has_the_promised_names_and_costs_what_was_told_before() {
    let dir = checkpoint();
    let prompt = Tokenizer::open(dir.path()).unwrap().encode_plain("The cat sat", 64).unwrap().ids.len();
    for (opens, args) in [
        ("argmax", &["--sample", "argmax"][..]),
        ("hidden", &["--sample", "client", "--temperature", "0.5", "--top-k", "9", "--seed", "4"]),
        ("argmax", &["--embedding", "private"]),
        ("logits", &["--embedding", "private", "--sample", "client", "--temperature", "0"]),
    ] {
        let generate = ["--prompt", "The cat sat", "--tokens", "4", "--in-process"];
        let out = json("generate", dir.path(), &[&generate, args].concat());
        assert_eq!(out["prompt"], "The cat sat");
        assert!(out["text"].is_string() && out["seconds"]["total"].as_f64().unwrap() > 0.0);
        assert!(out["seconds"]["prefill"].as_f64().unwrap() > 0.0);
        assert_eq!(out["seconds"]["per_token"].as_array().unwrap().len(), 3);
        let tokens = |name: &str| out[name].as_array().unwrap().len();
        assert_eq!((tokens("tokens"), tokens("reference_tokens")), (4, 4));

        let lookup = if args.contains(&"private") { "private" } else { "client" };
        let cost = |seq: usize, past: usize| {
            let (seq, past) = (seq.to_string(), past.to_string());
            let args = ["--seq", &seq, "--past", &past, "--opens", opens, "--embedding", lookup];
            json("cost", dir.path(), &args)["cost"].clone()
        };
        let told = [cost(prompt, 0), cost(1, prompt), cost(1, prompt + 1), cost(1, prompt + 2)];
        for name in COSTS {
            let sum: u64 = told.iter().map(|c| c[name].as_u64().unwrap()).sum();
            assert_eq!(out["cost"][name], sum, "{name} of {args:?}");
        }
    }
}

#[test]
fn run_tells_the_next_token() {
    let out = json("run", checkpoint().path(), &["--text", "The cat sat", "--in-process"]);
    for from in ["results", "reference"] {
        let next = out[from][0]["next"].as_array().unwrap();
        assert_eq!(next.len(), 5);
        assert!(next.iter().all(|token| token["token_str"].is_string() && token["score"].is_f64()));
    }
}

#[test]
fn tokens_are_printed_with_what_they_cost() {
    let dir = checkpoint();
    let out = ditto("generate", dir.path(), &["--prompt", "The cat", "--tokens", "3"]);
    let (stdout, stderr) = (String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap());
    assert!(out.status.success(), "{stderr}");
    for part in ["private  The cat", "tokens per second", "\nfloat", "first token", "each further", "hops"] {
        assert!(stdout.contains(part), "{part}: {stdout}");
    }
    assert!(stderr.contains("protects nothing") && stderr.contains("not calibrated"), "{stderr}");
}

#[test]
fn what_cannot_be_is_refused_with_its_reason() {
    let dir = checkpoint();
    let bert = TempDir::new().unwrap();
    Synthetic::new(BertConfig::tiny(), SyntheticHead::Embedding, 1).write(bert.path()).unwrap();
    for (command, dir, args, what) in [
        ("generate", bert.path(), &["--prompt", "a"][..], "does not continue texts"),
        ("generate", dir.path(), &["--prompt", "a", "--tokens", "65"], "n_positions"),
        ("generate", dir.path(), &["--prompt", "a", "--tokens", "0"], "0"),
        ("generate", dir.path(), &["--prompt", "a", "--top-p", "1.5"], "at most 1"),
        ("generate", dir.path(), &["--prompt", "a", "--temperature", "-1"], "temperature"),
        ("cost", dir.path(), &["--seq", "1", "--past", "64"], "65 tokens"),
        ("cost", bert.path(), &["--seq", "1", "--past", "3"], "does not predict what follows"),
        ("run", dir.path(), &["--text", "a", "--text-pair", "b"], "pair"),
    ] {
        let out = ditto(command, dir, args);
        let stderr = String::from_utf8(out.stderr).unwrap();
        assert!(!out.status.success() && stderr.contains(what), "{args:?}: {stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
    }
}
