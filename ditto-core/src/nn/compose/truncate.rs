use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::mpc::Share;
use crate::primitives::{Primitives, RingWord};

/// Divides a sum by 2^drop, into a ring of any width.
///
/// # Inputs
/// Additive shares of z in Z_{2^k}; |z| < 2^(k-2) - 2^drop where k2 > k - drop, any z below that.
/// # Output
/// A masked sharing of z / 2^drop in Z_{2^k2}.
/// # Error
/// Less than 1 ulp, unbiased; never a wrap within the range.
/// # Protocol
/// Shrink to Z_{2^h}, h = k - drop; remask there; UpCast to Z_{2^k2} if that is larger.
/// # Cost
/// 2 hops, 2 k2 bits online, 2 (k2 - h) bits offline; if k2 <= h 1 hop, 2 k2 bits online, nothing offline.
/// # Security
/// As remask and upcast.
/// # Source
/// Specification of this project: ring shrinking and a reshared wrap.
pub(crate) fn truncate<P: Primitives, W: RingWord, V: RingWord>(
    ctx: &Ctx<'_, P>,
    z: &P::Additive<W>,
    drop: u32,
    k2: u32,
) -> Result<P::Masked<V>> {
    if drop > z.width().saturating_sub(2) {
        return Err(Error::Unsupported("dropping nearly all bits of a ring"));
    }
    let z = if drop == 0 { z.clone() } else { P::shrink(ctx, z, drop)? };
    if k2 <= z.width() {
        P::remask(&ctx.step("open")?, &P::reduce_additive(&z, k2)?)
    } else {
        let x = P::remask(&ctx.step("open")?, &z)?;
        P::upcast(&ctx.step("lift")?, &x, k2)
    }
}
