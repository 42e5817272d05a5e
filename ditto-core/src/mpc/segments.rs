//! Puts together what tables of several segments answered: the last segment whose flag is set wins.
//!
//! A function over many octaves is read from one table per segment of its range. Each segment's word holds a mantissa
//! and, except in the first, a flag "the value lies here or above". With the words opened under mask bits, the result
//! `sum_g (product over q > g of NOT flag_q) * mantissa_g * 2^shift_g` is a multilinear polynomial in the mask bits, of
//! which P2 deals every monomial.

use super::dealer::Preprocess;
use super::online::Evaluator;
use super::share::{Additive, Dealt, OpenedBits, OpenedMask};
use crate::cost::{Cost, Kind, Work};
use crate::ctx::Ctx;
use crate::error::Result;
use crate::ring::Word;
use crate::tensor::Array;

/// A segment without its flag must have mantissa 0, for mantissas are added up; only later flags take them away.
///
/// Three segments: word layout is mantissa 0, mantissa 1, flag 1, mantissa 2, flag 2, lowest bits first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segments {
    /// Bits of a mantissa.
    pub mantissa: u32,
    /// Left shift of each segment's mantissa in the result.
    pub shifts: [u32; 3],
    /// Ring of the result, at most 2^128.
    pub width: u32,
}

impl Segments {
    /// Bits of the word that is opened.
    pub fn word_bits(&self) -> u32 {
        3 * self.mantissa + 2
    }

    /// Position of segment `g`'s mantissa in the word.
    pub fn position(&self, g: usize) -> u32 {
        [0, self.mantissa, 2 * self.mantissa + 1][g]
    }

    fn flag(&self, g: usize) -> u32 {
        self.position(g) + self.mantissa
    }

    /// What the word stands for, in the clear.
    pub fn value(&self, word: u64) -> u128 {
        let g = if word.bit(self.flag(2)) == 1 { 2 } else { usize::from(word.bit(self.flag(1)) == 1) };
        u128::from((word >> self.position(g)).low(self.mantissa)) << self.shifts[g]
    }

    /// Every product of mask bits that is dealt, in the order in which it is read.
    fn monomials(&self) -> Vec<Monomial> {
        let flags = [vec![], vec![self.flag(1)], vec![self.flag(2)], vec![self.flag(1), self.flag(2)]];
        let mut out: Vec<_> =
            flags[1..].iter().map(|flag| Monomial { bits: flag.clone(), width: self.width }).collect();
        for g in 0..3 {
            // Segment 0 meets both flags, segment 1 only flag 2, segment 2 none.
            let subsets: &[&Vec<u32>] = match g {
                0 => &[&flags[0], &flags[1], &flags[2], &flags[3]],
                1 => &[&flags[0], &flags[2]],
                _ => &[&flags[0]],
            };
            for j in 0..self.mantissa {
                for subset in subsets {
                    let bits = std::iter::once(self.position(g) + j).chain(subset.iter().copied()).collect();
                    out.push(Monomial { bits, width: self.width.saturating_sub(self.shifts[g] + j) });
                }
            }
        }
        out
    }
}

/// A product of mask bits.
struct Monomial {
    /// Their positions in the word.
    bits: Vec<u32>,
    /// Bits of it that count: in the result it is shifted up.
    width: u32,
}

/// Cost for `n` words.
pub(crate) fn cost(n: usize, spec: &Segments) -> Cost {
    spec.monomials().iter().map(|m| Cost::deal(n, m.width)).fold(Cost::default(), Cost::then)
}

/// What the parties compute for it.
pub(crate) fn work(n: usize, spec: &Segments) -> Work {
    let monomial =
        |m: &Monomial| Work::deal::<u128>(n, m.width).helper(Kind::Step, 2 * n).online(Kind::Step, 2 * n);
    spec.monomials().iter().map(monomial).sum()
}

pub(crate) fn offline(
    ctx: &Ctx<'_, Preprocess>,
    spec: &Segments,
    word: &OpenedMask<u64>,
) -> Result<Dealt<u128>> {
    for monomial in spec.monomials() {
        let product = |t: &u64| u128::from(monomial.bits.iter().all(|&p| t.bit(p) == 1)).low(monomial.width);
        let values = word.t.as_ref().map(|t| t.data().iter().map(product).collect());
        let share = ctx.deal(word.shape.len(), monomial.width, values)?;
        ctx.keep(share)?;
    }
    Ok(Dealt::new(word.shape.clone(), spec.width))
}

pub(crate) fn online(
    ctx: &Ctx<'_, Evaluator>,
    spec: &Segments,
    word: &OpenedBits<u64>,
) -> Result<Additive<u128>> {
    let n = word.u.len();
    let monomials = spec.monomials();
    let shares = monomials.iter().map(|_| ctx.take::<u128>(n)).collect::<Result<Vec<_>>>()?;
    let one = u128::from(ctx.first());
    let element = |i: usize| {
        let u = word.u.data()[i];
        // This evaluator's shares of the products of mask bits, in the order of `monomials`.
        let mut dealt = shares.iter().map(|s| s[i]);
        let mut next = || dealt.next().unwrap_or_default();
        // A factor is v + (1 - 2v) t, v = u for a mantissa bit and 1 - u for the negation of a flag.
        let signed = |v: u8, x: u128| if v == 0 { x } else { x.wrapping_neg() };
        let (v1, v2) = (1 - u.bit(spec.flag(1)), 1 - u.bit(spec.flag(2)));
        let (f1, f2, f12) = (next(), next(), next());
        let (v1w, v2w) = (u128::from(v1), u128::from(v2));
        // Shares of (NOT flag 1)(NOT flag 2) and of NOT flag 2.
        let not2 = (v2w * one).wrapping_add(signed(v2, f2));
        let both = (v1w * v2w * one)
            .wrapping_add(signed(v1, f1).wrapping_mul(v2w))
            .wrapping_add(signed(v2, f2).wrapping_mul(v1w))
            .wrapping_add(signed(v1 ^ v2, f12));
        let mut z = 0u128;
        for g in 0..3 {
            for j in 0..spec.mantissa {
                let v = u.bit(spec.position(g) + j);
                let vw = u128::from(v);
                let b = next();
                let term = match g {
                    0 => {
                        let (b1, b2, b12) = (next(), next(), next());
                        // v * both + (1 - 2v) t * both, the latter from the monomials that contain t.
                        let with_t = (v1w * v2w)
                            .wrapping_mul(b)
                            .wrapping_add(signed(v1, b1).wrapping_mul(v2w))
                            .wrapping_add(signed(v2, b2).wrapping_mul(v1w))
                            .wrapping_add(signed(v1 ^ v2, b12));
                        vw.wrapping_mul(both).wrapping_add(signed(v, with_t))
                    }
                    1 => {
                        let b2 = next();
                        let with_t = v2w.wrapping_mul(b).wrapping_add(signed(v2, b2));
                        vw.wrapping_mul(not2).wrapping_add(signed(v, with_t))
                    }
                    _ => (vw * one).wrapping_add(signed(v, b)),
                };
                z = z.wrapping_add(term << (spec.shifts[g] + j));
            }
        }
        z.low(spec.width)
    };
    let out = (0..n).map(element).collect();
    Ok(Additive { k: spec.width, a: Array::new(word.u.shape().clone(), out)? })
}
