//! Private BERT.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod checkpoint;
pub mod config;
mod files;
#[cfg(test)]
mod fuzz;
pub mod synthetic;
pub mod text;
