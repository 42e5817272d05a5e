//! GPT-2 once more.

use ditto_models::checkpoint::Checkpoint;
use ditto_models::config::Gpt2Config;

use super::{Rows, add, map, normalized};

/// The logits of what follows every token of a text, [tokens, vocabulary].
pub(crate) fn logits(checkpoint: &Checkpoint, config: &Gpt2Config, ids: &[u32]) -> Rows {
    Naive { checkpoint, config }.logits(ids)
}

/// The tokens that follow greedily, with the distance of each logit to the next best.
pub(crate) fn greedy(
    checkpoint: &Checkpoint,
    config: &Gpt2Config,
    prompt: &[u32],
    tokens: usize,
) -> Vec<(u32, f64)> {
    let mut ids = prompt.to_vec();
    let next = |ids: &mut Vec<u32>| {
        let last = logits(checkpoint, config, ids).pop().unwrap();
        let mut best: Vec<usize> = (0..last.len()).collect();
        best.sort_by(|&a, &b| last[b].total_cmp(&last[a]));
        ids.push(best[0] as u32);
        (best[0] as u32, last[best[0]] - last[best[1]])
    };
    (0..tokens).map(|_| next(&mut ids)).collect()
}

struct Naive<'a> {
    checkpoint: &'a Checkpoint,
    config: &'a Gpt2Config,
}

impl Naive<'_> {
    fn tensor(&self, name: &str, shape: &[usize]) -> Vec<f64> {
        let prefixed = format!("transformer.{name}");
        let name = if self.checkpoint.has(&prefixed) { &prefixed } else { name };
        self.checkpoint.tensor(name, shape).unwrap().into_iter().map(f64::from).collect()
    }

    /// A layer of the class `Conv1D`: `x W + b` with W [inputs, outputs].
    fn conv1d(&self, name: &str, outputs: usize, x: &Rows) -> Rows {
        let inputs = x[0].len();
        let weight = self.tensor(&format!("{name}.weight"), &[inputs, outputs]);
        let bias = self.tensor(&format!("{name}.bias"), &[outputs]);
        let at = |row: &Vec<f64>, o: usize| {
            (0..inputs).map(|i| row[i] * weight[i * outputs + o]).sum::<f64>() + bias[o]
        };
        x.iter().map(|row| (0..outputs).map(|o| at(row, o)).collect()).collect()
    }

    fn norm(&self, name: &str, x: &Rows) -> Rows {
        let width = [self.config.n_embd];
        let (gain, bias) = (format!("{name}.weight"), format!("{name}.bias"));
        normalized(
            x,
            &self.tensor(&gain, &width),
            &self.tensor(&bias, &width),
            self.config.layer_norm_epsilon,
        )
    }

    fn attention(&self, name: &str, x: &Rows) -> Rows {
        let (width, heads) = (self.config.n_embd, self.config.n_head);
        let size = width / heads;
        let all = self.conv1d(&format!("{name}.c_attn"), 3 * width, x);
        let mut context = vec![vec![0.0; width]; x.len()];
        for head in 0..heads {
            for (i, row) in context.iter_mut().enumerate() {
                let own = head * size..(head + 1) * size;
                let product = |j: usize| own.clone().map(|c| all[i][c] * all[j][width + c]).sum::<f64>();
                let terms: Vec<f64> = (0..=i).map(|j| (product(j) / (size as f64).sqrt()).exp()).collect();
                let sum: f64 = terms.iter().sum();
                for c in own.clone() {
                    row[c] = (0..=i).map(|j| terms[j] / sum * all[j][2 * width + c]).sum();
                }
            }
        }
        self.conv1d(&format!("{name}.c_proj"), width, &context)
    }

    fn logits(&self, ids: &[u32]) -> Rows {
        let config = self.config;
        let width = config.n_embd;
        let tokens = self.tensor("wte.weight", &[config.vocab_size, width]);
        let places = self.tensor("wpe.weight", &[config.n_positions, width]);
        let embedded = ids.iter().enumerate().map(|(i, &id)| {
            (0..width).map(|c| tokens[id as usize * width + c] + places[i * width + c]).collect()
        });
        let mut x: Rows = embedded.collect();
        for layer in 0..config.n_layer {
            let layer = format!("h.{layer}");
            x = add(&self.attention(&format!("{layer}.attn"), &self.norm(&format!("{layer}.ln_1"), &x)), &x);
            let normal = self.norm(&format!("{layer}.ln_2"), &x);
            let inner =
                map(&self.conv1d(&format!("{layer}.mlp.c_fc"), config.inner_size(), &normal), gelu_new);
            x = add(&self.conv1d(&format!("{layer}.mlp.c_proj"), width, &inner), &x);
        }
        let x = self.norm("ln_f", &x);
        let own = "lm_head.weight";
        let head =
            if self.checkpoint.has(own) { self.tensor(own, &[config.vocab_size, width]) } else { tokens };
        let dot = |row: &Vec<f64>, column: &[f64]| row.iter().zip(column).map(|(a, b)| a * b).sum::<f64>();
        x.iter().map(|row| head.chunks_exact(width).map(|column| dot(row, column)).collect()).collect()
    }
}

fn gelu_new(x: f64) -> f64 {
    0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh())
}
