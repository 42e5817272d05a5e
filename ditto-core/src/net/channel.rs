//! What protocol code sees of a link.

use std::sync::Arc;
use std::time::Duration;

use super::address::{Address, Message, Peer};
use super::error::NetError;
use super::stats::Stats;

/// How much a channel takes and how long it waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// The largest payload of one frame, sent or received.
    pub frame_bytes: u64,
    /// How much may have arrived without having been received. Every message counts a header more than its
    /// payload, so that empty messages cannot pile up without bound either.
    pub queued_bytes: u64,
    /// How much a credited sender may have outstanding in each batch, headers included. `u64::MAX` lets the sender store everything with
    /// its peer in advance; then `queued_bytes` of the peer must have room for it.
    pub window: u64,
    /// How long a call waits for the peer.
    pub time_limit: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes: 256 << 20,
            queued_bytes: 4 << 30,
            window: 16 << 20,
            time_limit: Duration::from_secs(60),
        }
    }
}

/// An ordered link to one peer.
///
/// Several threads may use a channel at once on different addresses. After the first error the channel has
/// failed for good: the peer is told, all waiters wake, and every later call fails with the first cause.
///
/// An address serves one message in each direction. A channel remembers which addresses have come in as
/// runs of consecutive message numbers, about a million of them. Beyond that it forgets the lowest batch
/// and from then on refuses all messages of that batch and those below, so that a forgotten address cannot
/// come again. Callers therefore number a step's messages without gaps and start batches in roughly
/// increasing order.
pub trait Channel: Send + Sync {
    /// Who sits at this end.
    fn local(&self) -> Peer;

    /// Who sits at the other end.
    fn peer(&self) -> Peer;

    /// Queues a message; never waits for the peer.
    fn send(&self, message: Message) -> Result<(), NetError>;

    /// Queues a message once the peer has received enough of the earlier credited messages of its batch that at most
    /// [`Limits::window`] bytes of them are outstanding. A message larger than the window goes when nothing is
    /// outstanding. Fails when no credit comes for the channel's time limit.
    ///
    /// Messages of several threads go in the order of their calls. The receiver must not wait for a message
    /// behind more than a window of others of that batch that it leaves unreceived: neither side could go on, and both
    /// would time out. Batches do not wait for each other.
    fn send_credited(&self, message: Message) -> Result<(), NetError>;

    /// Waits, at most the channel's time limit, for the message at `address`. `bytes` is the payload's
    /// exact length, which the caller knows from shapes; any other length is an error.
    ///
    /// The time limit covers what the peer computes before it sends, so a peer with long computations needs
    /// a channel with a long limit.
    fn recv(&self, address: Address, bytes: usize) -> Result<Message, NetError>;

    /// Like [`recv`](Channel::recv) for any length up to `limit`. This is for handshakes; where shapes are
    /// known the length is too.
    fn recv_bounded(&self, address: Address, limit: usize) -> Result<Message, NetError>;

    /// Marks the channel as failed, tells the peer why in a short text, and wakes all waiters. Does nothing
    /// when the channel has failed already. May take up to a second when the peer does not read.
    fn abort(&self, reason: &str);

    /// Gives up a batch, tells the peer why in a short text, and wakes who waits for its messages: for both ends every
    /// call for that batch fails from now on, and no other. Does nothing when the batch was given up already, or the
    /// channel has failed.
    fn abandon(&self, batch: u64, reason: &str);

    /// Waits until the peer's queue holds everything that was sent, and says goodbye. After that nothing
    /// more can be sent, while messages of the peer can still be received until it closes too.
    fn close(&self) -> Result<(), NetError>;

    /// The first error, when there has been one.
    fn failure(&self) -> Option<NetError>;

    /// The counters of this end.
    fn stats(&self) -> &Arc<Stats>;
}
