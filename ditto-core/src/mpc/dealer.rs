//! The preprocessing engine: all that depends on masks only.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::role::Role;
use super::share::Mask;
use super::store::{Store, Stored};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::kernel::{pack, packed_len, unpack};
use crate::net::{Address, Channel, Message, Peer};
use crate::prg::Prg;
use crate::ring::Word;
use crate::tensor::{Array, Elem, Shape};

/// What sets the three parties apart before the request.
// There is one per batch.
#[allow(clippy::large_enum_variant)]
pub enum Roles {
    /// P0 or P1: draws or receives its share of what is dealt.
    Evaluator {
        /// Which of the two.
        role: Role,
        /// Shared with P2.
        prg: Prg,
        /// From P2.
        helper: Arc<dyn Channel>,
        /// Where prepared material goes.
        store: Arc<Store>,
    },
    /// P2: knows all masks and deals.
    Helper {
        /// Shared with P0 and with P1.
        prgs: [Prg; 2],
        /// To P0 and to P1.
        links: [Arc<dyn Channel>; 2],
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
            Roles::Evaluator { role, .. } => role,
            Roles::Helper { .. } => Role::P2,
        }
    }
}

/// Draws, deals and keeps within one step.
impl Ctx<'_, Preprocess> {
    pub(in crate::mpc) fn role(&self) -> Role {
        self.engine().role()
    }

    /// `n` numbers below 2^k that an evaluator and P2 have in common; `None` at the other evaluator.
    fn draw<W: Word>(&self, with: Role, n: usize, k: u32) -> Option<Vec<W>> {
        let prg = match &self.engine().roles {
            Roles::Evaluator { role, prg, .. } if *role == with => prg,
            Roles::Evaluator { .. } => return None,
            Roles::Helper { prgs, .. } => prgs.get(with.index())?,
        };
        let blocks = Prg::blocks(n * size_of::<W>());
        let counter = self.counters().prg.get(with.index())?;
        Some(prg.words(self.id(), counter.fetch_add(blocks, Ordering::Relaxed), n, k))
    }

    /// `n` numbers below 2^k that P0 and P2 have in common; `None` at P1.
    pub(in crate::mpc) fn draw0<W: Word>(&self, n: usize, k: u32) -> Option<Vec<W>> {
        self.draw(Role::P0, n, k)
    }

    /// `n` numbers below 2^k that P1 and P2 have in common; `None` at P0.
    pub(in crate::mpc) fn draw1<W: Word>(&self, n: usize, k: u32) -> Option<Vec<W>> {
        self.draw(Role::P1, n, k)
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
    /// The share of the step's near evaluator is drawn, that of the far one is sent: n k bits. `values` is read at P2
    /// only.
    pub(in crate::mpc) fn deal<W: Stored>(
        &self,
        n: usize,
        k: u32,
        values: Option<Vec<W>>,
    ) -> Result<Option<Arc<Vec<W>>>> {
        Ok(self.own(self.deal_parts(n, k, values)?))
    }

    /// The same under XOR.
    pub(in crate::mpc) fn deal_xor<W: Stored>(
        &self,
        n: usize,
        k: u32,
        values: Option<Vec<W>>,
    ) -> Result<Option<Arc<Vec<W>>>> {
        Ok(self
            .own(self.share_out(n, k, values, |v, s| v.iter_mut().zip(s).for_each(|(v, &s)| *v = *v ^ s))?))
    }

    /// [`Self::deal`] with what each party knows: P0's share and P1's.
    pub(in crate::mpc) fn deal_parts<W: Stored>(
        &self,
        n: usize,
        k: u32,
        values: Option<Vec<W>>,
    ) -> Result<[Option<Vec<W>>; 2]> {
        self.share_out(n, k, values, |v, s| {
            v.iter_mut().zip(s).for_each(|(v, s)| *v = v.wrapping_sub(s).low(k))
        })
    }

    /// An evaluator's own part of two.
    fn own<W>(&self, [p0, p1]: [Option<Vec<W>>; 2]) -> Option<Arc<Vec<W>>> {
        match self.role() {
            Role::P0 => p0.map(Arc::new),
            Role::P1 => p1.map(Arc::new),
            Role::P2 => None,
        }
    }

    /// The evaluators of this step: the near one draws its share of what is dealt, the far one receives its own. They
    /// alternate, so that the helper's two links carry the same.
    fn sides(&self) -> (Role, Role) {
        if self.receiver() == Peer::P0 { (Role::P1, Role::P0) } else { (Role::P0, Role::P1) }
    }

    fn share_out<W: Stored>(
        &self,
        n: usize,
        k: u32,
        values: Option<Vec<W>>,
        minus: impl FnOnce(&mut [W], &[W]),
    ) -> Result<[Option<Vec<W>>; 2]> {
        let (near, far) = self.sides();
        let drawn = self.draw::<W>(near, n, k);
        let rest = match &self.engine().roles {
            Roles::Evaluator { role, helper, .. } if *role == far => Some(self.receive(&**helper, n, k)?),
            Roles::Evaluator { .. } => None,
            Roles::Helper { links, .. } => {
                let (Some(mut v), Some(s)) = (values, &drawn) else {
                    return Err(Error::Internal("the helper has nothing to deal"));
                };
                minus(&mut v, s);
                let address = self.offline_address();
                // Uniform to the far evaluator, which lacks what was drawn.
                let message = Message { address, depth: 0, payload: pack(&v, k) };
                links[far.index()].send_credited(message).map_err(|e| self.net_error(e))?;
                Some(v)
            }
        };
        Ok(if near == Role::P0 { [drawn, rest] } else { [rest, drawn] })
    }

    /// [`Self::deal`] of numbers too wide for a word, in [`Preprocess::columns`] of words, low bits first.
    pub(in crate::mpc) fn deal_wide(
        &self,
        n: usize,
        k: u32,
        values: Option<Vec<Vec<u64>>>,
    ) -> Result<Vec<Option<Arc<Vec<u64>>>>> {
        let widths = Preprocess::columns(k);
        let mut values = match values {
            Some(columns) if columns.len() == widths.len() => columns.into_iter().map(Some).collect(),
            Some(_) => return Err(Error::Internal("wide numbers in other columns than theirs")),
            None => vec![None; widths.len()],
        };
        let mut borrows = vec![false; n];
        let column = |(column, bits): (&mut Option<Vec<u64>>, u32)| {
            let minus = |values: &mut [u64], drawn: &[u64]| {
                for ((v, &s), borrow) in values.iter_mut().zip(drawn).zip(&mut borrows) {
                    let (rest, over) = v.overflowing_sub(s);
                    let (rest, again) = rest.overflowing_sub(u64::from(*borrow));
                    (*v, *borrow) = (rest.low(bits), over || again);
                }
            };
            Ok(self.own(self.share_out(n, bits, column.take(), minus)?))
        };
        values.iter_mut().zip(widths).map(column).collect()
    }

    fn receive<W: Word>(&self, helper: &dyn Channel, n: usize, k: u32) -> Result<Vec<W>> {
        let got = helper.recv(self.offline_address(), packed_len(n, k)).map_err(|e| self.net_error(e))?;
        unpack(&got.payload, n, k).ok_or_else(|| Error::Preprocessing {
            step: self.path().to_owned(),
            what: "the helper's message has set padding bits",
        })
    }

    /// Leaves words for this step's online phase, in order; nothing at P2.
    pub(in crate::mpc) fn keep<W: Stored>(&self, words: Option<Arc<Vec<W>>>) -> Result<()> {
        let Roles::Evaluator { store, .. } = &self.engine().roles else { return Ok(()) };
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
