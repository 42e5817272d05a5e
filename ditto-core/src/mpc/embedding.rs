//! Rows of shared tables at places that the client alone knows: a private embedding.
//!
//! A table is shared as `E = m - l0 - l1`, and every component is known to two servers. For every id the client makes three
//! independent pairs of point function keys, one pair per component and the two servers that hold it. Each server
//! multiplies what its keys expand to with its two components, so that the three servers hold additive shares
//! `p0 + p1 + p2` of the row. Then they remask them. This is the only protocol in which the helper takes part after the
//! input is there, and it still receives nothing from the evaluators.
//!
//! Several tables may be looked up at once: their rows are summed before anything is sent.
//!
//! # Inputs
//! Tables in one ring and with equally many columns; for every row of the result an id per table.
//!
//! # Error
//! None. The sum of the tables' rows must fit the ring.
//!
//! # Protocol
//! P0 and P2 draw l0 and b0, P1 and P2 draw l1 and b1. P2 sends p2 + b1 to P0 and p2 + b0 to P1; P0 sends
//! p0 + l0 - b0 to P1, P1 sends p1 + l1 - b1 to P0. What these open is `p0 + p1 + l0 + l1 - b0 - b1`, and each evaluator
//! adds P2's message and its own b: m.
//!
//! # Cost
//! Four messages of n k bits for n numbers of the result; one hop.
//!
//! # Security
//! P0 lacks b1 and l1, P1 lacks b0 and l0, so both messages that an evaluator receives are uniform to it, also with
//! everything that the client knows. P2's part must not travel without a mask: it is a linear image of l0 and l1 under
//! vectors that the client knows. P2 receives keys only. One key of each of two independent pairs tells a server
//! nothing about the id: see [`dpf`](crate::dpf).
//!
//! # Source
//! Two-server private retrieval by point functions, Gilboa and Ishai (EUROCRYPT 2014); the three components and the
//! remasking are this project's.

mod keys;

use std::sync::Arc;
use std::sync::atomic::Ordering;

pub(crate) use keys::{Keys, deal_keys};

use super::dealer::{Preprocess, Roles};
use super::online::Evaluator;
use super::role::Role;
use super::share::{Mask, Masked};
use crate::cost::{Cost, Kind, Work};
use crate::ctx::Ctx;
use crate::dpf::{Domain, evaluate_all};
use crate::error::{Error, Result};
use crate::kernel::{PackedB, matmul_packed, pack, packed_len};
use crate::net::{Address, Channel, Message};
use crate::primitives::RingWord;
use crate::ring::Word;
use crate::tensor::{Array, Shape};

/// Most vectors that are expanded at once: enough for the matrix kernels, and they stay small beside the table.
const ABREAST: usize = 128;

/// One party's two components of a shared table [positions, columns]: the masked table and its own mask, or at P2 both
/// masks.
#[derive(Clone, Debug)]
pub struct Table<W> {
    components: [Arc<PackedB<W>>; 2],
}

impl<W: RingWord> Table<W> {
    /// From m and l0 at P0, m and l1 at P1, l0 and l1 at P2.
    pub(crate) fn new(k: u32, shape: &Shape, components: [&[W]; 2]) -> Result<Self> {
        let &[positions, columns] = shape.dims() else { return Err(Error::Internal("a table is a matrix")) };
        Ok(Self { components: components.map(|c| Arc::new(PackedB::new(k, c, positions, columns))) })
    }
}

/// Whether a party subtracts its product with a component: masks count negative.
fn subtracts(role: Role, component: usize) -> bool {
    role == Role::P2 || component == 1
}

/// Shape of what `ids` rows of tables with these shapes sum to.
pub(crate) fn shape(tables: &[Shape], ids: usize) -> Result<Shape> {
    let Some((first, rest)) = tables.split_first() else {
        return Err(Error::Unsupported("an embedding without a table"));
    };
    let &[_, columns] = first.dims() else { return Err(Error::shape("a table", first, first)) };
    for table in rest {
        if table.rank() != 2 || table.last() != columns {
            return Err(Error::shape("tables whose rows are summed", first, table));
        }
    }
    Ok(Shape::new(&[ids, columns]))
}

/// Multiply-adds of one party.
fn multiply_adds(tables: &[Shape], ids: usize) -> usize {
    tables.iter().map(|table| 2 * ids * table.len()).sum()
}

/// Cost of `ids` rows in Z_{2^k}: two messages between the evaluators and two of the helper's, in one hop.
pub(crate) fn cost(tables: &[Shape], ids: usize, k: u32) -> Result<Cost> {
    let n = shape(tables, ids)?.len();
    let exchange = Cost::exchange(n, k);
    let helper = 2 * packed_len(n, k) as u64;
    let multiply_adds = 3 * multiply_adds(tables, ids) as u64;
    Ok(Cost { online: exchange.online + helper, multiply_adds, ..exchange })
}

/// What the parties compute for it: all three expand keys and multiply.
pub(crate) fn work<W: Word>(tables: &[Shape], ids: usize, k: u32) -> Result<Work> {
    let n = shape(tables, ids)?.len();
    let mut work =
        Work::mask::<W>(n) + Work::mask::<W>(n) + Work::exchange::<W>(n, k) + Work::assist::<W>(n, k);
    work = work.online_passes::<W>(5, n).each_online(Kind::multiply(k), multiply_adds(tables, ids));
    for table in tables {
        let domain = Domain::<W>::new(table.dims()[0])?;
        let word = size_of::<W>();
        work = work
            .each_online(Kind::Draw, 2 * ids * 16 * domain.aes_blocks())
            .each_online(Kind::Pass, 4 * ids * domain.positions() * word)
            .each_online(Kind::Stream, 2 * ids.div_ceil(ABREAST) * table.len() * word);
    }
    Ok(work)
}

/// What the helper has drawn for its part in the online phase.
pub(crate) struct Assist<W> {
    k: u32,
    address: Address,
    /// Drawn with P0, and with P1.
    blinds: [Vec<W>; 2],
}

/// Draws the masks of the result, which all that follows is prepared with, and those that hide the parts on their way.
pub(crate) fn offline<W: RingWord>(
    ctx: &Ctx<'_, Preprocess>,
    shape: &Shape,
    k: u32,
) -> Result<(Mask<W>, Option<Assist<W>>)> {
    let mask = ctx.mask(shape, k)?;
    ctx.keep_mask(&mask)?;
    let n = shape.len();
    let assist = match (ctx.draw0(n, k), ctx.draw1(n, k)) {
        (Some(b0), Some(b1)) => Some(Assist { k, address: ctx.assist_address(), blinds: [b0, b1] }),
        (own, other) => {
            ctx.keep(own.or(other).map(Arc::new))?;
            None
        }
    };
    Ok((mask, assist))
}

/// A party's additive part of the rows: what its keys expand to, times its components.
pub(crate) fn part<W: RingWord>(role: Role, k: u32, tables: &[Table<W>], keys: &[Keys<W>]) -> Result<Vec<W>> {
    let columns = tables.first().map_or(0, |t| t.components[0].n());
    let ids = keys.first().map_or(0, Keys::ids);
    // What is added, and what is subtracted.
    let mut sums = [vec![W::default(); ids * columns], vec![W::default(); ids * columns]];
    for (table, keys) in tables.iter().zip(keys) {
        let domain = Domain::<W>::new(table.components[0].k())?;
        let mut vectors = vec![W::default(); ids.min(ABREAST) * domain.positions()];
        for (i, component) in table.components.iter().enumerate() {
            let sum = &mut sums[usize::from(subtracts(role, i))];
            for (keys, rows) in keys.of(i).chunks(ABREAST).zip(sum.chunks_mut(ABREAST * columns)) {
                let vectors = &mut vectors[..keys.len() * domain.positions()];
                evaluate_all(domain, k, keys, vectors)?;
                matmul_packed(vectors, keys.len(), component, rows);
            }
        }
    }
    let [mut added, subtracted] = sums;
    added.iter_mut().zip(subtracted).for_each(|(a, s)| *a = a.wrapping_sub(&s).low(k));
    Ok(added)
}

impl<W: RingWord> Assist<W> {
    /// The helper's part of the rows to the evaluators, hidden from each by the blind of the other. Returns the number
    /// of bytes.
    pub(crate) fn send(self, to: [&dyn Channel; 2], part: &[W]) -> Result<u64> {
        let Self { k, address, blinds: [b0, b1] } = self;
        for (link, mut blinded) in to.into_iter().zip([b1, b0]) {
            blinded.iter_mut().zip(part).for_each(|(b, p)| *b = b.wrapping_add(p).low(k));
            // Not credited: P1's preprocessing, which credit waits for, may itself wait for this.
            link.send(Message::new(address, 0, pack(&blinded, k)))?;
        }
        Ok(2 * packed_len(part.len(), k) as u64)
    }
}

/// An evaluator's part of the rows to their masked sharing.
pub(crate) fn online<W: RingWord>(
    ctx: &Ctx<'_, Evaluator>,
    helper: &dyn Channel,
    shape: &Shape,
    k: u32,
    part: Vec<W>,
) -> Result<Masked<W>> {
    let own: Array<W> = ctx.take_array(shape)?;
    let blind = ctx.take::<W>(shape.len())?;
    let mut mine = part;
    for ((p, l), b) in mine.iter_mut().zip(own.data()).zip(&*blind) {
        *p = p.wrapping_add(l).wrapping_sub(b).low(k);
    }
    let mut m = ctx.open_sum(mine, k)?;
    let third: Vec<W> = ctx.hear(helper, shape.len(), k)?;
    for ((m, p), b) in m.iter_mut().zip(third).zip(&*blind) {
        *m = m.wrapping_add(&p).wrapping_add(b).low(k);
    }
    ctx.record(&m);
    Ok(Masked { k, m: Array::new(shape.clone(), m)?, own })
}

impl Ctx<'_, Preprocess> {
    /// Where the evaluators await the helper's message of this step's online phase. Nothing may be dealt in the step.
    fn assist_address(&self) -> Address {
        debug_assert!(matches!(self.engine().roles(), Roles::Helper { .. }));
        debug_assert_eq!(self.counters().offline.load(Ordering::Relaxed), 0);
        Address::new(self.engine().batch(), self.id(), 0)
    }
}
