//! What can be wrong with a checkpoint's weight files.

use std::path::PathBuf;

/// An error of reading a checkpoint's weights.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The directory does not exist, or is no directory.
    #[error("{}: not a directory", .dir.display())]
    NotADirectory {
        /// What was asked for.
        dir: PathBuf,
    },
    /// There are no weights in the directory.
    #[error(
        "{}: neither model.safetensors nor model.safetensors.index.json is there{}",
        .dir.display(),
        if *.pickle { " (pytorch_model.bin is a pickle, which is not read: convert it to safetensors)" } else { "" }
    )]
    NoWeights {
        /// The checkpoint's directory.
        dir: PathBuf,
        /// Whether the weights are there as a pickle.
        pickle: bool,
    },
    /// A file could not be opened or read.
    #[error("{}: cannot read the file", .file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file that should be a regular one is something else.
    #[error("{}: not a regular file", .file.display())]
    NotAFile {
        /// The file.
        file: PathBuf,
    },
    /// A file is larger than any honest one.
    #[error("{}: {what} of {bytes} bytes is over the limit of {limit}", .file.display())]
    TooLarge {
        /// The file.
        file: PathBuf,
        /// The part of it that is too large.
        what: &'static str,
        /// Its size.
        bytes: u64,
        /// The most that is accepted.
        limit: u64,
    },
    /// A file ends before what its header promises, or goes on after it.
    #[error("{}: {what} takes {expected} bytes, but the file has {found}", .file.display())]
    Length {
        /// The file.
        file: PathBuf,
        /// The part that does not fit.
        what: &'static str,
        /// The bytes that the header promises, counted from the start of the file.
        expected: u64,
        /// The bytes that the file has.
        found: u64,
    },
    /// The header of a safetensors file is malformed.
    #[error("{}: malformed safetensors header: {reason}", .file.display())]
    Header {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The index of a sharded checkpoint is malformed.
    #[error("{}: malformed index: {reason}", .file.display())]
    Index {
        /// The index file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The index of a sharded checkpoint names something that is no plain file name.
    #[error("{}: weight_map[{tensor:?}]: {shard:?} is not a plain name of a .safetensors file", .file.display())]
    ShardName {
        /// The index file.
        file: PathBuf,
        /// The tensor whose shard is named.
        tensor: String,
        /// The name.
        shard: String,
    },
    /// The index promises a tensor that its shard does not hold.
    #[error("{}: no tensor {tensor:?}, which {} says is there", .shard.display(), .index.display())]
    NotInShard {
        /// The shard.
        shard: PathBuf,
        /// The index file.
        index: PathBuf,
        /// The tensor.
        tensor: String,
    },
    /// A tensor is missing.
    #[error("{}: no tensor {tensor:?}{}", .dir.display(), near_hint(.near))]
    Missing {
        /// The checkpoint's directory.
        dir: PathBuf,
        /// The tensor.
        tensor: String,
        /// The names in the checkpoint that are most like it.
        near: Vec<String>,
    },
    /// A tensor has another shape than the model needs.
    #[error("{}: tensor {tensor:?} has shape {found:?}, but the model needs {expected:?}", .file.display())]
    Shape {
        /// The file that holds the tensor.
        file: PathBuf,
        /// The tensor.
        tensor: String,
        /// The shape that the model needs.
        expected: Vec<usize>,
        /// The shape in the file.
        found: Vec<usize>,
    },
    /// A tensor's numbers are of a type that is not read.
    #[error("{}: tensor {tensor:?} has type {dtype}, but only F32, F16 and BF16 are read", .file.display())]
    Dtype {
        /// The file that holds the tensor.
        file: PathBuf,
        /// The tensor.
        tensor: String,
        /// Its type, as safetensors spells it.
        dtype: String,
    },
    /// A tensor holds NaN or an infinity.
    #[error("{}: tensor {tensor:?} holds {value} at element {element}", .file.display())]
    NotFinite {
        /// The file that holds the tensor.
        file: PathBuf,
        /// The tensor.
        tensor: String,
        /// The place of the first such number, in row-major order.
        element: usize,
        /// The number.
        value: f32,
    },
}

fn near_hint(near: &[String]) -> String {
    match near {
        [] => String::new(),
        near => format!(" (near names: {})", near.join(", ")),
    }
}
