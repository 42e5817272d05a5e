//! The frame format.
//!
//! A frame is a header of [`HEADER_BYTES`] bytes, all numbers little endian, and then its payload:
//!
//! | bytes  | content                                   |
//! |--------|-------------------------------------------|
//! | 0..2   | mark `D1 70`                              |
//! | 2      | version                                   |
//! | 3      | kind                                      |
//! | 4..8   | Lamport depth                             |
//! | 8..16  | session tag                               |
//! | 16..24 | batch                                     |
//! | 24..28 | step                                      |
//! | 28..32 | message within the step                   |
//! | 32..40 | length of the payload                     |

use super::address::{Address, Message};
use super::error::{Flaw, NetErrorKind};

/// The size of a frame's header.
pub const HEADER_BYTES: usize = 40;

/// The version of the frame format.
pub const VERSION: u8 = 2;

/// The longest reason an abort carries.
pub(crate) const REASON_BYTES: usize = 1024;

const MARK: [u8; 2] = [0xd1, 0x70];

/// What a frame is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FrameKind {
    /// A message.
    Data,
    /// A message that takes credit until it has been received.
    Credited,
    /// Returns credit of a batch; the payload is the number of bytes.
    Credit,
    /// A sender waits for credit of a batch, so credit must not be collected any longer.
    Want,
    /// The sender gives up; the payload says why.
    Abort,
    /// The sender will send no more messages.
    Close,
    /// The sender has got a [`Close`](FrameKind::Close), and so all that went before it.
    Closed,
    /// The sender gives a batch up, and that only; the payload says why.
    Abandon,
}

impl FrameKind {
    const ALL: [FrameKind; 8] = [
        FrameKind::Data,
        FrameKind::Credited,
        FrameKind::Credit,
        FrameKind::Want,
        FrameKind::Abort,
        FrameKind::Close,
        FrameKind::Closed,
        FrameKind::Abandon,
    ];

    fn code(self) -> u8 {
        match self {
            FrameKind::Data => 0,
            FrameKind::Credited => 1,
            FrameKind::Credit => 2,
            FrameKind::Want => 3,
            FrameKind::Abort => 4,
            FrameKind::Close => 5,
            FrameKind::Closed => 6,
            FrameKind::Abandon => 7,
        }
    }

    /// Whether the frame carries a message.
    pub fn is_message(self) -> bool {
        matches!(self, FrameKind::Data | FrameKind::Credited)
    }
}

/// The header of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// What the frame is for.
    pub kind: FrameKind,
    /// The session it belongs to.
    pub session: u64,
    /// Where its message belongs. In control frames all but the batch is zero, and the batch too in those that concern
    /// the whole channel.
    pub address: Address,
    /// Lamport depth; zero in control frames.
    pub depth: u32,
    /// The length of the payload.
    pub length: u64,
}

impl Header {
    /// The header as bytes.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..2].copy_from_slice(&MARK);
        bytes[2] = VERSION;
        bytes[3] = self.kind.code();
        bytes[4..8].copy_from_slice(&self.depth.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.session.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.address.batch.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.address.step.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.address.seq.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.length.to_le_bytes());
        bytes
    }

    /// Reads the header at the start of `bytes`. Pure, and total: any bytes give a header or an error.
    ///
    /// The length of a control frame is checked here; that of a message is up to the receiver's limits.
    pub fn decode(bytes: &[u8]) -> Result<Header, NetErrorKind> {
        let Some(bytes) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err(NetErrorKind::Truncated { expected: HEADER_BYTES as u64, got: bytes.len() as u64 });
        };
        if bytes[0..2] != MARK {
            return Err(NetErrorKind::Malformed(Flaw::Mark));
        }
        if bytes[2] != VERSION {
            return Err(NetErrorKind::Version { expected: VERSION.into(), got: bytes[2].into() });
        }
        let Some(&kind) = FrameKind::ALL.get(usize::from(bytes[3])) else {
            return Err(NetErrorKind::Malformed(Flaw::Kind(bytes[3])));
        };
        let header = Header {
            kind,
            depth: u32::from_le_bytes(array(bytes, 4)),
            session: u64::from_le_bytes(array(bytes, 8)),
            address: Address {
                batch: u64::from_le_bytes(array(bytes, 16)),
                step: u32::from_le_bytes(array(bytes, 24)),
                seq: u32::from_le_bytes(array(bytes, 28)),
            },
            length: u64::from_le_bytes(array(bytes, 32)),
        };
        let possible = match kind {
            FrameKind::Data | FrameKind::Credited => true,
            FrameKind::Credit => header.length == 8,
            FrameKind::Abort | FrameKind::Abandon => header.length <= REASON_BYTES as u64,
            FrameKind::Want | FrameKind::Close | FrameKind::Closed => header.length == 0,
        };
        if possible { Ok(header) } else { Err(NetErrorKind::Malformed(Flaw::ControlLength(header.length))) }
    }
}

/// The `N` bytes at `at`, a constant that lies within the header.
fn array<const N: usize>(bytes: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&bytes[at..at + N]);
    part
}

/// A frame: what goes over the link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// What it is for.
    pub kind: FrameKind,
    /// The session it belongs to.
    pub session: u64,
    /// Where its message belongs: see [`Header::address`].
    pub address: Address,
    /// Lamport depth; zero in control frames.
    pub depth: u32,
    /// The bytes.
    pub payload: Vec<u8>,
}

impl Frame {
    /// The frame of a message.
    pub(crate) fn message(session: u64, kind: FrameKind, message: Message) -> Self {
        let Message { address, depth, payload } = message;
        Self { kind, session, address, depth, payload }
    }

    /// A frame that carries no message and concerns the whole channel.
    pub(crate) fn control(session: u64, kind: FrameKind, payload: Vec<u8>) -> Self {
        Self::of_batch(session, kind, 0, payload)
    }

    /// A frame that carries no message and concerns a batch.
    pub(crate) fn of_batch(session: u64, kind: FrameKind, batch: u64, payload: Vec<u8>) -> Self {
        Self { kind, session, address: Address::new(batch, 0, 0), depth: 0, payload }
    }

    /// The header that goes before the payload.
    pub fn header(&self) -> Header {
        Header {
            kind: self.kind,
            session: self.session,
            address: self.address,
            depth: self.depth,
            length: self.payload.len() as u64,
        }
    }
}

/// As much of a text as a frame carries.
pub(crate) fn cut(reason: &str) -> &str {
    let mut end = reason.len().min(REASON_BYTES);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    &reason[..end]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn any_header() -> impl Strategy<Value = Header> {
        let parts = (any::<u64>(), any::<u64>(), any::<u32>(), any::<u32>(), any::<u32>(), any::<u64>());
        (0..FrameKind::ALL.len(), parts).prop_map(|(kind, (session, batch, step, seq, depth, length))| {
            let kind = FrameKind::ALL[kind];
            let length = match kind {
                FrameKind::Data | FrameKind::Credited => length,
                FrameKind::Credit => 8,
                FrameKind::Abort | FrameKind::Abandon => length % (REASON_BYTES as u64 + 1),
                FrameKind::Want | FrameKind::Close | FrameKind::Closed => 0,
            };
            Header { kind, session, address: Address { batch, step, seq }, depth, length }
        })
    }

    proptest! {
        #[test]
        fn header_round_trip(header in any_header(), tail in proptest::collection::vec(any::<u8>(), 0..8)) {
            let mut bytes = header.encode().to_vec();
            bytes.extend_from_slice(&tail);
            prop_assert_eq!(Header::decode(&bytes), Ok(header));
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..96)) {
            let _ = Header::decode(&bytes);
        }

        /// Bytes after a valid start reach every check behind the mark.
        #[test]
        fn what_decodes_encodes_to_itself(
            kind in 0u8..12,
            rest in proptest::array::uniform32(any::<u8>()),
            depth in any::<u32>(),
            short in any::<bool>(),
        ) {
            let mut bytes = vec![MARK[0], MARK[1], VERSION, kind];
            bytes.extend_from_slice(&depth.to_le_bytes());
            bytes.extend_from_slice(&rest);
            if short {
                bytes[33..40].fill(0);
            }
            match Header::decode(&bytes) {
                Ok(header) => prop_assert_eq!(header.encode().to_vec(), bytes),
                Err(error) => prop_assert!(matches!(error, NetErrorKind::Malformed(_))),
            }
        }

        #[test]
        fn one_altered_byte_of_the_start_is_noticed(header in any_header(), at in 0usize..3, by in 1u8..=255) {
            let mut bytes = header.encode();
            bytes[at] ^= by;
            prop_assert!(Header::decode(&bytes).is_err());
        }

        #[test]
        fn reasons_are_cut_between_characters(reason in "\\PC{0,1200}") {
            let text = cut(&reason);
            prop_assert!(text.len() <= REASON_BYTES && reason.starts_with(text));
            let frame = Frame::control(7, FrameKind::Abort, text.as_bytes().to_vec());
            prop_assert!(Header::decode(&frame.header().encode()).is_ok());
        }
    }

    #[test]
    fn the_layout_is_fixed() {
        let header = Header {
            kind: FrameKind::Credited,
            session: 0x0807_0605_0403_0201,
            address: Address::new(0x1817_1615_1413_1211, 0x2423_2221, 0x3433_3231),
            depth: 0x4443_4241,
            length: 0x5857_5655_5453_5251,
        };
        let mut expected = vec![0xd1, 0x70, 2, 1, 0x41, 0x42, 0x43, 0x44];
        expected.extend(0x01..=0x08);
        expected.extend(0x11..=0x18);
        expected.extend(0x21..=0x24);
        expected.extend(0x31..=0x34);
        expected.extend(0x51..=0x58);
        assert_eq!(header.encode().to_vec(), expected);
    }

    #[test]
    fn every_cut_header_is_truncated() {
        let bytes = Frame::control(1, FrameKind::Close, Vec::new()).header().encode();
        for got in 0..HEADER_BYTES {
            let error = NetErrorKind::Truncated { expected: HEADER_BYTES as u64, got: got as u64 };
            assert_eq!(Header::decode(&bytes[..got]), Err(error));
        }
    }
}
