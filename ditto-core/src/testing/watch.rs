//! A channel that remembers what came through it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::net::{Address, Channel, Message, NetError, Peer, Stats};

/// Remembers every payload that this end received.
pub(crate) struct Watched<C> {
    inner: C,
    received: Mutex<BTreeMap<Address, Vec<u8>>>,
}

impl<C: Channel> Watched<C> {
    pub(crate) fn new(inner: C) -> Self {
        Self { inner, received: Mutex::default() }
    }

    /// The payloads, in the order of addresses.
    pub(crate) fn received(&self) -> Vec<Vec<u8>> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    fn remember(&self, message: Message) -> Message {
        let mut received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        received.insert(message.address, message.payload.clone());
        message
    }
}

impl<C: Channel> Channel for Watched<C> {
    fn local(&self) -> Peer {
        self.inner.local()
    }
    fn peer(&self) -> Peer {
        self.inner.peer()
    }
    fn send(&self, message: Message) -> Result<(), NetError> {
        self.inner.send(message)
    }
    fn send_credited(&self, message: Message) -> Result<(), NetError> {
        self.inner.send_credited(message)
    }
    fn recv(&self, address: Address, bytes: usize) -> Result<Message, NetError> {
        self.inner.recv(address, bytes).map(|m| self.remember(m))
    }
    fn recv_bounded(&self, address: Address, limit: usize) -> Result<Message, NetError> {
        self.inner.recv_bounded(address, limit).map(|m| self.remember(m))
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
