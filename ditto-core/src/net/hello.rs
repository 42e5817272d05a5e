//! The greeting at the start of a connection.

use std::fmt;

use sha2::{Digest, Sha256};

use super::address::Peer;
use super::error::{Flaw, NetErrorKind};

/// The size of a greeting.
pub(crate) const HELLO_BYTES: usize = 24;

/// The version of the greeting. It leads the version of the frame format: a new format needs a new greeting.
const VERSION: u16 = super::frame::VERSION as u16;

const MARK: [u8; 4] = *b"DiTo";

/// Names a session. All parties of one session have the same, and no other session has it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId(pub [u8; 16]);

impl SessionId {
    /// The short form that goes into every frame.
    pub(crate) fn tag(&self) -> u64 {
        let digest: [u8; 32] = Sha256::digest(self.0).into();
        digest.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }
}

impl fmt::Debug for SessionId {
    /// Only the tag, as in errors.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({:016x})", self.tag())
    }
}

/// What each end says first: who it is, whom it takes the other end for, and in which session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Hello {
    pub(crate) role: Peer,
    pub(crate) wants: Peer,
    pub(crate) session: SessionId,
}

impl Hello {
    pub(crate) fn encode(&self) -> [u8; HELLO_BYTES] {
        let mut bytes = [0; HELLO_BYTES];
        bytes[0..4].copy_from_slice(&MARK);
        bytes[4..6].copy_from_slice(&VERSION.to_le_bytes());
        bytes[6] = self.role.code();
        bytes[7] = self.wants.code();
        bytes[8..24].copy_from_slice(&self.session.0);
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; HELLO_BYTES]) -> Result<Hello, NetErrorKind> {
        if bytes[0..4] != MARK {
            return Err(NetErrorKind::Malformed(Flaw::Mark));
        }
        let version = u16::from_le_bytes([bytes[4], bytes[5]]);
        if version != VERSION {
            return Err(NetErrorKind::Version { expected: VERSION, got: version });
        }
        let role = |code| Peer::from_code(code).ok_or(NetErrorKind::Malformed(Flaw::Role(code)));
        let mut session = [0; 16];
        session.copy_from_slice(&bytes[8..24]);
        Ok(Hello { role: role(bytes[6])?, wants: role(bytes[7])?, session: SessionId(session) })
    }

    /// Checks the other end's greeting against who is here and who may be there. The session comes first:
    /// of another session's party the role says nothing.
    pub(crate) fn check(
        &self,
        local: Peer,
        expected: &[Peer],
        session: &SessionId,
    ) -> Result<(), NetErrorKind> {
        if self.session != *session {
            return Err(NetErrorKind::WrongSession { expected: session.tag(), got: self.session.tag() });
        }
        if self.wants != local || !expected.contains(&self.role) {
            let expected = expected.to_vec();
            return Err(NetErrorKind::Handshake { local, expected, claimed: self.role, wants: self.wants });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn round_trip(role in 0u8..5, wants in 0u8..5, session in any::<[u8; 16]>()) {
            let (Some(role), Some(wants)) = (Peer::from_code(role), Peer::from_code(wants)) else {
                return Err(TestCaseError::fail("no such role"));
            };
            let hello = Hello { role, wants, session: SessionId(session) };
            prop_assert_eq!(Hello::decode(&hello.encode()), Ok(hello));
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in any::<[u8; HELLO_BYTES]>(), marked in any::<bool>()) {
            let mut bytes = bytes;
            if marked {
                bytes[0..4].copy_from_slice(&MARK);
                bytes[4..6].copy_from_slice(&VERSION.to_le_bytes());
            }
            if let Ok(hello) = Hello::decode(&bytes) {
                prop_assert_eq!(hello.encode(), bytes);
            }
        }
    }

    #[test]
    fn sessions_have_different_tags() {
        let mut other = [0; 16];
        other[15] = 1;
        assert_ne!(SessionId([0; 16]).tag(), SessionId(other).tag());
    }
}
