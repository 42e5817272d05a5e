//! How a GPT-2 is stored.
//!
//! Its linear layers are of the class `Conv1D`, whose matrices are [inputs, outputs]: transposed to those of
//! `nn.Linear`. `attn.c_attn` is three layers side by side, of query, key and value. Files of old have
//! buffers with the causal mask (`attn.bias`, `attn.masked_bias`), which nobody asks for here. A model with
//! its head has `transformer.` before the names of all but the head.

use ditto_core::session::Floats;

use super::{Stored, named};
use crate::checkpoint::{Checkpoint, CheckpointError, Scope};

/// Prefixes under which all tensors but the head's may stand.
const PREFIXES: [&str; 1] = ["transformer"];
/// How names of matrices end that are stored [inputs, outputs].
const TRANSPOSED: [&str; 3] = [".c_attn.weight", ".c_proj.weight", ".c_fc.weight"];
/// The parts of `c_attn`, in their order.
const PARTS: [&str; 3] = ["query", "key", "value"];
/// The matrix that makes logits of hidden states.
const LM_HEAD: &str = "lm_head.weight";
/// The table of tokens.
const TOKENS: &str = "wte.weight";

/// Whether a matrix of this name is stored [inputs, outputs].
pub(super) fn is_transposed(stored: &str) -> bool {
    TRANSPOSED.iter().any(|end| stored.ends_with(end))
}

/// The weights of a GPT-2: matrices [outputs, inputs], `h.N.attn.c_attn.query`, `.key` and `.value` as layers
/// of their own, and the table of tokens as `lm_head.weight` where the checkpoint has no other.
#[derive(Debug, Clone, Copy)]
pub struct Gpt2Floats<'a>(pub &'a Checkpoint);

impl<'a> Gpt2Floats<'a> {
    /// All tensors but the head's.
    pub(crate) fn body(&self) -> Scope<'a> {
        self.0.prefix(&PREFIXES)
    }

    /// Whether logits are made by a matrix of their own, not by the table of tokens.
    pub(crate) fn has_head(&self) -> bool {
        self.0.has(LM_HEAD)
    }

    /// The matrix that makes logits of hidden states, [vocabulary, width].
    pub(crate) fn head(&self, shape: &[usize]) -> Result<Vec<f32>, CheckpointError> {
        if self.has_head() { self.0.tensor(LM_HEAD, shape) } else { self.body().tensor(TOKENS, shape) }
    }

    /// Where the checkpoint has the tensor that the model calls `name`.
    pub(super) fn place(&self, name: &str) -> Stored {
        let body = self.body();
        let whole = |name: String| Stored { name, transposed: false, part: (0, 1) };
        if name == LM_HEAD {
            return whole(if self.has_head() {
                name.to_owned()
            } else {
                format!("{}{TOKENS}", body.prefix())
            });
        }
        let (stored, part) = stored(name);
        let place = whole(format!("{}{stored}", body.prefix()));
        let part = part.map_or(place.part, |part| (part, PARTS.len()));
        Stored { transposed: is_transposed(&stored), part, ..place }
    }

    /// A matrix [inputs, outputs] that is stored so; `None` if it is not.
    fn read_transposed(
        &self,
        name: &str,
        inputs: usize,
        outputs: usize,
    ) -> Result<Option<Vec<f32>>, CheckpointError> {
        let (stored, part) = stored(name);
        if !is_transposed(&stored) {
            return Ok(None);
        }
        let (parts, first) = part.map_or((1, 0), |part| (PARTS.len(), part));
        let all = self.body().tensor(&stored, &[inputs, parts * outputs])?;
        if parts == 1 {
            return Ok(Some(all));
        }
        let mut own = Vec::with_capacity(inputs * outputs);
        for row in all.chunks_exact(parts * outputs) {
            own.extend_from_slice(&row[first * outputs..][..outputs]);
        }
        Ok(Some(own))
    }

    fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, CheckpointError> {
        if name == LM_HEAD {
            return self.head(shape);
        }
        let (stored, part) = stored(name);
        let (parts, first) = part.map_or((1, 0), |part| (PARTS.len(), part));
        match *shape {
            [outputs, inputs] if is_transposed(&stored) => {
                let columns = self.read_transposed(name, inputs, outputs)?.unwrap_or_default();
                Ok(transpose(&columns, inputs, outputs))
            }
            [outputs] => {
                let all = self.body().tensor(&stored, &[parts * outputs])?;
                Ok(all.into_iter().skip(first * outputs).take(outputs).collect())
            }
            _ => self.body().tensor(&stored, shape),
        }
    }
}

/// What the checkpoint calls the tensor, and which part of it is meant.
fn stored(name: &str) -> (String, Option<usize>) {
    let of_part = |(i, part): (usize, &str)| {
        let (layer, kind) = name.split_once(&format!(".c_attn.{part}."))?;
        Some((format!("{layer}.c_attn.{kind}"), Some(i)))
    };
    PARTS.into_iter().enumerate().find_map(of_part).unwrap_or_else(|| (name.to_owned(), None))
}

/// The columns of a matrix as rows.
fn transpose(matrix: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(rows * columns);
    (0..columns).for_each(|column| out.extend(matrix.iter().skip(column).step_by(columns)));
    out
}

impl Floats for Gpt2Floats<'_> {
    fn floats(&self, name: &str, shape: &[usize]) -> ditto_core::Result<Vec<f32>> {
        self.read(name, shape).map_err(|e| named(name, &e))
    }

    fn transposed(&self, name: &str, inputs: usize, outputs: usize) -> ditto_core::Result<Option<Vec<f32>>> {
        self.read_transposed(name, inputs, outputs).map_err(|e| named(name, &e))
    }
}

#[cfg(test)]
mod tests;
