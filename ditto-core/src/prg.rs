//! The pseudo-random generator: AES-128 in counter mode, addressed by (step, counter).

use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use rayon::prelude::*;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::ring::Word;

/// A 128-bit key or one-time seed; overwritten when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Seed(pub(crate) [u8; 16]);

impl Seed {
    /// A seed from given bytes.
    pub fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// A fresh seed from the operating system.
    pub fn fresh() -> Self {
        Self(rand::random())
    }

    /// The bytes, to hand the seed to the parties that share it.
    pub fn bytes(&self) -> [u8; 16] {
        self.0
    }
}

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed(..)")
    }
}

/// Where fresh keys and seeds come from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Randomness {
    /// A number that makes everything repeat exactly; never set outside of tests.
    fixed: Option<u8>,
}

impl Randomness {
    /// The operating system.
    pub fn system() -> Self {
        Self::default()
    }

    /// A fixed number: every run repeats exactly, and nothing is secret.
    #[cfg(any(test, feature = "testing"))]
    pub fn fixed(seed: u8) -> Self {
        Self { fixed: Some(seed) }
    }

    /// Command-line arguments that give another process of this build the same.
    pub fn arguments(&self) -> Vec<String> {
        self.fixed.map_or_else(Vec::new, |n| vec!["--testing-seed".to_owned(), n.to_string()])
    }

    /// The fixed number, if there is one.
    pub(crate) fn number(&self) -> Option<u8> {
        self.fixed
    }

    /// Two one-time seeds, for `purpose` (a batch, the weights).
    pub(crate) fn seeds(&self, purpose: u64) -> [Seed; 2] {
        match self.fixed {
            None => [Seed::fresh(), Seed::fresh()],
            Some(number) => [0, 1].map(|i| {
                let mut seed = [number; 16];
                seed[..8].copy_from_slice(&purpose.to_le_bytes());
                seed[8] = i;
                Seed::new(seed)
            }),
        }
    }
}

/// AES blocks encrypted in one call; large enough for the pipelined instructions.
const LANES: usize = 64;
/// Bytes above which several threads generate.
const PARALLEL: usize = 1 << 18;

/// AES-128 in counter mode. Block `i` of a step is AES_key(step, i), so that any two parties that share the key
/// draw the same numbers whatever order they draw them in.
pub struct Prg {
    aes: Aes128,
    /// Where words come from instead, in tests of views; with the number of this generator.
    #[cfg(any(test, feature = "testing"))]
    script: Option<(u8, std::sync::Arc<crate::testing::Script>)>,
}

impl Prg {
    /// A generator keyed by `seed`.
    pub fn new(seed: &Seed) -> Self {
        Self {
            aes: Aes128::new(&seed.0.into()),
            #[cfg(any(test, feature = "testing"))]
            script: None,
        }
    }

    /// A generator whose words come from a script, as its stream number `stream`.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn scripted(stream: u8, script: std::sync::Arc<crate::testing::Script>) -> Self {
        Self { script: Some((stream, script)), ..Self::new(&Seed::new([0; 16])) }
    }

    /// Number of counter values that `bytes` bytes use.
    pub fn blocks(bytes: usize) -> u64 {
        bytes.div_ceil(16) as u64
    }

    /// Fills `out` from blocks `counter..` of `step`.
    pub fn fill(&self, step: u32, counter: u64, out: &mut [u8]) {
        let chunk = LANES * 16;
        if out.len() < PARALLEL {
            for (i, part) in out.chunks_mut(chunk).enumerate() {
                self.fill_chunk(step, counter + (i * LANES) as u64, part);
            }
        } else {
            out.par_chunks_mut(chunk * 256).enumerate().for_each(|(i, part)| {
                for (j, piece) in part.chunks_mut(chunk).enumerate() {
                    self.fill_chunk(step, counter + ((i * 256 + j) * LANES) as u64, piece);
                }
            });
        }
    }

    fn fill_chunk(&self, step: u32, counter: u64, out: &mut [u8]) {
        let mut blocks = [aes::Block::default(); LANES];
        let n = out.len().div_ceil(16);
        for (i, block) in blocks[..n].iter_mut().enumerate() {
            block[..4].copy_from_slice(&step.to_le_bytes());
            block[8..].copy_from_slice(&(counter + i as u64).to_le_bytes());
        }
        self.aes.encrypt_blocks(&mut blocks[..n]);
        // Whole blocks are copied as such: a copy of a length that is not known takes longer than the cipher.
        let (whole, rest) = out.as_chunks_mut::<16>();
        for (to, &from) in whole.iter_mut().zip(&blocks) {
            *to = from.into();
        }
        if let Some(last) = blocks.get(whole.len()) {
            rest.copy_from_slice(&last[..rest.len()]);
        }
    }

    /// `n` uniform elements of Z_{2^k} from blocks `counter..` of `step`; one word is drawn per element.
    pub fn words<W: Word>(&self, step: u32, counter: u64, n: usize, k: u32) -> Vec<W> {
        #[cfg(any(test, feature = "testing"))]
        if let Some((stream, script)) = &self.script {
            return script.words(*stream, step, counter, n, k);
        }
        let mut out = vec![W::default(); n];
        self.fill(step, counter, bytemuck::cast_slice_mut(&mut out));
        if k < W::BITS {
            let mask = W::mask(k);
            out.iter_mut().for_each(|v| *v = *v & mask);
        }
        out
    }
}

impl std::fmt::Debug for Prg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Prg(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_depend_on_key_step_and_counter_only() {
        let prg = Prg::new(&Seed::new([7; 16]));
        let long: Vec<u64> = prg.words(3, 0, 100_000, 64);
        let tail: Vec<u64> = prg.words(3, 25_000, 50_000, 64);
        assert_eq!(long[50_000..], tail[..]);
        assert_ne!(long[..100], prg.words::<u64>(4, 0, 100, 64)[..]);
        assert_ne!(long[..100], Prg::new(&Seed::new([8; 16])).words::<u64>(3, 0, 100, 64)[..]);
    }

    #[test]
    fn words_are_reduced_and_look_uniform() {
        let prg = Prg::new(&Seed::new([1; 16]));
        let v: Vec<u8> = prg.words(0, 0, 64_000, 3);
        let mut counts = [0u32; 8];
        v.iter().for_each(|&x| counts[x as usize] += 1);
        assert!(counts.iter().all(|&c| (7_500..8_500).contains(&c)), "{counts:?}");
    }

    #[test]
    fn first_block_is_aes_of_the_address() {
        use aes::cipher::BlockCipherEncrypt;
        let seed = Seed::new([9; 16]);
        let mut block = aes::Block::default();
        block[0] = 5;
        block[8] = 2;
        Aes128::new(&seed.0.into()).encrypt_block(&mut block);
        let mut got = [0u8; 16];
        Prg::new(&seed).fill(5, 2, &mut got);
        assert_eq!(got, block.as_slice());
    }
}
