//! What can go wrong on a channel.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::address::{Address, Peer};

/// An error of a channel: what happened, with whom, and, where it is known, at which message.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct NetError {
    peer: Option<Peer>,
    address: Option<Address>,
    kind: NetErrorKind,
}

impl NetError {
    /// An error for which neither the peer nor the message is known.
    pub fn new(kind: NetErrorKind) -> Self {
        Self { peer: None, address: None, kind }
    }

    /// The same error with the peer it concerns.
    #[must_use]
    pub fn with_peer(mut self, peer: Peer) -> Self {
        self.peer = Some(peer);
        self
    }

    /// The same error, placed at `address` unless it already has a place.
    #[must_use]
    pub fn or_at(mut self, address: Address) -> Self {
        self.address.get_or_insert(address);
        self
    }

    /// The peer at the other end; `None` before a connection has told who that is.
    pub fn peer(&self) -> Option<Peer> {
        self.peer
    }

    /// The message concerned. Its step is what a caller can name.
    pub fn address(&self) -> Option<Address> {
        self.address
    }

    /// What happened.
    pub fn kind(&self) -> &NetErrorKind {
        &self.kind
    }
}

impl fmt::Display for NetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(peer) = self.peer {
            write!(f, "channel to {peer}: ")?;
        }
        if let Some(address) = self.address {
            write!(f, "{address}: ")?;
        }
        write!(f, "{}", self.kind)
    }
}

impl std::error::Error for NetError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // The kind's text is part of this error's text, so only what lies below the kind is a source.
        std::error::Error::source(&self.kind)
    }
}

/// The kinds of [`NetError`].
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetErrorKind {
    /// There is nobody to talk to any more.
    #[error("{ending}")]
    Closed {
        /// How it came to its end.
        ending: Ending,
    },
    /// Nothing came in time.
    #[error("nothing came within {after:?}")]
    TimedOut {
        /// How long the call waited.
        after: Duration,
    },
    /// A payload has another length than the shapes say.
    #[error("expected {expected} bytes and got {got}")]
    Length {
        /// The length the caller asked for.
        expected: u64,
        /// The length that came.
        got: u64,
    },
    /// Something is larger than a limit allows.
    #[error("{got} bytes exceed the limit of {limit}")]
    TooLarge {
        /// The limit.
        limit: u64,
        /// What was asked for.
        got: u64,
    },
    /// An address was used a second time, or asked for after its message had been received.
    #[error("the address has been used before")]
    Duplicate,
    /// The message belongs to a batch so old that the record of its addresses is gone.
    #[error("the batch is long over; the oldest batch still on record is {oldest}")]
    Stale {
        /// The oldest batch for which messages are still taken.
        oldest: u64,
    },
    /// The other end talks about another session. The numbers are the sessions' tags.
    #[error("expected session {expected:016x} and got {got:016x}")]
    WrongSession {
        /// The tag of the session here.
        expected: u64,
        /// The tag of the session there.
        got: u64,
    },
    /// The other end speaks another version of the frame format.
    #[error("expected version {expected} of the frame format and got {got}")]
    Version {
        /// The version spoken here.
        expected: u16,
        /// The version spoken there.
        got: u16,
    },
    /// The connection ended inside a frame.
    #[error("the connection ended inside a frame, after {got} of {expected} bytes")]
    Truncated {
        /// How many bytes the frame, or its header, has.
        expected: u64,
        /// How many of them came.
        got: u64,
    },
    /// Bytes that no peer of this version sends.
    #[error("malformed frame: {0}")]
    Malformed(Flaw),
    /// One end gave up and said why.
    #[error("aborted by {by}: {reason}")]
    Aborted {
        /// Who gave up.
        by: Peer,
        /// Why, in the words of that party.
        reason: Arc<str>,
    },
    /// One end gave up this batch and said why; others go on.
    #[error("the request was given up by {by}: {reason}")]
    Abandoned {
        /// Who gave up.
        by: Peer,
        /// Why, in the words of that party.
        reason: Arc<str>,
    },
    /// The operating system reported an error.
    #[error("{text}")]
    Io {
        /// The system's classification.
        kind: io::ErrorKind,
        /// The system's words.
        text: Arc<str>,
    },
    /// The address is not a loopback address.
    #[error("{address} is not a loopback address; channels have no TLS yet and so only work on one machine")]
    NotLoopback {
        /// The address refused.
        address: SocketAddr,
    },
    /// The two ends of a new connection disagree about who they are.
    #[error(
        "this is {local} and takes {}, but the other end says that it is {claimed} and takes {wants}",
        List(.expected)
    )]
    Handshake {
        /// The role here.
        local: Peer,
        /// The roles taken here.
        expected: Vec<Peer>,
        /// The role the other end claims.
        claimed: Peer,
        /// The role the other end takes.
        wants: Peer,
    },
}

impl NetErrorKind {
    /// How a failure of a socket shows: that the other end is gone is told apart from all other errors.
    pub(crate) fn from_io(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NotConnected => NetErrorKind::Closed { ending: Ending::Lost },
            kind => NetErrorKind::Io { kind, text: error.to_string().into() },
        }
    }
}

/// How a channel came to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// The peer said goodbye.
    Goodbye,
    /// The connection ended without a goodbye.
    Lost,
    /// This side has closed the channel.
    Here,
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Ending::Goodbye => "the peer has closed the channel",
            Ending::Lost => "the connection ended without a goodbye",
            Ending::Here => "this side has closed the channel",
        })
    }
}

/// What is wrong with a malformed frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// It does not begin with the format's mark.
    #[error("it does not begin with the mark of the format")]
    Mark,
    /// There is no such kind of frame.
    #[error("there is no frame of kind {0}")]
    Kind(u8),
    /// There is no such role.
    #[error("there is no role {0}")]
    Role(u8),
    /// The payload of a control frame has an impossible length.
    #[error("a control frame cannot have {0} bytes")]
    ControlLength(u64),
    /// More credit is returned than was outstanding.
    #[error("it returns more credit than is outstanding")]
    Credit,
    /// A message came after the peer's goodbye.
    #[error("it came after the goodbye")]
    AfterGoodbye,
    /// One batch has so many separate runs of addresses that they cannot be remembered.
    #[error("the batch has too many gaps in its addresses")]
    Gaps,
}

/// Roles with commas between them.
struct List<'a>(&'a [Peer]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, peer) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(" or ")?;
            }
            write!(f, "{peer}")?;
        }
        if self.0.is_empty() { f.write_str("nobody") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_names_peer_and_step() {
        let kind = NetErrorKind::TimedOut { after: Duration::from_secs(60) };
        let error = NetError::new(kind).with_peer(Peer::P1).or_at(Address::new(0, 17, 2));
        assert_eq!(error.to_string(), "channel to P1: batch 0 step 17 message 2: nothing came within 60s");
        // A place already known stays.
        assert_eq!(error.clone().or_at(Address::new(9, 9, 9)).address(), Some(Address::new(0, 17, 2)));
    }

    #[test]
    fn handshake_names_both_ends() {
        let kind = NetErrorKind::Handshake {
            local: Peer::P0,
            expected: vec![Peer::P1, Peer::Client],
            claimed: Peer::P2,
            wants: Peer::P1,
        };
        assert_eq!(
            kind.to_string(),
            "this is P0 and takes P1 or client, but the other end says that it is P2 and takes P1"
        );
    }

    #[test]
    fn errors_stay_small() {
        assert!(size_of::<NetError>() <= 96);
    }
}
