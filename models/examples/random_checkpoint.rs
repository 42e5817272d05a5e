//! Writes a BERT checkpoint with random weights, to measure what a size costs:
//! `cargo run --release -p ditto-models --example random_checkpoint -- base checkpoints/bert-base-random`

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use ditto_models::config::BertConfig;
use ditto_models::synthetic::{Synthetic, SyntheticError, SyntheticHead};

/// Write a BERT checkpoint with random weights
#[derive(Parser)]
struct Args {
    /// Which size
    #[arg(value_enum)]
    size: Size,
    /// Directory to write
    dir: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum Size {
    /// 2 layers of width 32
    Tiny,
    /// 6 layers of width 384 (MiniLM-L6)
    Minilm,
    /// 12 layers of width 768
    Base,
    /// 24 layers of width 1024
    Large,
}

fn main() -> Result<(), SyntheticError> {
    let args = Args::parse();
    let [layers, width, heads] = match args.size {
        Size::Tiny => [2, 32, 4],
        Size::Minilm => [6, 384, 12],
        Size::Base => [12, 768, 12],
        Size::Large => [24, 1024, 16],
    };
    let config = BertConfig {
        num_hidden_layers: layers,
        hidden_size: width,
        num_attention_heads: heads,
        intermediate_size: if width == 32 { 64 } else { 4 * width },
        max_position_embeddings: 512,
        ..BertConfig::tiny()
    };
    Synthetic::new(config, SyntheticHead::Embedding, 1).write(&args.dir)
}
