//! A massive activation, as trained GPT-2s have them: from some layer on, the residual stream holds thousands
//! in one dimension at a text's first token, and nothing like it anywhere else.
//!
//! It is planted by hand into what was drawn. Dimension [`FEED`] of the residual stream is 0 up to the first
//! feed-forward part, at all tokens and positions but the first position, where `wpe` puts a number there
//! that dwarfs all others. So `ln_2` makes of it about sqrt(width) at the first token, the largest that a
//! normalised row can hold, and about 0 at all others. A part of the inner units reads nothing but this
//! dimension, with a bias that keeps them below 0, where GELU is 0, unless it is large. They write into
//! nothing but dimension [`HELD`], which so gets the planted value. Nothing after the first layer knows of
//! this: the value stays in the stream.
//!
//! With u units of `inner` the value is u·gate·write for what a unit holds and what it is multiplied by. Any
//! one of these three could carry all of it. It is split so that the rows of `c_fc` that read and the row of
//! `c_proj` that writes are out of proportion by the same ratio, which calibration has a limit on: trained
//! checkpoints spread theirs as well.

use super::SyntheticGpt2;
use crate::synthetic::tensor::Change;

/// The dimension that the units read.
const FEED: usize = 0;
/// The dimension that holds the value.
pub(super) const HELD: usize = 1;
/// The first position's number in [`FEED`], in norms of a row of `wpe`.
const PEAK: f32 = 16.0;
/// The part of the inner units that takes part.
const UNITS: usize = 4;
/// The part of what units read at the first token that their bias takes away.
const BIAS: f32 = 0.25;

/// What is planted where.
#[derive(Debug, Clone, Copy)]
pub(super) struct Planted {
    width: usize,
    inner: usize,
    units: usize,
    peak: f32,
    read: f32,
    bias: f32,
    write: f32,
}

impl Planted {
    /// For a value that the stream is to hold.
    pub(super) fn new(spec: &SyntheticGpt2, value: f32) -> Self {
        let (width, inner) = (spec.config.n_embd, spec.config.inner_size());
        let units = inner.div_ceil(UNITS);
        let root = |n: usize| (n as f32).sqrt();
        // What `ln_2` makes of the peak.
        let normal = root(width - 1);
        // Norms of rows, by the output, as drawn.
        let (c_fc, c_proj) = (spec.spread * root(width), spec.residual_spread() * root(inner));
        // value = units · ((1 - BIAS) · ratio · c_fc · normal) · (ratio · c_proj / root(units))
        let ratio = (value.abs() / ((1.0 - BIAS) * root(units) * c_fc * normal * c_proj)).sqrt();
        Self {
            width,
            inner,
            units,
            peak: PEAK * spec.spread * root(width),
            read: ratio * c_fc,
            bias: -BIAS * ratio * c_fc * normal,
            write: value.signum() * ratio * c_proj / root(units),
        }
    }

    /// What becomes of the numbers of a tensor, by its name without a prefix.
    pub(super) fn change(self, name: &str) -> Option<Change> {
        let Self { width, inner, units, peak, read, bias, write } = self;
        Some(match name {
            "wte.weight" | "h.0.attn.c_proj.weight" => {
                Box::new(move |i, drawn| if i % width == FEED { 0.0 } else { drawn })
            }
            "wpe.weight" => Box::new(move |i, drawn| match (i / width, i % width) {
                (0, FEED) => peak,
                (_, FEED) => 0.0,
                _ => drawn,
            }),
            "h.0.attn.c_proj.bias" | "h.0.ln_2.bias" => {
                Box::new(|i, drawn| if i == FEED { 0.0 } else { drawn })
            }
            "h.0.ln_2.weight" => Box::new(|i, drawn| if i == FEED { 1.0 } else { drawn }),
            "h.0.mlp.c_fc.weight" => Box::new(move |i, drawn| match (i / inner, i % inner < units) {
                (FEED, true) => read,
                (_, true) => 0.0,
                (_, false) => drawn,
            }),
            "h.0.mlp.c_fc.bias" => Box::new(move |i, drawn| if i < units { bias } else { drawn }),
            "h.0.mlp.c_proj.weight" => Box::new(move |i, drawn| match (i / width < units, i % width) {
                (true, HELD) => write,
                (true, _) => 0.0,
                (false, _) => drawn,
            }),
            _ => return None,
        })
    }
}
