//! BERT once more.

use ditto_models::checkpoint::Checkpoint;
use ditto_models::config::{BertConfig, Head};
use ditto_models::input::Prepared;
use ditto_models::run::Task;

use super::{Rows, add, affine, map, normalized};

/// What a model gives for each text, in the text's own order of tokens.
pub(crate) fn outputs(task: &Task) -> Vec<Vec<f32>> {
    let config = BertConfig::open(task.checkpoint.dir()).unwrap();
    let bert = Naive { checkpoint: &task.checkpoint, config };
    let output = |text: &Prepared| bert.output(&task.head, text).concat().iter().map(|&v| v as f32).collect();
    task.texts.iter().map(output).collect()
}

struct Naive<'a> {
    checkpoint: &'a Checkpoint,
    config: BertConfig,
}

impl Naive<'_> {
    /// A tensor by the end of its name, with or without `bert.` before it.
    fn tensor(&self, name: &str, shape: &[usize]) -> Vec<f64> {
        let prefixed = format!("bert.{name}");
        let name = if self.checkpoint.has(&prefixed) { &prefixed } else { name };
        self.checkpoint.tensor(name, shape).unwrap().into_iter().map(f64::from).collect()
    }

    fn row(&self, table: &str, rows: usize, i: usize) -> Vec<f64> {
        let width = self.config.hidden_size;
        self.tensor(table, &[rows, width])[i * width..(i + 1) * width].to_vec()
    }

    fn linear(&self, name: &str, outputs: usize, x: &Rows) -> Rows {
        let inputs = x[0].len();
        let weight = self.tensor(&format!("{name}.weight"), &[outputs, inputs]);
        affine(x, &weight, &self.tensor(&format!("{name}.bias"), &[outputs]))
    }

    fn norm(&self, name: &str, x: &Rows) -> Rows {
        let width = self.config.hidden_size;
        let gain = self.tensor(&format!("{name}.weight"), &[width]);
        let bias = self.tensor(&format!("{name}.bias"), &[width]);
        normalized(x, &gain, &bias, self.config.layer_norm_eps)
    }

    fn attention(&self, name: &str, x: &Rows) -> Rows {
        let (width, size) = (self.config.hidden_size, self.config.head_size());
        let part = |part: &str| self.linear(&format!("{name}.self.{part}"), width, x);
        let (q, k, v) = (part("query"), part("key"), part("value"));
        let mut context = vec![vec![0.0; width]; x.len()];
        for head in 0..self.config.num_attention_heads {
            let own = head * size..(head + 1) * size;
            for (i, row) in context.iter_mut().enumerate() {
                let score =
                    |j: usize| own.clone().map(|c| q[i][c] * k[j][c]).sum::<f64>() / (size as f64).sqrt();
                let terms: Vec<f64> = (0..x.len()).map(|j| score(j).exp()).collect();
                let sum: f64 = terms.iter().sum();
                for c in own.clone() {
                    row[c] = (0..x.len()).map(|j| terms[j] / sum * v[j][c]).sum();
                }
            }
        }
        self.norm(
            &format!("{name}.output.LayerNorm"),
            &add(&self.linear(&format!("{name}.output.dense"), width, &context), x),
        )
    }

    fn hidden_states(&self, text: &Prepared) -> Rows {
        let config = &self.config;
        let tokens = text.encoded.ids.iter().zip(&text.encoded.type_ids).enumerate();
        let embedded = tokens.map(|(i, (&id, &kind))| {
            let word = self.row("embeddings.word_embeddings.weight", config.vocab_size, id as usize);
            let place = self.row("embeddings.position_embeddings.weight", config.max_position_embeddings, i);
            let kind =
                self.row("embeddings.token_type_embeddings.weight", config.type_vocab_size, kind as usize);
            (0..word.len()).map(|c| word[c] + place[c] + kind[c]).collect()
        });
        let mut x = self.norm("embeddings.LayerNorm", &embedded.collect());
        for layer in 0..config.num_hidden_layers {
            let layer = format!("encoder.layer.{layer}");
            x = self.attention(&format!("{layer}.attention"), &x);
            let inner = self.linear(&format!("{layer}.intermediate.dense"), config.intermediate_size, &x);
            let out = self.linear(&format!("{layer}.output.dense"), config.hidden_size, &map(&inner, gelu));
            x = self.norm(&format!("{layer}.output.LayerNorm"), &add(&out, &x));
        }
        x
    }

    fn output(&self, head: &Head, text: &Prepared) -> Rows {
        let width = self.config.hidden_size;
        let x = self.hidden_states(text);
        match head {
            Head::Embedding { .. } => {
                let mean = (0..width).map(|c| x.iter().map(|row| row[c]).sum::<f64>() / x.len() as f64);
                let mean: Vec<f64> = mean.collect();
                let length = mean.iter().map(|v| v * v).sum::<f64>().sqrt();
                vec![mean.iter().map(|v| v / length).collect()]
            }
            Head::Classification { labels, .. } => {
                let pooled = map(&self.linear("pooler.dense", width, &vec![x[0].clone()]), f64::tanh);
                self.linear("classifier", labels.len(), &pooled)
            }
            Head::TokenClassification { labels } => self.linear("classifier", labels.len(), &x),
            Head::QuestionAnswering => self.linear("qa_outputs", 2, &x),
            Head::MaskedLm => {
                let masked = text.masks.iter().map(|&i| x[i].clone()).collect();
                let inner = map(&self.linear("cls.predictions.transform.dense", width, &masked), gelu);
                let normal = self.norm("cls.predictions.transform.LayerNorm", &inner);
                let stored = "cls.predictions.decoder.weight";
                let tied = "embeddings.word_embeddings.weight";
                let table = if self.checkpoint.has(stored) { stored } else { tied };
                let vocabulary = self.config.vocab_size;
                let bias = self.tensor("cls.predictions.bias", &[vocabulary]);
                affine(&normal, &self.tensor(table, &[vocabulary, width]), &bias)
            }
            other => panic!("a head that this test does not know: {other:?}"),
        }
    }
}

fn gelu(x: f64) -> f64 {
    x * 0.5 * (1.0 + erf(x / std::f64::consts::SQRT_2))
}

/// The error function by its Taylor series, which is exact enough for the small arguments here.
fn erf(x: f64) -> f64 {
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    assert!(x.abs() < 4.0, "the series loses its digits at {x}");
    sum * std::f64::consts::FRAC_2_SQRT_PI
}
