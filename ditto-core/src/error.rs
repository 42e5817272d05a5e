//! The error of protocols and engines. Transport errors are [`crate::net::NetError`].

use crate::net::NetError;
use crate::tensor::Shape;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong in a protocol or an engine. Messages never contain shares or secrets.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Two shapes that do not fit.
    #[error("{op}: shapes {lhs} and {rhs} do not fit")]
    Shape {
        /// The operation.
        op: &'static str,
        /// Left shape.
        lhs: Shape,
        /// Right shape.
        rhs: Shape,
    },
    /// Data of the wrong length for a shape.
    #[error("{op}: {got} elements do not fill the shape {shape}")]
    Length {
        /// The operation.
        op: &'static str,
        /// The shape wanted.
        shape: Shape,
        /// Elements given.
        got: usize,
    },
    /// A slice outside its tensor.
    #[error("slice {start}..{end} of axis {axis} is outside the shape {shape}")]
    Slice {
        /// The tensor's shape.
        shape: Shape,
        /// The axis.
        axis: usize,
        /// First index.
        start: usize,
        /// One past the last index.
        end: usize,
    },
    /// A range condition of a protocol's contract that does not hold (simulation and encoding only).
    #[error("{step}: {op} holds values of magnitude {worst:.6}, above its limit {limit:.6}")]
    Range {
        /// The step.
        step: String,
        /// The operation whose contract is broken.
        op: &'static str,
        /// The largest magnitude seen.
        worst: f64,
        /// The magnitude allowed.
        limit: f64,
    },
    /// A value that the format cannot hold.
    #[error("{name}: {value} does not fit {bits} bits with {fraction} fractional bits")]
    Encode {
        /// What was being encoded.
        name: String,
        /// The value.
        value: f64,
        /// Ring width.
        bits: u32,
        /// Fractional bits, of which a negative number counts steps larger than 1.
        fraction: i32,
    },
    /// Public exponents that do not allow the operation.
    #[error("{op}: public exponents {lhs} and {rhs} do not fit")]
    Exponent {
        /// The operation.
        op: &'static str,
        /// Left exponent.
        lhs: i32,
        /// Right exponent.
        rhs: i32,
    },
    /// A step entered twice: its randomness would be used twice.
    #[error("step `{0}` was entered twice; its randomness may be used only once")]
    StepReused(String),
    /// A step that the agreed program does not have.
    #[error("step `{0}` is not in the program that the parties agreed on")]
    StepUnknown(String),
    /// A batch that was already used or aborted.
    #[error("batch {0} is burnt: its randomness was already used; ask for a new one")]
    BatchBurnt(u64),
    /// Stored preprocessing that does not match the program.
    #[error("step `{step}`: {what}")]
    Preprocessing {
        /// The step.
        step: String,
        /// What is wrong.
        what: &'static str,
    },
    /// Two parties that hold different programs.
    #[error(
        "{peer} runs another program (digest {theirs}, ours {ours}): configuration, plan or shapes differ"
    )]
    Program {
        /// The peer.
        peer: String,
        /// Start of the peer's digest.
        theirs: String,
        /// Start of our digest.
        ours: String,
    },
    /// Evaluators that opened different values.
    #[error("the evaluators' transcripts differ; the result is withheld")]
    Transcript,
    /// The transport failed.
    #[error("{}{source}", .step.as_deref().map(|s| format!("step `{s}`: ")).unwrap_or_default())]
    Net {
        /// The step, where known.
        step: Option<String>,
        /// The cause.
        source: NetError,
    },
    /// Something this build or plan does not do.
    #[error("{0} is not supported")]
    Unsupported(&'static str),
    /// A setting that is out of bounds, or belongs to nothing in the program.
    #[error("setting `{name}` {what}")]
    Setting {
        /// The weight, step or field.
        name: String,
        /// What is wrong.
        what: &'static str,
    },
    /// A weight that could not be loaded.
    #[error("weight `{name}`: {what}")]
    Weight {
        /// Name in the checkpoint.
        name: String,
        /// What is wrong.
        what: String,
    },
    /// A pointwise function that cannot be had as it was asked for.
    #[error("pointwise function `{name}`: {what}")]
    Pointwise {
        /// The function.
        name: String,
        /// What is wrong.
        what: String,
    },
    /// A key of a distributed point function, or what it is for, that cannot be.
    #[error("distributed point function: {0}")]
    PointFunction(&'static str),
    /// A tensor library under an engine failed.
    #[error("{op}: {what}")]
    Tensors {
        /// The operation.
        op: &'static str,
        /// What the library said.
        what: String,
    },
    /// A part of this process failed (a worker thread died).
    #[error("internal error: {0}")]
    Internal(&'static str),
}

impl Error {
    /// A shape error.
    pub fn shape(op: &'static str, lhs: &Shape, rhs: &Shape) -> Self {
        Self::Shape { op, lhs: lhs.clone(), rhs: rhs.clone() }
    }
}

impl From<NetError> for Error {
    fn from(source: NetError) -> Self {
        Self::Net { step: None, source }
    }
}
