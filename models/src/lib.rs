//! Private BERT.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod checkpoint;
pub mod config;
mod files;
pub mod synthetic;
pub mod text;
