//! Under a testing seed, three processes and three threads give the same answers bit for bit.
#![allow(clippy::unwrap_used)]

use ditto_core::net::Limits;
use ditto_core::prg::Randomness;
use ditto_models::config::BertConfig;
use ditto_models::plan::Plan;
use ditto_models::run::{Launch, Task, run_private};
use ditto_models::synthetic::{Synthetic, SyntheticHead};

#[test]
fn processes_and_threads_agree_bit_for_bit() {
    let dir = tempfile::tempdir().unwrap();
    Synthetic::new(BertConfig::tiny(), SyntheticHead::Embedding, 5).write(dir.path()).unwrap();
    let texts = ["the cat sat", "a"].map(str::to_owned).to_vec();
    let task = Task::open(dir.path(), Plan::Accurate, texts).unwrap();
    let processes = Launch::Processes { program: env!("CARGO_BIN_EXE_ditto").into() };
    let run = |launch: &Launch, seed: u8| {
        let out = run_private(&task, launch, Limits::default(), Randomness::fixed(seed), &|_| ()).unwrap();
        out.answers.iter().flat_map(|a| a.values().to_vec()).map(f32::to_bits).collect::<Vec<_>>()
    };
    let answers = run(&processes, 1);
    assert_eq!(answers, run(&Launch::Threads, 1));
    // The seed matters: another gives other coins.
    assert_ne!(answers, run(&Launch::Threads, 2));
}
