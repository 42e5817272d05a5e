//! Links between parties.
//!
//! Protocol code is plain blocking code on ordinary threads and sees only [`Channel`]: an ordered link to
//! one [`Peer`] on which every [`Message`] carries the [`Address`] it belongs to. Two implementations share
//! one receive queue and one set of rules: [`memory`] joins two parties of one process, [`tcp`] joins two
//! processes of one machine.
//!
//! A channel does not encrypt and does not authenticate; there is no TLS yet. That is why [`tcp`] refuses
//! every address which is not a loopback address.
//!
//! The rules every channel keeps:
//!
//! * Messages are addressed and never matched by the order in which they arrive.
//! * Whatever a peer sends is checked against [`Limits`] before memory is set aside for it.
//! * An address is used once in each direction. A second use is an error, also after the first message has
//!   been received.
//! * The first error is final: the channel tells the peer, wakes every waiter, and every later call fails
//!   with that first cause.

mod address;
mod batches;
mod channel;
mod credit;
mod endpoint;
mod error;
pub mod frame;
mod hello;
pub mod link;
pub mod memory;
mod queue;
mod seen;
pub mod stats;
pub mod tcp;

#[cfg(test)]
mod conformance;

pub use address::{Address, Message, Peer};
pub use channel::{Channel, Limits};
pub use error::{Ending, Flaw, NetError, NetErrorKind};
pub use hello::SessionId;
pub use link::Link;
pub use memory::{MemoryChannel, pair, pair_with};
pub use stats::{Stats, StatsSnapshot, StepStats, Traffic};
pub use tcp::{Listener, Runtime, Session, TcpChannel, connect};
