//! The configuration of a checkpoint.

mod bert;
mod common;
mod error;
mod head;
mod json;
mod pooling;

#[cfg(test)]
mod tests;

pub use self::bert::{Activation, BertConfig, Problem};
pub use self::error::ConfigError;
pub use self::head::{Head, Scores};

/// The file of the configuration.
const CONFIG: &str = "config.json";

/// Bounds on sizes: far above any BERT, far below what makes products of them overflow.
mod bounds {
    pub(super) const VOCAB: usize = 1 << 21;
    pub(super) const HIDDEN: usize = 1 << 14;
    pub(super) const LAYERS: usize = 256;
    pub(super) const INTERMEDIATE: usize = 1 << 16;
    pub(super) const POSITIONS: usize = 1 << 16;
    pub(super) const TYPES: usize = 64;
    pub(super) const LABELS: usize = 1 << 16;
    pub(super) const EPS: f64 = 0.01;
}
