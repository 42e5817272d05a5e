//! The rules of a channel, apart from how frames travel.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::address::{Address, Message, Peer};
use super::batches::Batches;
use super::channel::Limits;
use super::error::{Ending, NetError, NetErrorKind};
use super::frame::{Frame, FrameKind, HEADER_BYTES, cut};
use super::queue::{Lookup, Queue};
use super::stats::Stats;

mod incoming;

/// Takes frames to the other end.
pub(crate) trait Wire: Send + Sync {
    /// Hands a frame on, in the order of the calls, without waiting for the peer. A wire that has ended
    /// drops the frame; its end is reported to the endpoint separately.
    fn put(&self, frame: Frame);
}

/// One end of a channel. Frames from the peer come in through [`begin`](Endpoint::begin) and
/// [`complete`](Endpoint::complete), frames for the peer go out through the wire.
///
/// The wire is never called with the state locked: in one process it leads straight into the other
/// endpoint, which may answer.
pub(crate) struct Endpoint<W> {
    local: Peer,
    peer: Peer,
    session: u64,
    limits: Limits,
    wire: W,
    stats: Arc<Stats>,
    state: Mutex<State>,
    /// Notified of every change of the state that someone may wait for.
    changed: Condvar,
}

struct State {
    queue: Queue,
    batches: Batches,
    /// The first error.
    failure: Option<NetError>,
    /// This end has sent its goodbye.
    closing: bool,
    /// The peer has confirmed the goodbye.
    confirmed: bool,
    /// The peer has sent its goodbye.
    peer_closed: bool,
    /// Nothing more comes from the wire.
    ended: bool,
    /// Nothing more goes to the wire.
    written: bool,
}

impl<W: Wire> Endpoint<W> {
    pub(crate) fn new(local: Peer, peer: Peer, session: u64, limits: Limits, wire: W) -> Self {
        let state = State {
            queue: Queue::new(limits.queued_bytes),
            batches: Batches::new(limits.window),
            failure: None,
            closing: false,
            confirmed: false,
            peer_closed: false,
            ended: false,
            written: false,
        };
        Self {
            local,
            peer,
            session,
            limits,
            wire,
            stats: Arc::default(),
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    pub(crate) fn local(&self) -> Peer {
        self.local
    }

    pub(crate) fn peer(&self) -> Peer {
        self.peer
    }

    pub(crate) fn wire(&self) -> &W {
        &self.wire
    }

    pub(crate) fn stats(&self) -> &Arc<Stats> {
        &self.stats
    }

    pub(crate) fn failure(&self) -> Option<NetError> {
        self.lock().failure.clone()
    }

    pub(crate) fn send(&self, message: Message) -> Result<(), NetError> {
        let address = message.address;
        let state = self.lock();
        self.can_send(&state, address)?;
        drop(state);
        self.check_frame(&message)?;
        self.put_message(FrameKind::Data, message);
        Ok(())
    }

    pub(crate) fn send_credited(&self, message: Message) -> Result<(), NetError> {
        let address = message.address;
        let credit = credit_of(message.payload.len());
        self.check_frame(&message)?;
        let start = Instant::now();
        let mut asked = false;
        let mut state = self.lock();
        let batch = address.batch;
        let ticket = state.batches.of(batch).window.ticket();
        loop {
            self.can_send(&state, address)?;
            if state.batches.of(batch).window.is_turn(ticket) {
                if state.batches.of(batch).window.take(credit) {
                    break;
                }
                if !asked {
                    asked = true;
                    drop(state);
                    self.put(Frame::of_batch(self.session, FrameKind::Want, batch, Vec::new()));
                    state = self.lock();
                    continue;
                }
            }
            let window = &state.batches.of(batch).window;
            let deadline = window.waiting_since(start).checked_add(self.limits.time_limit);
            state = self.wait(state, deadline, Some(address))?;
        }
        drop(state);
        self.put_message(FrameKind::Credited, message);
        // The turn passes on only now: a request for credit of the next in turn must not overtake this
        // message, whose arrival withdraws such requests.
        self.lock().batches.of(batch).window.next_turn();
        self.changed.notify_all();
        Ok(())
    }

    pub(crate) fn recv(&self, address: Address, length: Expected) -> Result<Message, NetError> {
        let deadline = Instant::now().checked_add(self.limits.time_limit);
        let mut state = self.lock();
        let (arrived, credit) = loop {
            if let Some(failure) = &state.failure {
                return Err(failure.clone().or_at(address));
            }
            if let Some(abandoned) = state.batches.abandoned(address.batch) {
                return Err(abandoned.clone().or_at(address));
            }
            match state.queue.look_up(address) {
                Lookup::Here(got) => {
                    if let Err(kind) = length.check(got) {
                        return Err(self.fail(state, kind, Some(address)));
                    }
                    if let Some(arrived) = state.queue.take(address) {
                        let credit = match arrived.credited {
                            true => {
                                let bytes = credit_of(arrived.message.payload.len());
                                state.batches.of(address.batch).returns.received(bytes)
                            }
                            false => None,
                        };
                        break (arrived, credit);
                    }
                }
                Lookup::Taken => return Err(self.fail(state, NetErrorKind::Duplicate, Some(address))),
                Lookup::ToCome => {}
            }
            if state.peer_closed {
                let kind = NetErrorKind::Closed { ending: Ending::Goodbye };
                return Err(self.fail(state, kind, Some(address)));
            }
            state = self.wait(state, deadline, Some(address))?;
        };
        drop(state);
        if let Some(credit) = credit {
            self.put_credit(address.batch, credit);
        }
        Ok(arrived.message)
    }

    /// Gives up; returns false when the channel had failed before.
    pub(crate) fn abort(&self, reason: &str) -> bool {
        let mut state = self.lock();
        if state.failure.is_some() {
            return false;
        }
        let kind = NetErrorKind::Aborted { by: self.local, reason: reason.into() };
        self.poison(&mut state, NetError::new(kind));
        drop(state);
        self.put_abort(reason);
        true
    }

    pub(crate) fn abandon(&self, batch: u64, reason: &str) {
        let mut state = self.lock();
        if state.failure.is_some() || state.closing {
            return;
        }
        let reason = cut(reason);
        let kind = NetErrorKind::Abandoned { by: self.local, reason: reason.into() };
        if self.give_up(&mut state, batch, kind) {
            drop(state);
            let reason = reason.as_bytes().to_vec();
            self.put(Frame::of_batch(self.session, FrameKind::Abandon, batch, reason));
        }
    }

    pub(crate) fn close(&self) -> Result<(), NetError> {
        let deadline = Instant::now().checked_add(self.limits.time_limit);
        let mut state = self.lock();
        if !state.closing && state.failure.is_none() {
            state.closing = true;
            // Senders that wait for credit must not wait on.
            self.changed.notify_all();
            drop(state);
            self.put_control(FrameKind::Close, Vec::new());
            state = self.lock();
        }
        loop {
            // A peer that has said goodbye and is gone can confirm nothing and wants nothing.
            if state.confirmed || (state.peer_closed && state.ended) {
                return Ok(());
            }
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            state = self.wait(state, deadline, None)?;
        }
    }

    /// Waits, but no longer than `limit`, until nothing moves in either direction.
    pub(crate) fn wait_quiet(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        let mut state = self.lock();
        while !(state.written && state.ended) {
            let Some(left) = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
            else {
                return;
            };
            let woken = self.changed.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    // Parts of the above.

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a change; past the deadline the channel fails.
    fn wait<'a>(
        &'a self,
        state: MutexGuard<'a, State>,
        deadline: Option<Instant>,
        address: Option<Address>,
    ) -> Result<MutexGuard<'a, State>, NetError> {
        let Some(deadline) = deadline else {
            return Ok(self.changed.wait(state).unwrap_or_else(PoisonError::into_inner));
        };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let kind = NetErrorKind::TimedOut { after: self.limits.time_limit };
            return Err(self.fail(state, kind, address));
        }
        Ok(self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0)
    }

    /// Whether a message may be sent.
    fn can_send(&self, state: &State, address: Address) -> Result<(), NetError> {
        if let Some(failure) = &state.failure {
            return Err(failure.clone().or_at(address));
        }
        if let Some(abandoned) = state.batches.abandoned(address.batch) {
            return Err(abandoned.clone().or_at(address));
        }
        let ending = match (state.closing, state.ended) {
            (true, _) => Ending::Here,
            (_, true) => Ending::Goodbye,
            _ => return Ok(()),
        };
        Err(NetError::new(NetErrorKind::Closed { ending }).with_peer(self.peer).or_at(address))
    }

    fn check_frame(&self, message: &Message) -> Result<(), NetError> {
        let (limit, got) = (self.limits.frame_bytes, message.payload.len() as u64);
        if got <= limit {
            return Ok(());
        }
        Err(self.fail(self.lock(), NetErrorKind::TooLarge { limit, got }, Some(message.address)))
    }

    /// Makes the channel fail, tells the peer, and gives the first cause back.
    fn fail(
        &self,
        mut state: MutexGuard<'_, State>,
        kind: NetErrorKind,
        address: Option<Address>,
    ) -> NetError {
        let error = address.into_iter().fold(NetError::new(kind), NetError::or_at);
        if let Some(first) = &state.failure {
            return first.clone();
        }
        let error = self.poison(&mut state, error);
        drop(state);
        let place = error.address().map(|address| format!("{address}: ")).unwrap_or_default();
        self.put_abort(&format!("{place}{}", error.kind()));
        error
    }

    /// Makes the channel fail with its first error.
    fn poison(&self, state: &mut State, error: NetError) -> NetError {
        let error = error.with_peer(self.peer);
        tracing::debug!(local = %self.local, %error, "channel failed");
        state.failure = Some(error.clone());
        state.queue.clear();
        self.changed.notify_all();
        error
    }

    /// Ends a batch for its first reason; false when it has had one.
    fn give_up(&self, state: &mut State, batch: u64, kind: NetErrorKind) -> bool {
        if state.batches.abandoned(batch).is_some() {
            return false;
        }
        state.batches.of(batch).abandoned = Some(NetError::new(kind).with_peer(self.peer));
        state.queue.drop_batch(batch);
        self.changed.notify_all();
        true
    }

    fn put_message(&self, kind: FrameKind, message: Message) {
        self.stats.sent(message.address.step, message.payload.len() as u64);
        self.stats.sent_overhead(HEADER_BYTES as u64);
        self.wire.put(Frame::message(self.session, kind, message));
    }

    fn put_control(&self, kind: FrameKind, payload: Vec<u8>) {
        self.put(Frame::control(self.session, kind, payload));
    }

    fn put_credit(&self, batch: u64, bytes: u64) {
        self.put(Frame::of_batch(self.session, FrameKind::Credit, batch, bytes.to_le_bytes().to_vec()));
    }

    fn put_abort(&self, reason: &str) {
        self.put_control(FrameKind::Abort, cut(reason).as_bytes().to_vec());
    }

    fn put(&self, frame: Frame) {
        self.stats.sent_overhead(HEADER_BYTES as u64 + frame.payload.len() as u64);
        self.wire.put(frame);
    }
}

/// What the caller of `recv` knows of a payload's length.
#[derive(Clone, Copy)]
pub(crate) enum Expected {
    Exactly(usize),
    AtMost(usize),
}

impl Expected {
    fn check(self, got: u64) -> Result<(), NetErrorKind> {
        match self {
            Expected::Exactly(expected) if got != expected as u64 => {
                Err(NetErrorKind::Length { expected: expected as u64, got })
            }
            Expected::AtMost(limit) if got > limit as u64 => {
                Err(NetErrorKind::TooLarge { limit: limit as u64, got })
            }
            _ => Ok(()),
        }
    }
}

/// The credit a message takes. Its header counts too, so that empty messages cannot pile up either, and so
/// that a queue with room for the window always holds what the window lets out.
fn credit_of(length: usize) -> u64 {
    length as u64 + HEADER_BYTES as u64
}
