//! Under a testing seed, all ways to run the same requests give the same answers bit for bit.
#![allow(clippy::unwrap_used)]

use ditto_core::net::Limits;
use ditto_core::prg::Randomness;
use ditto_models::config::BertConfig;
use ditto_models::plan::Plan;
use ditto_models::run::{Launch, Serving, Task, run_private};
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

#[test]
fn requests_in_flight_give_the_answers_of_one_after_the_other() {
    let dir = tempfile::tempdir().unwrap();
    Synthetic::new(BertConfig::tiny(), SyntheticHead::Embedding, 6).write(dir.path()).unwrap();
    let texts = ["the cat sat", "a", "on the mat", "it rains", "a dog ran", "no"].map(str::to_owned).to_vec();
    let processes = Launch::Processes { program: env!("CARGO_BIN_EXE_ditto").into() };
    let run = |launch: &Launch, serving: Serving| {
        let task = Task::open(dir.path(), Plan::Accurate, texts.clone()).unwrap().with_serving(serving);
        let out = run_private(&task, launch, Limits::default(), Randomness::fixed(1), &|_| ()).unwrap();
        assert_eq!((out.answered, out.failures.len()), (texts.len(), 0));
        assert_eq!(out.counted, out.metered);
        out.answers.iter().flat_map(|a| a.values().to_vec()).map(f32::to_bits).collect::<Vec<_>>()
    };
    let one = run(&Launch::Threads, Serving::default());
    let overlapped = Serving { overlap: Some(1 << 20), ..Serving::default() };
    for (launch, serving) in [
        (&Launch::Threads, overlapped),
        (&Launch::Threads, Serving { in_flight: 4, ..Serving::default() }),
        (&processes, Serving { in_flight: 3, ..overlapped }),
        // More than there are requests.
        (&processes, Serving { in_flight: 16, ..overlapped }),
    ] {
        assert_eq!(one, run(launch, serving), "{serving:?}");
    }
}
