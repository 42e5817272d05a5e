//! A random GPT-2.

mod byte_level;
mod planted;
mod tensors;

#[cfg(test)]
mod tests;

use std::path::Path;

use serde_json::{Value, json};

use super::files::{self, Weights};
use super::{Dtype, SyntheticError};
use crate::config::Gpt2Config;

/// The least spread of weights: that of GPT-2's initial ones.
const SPREAD: f32 = 0.02;

/// A random GPT-2, with a byte-level vocabulary.
///
/// ```no_run
/// # use ditto_models::config::Gpt2Config;
/// # use ditto_models::synthetic::SyntheticGpt2;
/// SyntheticGpt2 { planted: Some(3000.0), ..SyntheticGpt2::new(Gpt2Config::tiny(), 7) }
///     .write("checkpoints/massive".as_ref())?;
/// # Ok::<(), ditto_models::synthetic::SyntheticError>(())
/// ```
#[derive(Debug, Clone)]
pub struct SyntheticGpt2 {
    /// The sizes. `architectures` is set from the layout. Where embeddings are not tied, there is an
    /// `lm_head.weight`.
    pub config: Gpt2Config,
    /// What the numbers are drawn from.
    pub seed: u64,
    /// The type of the numbers.
    pub dtype: Dtype,
    /// The number of weight files; with more than one, there is an index.
    pub shards: usize,
    /// Whether all tensors but the head's are called `transformer.…`.
    pub prefix: bool,
    /// Whether there are buffers with the causal mask, as in files of old.
    pub buffers: bool,
    /// The spread of weights. That of matrices which write into the residual stream is less by the root of
    /// their number.
    pub spread: f32,
    /// About what the residual stream comes to hold in one dimension at a text's first token, after the first
    /// layer.
    pub planted: Option<f32>,
}

impl SyntheticGpt2 {
    /// A checkpoint in one file of F32, as the transformers library writes one today. In a narrow model
    /// weights are so large that logits differ by some tenths all the same.
    pub fn new(config: Gpt2Config, seed: u64) -> Self {
        let spread = SPREAD.max((3.0 * config.n_embd as f32).sqrt().recip());
        let (dtype, shards, prefix, buffers) = (Dtype::F32, 1, true, false);
        Self { config, seed, dtype, shards, prefix, buffers, spread, planted: None }
    }

    /// Writes the checkpoint's files into a directory, which is created where it does not exist.
    /// An earlier checkpoint in it is replaced, though shards that only it had stay behind, unused.
    ///
    /// # Errors
    ///
    /// When a file cannot be written, and for sizes that cannot be.
    pub fn write(&self, dir: &Path) -> Result<(), SyntheticError> {
        let vocab_size = self.config.vocab_size;
        let tokenizer = byte_level::tokenizer(vocab_size)
            .ok_or(SyntheticError::VocabTooSmall { found: vocab_size, least: byte_level::LEAST })?;
        let weights = Weights::new(tensors::all(self), self.shards)?;
        files::create_dir(dir)?;
        files::write_json(&dir.join("config.json"), &self.config_json(dir)?)?;
        files::write_json(&dir.join("tokenizer.json"), &tokenizer)?;
        weights.write(dir)
    }

    fn config_json(&self, dir: &Path) -> Result<Value, SyntheticError> {
        let alone = !self.prefix && self.config.tie_word_embeddings;
        let class = if alone { "GPT2Model" } else { "GPT2LMHeadModel" };
        let config = Gpt2Config { architectures: vec![class.to_owned()], ..self.config.clone() };
        let mut value = serde_json::to_value(config)
            .map_err(|source| SyntheticError::Json { path: dir.join("config.json"), source })?;
        // What Gpt2Config has no field for, as it only ever has one value.
        value["model_type"] = json!("gpt2");
        value["n_ctx"] = json!(self.config.n_positions);
        Ok(value)
    }

    /// The spread of matrices that write into the residual stream: two in each layer.
    fn residual_spread(&self) -> f32 {
        self.spread / (2.0 * self.config.n_layer as f32).sqrt()
    }
}
