use std::path::Path;

use ditto_core::session::Floats;
use safetensors::tensor::{Dtype, TensorView};
use tempfile::TempDir;

use super::Gpt2Floats;
use crate::architecture::{Opens, PublicHead};
use crate::checkpoint::Checkpoint;
use crate::config::Gpt2Config;
use crate::report::chain;
use crate::synthetic::SyntheticGpt2;
use crate::weights::ModelFloats;

/// Writes tensors that count: 0, 1, 2 and so on.
fn counting(dir: &Path, tensors: &[(&str, &[usize])]) {
    let bytes: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(_, shape)| (0..shape.iter().product()).flat_map(|i: usize| (i as f32).to_le_bytes()).collect())
        .collect();
    let views = tensors.iter().zip(&bytes).map(|(&(name, shape), bytes)| {
        (name.to_owned(), TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap())
    });
    safetensors::serialize_to_file(views, None, &dir.join("model.safetensors")).unwrap();
}

fn open(prefix: &str, more: &[(&str, &[usize])]) -> (TempDir, Checkpoint) {
    let dir = TempDir::new().unwrap();
    let body: [(&str, &[usize]); 6] = [
        ("h.0.attn.c_attn.weight", &[2, 6]),
        ("h.0.attn.c_attn.bias", &[6]),
        ("h.0.attn.bias", &[1, 1, 4, 4]),
        ("h.0.mlp.c_fc.weight", &[2, 3]),
        ("h.0.ln_1.weight", &[2]),
        ("wte.weight", &[4, 2]),
    ];
    let named: Vec<(String, &[usize])> =
        body.iter().map(|(name, shape)| (format!("{prefix}{name}"), *shape)).collect();
    let all: Vec<(&str, &[usize])> =
        named.iter().map(|(name, shape)| (name.as_str(), *shape)).chain(more.iter().copied()).collect();
    counting(dir.path(), &all);
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    (dir, checkpoint)
}

#[test]
fn matrices_are_transposed_and_cut_in_thirds() {
    for prefix in ["", "transformer."] {
        let (_dir, checkpoint) = open(prefix, &[]);
        let read = |name: &str, shape: &[usize]| Gpt2Floats(&checkpoint).floats(name, shape).unwrap();
        // Stored: [0 1 2 3 4 5] and [6 7 8 9 10 11], two columns a part.
        assert_eq!(read("h.0.attn.c_attn.query.weight", &[2, 2]), [0.0, 6.0, 1.0, 7.0]);
        assert_eq!(read("h.0.attn.c_attn.key.weight", &[2, 2]), [2.0, 8.0, 3.0, 9.0]);
        assert_eq!(read("h.0.attn.c_attn.value.weight", &[2, 2]), [4.0, 10.0, 5.0, 11.0]);
        assert_eq!(read("h.0.attn.c_attn.query.bias", &[2]), [0.0, 1.0]);
        assert_eq!(read("h.0.attn.c_attn.value.bias", &[2]), [4.0, 5.0]);
        assert_eq!(read("h.0.mlp.c_fc.weight", &[3, 2]), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        assert_eq!(read("h.0.ln_1.weight", &[2]), [0.0, 1.0]);
        // Embeddings are as nn.Linear's.
        let table: Vec<f32> = (0..8_u8).map(f32::from).collect();
        assert_eq!(read("wte.weight", &[4, 2]), table);
        assert_eq!(read("lm_head.weight", &[4, 2]), table);
    }
}

#[test]
fn a_head_of_its_own_goes_before_the_table_of_tokens() {
    let dir = TempDir::new().unwrap();
    let spec = SyntheticGpt2::new(Gpt2Config { tie_word_embeddings: false, ..Gpt2Config::tiny() }, 1);
    spec.write(dir.path()).unwrap();
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    let read = |name: &str| Gpt2Floats(&checkpoint).floats(name, &[320, 32]).unwrap();
    assert_eq!(read("lm_head.weight"), checkpoint.tensor("lm_head.weight", &[320, 32]).unwrap());
    assert_ne!(read("lm_head.weight"), read("wte.weight"));
}

#[test]
fn errors_name_the_tensor_of_the_checkpoint() {
    for prefix in ["", "transformer."] {
        let (_dir, checkpoint) = open(prefix, &[]);
        let error =
            |name: &str, shape: &[usize]| chain(&Gpt2Floats(&checkpoint).floats(name, shape).unwrap_err());
        let missing = error("h.1.attn.c_attn.key.weight", &[2, 2]);
        assert!(missing.contains("weight `h.1.attn.c_attn.key.weight`"), "{missing}");
        assert!(missing.contains(&format!("no tensor \"{prefix}h.1.attn.c_attn.weight\"")), "{missing}");
        // Shapes are those of the file.
        let shape = error("h.0.attn.c_attn.key.weight", &[4, 4]);
        let expected =
            format!("\"{prefix}h.0.attn.c_attn.weight\" has shape [2, 6], but the model needs [4, 12]");
        assert!(shape.contains(&expected), "{shape}");
        let shape = error("lm_head.weight", &[5, 2]);
        assert!(shape.contains(&format!("\"{prefix}wte.weight\" has shape [4, 2]")), "{shape}");
    }
}

#[test]
fn all_that_the_model_asks_for_is_there_in_every_layout() {
    let (width, inner) = (32, 128);
    let mut wanted: Vec<(String, Vec<usize>)> = vec![
        ("wte.weight".to_owned(), vec![320, width]),
        ("wpe.weight".to_owned(), vec![64, width]),
        ("lm_head.weight".to_owned(), vec![320, width]),
    ];
    let mut linear = |name: &str, outputs: usize, inputs: usize| {
        wanted.push((format!("{name}.weight"), vec![outputs, inputs]));
        wanted.push((format!("{name}.bias"), vec![outputs]));
    };
    for layer in ["h.0", "h.1"] {
        for part in ["query", "key", "value"] {
            linear(&format!("{layer}.attn.c_attn.{part}"), width, width);
        }
        linear(&format!("{layer}.attn.c_proj"), width, width);
        linear(&format!("{layer}.mlp.c_fc"), inner, width);
        linear(&format!("{layer}.mlp.c_proj"), width, inner);
    }
    for norm in ["h.0.ln_1", "h.0.ln_2", "h.1.ln_1", "h.1.ln_2", "ln_f"] {
        wanted.extend(["weight", "bias"].map(|kind| (format!("{norm}.{kind}"), vec![width])));
    }
    let read = |spec: SyntheticGpt2| -> Vec<Vec<f32>> {
        let dir = TempDir::new().unwrap();
        spec.write(dir.path()).unwrap();
        let checkpoint = Checkpoint::open(dir.path()).unwrap();
        let floats =
            ModelFloats::new(&checkpoint, &PublicHead::CausalLm { vocabulary: 320, opens: Opens::Logits });
        wanted.iter().map(|(name, shape)| floats.floats(name, shape).unwrap()).collect()
    };
    let plain = SyntheticGpt2::new(Gpt2Config::tiny(), 1);
    let expected = read(plain.clone());
    for spec in [
        SyntheticGpt2 { prefix: false, ..plain.clone() },
        SyntheticGpt2 { buffers: true, ..plain.clone() },
        SyntheticGpt2 { prefix: false, buffers: true, shards: 5, ..plain },
    ] {
        assert_eq!(read(spec), expected);
    }
}
