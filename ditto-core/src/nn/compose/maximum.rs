use super::stack::{stack, unstack};
use crate::cost::Cost;
use crate::ctx::Ctx;
use crate::error::Result;
use crate::mpc::{self, Share};
use crate::primitives::{Primitives, RingWord};
use crate::tensor::Slice;

/// The maximum along the last axis, as a tensor with that axis of extent 1.
///
/// # Inputs
/// `x` [.., n] in Z_{2^k}, n >= 1; any two elements of a row differ by less than 2^(k-1).
/// # Error
/// None.
/// # Protocol
/// A tree whose nodes take 2 or 4 elements, whichever is faster on the link of the settings. A node compares every pair
/// at once and selects the winner.
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
) -> Result<P::Masked<W>> {
    let (n, rows) = (x.shape().last(), x.shape().rows());
    let ways = WAYS[ctx.settings().link.fastest(&WAYS.map(|ways| cost(rows, n, x.width(), ways)))];
    tree(ctx, x, ways)
}

/// Sizes of a tree's nodes.
pub(crate) const WAYS: [usize; 2] = [2, 4];

/// How a level of a tree over n elements divides them: nodes of `.0` elements each, `.1` elements left over.
fn level(n: usize, ways: usize) -> (usize, usize) {
    let size = if n >= ways { ways } else { 2 };
    (size, n % size)
}

/// Cost of maxima over `rows` rows of n elements in Z_{2^k}.
pub(crate) fn cost(rows: usize, mut n: usize, k: u32, ways: usize) -> Cost {
    let mut all = Cost::default();
    while n > 1 {
        let (size, left) = level(n, ways);
        let nodes = rows * ((n - left) / size);
        let pairs = size * (size - 1) / 2 * nodes;
        all += mpc::msb::cost(pairs, k) + mpc::open_bits::cost(pairs, 1);
        all += (1..size).map(|_| mpc::select::cost(nodes, size - 1, k)).fold(Cost::default(), Cost::then);
        all += mpc::remask::cost(nodes, k);
        n = (n - left) / size + left;
    }
    all
}

/// [`row_max`] with nodes of at most `ways` elements.
///
/// # Error
/// None.
/// # Cost
/// [`cost`].
/// # Security
/// As [`row_max`].
/// # Source
/// As [`row_max`].
pub(crate) fn tree<P: Primitives, W: RingWord>(
    ctx: &Ctx<'_, P>,
    x: &P::Masked<W>,
    ways: usize,
) -> Result<P::Masked<W>> {
    let axis = x.shape().rank() - 1;
    let mut x = x.clone();
    let mut depth = 0;
    while x.shape().last() > 1 {
        let ctx = ctx.index("level", depth)?;
        let (size, left) = level(x.shape().last(), ways);
        let end = x.shape().last() - left;
        let part = |start, end| x.restructure(&Slice { axis, start, end });
        let children = (0..size).map(|i| part(i * (end / size), (i + 1) * (end / size)));
        let best = winner(&ctx, &children.collect::<Result<Vec<_>>>()?)?;
        x = if left > 0 { Share::concat(&[&best, &part(end, end + left)?], axis)? } else { best };
        depth += 1;
    }
    Ok(x)
}

/// The elementwise maximum of several tensors.
fn winner<P: Primitives, W: RingWord>(ctx: &Ctx<'_, P>, x: &[P::Masked<W>]) -> Result<P::Masked<W>> {
    let [others @ .., last] = x else { return Err(crate::error::Error::Unsupported("a maximum of nothing")) };
    let pairs: Vec<(usize, usize)> =
        (0..x.len()).flat_map(|i| (i + 1..x.len()).map(move |j| (i, j))).collect();
    // [x_i < x_j] is the sign of x_i - x_j.
    let apart = pairs.iter().map(|&(i, j)| P::sub(&x[i], &x[j])).collect::<Result<Vec<_>>>()?;
    let less = P::msb(&ctx.step("less")?, &stack(&apart)?)?;
    let less = unstack(&P::open_bits(&ctx.step("open")?, &less)?, last.shape(), pairs.len())?;
    // The last, plus what another is above it where that one is below none after it and above all before it. Of equals
    // the first wins.
    let mut sum = P::additive(ctx, last)?;
    for (i, other) in others.iter().enumerate() {
        let wins: Vec<_> = (pairs.iter().zip(&less))
            .filter(|(pair, _)| pair.0 == i || pair.1 == i)
            .map(|(pair, less)| if pair.0 == i { P::not(less) } else { less.clone() })
            .collect();
        let wins: Vec<_> = wins.iter().collect();
        let gain = P::select_all(&ctx.index("select", i)?, &wins, &P::sub(other, last)?)?;
        sum = P::add_additive(&sum, &gain)?;
    }
    P::remask(&ctx.step("remask")?, &sum)
}
