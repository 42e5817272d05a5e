use std::fmt;

use crate::net::Peer;

/// Which of the three servers this process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// First evaluator.
    P0,
    /// Second evaluator.
    P1,
    /// Helper: holds masks only, sends preprocessing only.
    P2,
}

impl Role {
    /// All three, in order.
    pub const ALL: [Self; 3] = [Self::P0, Self::P1, Self::P2];

    /// Position, 0 to 2.
    pub fn index(self) -> usize {
        self as usize
    }

    /// The role as an end of a channel.
    pub fn peer(self) -> Peer {
        match self {
            Self::P0 => Peer::P0,
            Self::P1 => Peer::P1,
            Self::P2 => Peer::P2,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
