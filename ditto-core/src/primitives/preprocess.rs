//! The reading before any input: deals at the helper, prepares at the evaluators.

use super::{Primitives, RingWord};
use crate::ctx::Ctx;
use crate::error::Result;
use crate::mpc::{self, *};
use crate::tensor::Array;

impl Primitives for Preprocess {
    type Masked<W: RingWord> = Mask<W>;
    type Additive<W: RingWord> = Dealt<W>;
    type Xor<W: RingWord> = Dealt<W>;
    type OpenedBits<W: RingWord> = OpenedMask<W>;
    type Weight<W: RingWord> = Weight<W>;
    const TALKS: bool = false;

    fn add<W: RingWord>(x: &Mask<W>, y: &Mask<W>) -> Result<Mask<W>> {
        x.plus(y)
    }
    fn sub<W: RingWord>(x: &Mask<W>, y: &Mask<W>) -> Result<Mask<W>> {
        x.minus(y)
    }
    fn add_public<W: RingWord>(x: &Mask<W>, c: &Array<i64>) -> Result<Mask<W>> {
        x.plus_public(c)
    }
    fn mul_public<W: RingWord>(x: &Mask<W>, c: i64) -> Result<Mask<W>> {
        x.times_public(c)
    }
    fn reduce<W: RingWord, V: RingWord>(x: &Mask<W>, k2: u32) -> Result<Mask<V>> {
        x.reduce(k2)
    }
    fn shift_up<W: RingWord, V: RingWord>(x: &Mask<W>, up: u32) -> Result<Mask<V>> {
        x.shift_up(up)
    }
    fn floor_shift<W: RingWord, V: RingWord>(
        x: &Mask<W>,
        drop: u32,
        k2: u32,
        centred: bool,
    ) -> Result<Mask<V>> {
        let _ = centred;
        x.floor_shift(drop, k2)
    }
    fn additive<W: RingWord>(ctx: &Ctx<'_, Self>, x: &Mask<W>) -> Result<Dealt<W>> {
        let _ = ctx;
        Ok(x.dealt())
    }
    fn add_additive<W: RingWord>(a: &Dealt<W>, b: &Dealt<W>) -> Result<Dealt<W>> {
        a.plus(b)
    }
    fn add_public_additive<W: RingWord>(ctx: &Ctx<'_, Self>, a: &Dealt<W>, c: i64) -> Result<Dealt<W>> {
        let _ = (ctx, c);
        Ok(a.clone())
    }
    fn mul_public_additive<W: RingWord>(a: &Dealt<W>, c: i64) -> Result<Dealt<W>> {
        let _ = c;
        Ok(a.clone())
    }
    fn reduce_additive<W: RingWord, V: RingWord>(a: &Dealt<W>, k2: u32) -> Result<Dealt<V>> {
        Ok(a.to_ring(k2))
    }
    fn shift_up_additive<W: RingWord>(a: &Dealt<W>, up: u32) -> Result<Dealt<W>> {
        Ok(a.to_ring(a.width() + up))
    }
    fn shrink<W: RingWord>(ctx: &Ctx<'_, Self>, a: &Dealt<W>, drop: u32) -> Result<Dealt<W>> {
        let _ = ctx;
        Ok(a.to_ring(a.width() - drop))
    }
    fn product<W: RingWord>(ctx: &Ctx<'_, Self>, op: Bilinear, x: &Mask<W>, y: &Mask<W>) -> Result<Dealt<W>> {
        mpc::bilinear::offline(ctx, op, x, y)
    }
    fn linear<W: RingWord>(ctx: &Ctx<'_, Self>, x: &Mask<W>, w: &Weight<W>) -> Result<Dealt<W>> {
        mpc::linear::offline(ctx, x, w)
    }
    fn quadratic<W: RingWord>(ctx: &Ctx<'_, Self>, x: &Mask<W>, _: i64, k: u32) -> Result<Dealt<u64>> {
        mpc::quadratic::offline(ctx, x, k)
    }
    fn remask<W: RingWord>(ctx: &Ctx<'_, Self>, a: &Dealt<W>) -> Result<Mask<W>> {
        mpc::remask::offline(ctx, a)
    }
    fn upcast<W: RingWord, V: RingWord>(ctx: &Ctx<'_, Self>, x: &Mask<W>, k2: u32) -> Result<Mask<V>> {
        mpc::upcast::offline(ctx, x, k2)
    }
    fn msb<W: RingWord>(ctx: &Ctx<'_, Self>, x: &Mask<W>) -> Result<Dealt<u8>> {
        mpc::msb::offline(ctx, x)
    }
    fn signs<W: RingWord>(ctx: &Ctx<'_, Self>, spec: &Signs, x: &Mask<W>) -> Result<Dealt<u8>> {
        mpc::msb::signs_offline(ctx, spec, x)
    }
    fn xor<W: RingWord>(a: &Dealt<W>, _: &Dealt<W>) -> Result<Dealt<W>> {
        Ok(a.clone())
    }
    fn lookup<W: RingWord>(ctx: &Ctx<'_, Self>, x: &Mask<W>, table: &Lookup) -> Result<Dealt<u64>> {
        mpc::lookup::offline(ctx, x, table)
    }
    fn lookup_with_rest<W: RingWord, V: RingWord>(
        ctx: &Ctx<'_, Self>,
        x: &Mask<W>,
        table: &Lookup,
        k: u32,
    ) -> Result<(Dealt<u64>, Mask<V>)> {
        Ok((mpc::lookup::offline(ctx, x, table)?, mpc::rest::offline(ctx, x, table.dropped(), k)?))
    }
    fn part_of_bits<W: RingWord>(x: &OpenedMask<W>, from: u32, bits: u32) -> Result<OpenedMask<W>> {
        Ok(x.part(from, bits))
    }
    fn open_bits<W: RingWord>(ctx: &Ctx<'_, Self>, x: &Dealt<W>) -> Result<OpenedMask<W>> {
        mpc::open_bits::offline(ctx, x.shape(), x.width())
    }
    fn not(bit: &OpenedMask<u8>) -> OpenedMask<u8> {
        // Its mask is the same; the public part is flipped.
        bit.clone()
    }
    fn select_all<W: RingWord>(
        ctx: &Ctx<'_, Self>,
        bits: &[&OpenedMask<u8>],
        y: &Mask<W>,
    ) -> Result<Dealt<W>> {
        mpc::select::offline(ctx, bits, y)
    }
    fn bits_to_arithmetic<W: RingWord, V: RingWord>(
        ctx: &Ctx<'_, Self>,
        x: &OpenedMask<W>,
        k: u32,
    ) -> Result<Dealt<V>> {
        mpc::b2a::offline(ctx, x, k)
    }
    fn exp<W: RingWord>(
        ctx: &Ctx<'_, Self>,
        spec: &ExpSpec,
        x: &Mask<W>,
        zero: Option<&OpenedMask<u8>>,
    ) -> Result<Dealt<u64>> {
        mpc::exp::offline(ctx, spec, x, zero)
    }
    fn series<W: RingWord>(ctx: &Ctx<'_, Self>, spec: &SeriesSpec, x: &Mask<W>) -> Result<Dealt<u32>> {
        mpc::series::offline(ctx, spec, x)
    }
    fn segments(ctx: &Ctx<'_, Self>, spec: &Segments, word: &OpenedMask<u64>) -> Result<Dealt<u128>> {
        mpc::segments::offline(ctx, spec, word)
    }
    fn newton(
        ctx: &Ctx<'_, Self>,
        x: &Mask<u128>,
        r: &Mask<u128>,
        power: u32,
        lead: u128,
    ) -> Result<Dealt<u128>> {
        let _ = lead;
        mpc::newton::offline(ctx, x, r, power)
    }
}
