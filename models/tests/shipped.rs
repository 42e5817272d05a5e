//! The small checkpoints of this repository: they load, their configurations name what they were distilled for, and
//! fixed point answers as floats do, with headroom.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use ditto_models::answer::Answer;
use ditto_models::calibrate::{REQUIRED, Trial};
use ditto_models::plan::Plan;
use ditto_models::run::Task;

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("checkpoints").join(name)
}

fn task(name: &str, texts: &[&str]) -> Task {
    let task = Task::open(&shipped(name), Plan::Ditto, texts.to_vec()).unwrap();
    assert!(task.job.model.is_distilled());
    let (task, file) = task.quantized(None).unwrap();
    assert!(file.is_some(), "there is a calibration");
    task
}

#[test]
fn definitions_are_classified_alike() {
    let texts = [
        "a small bird with bright feathers",
        "a sweet cake made with fruit",
        "someone who repairs shoes",
        "a town in southern France",
        "a tall tree with edible nuts",
        "a machine for cutting metal",
    ];
    let task = task("kinds", &texts);
    let reference = task.reference().unwrap();
    let trial = Trial::run(&task, &reference).unwrap();
    assert!(trial.headroom() >= REQUIRED, "{}", trial.headroom());
    let labels = |answers: &[Answer]| {
        let label = |answer: &Answer| match answer {
            Answer::Label { label, .. } => label.clone(),
            _ => panic!("a classifier gives labels"),
        };
        answers.iter().map(label).collect::<Vec<_>>()
    };
    assert_eq!(labels(&trial.answers), labels(&reference));
    assert_eq!(labels(&reference), ["animal", "food", "person", "place", "plant", "artifact"]);
}

#[test]
fn words_are_defined_alike() {
    let task = task("dictionary", &["lighthouse: a tower with", "violin: a"]);
    let reference = task.reference().unwrap();
    let trial = Trial::run(&task, &reference).unwrap();
    assert!(trial.headroom() >= REQUIRED, "{}", trial.headroom());
    for (fixed, float) in trial.answers.iter().zip(&reference) {
        let far = fixed.values().iter().zip(float.values()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(far < 0.5, "{far}");
    }
}

#[test]
fn they_are_small() {
    let bytes = |dir: PathBuf| {
        let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len());
        files.sum::<u64>()
    };
    let all = bytes(shipped("kinds")) + bytes(shipped("dictionary"));
    assert!(all <= 8 << 20, "{all} bytes");
}

#[test]
fn they_bring_the_functions_that_students_bring() {
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/train/transformers/modeling_quad.py");
    let module = std::fs::read(module).unwrap();
    for name in ["kinds", "dictionary"] {
        assert!(std::fs::read(shipped(name).join("modeling_quad.py")).unwrap() == module, "{name}");
    }
}
