//! Weights in shards, with an index that says which tensor is in which.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::CheckpointError;
use super::shard::{Shard, file_error};
use crate::files;

/// The most bytes that an index may have.
const MAX_INDEX: u64 = 16 << 20;

/// The most shards: each is an open file.
const MAX_SHARDS: usize = 256;

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// Opens the shards that an index names, and says for each tensor in which of them it is.
pub(super) fn open(
    dir: &Path,
    path: &Path,
) -> Result<(Vec<Shard>, BTreeMap<String, usize>), CheckpointError> {
    let malformed = |reason| CheckpointError::Index { file: path.to_owned(), reason };
    let content = files::read(path, MAX_INDEX).map_err(|e| file_error(path, "file", MAX_INDEX, e))?;
    let index: Index = serde_json::from_slice(&content).map_err(|e| malformed(e.to_string()))?;

    let mut shards = Vec::new();
    let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
    let mut place = BTreeMap::new();
    for (tensor, name) in &index.weight_map {
        let number = match numbers.get(name.as_str()) {
            Some(&number) => number,
            None => {
                if !is_plain(name) {
                    return Err(CheckpointError::ShardName {
                        file: path.to_owned(),
                        tensor: tensor.clone(),
                        shard: name.clone(),
                    });
                }
                if shards.len() == MAX_SHARDS {
                    return Err(malformed(format!("more than {MAX_SHARDS} shards")));
                }
                shards.push(Shard::open(&dir.join(name))?);
                numbers.insert(name, shards.len() - 1);
                shards.len() - 1
            }
        };
        let shard: &Shard = &shards[number];
        if shard.shape(tensor).is_none() {
            return Err(CheckpointError::NotInShard {
                shard: shard.path().to_owned(),
                index: path.to_owned(),
                tensor: tensor.clone(),
            });
        }
        place.insert(tensor.clone(), number);
    }
    if shards.is_empty() {
        return Err(malformed("weight_map is empty".to_owned()));
    }
    Ok((shards, place))
}

/// Whether a shard's name is that of a file in the checkpoint's own directory. Both separators are
/// refused everywhere, so that a checkpoint is not good on one system and bad on another.
fn is_plain(name: &str) -> bool {
    name.ends_with(".safetensors")
        && !name.starts_with('.')
        && name.len() <= 255
        && !name.chars().any(|c| matches!(c, '/' | '\\' | ':') || c.is_control())
}
