//! Powers of e as integers: from two small tables, by integer arithmetic alone, so that both evaluators get the same.

use std::convert::Infallible;
use std::sync::Arc;

use crate::public_math;
use crate::recent::Recent;

/// e^y for y in units of 2^-fraction and -range <= y < range.
#[derive(Debug)]
pub(super) struct Powers {
    fraction: u32,
    range: i64,
    /// e^(i 2^-fraction) in units of 2^-30, i < 2^fraction.
    fine: Vec<u32>,
    /// e^h for h from -range on: mantissas of 32 bits and exponents of two.
    coarse: Vec<(u32, i32)>,
}

/// Fractional bits of the fine table.
const FINE: i32 = 30;

/// A model has one or two formats of exponentials.
const TABLES_KEPT: usize = 4;

impl Powers {
    /// The tables for a format.
    pub(super) fn of(fraction: u32, range: u32) -> Arc<Self> {
        static TABLES: Recent<(u32, u32), Powers> = Recent::new(TABLES_KEPT);
        let Ok(tables) = TABLES.get((fraction, range), |&(f, r)| Ok::<_, Infallible>(Self::new(f, r)));
        tables
    }

    fn new(fraction: u32, range: u32) -> Self {
        let unit = public_math::power_of_two(-(fraction as i32));
        let scale = public_math::power_of_two(FINE);
        let fine = |i: u32| (public_math::exp(f64::from(i) * unit) * scale).round_ties_even() as u32;
        let coarse = |h: i64| {
            let power = public_math::exp(h as f64);
            // Between 2^31 and 2^32 after this, for floats of this size are normal.
            let exponent = ((power.to_bits() >> 52) as i32 & 0x7ff) - 1023 - 31;
            let mantissa = power * public_math::power_of_two(-exponent);
            // 2^32 - 1/2 or more rounds to what the type holds.
            (mantissa.round_ties_even().min(f64::from(u32::MAX)) as u32, exponent)
        };
        let range = i64::from(range);
        Self {
            fraction,
            range,
            fine: (0..1 << fraction).map(fine).collect(),
            coarse: (-range..range).map(coarse).collect(),
        }
    }

    /// e^y to about 2^-30 of itself.
    #[inline(always)]
    pub(super) fn exp(&self, y: i64) -> Power {
        let (high, low) = (y >> self.fraction, y & ((1 << self.fraction) - 1));
        let (mantissa, exponent) = self.coarse[(high + self.range) as usize];
        let mantissa = u64::from(self.fine[low as usize]) * u64::from(mantissa);
        Power { mantissa, exponent: exponent - FINE }
    }
}

/// A positive number, `mantissa 2^exponent` with a mantissa from 2^61 up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Power {
    mantissa: u64,
    exponent: i32,
}

/// An integer `mantissa 2^shift`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Factor {
    pub(super) mantissa: u64,
    pub(super) shift: u32,
}

impl Power {
    /// The number in units of 2^-fraction, as an integer below 2^256 in four words, low first.
    #[inline(always)]
    pub(super) fn scaled(self, fraction: u32) -> [u64; 4] {
        let shift = self.exponent + fraction as i32;
        let mut limbs = [0; 4];
        if shift <= 0 {
            limbs[0] = rounded(self.mantissa, shift.unsigned_abs());
        } else {
            let (at, bits) = (shift as usize / 64, shift as u32 % 64);
            let wide = u128::from(self.mantissa) << bits;
            limbs[at] = wide as u64;
            if let Some(next) = limbs.get_mut(at + 1) {
                *next = (wide >> 64) as u64;
            }
        }
        limbs
    }

    /// The number in units of 2^-fraction, rounded to an integer and to fraction + 2 significant bits.
    #[inline(always)]
    pub(super) fn factor(self, fraction: u32) -> Factor {
        let shift = self.exponent + fraction as i32;
        let whole = 64 - self.mantissa.leading_zeros() as i32 + shift;
        let excess = (whole - (fraction as i32 + 2)).max(0);
        Factor { mantissa: rounded(self.mantissa, (excess - shift).unsigned_abs()), shift: excess as u32 }
    }
}

/// `v / 2^bits` to the nearest integer.
#[inline(always)]
fn rounded(v: u64, bits: u32) -> u64 {
    match bits {
        0 => v,
        1..=63 => (v >> bits) + (v >> (bits - 1) & 1),
        64 => v >> 63,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_are_those_of_floats() {
        for (fraction, range) in [(12, 128), (12, 16), (4, 1), (0, 16)] {
            let powers = Powers::of(fraction, range);
            let range = i64::from(range) << fraction;
            for y in (-range..range).step_by(1 + (range >> 12) as usize) {
                let want = (y as f64 / f64::from(1u32 << fraction)).exp();
                let power = powers.exp(y);
                let got = power.mantissa as f64 * f64::from(power.exponent).exp2();
                assert!((got / want - 1.0).abs() < 2f64.powi(-29), "{y} {got} {want}");

                let Factor { mantissa, shift } = power.factor(16);
                let got = mantissa as f64 * f64::from(shift).exp2();
                assert!((got - want * 65536.0).abs() <= 0.5 + want * 0.5, "{y}");
                assert!(mantissa <= 1 << 18);

                let limbs = power.scaled(60);
                if want < 2f64.powi(190) {
                    let got = limbs.iter().rev().fold(0.0, |v, &l| v * 2f64.powi(64) + l as f64);
                    assert!(
                        (got / want / 2f64.powi(60) - 1.0).abs()
                            < 2f64.powi(-28) + 1.0 / want / 2f64.powi(60),
                        "{y}"
                    );
                }
            }
        }
    }
}
