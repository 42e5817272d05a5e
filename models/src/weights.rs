//! A checkpoint's weights under the names that the model code asks for.

mod bert;

pub use self::bert::BertFloats;
use crate::checkpoint::CheckpointError;
use crate::report::chain;

/// An error about the tensor that the model calls `name`; the cause says what the checkpoint calls it.
fn named(name: &str, cause: &CheckpointError) -> ditto_core::Error {
    ditto_core::Error::Weight { name: name.to_owned(), what: chain(cause) }
}
