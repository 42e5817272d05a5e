//! What every kind of channel has to do, run for each of them.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::frame::HEADER_BYTES;
use super::*;

mod traffic;

use traffic::*;

type Pair = (Arc<dyn Channel>, Arc<dyn Channel>);
/// Joins P0 and P1.
type Make = fn(Limits) -> Pair;

const HEADER: u64 = HEADER_BYTES as u64;

fn memory_pair(limits: Limits) -> Pair {
    let (a, b) = pair(Peer::P0, Peer::P1, limits);
    (Arc::new(a), Arc::new(b))
}

fn tcp_pair(limits: Limits) -> Pair {
    let runtime = Runtime::new(1).unwrap();
    let listener = Listener::bind(&runtime, "127.0.0.1:0".parse().unwrap()).unwrap();
    let session = move |local| Session { local, id: SessionId([7; 16]), limits };
    let address = listener.address();
    let connecting = {
        let runtime = runtime.clone();
        thread::spawn(move || connect(&runtime, address, &session(Peer::P0), Peer::P1))
    };
    let b = listener.accept(&session(Peer::P1), &[Peer::P0]).unwrap();
    (Arc::new(connecting.join().unwrap().unwrap()), Arc::new(b))
}

macro_rules! conformance {
    ($($test:ident),* $(,)?) => {
        mod memory_channel { $(#[test] fn $test() { super::$test(super::memory_pair) })* }
        mod tcp_channel { $(#[test] fn $test() { super::$test(super::tcp_pair) })* }
    };
}

conformance!(
    roles,
    order_does_not_matter,
    empty_and_big_payloads,
    big_payloads_cross,
    depth_travels,
    wrong_length_poisons_both,
    bounded_length,
    time_limit,
    a_message_in_time_is_no_timeout,
    duplicate,
    duplicate_after_receipt,
    receiving_twice,
    too_large_to_send,
    queue_is_bounded,
    dropped_peer_wakes_all,
    abort_reaches_peer,
    long_reasons_are_cut,
    an_abandoned_batch_ends_alone,
    an_abandoned_batch_wakes_its_sender,
    only_the_first_cause_counts,
    close_is_orderly,
    close_from_both_ends,
    close_half,
    close_delivers_everything,
    send_after_close,
    credit_bounds_the_sender,
    credit_for_an_oversize_message,
    credit_unlimited,
    credit_of_batches_is_apart,
    credit_times_out,
    credit_counts_progress,
    credit_is_batched,
    credit_with_unequal_receipt_order,
    credit_from_many_threads,
    credit_sender_wakes_on_abort,
    many_threads,
    stats_are_exact,
);

fn limits() -> Limits {
    Limits { time_limit: Duration::from_secs(20), ..Limits::default() }
}

fn short() -> Limits {
    Limits { time_limit: Duration::from_millis(150), ..limits() }
}

fn at(step: u32, seq: u32) -> Address {
    Address::new(1, step, seq)
}

fn message(step: u32, seq: u32, payload: &[u8]) -> Message {
    Message::new(at(step, seq), 0, payload.to_vec())
}

/// Waits until `done`; arrival at the other end takes a moment on a socket.
fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(10), "never happened: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

fn failure(channel: &Arc<dyn Channel>) -> NetErrorKind {
    eventually("failure", || channel.failure().is_some());
    channel.failure().unwrap().kind().clone()
}

fn roles(make: Make) {
    let (a, b) = make(limits());
    assert_eq!((a.local(), a.peer()), (Peer::P0, Peer::P1));
    assert_eq!((b.local(), b.peer()), (Peer::P1, Peer::P0));
    assert_eq!(a.failure(), None);
}

fn order_does_not_matter(make: Make) {
    let (a, b) = make(limits());
    for seq in 0..100u32 {
        a.send(message(seq % 3, seq, &seq.to_le_bytes())).unwrap();
    }
    for seq in (0..100u32).rev() {
        let got = b.recv(at(seq % 3, seq), 4).unwrap();
        assert_eq!(got.address, at(seq % 3, seq));
        assert_eq!(got.payload, seq.to_le_bytes());
    }
    // The other direction has addresses of its own.
    b.send(message(0, 0, b"x")).unwrap();
    assert_eq!(a.recv(at(0, 0), 1).unwrap().payload, b"x");
    // And so has every batch.
    a.send(Message::new(Address::new(2, 0, 0), 0, b"y".to_vec())).unwrap();
    assert_eq!(b.recv(Address::new(2, 0, 0), 1).unwrap().payload, b"y");
}

fn empty_and_big_payloads(make: Make) {
    let (a, b) = make(limits());
    let big: Vec<u8> = (0..7_654_321u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for (seq, length) in [0, 1, 16 << 10, (16 << 10) + 1, 64 << 10, big.len()].into_iter().enumerate() {
        a.send(message(0, seq as u32, &big[..length])).unwrap();
    }
    for (seq, length) in [0, 1, 16 << 10, (16 << 10) + 1, 64 << 10, big.len()].into_iter().enumerate() {
        assert!(b.recv(at(0, seq as u32), length).unwrap().payload == big[..length]);
    }
}

/// More than sockets buffer goes both ways before anybody receives.
fn big_payloads_cross(make: Make) {
    let (a, b) = make(limits());
    for channel in [&a, &b] {
        for seq in 0..4 {
            channel.send(Message::new(at(0, seq), 0, vec![seq as u8; 8 << 20])).unwrap();
        }
    }
    for channel in [&a, &b] {
        for seq in 0..4 {
            assert!(channel.recv(at(0, seq), 8 << 20).unwrap().payload.iter().all(|&x| x == seq as u8));
        }
    }
}

fn depth_travels(make: Make) {
    let (a, b) = make(limits());
    a.send(Message::new(at(0, 0), u32::MAX, vec![1])).unwrap();
    assert_eq!(b.recv(at(0, 0), 1).unwrap().depth, u32::MAX);
}

fn wrong_length_poisons_both(make: Make) {
    let (a, b) = make(limits());
    a.send(message(4, 0, b"four")).unwrap();
    a.send(message(4, 1, b"more")).unwrap();
    let error = b.recv(at(4, 0), 5).unwrap_err();
    assert_eq!(error.kind(), &NetErrorKind::Length { expected: 5, got: 4 });
    assert_eq!((error.address(), error.peer()), (Some(at(4, 0)), Some(Peer::P0)));
    // Later calls fail with the same cause, also for what has arrived.
    assert_eq!(b.recv(at(4, 1), 4).unwrap_err(), error);
    assert_eq!(b.send(message(0, 0, b"")).unwrap_err(), error);
    assert_eq!(b.close().unwrap_err(), error);
    // The peer learns of it.
    let NetErrorKind::Aborted { by, reason } = failure(&a) else { panic!("{:?}", a.failure()) };
    assert_eq!(by, Peer::P1);
    assert!(reason.contains("step 4") && reason.contains("expected 5 bytes and got 4"), "{reason}");
}

fn bounded_length(make: Make) {
    let (a, b) = make(limits());
    for seq in 0..3 {
        a.send(message(0, seq, b"twelve bytes")).unwrap();
    }
    assert_eq!(b.recv_bounded(at(0, 0), 100).unwrap().payload, b"twelve bytes");
    assert_eq!(b.recv_bounded(at(0, 1), 12).unwrap().payload, b"twelve bytes");
    let error = b.recv_bounded(at(0, 2), 11).unwrap_err();
    assert_eq!(error.kind(), &NetErrorKind::TooLarge { limit: 11, got: 12 });
}

fn time_limit(make: Make) {
    let (a, b) = make(short());
    let start = Instant::now();
    let error = b.recv(at(17, 3), 1).unwrap_err();
    assert!(start.elapsed() >= Duration::from_millis(150));
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(error.kind(), &NetErrorKind::TimedOut { after: Duration::from_millis(150) });
    assert_eq!((error.address(), error.peer()), (Some(at(17, 3)), Some(Peer::P0)));
    let NetErrorKind::Aborted { by: Peer::P1, reason } = failure(&a) else { panic!("{:?}", a.failure()) };
    assert!(reason.contains("step 17"), "{reason}");
}

fn a_message_in_time_is_no_timeout(make: Make) {
    let (a, b) = make(limits());
    let waiter = thread::spawn(move || b.recv(at(0, 0), 1));
    thread::sleep(Duration::from_millis(30));
    a.send(message(0, 0, b"x")).unwrap();
    assert_eq!(waiter.join().unwrap().unwrap().payload, b"x");
}

fn duplicate(make: Make) {
    let (a, b) = make(limits());
    a.send(message(2, 0, b"x")).unwrap();
    a.send(message(2, 0, b"y")).unwrap();
    assert_eq!(failure(&b), NetErrorKind::Duplicate);
    assert_eq!(b.recv(at(2, 0), 1).unwrap_err().address(), Some(at(2, 0)));
}

fn duplicate_after_receipt(make: Make) {
    let (a, b) = make(limits());
    for seq in [5, 3, 4] {
        a.send(message(2, seq, b"x")).unwrap();
        b.recv(at(2, seq), 1).unwrap();
    }
    a.send(message(2, 3, b"x")).unwrap();
    assert_eq!(failure(&b), NetErrorKind::Duplicate);
    assert_eq!(b.failure().unwrap().address(), Some(at(2, 3)));
    assert!(matches!(failure(&a), NetErrorKind::Aborted { by: Peer::P1, .. }));
}

/// Asking again for what has been received fails at once, not after the time limit.
fn receiving_twice(make: Make) {
    let (a, b) = make(limits());
    a.send(message(0, 0, b"x")).unwrap();
    b.recv(at(0, 0), 1).unwrap();
    let start = Instant::now();
    assert_eq!(b.recv(at(0, 0), 1).unwrap_err().kind(), &NetErrorKind::Duplicate);
    assert!(start.elapsed() < Duration::from_secs(10));
}

fn too_large_to_send(make: Make) {
    let (a, b) = make(Limits { frame_bytes: 1000, ..limits() });
    a.send(message(0, 0, &[0; 1000])).unwrap();
    b.recv(at(0, 0), 1000).unwrap();
    let error = a.send(message(0, 1, &[0; 1001])).unwrap_err();
    assert_eq!(error.kind(), &NetErrorKind::TooLarge { limit: 1000, got: 1001 });
    assert!(matches!(failure(&b), NetErrorKind::Aborted { by: Peer::P0, .. }));
}

fn queue_is_bounded(make: Make) {
    let (a, b) = make(Limits { queued_bytes: 3 * (100 + HEADER), ..limits() });
    for seq in 0..3 {
        a.send(message(0, seq, &[0; 100])).unwrap();
    }
    b.recv(at(0, 1), 100).unwrap();
    a.send(message(0, 3, &[0; 100])).unwrap();
    b.recv(at(0, 3), 100).unwrap();
    a.send(message(0, 4, &[0; 100])).unwrap();
    // Empty messages count too.
    a.send(message(0, 5, &[])).unwrap();
    let (limit, got) = (3 * (100 + HEADER), 3 * (100 + HEADER) + HEADER);
    assert_eq!(failure(&b), NetErrorKind::TooLarge { limit, got });
}

fn dropped_peer_wakes_all(make: Make) {
    let (a, b) = make(limits());
    let waiters: Vec<_> = (0..4u32)
        .map(|step| {
            let b = b.clone();
            thread::spawn(move || b.recv(at(step, 0), 1))
        })
        .collect();
    thread::sleep(Duration::from_millis(50));
    let start = Instant::now();
    drop(a);
    for (step, waiter) in waiters.into_iter().enumerate() {
        let error = waiter.join().unwrap().unwrap_err();
        assert_eq!(error.kind(), &NetErrorKind::Closed { ending: Ending::Lost });
        // Every waiter says what it waited for.
        assert_eq!(error.address(), Some(at(step as u32, 0)));
    }
    assert!(start.elapsed() < Duration::from_secs(5));
    assert!(b.send(message(0, 0, b"")).is_err());
}

fn abort_reaches_peer(make: Make) {
    let (a, b) = make(limits());
    let waiter = {
        let b = b.clone();
        thread::spawn(move || b.recv(at(3, 0), 1))
    };
    let own = {
        let a = a.clone();
        thread::spawn(move || a.recv(at(3, 1), 1))
    };
    thread::sleep(Duration::from_millis(30));
    a.abort("the input has the wrong shape");
    let kind = NetErrorKind::Aborted { by: Peer::P0, reason: "the input has the wrong shape".into() };
    assert_eq!(waiter.join().unwrap().unwrap_err().kind(), &kind);
    assert_eq!(own.join().unwrap().unwrap_err().kind(), &kind);
    assert_eq!(a.send(message(0, 0, b"")).unwrap_err().kind(), &kind);
    assert_eq!(failure(&b), kind);
}

fn an_abandoned_batch_ends_alone(make: Make) {
    let (a, b) = make(limits());
    let [gone, goes_on] =
        [1, 2].map(|batch| move |seq| Message::new(Address::new(batch, 0, seq), 0, vec![7]));
    a.send(gone(0)).unwrap();
    let waiter = {
        let b = b.clone();
        thread::spawn(move || b.recv(Address::new(1, 0, 9), 1))
    };
    thread::sleep(Duration::from_millis(30));
    a.abandon(1, &"é".repeat(5000));
    a.abandon(1, "another reason");
    let kind = NetErrorKind::Abandoned { by: Peer::P0, reason: "é".repeat(512).into() };
    let error = waiter.join().unwrap().unwrap_err();
    assert_eq!((error.kind(), error.address()), (&kind, Some(Address::new(1, 0, 9))));
    // Both ends are told, also of what has come already; and what crosses the news is no error.
    b.send(goes_on(0)).unwrap();
    for end in [&a, &b] {
        assert_eq!(end.recv(Address::new(1, 0, 0), 1).unwrap_err().kind(), &kind);
        assert_eq!(end.send(gone(1)).unwrap_err().kind(), &kind);
        assert_eq!(end.send_credited(gone(1)).unwrap_err().kind(), &kind);
    }
    a.send(goes_on(0)).unwrap();
    for end in [&a, &b] {
        assert_eq!(end.recv(Address::new(2, 0, 0), 1).unwrap().payload, [7]);
        assert_eq!(end.failure(), None);
    }
    a.close().unwrap();
    a.abandon(2, "too late to be told");
    b.close().unwrap();
}

fn an_abandoned_batch_wakes_its_sender(make: Make) {
    let (a, b) = make(Limits { window: 100, ..limits() });
    a.send_credited(Message::new(Address::new(1, 0, 0), 0, vec![0; 60])).unwrap();
    let sender = {
        let a = a.clone();
        thread::spawn(move || a.send_credited(Message::new(Address::new(1, 0, 1), 0, vec![0; 60])))
    };
    thread::sleep(Duration::from_millis(30));
    b.abandon(1, "no more");
    let error = sender.join().unwrap().unwrap_err();
    assert_eq!(error.kind(), &NetErrorKind::Abandoned { by: Peer::P1, reason: "no more".into() });
    // What the batch left in the queue is gone: the next has all its room.
    let queue = Limits { queued_bytes: 2 * (60 + HEADER), ..limits() };
    let (a, b) = make(queue);
    for batch in 1..5 {
        a.send(Message::new(Address::new(batch, 0, 0), 0, vec![0; 60])).unwrap();
        a.send(Message::new(Address::new(batch, 0, 1), 0, vec![0; 60])).unwrap();
        b.recv(Address::new(batch, 0, 1), 60).unwrap();
        b.abandon(batch, "enough");
    }
    assert_eq!((a.failure(), b.failure()), (None, None));
}

fn long_reasons_are_cut(make: Make) {
    let (a, b) = make(limits());
    a.abort(&"é".repeat(5000));
    let NetErrorKind::Aborted { reason, .. } = failure(&b) else { panic!("{:?}", b.failure()) };
    assert_eq!(&*reason, "é".repeat(512));
}

fn only_the_first_cause_counts(make: Make) {
    let (a, b) = make(limits());
    a.abort("first");
    a.abort("second");
    assert!(matches!(failure(&b), NetErrorKind::Aborted { by: Peer::P0, .. }));
    b.abort("third");
    for channel in [&a, &b] {
        let NetErrorKind::Aborted { by, reason } = failure(channel) else { panic!() };
        assert_eq!((by, &*reason), (Peer::P0, "first"));
    }
}

fn close_is_orderly(make: Make) {
    let (a, b) = make(limits());
    a.send(message(0, 0, b"last")).unwrap();
    a.close().unwrap();
    a.close().unwrap();
    drop(a);
    thread::sleep(Duration::from_millis(30));
    // What was sent before the goodbye is still there; what was not sent never comes.
    assert_eq!(b.recv(at(0, 0), 4).unwrap().payload, b"last");
    b.close().unwrap();
    let error = b.recv(at(0, 1), 4).unwrap_err();
    assert_eq!(error.kind(), &NetErrorKind::Closed { ending: Ending::Goodbye });
    assert_eq!(error.address(), Some(at(0, 1)));
}

fn close_from_both_ends(make: Make) {
    for _ in 0..20 {
        let (a, b) = make(limits());
        let other = thread::spawn(move || b.close());
        a.close().unwrap();
        other.join().unwrap().unwrap();
        assert_eq!(a.failure(), None);
    }
}

fn close_half(make: Make) {
    let (a, b) = make(limits());
    a.close().unwrap();
    b.send(message(0, 0, b"late")).unwrap();
    assert_eq!(a.recv(at(0, 0), 4).unwrap().payload, b"late");
    b.close().unwrap();
}

/// After `close` the peer has everything, even if this end is gone before the peer looks.
fn close_delivers_everything(make: Make) {
    let (a, b) = make(Limits { window: 64 << 20, ..limits() });
    for seq in 0..10 {
        a.send_credited(Message::new(at(0, seq), 0, vec![seq as u8; 3 << 20])).unwrap();
    }
    a.close().unwrap();
    drop(a);
    for seq in 0..10 {
        assert_eq!(b.recv(at(0, seq), 3 << 20).unwrap().payload[17], seq as u8);
    }
}

fn send_after_close(make: Make) {
    let (a, b) = make(limits());
    a.close().unwrap();
    for error in [a.send(message(0, 0, b"")), a.send_credited(message(0, 0, b""))] {
        assert_eq!(error.unwrap_err().kind(), &NetErrorKind::Closed { ending: Ending::Here });
    }
    assert_eq!((a.failure(), b.failure()), (None, None));
}
