//! Links that count what one request sends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};
use crate::mpc::Role;
use crate::net::{Address, Channel, Message, NetError, Peer, Stats};

/// A link as one request uses it. Several requests share a link, and its own counters do not tell them apart.
pub(super) struct Tally {
    inner: Arc<dyn Channel>,
    sent: AtomicU64,
}

impl Tally {
    /// Bytes of payload that went out here.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    fn counted(&self, bytes: usize, sent: Result<(), NetError>) -> Result<(), NetError> {
        if sent.is_ok() {
            self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
        }
        sent
    }
}

/// The links of one request to the other parties.
pub(super) struct Tallies([Option<Arc<Tally>>; 3]);

impl Tallies {
    pub(super) fn new(links: &[Option<Arc<dyn Channel>>; 3]) -> Self {
        let tally =
            |link: &Arc<dyn Channel>| Arc::new(Tally { inner: link.clone(), sent: AtomicU64::new(0) });
        Self(links.each_ref().map(|link| link.as_ref().map(tally)))
    }

    pub(super) fn to(&self, role: Role) -> Result<&Arc<Tally>> {
        self.0[role.index()].as_ref().ok_or(Error::Internal("a party has no link to a peer"))
    }

    /// Bytes of payload to all.
    pub(super) fn sent(&self) -> u64 {
        self.0.iter().flatten().map(|link| link.sent()).sum()
    }
}

impl Channel for Tally {
    fn local(&self) -> Peer {
        self.inner.local()
    }
    fn peer(&self) -> Peer {
        self.inner.peer()
    }
    fn send(&self, message: Message) -> Result<(), NetError> {
        let bytes = message.payload.len();
        self.counted(bytes, self.inner.send(message))
    }
    fn send_credited(&self, message: Message) -> Result<(), NetError> {
        let bytes = message.payload.len();
        self.counted(bytes, self.inner.send_credited(message))
    }
    fn recv(&self, address: Address, bytes: usize) -> Result<Message, NetError> {
        self.inner.recv(address, bytes)
    }
    fn recv_bounded(&self, address: Address, limit: usize) -> Result<Message, NetError> {
        self.inner.recv_bounded(address, limit)
    }
    fn abort(&self, reason: &str) {
        self.inner.abort(reason);
    }
    fn abandon(&self, batch: u64, reason: &str) {
        self.inner.abandon(batch, reason);
    }
    fn close(&self) -> Result<(), NetError> {
        self.inner.close()
    }
    fn failure(&self) -> Option<NetError> {
        self.inner.failure()
    }
    fn stats(&self) -> &Arc<Stats> {
        self.inner.stats()
    }
}
