//! Several requests in flight, and requests that are prepared ahead.

use super::world::{Lanes, TestClient, input_of};
use super::*;
use crate::net::NetErrorKind;

/// What is asked: a length, and whether it goes on with a conversation.
type Ask = (usize, bool);

/// An output and what the parties counted.
type Answer = Result<(Array<f32>, [Report; 3])>;

/// Asks the `i`-th request (from 0) and waits until it is prepared.
fn begin(client: &TestClient, i: usize, (length, goes_on): Ask) -> Result<[crate::prg::Seed; 2]> {
    let batch = i as u64 + 1;
    client.ask(batch, &[length as u8, u8::from(goes_on)])?;
    client.begin(batch)
}

fn finish(client: &TestClient, i: usize, (length, _): Ask, seeds: &[crate::prg::Seed; 2]) -> Answer {
    let batch = i as u64 + 1;
    let shape = program(&MODEL, &length)?.2;
    let y = client.finish::<Tiny>(batch, seeds, &input_of(i as u64, length), &shape)?;
    Ok((y, client.reports(batch)?))
}

/// What comes of requests that are asked in lanes: of each its answer or its error.
fn ask(world: World, models: &[Tiny; 3], lanes: Lanes, asks: &[Ask]) -> Vec<Answer> {
    let lane = |client: &TestClient, first: usize| {
        let mut answers: Vec<(usize, Answer)> = Vec::new();
        let mut next = None;
        let places: Vec<usize> = (first..asks.len()).step_by(lanes.count).collect();
        for (place, &i) in places.iter().enumerate() {
            let begun = next.take().unwrap_or_else(|| begin(client, i, asks[i]));
            let ready = begun.and_then(|seeds| client.ready(i as u64 + 1).map(|()| seeds));
            if let (true, Some(&following)) = (lanes.ahead, places.get(place + 1)) {
                next = Some(begin(client, following, asks[following]));
            }
            answers.push((i, ready.and_then(|seeds| finish(client, i, asks[i], &seeds))));
        }
        let end = (first..).step_by(lanes.count).find(|&i| i >= asks.len()).expect("a number");
        client.end(end as u64 + 1).map(|()| answers)
    };
    let (answers, parties) = world.in_lanes(lanes).run(models, &[], |client, owner| {
        owner.share(&MODEL)?;
        std::thread::scope(|s| {
            let running: Vec<_> =
                (0..lanes.count).map(|first| s.spawn(move || lane(client, first))).collect();
            running.into_iter().map(|l| l.join().expect("no panic")).collect::<Result<Vec<_>>>()
        })
    });
    parties.into_iter().for_each(|p| p.expect("a party serves"));
    let mut answers: Vec<_> = answers.expect("the client is served").into_iter().flatten().collect();
    answers.sort_by_key(|(i, _)| *i);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

fn world(tcp: bool) -> World {
    let patience = Duration::from_secs(20);
    if tcp { World::tcp(patience) } else { World::memory(patience) }
}

const ONE: Lanes = Lanes { count: 1, ahead: false };

/// Requests of several lengths that stand alone.
const ASKS: [Ask; 7] = [(3, false), (2, false), (5, false), (1, false), (3, false), (4, false), (2, false)];

#[test]
fn requests_in_flight_have_the_answers_that_they_have_alone() {
    let alone = ask(world(false).with_fixed_seeds(7), &[MODEL; 3], ONE, &ASKS);
    let ways = [
        (false, None, Lanes { count: 3, ahead: false }),
        (false, Some(1), Lanes { count: 2, ahead: false }),
        (true, Some(4096), Lanes { count: 4, ahead: false }),
        (false, None, Lanes { count: 1, ahead: true }),
        (true, None, Lanes { count: 2, ahead: true }),
        (true, Some(1 << 20), Lanes { count: 1, ahead: true }),
    ];
    for (tcp, bytes, lanes) in ways {
        let world = world(tcp).with_fixed_seeds(7);
        let world = bytes.into_iter().fold(world, World::streaming);
        let together = ask(world, &[MODEL; 3], lanes, &ASKS);
        for ((a, b), (length, _)) in alone.iter().zip(&together).zip(ASKS) {
            let (a, b) = (a.as_ref().expect("answered"), b.as_ref().expect("answered"));
            assert_eq!(a.0.data(), b.0.data());
            // Each request counts its own, whatever else goes over the links.
            let total = program(&MODEL, &length).expect("a program").0.total;
            let [p0, p1, p2] = &b.1;
            let outputs = 2 * crate::kernel::packed_len(b.0.shape().len(), 32) as u64;
            assert_eq!(p0.online_bytes + p1.online_bytes, total.online + outputs);
            assert_eq!([p0, p1, p2].map(|p| p.offline_bytes), [0, 0, total.offline]);
            assert_eq!((p0.hops, p1.hops, p2.hops), (total.hops, total.hops, 0));
        }
    }
}

/// Why a request was given up, and by whom.
fn given_up(answer: &Answer) -> (Peer, String) {
    match answer {
        Err(Error::Net { source, .. }) => match source.kind() {
            NetErrorKind::Abandoned { by, reason } => (*by, reason.to_string()),
            kind => panic!("{kind}"),
        },
        other => panic!("{:?}", other.as_ref().map(|_| ())),
    }
}

#[test]
fn a_request_that_fails_leaves_the_others_alone() {
    let failing = Tiny { fails_at: Some(4), ..MODEL };
    for streaming in [None, Some(4096)] {
        for lanes in [ONE, Lanes { count: 1, ahead: true }, Lanes { count: 3, ahead: false }] {
            let mut asks = ASKS;
            asks[2] = (0, false);
            let world = streaming.into_iter().fold(world(false), World::streaming);
            let answers = ask(world, &[MODEL, failing, MODEL], lanes, &asks);
            for (i, answer) in answers.iter().enumerate() {
                match i {
                    2 => assert_eq!(given_up(answer).1, "a text without a word"),
                    5 => {
                        // P1 has failed; P0, which waited for it, may tell the client first.
                        assert!(given_up(answer).1.contains("told to fail at"), "{:?}", given_up(answer));
                    }
                    _ => assert!(answer.is_ok(), "request {i}: {:?}", answer.as_ref().err()),
                }
            }
        }
    }
}

#[test]
fn a_conversation_ends_with_its_first_failure() {
    let failing = Tiny { fails_at: Some(4), ..MODEL };
    let asks = [(3, false), (4, true), (2, true), (1, true), (2, false), (3, true)];
    for ahead in [false, true] {
        let lanes = Lanes { count: 1, ahead };
        let answers = ask(world(false), &[failing, MODEL, MODEL], lanes, &asks);
        let answered: Vec<bool> = answers.iter().map(Result::is_ok).collect();
        assert_eq!(answered, [true, false, false, false, true, true]);
        assert!(given_up(&answers[3]).1.contains("before it"), "{:?}", given_up(&answers[3]));
    }
}

#[test]
fn a_client_gives_up_one_request() {
    let lanes = Lanes { count: 2, ahead: false };
    let (answers, parties) = world(true).in_lanes(lanes).run(&[MODEL; 3], &[], |client, owner| {
        owner.share(&MODEL)?;
        let seeds = [begin(client, 0, (3, false))?, begin(client, 1, (3, false))?];
        client.ready(1)?;
        client.abandon(1, "second thoughts");
        client.ready(2)?;
        let second = finish(client, 1, (3, false), &seeds[1]);
        let third = begin(client, 2, (2, false)).and_then(|seeds| {
            client.ready(3)?;
            finish(client, 2, (2, false), &seeds)
        });
        client.end(5)?;
        client.end(4)?;
        Ok([second, third])
    });
    parties.into_iter().for_each(|p| p.expect("a party serves"));
    assert!(answers.expect("the client is served").iter().all(Result::is_ok));
}
