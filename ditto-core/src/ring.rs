//! Rings Z_{2^k} of integers modulo a power of two.
//!
//! [`Word`] is the machine word that holds an element; the width `k` of the ring is a run-time value inside the
//! protocols (`k <= W::BITS`) and a type, [`Z`](crate::fixed::Z), in everything a model author sees.

use std::fmt::Debug;
use std::ops::{BitAnd, BitOr, BitXor, Not, Shl, Shr};

use num_traits::{One, WrappingAdd, WrappingMul, WrappingNeg, WrappingSub, Zero};

/// An unsigned machine word that stores ring elements: u8, u16, u32, u64 or u128.
///
/// An element of Z_{2^k} is kept reduced, that is below 2^k, in the smallest word that the caller chose with
/// `BITS >= k`. Arithmetic wraps at the word; [`Word::low`] reduces to the ring.
pub trait Word:
    Copy
    + Default
    + Debug
    + Eq
    + Ord
    + Send
    + Sync
    + 'static
    + bytemuck::Pod
    + WrappingAdd
    + WrappingSub
    + WrappingMul
    + WrappingNeg
    + Zero
    + One
    + BitAnd<Output = Self>
    + BitOr<Output = Self>
    + BitXor<Output = Self>
    + Not<Output = Self>
    + Shl<u32, Output = Self>
    + Shr<u32, Output = Self>
{
    /// Bits in the word.
    const BITS: u32;
    /// The word with every bit set.
    const ONES: Self;

    /// The value modulo 2^128, that is as it is.
    fn to_u128(self) -> u128;
    /// The low bits of `v`.
    fn from_u128(v: u128) -> Self;
    /// The value modulo 2^64.
    fn to_u64(self) -> u64;
    /// The low bits of `v`, zero-extended where the word is wider.
    fn from_u64(v: u64) -> Self;
    /// The low bits of `v` in two's complement, sign-extended where the word is wider.
    fn from_i64(v: i64) -> Self;

    /// The element modulo 2^k; `k` may equal or exceed the word.
    #[inline(always)]
    fn low(self, k: u32) -> Self {
        self & Self::mask(k)
    }

    /// The word 2^k - 1.
    #[inline(always)]
    fn mask(k: u32) -> Self {
        if k >= Self::BITS { Self::ONES } else { !(Self::ONES << k) }
    }

    /// Reads an element of Z_{2^k} as a signed number in [-2^(k-1), 2^(k-1)), for k <= 64.
    #[inline(always)]
    fn signed(self, k: u32) -> i64 {
        let shift = 64 - k;
        ((self.to_u64() << shift) as i64) >> shift
    }

    /// Bit `i`, as 0 or 1.
    #[inline(always)]
    fn bit(self, i: u32) -> u8 {
        ((self >> i) & Self::one()).to_u64() as u8
    }
}

macro_rules! word {
    ($($t:ty),*) => {$(
        impl Word for $t {
            const BITS: u32 = <$t>::BITS;
            const ONES: Self = <$t>::MAX;
            #[inline(always)]
            fn to_u128(self) -> u128 { self as u128 }
            #[inline(always)]
            fn from_u128(v: u128) -> Self { v as $t }
            #[inline(always)]
            fn to_u64(self) -> u64 { self as u64 }
            #[inline(always)]
            fn from_u64(v: u64) -> Self { v as $t }
            #[inline(always)]
            fn from_i64(v: i64) -> Self { v as $t }
        }
    )*};
}
word!(u8, u16, u32, u64, u128);

/// Converts between words, keeping the low bits.
#[inline(always)]
pub fn cast<A: Word, B: Word>(a: A) -> B {
    if A::BITS <= 64 || B::BITS <= 64 { B::from_u64(a.to_u64()) } else { B::from_u128(a.to_u128()) }
}
