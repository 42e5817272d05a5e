//! The programs end to end with tiny models: what they print, and that wrong options are refused. No figure is judged.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const BERT: &str = env!("CARGO_BIN_EXE_bert");
const GPT2: &str = env!("CARGO_BIN_EXE_gpt2");
const PRIMITIVES: &str = env!("CARGO_BIN_EXE_primitives");
const TINY: &str = "--size custom --layers 1 --hidden 32 --heads 4 --intermediate 64 --vocab 320 --reps 2";

fn run(program: &str, line: &str) -> Output {
    Command::new(program).args(line.split_whitespace()).output().unwrap()
}

fn printed(program: &str, line: &str) -> String {
    let out = run(program, line);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

fn json(program: &str, line: &str) -> Value {
    serde_json::from_str(&printed(program, line)).unwrap()
}

fn number(value: &Value, path: &str) -> f64 {
    value.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("{path} in {value}"))
}

/// The fields of a request, and that its parts are those of the whole.
fn check_request(request: &Value) {
    for path in ["/seconds/preprocess", "/seconds/online", "/seconds/total", "/plaintext_seconds"] {
        assert!(number(request, path) > 0.0, "{path}");
    }
    for list in ["operations", "layers"] {
        let parts = request[list].as_array().unwrap();
        for field in ["online_bytes", "offline_bytes", "hops", "multiply_adds"] {
            let sum: f64 = parts.iter().map(|part| number(part, &format!("/{field}"))).sum();
            assert_eq!(sum, number(request, &format!("/cost/{field}")), "{list}: {field}");
        }
        // Parts have all of the online phase but the way of input and output.
        let online: f64 = parts.iter().map(|part| number(part, "/online_seconds")).sum();
        assert!(online > 0.0 && parts.iter().all(|part| part["name"].is_string()));
    }
    let networks: Vec<&Value> =
        request["modelled_seconds"].as_array().unwrap().iter().map(|on| &on["network"]).collect();
    assert_eq!(networks, ["none", "lan", "wan"]);
    let wan = &request["modelled_seconds"][2];
    assert!(number(wan, "/one_shared_pipe/total") >= number(wan, "/link_per_pair/total"));
    assert!(number(wan, "/link_per_pair/total") > number(request, "/seconds/total"));
}

fn is_svg(file: &Path) {
    let text = std::fs::read_to_string(file).unwrap();
    let document = roxmltree::Document::parse(&text).unwrap();
    assert_eq!(document.root_element().tag_name().name(), "svg");
    assert!(document.descendants().any(|node| node.has_tag_name("rect") || node.has_tag_name("polyline")));
}

#[test]
fn one_plan_is_one_object_with_the_promised_names() {
    let run = json(BERT, &format!("{TINY} --seq 8 --plan ditto --json"));
    assert_eq!(
        (&run["model"], &run["plan"], &run["network"]),
        (&"bert-custom".into(), &"ditto".into(), &"none".into())
    );
    assert_eq!(run["seq"], 8);
    check_request(&run);
    assert!(run["peak_rss_bytes"].as_array().unwrap().iter().all(|bytes| bytes.as_u64() > Some(1 << 20)));
    assert_eq!(run["repetitions"]["total"].as_array().unwrap().len(), 2);
    assert!(number(&run, "/check/cosine") > 0.99, "{}", run["check"]);
    assert!(run["host"]["cores"].as_u64() > Some(0));
    let names: Vec<&Value> = run["operations"].as_array().unwrap().iter().map(|o| &o["name"]).collect();
    for name in ["QKV", "scores, softmax, values", "LayerNorm", "FF1, activation", "FF2", "head"] {
        assert!(names.contains(&&Value::from(name)), "{names:?}");
    }
}

#[test]
fn several_plans_are_compared_and_drawn() {
    let dir = tempfile::tempdir().unwrap();
    let chart = dir.path().join("chart.svg");
    let line = format!("{TINY} --seq 8 --plan ditto,puma --network lan --json --chart {}", chart.display());
    let document = json(BERT, &line);
    let [ditto, puma] = &document["runs"].as_array().unwrap()[..] else { panic!("{document}") };
    let bytes = |run: &Value| number(run, "/cost/online_bytes") + number(run, "/cost/offline_bytes");
    let ratio = &document["ratios"][0];
    assert_eq!((&ratio["plan"], &ratio["to"]), (&"puma".into(), &"ditto".into()));
    assert!((number(ratio, "/bytes") - bytes(puma) / bytes(ditto)).abs() < 1e-9);
    is_svg(&chart);
}

#[test]
fn further_tokens_of_a_gpt2_are_told_apart() {
    let run = json(GPT2, &format!("{TINY} --seq 5 --tokens 2 --plan accurate --json"));
    check_request(&run);
    check_request(&run["further"]);
    assert_eq!(number(&run, "/first_token_seconds"), number(&run, "/seconds/total"));
    assert_eq!(number(&run, "/further_token_seconds"), number(&run, "/further/seconds/total"));
    // Two tokens in each of two conversations.
    assert_eq!(run["further"]["repetitions"]["total"].as_array().unwrap().len(), 4);
    assert!(run["check"]["rank"].as_u64() < Some(3), "{}", run["check"]);
}

#[test]
fn growth_is_fitted_and_drawn() {
    let dir = tempfile::tempdir().unwrap();
    let chart = dir.path().join("growth.svg");
    let line = format!("{TINY} --seq 4 --scaling layers --points 1,2,3 --json --chart {}", chart.display());
    let scaling = json(BERT, &line);
    let sizes: Vec<u64> =
        scaling["points"].as_array().unwrap().iter().map(|p| p["size"].as_u64().unwrap()).collect();
    assert_eq!(sizes, [1, 2, 3]);
    let laws = scaling["growth"][0]["laws"].as_array().unwrap();
    let hops = laws.iter().find(|law| law[0] == "hops").unwrap();
    // Hops of a layer times layers, and some before and after.
    assert!((0.5..1.0).contains(&number(&hops[1], "/exponent")), "{hops}");
    is_svg(&chart);
}

#[test]
fn tables_are_for_people() {
    let text = printed(BERT, &format!("{TINY} --seq 4 --ablation"));
    for what in
        ["Quad alone", "quantization alone", "### Parts of `puma-quad`", "### Layers of `ditto`", "layer 0"]
    {
        assert!(text.contains(what), "{text}");
    }
    let text = printed(PRIMITIVES, "--only Quad --elements 64 --reps 1 --no-kernels");
    assert!(text.contains("Quad, 64") && text.contains(" puma |"), "{text}");
}

#[test]
fn what_cannot_be_run_is_refused() {
    let refused = |program: &str, line: &str, what: &str| {
        let out = run(program, line);
        let error = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(
            !out.status.success() && error.contains(what) && !error.contains("panicked"),
            "{line}: {error}"
        );
    };
    refused(BERT, &format!("{TINY} --seq 513"), "--seq: 513 tokens, but the model takes 512");
    refused(GPT2, &format!("{TINY} --seq 1020 --tokens 8"), "--seq: 1020 tokens and 8 further ones");
    refused(BERT, "--checkpoint nowhere", "nowhere");
    refused(PRIMITIVES, "--only nothing", "--only: no protocol has `nothing` in its name");
    refused(BERT, "--size custom --layers 1 --hidden 32 --heads 4 --vocab 3", "vocab_size is 3");
    let chart = "--chart /nowhere/chart.svg";
    refused(BERT, &format!("{TINY} --seq 4 --plan ditto {chart}"), "/nowhere/chart.svg is in no directory");
}
