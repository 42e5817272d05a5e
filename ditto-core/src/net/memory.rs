//! Channels between two parties of one process, without sockets.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use super::address::{Address, Message, Peer};
use super::channel::{Channel, Limits};
use super::endpoint::{Endpoint, Expected, Wire};
use super::error::{Ending, NetError, NetErrorKind};
use super::frame::{Frame, Header};
use super::stats::Stats;

/// Sees every frame on its way, with its sender and its receiver, and says what is delivered in its place:
/// nothing, the same frame, an altered one, several, or one that it had held back.
///
/// Both directions and all threads share one interceptor. What it holds back it can only let go when the
/// next frame passes.
pub type Interceptor = Box<dyn FnMut(Peer, Peer, Frame) -> Vec<Frame> + Send>;

/// One end of a channel within a process.
///
/// A message is in the peer's queue when `send` returns. Dropping an end that has not been closed is for the
/// peer what the death of a process is on a socket.
pub struct MemoryChannel {
    endpoint: Arc<Endpoint<MemoryWire>>,
}

/// Joins two parties.
pub fn pair(a: Peer, b: Peer, limits: Limits) -> (MemoryChannel, MemoryChannel) {
    join(a, b, limits, None)
}

/// Joins two parties with an interceptor between them, for tests of what happens when a link or a peer
/// misbehaves.
pub fn pair_with(
    a: Peer,
    b: Peer,
    limits: Limits,
    interceptor: Interceptor,
) -> (MemoryChannel, MemoryChannel) {
    join(a, b, limits, Some(Arc::new(Mutex::new(interceptor))))
}

fn join(
    a: Peer,
    b: Peer,
    limits: Limits,
    interceptor: Option<Arc<Mutex<Interceptor>>>,
) -> (MemoryChannel, MemoryChannel) {
    let end = |from, to| {
        let wire = MemoryWire { from, to, other: OnceLock::new(), interceptor: interceptor.clone() };
        // Two ends that were made together need no session to tell them from others.
        Arc::new(Endpoint::new(from, to, 0, limits, wire))
    };
    let (a, b) = (end(a, b), end(b, a));
    // Nobody else has the ends yet, so both places are empty and `set` cannot fail.
    let _ = a.wire().other.set(Arc::downgrade(&b));
    let _ = b.wire().other.set(Arc::downgrade(&a));
    (MemoryChannel { endpoint: a }, MemoryChannel { endpoint: b })
}

/// Leads into the other endpoint.
struct MemoryWire {
    from: Peer,
    to: Peer,
    /// Weak, for the ends refer to each other.
    other: OnceLock<Weak<Endpoint<MemoryWire>>>,
    interceptor: Option<Arc<Mutex<Interceptor>>>,
}

impl MemoryWire {
    fn other(&self) -> Option<Arc<Endpoint<MemoryWire>>> {
        self.other.get().and_then(Weak::upgrade)
    }
}

impl Wire for MemoryWire {
    fn put(&self, frame: Frame) {
        // A peer that is gone has ended this endpoint when it went.
        let Some(other) = self.other() else { return };
        let Some(interceptor) = &self.interceptor else {
            deliver(&other, frame);
            return;
        };
        let frames = {
            let mut interceptor = interceptor.lock().unwrap_or_else(PoisonError::into_inner);
            interceptor(self.from, self.to, frame)
        };
        // The lock is released by now, for a delivery may lead to an answer, which passes here too.
        for frame in frames {
            deliver(&other, frame);
        }
    }
}

/// Gives a frame to an endpoint by the same checks as one from a socket.
fn deliver(to: &Endpoint<MemoryWire>, frame: Frame) {
    match Header::decode(&frame.header().encode()) {
        Ok(header) => {
            if to.begin(&header) {
                let _ = to.complete(frame);
            }
        }
        Err(kind) => to.reject(kind),
    }
}

impl Channel for MemoryChannel {
    fn local(&self) -> Peer {
        self.endpoint.local()
    }

    fn peer(&self) -> Peer {
        self.endpoint.peer()
    }

    fn send(&self, message: Message) -> Result<(), NetError> {
        self.endpoint.send(message)
    }

    fn send_credited(&self, message: Message) -> Result<(), NetError> {
        self.endpoint.send_credited(message)
    }

    fn recv(&self, address: Address, bytes: usize) -> Result<Message, NetError> {
        self.endpoint.recv(address, Expected::Exactly(bytes))
    }

    fn recv_bounded(&self, address: Address, limit: usize) -> Result<Message, NetError> {
        self.endpoint.recv(address, Expected::AtMost(limit))
    }

    fn abort(&self, reason: &str) {
        self.endpoint.abort(reason);
    }

    fn abandon(&self, batch: u64, reason: &str) {
        self.endpoint.abandon(batch, reason);
    }
    fn close(&self) -> Result<(), NetError> {
        self.endpoint.close()
    }

    fn failure(&self) -> Option<NetError> {
        self.endpoint.failure()
    }

    fn stats(&self) -> &Arc<Stats> {
        self.endpoint.stats()
    }
}

impl Drop for MemoryChannel {
    fn drop(&mut self) {
        if let Some(other) = self.endpoint.wire().other() {
            other.end(NetErrorKind::Closed { ending: Ending::Lost }, None);
        }
    }
}

impl fmt::Debug for MemoryChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryChannel({} to {})", self.local(), self.peer())
    }
}

#[cfg(test)]
mod tests;
