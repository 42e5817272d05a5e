//! A checkpoint in the Hugging Face layout: a directory with `config.json`, `tokenizer.json` and the
//! weights, as one `model.safetensors` or as shards with `model.safetensors.index.json`.
//!
//! Only the headers of the weight files are held in memory. A tensor is read from the disk when it
//! is asked for, straight into the `Vec<f32>` that the caller gets, so that the largest checkpoint
//! is never in memory twice.

mod error;
mod index;
mod near;
mod shard;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ditto_core::session::Floats;

pub use self::error::CheckpointError;
use self::shard::Shard;

/// The weights as one file.
const SINGLE: &str = "model.safetensors";
/// The index of weights in shards.
const INDEX: &str = "model.safetensors.index.json";
/// The weights as a pickle, which only serves to explain their absence.
const PICKLE: &str = "pytorch_model.bin";

/// Names that old checkpoints, converted from TensorFlow, have in place of today's.
const OLD_NAMES: [(&str, &str); 2] =
    [("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias", "LayerNorm.beta")];

/// An open checkpoint directory.
///
/// ```no_run
/// # use ditto_models::checkpoint::Checkpoint;
/// let checkpoint = Checkpoint::open("checkpoints/all-MiniLM-L6-v2".as_ref())?;
/// let bert = checkpoint.prefix(&["bert"]);
/// let query = bert.pp("encoder.layer.0.attention.self.query").tensor("weight", &[384, 384])?;
/// # Ok::<(), ditto_models::checkpoint::CheckpointError>(())
/// ```
#[derive(Debug)]
pub struct Checkpoint {
    dir: PathBuf,
    shards: Vec<Shard>,
    /// The shard of each tensor.
    place: BTreeMap<String, usize>,
}

impl Checkpoint {
    /// Opens a checkpoint: reads the headers of its weight files, and checks that each file is as
    /// long as its header says.
    ///
    /// # Errors
    ///
    /// Without weights in the directory, and for malformed, truncated or oversized files.
    pub fn open(dir: &Path) -> Result<Self, CheckpointError> {
        if !dir.is_dir() {
            return Err(CheckpointError::NotADirectory { dir: dir.to_owned() });
        }
        let single = dir.join(SINGLE);
        let index = dir.join(INDEX);
        // As in the transformers library, the single file wins where both are there.
        let (shards, place) = if exists(&single) {
            let shard = Shard::open(&single)?;
            let place = shard.names().map(|name| (name.to_owned(), 0)).collect();
            (vec![shard], place)
        } else if exists(&index) {
            index::open(dir, &index)?
        } else {
            let pickle = exists(&dir.join(PICKLE));
            return Err(CheckpointError::NoWeights { dir: dir.to_owned(), pickle });
        };
        Ok(Self { dir: dir.to_owned(), shards, place })
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The names of all tensors, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.place.keys().map(String::as_str)
    }

    /// Whether there is a tensor of this name. As in [`Checkpoint::tensor`], `LayerNorm.weight` and
    /// `LayerNorm.bias` are also found under their old names.
    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// The shape of a tensor, if it is there.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        let (shard, name) = self.find(name)?;
        shard.shape(name)
    }

    /// Reads a tensor that must be there, in row-major order. F16 and BF16 are converted.
    ///
    /// `LayerNorm.weight` and `LayerNorm.bias` are also found as `LayerNorm.gamma` and
    /// `LayerNorm.beta`, as checkpoints converted from TensorFlow call them.
    ///
    /// # Errors
    ///
    /// For a missing tensor, another shape, a type that is no float, NaN, infinities, and failing
    /// reads.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, CheckpointError> {
        self.optional_tensor(name, shape)?.ok_or_else(|| CheckpointError::Missing {
            dir: self.dir.clone(),
            tensor: name.to_owned(),
            near: near::near(name, self.names()),
        })
    }

    /// Reads a tensor if it is there.
    ///
    /// # Errors
    ///
    /// As [`Checkpoint::tensor`], except that a missing tensor is `None`.
    pub fn optional_tensor(&self, name: &str, shape: &[usize]) -> Result<Option<Vec<f32>>, CheckpointError> {
        self.find(name).map(|(shard, name)| shard.read(name, shape)).transpose()
    }

    /// All tensors, under their full names.
    pub fn root(&self) -> Scope<'_> {
        Scope { checkpoint: self, prefix: String::new() }
    }

    /// The tensors under the first of these prefixes that any tensor has, or all tensors where none
    /// has one. A trailing dot makes no difference.
    ///
    /// An encoder that was saved alone has `embeddings.…`; one that was saved with a head on it has
    /// `bert.embeddings.…` next to `classifier.weight`. Both are `checkpoint.prefix(&["bert"])`.
    pub fn prefix(&self, candidates: &[&str]) -> Scope<'_> {
        let found = candidates
            .iter()
            .map(|candidate| format!("{}.", candidate.trim_end_matches('.')))
            .find(|prefix| prefix.len() > 1 && self.names().any(|name| name.starts_with(prefix.as_str())));
        Scope { checkpoint: self, prefix: found.unwrap_or_default() }
    }

    /// Finds a tensor under its name, or under the old form of it.
    fn find(&self, name: &str) -> Option<(&Shard, &str)> {
        let place = |name: &str| {
            let (name, &shard) = self.place.get_key_value(name)?;
            Some((self.shards.get(shard)?, name.as_str()))
        };
        place(name).or_else(|| {
            OLD_NAMES.iter().find_map(|(today, old)| {
                let stem = name.strip_suffix(today)?;
                place(&format!("{stem}{old}"))
            })
        })
    }
}

/// The tensors of a checkpoint whose names start in some way.
#[derive(Debug, Clone)]
pub struct Scope<'a> {
    checkpoint: &'a Checkpoint,
    /// Empty, or with a dot at the end.
    prefix: String,
}

impl<'a> Scope<'a> {
    /// The tensors under a further prefix (with or without a dot at its end).
    #[must_use]
    pub fn pp(&self, part: &str) -> Self {
        Self {
            checkpoint: self.checkpoint,
            prefix: format!("{}{}.", self.prefix, part.trim_end_matches('.')),
        }
    }

    /// The prefix: empty, or with a dot at its end.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The checkpoint.
    pub fn checkpoint(&self) -> &'a Checkpoint {
        self.checkpoint
    }

    /// Whether there is a tensor of this name below the prefix.
    pub fn has(&self, name: &str) -> bool {
        self.checkpoint.has(&self.full(name))
    }

    /// The shape of a tensor below the prefix, if it is there.
    pub fn shape(&self, name: &str) -> Option<&'a [usize]> {
        self.checkpoint.shape(&self.full(name))
    }

    /// Reads a tensor below the prefix: see [`Checkpoint::tensor`].
    ///
    /// # Errors
    ///
    /// As [`Checkpoint::tensor`].
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, CheckpointError> {
        self.checkpoint.tensor(&self.full(name), shape)
    }

    /// Reads a tensor below the prefix if it is there: see [`Checkpoint::optional_tensor`].
    ///
    /// # Errors
    ///
    /// As [`Checkpoint::optional_tensor`].
    pub fn optional_tensor(&self, name: &str, shape: &[usize]) -> Result<Option<Vec<f32>>, CheckpointError> {
        self.checkpoint.optional_tensor(&self.full(name), shape)
    }

    fn full(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

/// Whether something of this name is there, if only a dangling link: opening it then gives the
/// better error.
fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Names are those of the files.
impl Floats for Checkpoint {
    fn floats(&self, name: &str, shape: &[usize]) -> ditto_core::Result<Vec<f32>> {
        let named = |e| ditto_core::Error::Weight { name: name.to_owned(), what: crate::report::chain(&e) };
        self.tensor(name, shape).map_err(named)
    }
}
