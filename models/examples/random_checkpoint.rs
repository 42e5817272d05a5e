//! Writes a checkpoint with random weights, to measure what a size costs:
//! `cargo run --release -p ditto-models --example random_checkpoint -- base checkpoints/bert-base-random`

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use ditto_models::config::{BertConfig, Gpt2Config};
use ditto_models::synthetic::{Synthetic, SyntheticError, SyntheticGpt2, SyntheticHead};

/// Write a checkpoint with random weights
#[derive(Parser)]
struct Args {
    /// Which size
    #[arg(value_enum)]
    size: Size,
    /// Directory to write
    dir: PathBuf,
    /// About what a GPT-2's residual stream comes to hold in one dimension at the first token
    #[arg(long, value_name = "VALUE")]
    planted: Option<f32>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Size {
    /// BERT: 2 layers of width 32
    Tiny,
    /// BERT: 6 layers of width 384 (MiniLM-L6)
    Minilm,
    /// BERT: 12 layers of width 768
    Base,
    /// BERT: 24 layers of width 1024
    Large,
    /// GPT-2: 2 layers of width 32
    Gpt2Tiny,
    /// GPT-2: 12 layers of width 768
    Gpt2,
    /// GPT-2: 24 layers of width 1024
    Gpt2Medium,
    /// GPT-2: 36 layers of width 1280
    Gpt2Large,
}

fn main() -> Result<(), SyntheticError> {
    let args = Args::parse();
    match args.size {
        Size::Tiny => bert([2, 32, 4]).write(&args.dir),
        Size::Minilm => bert([6, 384, 12]).write(&args.dir),
        Size::Base => bert([12, 768, 12]).write(&args.dir),
        Size::Large => bert([24, 1024, 16]).write(&args.dir),
        Size::Gpt2Tiny => gpt2(Gpt2Config::tiny(), args.planted).write(&args.dir),
        Size::Gpt2 => gpt2(gpt2_config([12, 768, 12]), args.planted).write(&args.dir),
        Size::Gpt2Medium => gpt2(gpt2_config([24, 1024, 16]), args.planted).write(&args.dir),
        Size::Gpt2Large => gpt2(gpt2_config([36, 1280, 20]), args.planted).write(&args.dir),
    }
}

fn bert([layers, width, heads]: [usize; 3]) -> Synthetic {
    let config = BertConfig {
        num_hidden_layers: layers,
        hidden_size: width,
        num_attention_heads: heads,
        intermediate_size: if width == 32 { 64 } else { 4 * width },
        max_position_embeddings: 512,
        ..BertConfig::tiny()
    };
    Synthetic::new(config, SyntheticHead::Embedding, 1)
}

fn gpt2_config([layers, width, heads]: [usize; 3]) -> Gpt2Config {
    Gpt2Config {
        n_layer: layers,
        n_embd: width,
        n_head: heads,
        n_positions: 1024,
        vocab_size: 50257,
        bos_token_id: Some(50256),
        eos_token_id: Some(50256),
        ..Gpt2Config::tiny()
    }
}

fn gpt2(config: Gpt2Config, planted: Option<f32>) -> SyntheticGpt2 {
    SyntheticGpt2 { planted, ..SyntheticGpt2::new(config, 1) }
}
