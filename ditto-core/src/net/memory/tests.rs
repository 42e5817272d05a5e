//! Links that misbehave, and frames that no peer sends.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use proptest::prelude::*;

use super::super::error::Flaw;
use super::super::frame::{FrameKind, HEADER_BYTES};
use super::*;

fn limits() -> Limits {
    Limits { time_limit: Duration::from_secs(10), ..Limits::default() }
}

fn short() -> Limits {
    Limits { time_limit: Duration::from_millis(100), ..limits() }
}

fn at(seq: u32) -> Address {
    Address::new(0, 1, seq)
}

fn message(seq: u32, payload: &[u8]) -> Message {
    Message::new(at(seq), 0, payload.to_vec())
}

/// P0 and P1 with a link that does this to the messages.
fn link(
    limits: Limits,
    mut act: impl FnMut(Frame) -> Vec<Frame> + Send + 'static,
) -> (MemoryChannel, MemoryChannel) {
    let act = move |_, _, frame: Frame| if frame.kind.is_message() { act(frame) } else { vec![frame] };
    pair_with(Peer::P0, Peer::P1, limits, Box::new(act))
}

/// What P1 gets when it receives the first of two messages.
fn outcome(limits: Limits, act: impl FnMut(Frame) -> Vec<Frame> + Send + 'static) -> NetErrorKind {
    let (a, b) = link(limits, act);
    let sent = a.send(message(0, b"hello")).and_then(|()| a.send(message(1, b"again")));
    let got = b.recv(at(0), 5);
    let error = got.and(b.recv(at(1), 5)).unwrap_err();
    // An error that was found on arrival is known to the sender already.
    assert!(sent.is_ok() || matches!(sent.unwrap_err().kind(), NetErrorKind::Aborted { by: Peer::P1, .. }));
    assert!(matches!(a.failure().unwrap().kind(), NetErrorKind::Aborted { by: Peer::P1, .. }));
    error.kind().clone()
}

#[test]
fn a_lost_message_is_a_timeout() {
    let lost = outcome(short(), |frame| if frame.address.seq == 0 { vec![] } else { vec![frame] });
    assert_eq!(lost, NetErrorKind::TimedOut { after: Duration::from_millis(100) });
}

#[test]
fn a_longer_or_shorter_message_is_noticed() {
    for got in [0, 4, 6, 5000] {
        let changed = outcome(limits(), move |mut frame| {
            frame.payload.resize(got, 0);
            vec![frame]
        });
        assert_eq!(changed, NetErrorKind::Length { expected: 5, got: got as u64 });
    }
}

#[test]
fn a_repeated_message_is_noticed() {
    let repeated = outcome(limits(), |frame| vec![frame.clone(), frame]);
    assert_eq!(repeated, NetErrorKind::Duplicate);
}

#[test]
fn a_message_of_another_session_is_noticed() {
    let strange = outcome(limits(), |mut frame| {
        frame.session = 77;
        vec![frame]
    });
    assert_eq!(strange, NetErrorKind::WrongSession { expected: 0, got: 77 });
}

#[test]
fn a_message_that_went_astray_is_a_timeout() {
    let astray = outcome(short(), |mut frame| {
        frame.address.step += 1;
        vec![frame]
    });
    assert_eq!(astray, NetErrorKind::TimedOut { after: Duration::from_millis(100) });
}

#[test]
fn delayed_messages_find_their_place() {
    let mut held = Vec::new();
    let (a, b) = link(limits(), move |frame| {
        held.push(frame);
        if held.len() < 5 { Vec::new() } else { held.drain(..).rev().collect() }
    });
    for seq in 0..10 {
        a.send(message(seq, &[seq as u8])).unwrap();
    }
    for seq in 0..10 {
        assert_eq!(b.recv(at(seq), 1).unwrap().payload, [seq as u8]);
    }
}

/// Without the turn that passes on only after a message, a request for credit could overtake it.
#[test]
fn credit_is_returned_over_a_slow_link() {
    let slow = |frame: Frame| {
        std::thread::sleep(Duration::from_millis(2));
        vec![frame]
    };
    let (a, b) = link(Limits { window: 2 * (10 + HEADER_BYTES as u64), ..limits() }, slow);
    std::thread::scope(|scope| {
        // Each thread has a receiver of its own, so that whatever has come is received.
        for thread in 0..3 {
            let (a, b) = (&a, &b);
            let seqs = move || (0..20).map(move |i| 3 * i + thread);
            scope.spawn(move || seqs().for_each(|seq| a.send_credited(message(seq, &[0; 10])).unwrap()));
            scope.spawn(move || seqs().for_each(|seq| drop(b.recv(at(seq), 10).unwrap())));
        }
    });
}

#[test]
fn an_unconfirmed_goodbye_is_a_timeout() {
    let silent = |_, _, frame: Frame| if frame.kind == FrameKind::Closed { vec![] } else { vec![frame] };
    let (a, b) = pair_with(Peer::P0, Peer::P1, short(), Box::new(silent));
    let kind = NetErrorKind::TimedOut { after: Duration::from_millis(100) };
    assert_eq!(a.close().unwrap_err().kind(), &kind);
    assert!(b.failure().is_some());
}

#[test]
fn a_message_after_the_goodbye_is_malformed() {
    let mut held = None;
    let late = move |_, _, frame: Frame| match frame.kind {
        FrameKind::Data => {
            held = Some(frame);
            vec![]
        }
        FrameKind::Close => vec![frame].into_iter().chain(held.take()).collect(),
        _ => vec![frame],
    };
    let (a, b) = pair_with(Peer::P0, Peer::P1, limits(), Box::new(late));
    a.send(message(0, b"late")).unwrap();
    // The goodbye itself was confirmed, so for this end all is well until it hears of the error.
    let _ = a.close();
    assert_eq!(b.failure().unwrap().kind(), &NetErrorKind::Malformed(Flaw::AfterGoodbye));
    assert!(matches!(a.failure().unwrap().kind(), NetErrorKind::Aborted { by: Peer::P1, .. }));
}

fn any_frame() -> impl Strategy<Value = Frame> {
    let kind = prop_oneof![
        8 => Just(FrameKind::Data),
        8 => Just(FrameKind::Credited),
        2 => Just(FrameKind::Credit),
        2 => Just(FrameKind::Want),
        1 => Just(FrameKind::Abort),
        1 => Just(FrameKind::Close),
        1 => Just(FrameKind::Closed),
        1 => Just(FrameKind::Abandon),
    ];
    let payload = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..300),
        Just(0u64.to_le_bytes().to_vec()),
        Just(Vec::new()),
    ];
    let place = (0u64..2, 0u32..4, 0u32..8);
    (kind, place, payload, 0u32..50).prop_map(|(kind, (batch, step, seq), payload, session)| Frame {
        kind,
        session: u64::from(session == 0),
        address: Address { batch, step, seq },
        depth: 0,
        payload,
    })
}

proptest! {
    /// Whatever comes, nothing panics or blocks, and what failed stays failed with the first cause.
    #[test]
    fn arbitrary_frames(frames in proptest::collection::vec(any_frame(), 0..40)) {
        let limits = Limits { frame_bytes: 250, queued_bytes: 2000, ..short() };
        let (a, b) = pair(Peer::P0, Peer::P1, limits);
        let (mut first, mut given_up) = (None, [false; 2]);
        for frame in frames {
            let (address, kind) = (frame.address, frame.kind);
            let length = frame.payload.len();
            let message = frame.kind.is_message();
            let payload = frame.payload.clone();
            deliver(&b.endpoint, frame);
            if first.is_some() {
                prop_assert_eq!(&b.failure(), &first);
            }
            first = b.failure();
            if first.is_some() {
                continue;
            }
            given_up[address.batch as usize] |= kind == FrameKind::Abandon;
            if given_up[address.batch as usize] {
                let error = b.recv(address, length).unwrap_err();
                let by_peer = matches!(error.kind(), NetErrorKind::Abandoned { by: Peer::P0, .. });
                prop_assert!(by_peer);
            } else if message && length % 2 == 0 {
                prop_assert_eq!(b.recv(address, length).unwrap().payload, payload);
            }
        }
        drop(a);
        prop_assert!(b.recv(Address::new(9, 9, 9), 0).is_err());
    }
}
