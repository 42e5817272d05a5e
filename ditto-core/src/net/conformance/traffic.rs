//! Credit, threads and counters.

use super::*;

/// Runs ahead with messages of 1000 bytes and says how many went.
fn run_ahead(a: &Arc<dyn Channel>, count: u32) -> thread::JoinHandle<Result<(), NetError>> {
    let a = a.clone();
    thread::spawn(move || {
        (0..count).try_for_each(|seq| a.send_credited(Message::new(at(0, seq), 0, vec![0; 1000])))
    })
}

/// How many messages have left this end.
fn sent(a: &Arc<dyn Channel>) -> u64 {
    a.stats().snapshot().sent.total.messages
}

/// Limits with a window for this many messages of 1000 bytes.
fn window(messages: u64) -> Limits {
    Limits { window: messages * (1000 + HEADER), ..limits() }
}

pub(super) fn credit_bounds_the_sender(make: Make) {
    let (a, b) = make(window(4));
    let sender = run_ahead(&a, 50);
    eventually("four messages", || sent(&a) == 4);
    for seq in 0..50u32 {
        thread::sleep(Duration::from_millis(if seq < 5 { 20 } else { 0 }));
        assert!(sent(&a) <= u64::from(seq) + 4);
        b.recv(at(0, seq), 1000).unwrap();
    }
    sender.join().unwrap().unwrap();
    assert_eq!(sent(&a), 50);
}

pub(super) fn credit_for_an_oversize_message(make: Make) {
    let (a, b) = make(window(1));
    let sender = {
        let a = a.clone();
        thread::spawn(move || {
            a.send_credited(message(0, 0, &[1; 500]))?;
            a.send_credited(message(0, 1, &[2; 50_000]))?;
            a.send_credited(message(0, 2, &[3; 50_000]))?;
            a.send_credited(message(0, 3, &[4; 10]))
        })
    };
    eventually("the first message", || sent(&a) == 1);
    thread::sleep(Duration::from_millis(20));
    assert_eq!(sent(&a), 1);
    b.recv(at(0, 0), 500).unwrap();
    eventually("the second message", || sent(&a) == 2);
    for (seq, length) in [(1, 50_000), (2, 50_000), (3, 10)] {
        assert_eq!(b.recv(at(0, seq), length).unwrap().payload.len(), length);
    }
    sender.join().unwrap().unwrap();
}

pub(super) fn credit_of_batches_is_apart(make: Make) {
    let (a, b) = make(Limits { window: 100, ..limits() });
    // Nobody receives batch 1, and batch 2 goes on.
    a.send_credited(Message::new(Address::new(1, 0, 0), 0, vec![0; 60])).unwrap();
    for seq in 0..20 {
        a.send_credited(Message::new(Address::new(2, 0, seq), 0, vec![0; 60])).unwrap();
        b.recv(Address::new(2, 0, seq), 60).unwrap();
    }
    b.recv(Address::new(1, 0, 0), 60).unwrap();
}

pub(super) fn credit_unlimited(make: Make) {
    let (a, b) = make(Limits { window: u64::MAX, ..limits() });
    run_ahead(&a, 2000).join().unwrap().unwrap();
    for seq in (0..2000).rev() {
        b.recv(at(0, seq), 1000).unwrap();
    }
}

pub(super) fn credit_times_out(make: Make) {
    let (a, b) = make(Limits { time_limit: Duration::from_millis(150), ..window(2) });
    let error = run_ahead(&a, 3).join().unwrap().unwrap_err();
    assert_eq!(error.kind(), &NetErrorKind::TimedOut { after: Duration::from_millis(150) });
    assert_eq!((error.address(), error.peer()), (Some(at(0, 2)), Some(Peer::P1)));
    assert!(matches!(failure(&b), NetErrorKind::Aborted { by: Peer::P0, .. }));
}

/// A sender waits longer than the time limit in all as long as credit keeps coming.
pub(super) fn credit_counts_progress(make: Make) {
    let (a, b) = make(Limits { time_limit: Duration::from_millis(500), ..window(8) });
    run_ahead(&a, 8).join().unwrap().unwrap();
    let start = Instant::now();
    let big = {
        let a = a.clone();
        thread::spawn(move || a.send_credited(message(1, 0, &[0; 8000])))
    };
    for seq in 0..8 {
        thread::sleep(Duration::from_millis(100));
        b.recv(at(0, seq), 1000).unwrap();
    }
    big.join().unwrap().unwrap();
    assert!(start.elapsed() >= Duration::from_millis(800));
    b.recv(at(1, 0), 8000).unwrap();
}

/// While the sender does not wait, credit goes back in few frames.
pub(super) fn credit_is_batched(make: Make) {
    let (a, b) = make(window(400));
    for seq in 0..1000 {
        a.send_credited(Message::new(at(0, seq), 0, vec![0; 1000])).unwrap();
        b.recv(at(0, seq), 1000).unwrap();
    }
    let frames = b.stats().snapshot().sent.overhead_bytes / (HEADER + 8);
    assert!((8..=12).contains(&frames), "{frames} credit frames for 1000 messages");
}

/// The receiver takes messages in another order than they were sent, within the window.
pub(super) fn credit_with_unequal_receipt_order(make: Make) {
    let (a, b) = make(window(4));
    let sender = run_ahead(&a, 40);
    for group in 0..10 {
        for seq in (0..4).rev() {
            b.recv(at(0, 4 * group + seq), 1000).unwrap();
        }
    }
    sender.join().unwrap().unwrap();
}

pub(super) fn credit_from_many_threads(make: Make) {
    let (a, b) = make(window(3));
    let senders: Vec<_> = (0..4u32)
        .map(|step| {
            let a = a.clone();
            // Messages of some threads exceed the window.
            let length = 900 * (step as usize + 1);
            thread::spawn(move || {
                (0..30).try_for_each(|seq| a.send_credited(Message::new(at(step, seq), 0, vec![0; length])))
            })
        })
        .collect();
    let receivers: Vec<_> = (0..4u32)
        .map(|step| {
            let b = b.clone();
            thread::spawn(move || {
                (0..30).try_for_each(|seq| b.recv(at(step, seq), 900 * (step as usize + 1)).map(drop))
            })
        })
        .collect();
    for thread in senders.into_iter().chain(receivers) {
        thread.join().unwrap().unwrap();
    }
}

pub(super) fn credit_sender_wakes_on_abort(make: Make) {
    let (a, b) = make(window(1));
    let sender = run_ahead(&a, 2);
    eventually("the first message", || sent(&a) == 1);
    b.abort("enough");
    let error = sender.join().unwrap().unwrap_err();
    assert_eq!(error.kind(), &NetErrorKind::Aborted { by: Peer::P1, reason: "enough".into() });
}

/// Threads exchange messages at once, each on its own step.
pub(super) fn many_threads(make: Make) {
    let (a, b) = make(limits());
    thread::scope(|scope| {
        for (channel, step) in [&a, &b].into_iter().flat_map(|end| (0..6u32).map(move |step| (end, step))) {
            scope.spawn(move || {
                for seq in 0..200u32 {
                    channel.send(message(step, seq, &[step as u8; 64])).unwrap();
                    let got = channel.recv(at(step, seq), 64).unwrap();
                    assert_eq!(got.payload, [step as u8; 64]);
                }
            });
        }
    });
}

pub(super) fn stats_are_exact(make: Make) {
    let (a, b) = make(limits());
    let opening = a.stats().snapshot();
    assert_eq!(opening.sent.total, StepStats::default());
    for (step, lengths) in [(3, &[10usize, 0, 7][..]), (9, &[100])] {
        for (seq, &length) in lengths.iter().enumerate() {
            a.send(message(step, seq as u32, &vec![0; length])).unwrap();
            b.recv(at(step, seq as u32), length).unwrap();
        }
    }
    b.send(message(3, 0, &[0; 5])).unwrap();
    a.recv(at(3, 0), 5).unwrap();
    let (a, b) = (a.stats().snapshot().since(&opening), b.stats().snapshot().since(&opening));
    assert_eq!(a.sent.steps[&3], StepStats { messages: 3, bytes: 17 });
    assert_eq!(a.sent.steps[&9], StepStats { messages: 1, bytes: 100 });
    assert_eq!(a.sent.total, StepStats { messages: 4, bytes: 117 });
    assert_eq!(a.sent.overhead_bytes, 4 * HEADER);
    assert_eq!(a.received.total, StepStats { messages: 1, bytes: 5 });
    assert_eq!(a.received.overhead_bytes, HEADER);
    // What one end sent is what the other got.
    assert_eq!((a.sent, a.received), (b.received, b.sent));
}
