//! The online reading.

use super::{Primitives, RingWord};
use crate::ctx::Ctx;
use crate::error::Result;
use crate::mpc::{self, *};
use crate::tensor::Array;

impl Primitives for Evaluator {
    type Masked<W: RingWord> = Masked<W>;
    type Additive<W: RingWord> = Additive<W>;
    type Xor<W: RingWord> = Xor<W>;
    type OpenedBits<W: RingWord> = OpenedBits<W>;
    type Weight<W: RingWord> = Weight<W>;
    const TALKS: bool = true;

    fn add<W: RingWord>(x: &Masked<W>, y: &Masked<W>) -> Result<Masked<W>> {
        x.plus(y)
    }
    fn sub<W: RingWord>(x: &Masked<W>, y: &Masked<W>) -> Result<Masked<W>> {
        x.minus(y)
    }
    fn add_public<W: RingWord>(x: &Masked<W>, c: &Array<i64>) -> Result<Masked<W>> {
        x.plus_public(c)
    }
    fn mul_public<W: RingWord>(x: &Masked<W>, c: i64) -> Result<Masked<W>> {
        Ok(x.times_public(c))
    }
    fn reduce<W: RingWord, V: RingWord>(x: &Masked<W>, k2: u32) -> Result<Masked<V>> {
        Ok(x.reduce(k2))
    }
    fn shift_up<W: RingWord, V: RingWord>(x: &Masked<W>, up: u32) -> Result<Masked<V>> {
        Ok(x.shift_up(up))
    }
    fn floor_shift<W: RingWord, V: RingWord>(
        x: &Masked<W>,
        drop: u32,
        k2: u32,
        centred: bool,
    ) -> Result<Masked<V>> {
        Ok(x.floor_shift(drop, k2, centred))
    }
    fn additive<W: RingWord>(ctx: &Ctx<'_, Self>, x: &Masked<W>) -> Result<Additive<W>> {
        x.additive(ctx.engine().role() == Role::P0)
    }
    fn add_additive<W: RingWord>(a: &Additive<W>, b: &Additive<W>) -> Result<Additive<W>> {
        a.plus(b)
    }
    fn add_public_additive<W: RingWord>(ctx: &Ctx<'_, Self>, a: &Additive<W>, c: i64) -> Result<Additive<W>> {
        Ok(a.plus_public(c, ctx.engine().role() == Role::P0))
    }
    fn mul_public_additive<W: RingWord>(a: &Additive<W>, c: i64) -> Result<Additive<W>> {
        Ok(a.times_public(c))
    }
    fn reduce_additive<W: RingWord, V: RingWord>(a: &Additive<W>, k2: u32) -> Result<Additive<V>> {
        Ok(a.reduce(k2))
    }
    fn shift_up_additive<W: RingWord>(a: &Additive<W>, up: u32) -> Result<Additive<W>> {
        Ok(a.shift_up(up))
    }
    fn shrink<W: RingWord>(ctx: &Ctx<'_, Self>, a: &Additive<W>, drop: u32) -> Result<Additive<W>> {
        Ok(a.shrink(drop, ctx.engine().role() == Role::P0))
    }
    fn product<W: RingWord>(
        ctx: &Ctx<'_, Self>,
        op: Bilinear,
        x: &Masked<W>,
        y: &Masked<W>,
    ) -> Result<Additive<W>> {
        mpc::bilinear::online(ctx, op, x, y)
    }
    fn linear<W: RingWord>(ctx: &Ctx<'_, Self>, x: &Masked<W>, w: &Weight<W>) -> Result<Additive<W>> {
        mpc::linear::online(ctx, x, w)
    }
    fn quadratic<W: RingWord>(ctx: &Ctx<'_, Self>, x: &Masked<W>, a: i64, k: u32) -> Result<Additive<u64>> {
        mpc::quadratic::online(ctx, x, a, k)
    }
    fn remask<W: RingWord>(ctx: &Ctx<'_, Self>, a: &Additive<W>) -> Result<Masked<W>> {
        mpc::remask::online(ctx, a)
    }
    fn upcast<W: RingWord, V: RingWord>(ctx: &Ctx<'_, Self>, x: &Masked<W>, k2: u32) -> Result<Masked<V>> {
        mpc::upcast::online(ctx, x, k2)
    }
    fn msb<W: RingWord>(ctx: &Ctx<'_, Self>, x: &Masked<W>) -> Result<Xor<u8>> {
        mpc::msb::online(ctx, x)
    }
    fn signs<W: RingWord>(ctx: &Ctx<'_, Self>, spec: &Signs, x: &Masked<W>) -> Result<Xor<u8>> {
        mpc::msb::signs_online(ctx, spec, x)
    }
    fn xor<W: RingWord>(a: &Xor<W>, b: &Xor<W>) -> Result<Xor<W>> {
        a.xor(b)
    }
    fn lookup<W: RingWord>(ctx: &Ctx<'_, Self>, x: &Masked<W>, table: &Lookup) -> Result<Xor<u64>> {
        mpc::lookup::online(ctx, x, table)
    }
    fn lookup_with_rest<W: RingWord, V: RingWord>(
        ctx: &Ctx<'_, Self>,
        x: &Masked<W>,
        table: &Lookup,
        k: u32,
    ) -> Result<(Xor<u64>, Masked<V>)> {
        Ok((mpc::lookup::online(ctx, x, table)?, mpc::rest::online(ctx, x, table.dropped(), k)?))
    }
    fn part_of_bits<W: RingWord>(x: &OpenedBits<W>, from: u32, bits: u32) -> Result<OpenedBits<W>> {
        Ok(x.part(from, bits))
    }
    fn open_bits<W: RingWord>(ctx: &Ctx<'_, Self>, x: &Xor<W>) -> Result<OpenedBits<W>> {
        mpc::open_bits::online(ctx, x)
    }
    fn not(bit: &OpenedBits<u8>) -> OpenedBits<u8> {
        bit.not()
    }
    fn select_all<W: RingWord>(
        ctx: &Ctx<'_, Self>,
        bits: &[&OpenedBits<u8>],
        y: &Masked<W>,
    ) -> Result<Additive<W>> {
        mpc::select::online(ctx, bits, y)
    }
    fn bits_to_arithmetic<W: RingWord, V: RingWord>(
        ctx: &Ctx<'_, Self>,
        x: &OpenedBits<W>,
        k: u32,
    ) -> Result<Additive<V>> {
        mpc::b2a::online(ctx, x, k)
    }
    fn exp<W: RingWord>(
        ctx: &Ctx<'_, Self>,
        spec: &ExpSpec,
        x: &Masked<W>,
        zero: Option<&OpenedBits<u8>>,
    ) -> Result<Additive<u64>> {
        mpc::exp::online(ctx, spec, x, zero)
    }
    fn series<W: RingWord>(ctx: &Ctx<'_, Self>, spec: &SeriesSpec, x: &Masked<W>) -> Result<Additive<u32>> {
        mpc::series::online(ctx, spec, x)
    }
    fn segments(ctx: &Ctx<'_, Self>, spec: &Segments, word: &OpenedBits<u64>) -> Result<Additive<u128>> {
        mpc::segments::online(ctx, spec, word)
    }
    fn newton(
        ctx: &Ctx<'_, Self>,
        x: &Masked<u128>,
        r: &Masked<u128>,
        power: u32,
        lead: u128,
    ) -> Result<Additive<u128>> {
        mpc::newton::online(ctx, x, r, power, lead)
    }
}
