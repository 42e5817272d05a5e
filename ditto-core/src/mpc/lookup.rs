//! Table lookup at a secret index, by a one-hot encoding of the index's mask.

use super::dealer::Preprocess;
use super::online::Evaluator;
use super::share::{Dealt, Mask, Masked, Xor};
use super::store::Stored;
use crate::cost::{Cost, Kind, Work};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::ring::Word;
use crate::tensor::{Array, Elem};
use rayon::prelude::*;

/// Widest index. The helper sends 2^k bits per element.
pub const MAX_INDEX_BITS: u32 = 13;

/// A public table and the bits of a value that index it: `(x mod 2^(drop + k)) >> drop` for 2^k entries.
///
/// With `drop` > 0 the index is the floor or one above it, because the mask's dropped bits may carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    drop: u32,
    bits: u32,
    entries: Vec<u64>,
}

impl Lookup {
    /// A table of words of `bits` bits; the length must be a power of two up to 2^13 and every entry below 2^bits.
    pub fn new(drop: u32, bits: u32, entries: Vec<u64>) -> Result<Self> {
        let fits = entries.len().is_power_of_two()
            && entries.len() <= 1 << MAX_INDEX_BITS
            && (1..=64).contains(&bits)
            && entries.iter().all(|&e| e == e.low(bits));
        if !fits {
            return Err(Error::Unsupported("a lookup table of this length or word"));
        }
        Ok(Self { drop, bits, entries })
    }

    /// Index width k.
    pub fn index_bits(&self) -> u32 {
        self.entries.len().trailing_zeros()
    }

    /// All words, by index.
    pub fn words(&self) -> &[u64] {
        &self.entries
    }

    /// Bits of a word.
    pub fn word_bits(&self) -> u32 {
        self.bits
    }

    /// Low bits of the value that do not count.
    pub fn dropped(&self) -> u32 {
        self.drop
    }

    /// The word at an index, modulo the table's length.
    pub fn read(&self, index: u64) -> u64 {
        self.entries[index as usize & (self.entries.len() - 1)]
    }
}

/// The one-hot vector travels as words of at most 64 bits: how many, and how wide.
fn words(index_bits: u32) -> (usize, u32) {
    if index_bits <= 6 { (1, 1 << index_bits) } else { (1 << (index_bits - 6), 64) }
}

/// Cost for `n` lookups with an index of `index_bits` bits.
pub(crate) fn cost(n: usize, index_bits: u32) -> Cost {
    let (count, bits) = words(index_bits);
    Cost::deal(n * count, bits)
}

/// What the parties compute for it. Tables are made once and left out.
pub(crate) fn work<W: Word>(n: usize, index_bits: u32) -> Work {
    let (count, bits) = words(index_bits);
    Work::deal::<u64>(n * count, bits)
        .helper_passes::<W>(1, n)
        .helper(Kind::Step, n)
        .online(Kind::Scan, n << index_bits)
        .online(Kind::Pass, 32 << index_bits)
}

fn check(k: u32, table: &Lookup) -> Result<()> {
    if table.drop + table.index_bits() <= k {
        Ok(())
    } else {
        Err(Error::Unsupported("a lookup with more index bits than the ring has"))
    }
}

pub(crate) fn offline<W: Stored + Elem>(
    ctx: &Ctx<'_, Preprocess>,
    x: &Mask<W>,
    table: &Lookup,
) -> Result<Dealt<u64>> {
    check(x.k, table)?;
    let (count, bits) = words(table.index_bits());
    let n = x.shape.len();
    let hot = x.lambda().map(|lambda| {
        let mut hot = vec![0u64; n * count];
        for (i, l) in lambda.data().iter().enumerate() {
            let l = (*l >> table.drop).low(table.index_bits()).to_u64() as usize;
            hot[i * count + l / 64] |= 1 << (l % 64);
        }
        hot
    });
    let share = ctx.deal_xor(n * count, bits, hot)?;
    ctx.keep(share)?;
    Ok(Dealt::new(x.shape.clone(), table.bits))
}

pub(crate) fn online<W: Stored + Elem>(
    ctx: &Ctx<'_, Evaluator>,
    x: &Masked<W>,
    table: &Lookup,
) -> Result<Xor<u64>> {
    check(x.k, table)?;
    let (count, _) = words(table.index_bits());
    let size = table.entries.len();
    let hot = ctx.take::<u64>(x.m.len() * count)?;
    // Entry (m - j) for j = 0, 1, ..: the table backwards, twice over, read from where m points.
    let backwards: Vec<u64> = (0..2 * size).map(|i| table.entries[(2 * size - 1 - i) % size]).collect();
    let read = |i: usize| {
        let m = (x.m.data()[i] >> table.drop).low(table.index_bits()).to_u64() as usize;
        let from = size - 1 - m;
        let run = &backwards[from..from + size];
        let hot = &hot[i * count..(i + 1) * count];
        run.chunks(64).zip(hot).fold(0, |acc, (run, &word)| {
            run.iter().enumerate().fold(acc, |acc, (j, &e)| acc ^ (e & 0u64.wrapping_sub((word >> j) & 1)))
        })
    };
    let out = (0..x.m.len()).into_par_iter().with_min_len(64).map(read).collect();
    Ok(Xor { bits: table.bits, x: Array::new(x.m.shape().clone(), out)? })
}
