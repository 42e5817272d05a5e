//! Every head on random checkpoints: the float reference against a BERT of its own, private runs against the float
//! reference, pairs, batches and their exact costs.
#![allow(clippy::unwrap_used)]

mod naive;

use std::path::Path;

use ditto_core::net::Limits;
use ditto_core::prg::Randomness;
use ditto_models::answer::Answer;
use ditto_models::config::BertConfig;
use ditto_models::input::Input;
use ditto_models::lookup::Lookup;
use ditto_models::plan::Plan;
use ditto_models::run::{Launch, Outcome, Task, run_private};
use ditto_models::synthetic::{Synthetic, SyntheticHead};
use tempfile::TempDir;

const HEADS: [SyntheticHead; 6] = [
    SyntheticHead::Embedding,
    SyntheticHead::Classification { labels: 3 },
    SyntheticHead::TokenClassification { labels: 5 },
    SyntheticHead::QuestionAnswering,
    SyntheticHead::MaskedLm { tied: true },
    SyntheticHead::MaskedLm { tied: false },
];

fn checkpoint(head: &SyntheticHead) -> TempDir {
    let dir = TempDir::new().unwrap();
    Synthetic::new(BertConfig::tiny(), head.clone(), 11).write(dir.path()).unwrap();
    dir
}

/// Inputs of different lengths that suit a head.
fn inputs(head: &SyntheticHead) -> Vec<Input> {
    match head {
        SyntheticHead::QuestionAnswering => {
            vec![("where is the cat", "the cat is in the house").into(), ("who ran", "a dog ran").into()]
        }
        SyntheticHead::MaskedLm { .. } => {
            vec!["the [MASK] sat by a [MASK]".into(), "a good [MASK] film.".into()]
        }
        SyntheticHead::Classification { .. } => {
            vec!["a lovely film".into(), ("it is night", "it is not day").into()]
        }
        _ => vec!["the cat sat by the river".into(), "a dog".into()],
    }
}

fn open(dir: &Path, plan: Plan, head: &SyntheticHead) -> Task {
    Task::open(dir, plan, inputs(head)).unwrap()
}

fn private(task: &Task) -> Outcome {
    let out = run_private(task, &Launch::Threads, Limits::default(), Randomness::system(), &|_| ()).unwrap();
    assert_eq!(out.counted, out.metered);
    out
}

/// The largest difference of two answers' numbers.
fn distance(a: &Answer, b: &[f32]) -> f32 {
    assert_eq!(a.values().len(), b.len());
    a.values().iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn the_float_reference_is_bert() {
    for head in HEADS {
        let dir = checkpoint(&head);
        let task = open(dir.path(), Plan::Accurate, &head);
        let expected = naive::bert::outputs(&task);
        for size in [1, 2] {
            let task = open(dir.path(), Plan::Accurate, &head).batched(size).unwrap();
            assert_eq!(task.job.requests.len(), 2 / size);
            for (answer, expected) in task.reference().unwrap().iter().zip(&expected) {
                let error = distance(answer, expected);
                assert!(error < 2e-5, "{head:?} in batches of {size}: {error}");
            }
        }
    }
}

#[test]
fn every_head_runs_privately() {
    for head in HEADS {
        let dir = checkpoint(&head);
        for size in [1, 2] {
            let task = open(dir.path(), Plan::Accurate, &head).batched(size).unwrap();
            let (reference, out) = (task.reference().unwrap(), private(&task));
            assert_eq!(out.answers.len(), 2);
            for (answer, float) in out.answers.iter().zip(&reference) {
                let largest = float.values().iter().fold(0.0_f32, |m, v| m.max(v.abs()));
                let error = distance(answer, float.values());
                // Some steps with 10 fractional bits each.
                let near = error < 0.1 * largest;
                assert!(near, "{head:?} in batches of {size}: {error} of {largest}");
            }
        }
    }
}

#[test]
fn tokens_are_looked_up_privately() {
    for head in HEADS {
        let dir = checkpoint(&head);
        let task = open(dir.path(), Plan::Accurate, &head).batched(2).unwrap();
        let by_client = private(&task);
        let task = task.with_lookup(Lookup::Private).unwrap();
        let (reference, out) = (task.reference().unwrap(), private(&task));
        assert_eq!(out.counted.hops, by_client.counted.hops + 1);
        for (answer, float) in out.answers.iter().zip(&reference) {
            let largest = float.values().iter().fold(0.0_f32, |m, v| m.max(v.abs()));
            let error = distance(answer, float.values());
            assert!(error < 0.1 * largest, "{head:?}: {error} of {largest}");
        }
    }
    // In the larger ring of other plans.
    let dir = checkpoint(&SyntheticHead::QuestionAnswering);
    let task = open(dir.path(), Plan::Puma, &SyntheticHead::QuestionAnswering);
    private(&task.with_lookup(Lookup::Private).unwrap());
}

#[test]
fn costs_are_exact_under_every_plan() {
    for plan in Plan::ALL {
        for head in HEADS {
            let dir = checkpoint(&head);
            private(&open(dir.path(), plan, &head).batched(2).unwrap());
        }
    }
}

#[test]
fn texts_of_a_batch_share_hops() {
    let dir = checkpoint(&SyntheticHead::Classification { labels: 2 });
    let run = |texts: usize| {
        let texts = vec!["the cat sat by the river"; texts];
        private(&Task::open(dir.path(), Plan::Accurate, texts).unwrap().batched(64).unwrap()).counted
    };
    let (one, three) = (run(1), run(3));
    assert_eq!(one.hops, three.hops);
    assert_eq!(three.multiply_adds, 3 * one.multiply_adds);
}

#[test]
fn the_parties_learn_how_many_tokens_are_masked_and_not_which() {
    let dir = checkpoint(&SyntheticHead::MaskedLm { tied: true });
    let request = |text: &str| {
        let task = Task::open(dir.path(), Plan::Accurate, [text]).unwrap();
        (
            serde_json::to_string(&(&task.job.model, &task.job.requests)).unwrap(),
            task.reference().unwrap().remove(0),
        )
    };
    let ((front, a), (back, b)) = (request("[MASK] cat and dog"), request("the dog and [MASK]"));
    assert_eq!(front, back);
    assert!(front.contains(r#"{"tokens":[6],"masks":[1]}"#), "{front}");
    assert_ne!(a, b);
}
