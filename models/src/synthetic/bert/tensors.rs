//! The tensors of a synthetic BERT.

use super::{Synthetic, SyntheticHead};
use crate::synthetic::tensor::{Numbers, Tensor};

/// The spread of BERT's initial weights.
const SPREAD: f32 = 0.02;

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
        let numbers = Numbers::normal(self.spec.seed, plain, mean, SPREAD);
        self.tensors.push(Tensor::new(name, shape, self.spec.dtype, numbers));
    }
}
