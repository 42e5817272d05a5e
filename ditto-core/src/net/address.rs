//! Who a message comes from and where it belongs.

use std::fmt;

/// Who sits at the other end.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Peer {
    /// The first evaluator.
    P0,
    /// The second evaluator.
    P1,
    /// The helper.
    P2,
    /// Who asks for an inference.
    Client,
    /// Who brings the weights.
    Owner,
}

impl Peer {
    /// Every role, in the order of their codes.
    pub const ALL: [Peer; 5] = [Peer::P0, Peer::P1, Peer::P2, Peer::Client, Peer::Owner];

    /// The role's byte on the wire.
    pub(crate) fn code(self) -> u8 {
        match self {
            Peer::P0 => 0,
            Peer::P1 => 1,
            Peer::P2 => 2,
            Peer::Client => 3,
            Peer::Owner => 4,
        }
    }

    /// The role of a byte from the wire.
    pub(crate) fn from_code(code: u8) -> Option<Peer> {
        Peer::ALL.get(usize::from(code)).copied()
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Peer::P0 => "P0",
            Peer::P1 => "P1",
            Peer::P2 => "P2",
            Peer::Client => "client",
            Peer::Owner => "model owner",
        })
    }
}

/// Where a message belongs. Messages are addressed, never matched by arrival order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Address {
    /// The batch of requests. Batches begin in roughly increasing order; see [`Channel`](super::Channel).
    pub batch: u64,
    /// The step of the program.
    pub step: u32,
    /// The message within the step. Numbering a step's messages without gaps keeps the record of addresses
    /// seen small.
    pub seq: u32,
}

impl Address {
    /// Puts an address together.
    pub const fn new(batch: u64, step: u32, seq: u32) -> Self {
        Self { batch, step, seq }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "batch {} step {} message {}", self.batch, self.step, self.seq)
    }
}

/// A payload with the place it belongs to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// Where it belongs.
    pub address: Address,
    /// Lamport depth: the length of the longest chain of messages that led to this one.
    pub depth: u32,
    /// The bytes.
    pub payload: Vec<u8>,
}

impl Message {
    /// Puts a message together.
    pub fn new(address: Address, depth: u32, payload: Vec<u8>) -> Self {
        Self { address, depth, payload }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_has_its_own_code() {
        for (index, peer) in Peer::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(peer.code()), index);
            assert_eq!(Peer::from_code(peer.code()), Some(peer));
        }
        assert_eq!(Peer::from_code(5), None);
        assert_eq!(Peer::from_code(255), None);
    }

    #[test]
    fn names_are_readable() {
        let names: Vec<String> = Peer::ALL.iter().map(Peer::to_string).collect();
        assert_eq!(names, ["P0", "P1", "P2", "client", "model owner"]);
        assert_eq!(Address::new(1, 2, 3).to_string(), "batch 1 step 2 message 3");
    }
}
