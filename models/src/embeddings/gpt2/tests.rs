use tempfile::TempDir;

use super::{Gpt2Embeddings, LmHead};
use crate::checkpoint::Checkpoint;
use crate::config::Gpt2Config;
use crate::report::chain;
use crate::synthetic::SyntheticGpt2;

fn open(config: Gpt2Config) -> (Checkpoint, Gpt2Embeddings, LmHead) {
    let dir = TempDir::new().unwrap();
    SyntheticGpt2::new(config.clone(), 4).write(dir.path()).unwrap();
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    let embeddings = Gpt2Embeddings::open(&checkpoint, &config).unwrap();
    let head = embeddings.lm_head(&checkpoint).unwrap();
    // The files stay readable.
    (checkpoint, embeddings, head)
}

#[test]
fn rows_are_sums_of_token_and_position() {
    let (checkpoint, embeddings, _) = open(Gpt2Config::tiny());
    let tokens = checkpoint.tensor("transformer.wte.weight", &[320, 32]).unwrap();
    let positions = checkpoint.tensor("transformer.wpe.weight", &[64, 32]).unwrap();
    let rows = embeddings.rows(&[7, 319], 62).unwrap();
    for (row, (id, position)) in rows.data().chunks_exact(32).zip([(7, 62), (319, 63)]) {
        for (c, value) in row.iter().enumerate() {
            assert_eq!(*value, tokens[id * 32 + c] + positions[position * 32 + c]);
        }
    }
    // Token by token is the same as all at once.
    let all = embeddings.rows(&[1, 2, 3], 0).unwrap();
    assert_eq!(all.data()[64..], *embeddings.rows(&[3], 2).unwrap().data());
}

#[test]
fn tokens_and_positions_that_are_not_there_are_named() {
    let (_, embeddings, _) = open(Gpt2Config::tiny());
    let error = |ids: &[u32], past| chain(&embeddings.rows(ids, past).unwrap_err());
    assert!(error(&[320], 0).contains("`wte.weight`: there is no row 320 among 320"));
    assert!(error(&[u32::MAX], 0).contains("`wte.weight`"));
    assert!(error(&[0, 0], 63).contains("`wpe.weight`: there is no row 64 among 64"));
    assert!(error(&[0], usize::MAX).contains("`wpe.weight`"));
}

#[test]
fn logits_are_products_with_the_table() {
    for tied in [true, false] {
        let (checkpoint, _, head) = open(Gpt2Config { tie_word_embeddings: tied, ..Gpt2Config::tiny() });
        let name = if tied { "transformer.wte.weight" } else { "lm_head.weight" };
        let table = checkpoint.tensor(name, &[320, 32]).unwrap();
        let hidden: Vec<f32> = (0..32_u8).map(|i| f32::from(i) / 8.0 - 2.0).collect();
        let logits = head.logits(&hidden).unwrap();
        assert_eq!(logits.len(), 320);
        for (logit, row) in logits.iter().zip(table.chunks_exact(32)) {
            let exact: f64 = row.iter().zip(&hidden).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            assert!((f64::from(*logit) - exact).abs() < 1e-5, "{logit} {exact}");
        }
        assert!(head.logits(&hidden[1..]).is_err());
    }
}
