//! Generators that say what a test wants them to say.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::ring::Word;

/// Words read off the number of the element they are drawn for.
///
/// Element i of every tensor gets the bits of i, each draw the next ones that no other draw of that element has. A
/// tensor with an element for every combination of bits thus meets every outcome of the generators at once, as long as
/// the protocol works element by element.
#[derive(Debug)]
pub struct Script {
    elements: usize,
    drawn: Mutex<Drawn>,
}

#[derive(Debug, Default)]
struct Drawn {
    /// First bit and number of bits, by stream, step and counter.
    at: BTreeMap<(u8, u32, u64), (u32, u32)>,
    bits: u32,
}

impl Script {
    /// For tensors of this many elements.
    pub fn new(elements: usize) -> Self {
        Self { elements, drawn: Mutex::default() }
    }

    /// Bits that one element has drawn so far, over all streams.
    pub fn bits(&self) -> u32 {
        self.lock().bits
    }

    /// Which bits of an element's number the given streams told.
    pub fn told(&self, streams: &[u8]) -> u64 {
        let drawn = self.lock();
        let of = drawn.at.iter().filter(|((stream, ..), _)| streams.contains(stream));
        of.fold(0, |all, (_, &(first, bits))| all | (u64::mask(bits) << first))
    }

    /// Several parties ask for the same words, so the answer depends on the place only.
    pub(crate) fn words<W: Word>(&self, stream: u8, step: u32, counter: u64, n: usize, k: u32) -> Vec<W> {
        let per = n / self.elements;
        assert_eq!(per * self.elements, n, "a draw that is not the same for every element");
        let bits = per as u32 * k;
        let mut drawn = self.lock();
        let fresh = (drawn.bits, bits);
        let (first, before) = *drawn.at.entry((stream, step, counter)).or_insert(fresh);
        assert_eq!(bits, before, "one place drawn from in two ways");
        drawn.bits = drawn.bits.max(first + bits);
        drop(drawn);
        let word = |i: usize| {
            let from = first + (i % per) as u32 * k;
            W::from_u64(((i / per) as u64).checked_shr(from).unwrap_or(0)).low(k)
        };
        (0..n).map(word).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Drawn> {
        self.drawn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
