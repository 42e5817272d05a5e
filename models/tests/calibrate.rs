//! Calibration: scales and ranges in a private run, refusal by name, files that do not fit.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ditto_core::net::Limits;
use ditto_core::prg::Randomness;
use ditto_models::calibrate::{Accuracy, Trial, calibrate};
use ditto_models::config::BertConfig;
use ditto_models::plan::Plan;
use ditto_models::quantization::QuantizationFile;
use ditto_models::report::chain;
use ditto_models::run::{Launch, Task, run_private};
use ditto_models::synthetic::{Synthetic, SyntheticHead};
use serde_json::Value;

const DITTO: &str = env!("CARGO_BIN_EXE_ditto");

fn ditto(args: &[&str]) -> Output {
    Command::new(DITTO).args(args).output().unwrap()
}

/// A checkpoint with a file of texts in it.
fn checkpoint(head: SyntheticHead, seed: u64) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    Synthetic::new(BertConfig::tiny(), head, seed).write(dir.path()).unwrap();
    fs::write(dir.path().join("lines.txt"), texts().join("\n\n")).unwrap();
    dir
}

fn texts() -> Vec<String> {
    ["the cat sat", "a dog ran", "a", "x y z x y z", "the the the the the the", "cat", "dog the a"]
        .map(str::to_owned)
        .to_vec()
}

fn task(dir: &Path, plan: Plan) -> Task {
    Task::open(dir, plan, texts()).unwrap()
}

/// Changes numbers of one tensor in a checkpoint of one file.
fn edit(dir: &Path, tensor: &str, change: impl Fn(usize, f32) -> f32) {
    let path = dir.join("model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let info: Value = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
    let offsets = &info[tensor]["data_offsets"];
    let at = |i: usize| 8 + header + offsets[i].as_u64().unwrap() as usize;
    let (start, end) = (at(0), at(1));
    for (i, number) in bytes[start..end].chunks_exact_mut(4).enumerate() {
        let value = f32::from_le_bytes((&*number).try_into().unwrap());
        number.copy_from_slice(&change(i, value).to_le_bytes());
    }
    fs::write(path, bytes).unwrap();
}

/// What `ditto calibrate` says when it refuses; it must have written nothing.
fn refused(dir: &Path) -> String {
    let lines = dir.join("lines.txt");
    let out = ditto(&["calibrate", "--model", dir.to_str().unwrap(), "--file", lines.to_str().unwrap()]);
    assert!(!out.status.success());
    assert!(!QuantizationFile::path(dir, Plan::Accurate).exists());
    let error = String::from_utf8(out.stderr).unwrap();
    assert!(!error.contains("panicked"), "{error}");
    error
}

#[test]
fn a_calibrated_run_is_near_floats_and_costs_what_was_metered() {
    for (head, plan) in [
        (SyntheticHead::Embedding, Plan::Accurate),
        (SyntheticHead::Embedding, Plan::DittoGelu),
        (SyntheticHead::Classification { labels: 3 }, Plan::DittoGelu),
    ] {
        let dir = checkpoint(head, 3);
        let (_, found) = calibrate(task(dir.path(), plan), &|_, _| ()).unwrap();
        assert!(found.after.headroom() >= 1.0);
        let better = match (found.before.accuracy, found.after.accuracy) {
            (Accuracy::Cosine { cosine_mean: a, .. }, Accuracy::Cosine { cosine_mean: b, .. }) => b >= a,
            (Accuracy::Error { error_mean: a, .. }, Accuracy::Error { error_mean: b, .. }) => b <= a,
            _ => false,
        };
        assert!(better, "{plan}: {:?} {:?}", found.before.accuracy, found.after.accuracy);
        let chosen = &found.file.quantization;
        assert!(chosen.weights.values().any(|&e| e < 0), "{chosen:?}");
        assert!(chosen.steps.values().any(|s| s.range.is_some()), "{chosen:?}");

        let path = QuantizationFile::path(dir.path(), plan);
        found.file.write(&path).unwrap();
        let (task, used) = task(dir.path(), plan).quantized(None).unwrap();
        assert_eq!(used, Some(path));
        let private =
            run_private(&task, &Launch::Threads, Limits::default(), Randomness::system(), &|_| ()).unwrap();
        assert_eq!(private.counted, private.metered);
        for (answer, float) in private.answers.iter().zip(task.reference().unwrap()) {
            for (a, b) in answer.values().iter().zip(float.values()) {
                assert!((a - b).abs() < 0.01, "{plan}: {a} {b}");
            }
        }
    }
}

#[test]
fn a_row_out_of_proportion_is_refused_by_name() {
    let width = BertConfig::tiny().hidden_size;
    for (tensor, row, inputs) in [
        ("embeddings.word_embeddings.weight", 9, width),
        ("embeddings.position_embeddings.weight", 11, width),
        ("embeddings.token_type_embeddings.weight", 1, width),
        ("embeddings.LayerNorm.weight", 7, 1),
        ("encoder.layer.0.attention.self.query.weight", 31, width),
        ("encoder.layer.1.output.dense.weight", 5, BertConfig::tiny().intermediate_size),
        ("encoder.layer.1.output.LayerNorm.weight", 0, 1),
        ("pooler.dense.weight", 2, width),
    ] {
        let dir = checkpoint(SyntheticHead::Embedding, 3);
        edit(dir.path(), tensor, |i, v| if i / inputs == row { v * 256.0 } else { v });
        let error = refused(dir.path());
        assert!(error.contains(&format!("`{tensor}`, row {row}:")), "{error}");
    }
    // What trained checkpoints do is no reason.
    let dir = checkpoint(SyntheticHead::Embedding, 3);
    edit(dir.path(), "encoder.layer.1.output.dense.weight", |i, v| if i < 64 { v * 20.0 } else { v });
    calibrate(task(dir.path(), Plan::Accurate), &|_, _| ()).unwrap();
}

#[test]
fn what_no_range_holds_is_refused_by_name() {
    for tensor in ["encoder.layer.0.intermediate.dense.weight", "encoder.layer.1.attention.self.value.weight"]
    {
        let dir = checkpoint(SyntheticHead::Embedding, 3);
        edit(dir.path(), tensor, |_, v| v * 1e6);
        let error = refused(dir.path());
        assert!(error.contains(tensor) && error.contains("row") && error.contains("headroom"), "{error}");
    }
    let dir = checkpoint(SyntheticHead::Embedding, 3);
    edit(dir.path(), "encoder.layer.0.output.dense.weight", |i, v| if i == 3 { f32::NAN } else { v });
    let error = refused(dir.path());
    assert!(error.contains("encoder.layer.0.output.dense.weight") && error.contains("NaN"), "{error}");
}

#[test]
fn check_finds_ranges_that_do_not_hold() {
    let dir = checkpoint(SyntheticHead::Embedding, 3);
    let (model, lines) = (dir.path().to_str().unwrap(), dir.path().join("lines.txt"));
    let lines = lines.to_str().unwrap();
    let both = |command: &'static str| [command, "--model", model, "--file", lines, "--json"];
    let out = ditto(&both("calibrate"));
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let calibrated: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(calibrated["texts"], 7);
    let out = ditto(&both("check"));
    assert!(out.status.success());
    let checked: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!((&checked["violations"], &checked["warnings"]), (&0.into(), &0.into()));
    assert_eq!(checked["quantization"], calibrated["quantization"]);
    let tightest = &checked["headroom"][0];
    assert!(tightest["bits"].as_f64().unwrap() >= 1.0 && tightest["step"].as_str().unwrap().contains('/'));
    // Line 2 of the file is empty, so lines are odd.
    assert_eq!(tightest["text"]["line"].as_u64().unwrap() % 2, 1);

    let path = PathBuf::from(checked["quantization"].as_str().unwrap());
    let mut file = QuantizationFile::read(&path).unwrap();
    let (name, step) =
        file.quantization.steps.iter_mut().find(|(s, _)| s.ends_with("layer_norm/root")).unwrap();
    (step.low, step.range) = (Some(3), Some(7));
    let name = name.clone();
    file.write(&path).unwrap();
    let out = ditto(&both("check"));
    assert!(!out.status.success());
    let error = String::from_utf8(out.stderr).unwrap();
    assert!(error.contains(&name), "{error}");
    let checked: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert!(checked["violations"].as_u64().unwrap() >= 1);
    let out = ditto(&[&both("check")[..], &["--quantization", "none"]].concat());
    assert!(out.status.success(), "the plan's own ranges hold");
}

#[test]
fn a_file_of_another_checkpoint_is_refused() {
    let dir = checkpoint(SyntheticHead::Embedding, 3);
    let path = QuantizationFile::path(dir.path(), Plan::Accurate);
    let (_, found) = calibrate(task(dir.path(), Plan::Accurate), &|_, _| ()).unwrap();
    found.file.write(&path).unwrap();
    edit(dir.path(), "encoder.layer.0.attention.self.key.weight", |i, v| if i == 0 { v + 1e-3 } else { v });
    let open = |option: Option<&Path>| task(dir.path(), Plan::Accurate).quantized(option);
    let error = chain(&open(None).unwrap_err());
    assert!(error.contains("quantization.accurate.json") && error.contains("other weights"), "{error}");
    let run = ditto(&["run", "--model", dir.path().to_str().unwrap(), "--text", "a", "--in-process"]);
    assert!(!run.status.success() && String::from_utf8_lossy(&run.stderr).contains("other weights"));
    assert_eq!(open(Some("none".as_ref())).unwrap().1, None);
}

#[test]
fn a_step_that_the_model_lacks_is_refused() {
    let dir = checkpoint(SyntheticHead::Embedding, 3);
    let path = QuantizationFile::path(dir.path(), Plan::Accurate);
    let (_, found) = calibrate(task(dir.path(), Plan::Accurate), &|_, _| ()).unwrap();
    for kind in ["step", "weight"] {
        let mut file = found.file.clone();
        if kind == "step" {
            file.quantization.steps.insert("no/such/place".to_owned(), Default::default());
        } else {
            file.quantization.weights.insert("no/such/place".to_owned(), 1);
        }
        file.write(&path).unwrap();
        let error = chain(&task(dir.path(), Plan::Accurate).quantized(None).unwrap_err());
        assert!(error.contains(&format!("no {kind} `no/such/place`")), "{error}");
    }
}

#[test]
fn a_real_checkpoint_is_calibrated() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let dir = root.join("checkpoints/all-MiniLM-L6-v2");
    if !dir.join("model.safetensors").exists() {
        eprintln!("skipped: all-MiniLM-L6-v2 is not there, see scripts/fetch-minilm.sh");
        return;
    }
    let lines = |file: &str, n| {
        let text = fs::read_to_string(root.join("tests/data").join(file)).unwrap();
        text.lines().take(n).map(str::to_owned).collect::<Vec<_>>()
    };
    let plan = Plan::DittoGelu;
    let task = Task::open(&dir, plan, lines("minilm_sentences.txt", 12)).unwrap();
    let (task, found) = calibrate(task, &|_, _| ()).unwrap();
    assert!(found.after.headroom() >= 1.0);
    // Other texts, with what was chosen.
    let other = Task::open(&dir, plan, lines("sentences_extra.txt", 8)).unwrap();
    let other = other.with_settings(task.job.model.settings.clone());
    let trial = Trial::run(&other, &other.reference().unwrap()).unwrap();
    assert!(trial.headroom() >= 0.5, "{:?}", trial.below(0.5));
    let Accuracy::Cosine { cosine_min, .. } = trial.accuracy else { panic!("an embedding") };
    assert!(cosine_min > 0.9985, "{cosine_min}");
}
