//! Keys between parties, and the rule that no batch of randomness is used twice.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use x25519_dalek::{EphemeralSecret, PublicKey};
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::net::{Address, Channel, Message};
use crate::prg::Seed;

/// Step numbers that no program has, for messages outside of it.
pub(crate) mod reserved {
    /// Key agreement.
    pub(crate) const KEYS: u32 = u32::MAX;
    /// Comparison of program digests.
    pub(crate) const PROGRAM: u32 = u32::MAX - 1;
    /// Seeds and masked values of inputs.
    pub(crate) const INPUT: u32 = u32::MAX - 2;
    /// Transcript comparison and outputs.
    pub(crate) const OUTPUT: u32 = u32::MAX - 3;
    /// Weights: seeds; tensors follow by their index.
    pub(crate) const WEIGHT_SEEDS: u32 = u32::MAX - 4;
    /// Reports from a party to the client.
    pub(crate) const REPORT: u32 = u32::MAX - 5;
    /// What a client asks in a batch.
    pub(crate) const REQUEST: u32 = u32::MAX - 6;
    /// The batch number of messages that belong to no batch.
    pub(crate) const SETUP: u64 = 0;
}

/// What two parties share for one session; overwritten when dropped.
pub struct PairKey {
    secret: Zeroizing<[u8; 32]>,
    /// Hash of both ends' fresh contributions.
    session: [u8; 32],
}

impl PairKey {
    /// Agrees on a key with the party at the other end: X25519 with fresh keys and a fresh contribution of each end.
    ///
    /// Semi-honest: the channel must already know who is at its other end.
    pub fn agree(channel: &dyn Channel) -> Result<Self> {
        let secret = EphemeralSecret::random_from_rng(&mut rand::rng());
        let public = PublicKey::from(&secret);
        let nonce: [u8; 16] = rand::random();
        let address = Address::new(reserved::SETUP, reserved::KEYS, 0);
        channel.send(Message::new(address, 0, [&public.as_bytes()[..], &nonce].concat()))?;
        let got = channel.recv(address, 48)?.payload;
        let (theirs, _) = got.split_at(32);
        let their_key: [u8; 32] = theirs.try_into().map_err(|_| Error::Internal("length of a public key"))?;
        let shared = secret.diffie_hellman(&PublicKey::from(their_key));
        if !shared.was_contributory() {
            return Err(Error::Internal("a peer sent a public key of small order"));
        }
        let mine = [&public.as_bytes()[..], &nonce].concat();
        let mut ends = [mine, got];
        ends.sort();
        let session = Sha256::digest(ends.concat()).into();
        Ok(Self { secret: Zeroizing::new(shared.to_bytes()), session })
    }

    /// A key from a fixed secret, for runs that must repeat exactly.
    pub(crate) fn fixed(secret: [u8; 32]) -> Self {
        Self { secret: Zeroizing::new(secret), session: [0; 32] }
    }

    /// The seed for one purpose in one batch of one program.
    pub fn seed(&self, purpose: &str, batch: u64, program: &[u8; 32]) -> Seed {
        let mut seed = [0u8; 16];
        let info = [purpose.as_bytes(), &[0], &batch.to_le_bytes(), program];
        // HKDF refuses only outputs of more than 255 blocks.
        if Hkdf::<Sha256>::new(Some(&self.session), &*self.secret)
            .expand_multi_info(&info, &mut seed)
            .is_err()
        {
            unreachable!("16 bytes are fewer than 255 blocks");
        }
        Seed::new(seed)
    }
}

impl std::fmt::Debug for PairKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PairKey(..)")
    }
}

/// Batches already used. A batch is burnt before anything masked under it is sent or accepted; aborted means burnt.
#[derive(Debug, Default)]
pub struct Burnt(Mutex<HashSet<u64>>);

impl Burnt {
    /// Burns `batch`, or says that it was used before.
    pub fn burn(&self, batch: u64) -> Result<()> {
        if batch != reserved::SETUP && self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(batch) {
            Ok(())
        } else {
            Err(Error::BatchBurnt(batch))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{Limits, Peer, pair};

    #[test]
    fn both_ends_derive_the_same_seeds() {
        let (a, b) = pair(Peer::P0, Peer::P2, Limits::default());
        let (ka, kb) = std::thread::scope(|s| {
            let other = s.spawn(|| PairKey::agree(&b).expect("agrees"));
            (PairKey::agree(&a).expect("agrees"), other.join().expect("no panic"))
        });
        let digest = [3; 32];
        assert_eq!(ka.seed("x", 1, &digest).bytes(), kb.seed("x", 1, &digest).bytes());
        assert_ne!(ka.seed("x", 1, &digest).bytes(), ka.seed("y", 1, &digest).bytes());
        assert_ne!(ka.seed("x", 1, &digest).bytes(), ka.seed("x", 2, &digest).bytes());
        assert_ne!(ka.seed("x", 1, &digest).bytes(), ka.seed("x", 1, &[4; 32]).bytes());
    }

    #[test]
    fn a_batch_burns_once() {
        let burnt = Burnt::default();
        burnt.burn(7).expect("first use");
        assert!(matches!(burnt.burn(7), Err(Error::BatchBurnt(7))));
        assert!(burnt.burn(0).is_err());
        burnt.burn(8).expect("another batch");
    }
}
