//! The lookup of rows of shared tables: against the plain tables, its exact cost, and what each party sees.

use std::sync::Arc;

use super::views::bits;
use crate::cost::Cost;
use crate::ctx::{Ctx, Steps};
use crate::dpf::Domain;
use crate::engine::Meter;
use crate::kernel::{pack, packed_len};
use crate::mpc::embedding::{self, Keys, Table, deal_keys};
use crate::mpc::{Evaluator, Preprocess, Role, Roles, Store};
use crate::net::{Channel, Limits, pair};
use crate::prg::{Prg, Seed};
use crate::primitives::RingWord;
use crate::ring::Word;
use crate::tensor::Shape;
use crate::testing::watch::Watched;
use crate::testing::{Generators, Script};

/// Tables in Z_{2^k}, each with the ids that are looked up in it and its masks.
struct Lookups<W> {
    k: u32,
    columns: usize,
    tables: Vec<PlainTable<W>>,
}

struct PlainTable<W> {
    values: Vec<W>,
    masks: [Vec<W>; 2],
    ids: Vec<usize>,
}

impl<W: RingWord> PlainTable<W> {
    fn masked(&self, k: u32) -> Vec<W> {
        let [l0, l1] = &self.masks;
        let sum = |((v, a), b): ((&W, &W), &W)| v.wrapping_add(a).wrapping_add(b).low(k);
        self.values.iter().zip(l0).zip(l1).map(sum).collect()
    }
}

struct Outcome<W> {
    rows: Vec<W>,
    counted: Cost,
    metered: Cost,
    /// Bytes that the evaluators sent to P2.
    to_helper: u64,
    /// What P0 and P1 were told by P2, and by each other.
    told: [[Vec<u8>; 2]; 2],
    /// P1's mask of the result.
    l1: Vec<W>,
}

fn random<W: Word>(n: usize, k: u32, step: u32) -> Vec<W> {
    Prg::new(&Seed::new([5; 16])).words(step, 0, n, k)
}

fn run<W: RingWord>(lookups: &Lookups<W>, generators: &Generators, key_seed: u8) -> Outcome<W> {
    let Lookups { k, columns, tables } = lookups;
    let (k, columns, ids) = (*k, *columns, tables[0].ids.len());
    let shapes: Vec<_> = tables.iter().map(|t| Shape::new(&[t.values.len() / columns, columns])).collect();
    let shape = embedding::shape(&shapes, ids).expect("tables that fit");
    let program = Meter::read(Arc::default(), |ctx| {
        let work = embedding::work::<W>(&shapes, ids, k)?;
        ctx.step("lookup")?.charge(embedding::cost(&shapes, ids, k)?, work);
        Ok(())
    })
    .expect("meters");

    let held = |role: Role, i: usize| -> (Table<W>, Keys<W>) {
        let table = &tables[i];
        let (m, [l0, l1]) = (table.masked(k), &table.masks);
        let components = match role {
            Role::P0 => [&m, l0],
            Role::P1 => [&m, l1],
            Role::P2 => [l0, l1],
        };
        let domain = Domain::<W>::new(shapes[i].dims()[0]).expect("a domain");
        let prg = Prg::new(&Seed::new([key_seed; 16]));
        let keys = deal_keys(domain, &table.ids, &prg, i as u32).expect("deals");
        let keys = Keys::decode(role, domain, ids, &keys[role.index()]).expect("reads");
        (Table::new(k, &shapes[i], components.map(|c| &c[..])).expect("a matrix"), keys)
    };
    let part = |role: Role| {
        let (tables, keys): (Vec<_>, Vec<_>) = (0..tables.len()).map(|i| held(role, i)).unzip();
        embedding::part(role, k, &tables, &keys).expect("multiplies")
    };
    let ends = |a: Role, b: Role| {
        let (x, y) = pair(a.peer(), b.peer(), Limits::default());
        [Arc::new(Watched::new(x)), Arc::new(Watched::new(y))]
    };
    let [peer0, peer1] = ends(Role::P0, Role::P1);
    let [to0, from_helper0] = ends(Role::P2, Role::P0);
    let [to1, from_helper1] = ends(Role::P2, Role::P1);
    let patience = std::time::Duration::from_secs(20);
    let stores = [0, 1].map(|_| Arc::new(Store::new(usize::MAX, patience)));
    let offline = |roles: Roles| {
        let (engine, steps) = (Preprocess::new(roles, 1), Steps::follow(program.steps.clone()));
        let ctx = Ctx::root(&engine, &steps).step("lookup").expect("a step");
        embedding::offline::<W>(&ctx, &shape, k).expect("prepares")
    };
    for (role, helper) in [(Role::P0, &from_helper0), (Role::P1, &from_helper1)] {
        let (i, prg) = (role.index(), (generators.pair)(role.index()));
        offline(Roles::Evaluator { role, prg, helper: helper.clone(), store: stores[i].clone() });
    }
    // The helper's masks are there before its keys are.
    let prgs = [0, 1].map(|i| (generators.pair)(i));
    let (_, assist) = offline(Roles::Helper { prgs, links: [to0.clone(), to1.clone()] });
    let assist = assist.expect("the helper takes part");
    assist.send([&*to0, &*to1], &part(Role::P2)).expect("sends");

    let online = |role: Role, peer: &Arc<Watched<_>>, helper: &dyn Channel, store: &Arc<Store>| {
        let engine = Evaluator::new(role, 1, peer.clone(), store.clone());
        let steps = Steps::follow(program.steps.clone());
        let ctx = Ctx::root(&engine, &steps).step("lookup").expect("a step");
        let y = embedding::online(&ctx, helper, &shape, k, part(role)).expect("remasks");
        (y.m, y.own, engine.transcript(), ctx.depth())
    };
    let (y0, y1) = std::thread::scope(|s| {
        let other = s.spawn(|| online(Role::P1, &peer1, &*from_helper1, &stores[1]));
        (online(Role::P0, &peer0, &*from_helper0, &stores[0]), other.join().expect("no panic"))
    });
    assert_eq!((y0.0.data(), y0.2), (y1.0.data(), y1.2), "the evaluators agree");
    let row = |((m, a), b): ((&W, &W), &W)| m.wrapping_sub(a).wrapping_sub(b).low(k);
    let sent = |end: &Arc<Watched<_>>| end.stats().snapshot().sent.total.bytes;
    let only = |end: &Arc<Watched<_>>| {
        let mut received = end.received();
        assert_eq!(received.len(), 1);
        received.remove(0)
    };
    Outcome {
        rows: y0.0.data().iter().zip(y0.1.data()).zip(y1.1.data()).map(row).collect(),
        counted: Cost {
            online: [&peer0, &peer1, &to0, &to1].map(sent).iter().sum(),
            hops: y0.3.max(y1.3),
            multiply_adds: program.total.multiply_adds,
            offline: 0,
        },
        metered: program.total,
        to_helper: sent(&from_helper0) + sent(&from_helper1),
        told: [[only(&from_helper0), only(&peer0)], [only(&from_helper1), only(&peer1)]],
        l1: y1.1.into_vec(),
    }
}

fn random_table<W: RingWord>(
    k: u32,
    rows: usize,
    columns: usize,
    ids: Vec<usize>,
    step: u32,
) -> PlainTable<W> {
    let draw = |i: u32| random(rows * columns, k, 3 * step + i);
    PlainTable { values: draw(0), masks: [draw(1), draw(2)], ids }
}

fn check<W: RingWord>(k: u32, columns: usize, tables: &[(usize, &[usize])]) {
    let plain = tables.iter().enumerate();
    let plain = plain.map(|(i, (rows, ids))| random_table(k, *rows, columns, ids.to_vec(), i as u32));
    let lookups = Lookups::<W> { k, columns, tables: plain.collect() };
    let outcome = run(&lookups, &Generators::seeded(3), 9);
    let n = tables[0].1.len() * columns;
    for (i, got) in outcome.rows.iter().enumerate() {
        let (row, column) = (i / columns, i % columns);
        let want = lookups
            .tables
            .iter()
            .fold(W::default(), |sum, t| sum.wrapping_add(&t.values[t.ids[row] * columns + column]));
        assert_eq!(*got, want.low(k), "row {row} column {column} in Z_2^{k}");
    }
    assert_eq!(outcome.counted, outcome.metered);
    assert_eq!(outcome.counted.online, 4 * packed_len(n, k) as u64);
    assert_eq!((outcome.counted.hops, outcome.to_helper), (1, 0));
}

#[test]
fn rows_are_those_of_the_tables() {
    let ids: Vec<usize> = (0..150).map(|i| i * 7919 % 301).collect();
    let types: Vec<usize> = (0..150).map(|i| i % 2).collect();
    let places: Vec<usize> = (0..150).collect();
    let tables: [(usize, &[usize]); 3] = [(301, &ids), (2, &types), (150, &places)];
    check::<u32>(32, 24, &tables);
    check::<u64>(48, 17, &tables);
    check::<u64>(64, 8, &tables);
    check::<u8>(8, 5, &tables[..2]);
    check::<u16>(16, 5, &tables[..1]);
    for rows in 1..=9 {
        let ids: Vec<usize> = (0..rows).chain([0, rows - 1]).collect();
        check::<u32>(32, 3, &[(rows, &ids)]);
        check::<u64>(48, 3, &[(rows, &ids)]);
    }
}

#[test]
fn tables_must_fit_each_other() {
    let shape = |dims: &[&[usize]]| {
        let shapes: Vec<_> = dims.iter().map(|d| Shape::new(d)).collect();
        embedding::shape(&shapes, 3)
    };
    assert_eq!(shape(&[&[9, 4], &[2, 4]]).expect("fits"), Shape::new(&[3, 4]));
    assert!(shape(&[]).is_err() && shape(&[&[9]]).is_err() && shape(&[&[9, 4], &[9, 5]]).is_err());
}

#[test]
fn keys_of_another_length_are_refused() {
    let domain = Domain::<u32>::new(100).expect("a domain");
    let prg = Prg::new(&Seed::new([1; 16]));
    let keys = deal_keys(domain, &[1, 99], &prg, 0).expect("deals");
    for (role, bytes) in Role::ALL.into_iter().zip(&keys) {
        assert_eq!(bytes.len(), Keys::bytes(domain, 2));
        assert!(Keys::decode(role, domain, 2, bytes).is_ok());
        assert!(Keys::decode(role, domain, 1, bytes).is_err());
        assert!(Keys::decode(role, domain, 3, bytes).is_err());
        assert!(Keys::decode(role, domain, 2, &bytes[1..]).is_err());
        assert!(Keys::decode(role, domain, 2, &[]).is_err());
    }
    assert!(deal_keys(domain, &[100], &prg, 0).is_err(), "an id outside of the table");
}

// What a server sees together with the client, for every outcome of the generators: the client's keys are fixed, and the
// columns of a table go through all masks of the table and of the result.

/// A run in Z_{2^k} of one id in tables of two rows, whose columns all are `secret`.
fn exhaustive(k: u32, secret: &[u8], ids: &[usize], key_seed: u8) -> (Outcome<u8>, Lookups<u8>, Arc<Script>) {
    // Per column and table two masks of two rows; for the result two masks and two blinds.
    let drawn = k * (4 * ids.len() as u32 + 4);
    let columns = 1usize << drawn;
    let script = Arc::new(Script::new(columns));
    let tables = ids.iter().enumerate().map(|(t, &id)| {
        let of_columns = |which: u8| {
            let words: Vec<u8> = script.words(2 + which, u32::MAX - t as u32, 0, 2 * columns, k);
            // A column's numbers lie side by side there, and rows here.
            (0..2 * columns).map(|i| words[i % columns * 2 + i / columns]).collect::<Vec<u8>>()
        };
        let values = (0..2 * columns).map(|i| secret[2 * t + i / columns]).collect();
        PlainTable { values, masks: [of_columns(0), of_columns(1)], ids: vec![id] }
    });
    let lookups = Lookups { k, columns, tables: tables.collect() };
    let outcome = run(&lookups, &Generators::scripted(&script), key_seed);
    assert_eq!(script.bits(), drawn);
    (outcome, lookups, script)
}

/// The views of a party and the client, one per outcome of the generators, sorted: what its generators and components
/// tell, and what it receives.
fn views(role: Role, run: &(Outcome<u8>, Lookups<u8>, Arc<Script>), more: &[&[u8]]) -> Vec<u128> {
    let (outcome, lookups, script) = run;
    let k = lookups.k as usize;
    let told = match role {
        Role::P0 => script.told(&[0, 2]),
        Role::P1 => script.told(&[1, 3]),
        Role::P2 => script.told(&[0, 1, 2, 3]),
    };
    let mut seen: Vec<Vec<u8>> = more.iter().map(|m| m.to_vec()).collect();
    if role != Role::P2 {
        for table in &lookups.tables {
            let masked = table.masked(lookups.k);
            let rows = masked.chunks(lookups.columns);
            seen.extend(rows.map(|row| pack(row, lookups.k)));
        }
        seen.extend(outcome.told[role.index()].iter().cloned());
    }
    let of_column = |c: usize| {
        let first = u128::from(c as u64 & told);
        seen.iter().fold(first, |view, payload| view << k | bits(payload, c * k, k))
    };
    let mut views: Vec<u128> = (0..lookups.columns).map(of_column).collect();
    views.sort_unstable();
    views
}

/// Every table of two rows per id.
fn secrets(k: u32, tables: usize) -> Vec<Vec<u8>> {
    let (n, values) = (2 * tables as u32, 1usize << k);
    (0..values.pow(n)).map(|i| (0..n).map(|j| (i / values.pow(j) % values) as u8).collect()).collect()
}

#[test]
fn client_and_one_server_learn_nothing_of_the_tables() {
    for (k, ids) in [(1, vec![0]), (1, vec![1]), (2, vec![1]), (1, vec![0, 1])] {
        for key_seed in [1, 2, 3, 4] {
            let mut first: Option<[Vec<u128>; 3]> = None;
            for secret in secrets(k, ids.len()) {
                let run = exhaustive(k, &secret, &ids, key_seed);
                let sum = ids.iter().enumerate().map(|(t, id)| secret[2 * t + id]).sum::<u8>();
                assert!(run.0.rows.iter().all(|r| *r == sum & u8::mask(k)));
                let views = Role::ALL.map(|role| views(role, &run, &[]));
                assert_eq!(
                    first.get_or_insert_with(|| views.clone()),
                    &views,
                    "Z_2^{k}, {ids:?}, {secret:?}"
                );
            }
        }
    }
}

#[test]
fn who_also_learns_the_result_learns_nothing_else() {
    // As if the row were opened to the client, so that P1's mask of it is known: tables that have it in common.
    for key_seed in [1, 2, 3, 4] {
        let mut of_result: [Option<[Vec<u128>; 2]>; 4] = Default::default();
        for secret in secrets(2, 1) {
            let run = exhaustive(2, &secret, &[1], key_seed);
            let l1 = pack(&run.0.l1, 2);
            let views = [views(Role::P0, &run, &[&l1]), views(Role::P2, &run, &[&l1])];
            let first = &mut of_result[secret[1] as usize];
            assert_eq!(first.get_or_insert_with(|| views.clone()), &views, "{secret:?}");
        }
    }
}

#[test]
fn the_helpers_message_alone_is_uniform() {
    for secret in secrets(2, 1) {
        let (outcome, lookups, _) = exhaustive(2, &secret, &[0], 7);
        for [from_helper, _] in &outcome.told {
            let mut counts = [0; 4];
            (0..lookups.columns).for_each(|c| counts[bits(from_helper, 2 * c, 2) as usize] += 1);
            assert_eq!(counts, [lookups.columns / 4; 4]);
        }
    }
}

#[test]
fn a_part_of_the_helper_without_a_mask_would_be_found() {
    // The same messages with the blinds taken off: with the client, each evaluator would learn of the table.
    let unmasked = |secret: &[u8], role: Role| {
        let mut run = exhaustive(1, secret, &[1], 2);
        let blind = |stream: u8| {
            let counter = Prg::blocks(run.1.columns);
            run.2.words::<u8>(stream, 0, counter, run.1.columns, 1)
        };
        let blinds = [pack(&blind(1), 1), pack(&blind(0), 1)];
        for (message, blind) in run.0.told.iter_mut().zip(&blinds) {
            message[0].iter_mut().zip(blind).for_each(|(m, b)| *m ^= b);
        }
        views(role, &run, &[])
    };
    for role in [Role::P0, Role::P1] {
        let all: Vec<_> = secrets(1, 1).iter().map(|secret| unmasked(secret, role)).collect();
        assert!(all.iter().any(|views| views != &all[0]), "{role} sees what it should not");
    }
}
