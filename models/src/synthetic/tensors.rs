//! The tensors of a synthetic checkpoint, each drawn when it is written.

use std::borrow::Cow;
use std::f32::consts::TAU;

use half::{bf16, f16};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng};
use safetensors::View;

use super::{Dtype, Synthetic, SyntheticHead};

/// The spread of BERT's initial weights.
const SPREAD: f32 = 0.02;

/// One tensor. Its numbers are drawn when [`View::data`] is called, so that a checkpoint is never in
/// memory as a whole.
pub(super) struct Tensor {
    name: String,
    shape: Vec<usize>,
    dtype: Dtype,
    mean: f32,
    seed: [u8; 32],
}

impl Tensor {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn bytes(&self) -> usize {
        self.data_len()
    }

    /// Draws the numbers, with mean [`Tensor::mean`] and spread [`SPREAD`].
    fn values(&self) -> impl Iterator<Item = f32> {
        let mut rng = StdRng::from_seed(self.seed);
        let mut spare = None;
        let count = self.shape.iter().product();
        std::iter::repeat_with(move || {
            // Box and Muller: two uniform numbers make two normal ones.
            let normal = spare.take().unwrap_or_else(|| {
                let radius = (-2.0 * (1.0 - rng.random::<f32>()).ln()).sqrt();
                let (sin, cos) = (TAU * rng.random::<f32>()).sin_cos();
                spare = Some(radius * sin);
                radius * cos
            });
            self.mean + SPREAD * normal
        })
        .take(count)
    }
}

impl View for Tensor {
    fn dtype(&self) -> safetensors::Dtype {
        match self.dtype {
            Dtype::F32 => safetensors::Dtype::F32,
            Dtype::F16 => safetensors::Dtype::F16,
            Dtype::Bf16 => safetensors::Dtype::BF16,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let mut bytes = Vec::with_capacity(self.data_len());
        match self.dtype {
            Dtype::F32 => self.values().for_each(|v| bytes.extend(v.to_le_bytes())),
            Dtype::F16 => self.values().for_each(|v| bytes.extend(f16::from_f32(v).to_le_bytes())),
            Dtype::Bf16 => self.values().for_each(|v| bytes.extend(bf16::from_f32(v).to_le_bytes())),
        }
        Cow::Owned(bytes)
    }

    fn data_len(&self) -> usize {
        let size = match self.dtype {
            Dtype::F32 => 4,
            Dtype::F16 | Dtype::Bf16 => 2,
        };
        size * self.shape.iter().product::<usize>()
    }
}

/// The tensors of a checkpoint, as the transformers library names them.
pub(super) fn all(spec: &Synthetic) -> Vec<Tensor> {
    let config = &spec.config;
    let (hidden, inner) = (config.hidden_size, config.intermediate_size);
    let mut list = List { spec, tensors: Vec::new() };

    list.bert("embeddings.word_embeddings.weight", &[config.vocab_size, hidden]);
    list.bert("embeddings.position_embeddings.weight", &[config.max_position_embeddings, hidden]);
    list.bert("embeddings.token_type_embeddings.weight", &[config.type_vocab_size, hidden]);
    list.norm("embeddings.LayerNorm");
    for layer in 0..config.num_hidden_layers {
        let layer = format!("encoder.layer.{layer}");
        for part in ["query", "key", "value"] {
            list.linear(&format!("{layer}.attention.self.{part}"), hidden, hidden);
        }
        list.linear(&format!("{layer}.attention.output.dense"), hidden, hidden);
        list.norm(&format!("{layer}.attention.output.LayerNorm"));
        list.linear(&format!("{layer}.intermediate.dense"), inner, hidden);
        list.linear(&format!("{layer}.output.dense"), hidden, inner);
        list.norm(&format!("{layer}.output.LayerNorm"));
    }
    // Heads that read every token come without a pooler.
    if matches!(spec.head, SyntheticHead::Classification { .. } | SyntheticHead::Embedding) {
        list.linear("pooler.dense", hidden, hidden);
    }
    match spec.head {
        SyntheticHead::Classification { labels } | SyntheticHead::TokenClassification { labels } => {
            list.head("classifier", labels, hidden);
        }
        SyntheticHead::QuestionAnswering => list.head("qa_outputs", 2, hidden),
        SyntheticHead::MaskedLm { tied } => {
            list.head("cls.predictions.transform.dense", hidden, hidden);
            list.norm_at("cls.predictions.transform.LayerNorm", "");
            list.root("cls.predictions.bias", &[config.vocab_size]);
            if !tied {
                list.root("cls.predictions.decoder.weight", &[config.vocab_size, hidden]);
            }
        }
        SyntheticHead::Embedding => {}
    }
    list.tensors
}

struct List<'a> {
    spec: &'a Synthetic,
    tensors: Vec<Tensor>,
}

impl List<'_> {
    fn linear(&mut self, name: &str, rows: usize, columns: usize) {
        self.bert(&format!("{name}.weight"), &[rows, columns]);
        self.bert(&format!("{name}.bias"), &[rows]);
    }

    /// A linear layer of a head, whose names have no prefix.
    fn head(&mut self, name: &str, rows: usize, columns: usize) {
        self.root(&format!("{name}.weight"), &[rows, columns]);
        self.root(&format!("{name}.bias"), &[rows]);
    }

    fn norm(&mut self, name: &str) {
        self.norm_at(name, &self.prefixed(""));
    }

    fn norm_at(&mut self, name: &str, prefix: &str) {
        let (weight, bias) = if self.spec.old_names { ("gamma", "beta") } else { ("weight", "bias") };
        let shape = [self.spec.config.hidden_size];
        self.push(&format!("{name}.weight"), format!("{prefix}{name}.{weight}"), &shape, 1.0);
        self.push(&format!("{name}.bias"), format!("{prefix}{name}.{bias}"), &shape, 0.0);
    }

    fn root(&mut self, name: &str, shape: &[usize]) {
        self.push(name, name.to_owned(), shape, 0.0);
    }

    fn bert(&mut self, name: &str, shape: &[usize]) {
        self.push(name, self.prefixed(name), shape, 0.0);
    }

    fn prefixed(&self, name: &str) -> String {
        let prefix = if self.spec.prefix { "bert." } else { "" };
        format!("{prefix}{name}")
    }

    /// Adds a tensor. What it is drawn from is its plain name, whatever it is called in the file.
    fn push(&mut self, plain: &str, name: String, shape: &[usize], mean: f32) {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.spec.seed.to_le_bytes());
        seed[8..16].copy_from_slice(&fnv1a(plain.as_bytes()).to_le_bytes());
        self.tensors.push(Tensor { name, shape: shape.to_vec(), dtype: self.spec.dtype, mean, seed });
    }
}

/// The 64-bit FNV-1a hash, which, unlike the standard library's, stays the same for ever.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}
