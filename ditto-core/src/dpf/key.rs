use std::fmt;
use std::marker::PhantomData;

use rayon::prelude::*;

use super::domain::{BLOCK, Domain};
use super::tree::{Correction, Tree, controlled};
use crate::error::{Error, Result};
use crate::prg::Seed;
use crate::ring::Word;

/// Which of the two keys: they differ in the root's control bit and in the sign of the result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Half {
    /// The one that adds.
    First,
    /// The one that subtracts.
    Second,
}

/// One of two keys whose evaluations sum to a unit vector.
#[derive(Clone, PartialEq, Eq)]
pub struct Key<W> {
    half: Half,
    /// The root's seed; the lowest bit is 0.
    root: u128,
    /// One per level, the same in both keys.
    corrections: Vec<Correction>,
    /// Added to the leaf blocks whose control bit is set.
    last: u128,
    word: PhantomData<W>,
}

impl<W> fmt::Debug for Key<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?}, {} levels)", self.half, self.corrections.len())
    }
}

/// Applies `f` to the numbers that two blocks hold.
fn zip_words<W: Word>(a: u128, b: u128, f: impl Fn(W, W) -> W) -> u128 {
    words::<W>(a)
        .zip(words::<W>(b))
        .enumerate()
        .fold(0, |block, (i, (a, b))| block | f(a, b).to_u128() << (i * W::BITS as usize))
}

/// The numbers that a block holds.
fn words<W: Word>(block: u128) -> impl Iterator<Item = W> {
    (0..Domain::<W>::per_block()).map(move |i| W::from_u128(block >> (i * W::BITS as usize)))
}

/// Two keys for `position`, from two fresh roots: the client's part.
pub fn generate<W: Word>(domain: Domain<W>, position: usize, roots: [Seed; 2]) -> Result<[Key<W>; 2]> {
    if position >= domain.positions() {
        return Err(Error::PointFunction("the position is outside of the domain"));
    }
    let tree = Tree::fixed();
    let (block, depth) = (position / Domain::<W>::per_block(), domain.depth());
    let roots = roots.map(|seed| u128::from_le_bytes(seed.bytes()) & !1);
    let mut nodes = [roots[0], roots[1] | 1];
    let mut corrections = Vec::with_capacity(depth);
    for level in 0..depth {
        let right = block >> (depth - 1 - level) & 1;
        let children = nodes.map(|node| tree.children(node));
        let apart = [0, 1].map(|side| children[0][side] ^ children[1][side]);
        // Off the path both seeds and both control bits become equal, on it the control bits differ.
        let seed = apart[1 - right] & !1;
        let correction = [0, 1].map(|side| seed | (apart[side] & 1) ^ u128::from(side == right));
        nodes = [0, 1].map(|i| children[i][right] ^ controlled(nodes[i], correction[right]));
        corrections.push(correction);
    }
    let unit = 1 << ((position % Domain::<W>::per_block()) * W::BITS as usize);
    let leaves = nodes.map(|node| tree.leaf(node));
    let rest = zip_words::<W>(unit, leaves[0], |u, a| u.wrapping_sub(&a));
    let last = zip_words::<W>(rest, leaves[1], |r, b| r.wrapping_add(&b));
    // The key that adds the last word is the one whose control bit is set.
    let last = if nodes[1] & 1 == 1 { zip_words::<W>(0, last, |z, l| z.wrapping_sub(&l)) } else { last };
    let key = |half, root| Key { half, root, corrections: corrections.clone(), last, word: PhantomData };
    Ok([key(Half::First, roots[0]), key(Half::Second, roots[1])])
}

impl<W: Word> Key<W> {
    /// The key as bytes: root, seeds of the levels with the left control bits as lowest bits, right control bits packed,
    /// last word. The length depends on the domain only.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.root.to_le_bytes().to_vec();
        let mut rights = vec![0; self.corrections.len().div_ceil(8)];
        for (level, [left, right]) in self.corrections.iter().enumerate() {
            bytes.extend(left.to_le_bytes());
            rights[level / 8] |= ((right & 1) as u8) << (level % 8);
        }
        bytes.extend(rights);
        bytes.extend(self.last.to_le_bytes());
        bytes
    }

    /// Reads a key; what [`Self::encode`] does not write is refused.
    pub fn decode(domain: Domain<W>, half: Half, bytes: &[u8]) -> Result<Self> {
        let depth = domain.depth();
        if bytes.len() != domain.key_bytes() {
            return Err(Error::PointFunction("a key has another length"));
        }
        let (blocks, rest) = bytes.split_at(BLOCK * (1 + depth));
        let (rights, last) = rest.split_at(depth.div_ceil(8));
        let mut blocks = blocks.as_chunks::<BLOCK>().0.iter().map(|b| u128::from_le_bytes(*b));
        let root = blocks.next().unwrap_or_default();
        if root & 1 != 0 {
            return Err(Error::PointFunction("a key's root has its control bit set"));
        }
        let right = |level: usize| rights[level / 8] >> (level % 8) & 1;
        if (depth..8 * rights.len()).any(|level| right(level) != 0) {
            return Err(Error::PointFunction("a key has set padding bits"));
        }
        let correction = |(level, left): (usize, u128)| [left, left & !1 | u128::from(right(level))];
        let corrections = blocks.enumerate().map(correction).collect();
        let last = last.try_into().map_err(|_| Error::Internal("length of a key's last word"))?;
        Ok(Self { half, root, corrections, last: u128::from_le_bytes(last), word: PhantomData })
    }

    /// The key's vector modulo 2^width, into `out`, which has a place for every position of the domain. `nodes` is
    /// memory to work in.
    fn evaluate(&self, domain: Domain<W>, width: u32, nodes: &mut Vec<u128>, out: &mut [W]) {
        let (tree, depth, blocks) = (Tree::fixed(), domain.depth(), domain.blocks());
        nodes.clear();
        nodes.resize(blocks.next_multiple_of(2), 0);
        nodes[0] = self.root | u128::from(self.half == Half::Second);
        for (level, correction) in self.corrections.iter().enumerate() {
            // Nodes without a position below them are left out.
            tree.descend(nodes, blocks.div_ceil(1 << (depth - level)), correction);
        }
        let mut places = out.chunks_mut(Domain::<W>::per_block());
        tree.leaves(&nodes[..blocks], |node, leaf| {
            let shares = words::<W>(leaf).zip(words::<W>(controlled(node, self.last)));
            for (place, (leaf, last)) in places.next().into_iter().flatten().zip(shares) {
                let sum = leaf.wrapping_add(&last);
                *place = if self.half == Half::First { sum } else { sum.wrapping_neg() }.low(width);
            }
        });
    }
}

/// The vectors of several keys modulo 2^width, one row each.
pub fn evaluate_all<W: Word>(domain: Domain<W>, width: u32, keys: &[Key<W>], out: &mut [W]) -> Result<()> {
    let levels = |key: &Key<W>| key.corrections.len() == domain.depth();
    if out.len() != keys.len() * domain.positions() || !keys.iter().all(levels) {
        return Err(Error::PointFunction("keys of another domain"));
    }
    let rows = out.par_chunks_exact_mut(domain.positions()).zip(keys);
    rows.for_each_init(Vec::new, |nodes, (row, key)| key.evaluate(domain, width, nodes, row));
    Ok(())
}
