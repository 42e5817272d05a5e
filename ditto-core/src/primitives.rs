//! The protocols as an interface, and the engines that give it a reading.
//!
//! Functions of shares are written once over [`Primitives`]. Read by [`Preprocess`](crate::mpc::Preprocess) they deal
//! and prepare, by [`Evaluator`](crate::mpc::Evaluator) they compute on inputs, by
//! [`Simulate`](crate::engine::Simulate) they compute in one process and check every range condition, by
//! [`Meter`](crate::engine::Meter) they count. Widths of rings are run-time values here; tensors that carry them in
//! their types are in [`crate::nn`].

mod evaluator;
mod preprocess;

use crate::ctx::Ctx;
use crate::error::Result;
use crate::mpc::{Bilinear, ExpSpec, Lookup, Segments, SeriesSpec, Share, Signs, Stored};
use crate::ring::Word;
use crate::tensor::{Array, Elem};

/// Words that shares are made of; every [`Word`].
pub trait RingWord: Word + Elem + Stored {}
impl<W: Word + Elem + Stored> RingWord for W {}

/// A reading of the protocols.
///
/// Widths: `x` in Z_{2^k} has `x.width() == k`. Functions without a context are local. Costs are per element and
/// counted exactly by the `cost` function beside each protocol; n is the number of elements, "online" counts both
/// directions between the evaluators, "offline" what the helper sends.
///
/// Security of all of them: semi-honest, one of three servers corrupt, alone or with the client or the model owner;
/// computational (AES as a pseudo-random function). What is opened between P0 and P1 is uniform under a fresh mask.
pub trait Primitives: Sized + Sync + 'static {
    /// A secret tensor of numbers in a ring.
    type Masked<W: RingWord>: Share;
    /// A sum of products before it is remasked: shared additively between P0 and P1, never opened as it is.
    type Additive<W: RingWord>: Share;
    /// Secret words of bits, XOR-shared between P0 and P1.
    type Xor<W: RingWord>: Share;
    /// Words of bits opened under mask bits.
    type OpenedBits<W: RingWord>: Share;
    /// A secret matrix that multiplies from the right.
    type Weight<W: RingWord>: Clone + Send + Sync;

    /// Whether [`Ctx::join`] should run its branches on threads of their own.
    const TALKS: bool;

    /// `x + y mod 2^k`, with broadcasting. Local.
    fn add<W: RingWord>(x: &Self::Masked<W>, y: &Self::Masked<W>) -> Result<Self::Masked<W>>;
    /// `x - y mod 2^k`, with broadcasting. Local.
    fn sub<W: RingWord>(x: &Self::Masked<W>, y: &Self::Masked<W>) -> Result<Self::Masked<W>>;
    /// `x + c mod 2^k` for public integers, with broadcasting. Local.
    fn add_public<W: RingWord>(x: &Self::Masked<W>, c: &Array<i64>) -> Result<Self::Masked<W>>;
    /// `c x mod 2^k` for a public integer. Local.
    fn mul_public<W: RingWord>(x: &Self::Masked<W>, c: i64) -> Result<Self::Masked<W>>;
    /// `x mod 2^k2`, k2 <= k: the same integer in a smaller ring. Local, exact modulo 2^k2.
    fn reduce<W: RingWord, V: RingWord>(x: &Self::Masked<W>, k2: u32) -> Result<Self::Masked<V>>;

    /// `2^up x` in Z_{2^(k+up)}: the integer modulo 2^k determines it. Local, exact.
    fn shift_up<W: RingWord, V: RingWord>(x: &Self::Masked<W>, up: u32) -> Result<Self::Masked<V>>;

    /// DownCast: `x / 2^drop` in Z_{2^k2}.
    ///
    /// # Inputs
    /// `x` in Z_{2^k}, any value; drop >= 1, k2 <= k - drop.
    /// # Error
    /// At most 1.5 ulp of the result if `centred` (three floors with half an ulp taken off the first), else the floor
    /// plus 0, 1 or 2: from -1 to 2 ulp, both excluded. Never a wrap: what the floors lose from 2^k is a multiple of 2^(k-drop).
    /// # Cost
    /// Local.
    /// # Security
    /// Opens nothing. The result's masks are functions of x's: it must not be opened before it is remasked.
    /// # Source
    /// Ditto, section 4 (DownCast), in masked sharing.
    fn floor_shift<W: RingWord, V: RingWord>(
        x: &Self::Masked<W>,
        drop: u32,
        k2: u32,
        centred: bool,
    ) -> Result<Self::Masked<V>>;

    /// `x` as additive shares. Local.
    fn additive<W: RingWord>(ctx: &Ctx<'_, Self>, x: &Self::Masked<W>) -> Result<Self::Additive<W>>;
    /// Sum of additive shares, with broadcasting. Local.
    fn add_additive<W: RingWord>(a: &Self::Additive<W>, b: &Self::Additive<W>) -> Result<Self::Additive<W>>;
    /// `a + c` for a public integer. Local.
    fn add_public_additive<W: RingWord>(
        ctx: &Ctx<'_, Self>,
        a: &Self::Additive<W>,
        c: i64,
    ) -> Result<Self::Additive<W>>;
    /// `c a` for a public integer. Local.
    fn mul_public_additive<W: RingWord>(a: &Self::Additive<W>, c: i64) -> Result<Self::Additive<W>>;
    /// `a mod 2^k2`, k2 <= k. Local.
    fn reduce_additive<W: RingWord, V: RingWord>(a: &Self::Additive<W>, k2: u32)
    -> Result<Self::Additive<V>>;

    /// `2^up a` in Z_{2^(k+up)}: the integer modulo 2^k determines it. Local, exact.
    fn shift_up_additive<W: RingWord>(a: &Self::Additive<W>, up: u32) -> Result<Self::Additive<W>>;

    /// Additive shares of `a / 2^drop` in Z_{2^(k-drop)}.
    ///
    /// # Error
    /// Less than 1 ulp, unbiased: P0 rounds its share up, P1 down. Never a wrap in the smaller ring.
    /// # Cost
    /// Local.
    /// # Source
    /// Truncate-and-reduce (SIRNN, ePrint 2021/459), on two additive shares.
    fn shrink<W: RingWord>(
        ctx: &Ctx<'_, Self>,
        a: &Self::Additive<W>,
        drop: u32,
    ) -> Result<Self::Additive<W>>;

    /// A product of two secret tensors, un-rescaled.
    ///
    /// # Inputs
    /// `x`, `y` in Z_{2^k}, any values.
    /// # Output
    /// Additive shares of `op(x, y) mod 2^k`.
    /// # Error
    /// None.
    /// # Protocol
    /// P2 deals op(lambda_x, lambda_y); P0 and P1 add the terms that they know.
    /// # Cost
    /// 0 hops; 0 bits online; k bits offline per output.
    /// # Security
    /// Opens nothing. Each product has its own dealt share, also of operands used before.
    /// # Source
    /// ASTRA (ePrint 2019/429), Trio (arXiv 2206.03776): input-independent terms from a helper.
    fn product<W: RingWord>(
        ctx: &Ctx<'_, Self>,
        op: Bilinear,
        x: &Self::Masked<W>,
        y: &Self::Masked<W>,
    ) -> Result<Self::Additive<W>>;

    /// `x W`, [.., k] times [k, n], un-rescaled; the masks' part is prepared, so one product remains online.
    ///
    /// # Cost
    /// As [`Self::product`]: 0 hops, k bits offline per output.
    /// # Error
    /// None.
    /// # Security
    /// Opens nothing. Each use of a weight has its own dealt share.
    /// # Source
    /// As [`Self::product`].
    fn linear<W: RingWord>(
        ctx: &Ctx<'_, Self>,
        x: &Self::Masked<W>,
        w: &Self::Weight<W>,
    ) -> Result<Self::Additive<W>>;

    /// `x^2 + a x` in a larger ring, as additive shares, from the masked value that the evaluators know.
    ///
    /// # Inputs
    /// `x` in Z_{2^h} with |x| < 2^(h-2); k > h + 1, at most 64.
    /// # Error
    /// None within the range.
    /// # Cost
    /// 0 hops; 0 bits online; k + 3 (k - h) - 1 bits offline.
    /// # Security
    /// Opens nothing. Each call has its own dealt numbers.
    /// # Source
    /// Specification of this project: powers of an opened value, the wrap chosen by a public bit.
    fn quadratic<W: RingWord>(
        ctx: &Ctx<'_, Self>,
        x: &Self::Masked<W>,
        a: i64,
        k: u32,
    ) -> Result<Self::Additive<u64>>;

    /// Additive shares to a masked sharing: the evaluators open `a + l0 + l1` to each other.
    ///
    /// # Error
    /// None.
    /// # Cost
    /// 1 hop; 2 k bits online; 0 offline.
    /// # Security
    /// Opens a to P0 and P1 under a fresh uniform mask of full width.
    /// # Source
    /// ABY2.0 (ePrint 2020/1225), resharing to masked form.
    fn remask<W: RingWord>(ctx: &Ctx<'_, Self>, a: &Self::Additive<W>) -> Result<Self::Masked<W>>;

    /// UpCast: the same signed number in a larger ring.
    ///
    /// # Inputs
    /// `x` in Z_{2^k} with |x| < 2^(k-2); k2 > k.
    /// # Error
    /// None within the range; outside it the result is off by 2^k.
    /// # Cost
    /// 1 hop; 2 (k2 - k) bits online; 2 (k2 - k) bits offline.
    /// # Security
    /// Opens carry and wrap bits only under fresh masks of k2 - k bits.
    /// # Source
    /// Ditto, Algorithm 1; here m is already public to the evaluators, which saves its opening.
    fn upcast<W: RingWord, V: RingWord>(
        ctx: &Ctx<'_, Self>,
        x: &Self::Masked<W>,
        k2: u32,
    ) -> Result<Self::Masked<V>>;

    /// The sign bit of each element, XOR-shared.
    ///
    /// # Inputs
    /// `x` in Z_{2^k}, any value.
    /// # Error
    /// None.
    /// # Cost
    /// The low k-1 bits are cut into D digits of at most 6 bits, so that hops are fewest, then bits: none for D = 1, 1 hop
    /// for D <= 4, 2 for D <= 16. Offline 1 + sum of 2^(digit width) bits; where 2, 3 or 4 digits are combined up to 6, 10
    /// or 14 bits online and 3, 8 or 22 offline. In Z_{2^64} 68 bits online and 345 offline.
    /// # Security
    /// Opens digits' comparisons under fresh mask bits.
    /// # Source
    /// One-hot digits by a helper: specification of this project. ANDs of several bits: ABY2.0.
    fn msb<W: RingWord>(ctx: &Ctx<'_, Self>, x: &Self::Masked<W>) -> Result<Self::Xor<u8>>;

    /// The signs of `(x + a) / 2^drop` for several public a, XOR-shared: shape [shifts, elements].
    ///
    /// # Inputs
    /// `x` in Z_{2^k}; the quotients lie in Z_{2^bits}, drop + bits <= k.
    /// # Error
    /// The quotient is the floor or one above it, so a sign may be wrong where -2^drop < x + a < 0 only; none for drop = 0.
    /// # Cost
    /// As [`Self::msb`] in the ring of the quotient, where 1 hop counts as none; the combinations once per shift. Three
    /// shifts in Z_{2^64}: 180 bits online, 547 offline.
    /// # Security
    /// As [`Self::msb`]. One dealt one-hot is read at several places, which is local.
    /// # Source
    /// As [`Self::msb`].
    fn signs<W: RingWord>(ctx: &Ctx<'_, Self>, spec: &Signs, x: &Self::Masked<W>) -> Result<Self::Xor<u8>>;

    /// XOR of secret words of equal width. Local.
    fn xor<W: RingWord>(a: &Self::Xor<W>, b: &Self::Xor<W>) -> Result<Self::Xor<W>>;

    /// A public table at a secret index: XOR shares of its words.
    ///
    /// # Inputs
    /// `x` in Z_{2^k}; the table reads bits `drop .. drop + w`, w <= 13.
    /// # Error
    /// None for drop = 0; else the index is the floor or one above it.
    /// # Cost
    /// 0 hops; 0 bits online; 2^w bits offline.
    /// # Security
    /// Opens nothing.
    /// # Source
    /// One-time truth tables (Ishai et al., TCC 2013) dealt by the helper.
    fn lookup<W: RingWord>(
        ctx: &Ctx<'_, Self>,
        x: &Self::Masked<W>,
        table: &Lookup,
    ) -> Result<Self::Xor<u64>>;

    /// A lookup, and what is left of x: the number `x - 2^drop index` between -2^drop and 2^drop, in Z_{2^k}.
    ///
    /// # Inputs
    /// As [`Self::lookup`], drop >= 1.
    /// # Output
    /// XOR shares of the word; a masked sharing in Z_{2^k} whose masks are not uniform.
    /// # Error
    /// None: whichever index was read, the rest fits it.
    /// # Cost
    /// As [`Self::lookup`], and k bits offline.
    /// # Security
    /// Opens nothing. The rest's masks are shares of the low part of x's mask: it must not be opened before it is
    /// remasked.
    /// # Source
    /// Specification of this project.
    fn lookup_with_rest<W: RingWord, V: RingWord>(
        ctx: &Ctx<'_, Self>,
        x: &Self::Masked<W>,
        table: &Lookup,
        k: u32,
    ) -> Result<(Self::Xor<u64>, Self::Masked<V>)>;

    /// `bits` bits of opened words, from bit `from` on. Local.
    fn part_of_bits<W: RingWord>(
        x: &Self::OpenedBits<W>,
        from: u32,
        bits: u32,
    ) -> Result<Self::OpenedBits<W>>;

    /// Opens XOR-shared words under mask bits that only P2 knows, ready for products with them.
    ///
    /// # Cost
    /// 1 hop; 2 bits online per bit; 0 offline.
    /// # Error
    /// None.
    /// # Security
    /// What is opened is uniform to the evaluators; P2 never sees it.
    /// # Source
    /// ABY2.0, masked Boolean values.
    fn open_bits<W: RingWord>(ctx: &Ctx<'_, Self>, x: &Self::Xor<W>) -> Result<Self::OpenedBits<W>>;

    /// The complement of opened bits. Local.
    fn not(bit: &Self::OpenedBits<u8>) -> Self::OpenedBits<u8>;

    /// `bit * y`: [`Self::select_all`] by one bit.
    ///
    /// # Cost
    /// 0 hops; 0 bits online; 2 k bits offline.
    /// # Error
    /// None.
    /// # Security
    /// Opens nothing.
    /// # Source
    /// ABY2.0, bit injection; dealt by the helper.
    fn select<W: RingWord>(
        ctx: &Ctx<'_, Self>,
        bit: &Self::OpenedBits<u8>,
        y: &Self::Masked<W>,
    ) -> Result<Self::Additive<W>> {
        Self::select_all(ctx, &[bit], y)
    }

    /// Additive shares of y where all of the bits are set, of 0 elsewhere. Equal shapes; at most 4 bits.
    ///
    /// # Cost
    /// With d bits: 0 hops; 0 bits online; (2^d - 1) 2 k bits offline (the openings and the remasking are separate).
    /// # Error
    /// None.
    /// # Security
    /// Opens nothing.
    /// # Source
    /// ABY2.0, bit injection and multi-factor products; dealt by the helper.
    fn select_all<W: RingWord>(
        ctx: &Ctx<'_, Self>,
        bits: &[&Self::OpenedBits<u8>],
        y: &Self::Masked<W>,
    ) -> Result<Self::Additive<W>>;

    /// Opened words of at most k bits read as numbers, bit j counting 2^j, as additive shares in Z_{2^k}.
    ///
    /// # Cost
    /// 0 hops; 0 bits online; sum over the b bits of k - j bits offline.
    /// # Error
    /// None.
    /// # Security
    /// Opens nothing.
    /// # Source
    /// ABY2.0, bit to arithmetic; dealt by the helper.
    fn bits_to_arithmetic<W: RingWord, V: RingWord>(
        ctx: &Ctx<'_, Self>,
        x: &Self::OpenedBits<W>,
        k: u32,
    ) -> Result<Self::Additive<V>>;

    /// e^x, as additive shares at `spec`'s format; 0 where the bit `zero` is set, if there are such bits.
    ///
    /// # Inputs
    /// `x` with -2^log_range < x <= 0 wherever `zero` is clear; any value elsewhere. Equal shapes.
    /// # Error
    /// Within 1.5 ulp of 2^-out_fraction. Outside the range the result is garbage of up to e^(2^log_range).
    /// # Cost
    /// 0 hops; 0 bits online; 2 dealt numbers, or with bits 4, of
    /// `out_width + ceil(2^log_range / ln 2) + out_fraction + 2` bits, at most 256.
    /// # Security
    /// Opens nothing. Public factors come from integer tables.
    /// # Source
    /// Specification of this project; products of powers as in Kelkar et al. (ePrint 2021/208).
    fn exp<W: RingWord>(
        ctx: &Ctx<'_, Self>,
        spec: &ExpSpec,
        x: &Self::Masked<W>,
        zero: Option<&Self::OpenedBits<u8>>,
    ) -> Result<Self::Additive<u64>>;

    /// A sum of waves of x, as additive shares.
    ///
    /// # Inputs
    /// `x` in a ring that the period divides, any value.
    /// # Error
    /// Less than 1 ulp of rounding, plus that of the factors: [`SeriesSpec`] says how many bits they have.
    /// # Cost
    /// 0 hops; 0 bits online; per wave 2 dealt numbers of `out_width - out_fraction + dealt + public` bits.
    /// # Security
    /// Opens nothing. Public factors come from integer tables.
    /// # Source
    /// Sines of masked values as in SHAFT (NDSS 2025), dealt by the helper, with periods that divide the ring.
    fn series<W: RingWord>(
        ctx: &Ctx<'_, Self>,
        spec: &SeriesSpec,
        x: &Self::Masked<W>,
    ) -> Result<Self::Additive<u32>>;

    /// The number of the last flagged segment of an opened word; see [`Segments`].
    ///
    /// # Cost
    /// 0 hops; 0 bits online; offline 3 numbers of `spec.width` bits and 7 per mantissa bit, without the bits that its place
    /// shifts out.
    /// # Error
    /// None.
    /// # Security
    /// Opens nothing.
    /// # Source
    /// Specification of this project: multilinear polynomials of mask bits.
    fn segments(
        ctx: &Ctx<'_, Self>,
        spec: &Segments,
        word: &Self::OpenedBits<u64>,
    ) -> Result<Self::Additive<u128>>;

    /// `lead r - x r^power` modulo 2^k, as additive shares; power is 2 or 3.
    ///
    /// # Cost
    /// 0 hops; 0 bits online; (2 power - 1) k bits offline.
    /// # Error
    /// None modulo 2^k.
    /// # Security
    /// Opens nothing.
    /// # Source
    /// Newton's iteration as a polynomial of opened values; multi-factor products of ABY2.0.
    fn newton(
        ctx: &Ctx<'_, Self>,
        x: &Self::Masked<u128>,
        r: &Self::Masked<u128>,
        power: u32,
        lead: u128,
    ) -> Result<Self::Additive<u128>>;

    /// A place where a number is claimed to lie below `limit` in magnitude (in units of 2^-fraction). Checked in
    /// simulation; nothing happens under engines that hold shares.
    fn claim<W: RingWord>(
        ctx: &Ctx<'_, Self>,
        op: &'static str,
        x: &Self::Masked<W>,
        fraction: i32,
        low: f64,
        high: f64,
    ) -> Result<()> {
        let _ = (ctx, op, x, fraction, low, high);
        Ok(())
    }

    /// The same sharing, with the promise that elements outside `low <= x < high` do not count: all that is made of
    /// them is multiplied by a bit that is 0 there, or cancels. Local.
    ///
    /// Protocols may then go out of their range on such elements. Simulation, which would report that, puts random
    /// elements of the range in their place.
    fn disregard_outside<W: RingWord>(
        ctx: &Ctx<'_, Self>,
        x: &Self::Masked<W>,
        low: i64,
        high: i64,
    ) -> Result<Self::Masked<W>> {
        let _ = (ctx, low, high);
        Ok(x.clone())
    }
}
