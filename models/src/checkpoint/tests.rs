use std::fs;
use std::path::Path;

use half::{bf16, f16};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Checkpoint, CheckpointError};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// The bytes of a safetensors file with any header at all.
fn raw(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

/// A correct safetensors file.
fn file(tensors: &[(&str, &str, &[usize], Vec<u8>)]) -> Vec<u8> {
    let mut header = json!({ "__metadata__": { "format": "pt" } });
    let mut data = Vec::new();
    for (name, dtype, shape, bytes) in tensors {
        let begin = data.len();
        data.extend(bytes);
        header[name] = json!({ "dtype": dtype, "shape": shape, "data_offsets": [begin, data.len()] });
    }
    raw(&header.to_string(), &data)
}

fn f32s(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn dir_with(files: &[(&str, Vec<u8>)]) -> TempDir {
    let dir = TempDir::new().unwrap();
    for (name, content) in files {
        fs::write(dir.path().join(name), content).unwrap();
    }
    dir
}

fn open(content: Vec<u8>) -> Result<Checkpoint, CheckpointError> {
    Checkpoint::open(dir_with(&[(SINGLE, content)]).path())
}

fn open_named(names: &[&str]) -> Checkpoint {
    let tensors: Vec<_> = names.iter().map(|name| (*name, "F32", &[1][..], f32s(&[1.0]))).collect();
    open(file(&tensors)).unwrap()
}

fn message<T>(result: Result<T, CheckpointError>) -> String {
    result.err().unwrap().to_string()
}

#[test]
fn reads_all_float_types() {
    let values = [0.5_f32, -2.0, 1.0 / 1024.0, 0.0, 65504.0, -0.0];
    let half = values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect();
    let brain = values.iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect();
    let content = file(&[
        ("a", "F32", &[2, 3], f32s(&values)),
        ("b", "F16", &[6], half),
        ("c", "BF16", &[3, 2], brain),
        ("ids", "I64", &[1], vec![0; 8]),
        ("scalar", "F32", &[], f32s(&[3.0])),
        ("empty", "F32", &[0, 4], vec![]),
    ]);
    let checkpoint = open(content).unwrap();
    assert_eq!(checkpoint.tensor("a", &[2, 3]).unwrap(), values);
    assert_eq!(checkpoint.tensor("b", &[6]).unwrap(), values);
    // 65504 rounds to a number with 8 significant bits.
    assert_eq!(checkpoint.tensor("c", &[3, 2]).unwrap()[..4], values[..4]);
    assert_eq!(checkpoint.tensor("c", &[3, 2]).unwrap()[4], 65536.0);
    assert_eq!(checkpoint.tensor("scalar", &[]).unwrap(), [3.0]);
    assert!(checkpoint.tensor("empty", &[0, 4]).unwrap().is_empty());
    assert_eq!(checkpoint.names().collect::<Vec<_>>(), ["a", "b", "c", "empty", "ids", "scalar"]);
    assert!(message(checkpoint.tensor("ids", &[1])).contains("\"ids\" has type I64"));
}

#[test]
fn reads_tensors_of_many_chunks() {
    let values: Vec<f32> = (0..200_001_u32).map(|i| i as f32).collect();
    let checkpoint =
        open(file(&[("before", "F16", &[1], vec![0; 2]), ("big", "F32", &[3, 66667], f32s(&values))]))
            .unwrap();
    assert_eq!(checkpoint.tensor("big", &[3, 66667]).unwrap(), values);
}

#[test]
fn names_what_is_missing_or_misshaped() {
    let checkpoint = open_named(&["bert.pooler.dense.weight", "bert.pooler.dense.bias", "classifier.weight"]);
    assert!(checkpoint.optional_tensor("pooler.dense.weight", &[1]).unwrap().is_none());
    let text = message(checkpoint.tensor("pooler.dense.weight", &[1]));
    assert!(
        text.contains("no tensor \"pooler.dense.weight\" (near names: bert.pooler.dense.weight, "),
        "{text}"
    );
    let text = message(checkpoint.tensor("classifier.weight", &[2, 3]));
    assert!(text.contains("model.safetensors"), "{text}");
    assert!(text.contains("\"classifier.weight\" has shape [1], but the model needs [2, 3]"), "{text}");
    // A shape that is there but wrong is not as good as absent.
    assert!(checkpoint.optional_tensor("classifier.weight", &[2]).is_err());
}

#[test]
fn refuses_numbers_that_are_not_finite() {
    for (bad, shown) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (f32::NEG_INFINITY, "-inf")] {
        let values = [1.0, bad, 2.0];
        let half = values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect();
        let brain = values.iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect();
        let content =
            file(&[("f", "F32", &[3], f32s(&values)), ("h", "F16", &[3], half), ("b", "BF16", &[3], brain)]);
        let checkpoint = open(content).unwrap();
        for name in ["f", "h", "b"] {
            let text = message(checkpoint.tensor(name, &[3]));
            assert!(text.ends_with(&format!("tensor {name:?} holds {shown} at element 1")), "{text}");
        }
    }
}

#[test]
fn finds_prefixes_and_old_names() {
    let alone = open_named(&["embeddings.LayerNorm.gamma", "embeddings.LayerNorm.beta"]);
    let with_head = open_named(&["bert.embeddings.LayerNorm.weight", "classifier.weight"]);
    for checkpoint in [&alone, &with_head] {
        let bert = checkpoint.prefix(&["model.bert.", "bert."]);
        let norm = bert.pp("embeddings").pp("LayerNorm.");
        assert!(norm.has("weight"));
        assert_eq!(norm.shape("weight"), Some(&[1][..]));
        assert_eq!(norm.tensor("weight", &[1]).unwrap(), [1.0]);
        assert!(norm.optional_tensor("scale", &[1]).unwrap().is_none());
    }
    assert_eq!(alone.prefix(&["bert"]).prefix(), "");
    assert_eq!(with_head.prefix(&["", "bert"]).prefix(), "bert.");
    assert_eq!(alone.root().tensor("embeddings.LayerNorm.bias", &[1]).unwrap(), [1.0]);
    assert!(!with_head.has("bert.embeddings.LayerNorm.bias"));
    // Only layer normalisations have old names.
    assert!(!open_named(&["dense.gamma"]).has("dense.weight"));
    assert_eq!(with_head.prefix(&["bert"]).checkpoint().dir(), with_head.dir());
}

#[test]
fn refuses_truncated_and_extended_files() {
    let good = file(&[("a", "F32", &[4], f32s(&[1.0; 4]))]);
    for length in 0..good.len() {
        match open(good[..length].to_vec()) {
            Err(CheckpointError::Length { found, expected, .. }) => {
                assert_eq!(found, length as u64);
                assert!(expected > found);
            }
            other => panic!("{length} bytes: {other:?}"),
        }
    }
    let extended = [good, vec![0]].concat();
    assert!(matches!(open(extended), Err(CheckpointError::Length { .. })));
}

#[test]
fn notices_a_file_that_shrinks_after_it_was_opened() {
    let dir = dir_with(&[(SINGLE, file(&[("a", "F32", &[4], f32s(&[1.0; 4]))]))]);
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    let path = dir.path().join(SINGLE);
    let length = fs::metadata(&path).unwrap().len();
    fs::File::options().write(true).open(&path).unwrap().set_len(length - 1).unwrap();
    assert!(matches!(checkpoint.tensor("a", &[4]), Err(CheckpointError::Io { .. })));
}

#[test]
fn refuses_hostile_headers() {
    let huge = u64::MAX.to_le_bytes().to_vec();
    assert!(matches!(open(huge), Err(CheckpointError::TooLarge { bytes: u64::MAX, .. })));
    let entry = |dtype: &str, shape: Value, offsets: Value| {
        json!({ "a": { "dtype": dtype, "shape": shape, "data_offsets": offsets } }).to_string()
    };
    let headers = [
        "not json".to_owned(),
        "[]".to_owned(),
        "{\"a\": 1}".to_owned(),
        entry("F32", json!([1]), json!([4, 8])),
        entry("F32", json!([1]), json!([4, 0])),
        entry("F32", json!([1]), json!([0, 8])),
        entry("F32", json!([2]), json!([0, 4])),
        entry("F32", json!([-1]), json!([0, 4])),
        entry("F32", json!([u64::MAX, 4]), json!([0, 4])),
        entry("F32", json!([1_u64 << 62]), json!([0, 0])),
        entry("F32", json!([1]), json!([0, u64::MAX])),
        entry("FLOAT", json!([1]), json!([0, 4])),
        // Two tensors in the same place.
        json!({
            "a": { "dtype": "F32", "shape": [1], "data_offsets": [0, 4] },
            "b": { "dtype": "F32", "shape": [1], "data_offsets": [0, 4] },
        })
        .to_string(),
    ];
    for header in headers {
        let result = open(raw(&header, &[0; 4]));
        assert!(matches!(result, Err(CheckpointError::Header { .. })), "{header}: {result:?}");
    }
    // Nothing wrong with the header alone, but the data ends before it should.
    let result = open(raw(&entry("F32", json!([1_u64 << 40]), json!([0, 1_u64 << 42])), &[0; 4]));
    assert!(matches!(result, Err(CheckpointError::Length { .. })), "{result:?}");
    // Not UTF-8.
    assert!(matches!(
        open([&4_u64.to_le_bytes()[..], &[0xff; 4]].concat()),
        Err(CheckpointError::Header { .. })
    ));
}

#[test]
fn explains_directories_without_weights() {
    let none = Path::new("/nonexistent/checkpoint");
    assert!(message(Checkpoint::open(none)).ends_with("not a directory"));
    let empty = dir_with(&[]);
    assert!(message(Checkpoint::open(empty.path())).contains("neither model.safetensors nor"));
    let pickle = dir_with(&[("pytorch_model.bin", vec![])]);
    assert!(message(Checkpoint::open(pickle.path())).contains("is a pickle"));
    let odd = TempDir::new().unwrap();
    fs::create_dir(odd.path().join(SINGLE)).unwrap();
    assert!(matches!(Checkpoint::open(odd.path()), Err(CheckpointError::NotAFile { .. })));
}

#[cfg(unix)]
#[test]
fn follows_links_as_the_hub_cache_has_them() {
    let blobs = dir_with(&[("blob", file(&[("a", "F32", &[1], f32s(&[1.0]))]))]);
    let dir = TempDir::new().unwrap();
    std::os::unix::fs::symlink(blobs.path().join("blob"), dir.path().join(SINGLE)).unwrap();
    assert!(Checkpoint::open(dir.path()).unwrap().has("a"));
    fs::remove_file(blobs.path().join("blob")).unwrap();
    assert!(matches!(Checkpoint::open(dir.path()), Err(CheckpointError::Io { .. })));
}

fn sharded(weight_map: Value) -> Result<Checkpoint, CheckpointError> {
    let shard = |name| file(&[(name, "F32", &[1], f32s(&[name.len() as f32]))]);
    let index = json!({ "metadata": { "total_size": 8 }, "weight_map": weight_map }).to_string();
    let files = [("1.safetensors", shard("a")), ("2.safetensors", shard("bb")), (INDEX, index.into_bytes())];
    let dir = dir_with(&files);
    let checkpoint = Checkpoint::open(dir.path())?;
    checkpoint.tensor("a", &[1])?;
    Ok(checkpoint)
}

#[test]
fn reads_shards() {
    let checkpoint = sharded(json!({ "a": "1.safetensors", "bb": "2.safetensors" })).unwrap();
    assert_eq!(checkpoint.names().collect::<Vec<_>>(), ["a", "bb"]);
    // The files are gone, but still open.
    if cfg!(unix) {
        assert_eq!(checkpoint.tensor("bb", &[1]).unwrap(), [2.0]);
    }
}

#[test]
fn refuses_a_bad_index() {
    let outside = [
        "../1.safetensors",
        "/etc/passwd",
        "sub/1.safetensors",
        "..\\1.safetensors",
        "C:1.safetensors",
        ".hidden.safetensors",
        "..",
        "",
        "1.safetensors\0",
        "config.json",
    ];
    for name in outside {
        let result = sharded(json!({ "a": name }));
        assert!(
            matches!(&result, Err(CheckpointError::ShardName { shard, .. }) if shard == name),
            "{result:?}"
        );
    }
    assert!(matches!(sharded(json!({ "a": "3.safetensors" })), Err(CheckpointError::Io { .. })));
    let text = message(sharded(json!({ "a": "2.safetensors" })));
    assert!(text.contains("2.safetensors: no tensor \"a\", which "), "{text}");
    assert!(message(sharded(json!({ "bb": "2.safetensors" }))).contains("no tensor \"a\""));
    for malformed in [json!({}), json!([]), json!({ "a": 1 })] {
        assert!(matches!(sharded(malformed), Err(CheckpointError::Index { .. })));
    }
    assert!(matches!(
        Checkpoint::open(dir_with(&[(INDEX, b"{}".to_vec())]).path()),
        Err(CheckpointError::Index { .. })
    ));
}

#[test]
fn prefers_the_single_file() {
    let index = json!({ "weight_map": { "b": "missing.safetensors" } }).to_string().into_bytes();
    let dir = dir_with(&[(SINGLE, file(&[("a", "F32", &[1], f32s(&[1.0]))])), (INDEX, index)]);
    assert!(Checkpoint::open(dir.path()).unwrap().has("a"));
}
