use super::stack::{stack, unstack};
use crate::cost::Cost;
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::mpc::{self, Share};
use crate::primitives::{Primitives, RingWord};
use crate::tensor::{Gather, Rows};

/// The maximum of each row of the last axis, [.., extent] to [.., count].
///
/// # Inputs
/// `x` in Z_{2^k}, rows of at least one element; any two elements of a row differ by less than 2^(k-1).
/// # Error
/// None.
/// # Protocol
/// A tree whose nodes take 2 elements, or 4 and in one level 2, whichever is faster on the link of the settings. A node compares every pair
/// at once and selects the winner. Rows climb side by side; a short one is done before the others.
/// # Cost
/// [`cost`]: digits + 1 hops a level (ring of at most 7 bits: 2 hops; 8 to 13 bits: 3). A node of 2 has one comparison,
/// 2 + 2 k bits online and 2 k bits offline beside it; a node of 4 has six, 12 + 2 k bits online and 42 k offline.
/// # Security
/// As msb, open_bits, select and remask.
/// # Source
/// Binary: folklore. Nodes of 4: pairwise comparisons and a selection of degree 3, specification of this project.
pub(crate) fn row_max<P: Primitives, W: RingWord>(
    ctx: &Ctx<'_, P>,
    x: &P::Masked<W>,
    rows: &Rows,
) -> Result<P::Masked<W>> {
    let ways = fastest(ctx, WAYS.map(|ways| cost(x.shape().rows(), rows, x.width(), ways)));
    Ok(tree::<P, W, u8>(ctx, x, None, rows, ways)?.0)
}

/// Sizes of a tree's nodes.
pub(crate) const WAYS: [usize; 2] = [2, 4];

/// The size of nodes that is fastest on the link of the settings.
pub(super) fn fastest<P>(ctx: &Ctx<'_, P>, costs: [Cost; WAYS.len()]) -> usize {
    WAYS[ctx.settings().link.fastest(&costs)]
}

/// How a level of a tree divides rows: each into nodes of `size` elements, and elements left over.
struct Level {
    size: usize,
    /// Nodes and elements left over of each row.
    parts: Vec<(usize, usize)>,
}

impl Level {
    /// The next level of a tree of nodes with `ways` elements.
    ///
    /// A tree of nodes of 4 has as few levels as it can have, and nodes of 2 in the lowest, where there are most, as soon
    /// as one level of them does not make it higher.
    fn new(rows: &Rows, ways: usize) -> Self {
        let longest = rows.longest();
        let above =
            ways.pow(longest.next_power_of_two().trailing_zeros().div_ceil(ways.ilog2()).saturating_sub(1));
        let size = if longest <= 2 * above { 2 } else { ways };
        let parts = rows.lengths().iter().map(|&n| match n {
            0 | 1 => (0, n),
            // What a node of 2 has left over waits for the next level; larger nodes share elements instead, for the next
            // level must not be longer. A short row's only node repeats its last element.
            _ if size == 2 => (n / 2, n % 2),
            _ => (n.div_ceil(size), 0),
        });
        Self { size, parts: parts.collect() }
    }

    fn nodes(&self) -> usize {
        self.parts.iter().map(|(nodes, _)| nodes).sum()
    }

    fn next(&self) -> Rows {
        Rows::of(self.parts.iter().map(|(nodes, left)| nodes + left).collect())
    }

    /// The tensor of every node's `i`-th element.
    fn child<S: Share>(&self, x: &S, rows: &Rows, i: usize) -> Result<S> {
        let part = |(row, &(nodes, _)): (std::ops::Range<usize>, &(usize, usize))| {
            let start = (row.start + i * nodes).min(row.end - nodes.min(row.len()));
            start..start + nodes
        };
        let parts: Vec<_> = rows.ranges().zip(&self.parts).map(part).collect();
        x.restructure(&Gather(&parts))
    }

    /// The rows of the next level: winners, and what was left over.
    fn join<S: Share>(&self, best: S, x: &S, rows: &Rows) -> Result<S> {
        if self.parts.iter().all(|&(_, left)| left == 0) {
            return Ok(best);
        }
        let left: Vec<_> =
            rows.ranges().zip(&self.parts).map(|(row, &(_, l))| row.end - l..row.end).collect();
        let both = S::concat(&[&best, &x.restructure(&Gather(&left))?], x.shape().rank() - 1)?;
        if let [_] = self.parts[..] {
            return Ok(both);
        }
        let (mut won, mut kept) = (0, self.nodes());
        let parts = self.parts.iter().flat_map(|&(nodes, l)| {
            (won, kept) = (won + nodes, kept + l);
            [won - nodes..won, kept - l..kept]
        });
        both.restructure(&Gather(&parts.collect::<Vec<_>>()))
    }
}

/// Cost of maxima over `outer` times these rows in Z_{2^k}.
pub(crate) fn cost(outer: usize, rows: &Rows, k: u32, ways: usize) -> Cost {
    cost_carrying(outer, rows, &[k], ways)
}

/// The same where other numbers are selected with the compared ones: widths of all, those that are compared first.
pub(super) fn cost_carrying(outer: usize, rows: &Rows, widths: &[u32], ways: usize) -> Cost {
    let (mut all, mut rows) = (Cost::default(), rows.clone());
    while rows.longest() > 1 {
        let level = Level::new(&rows, ways);
        let (size, nodes) = (level.size, outer * level.nodes());
        let pairs = size * (size - 1) / 2 * nodes;
        all += mpc::msb::cost(pairs, widths[0]) + mpc::open_bits::cost(pairs, 1);
        let mut remask = Cost::default();
        for &k in widths {
            all += (1..size).map(|_| mpc::select::cost(nodes, size - 1, k)).fold(Cost::default(), Cost::then);
            remask = remask.beside(mpc::remask::cost(nodes, k));
        }
        all += remask;
        rows = level.next();
    }
    all
}

/// Maxima, and what was carried along with them.
type Top<P, W, C> = (<P as Primitives>::Masked<W>, Option<<P as Primitives>::Masked<C>>);

/// [`row_max`] with nodes of at most `ways` elements; numbers carried along are selected as the compared ones are.
///
/// # Error
/// None. Of equal elements the first of a node wins.
/// # Cost
/// [`cost`]; numbers that are carried cost as much as the compared ones, without comparisons and hops.
/// # Security
/// As [`row_max`].
/// # Source
/// As [`row_max`].
pub(crate) fn tree<P: Primitives, W: RingWord, C: RingWord>(
    ctx: &Ctx<'_, P>,
    x: &P::Masked<W>,
    carried: Option<&P::Masked<C>>,
    rows: &Rows,
    ways: usize,
) -> Result<Top<P, W, C>> {
    let (mut x, mut carried, mut rows) = (x.clone(), carried.cloned(), rows.clone());
    let mut depth = 0;
    while rows.longest() > 1 {
        let ctx = ctx.index("level", depth)?;
        let level = Level::new(&rows, ways);
        let children = (0..level.size).map(|i| level.child(&x, &rows, i)).collect::<Result<Vec<_>>>()?;
        let wins = winners(&ctx, &children)?;
        let best = |ctx: &Ctx<'_, P>| level.join(chosen(ctx, &wins, &children)?, &x, &rows);
        (x, carried) = match &carried {
            None => (best(&ctx)?, None),
            Some(c) => {
                let children =
                    (0..level.size).map(|i| level.child(c, &rows, i)).collect::<Result<Vec<_>>>()?;
                let with = |ctx: &Ctx<'_, P>| level.join(chosen(ctx, &wins, &children)?, c, &rows);
                let (x, c) = ctx.join(("compared", best), ("carried", with))?;
                (x, Some(c))
            }
        };
        rows = level.next();
        depth += 1;
    }
    Ok((x, carried))
}

/// For every tensor but the last, bits that are all set where it is the largest of them; the last is where none is.
///
/// An element is the largest where it is below none after it and above all before it: of equals the first.
fn winners<P: Primitives, W: RingWord>(
    ctx: &Ctx<'_, P>,
    x: &[P::Masked<W>],
) -> Result<Vec<Vec<P::OpenedBits<u8>>>> {
    let pairs: Vec<(usize, usize)> =
        (0..x.len()).flat_map(|i| (i + 1..x.len()).map(move |j| (i, j))).collect();
    // [x_i < x_j] is the sign of x_i - x_j.
    let apart = pairs.iter().map(|&(i, j)| P::sub(&x[i], &x[j])).collect::<Result<Vec<_>>>()?;
    let less = P::msb(&ctx.step("less")?, &stack(&apart)?)?;
    let less = unstack(&P::open_bits(&ctx.step("open")?, &less)?, x[0].shape(), pairs.len())?;
    let wins = |i: usize| {
        let own = pairs.iter().zip(&less).filter(move |(pair, _)| pair.0 == i || pair.1 == i);
        own.map(|(pair, less)| if pair.0 == i { P::not(less) } else { less.clone() }).collect()
    };
    Ok((0..x.len() - 1).map(wins).collect())
}

/// The elements that have won: the last, plus what another is above it where that one has won.
fn chosen<P: Primitives, W: RingWord>(
    ctx: &Ctx<'_, P>,
    wins: &[Vec<P::OpenedBits<u8>>],
    x: &[P::Masked<W>],
) -> Result<P::Masked<W>> {
    let [others @ .., last] = x else { return Err(Error::Unsupported("a maximum of nothing")) };
    let mut sum = P::additive(ctx, last)?;
    for (i, (other, wins)) in others.iter().zip(wins).enumerate() {
        let bits: Vec<_> = wins.iter().collect();
        let gain = P::select_all(&ctx.index("select", i)?, &bits, &P::sub(other, last)?)?;
        sum = P::add_additive(&sum, &gain)?;
    }
    P::remask(&ctx.step("remask")?, &sum)
}
