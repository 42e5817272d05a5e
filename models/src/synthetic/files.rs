//! The files of a synthetic checkpoint.

use std::path::Path;
use std::{fs, io};

use serde_json::{Map, Value, json};

use super::SyntheticError;
use super::tensor::Tensor;

/// The weights of a checkpoint, in a number of files.
pub(super) struct Weights {
    tensors: Vec<Tensor>,
    shards: usize,
}

impl Weights {
    /// In one file, or in shards with an index.
    pub(super) fn new(tensors: Vec<Tensor>, shards: usize) -> Result<Self, SyntheticError> {
        if shards == 0 || shards > tensors.len() {
            return Err(SyntheticError::Shards { found: shards, most: tensors.len() });
        }
        Ok(Self { tensors, shards })
    }

    /// Writes the files, in place of those of an earlier checkpoint.
    pub(super) fn write(self, dir: &Path) -> Result<(), SyntheticError> {
        const SINGLE: &str = "model.safetensors";
        const INDEX: &str = "model.safetensors.index.json";
        for stale in [SINGLE, INDEX] {
            let path = dir.join(stale);
            match fs::remove_file(&path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(SyntheticError::Io { path, source });
                }
                _ => {}
            }
        }
        if self.shards == 1 {
            return write_shard(&dir.join(SINGLE), self.tensors);
        }
        let mut weight_map = Map::new();
        let mut total_size = 0;
        let mut rest = self.tensors;
        for shard in 0..self.shards {
            let name = format!("model-{:05}-of-{:05}.safetensors", shard + 1, self.shards);
            // What is left, in equal parts: no shard is empty.
            let after = rest.split_off(rest.len() / (self.shards - shard));
            let tensors = std::mem::replace(&mut rest, after);
            for tensor in &tensors {
                weight_map.insert(tensor.name().to_owned(), Value::from(name.clone()));
                total_size += tensor.bytes();
            }
            write_shard(&dir.join(name), tensors)?;
        }
        let index = json!({ "metadata": { "total_size": total_size }, "weight_map": weight_map });
        write_json(&dir.join(INDEX), &index)
    }
}

fn write_shard(path: &Path, tensors: Vec<Tensor>) -> Result<(), SyntheticError> {
    let tensors = tensors.into_iter().map(|tensor| (tensor.name().to_owned(), tensor));
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    safetensors::serialize_to_file(tensors, Some(metadata), path)
        .map_err(|source| SyntheticError::Weights { path: path.to_owned(), source })
}

/// Makes a directory where it does not exist.
pub(super) fn create_dir(path: &Path) -> Result<(), SyntheticError> {
    fs::create_dir_all(path).map_err(|source| SyntheticError::Io { path: path.to_owned(), source })
}

/// Writes a JSON file.
pub(super) fn write_json(path: &Path, value: &Value) -> Result<(), SyntheticError> {
    let text = serde_json::to_vec_pretty(value)
        .map_err(|source| SyntheticError::Json { path: path.to_owned(), source })?;
    fs::write(path, text).map_err(|source| SyntheticError::Io { path: path.to_owned(), source })
}
