//! What can be wrong with a checkpoint's configuration.

use std::path::PathBuf;

/// An error in one of a checkpoint's configuration files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A file could not be read.
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
    #[error("{}: {bytes} bytes are over the limit of {limit}", .file.display())]
    TooLarge {
        /// The file.
        file: PathBuf,
        /// Its size.
        bytes: u64,
        /// The most that is accepted.
        limit: u64,
    },
    /// A file is not the JSON that it should be.
    #[error("{}: malformed JSON", .file.display())]
    Json {
        /// The file.
        file: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A field that has no default is missing.
    #[error("{}: {field} is missing", .file.display())]
    MissingField {
        /// The file.
        file: PathBuf,
        /// The field.
        field: String,
    },
    /// A field has a value of another kind, or one out of bounds.
    #[error("{}: {field} is {found}, but should be {expected}", .file.display())]
    Field {
        /// The file.
        file: PathBuf,
        /// The field.
        field: String,
        /// Its value, as JSON.
        found: String,
        /// What it should be.
        expected: String,
    },
    /// A field asks for something that this program does not do.
    #[error("{}: {field} {found} is not supported: {reason}", .file.display())]
    Unsupported {
        /// The file.
        file: PathBuf,
        /// The field.
        field: String,
        /// Its value, as JSON.
        found: String,
        /// What is supported instead, or why it is not.
        reason: String,
    },
    /// The tensors of a head do not fit the configuration.
    #[error("{}: {tensor:?} has shape {found:?}, but {} needs {expected}", .dir.display(), .file.display())]
    HeadShape {
        /// The checkpoint's directory.
        dir: PathBuf,
        /// The tensor.
        tensor: String,
        /// Its shape.
        found: Vec<usize>,
        /// The file that it does not fit.
        file: PathBuf,
        /// What would fit.
        expected: String,
    },
    /// A tensor of the head that the configuration announces is missing.
    #[error("{}: no tensor {tensor:?}, though architectures in {} has {architecture}", .dir.display(), .file.display())]
    HeadMissing {
        /// The checkpoint's directory.
        dir: PathBuf,
        /// The tensor.
        tensor: String,
        /// The configuration file.
        file: PathBuf,
        /// The class that it lists.
        architecture: String,
    },
}
