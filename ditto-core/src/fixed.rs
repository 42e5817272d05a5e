//! Fixed-point formats as types: a ring and a number of fractional bits.
//!
//! [`Z<K>`] names the ring Z_{2^K}; [`Fx<K, F>`] the signed fixed-point numbers `int * 2^-F` stored in it, the
//! paper's FXP^F_K. A tensor's type carries its format, so that what cannot be converted does not compile.

use std::fmt::Debug;

use crate::primitives::RingWord;
use crate::public_math::power_of_two;

/// A ring Z_{2^K} with a public tensor type: `Z<8>`, `Z<16>`, `Z<32>`, `Z<48>` or `Z<64>`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a ring of this library",
    note = "tensors live in Z<8>, Z<16>, Z<32>, Z<48> or Z<64>"
)]
pub trait Ring: Copy + Debug + Send + Sync + 'static {
    /// The machine word of an element.
    type Word: RingWord;
    /// Width of an element in bits.
    const K: u32;
}

/// The ring of integers modulo 2^K.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Z<const K: u32>;

macro_rules! rings {
    ($($k:literal $w:ty),*) => {$(
        impl Ring for Z<$k> {
            type Word = $w;
            const K: u32 = $k;
        }
    )*};
}
rings!(8 u8, 16 u16, 32 u32, 48 u64, 64 u64);

/// A ring strictly smaller than `Self`: the direction of DownCast.
#[diagnostic::on_unimplemented(
    message = "cannot DownCast from `{Self}` to `{Smaller}`: the target ring is not smaller",
    label = "not a smaller ring",
    note = "to move to a larger ring use `upcast`; it costs communication"
)]
pub trait Narrow<Smaller: Ring>: Ring {}

/// A ring strictly larger than `Self`: the direction of UpCast.
#[diagnostic::on_unimplemented(
    message = "cannot UpCast from `{Self}` to `{Larger}`: the target ring is not larger",
    label = "not a larger ring",
    note = "to move to a smaller ring use `downcast`; it is local and free"
)]
pub trait Widen<Larger: Ring>: Ring {}

macro_rules! order {
    ($($small:literal < $($large:literal),+;)*) => {$($(
        impl Narrow<Z<$small>> for Z<$large> {}
        impl Widen<Z<$large>> for Z<$small> {}
    )+)*};
}
order! {
    8 < 16, 32, 48, 64;
    16 < 32, 48, 64;
    32 < 48, 64;
    48 < 64;
}

/// A fixed-point format: a ring and a scale.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a fixed-point format",
    note = "write formats as `Fx<K, F>` with K = 8, 16, 32, 48 or 64"
)]
pub trait Fixed: Copy + Debug + Send + Sync + 'static {
    /// The ring that holds the integers.
    type Ring: Ring;
    /// Fractional bits: a value is `int * 2^-F`.
    const F: u32;
    /// Bits of the ring.
    const K: u32 = <Self::Ring as Ring>::K;
}

/// The word of a format's ring.
pub type WordOf<T> = <<T as Fixed>::Ring as Ring>::Word;

/// Signed fixed-point numbers with `F` fractional bits in Z_{2^K}.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fx<const K: u32, const F: u32>;

impl<const K: u32, const F: u32> Fixed for Fx<K, F>
where
    Z<K>: Ring,
{
    type Ring = Z<K>;
    const F: u32 = F;
}

/// Rounds numbers to a format.
#[derive(Clone, Copy, Debug)]
pub struct Encoder {
    scale: f64,
    limit: f64,
}

impl Encoder {
    /// To multiples of 2^-f in Z_{2^k}.
    pub fn new(f: u32, k: u32) -> Self {
        Self::scaled(f as i32, k)
    }

    /// The same for any sign of f: with a public exponent e, numbers are multiples of 2^(e - F).
    pub fn scaled(f: i32, k: u32) -> Self {
        Self { scale: power_of_two(f), limit: power_of_two(k as i32 - 1) }
    }

    /// The nearest integer, ties to even; `None` if the number is not finite or leaves [-2^(k-1), 2^(k-1)).
    #[inline(always)]
    pub fn encode(&self, value: f64) -> Option<i64> {
        let scaled = (value * self.scale).round_ties_even();
        (scaled >= -self.limit && scaled < self.limit).then_some(scaled as i64)
    }
}

/// The number that the signed integer stands for at scale 2^-f.
pub fn decode(int: i64, f: u32) -> f64 {
    int as f64 * power_of_two(-(f as i32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn encode_rounds_to_half_an_ulp(v in -1000.0f64..1000.0, f in 0u32..20) {
            let int = Encoder::new(f, 48).encode(v).expect("in range");
            prop_assert!((decode(int, f) - v).abs() <= 0.5 * (-(f as f64)).exp2());
        }
    }

    #[test]
    fn encode_refuses_what_the_ring_cannot_hold() {
        assert_eq!(Encoder::new(0, 8).encode(127.0), Some(127));
        assert_eq!(Encoder::new(0, 8).encode(-128.0), Some(-128));
        assert_eq!(Encoder::new(0, 8).encode(128.0), None);
        assert_eq!(Encoder::new(8, 32).encode(f64::NAN), None);
        assert_eq!(Encoder::new(8, 64).encode(f64::INFINITY), None);
        assert_eq!(Encoder::new(8, 64).encode(f64::MAX), None);
    }
}
