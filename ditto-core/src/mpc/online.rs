//! The online engine of the evaluators.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::role::Role;
use super::store::{Store, Stored};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::kernel::{pack, packed_len, unpack};
use crate::net::{Address, Channel, Message};
use crate::ring::Word;
use crate::tensor::{Array, Elem, Shape};

/// P0 or P1 once the input is there: consumes prepared material and talks to the other evaluator only.
pub struct Evaluator {
    role: Role,
    batch: u64,
    peer: Arc<dyn Channel>,
    store: Arc<Store>,
    /// Hash of each opened message, by address; compared before an output leaves.
    opened: Mutex<BTreeMap<(u32, u32), [u8; 32]>>,
}

impl Evaluator {
    /// The online engine of one batch at `role` (P0 or P1).
    pub fn new(role: Role, batch: u64, peer: Arc<dyn Channel>, store: Arc<Store>) -> Self {
        debug_assert_ne!(role, Role::P2);
        Self { role, batch, peer, store, opened: Mutex::default() }
    }

    /// Which evaluator this is.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Hash of everything opened so far; equal at both evaluators of an honest run.
    pub fn transcript(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for ((step, seq), digest) in self.opened.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            hash.update(step.to_le_bytes());
            hash.update(seq.to_le_bytes());
            hash.update(digest);
        }
        hash.finalize().into()
    }
}

/// Exchanges and takes within one step.
impl Ctx<'_, Evaluator> {
    /// Whether this is P0, which alone adds public terms.
    pub(in crate::mpc) fn first(&self) -> bool {
        self.engine().role == Role::P0
    }

    /// The next words prepared for this step.
    pub(in crate::mpc) fn take<W: Stored>(&self, n: usize) -> Result<Arc<Vec<W>>> {
        let words = W::take(&self.engine().store, self.id(), self.path())?;
        if words.len() == n {
            Ok(words)
        } else {
            Err(Error::Preprocessing {
                step: self.path().to_owned(),
                what: "prepared words have another number",
            })
        }
    }

    /// The mask prepared for this step's result.
    pub(in crate::mpc) fn take_array<W: Stored + Elem>(&self, shape: &Shape) -> Result<Array<W>> {
        Ok(Array::from_arc(shape.clone(), self.take(shape.len())?))
    }

    /// Opens a masked value: sends this evaluator's part, below 2^k, and combines it with the other's. One hop.
    pub(in crate::mpc) fn open<W: Word>(
        &self,
        mut mine: Vec<W>,
        k: u32,
        combine: impl Fn(W, W) -> W + Sync,
    ) -> Result<Vec<W>> {
        let engine = self.engine();
        let seq = self.counters().online.fetch_add(1, Ordering::Relaxed);
        let address = Address { batch: engine.batch, step: self.id(), seq };
        let failed = |source| Error::Net { step: Some(self.path().to_owned()), source };
        let message = Message { address, depth: self.depth(), payload: pack(&mine, k) };
        engine.peer.send(message).map_err(failed)?;
        let got = engine.peer.recv(address, packed_len(mine.len(), k)).map_err(failed)?;
        self.received(got.depth);
        let theirs: Vec<W> = unpack(&got.payload, mine.len(), k).ok_or_else(|| Error::Preprocessing {
            step: self.path().to_owned(),
            what: "the other evaluator's message has set padding bits",
        })?;
        for (a, &b) in mine.iter_mut().zip(&theirs) {
            *a = combine(*a, b);
        }
        self.remember(seq, &mine);
        Ok(mine)
    }

    fn remember<W: Word>(&self, seq: u32, values: &[W]) {
        let digest = Sha256::digest(bytemuck::cast_slice::<W, u8>(values)).into();
        self.engine().opened.lock().unwrap_or_else(PoisonError::into_inner).insert((self.id(), seq), digest);
    }

    /// Makes values that both evaluators have part of what they compare.
    pub(in crate::mpc) fn record<W: Word>(&self, values: &[W]) {
        self.remember(self.counters().online.fetch_add(1, Ordering::Relaxed), values);
    }

    /// What the helper says in this step's online phase: the first message on the link from it.
    pub(in crate::mpc) fn hear<W: Word>(&self, helper: &dyn Channel, n: usize, k: u32) -> Result<Vec<W>> {
        let address = Address { batch: self.engine().batch, step: self.id(), seq: 0 };
        let failed = |source| Error::Net { step: Some(self.path().to_owned()), source };
        let got = helper.recv(address, packed_len(n, k)).map_err(failed)?;
        self.received(got.depth);
        unpack(&got.payload, n, k).ok_or_else(|| Error::Preprocessing {
            step: self.path().to_owned(),
            what: "the helper's message has set padding bits",
        })
    }

    /// [`Self::open`] of additive shares modulo 2^k.
    pub(in crate::mpc) fn open_sum<W: Word>(&self, mine: Vec<W>, k: u32) -> Result<Vec<W>> {
        self.open(mine, k, |a, b| a.wrapping_add(&b).low(k))
    }
}
