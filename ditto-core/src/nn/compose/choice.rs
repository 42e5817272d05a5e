use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::mpc::Share;
use crate::primitives::{Primitives, RingWord};
use crate::tensor::Broadcast;

/// `[x > y]`, opened under mask bits and ready to choose.
///
/// # Inputs
/// `x`, `y` in Z_{2^k}, with broadcasting; |x - y| < 2^(k-1).
/// # Output
/// Bits of the common shape; 0 where the two are equal.
/// # Error
/// None within the range; outside it the bit is that of the wrapped difference.
/// # Protocol
/// The sign of y - x.
/// # Cost
/// One hop and 2 bits online more than msb.
/// # Security
/// As msb and open_bits.
/// # Source
/// See msb.
pub(crate) fn greater<P: Primitives, W: RingWord>(
    ctx: &Ctx<'_, P>,
    x: &P::Masked<W>,
    y: &P::Masked<W>,
) -> Result<P::OpenedBits<u8>> {
    let less = P::msb(&ctx.step("sign")?, &P::sub(y, x)?)?;
    P::open_bits(&ctx.step("open")?, &less)
}

/// `x` where the bit is set, `y` where it is not.
///
/// # Inputs
/// `bits`, and `x` and `y` in Z_{2^k}, any values, with broadcasting.
/// # Error
/// None.
/// # Protocol
/// `y + bit (x - y)`.
/// # Cost
/// 1 hop; 2 k bits online; 2 k bits offline.
/// # Security
/// As select and remask. One opened bit may choose several times: each product has its own dealt numbers.
/// # Source
/// ABY2.0 (ePrint 2020/1225), bit injection.
pub(crate) fn select<P: Primitives, W: RingWord>(
    ctx: &Ctx<'_, P>,
    bits: &P::OpenedBits<u8>,
    x: &P::Masked<W>,
    y: &P::Masked<W>,
) -> Result<P::Masked<W>> {
    let gain = P::sub(x, y)?;
    let shape = gain.shape().broadcast(bits.shape(), "select")?;
    let (bits, gain) = (bits.restructure(&Broadcast(&shape))?, gain.restructure(&Broadcast(&shape))?);
    let step = P::select(&ctx.step("product")?, &bits, &gain)?;
    let chosen = P::add_additive(&P::additive(ctx, &y.restructure(&Broadcast(&shape))?)?, &step)?;
    P::remask(&ctx.step("remask")?, &chosen)
}

/// `max(x, 0)` of a sum divided by 2^drop, in Z_{2^k2}.
///
/// # Inputs
/// A sum in Z_{2^k} with |x| < 2^(k-2) - 2^drop; the result stays below 2^(k2-1).
/// # Error
/// Less than 1 ulp, unbiased: that of dropping bits. The sign is that of the rounded number, so nothing else is lost.
/// # Protocol
/// Drop bits and open under a mask; then the sign beside the UpCast; keep what is not negative.
/// # Cost
/// With h = min(k - drop, k2): 3 hops and 4 k2 + 2 bits online more than msb in Z_{2^h} (k = 32, drop = 10: 4 hops);
/// offline those of msb, 2 k2 of select and 2 (k2 - h) of the UpCast.
/// # Security
/// As remask, msb, open_bits, upcast and select. The masked number serves several; each has its own dealt numbers.
/// # Source
/// Standard; the sign is taken in the small ring that dropping bits leaves.
pub(crate) fn relu<P: Primitives, W: RingWord, V: RingWord>(
    ctx: &Ctx<'_, P>,
    z: &P::Additive<W>,
    drop: u32,
    k2: u32,
) -> Result<P::Masked<V>> {
    if drop > z.width().saturating_sub(2) {
        return Err(Error::Unsupported("dropping nearly all bits of a ring"));
    }
    let z = if drop == 0 { z.clone() } else { P::shrink(ctx, z, drop)? };
    let z = if k2 < z.width() { P::reduce_additive(&z, k2)? } else { z };
    let x = P::remask(&ctx.step("open")?, &z)?;
    let (negative, x) = ctx.join(
        ("sign", |ctx| P::open_bits(&ctx.step("open")?, &P::msb(&ctx.step("msb")?, &x)?)),
        ("lift", |ctx| if k2 > x.width() { P::upcast(ctx, &x, k2) } else { P::reduce::<W, V>(&x, k2) }),
    )?;
    let taken = P::select(&ctx.step("select")?, &negative, &P::mul_public(&x, -1)?)?;
    P::remask(&ctx.step("remask")?, &P::add_additive(&P::additive(ctx, &x)?, &taken)?)
}
