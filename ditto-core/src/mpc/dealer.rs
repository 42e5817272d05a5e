//! The preprocessing engine: all that depends on masks only.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::role::Role;
use super::share::Mask;
use super::store::{Store, Stored};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::kernel::{pack, packed_len, unpack};
use crate::net::{Address, Channel, Message};
use crate::prg::Prg;
use crate::ring::Word;
use crate::tensor::{Array, Elem, Shape};

/// What sets the three parties apart before the request.
// There is one per batch.
#[allow(clippy::large_enum_variant)]
pub enum Roles {
    /// Derives its half of everything dealt from the generator it shares with P2.
    P0 {
        /// Shared with P2.
        prg: Prg,
        /// Where prepared material goes.
        store: Arc<Store>,
    },
    /// Receives its half of everything dealt.
    P1 {
        /// Shared with P2.
        prg: Prg,
        /// From P2.
        helper: Arc<dyn Channel>,
        /// Where prepared material goes.
        store: Arc<Store>,
    },
    /// Knows all masks and deals.
    P2 {
        /// Shared with P0.
        prg0: Prg,
        /// Shared with P1.
        prg1: Prg,
        /// To P1.
        link: Arc<dyn Channel>,
    },
}

/// Reads a program before any input exists. At P2 this is the *helper*, which deals; at P0 and P1 it *prepares*:
/// draws masks, takes in what was dealt, and computes what needs masks only.
pub struct Preprocess {
    roles: Roles,
    batch: u64,
}

impl Preprocess {
    /// The engine of one batch; keys must be the batch's own.
    pub fn new(roles: Roles, batch: u64) -> Self {
        Self { roles, batch }
    }

    pub(in crate::mpc) fn roles(&self) -> &Roles {
        &self.roles
    }

    pub(in crate::mpc) fn batch(&self) -> u64 {
        self.batch
    }

    /// Widths of the words that hold a number below 2^k, low bits first.
    pub(in crate::mpc) fn columns(k: u32) -> impl ExactSizeIterator<Item = u32> {
        (0..k.div_ceil(64) as usize).map(move |i| (k - 64 * i as u32).min(64))
    }

    /// Which party this is.
    pub fn role(&self) -> Role {
        match self.roles {
            Roles::P0 { .. } => Role::P0,
            Roles::P1 { .. } => Role::P1,
            Roles::P2 { .. } => Role::P2,
        }
    }
}

/// Draws, deals and keeps within one step.
impl Ctx<'_, Preprocess> {
    pub(in crate::mpc) fn role(&self) -> Role {
        self.engine().role()
    }

    /// `n` numbers below 2^k that P0 and P2 have in common; `None` at P1.
    pub(in crate::mpc) fn draw0<W: Word>(&self, n: usize, k: u32) -> Option<Vec<W>> {
        let (Roles::P0 { prg, .. } | Roles::P2 { prg0: prg, .. }) = &self.engine().roles else { return None };
        let blocks = Prg::blocks(n * size_of::<W>());
        Some(prg.words(self.id(), self.counters().prg0.fetch_add(blocks, Ordering::Relaxed), n, k))
    }

    /// `n` numbers below 2^k that P1 and P2 have in common; `None` at P0.
    pub(in crate::mpc) fn draw1<W: Word>(&self, n: usize, k: u32) -> Option<Vec<W>> {
        let (Roles::P1 { prg, .. } | Roles::P2 { prg1: prg, .. }) = &self.engine().roles else { return None };
        let blocks = Prg::blocks(n * size_of::<W>());
        Some(prg.words(self.id(), self.counters().prg1.fetch_add(blocks, Ordering::Relaxed), n, k))
    }

    /// Fresh masks for a value in Z_{2^k}: no bytes.
    pub(in crate::mpc) fn mask<W: Word + Elem>(&self, shape: &Shape, k: u32) -> Result<Mask<W>> {
        let n = shape.len();
        let wrap = |v: Vec<W>| Array::new(shape.clone(), v);
        let l0 = self.draw0(n, k).map(wrap).transpose()?;
        let l1 = self.draw1(n, k).map(wrap).transpose()?;
        Ok(Mask { k, shape: shape.clone(), l0, l1 })
    }

    /// P2 shares numbers below 2^k additively between P0 and P1; returns this evaluator's share, `None` at P2.
    ///
    /// P0's share is drawn, P1's is sent: n k bits. `values` is read at P2 only.
    pub(in crate::mpc) fn deal<W: Stored>(
        &self,
        n: usize,
        k: u32,
        values: Option<Vec<W>>,
    ) -> Result<Option<Arc<Vec<W>>>> {
        self.share_out(n, k, values, |v, s| v.wrapping_sub(&s).low(k))
    }

    /// The same under XOR.
    pub(in crate::mpc) fn deal_xor<W: Stored>(
        &self,
        n: usize,
        k: u32,
        values: Option<Vec<W>>,
    ) -> Result<Option<Arc<Vec<W>>>> {
        self.share_out(n, k, values, |v, s| v ^ s)
    }

    fn share_out<W: Stored>(
        &self,
        n: usize,
        k: u32,
        values: Option<Vec<W>>,
        other_half: impl Fn(W, W) -> W + Sync,
    ) -> Result<Option<Arc<Vec<W>>>> {
        match &self.engine().roles {
            Roles::P0 { .. } => Ok(self.draw0(n, k).map(Arc::new)),
            Roles::P1 { .. } => self.receive(n, k).map(|v| Some(Arc::new(v))),
            Roles::P2 { .. } => {
                let (Some(mut v), Some(s)) = (values, self.draw0::<W>(n, k)) else {
                    return Err(Error::Internal("the helper has nothing to deal"));
                };
                for (v, &s) in v.iter_mut().zip(&s) {
                    *v = other_half(*v, s);
                }
                self.send_to_p1(&v, k)?;
                Ok(None)
            }
        }
    }

    /// [`Self::deal`] of numbers too wide for a word, in [`Preprocess::columns`] of words, low bits first.
    pub(in crate::mpc) fn deal_wide(
        &self,
        n: usize,
        k: u32,
        values: Option<Vec<Vec<u64>>>,
    ) -> Result<Vec<Option<Arc<Vec<u64>>>>> {
        let widths: Vec<u32> = Preprocess::columns(k).collect();
        let Some(mut values) = values else {
            let half = |&bits: &u32| self.deal(n, bits, None);
            return widths.iter().map(half).collect();
        };
        let drawn: Option<Vec<Vec<u64>>> = widths.iter().map(|&bits| self.draw0(n, bits)).collect();
        let Some(drawn) = drawn.filter(|drawn| drawn.len() == values.len()) else {
            return Err(Error::Internal("the helper has nothing to deal"));
        };
        let mut borrows = vec![false; n];
        for ((column, drawn), &bits) in values.iter_mut().zip(&drawn).zip(&widths) {
            for ((v, &s), borrow) in column.iter_mut().zip(drawn).zip(&mut borrows) {
                let (rest, over) = v.overflowing_sub(s);
                let (rest, again) = rest.overflowing_sub(u64::from(*borrow));
                (*v, *borrow) = (rest.low(bits), over || again);
            }
            self.send_to_p1(column, bits)?;
        }
        Ok(vec![None; widths.len()])
    }

    /// P2 sends n numbers below 2^k to P1 as they are: only numbers that are uniform to P1 may travel this way.
    pub(in crate::mpc) fn send_to_p1<W: Word>(&self, values: &[W], k: u32) -> Result<()> {
        let Roles::P2 { link, .. } = &self.engine().roles else {
            return Err(Error::Internal("only the helper deals"));
        };
        let message = Message { address: self.offline_address(), depth: 0, payload: pack(values, k) };
        link.send_credited(message).map_err(|e| self.net_error(e))
    }

    /// What P2 sent with [`Self::send_to_p1`].
    pub(in crate::mpc) fn receive<W: Word>(&self, n: usize, k: u32) -> Result<Vec<W>> {
        let Roles::P1 { helper, .. } = &self.engine().roles else {
            return Err(Error::Internal("only P1 receives from the helper"));
        };
        let got = helper.recv(self.offline_address(), packed_len(n, k)).map_err(|e| self.net_error(e))?;
        unpack(&got.payload, n, k).ok_or_else(|| Error::Preprocessing {
            step: self.path().to_owned(),
            what: "the helper's message has set padding bits",
        })
    }

    /// Leaves words for this step's online phase, in order; nothing at P2.
    pub(in crate::mpc) fn keep<W: Stored>(&self, words: Option<Arc<Vec<W>>>) -> Result<()> {
        let (Roles::P0 { store, .. } | Roles::P1 { store, .. }) = &self.engine().roles else { return Ok(()) };
        match words {
            Some(words) => W::put(store, self.id(), words),
            None => Err(Error::Internal("an evaluator has nothing to keep")),
        }
    }

    /// Leaves this evaluator's own mask for the online phase.
    pub(in crate::mpc) fn keep_mask<W: Stored + Elem>(&self, mask: &Mask<W>) -> Result<()> {
        self.keep(mask.own().map(Array::arc))
    }

    fn offline_address(&self) -> Address {
        let seq = self.counters().offline.fetch_add(1, Ordering::Relaxed);
        Address { batch: self.engine().batch, step: self.id(), seq }
    }

    fn net_error(&self, source: crate::net::NetError) -> Error {
        Error::Net { step: Some(self.path().to_owned()), source }
    }
}
