//! A tiny model with three parties, its owner and its client: over memory and over TCP, and when things go wrong.

mod lanes;
mod lookup;
mod world;

use std::time::{Duration, Instant};

use super::*;
use crate::error::{Error, Result};
use crate::mpc::Role;
use crate::net::Peer;
use crate::tensor::Array;
use world::{Checkpoint, LENGTH, Tiny, World, input};

const MODEL: Tiny = Tiny { version: 1, looks_up: false, fails_at: None };

/// Largest difference of two arrays.
fn apart(a: &Array<f32>, b: &Array<f32>) -> f32 {
    assert_eq!(a.shape(), b.shape());
    a.data().iter().zip(b.data()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// Outputs of batches that all parties serve, and the parties' reports.
fn infer(world: World, batches: &[u64]) -> Vec<(Array<f32>, [Report; 3])> {
    let models = [MODEL; 3];
    let (outputs, parties) = world.run(&models, batches, |client, owner| {
        owner.share(&MODEL)?;
        let shape = program(&MODEL, &LENGTH)?.2;
        let each = |(i, &batch): (usize, &u64)| {
            let seeds = client.begin(batch)?;
            client.ready(batch)?;
            let y = client.finish::<Tiny>(batch, &seeds, &input(i as u64), &shape)?;
            Ok((y, client.reports(batch)?))
        };
        batches.iter().enumerate().map(each).collect::<Result<Vec<_>>>()
    });
    parties.into_iter().for_each(|p| p.expect("a party serves"));
    outputs.expect("the client is served")
}

fn check_outputs(outputs: &[(Array<f32>, [Report; 3])]) {
    let (total, _, _) = program(&MODEL, &LENGTH).map(|(p, d, s)| (p.total, d, s)).expect("a program");
    let simulated = simulate(&MODEL, &Checkpoint).expect("loads");
    let clear = clear(&MODEL, &Checkpoint).expect("loads");
    for (i, (y, reports)) in outputs.iter().enumerate() {
        let x = input(i as u64);
        let fixed = simulated([i as u8; 16], &LENGTH, &x).expect("simulates");
        let float = clear(&LENGTH, x).expect("computes");
        // Rounding of some dozen steps at 10 fractional bits; GeLU within 2^-8 before a normalisation.
        assert!(apart(y, &fixed) < 0.03, "simulation: {}", apart(y, &fixed));
        assert!(apart(y, &float) < 0.08, "floats: {}", apart(y, &float));
        let [p0, p1, p2] = reports;
        let outputs = 2 * crate::kernel::packed_len(y.shape().len(), 32) as u64;
        assert_eq!(p0.online_bytes + p1.online_bytes, total.online + outputs);
        assert_eq!((p2.offline_bytes, p2.online_bytes), (total.offline, 0));
        assert_eq!((p0.hops, p1.hops, p2.hops), (total.hops, total.hops, 0));
    }
}

#[test]
fn two_batches_over_memory() {
    check_outputs(&infer(World::memory(Duration::from_secs(20)), &[1, 2]));
}

#[test]
fn preprocessing_may_run_beside_the_online_phase() {
    // Room for a few steps only, so that each side waits for the other again and again.
    for bytes in [1, 4096] {
        check_outputs(&infer(World::memory(Duration::from_secs(20)).streaming(bytes), &[1, 2]));
    }
    check_outputs(&infer(World::tcp(Duration::from_secs(20)).streaming(1 << 20), &[1]));
}

#[test]
fn preprocessing_may_need_no_client() {
    check_outputs(&infer(World::memory(Duration::from_secs(20)).clientless(), &[1, 2]));
}

#[test]
fn two_batches_over_tcp() {
    check_outputs(&infer(World::tcp(Duration::from_secs(20)), &[1, 2]));
}

#[test]
fn fixed_seeds_repeat_a_run_bit_for_bit() {
    let run = |seed| infer(World::memory(Duration::from_secs(20)).with_fixed_seeds(seed), &[5]).remove(0).0;
    let (a, b) = (run(3), run(3));
    assert_eq!(a.data(), b.data());
    // Another seed flips other coins, and the result is as near.
    assert!(apart(&a, &run(4)) < 0.03);
}

#[test]
fn a_batch_is_served_once() {
    let (_, parties) = World::memory(Duration::from_secs(5)).run(&[MODEL; 3], &[3, 3], |client, owner| {
        owner.share(&MODEL)?;
        let seeds = client.begin(3)?;
        client.ready(3)?;
        // P2 is the first to be asked again, perhaps before the others have served the first request.
        let _ = client.finish::<Tiny>(3, &seeds, &input(0), &program(&MODEL, &LENGTH)?.2);
        Err::<(), _>(Error::BatchBurnt(3))
    });
    let burnt = |p: &Result<()>| matches!(p, Err(Error::BatchBurnt(3)));
    // Who comes first ends the others too.
    assert!(parties.iter().any(burnt) && parties.iter().all(Result::is_err), "{parties:?}");
}

#[test]
fn another_program_is_noticed_by_all() {
    for odd in 0..3 {
        let mut models = [MODEL; 3];
        models[odd].version = 2;
        for _ in 0..5 {
            let (_, parties) = World::memory(Duration::from_secs(5)).run(&models, &[1], |client, owner| {
                owner.share(&MODEL)?;
                client.begin(1)?;
                client.ready(1)
            });
            for (i, party) in parties.iter().enumerate() {
                let Err(Error::Program { peer, theirs, ours }) = party else { panic!("P{i}: {party:?}") };
                assert_ne!(theirs, ours);
                assert!(i == odd || *peer == Role::ALL[odd].peer().to_string(), "P{i} blames {peer}");
            }
        }
    }
}

/// The first error of a run in which P1 dies or hangs at its `nth` message to P0; how long it took.
fn broken(hangs: bool, nth: u32) -> ([Result<()>; 3], Result<()>, Duration) {
    let started = Instant::now();
    let world = World::memory(Duration::from_secs(2)).with_p1_ending_at(nth, hangs);
    let (outcome, parties) = world.run(&[MODEL; 3], &[1], |client, owner| {
        owner.share(&MODEL)?;
        let seeds = client.begin(1)?;
        client.ready(1)?;
        client.finish::<Tiny>(1, &seeds, &input(0), &program(&MODEL, &LENGTH)?.2).map(drop)
    });
    (parties, outcome, started.elapsed())
}

#[test]
fn a_party_that_dies_or_hangs_ends_the_request() {
    for hangs in [false, true] {
        // After key agreement and program comparison, in the middle of the online phase.
        let (parties, client, took) = broken(hangs, 6);
        let Err(Error::Net { step: Some(step), source }) = &parties[0] else { panic!("{:?}", parties[0]) };
        assert!(!step.is_empty());
        assert_eq!(source.peer(), Some(Peer::P1));
        assert!(client.is_err(), "the client is told");
        assert!(took < Duration::from_secs(8), "{took:?}");
    }
}
