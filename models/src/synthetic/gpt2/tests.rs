use ditto_core::session::Floats;
use tempfile::TempDir;

use super::planted::HELD;
use super::{Dtype, SyntheticError, SyntheticGpt2};
use crate::checkpoint::Checkpoint;
use crate::config::{Gpt2Config, Head, ModelConfig};
use crate::text::Tokenizer;
use crate::weights::Gpt2Floats;

fn write(spec: &SyntheticGpt2) -> (TempDir, Checkpoint) {
    let dir = TempDir::new().unwrap();
    spec.write(dir.path()).unwrap();
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    (dir, checkpoint)
}

fn tiny() -> SyntheticGpt2 {
    SyntheticGpt2::new(Gpt2Config::tiny(), 5)
}

#[test]
fn is_readable_as_a_whole() {
    for (tied, prefix) in [(true, true), (true, false), (false, true), (false, false)] {
        let config = Gpt2Config { tie_word_embeddings: tied, ..Gpt2Config::tiny() };
        let (dir, checkpoint) = write(&SyntheticGpt2 { prefix, ..SyntheticGpt2::new(config.clone(), 5) });
        let read = Gpt2Config::open(dir.path()).unwrap();
        let class = if tied && !prefix { "GPT2Model" } else { "GPT2LMHeadModel" };
        assert_eq!(read.architectures, [class]);
        assert_eq!(read, Gpt2Config { architectures: read.architectures.clone(), ..config });
        let model = ModelConfig::open(dir.path()).unwrap();
        assert_eq!(model.detect_head(&checkpoint).unwrap(), Head::CausalLm);
        assert_eq!(checkpoint.names().any(|name| name.starts_with("transformer.")), prefix);
        let tokenizer = Tokenizer::open(dir.path()).unwrap().for_model(&read).unwrap();
        assert_eq!(tokenizer.id("<|endoftext|>"), read.eos_token_id);
    }
}

#[test]
fn vocabularies_have_the_size_of_gpt2s() {
    let config = Gpt2Config { vocab_size: 50257, n_embd: 4, n_head: 1, ..Gpt2Config::tiny() };
    let (dir, _) = write(&SyntheticGpt2::new(config.clone(), 5));
    let tokenizer = Tokenizer::open(dir.path()).unwrap().for_model(&config).unwrap();
    assert_eq!(tokenizer.id("<|endoftext|>"), Some(50256));
    assert!((0..50257).all(|id| tokenizer.token(id).is_some()));
    let ids = tokenizer.encode_plain("The cat sat by the river.", 64).unwrap().ids;
    assert!(ids.len() < 12, "{ids:?}");
    assert_eq!(tokenizer.decode(&ids), "The cat sat by the river.");
    let small = SyntheticGpt2::new(Gpt2Config { vocab_size: 256, ..Gpt2Config::tiny() }, 1);
    assert!(matches!(small.write(dir.path()), Err(SyntheticError::VocabTooSmall { least: 257, .. })));
}

#[test]
fn numbers_are_as_widely_spread_as_gpt2s() {
    let (_dir, checkpoint) = write(&tiny());
    let spread = |name: &str, shape: &[usize]| {
        let values = checkpoint.tensor(name, shape).unwrap();
        (values.iter().map(|v| v * v).sum::<f32>() / values.len() as f32).sqrt()
    };
    let near =
        |found: f32, expected: f32| assert!((found / expected - 1.0).abs() < 0.05, "{found} {expected}");
    near(spread("transformer.wte.weight", &[320, 32]), 0.102);
    near(spread("transformer.h.0.attn.c_attn.weight", &[32, 96]), 0.102);
    // Two layers write into the residual stream four times.
    near(spread("transformer.h.1.mlp.c_proj.weight", &[128, 32]), 0.051);
    let wide = Gpt2Config { n_embd: 1280, ..Gpt2Config::tiny() };
    assert_eq!(SyntheticGpt2::new(wide, 1).spread, 0.02);
}

#[test]
fn buffers_are_those_of_old_files() {
    for dtype in [Dtype::F32, Dtype::F16, Dtype::Bf16] {
        let (_dir, checkpoint) = write(&SyntheticGpt2 { buffers: true, dtype, ..tiny() });
        let mask = checkpoint.tensor("transformer.h.1.attn.bias", &[1, 1, 64, 64]).unwrap();
        let causal = |i: usize| if i % 64 <= i / 64 { 1.0 } else { 0.0 };
        assert!(mask.iter().enumerate().all(|(i, &v)| v == causal(i)));
        let masked = checkpoint.tensor("transformer.h.1.attn.masked_bias", &[]).unwrap()[0];
        assert!((masked + 1e4).abs() < 50.0, "{masked}");
    }
    assert!(!write(&tiny()).1.has("transformer.h.1.attn.bias"));
}

/// What the residual stream holds after the first layer, for a text of the one token that stands at a
/// position.
fn after_the_first_layer(
    checkpoint: &Checkpoint,
    config: &Gpt2Config,
    token: usize,
    position: usize,
) -> Vec<f64> {
    let (width, inner) = (config.n_embd, config.inner_size());
    let read = |name: &str, shape: &[usize]| -> Vec<f64> {
        Gpt2Floats(checkpoint).floats(name, shape).unwrap().into_iter().map(f64::from).collect()
    };
    let row =
        |table: &str, rows: usize, i: usize| read(table, &[rows, width])[i * width..(i + 1) * width].to_vec();
    let linear = |name: &str, outputs: usize, x: &[f64]| -> Vec<f64> {
        let weight = read(&format!("{name}.weight"), &[outputs, x.len()]);
        let bias = read(&format!("{name}.bias"), &[outputs]);
        let rows = weight.chunks_exact(x.len()).zip(bias);
        rows.map(|(row, bias)| row.iter().zip(x).map(|(a, b)| a * b).sum::<f64>() + bias).collect()
    };
    let norm = |name: &str, x: &[f64]| -> Vec<f64> {
        let mean = x.iter().sum::<f64>() / width as f64;
        let variance = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / width as f64;
        let (gain, bias) =
            (read(&format!("{name}.weight"), &[width]), read(&format!("{name}.bias"), &[width]));
        let root = (variance + config.layer_norm_epsilon).sqrt();
        (0..width).map(|i| (x[i] - mean) / root * gain[i] + bias[i]).collect()
    };
    let add = |a: &[f64], b: &[f64]| -> Vec<f64> { a.iter().zip(b).map(|(a, b)| a + b).collect() };
    let gelu = |x: f64| x / 2.0 * (1.0 + (0.797_884_560_8 * (x + 0.044_715 * x.powi(3))).tanh());

    let x =
        add(&row("wte.weight", config.vocab_size, token), &row("wpe.weight", config.n_positions, position));
    // Attention to itself alone.
    let value = linear("h.0.attn.c_attn.value", width, &norm("h.0.ln_1", &x));
    let x = add(&x, &linear("h.0.attn.c_proj", width, &value));
    let hidden: Vec<f64> =
        linear("h.0.mlp.c_fc", inner, &norm("h.0.ln_2", &x)).into_iter().map(gelu).collect();
    add(&x, &linear("h.0.mlp.c_proj", width, &hidden))
}

#[test]
fn a_massive_activation_is_at_the_first_token_alone() {
    for (value, width) in [(3000.0, 32), (-800.0, 32), (3000.0, 96)] {
        let config = Gpt2Config { n_embd: width, ..Gpt2Config::tiny() };
        let (_dir, checkpoint) =
            write(&SyntheticGpt2 { planted: Some(value), ..SyntheticGpt2::new(config.clone(), 5) });
        for token in [0, 77, 319] {
            let first = after_the_first_layer(&checkpoint, &config, token, 0);
            let ratio = first[HELD] / f64::from(value);
            assert!((0.9..1.1).contains(&ratio), "{value} at width {width}: {}", first[HELD]);
            let others = first.iter().enumerate().filter(|(i, _)| *i != HELD);
            assert!(others.map(|(_, v)| v.abs()).fold(0.0, f64::max) < 20.0, "{first:?}");
            for position in [1, 63] {
                let later = after_the_first_layer(&checkpoint, &config, token, position);
                assert!(later.iter().all(|v| v.abs() < 5.0), "{later:?}");
            }
        }
    }
}
