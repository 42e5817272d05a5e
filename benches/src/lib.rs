//! Benchmarks of whole models and of protocols, beside the same models in ordinary floats.
//!
//! The programs `bert`, `gpt2` and `primitives` print what they measure; their page in this folder says under which
//! conditions the published numbers came about. A [`subject`] is a model with its inputs, [`trial`] runs it, [`operation`]
//! says what each part of it took, [`plain`] is the same model in floats, [`document`] and [`text`] are what is printed.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod ablation;
pub mod chart;
pub mod document;
pub mod error;
pub mod host;
pub mod links;
pub mod operation;
pub mod options;
pub mod plain;
pub mod primitives;

pub mod program;
pub mod registers;
pub mod scaling;
pub mod size;
pub mod statistics;
pub mod subject;
pub mod text;
pub mod trial;
