//! Models for private inference: BERT and GPT-2 in `#[secure_model]`, Hugging Face checkpoints, and what the
//! `ditto` program is made of.
//!
//! [`bert`] is a model, generic over an engine and a [`plan`]; [`model`] makes it something that parties run;
//! [`calibrate`] fits number formats to a checkpoint, [`quantization`] keeps what it found; [`checkpoint`],
//! [`config`], [`weights`], [`text`] and [`embeddings`] read files and prepare inputs; [`run`] plays owner,
//! client and three parties on one machine.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod answer;
pub mod architecture;
pub mod bert;
pub mod calibrate;
pub mod checkpoint;
pub mod config;
pub mod embeddings;
pub mod estimate;
pub mod eval;
mod files;
#[cfg(test)]
mod fuzz;
pub mod generate;
pub mod gpt2;
pub mod input;
mod labelled;
pub mod lookup;
pub mod model;
pub mod plan;
pub mod quantization;
pub mod rehearsal;
pub mod report;
mod request;
pub mod run;
pub mod synthetic;
pub mod text;
pub mod train;
pub mod weights;
