//! The tiny model with an input that is looked up in tables of the owner's.

use std::time::{Duration, Instant};

use super::world::{Checkpoint, LENGTH, TABLES, Tiny, World};
use super::{apart, private_lookup};
use crate::error::Result;
use crate::keys::reserved;
use crate::net::{Address, Message};
use crate::prg::Randomness;
use crate::session::{
    Floats, Input, Manifest, Report, SecureModel, Use, clear, input_bytes, operations, program, request_cost,
    simulate,
};
use crate::tensor::{Array, Shape};

const MODEL: Tiny = Tiny { version: 1, looks_up: true, fails_at: None };

/// The `i`-th list of ids for each table.
fn ids(i: usize) -> Vec<Vec<usize>> {
    let list = |rows: usize, seed: usize| (0..LENGTH).map(|row| (row * 17 + seed * 5 + 3) % rows).collect();
    TABLES.iter().enumerate().map(|(table, (_, rows))| list(*rows, i + table)).collect()
}

/// What the ids look up.
fn looked_up(ids: &[Vec<usize>]) -> Array<f32> {
    let columns = MODEL.input_shape(&LENGTH).last();
    let mut sum = vec![0.0; LENGTH * columns];
    for ((name, rows), ids) in TABLES.iter().zip(ids) {
        let table = Checkpoint.floats(name, &[*rows, columns]).expect("a table");
        for (sum, &id) in sum.chunks_mut(columns).zip(ids) {
            sum.iter_mut().zip(&table[id * columns..]).for_each(|(s, v)| *s += v);
        }
    }
    Array::new([LENGTH, columns], sum).expect("fills the shape")
}

fn infer(world: World, batches: &[u64]) -> Vec<(Array<f32>, [Report; 3])> {
    let (outputs, parties) = world.run(&[MODEL; 3], batches, |client, owner| {
        owner.share(&MODEL)?;
        let shape = program(&MODEL, &LENGTH)?.2;
        let each = |(i, &batch): (usize, &u64)| {
            client.ready(batch)?;
            let y = client.finish_lookup(&MODEL, &LENGTH, batch, &ids(i), &Randomness::system(), &shape)?;
            Ok((y, client.reports(batch)?))
        };
        batches.iter().enumerate().map(each).collect::<Result<Vec<_>>>()
    });
    parties.into_iter().for_each(|p| p.expect("a party serves"));
    outputs.expect("the client is served")
}

fn check(outputs: &[(Array<f32>, [Report; 3])]) {
    let (total, _, output) = program(&MODEL, &LENGTH).map(|(p, d, s)| (p.total, d, s)).expect("a program");
    let simulated = simulate(&MODEL, &Checkpoint).expect("loads");
    let clear = clear(&MODEL, &Checkpoint).expect("loads");
    for (i, (y, reports)) in outputs.iter().enumerate() {
        let x = looked_up(&ids(i));
        let fixed = simulated([i as u8; 16], &LENGTH, &x).expect("simulates");
        assert!(apart(y, &fixed) < 0.03, "simulation: {}", apart(y, &fixed));
        let float = clear(&LENGTH, x).expect("computes");
        assert!(apart(y, &float) < 0.08, "floats: {}", apart(y, &float));
        let [p0, p1, p2] = reports;
        let outputs = 2 * crate::kernel::packed_len(output.len(), 32) as u64;
        // Each evaluator sends one part of the rows, the helper two.
        let message = crate::kernel::packed_len(LENGTH * 8, 32) as u64;
        assert_eq!(p2.online_bytes, 2 * message);
        let online = p0.online_bytes + p1.online_bytes + p2.online_bytes;
        assert_eq!(online, total.online + outputs);
        let request = request_cost(&MODEL, &LENGTH).expect("a cost");
        assert_eq!(online + input_bytes(&MODEL, &LENGTH).expect("bytes"), request.online);
        assert_eq!((p0.offline_bytes, p1.offline_bytes, p2.offline_bytes), (0, 0, total.offline));
        assert_eq!((p0.hops, p1.hops, p2.hops), (total.hops, total.hops, 0));
    }
}

#[test]
fn rows_are_looked_up_over_memory_and_tcp() {
    check(&infer(World::memory(Duration::from_secs(20)), &[1, 2]));
    check(&infer(World::tcp(Duration::from_secs(20)), &[1, 2]));
}

#[test]
fn rows_are_looked_up_while_preprocessing_runs() {
    for bytes in [1, 4096] {
        check(&infer(World::memory(Duration::from_secs(20)).streaming(bytes), &[1, 2]));
    }
    check(&infer(World::tcp(Duration::from_secs(20)).streaming(1 << 20), &[1]));
}

#[test]
fn a_conversation_in_one_process_looks_up() {
    let inputs = [(LENGTH, ids(0)), (LENGTH, ids(1))];
    let outputs = private_lookup(&MODEL, &Checkpoint, &inputs).expect("runs");
    let clear = clear(&MODEL, &Checkpoint).expect("loads");
    for (y, (length, ids)) in outputs.iter().zip(&inputs) {
        assert!(apart(y, &clear(length, looked_up(ids)).expect("computes")) < 0.08);
    }
    let mut unfit = ids(0);
    unfit[1][2] = TABLES[1].1;
    let refused = private_lookup(&MODEL, &Checkpoint, &[(LENGTH, unfit)]);
    assert!(refused.is_err_and(|e| e.to_string().contains(TABLES[1].0)), "an id outside of its table");
    let refused = private_lookup(&MODEL, &Checkpoint, &[(LENGTH, ids(0)[..1].to_vec())]);
    assert!(refused.is_err_and(|e| e.to_string().contains("number of ids")), "no ids for a table");
}

#[test]
fn tables_are_counted_and_part_of_the_program() {
    let manifest = Manifest::of(&MODEL).expect("a manifest");
    let tables = manifest.0.iter().filter(|e| e.r#use == Use::Table);
    let shapes: Vec<_> = tables.map(|e| (e.name.as_str(), e.shape.clone())).collect();
    assert_eq!(shapes, TABLES.map(|(name, rows)| (name, Shape::new(&[rows, 8]))));
    let (all, total) = operations(&MODEL, &LENGTH).expect("operations");
    assert_eq!((all[0].step.as_str(), all[1].step.as_str()), ("input", "lookup"));
    // Roots and last words; levels: 41 rows are 11 blocks, 2 rows are one.
    let keys = LENGTH as u64 * 2 * (32 + 4 * 16 + 1 + 32);
    assert_eq!(all[0].cost.online, 3 * keys);
    assert_eq!(all[1].cost.online, 4 * 4 * 8 * LENGTH as u64);
    assert_eq!((all[1].cost.hops, all[1].cost.offline), (1, 0));
    let plain = Tiny { looks_up: false, ..MODEL };
    let (_, without) = operations(&plain, &LENGTH).expect("operations");
    assert_eq!(total.hops, without.hops + 1);
    assert_ne!(program(&MODEL, &LENGTH).expect("reads").1, program(&plain, &LENGTH).expect("reads").1);
    assert_eq!(plain.input(), Input::Values);
}

#[test]
fn keys_of_another_length_end_the_request() {
    for odd in 0..3 {
        let started = Instant::now();
        let world = World::memory(Duration::from_secs(2));
        let (outcome, parties) = world.run(&[MODEL; 3], &[1], |client, owner| {
            owner.share(&MODEL)?;
            client.ready(1)?;
            let bytes = input_bytes(&MODEL, &LENGTH)? as usize / 3;
            for (i, role) in crate::mpc::Role::ALL.into_iter().enumerate() {
                let payload = vec![0; if i == odd { bytes - 1 } else { bytes }];
                let link = client.link(role.peer()).expect("a link");
                link.send(Message::new(Address::new(1, reserved::INPUT, 1), 0, payload))?;
            }
            client.reports(1).map(drop)
        });
        assert!(outcome.is_err(), "the client is told");
        assert!(parties[odd].is_err(), "P{odd} takes no other length");
        assert!(parties[0].is_err() && parties[1].is_err(), "{parties:?}");
        assert!(started.elapsed() < Duration::from_secs(8));
    }
}

#[test]
fn nobody_waits_for_keys_beyond_the_limit() {
    let started = Instant::now();
    let (outcome, parties) = World::memory(Duration::from_secs(1)).run(&[MODEL; 3], &[1], |client, owner| {
        owner.share(&MODEL)?;
        client.ready(1)?;
        client.reports(1).map(drop)
    });
    assert!(outcome.is_err() && parties.iter().all(Result::is_err), "{parties:?}");
    assert!(started.elapsed() < Duration::from_secs(8));
}
