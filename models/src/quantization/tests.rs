use std::fs;

use serde_json::{Value, json};

use super::*;
use crate::config::BertConfig;
use crate::report::chain;
use crate::synthetic::{Synthetic, SyntheticHead};

fn sample() -> Value {
    json!({
        "version": 1,
        "plan": "accurate",
        "weights_sha256": "00",
        "texts": 3,
        "quantization": {
            "weights": { "encoder.layer.0.output.dense.weight": -2 },
            "steps": { "bert/root": { "range": 4, "low": -6 }, "bert/rescale": { "exponent": 1 } }
        },
        "recorded": { "bert/root: inverse": [0.25, 4.0] }
    })
}

fn read(value: &Value) -> Result<QuantizationFile, QuantizationError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("quantization.accurate.json");
    fs::write(&path, value.to_string()).unwrap();
    QuantizationFile::read(&path)
}

#[test]
fn a_file_is_read_as_it_was_written() {
    let file = read(&sample()).unwrap();
    assert_eq!(file.settings().quantization.weight("encoder.layer.0.output.dense.weight"), -2);
    assert_eq!(file.settings().quantization.step("bert/root").low, Some(-6));
    let dir = tempfile::tempdir().unwrap();
    let path = QuantizationFile::path(dir.path(), Plan::Accurate);
    file.write(&path).unwrap();
    assert_eq!(QuantizationFile::read(&path).unwrap(), file);
    assert_eq!(*settings_for(dir.path(), Plan::Accurate, None).unwrap(), *file.settings());
    assert_eq!(
        *settings_for(dir.path(), Plan::Accurate, Some("none".as_ref())).unwrap(),
        Settings::default()
    );
    assert_eq!(*settings_for(dir.path(), Plan::Ditto, None).unwrap(), Settings::default());
    let other = settings_for(dir.path(), Plan::Ditto, Some(&path)).unwrap_err();
    assert!(matches!(other, QuantizationError::Plan { .. }), "{other}");
}

#[test]
fn what_is_malformed_is_refused_by_name() {
    let refused = |path: &str, value: Value, what: &str| {
        let mut file = sample();
        *file.pointer_mut(path).unwrap() = value;
        let error = chain(&read(&file).unwrap_err());
        assert!(error.contains(what) && error.contains("quantization.accurate.json"), "{error}");
    };
    refused("/version", json!(2), "calibrate again");
    refused("/version", json!("one"), "invalid type");
    refused("/plan", json!("fast"), "fast");
    refused("/quantization/weights", json!({"w": 1000}), "`w`");
    refused("/quantization/weights", json!({"w": 0.5}), "0.5");
    refused("/quantization/steps", json!({"s": {"range": -99}}), "`s`");
    refused("/quantization/steps", json!({"s": {"range": 1, "low": 2}}), "empty");
    refused("/quantization/steps", json!({"s": {"rnage": 1}}), "rnage");
    refused("/quantization", json!({"weights": {}, "steps": {}, "more": 1}), "more");
    refused("/recorded", json!({"s": [1]}), "invalid length");
    let mut file = sample();
    file["extra"] = json!(1);
    assert!(chain(&read(&file).unwrap_err()).contains("extra"));
}

#[test]
fn what_is_no_file_or_too_large_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let huge = dir.path().join("huge.json");
    fs::File::create(&huge).unwrap().set_len(LIMIT + 1).unwrap();
    for path in [huge.as_path(), dir.path()] {
        let error = QuantizationFile::read(path).unwrap_err();
        assert!(matches!(error, QuantizationError::NotAFile { .. }), "{error}");
    }
    let missing = settings_for(dir.path(), Plan::Ditto, Some("no/such/file".as_ref())).unwrap_err();
    assert!(chain(&missing).contains("no/such/file"));
    assert!(chain(&QuantizationFile::read("/dev/null".as_ref()).unwrap_err()).contains("/dev/null"));
}

#[test]
fn the_digest_is_of_the_weights_and_not_of_their_files() {
    let digest = |seed, shards| {
        let dir = tempfile::tempdir().unwrap();
        let all = Synthetic::new(BertConfig::tiny(), SyntheticHead::Embedding, seed);
        Synthetic { shards, ..all }.write(dir.path()).unwrap();
        weights_digest(&Checkpoint::open(dir.path()).unwrap()).unwrap()
    };
    assert_eq!(digest(1, 1), digest(1, 3));
    assert_ne!(digest(1, 1), digest(2, 1));
    assert_eq!(digest(1, 1).len(), 64);
}
