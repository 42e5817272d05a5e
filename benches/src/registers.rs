//! Multiply-adds without memory, which bound how fast a matrix product can be, and reads of memory without multiplying,
//! which bound a matrix times one row.

use std::hint::black_box;

/// A loop of multiply-adds on numbers that never leave the registers.
#[derive(Clone, Copy, Debug)]
pub struct Loop {
    /// What it multiplies, and by which instructions.
    pub name: &'static str,
    /// Multiply-adds of a call.
    pub multiply_adds: u64,
    run: fn(),
}

impl Loop {
    /// Runs it once.
    pub fn run(&self) {
        (self.run)();
    }
}

/// The loops that this processor can run, the fastest for a word last.
pub fn loops() -> Vec<Loop> {
    #[cfg(target_arch = "x86_64")]
    return x86::loops();
    #[cfg(not(target_arch = "x86_64"))]
    Vec::new()
}

/// Adds up words: reads memory as fast as one core does.
pub fn read(words: &[u64]) -> u64 {
    let mut sums = [0u64; 32];
    let (blocks, rest) = words.as_chunks::<32>();
    for block in blocks {
        for (sum, word) in sums.iter_mut().zip(block) {
            *sum = sum.wrapping_add(*word);
        }
    }
    black_box(sums.iter().chain(rest).fold(0, |sum: u64, word| sum.wrapping_add(*word)))
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "vector intrinsics behind feature detection, and an empty barrier")]
mod x86 {
    use std::arch::asm;
    use std::arch::x86_64::*;
    use std::hint::black_box;

    use super::Loop;

    const STEPS: usize = 4096;

    /// Independent chains of whole vectors, four factors times four.
    macro_rules! registers {
        ($name:ident, $features:literal, $reg:ident, $vec:ty, $zero:ident, |$s:ident, $x:ident, $y:ident| $madd:expr) => {
            #[target_feature(enable = $features)]
            fn $name() -> [[$vec; 4]; 4] {
                let mut x: [$vec; 4] = black_box([$zero(); 4]);
                let y: [$vec; 4] = black_box([$zero(); 4]);
                let mut acc = [[$zero(); 4]; 4];
                for _ in 0..STEPS {
                    for (x, acc) in x.iter_mut().zip(&mut acc) {
                        // The factor becomes unknown, so that no product is hoisted out of the loop.
                        // SAFETY: no instruction.
                        unsafe {
                            asm!("/* {0} */", inout($reg) * x, options(pure, nomem, nostack, preserves_flags))
                        };
                        for (&$y, s) in y.iter().zip(acc) {
                            let ($s, $x) = (*s, *x);
                            *s = $madd;
                        }
                    }
                }
                acc
            }
        };
    }

    registers!(low32_256, "avx2", ymm_reg, __m256i, _mm256_setzero_si256, |s, x, y| {
        _mm256_add_epi32(s, _mm256_mullo_epi32(x, y))
    });
    registers!(low32_512, "avx512f", zmm_reg, __m512i, _mm512_setzero_si512, |s, x, y| {
        _mm512_add_epi32(s, _mm512_mullo_epi32(x, y))
    });
    registers!(low64_512, "avx512f,avx512dq", zmm_reg, __m512i, _mm512_setzero_si512, |s, x, y| {
        _mm512_add_epi64(s, _mm512_mullo_epi64(x, y))
    });
    registers!(fused52_512, "avx512f,avx512ifma", zmm_reg, __m512i, _mm512_setzero_si512, |s, x, y| {
        _mm512_madd52lo_epu64(s, x, y)
    });
    registers!(dot16_512, "avx512f,avx512vnni", zmm_reg, __m512i, _mm512_setzero_si512, |s, x, y| {
        _mm512_dpwssd_epi32(s, x, y)
    });

    /// A loop if its features are there.
    macro_rules! measured {
        ($loops:ident, $detected:expr, $name:literal, $f:ident, $lanes:literal) => {
            if $detected {
                // SAFETY: the features were detected.
                let run = || {
                    black_box(unsafe { $f() });
                };
                $loops.push(Loop { name: $name, multiply_adds: STEPS as u64 * 16 * $lanes, run });
            }
        };
    }

    pub(super) fn loops() -> Vec<Loop> {
        let mut loops = Vec::new();
        measured!(loops, is_x86_feature_detected!("avx2"), "u32, AVX2", low32_256, 8);
        measured!(loops, is_x86_feature_detected!("avx512f"), "u32, AVX-512", low32_512, 16);
        measured!(loops, is_x86_feature_detected!("avx512dq"), "u64, AVX-512", low64_512, 8);
        measured!(loops, is_x86_feature_detected!("avx512ifma"), "52-bit fused, AVX-512", fused52_512, 8);
        measured!(loops, is_x86_feature_detected!("avx512vnni"), "two u16 a lane, AVX-512", dot16_512, 32);
        loops
    }
}
