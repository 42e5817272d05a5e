use std::fmt;
use std::marker::PhantomData;

use crate::error::{Error, Result};
use crate::ring::Word;

/// The most positions of a domain.
pub const MAX_POSITIONS: usize = 1 << 24;

/// Bytes of a node of the tree, and of a leaf block.
pub(super) const BLOCK: usize = 16;

/// The positions that a key is for, with a number in word `W` at each. It decides how long a key is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Domain<W> {
    positions: usize,
    word: PhantomData<W>,
}

impl<W: Word> Domain<W> {
    /// A domain of `positions`, from 1 to [`MAX_POSITIONS`].
    pub fn new(positions: usize) -> Result<Self> {
        if (1..=MAX_POSITIONS).contains(&positions) {
            Ok(Self { positions, word: PhantomData })
        } else {
            Err(Error::PointFunction("a domain has 1 to 2^24 positions"))
        }
    }

    /// The number of positions.
    pub fn positions(&self) -> usize {
        self.positions
    }

    /// Numbers in a leaf block.
    pub(super) fn per_block() -> usize {
        (8 * BLOCK) / W::BITS as usize
    }

    /// Leaf blocks.
    pub(super) fn blocks(&self) -> usize {
        self.positions.div_ceil(Self::per_block())
    }

    /// Levels of the tree above the leaf blocks.
    pub fn depth(&self) -> usize {
        self.blocks().next_power_of_two().trailing_zeros() as usize
    }

    /// Bytes of an encoded key: its root, a seed per level, as many control bits, and the last word.
    pub fn key_bytes(&self) -> usize {
        BLOCK * (2 + self.depth()) + self.depth().div_ceil(8)
    }

    /// Blocks that AES encrypts to evaluate one key everywhere: both children of every inner node, and the leaves.
    pub(crate) fn aes_blocks(&self) -> usize {
        let (depth, blocks) = (self.depth(), self.blocks());
        let inner = |level: usize| blocks.div_ceil(1 << (depth - level));
        blocks + 2 * (0..depth).map(inner).sum::<usize>()
    }
}

impl<W> fmt::Debug for Domain<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Domain({})", self.positions)
    }
}
