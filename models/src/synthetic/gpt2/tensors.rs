//! The tensors of a synthetic GPT-2.

use super::SyntheticGpt2;
use super::planted::Planted;
use crate::synthetic::tensor::{Numbers, Tensor};

/// What old files have in place of scores that the mask hides.
const MASKED: f32 = -1e4;

/// The tensors of a checkpoint, as the transformers library names them. Matrices are [inputs, outputs], as
/// its `Conv1D` has them; embeddings and `lm_head` are not.
pub(super) fn all(spec: &SyntheticGpt2) -> Vec<Tensor> {
    let config = &spec.config;
    let (width, inner) = (config.n_embd, config.inner_size());
    let (spread, residual) = (spec.spread, spec.residual_spread());
    let mut list =
        List { spec, planted: spec.planted.map(|value| Planted::new(spec, value)), tensors: Vec::new() };

    list.body("wte.weight", &[config.vocab_size, width], 0.0, spread);
    list.body("wpe.weight", &[config.n_positions, width], 0.0, spread);
    for layer in 0..config.n_layer {
        let layer = format!("h.{layer}");
        list.norm(&format!("{layer}.ln_1"));
        if spec.buffers {
            list.buffers(&format!("{layer}.attn"), config.n_positions);
        }
        list.conv1d(&format!("{layer}.attn.c_attn"), [width, 3 * width], spread);
        list.conv1d(&format!("{layer}.attn.c_proj"), [width, width], residual);
        list.norm(&format!("{layer}.ln_2"));
        list.conv1d(&format!("{layer}.mlp.c_fc"), [width, inner], spread);
        list.conv1d(&format!("{layer}.mlp.c_proj"), [inner, width], residual);
    }
    list.norm("ln_f");
    if !config.tie_word_embeddings {
        let name = "lm_head.weight";
        let numbers = Numbers::normal(spec.seed, name, 0.0, spread);
        let shape = [config.vocab_size, width];
        list.tensors.push(Tensor::new(name.to_owned(), &shape, spec.dtype, numbers));
    }
    list.tensors
}

struct List<'a> {
    spec: &'a SyntheticGpt2,
    planted: Option<Planted>,
    tensors: Vec<Tensor>,
}

impl List<'_> {
    fn conv1d(&mut self, name: &str, shape: [usize; 2], spread: f32) {
        self.body(&format!("{name}.weight"), &shape, 0.0, spread);
        self.body(&format!("{name}.bias"), &shape[1..], 0.0, spread);
    }

    fn norm(&mut self, name: &str) {
        let shape = [self.spec.config.n_embd];
        self.body(&format!("{name}.weight"), &shape, 1.0, self.spec.spread);
        self.body(&format!("{name}.bias"), &shape, 0.0, self.spec.spread);
    }

    fn buffers(&mut self, name: &str, positions: usize) {
        self.push(&format!("{name}.bias"), &[1, 1, positions, positions], Numbers::Causal);
        self.push(&format!("{name}.masked_bias"), &[], Numbers::Constant(MASKED));
    }

    fn body(&mut self, name: &str, shape: &[usize], mean: f32, spread: f32) {
        self.push(name, shape, Numbers::normal(self.spec.seed, name, mean, spread));
    }

    fn push(&mut self, name: &str, shape: &[usize], numbers: Numbers) {
        let prefix = if self.spec.prefix { "transformer." } else { "" };
        let tensor = Tensor::new(format!("{prefix}{name}"), shape, self.spec.dtype, numbers);
        let change = self.planted.and_then(|planted| planted.change(name));
        self.tensors.push(tensor.changed(change));
    }
}
