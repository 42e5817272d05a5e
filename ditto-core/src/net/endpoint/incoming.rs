//! What comes from the peer.

use super::super::address::{Address, Message};
use super::super::error::{Flaw, NetError, NetErrorKind};
use super::super::frame::{Frame, FrameKind, HEADER_BYTES, Header};
use super::super::queue::Arrived;
use super::{Endpoint, State, Wire};

impl<W: Wire> Endpoint<W> {
    /// Checks the header of a frame and sets a place aside for its message, before memory is set aside for
    /// the payload. False when the channel has failed, so that the frame is to be thrown away.
    #[must_use]
    pub(crate) fn begin(&self, header: &Header) -> bool {
        let mut state = self.lock();
        if state.failure.is_some() {
            return false;
        }
        let address = header.kind.is_message().then_some(header.address);
        match self.admit(&mut state, header) {
            Ok(()) => true,
            Err(kind) => {
                self.fail(state, kind, address);
                false
            }
        }
    }

    fn admit(&self, state: &mut State, header: &Header) -> Result<(), NetErrorKind> {
        if header.session != self.session {
            return Err(NetErrorKind::WrongSession { expected: self.session, got: header.session });
        }
        if !header.kind.is_message() {
            return Ok(());
        }
        if state.peer_closed {
            return Err(NetErrorKind::Malformed(Flaw::AfterGoodbye));
        }
        let limit = self.limits.frame_bytes;
        if header.length > limit {
            return Err(NetErrorKind::TooLarge { limit, got: header.length });
        }
        state.queue.admit(header.address, header.length)
    }

    /// Takes in a frame after [`begin`](Endpoint::begin). False when nothing more is to be read, because
    /// the peer has given up.
    #[must_use]
    pub(crate) fn complete(&self, frame: Frame) -> bool {
        let length = frame.payload.len() as u64;
        if frame.kind.is_message() {
            self.stats.received(frame.address.step, length);
            self.stats.received_overhead(HEADER_BYTES as u64);
        } else {
            self.stats.received_overhead(HEADER_BYTES as u64 + length);
        }
        let mut state = self.lock();
        if state.failure.is_some() {
            return frame.kind != FrameKind::Abort;
        }
        match frame.kind {
            FrameKind::Data | FrameKind::Credited => {
                let credited = frame.kind == FrameKind::Credited;
                if credited {
                    state.batches.of(frame.address.batch).returns.arrived();
                }
                if state.batches.abandoned(frame.address.batch).is_some() {
                    // Whoever sent it knows or will be told, so that no credit need go back.
                    state.queue.discard(frame.address, length);
                    return true;
                }
                let message = Message::new(frame.address, frame.depth, frame.payload);
                state.queue.put(Arrived { message, credited });
            }
            FrameKind::Credit => {
                let bytes = frame.payload.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
                if !state.batches.of(frame.address.batch).window.give_back(bytes) {
                    self.fail(state, NetErrorKind::Malformed(Flaw::Credit), None);
                    return true;
                }
            }
            FrameKind::Want => {
                let batch = frame.address.batch;
                let credit = state.batches.of(batch).returns.wanted();
                drop(state);
                if let Some(credit) = credit {
                    self.put_credit(batch, credit);
                }
                return true;
            }
            FrameKind::Abort => {
                let reason = String::from_utf8_lossy(&frame.payload).into();
                let kind = NetErrorKind::Aborted { by: self.peer, reason };
                self.poison(&mut state, NetError::new(kind));
                return false;
            }
            FrameKind::Abandon => {
                let reason = String::from_utf8_lossy(&frame.payload).into();
                self.give_up(
                    &mut state,
                    frame.address.batch,
                    NetErrorKind::Abandoned { by: self.peer, reason },
                );
            }
            FrameKind::Close => {
                state.peer_closed = true;
                self.changed.notify_all();
                drop(state);
                self.put_control(FrameKind::Closed, Vec::new());
                return true;
            }
            FrameKind::Closed => state.confirmed = true,
        }
        drop(state);
        self.changed.notify_all();
        true
    }

    /// Bytes came that are no frame.
    pub(crate) fn reject(&self, kind: NetErrorKind) {
        self.fail(self.lock(), kind, None);
    }

    /// Nothing more comes from the wire. That is an error unless the peer has said goodbye before.
    pub(crate) fn end(&self, kind: NetErrorKind, address: Option<Address>) {
        let mut state = self.lock();
        state.ended = true;
        let closed = matches!(kind, NetErrorKind::Closed { .. });
        if state.failure.is_none() && !(state.peer_closed && closed) {
            let error = NetError::new(kind);
            self.poison(&mut state, address.into_iter().fold(error, NetError::or_at));
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Nothing more goes to the wire.
    pub(crate) fn written(&self) {
        self.lock().written = true;
        self.changed.notify_all();
    }
}
