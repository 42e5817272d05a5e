use crate::ctx::Ctx;
use crate::error::Result;
use crate::mpc::Share;
use crate::primitives::{Primitives, RingWord};
use crate::tensor::Slice;

/// The maximum along the last axis, as a tensor with that axis of extent 1.
///
/// # Inputs
/// `x` [.., n] in Z_{2^k}, n >= 1; any two elements of a row differ by less than 2^(k-1).
/// # Error
/// None.
/// # Protocol
/// A binary tree; a node is `a + [a < b] (b - a)`.
/// # Cost
/// ceil(log2 n) levels of digits + 1 hops (ring of at most 7 bits: 2 hops; 9 to 13 bits: 3). Per node 2 + 2 k bits
/// online plus those of the comparison, 2 k bits offline plus those of the comparison.
/// # Security
/// As msb, open_bits, select and remask.
/// # Source
/// Folklore tree; see msb for the comparison.
pub(crate) fn row_max<P: Primitives, W: RingWord>(
    ctx: &Ctx<'_, P>,
    x: &P::Masked<W>,
) -> Result<P::Masked<W>> {
    let axis = x.shape().rank() - 1;
    let mut x = x.clone();
    let mut level = 0;
    while x.shape().last() > 1 {
        let ctx = ctx.index("level", level)?;
        let n = x.shape().last();
        let half = n / 2;
        let part = |start, end| x.restructure(&Slice { axis, start, end });
        let (a, b) = (part(0, half)?, part(half, 2 * half)?);
        let gain = P::sub(&b, &a)?;
        // [a < b] is the sign of a - b.
        let less = P::msb(&ctx.step("less")?, &P::sub(&a, &b)?)?;
        let less = P::open_bits(&ctx.step("open")?, &less)?;
        let step = P::select(&ctx.step("select")?, &less, &gain)?;
        let best = P::add_additive(&P::additive(&ctx, &a)?, &step)?;
        let best = P::remask(&ctx.step("remask")?, &best)?;
        x = if n % 2 == 1 { Share::concat(&[&best, &part(n - 1, n)?], axis)? } else { best };
        level += 1;
    }
    Ok(x)
}
