use std::fs;

use tempfile::TempDir;

use super::{Dtype, Synthetic, SyntheticError, SyntheticHead};
use crate::checkpoint::Checkpoint;
use crate::config::{BertConfig, Head, Scores};
use crate::text::Tokenizer;

const CLASSIFIER: SyntheticHead = SyntheticHead::Classification { labels: 3 };

const HEADS: [SyntheticHead; 6] = [
    CLASSIFIER,
    SyntheticHead::TokenClassification { labels: 3 },
    SyntheticHead::QuestionAnswering,
    SyntheticHead::MaskedLm { tied: true },
    SyntheticHead::MaskedLm { tied: false },
    SyntheticHead::Embedding,
];

fn write(spec: &Synthetic) -> (TempDir, Checkpoint) {
    let dir = TempDir::new().unwrap();
    spec.write(dir.path()).unwrap();
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    (dir, checkpoint)
}

/// Some tensors of a tiny checkpoint, of each kind.
fn sample(checkpoint: &Checkpoint) -> Vec<Vec<f32>> {
    let bert = checkpoint.prefix(&["bert"]);
    let layer = bert.pp("encoder.layer.1");
    vec![
        bert.tensor("embeddings.word_embeddings.weight", &[320, 32]).unwrap(),
        bert.tensor("embeddings.LayerNorm.bias", &[32]).unwrap(),
        layer.tensor("output.LayerNorm.weight", &[32]).unwrap(),
        layer.tensor("output.dense.weight", &[32, 64]).unwrap(),
        bert.tensor("pooler.dense.bias", &[32]).unwrap(),
    ]
}

#[test]
fn holds_the_same_model_in_every_layout() {
    let plain = Synthetic::new(BertConfig::tiny(), SyntheticHead::Embedding, 9);
    let expected = sample(&write(&plain).1);
    let layouts = [
        Synthetic { prefix: true, ..plain.clone() },
        Synthetic { shards: 4, ..plain.clone() },
        Synthetic { old_names: true, ..plain.clone() },
        Synthetic { shards: 39, prefix: true, old_names: true, ..plain.clone() },
        Synthetic::new(BertConfig::tiny(), CLASSIFIER, 9),
    ];
    for layout in layouts {
        assert_eq!(sample(&write(&layout).1), expected, "{layout:?}");
    }
    assert_ne!(sample(&write(&Synthetic { seed: 10, ..plain.clone() }).1), expected);
    for (dtype, rounding) in [(Dtype::F16, 1e-3), (Dtype::Bf16, 8e-3)] {
        let rounded = sample(&write(&Synthetic { dtype, ..plain.clone() }).1);
        assert_ne!(rounded, expected);
        for (a, b) in rounded.iter().flatten().zip(expected.iter().flatten()) {
            assert!((a - b).abs() <= rounding * b.abs() + 1e-7, "{dtype:?}: {a} for {b}");
        }
    }
}

#[test]
fn draws_normal_numbers() {
    let (_dir, checkpoint) = write(&Synthetic::new(BertConfig::tiny(), SyntheticHead::Embedding, 3));
    let values = checkpoint.tensor("embeddings.word_embeddings.weight", &[320, 32]).unwrap();
    let count = values.len() as f32;
    let mean = values.iter().sum::<f32>() / count;
    let spread = (values.iter().map(|v| v * v).sum::<f32>() / count).sqrt();
    assert!(mean.abs() < 1e-3 && (spread - 0.02).abs() < 1e-3, "{mean} {spread}");
    let within = values.iter().filter(|v| v.abs() < 0.02).count() as f32 / count;
    assert!((within - 0.683).abs() < 0.02, "{within}");
    let weight = checkpoint.tensor("embeddings.LayerNorm.weight", &[32]).unwrap();
    assert!(weight.iter().all(|v| (v - 1.0).abs() < 0.2));
}

#[test]
fn is_readable_as_a_whole() {
    let config = BertConfig { vocab_size: 1000, ..BertConfig::tiny() };
    for head in HEADS {
        let (dir, checkpoint) = write(&Synthetic::new(config.clone(), head.clone(), 5));
        let read = BertConfig::open(dir.path()).unwrap();
        assert_eq!(
            read,
            BertConfig {
                architectures: read.architectures.clone(),
                labels: read.labels.clone(),
                tie_word_embeddings: head != SyntheticHead::MaskedLm { tied: false },
                ..config.clone()
            }
        );
        let found = Head::detect(&read, &checkpoint).unwrap();
        assert_eq!(found, Head::of_config(&read, dir.path()).unwrap());
        let labels = ["LABEL_0", "LABEL_1", "LABEL_2"].map(str::to_owned).to_vec();
        let expected = match head {
            SyntheticHead::Classification { .. } => Head::Classification { labels, scores: Scores::Softmax },
            SyntheticHead::TokenClassification { .. } => Head::TokenClassification { labels },
            SyntheticHead::QuestionAnswering => Head::QuestionAnswering,
            SyntheticHead::MaskedLm { .. } => Head::MaskedLm,
            SyntheticHead::Embedding => Head::Embedding { normalize: true, max_tokens: None },
        };
        assert_eq!(found, expected);
        let tokenizer = Tokenizer::open(dir.path()).unwrap().for_model(&read).unwrap();
        assert_eq!(tokenizer.id("[unused0]").is_some(), tokenizer.token(999).is_some());
        assert!(tokenizer.token(1000).is_none());
        assert!(tokenizer.encode("any text at all?", 64).is_ok());
    }
}

#[test]
fn replaces_an_earlier_checkpoint() {
    let dir = TempDir::new().unwrap();
    let spec = Synthetic::new(BertConfig::tiny(), SyntheticHead::Embedding, 1);
    spec.write(dir.path()).unwrap();
    Synthetic { seed: 2, shards: 2, ..spec.clone() }.write(dir.path()).unwrap();
    let replaced = sample(&Checkpoint::open(dir.path()).unwrap());
    assert_eq!(replaced, sample(&write(&Synthetic { seed: 2, ..spec }).1));
}

#[test]
fn is_the_same_each_time() {
    let spec = Synthetic::new(BertConfig::tiny(), CLASSIFIER, 1);
    let (a, b) = (write(&spec).0, write(&spec).0);
    for file in ["config.json", "tokenizer.json"] {
        assert_eq!(fs::read(a.path().join(file)).unwrap(), fs::read(b.path().join(file)).unwrap());
    }
}

#[test]
fn refuses_impossible_sizes() {
    let dir = TempDir::new().unwrap();
    let spec = Synthetic::new(BertConfig::tiny(), SyntheticHead::Embedding, 1);
    let small = Synthetic { config: BertConfig { vocab_size: 100, ..BertConfig::tiny() }, ..spec.clone() };
    assert!(matches!(small.write(dir.path()), Err(SyntheticError::VocabTooSmall { least: 109, .. })));
    for shards in [0, 1000] {
        let error = Synthetic { shards, ..spec.clone() }.write(dir.path()).unwrap_err();
        assert!(matches!(error, SyntheticError::Shards { most: 39, .. }), "{error}");
    }
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(matches!(spec.write(&file), Err(SyntheticError::Io { .. })));
}
