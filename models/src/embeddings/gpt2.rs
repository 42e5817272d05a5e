use std::sync::Arc;

use ditto_core::Error;
use ditto_core::tensor::Array;
use rayon::prelude::*;

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::config::Gpt2Config;
use crate::weights::Gpt2Floats;

/// The table of tokens.
const TOKENS: &str = "wte.weight";
/// The table of positions.
const POSITIONS: &str = "wpe.weight";

/// A table with a row for each token or position.
#[derive(Debug, Clone)]
struct Table {
    name: &'static str,
    width: usize,
    // Shared, as the table of tokens may also make the logits.
    numbers: Arc<Vec<f32>>,
}

impl Table {
    fn row(&self, i: usize) -> ditto_core::Result<&[f32]> {
        self.numbers.chunks_exact(self.width).nth(i).ok_or_else(|| {
            let what = format!("there is no row {i} among {}", self.numbers.len() / self.width);
            Error::Weight { name: self.name.to_owned(), what }
        })
    }
}

/// The embedding tables of a GPT-2.
#[derive(Debug, Clone)]
pub struct Gpt2Embeddings {
    tokens: Table,
    positions: Table,
}

impl Gpt2Embeddings {
    /// Reads the two tables.
    pub fn open(checkpoint: &Checkpoint, config: &Gpt2Config) -> Result<Self, CheckpointError> {
        let (body, width) = (Gpt2Floats(checkpoint).body(), config.n_embd);
        let table = |name: &'static str, rows: usize| {
            Ok(Table { name, width, numbers: Arc::new(body.tensor(name, &[rows, width])?) })
        };
        Ok(Self {
            tokens: table(TOKENS, config.vocab_size)?,
            positions: table(POSITIONS, config.n_positions)?,
        })
    }

    /// The sums of embeddings of tokens that follow `past` others, [tokens, hidden].
    ///
    /// # Errors
    ///
    /// For a token or position that the tables lack.
    pub fn rows(&self, ids: &[u32], past: usize) -> ditto_core::Result<Array<f32>> {
        let mut data = Vec::with_capacity(ids.len() * self.tokens.width);
        for (i, &id) in ids.iter().enumerate() {
            let (token, position) =
                (self.tokens.row(id as usize)?, self.positions.row(past.saturating_add(i))?);
            data.extend(token.iter().zip(position).map(|(t, p)| t + p));
        }
        Array::new([ids.len(), self.tokens.width], data)
    }

    /// The table that makes logits: that of tokens, or one of its own where the checkpoint has it.
    ///
    /// # Errors
    ///
    /// As [`Checkpoint::tensor`].
    pub fn lm_head(&self, checkpoint: &Checkpoint) -> Result<LmHead, CheckpointError> {
        let Table { width, numbers, .. } = &self.tokens;
        let floats = Gpt2Floats(checkpoint);
        let numbers = if floats.has_head() {
            Arc::new(floats.head(&[numbers.len() / width, *width])?)
        } else {
            numbers.clone()
        };
        Ok(LmHead { width: *width, numbers })
    }
}

/// The table that makes logits of a hidden state, for a client to whom hidden states are opened.
#[derive(Debug, Clone)]
pub struct LmHead {
    width: usize,
    numbers: Arc<Vec<f32>>,
}

impl LmHead {
    /// The logits of all tokens for a hidden state, after the last normalisation.
    ///
    /// # Errors
    ///
    /// For a hidden state of another width.
    pub fn logits(&self, hidden: &[f32]) -> ditto_core::Result<Vec<f32>> {
        if hidden.len() != self.width {
            let (op, shape) = ("logits", [self.width].into());
            return Err(Error::Length { op, shape, got: hidden.len() });
        }
        let dot = |row: &[f32]| row.iter().zip(hidden).map(|(a, b)| a * b).sum();
        Ok(self.numbers.par_chunks_exact(self.width).map(dot).collect())
    }
}

#[cfg(test)]
mod tests;
