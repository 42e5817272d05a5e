use super::Format;
use super::maximum::{WAYS, cost_carrying, fastest, tree};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::mpc::Share;
use crate::primitives::{Primitives, RingWord};
use crate::tensor::{Array, Rows};

/// The index of the largest element along the last axis, whose extent becomes 1.
///
/// # Inputs
/// A sum `z` [.., n] in Z_{2^k}, n >= 1, to be compared without its lowest `drop` bits; elements of a row differ by less
/// than 2^(k-1).
/// # Output
/// Integers below n, at `out`, whose ring holds them.
/// # Error
/// Numbers are rounded to multiples of 2^drop, unbiased, before they are compared exactly: the index is that of an element
/// less than 2 * 2^drop below the largest. Of equals the first of a node.
/// # Protocol
/// Open what is left of the sums under masks; a tree of maxima that carries the index of each element along.
/// # Cost
/// One hop more than the tree of maxima in Z_{2^(k-drop)}, the last UpCast another; beside the maximum's own cost that of
/// selecting ceil(log2 n) bits per node.
/// # Security
/// As maximum and remask. Only the index leaves the tree; it is as fresh as a selection's result.
/// # Source
/// Folklore; specification of this project.
pub(crate) fn argmax<P: Primitives, W: RingWord, T: RingWord>(
    ctx: &Ctx<'_, P>,
    z: &P::Additive<W>,
    drop: u32,
    out: Format,
) -> Result<P::Masked<T>> {
    let n = z.shape().last();
    // Two bits more than the indices have: for UpCast.
    let bits = super::log2_ceil(n) + 2;
    if n == 0 || drop + bits > z.width() || bits > 32 || bits + out.fraction.max(1) > out.width {
        return Err(Error::Unsupported("the index of a maximum in so small a ring or of nothing"));
    }
    let z = if drop == 0 { z.clone() } else { P::shrink(ctx, z, drop)? };
    let x = P::remask(&ctx.step("open")?, &z)?;
    // Public numbers as a sharing: zero times any, plus the numbers.
    let zero: P::Masked<u32> = P::reduce(&P::mul_public(&x, 0)?, bits)?;
    let index = P::add_public(&zero, &Array::new([n], (0..n as i64).collect())?)?;
    let rows = Rows::whole(n);
    let outer = x.shape().rows();
    let ways = fastest(ctx, WAYS.map(|ways| cost_carrying(outer, &rows, &[x.width(), bits], ways)));
    let (_, index) = tree(&ctx.step("tree")?, &x, Some(&index), &rows, ways)?;
    let index = index.ok_or(Error::Internal("an index that was carried"))?;
    let index = P::upcast(&ctx.step("lift")?, &index, out.width)?;
    P::mul_public(&index, 1 << out.fraction)
}
