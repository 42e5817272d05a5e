//! Register blocks of the matrix product: which code path runs, how operands are laid out for it, and the portable
//! block that every word and every machine can use.

#![allow(
    unsafe_code,
    reason = "register blocks of different threads write disjoint parts of one output matrix"
)]

use std::any::TypeId;

use crate::ring::Word;

#[cfg(target_arch = "x86_64")]
use super::gemm_x86 as x86;

/// Steps of the inner dimension that one register block takes at a time; even, because limb layouts pair steps. Over
/// this depth a packed panel (24 KiB at most) and a block of rows of A fit the first-level cache together.
pub(super) const DEPTH: usize = 192;

/// Code path of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Path {
    /// Any word, any machine.
    Portable,
    /// Any word: the portable block compiled for AVX2.
    Avx2,
    /// u16, u32 and u64: one low multiplication and one addition per element.
    Avx512,
    /// u64 with at most 52 bits: one fused multiplication and addition per element.
    Ifma,
    /// u32 from signed 16-bit limbs, 1.5 dot-product instructions per element, and u64 from limbs of 52 and 12 bits,
    /// 2.5 instructions per element; both count fewer than the three or four of a low multiplication and addition.
    Limbs,
}

impl Path {
    /// Slowest first.
    pub(super) const ALL: [Path; 5] = [Path::Portable, Path::Avx2, Path::Avx512, Path::Ifma, Path::Limbs];

    /// Whether this machine runs the path for the word and width.
    pub(super) fn supports<W: Word>(self, width: u32) -> bool {
        #[cfg(target_arch = "x86_64")]
        {
            match self {
                Path::Portable => true,
                Path::Avx2 => is_x86_feature_detected!("avx2"),
                Path::Avx512 => matches!(W::BITS, 16 | 32 | 64) && x86::has_avx512(),
                Path::Ifma => W::BITS == 64 && width <= 52 && x86::has_ifma(),
                Path::Limbs => match W::BITS {
                    32 => x86::has_vnni(),
                    64 => x86::has_vnni() && x86::has_ifma(),
                    _ => false,
                },
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            let _ = width;
            self == Path::Portable
        }
    }

    /// The fastest path for the word and width.
    pub(super) fn best<W: Word>(width: u32) -> Path {
        if Path::Ifma.supports::<W>(width) {
            return Path::Ifma;
        }
        Path::ALL.into_iter().rev().find(|p| p.supports::<W>(width)).unwrap_or(Path::Portable)
    }

    /// Rows of the largest register block.
    pub(super) fn rows<W: Word>(self) -> usize {
        match self {
            Path::Portable | Path::Avx2 => 4,
            Path::Avx512 | Path::Ifma => 8,
            Path::Limbs => {
                if W::BITS == 32 {
                    6
                } else {
                    4
                }
            }
        }
    }

    /// Columns of a register block, and so of a packed panel.
    pub(super) fn cols<W: Word>(self) -> usize {
        match self {
            Path::Portable | Path::Avx2 => match W::BITS {
                8 | 16 => 32,
                32 => 16,
                64 => 8,
                _ => 2,
            },
            Path::Avx512 | Path::Ifma | Path::Limbs => 1024 / W::BITS as usize,
        }
    }

    /// Whether elements are split into 16-bit limbs in place.
    pub(super) fn splits<W: Word>(self) -> bool {
        self == Path::Limbs && W::BITS == 32
    }

    /// Whether a second operand with the cross products of limbs is kept beside the elements.
    pub(super) fn crosses<W: Word>(self) -> bool {
        self == Path::Limbs && W::BITS == 64
    }
}

/// One register block: C[rows x cols] += A[rows x k] * B[k x cols], reduced by `low`.
///
/// `a`, `b` and `c` point at the first element; the strides count elements, those of A both between rows and between
/// steps, because A may be interleaved. With a packed panel `ldb` is the column
/// count of the path and all of the panel's columns may be read; with any other stride only `cols` may.
pub(super) struct Tile<W> {
    pub(super) a: *const W,
    pub(super) a_row: usize,
    pub(super) a_step: usize,
    pub(super) b: *const W,
    pub(super) ldb: usize,
    /// Cross limbs of the left operand, one word for two steps, with the strides of `a`.
    pub(super) a2: *const W,
    /// Cross limbs of the right operand, one row for two steps.
    pub(super) b2: *const W,
    pub(super) c: *mut W,
    pub(super) ldc: usize,
    pub(super) k: usize,
    pub(super) cols: usize,
    pub(super) low: W,
}

impl<W: Word> Tile<W> {
    /// The same block for the word that `W` is known to be; `None` for another word.
    #[cfg(target_arch = "x86_64")]
    fn of<T: Word>(&self) -> Option<&Tile<T>> {
        if TypeId::of::<W>() != TypeId::of::<T>() {
            return None;
        }
        // SAFETY: W and T are the same type.
        Some(unsafe { &*std::ptr::from_ref(self).cast::<Tile<T>>() })
    }

    /// Runs the block with `rows` rows, at most [`Path::rows`].
    ///
    /// # Safety
    /// `path` is supported here, and the pointers are valid as the fields say, with `c` not used by anyone else.
    #[inline]
    pub(super) unsafe fn run(&self, path: Path, rows: usize) {
        // SAFETY: handed on to the caller.
        unsafe {
            match path {
                Path::Portable => portable(rows, self),
                #[cfg(target_arch = "x86_64")]
                Path::Avx2 => avx2(rows, self),
                #[cfg(target_arch = "x86_64")]
                Path::Avx512 => {
                    if let Some(t) = self.of::<u32>() {
                        x86::plain_u32(rows, t);
                    } else if let Some(t) = self.of::<u64>() {
                        x86::plain_u64(rows, t);
                    } else if let Some(t) = self.of::<u16>() {
                        x86::plain_u16(rows, t);
                    } else {
                        portable(rows, self);
                    }
                }
                #[cfg(target_arch = "x86_64")]
                Path::Ifma => match self.of::<u64>() {
                    Some(t) => x86::ifma_u64(rows, t),
                    None => portable(rows, self),
                },
                #[cfg(target_arch = "x86_64")]
                Path::Limbs => {
                    if let Some(t) = self.of::<u32>() {
                        x86::limbs_u32(rows, t);
                    } else if let Some(t) = self.of::<u64>() {
                        x86::limbs_u64(rows, t);
                    } else {
                        portable(rows, self);
                    }
                }
                #[cfg(not(target_arch = "x86_64"))]
                _ => portable(rows, self),
            }
        }
    }
}

/// The portable block compiled for AVX2.
///
/// # Safety
/// As [`Tile::run`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn avx2<W: Word>(rows: usize, t: &Tile<W>) {
    // SAFETY: handed on to the caller.
    unsafe { portable(rows, t) }
}

/// The portable block.
///
/// # Safety
/// As [`Tile::run`].
#[inline(always)]
unsafe fn portable<W: Word>(rows: usize, t: &Tile<W>) {
    // SAFETY: handed on to the caller.
    unsafe {
        match W::BITS {
            8 | 16 => portable_rows::<W, 32>(rows, t),
            32 => portable_rows::<W, 16>(rows, t),
            64 => portable_rows::<W, 8>(rows, t),
            _ => portable_rows::<W, 2>(rows, t),
        }
    }
}

#[inline(always)]
unsafe fn portable_rows<W: Word, const N: usize>(rows: usize, t: &Tile<W>) {
    // SAFETY: handed on to the caller.
    unsafe {
        match rows {
            1 => portable_block::<W, 1, N>(t),
            2 => portable_block::<W, 2, N>(t),
            3 => portable_block::<W, 3, N>(t),
            4 => portable_block::<W, 4, N>(t),
            _ => unreachable!("a portable block has 1 to 4 rows, not {rows}"),
        }
    }
}

#[inline(always)]
unsafe fn portable_block<W: Word, const R: usize, const N: usize>(t: &Tile<W>) {
    let mut acc = [[W::zero(); N]; R];
    let readable = if t.ldb == N { N } else { t.cols };
    // SAFETY: reads rows 0..R and steps 0..k of A, `readable` columns of B and `cols` columns of C.
    unsafe {
        if readable == N {
            for p in 0..t.k {
                let b: [W; N] = t.b.add(p * t.ldb).cast::<[W; N]>().read();
                madd(&mut acc, t, p, &b);
            }
        } else {
            for p in 0..t.k {
                let mut b = [W::zero(); N];
                std::ptr::copy_nonoverlapping(t.b.add(p * t.ldb), b.as_mut_ptr(), readable);
                madd(&mut acc, t, p, &b);
            }
        }
        for (r, acc) in acc.iter().enumerate() {
            let c = t.c.add(r * t.ldc);
            if t.cols == N {
                for (j, x) in acc.iter().enumerate() {
                    *c.add(j) = (*c.add(j)).wrapping_add(x) & t.low;
                }
            } else {
                for (j, x) in acc.iter().enumerate().take(t.cols) {
                    *c.add(j) = (*c.add(j)).wrapping_add(x) & t.low;
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn madd<W: Word, const R: usize, const N: usize>(
    acc: &mut [[W; N]; R],
    t: &Tile<W>,
    p: usize,
    b: &[W; N],
) {
    for (r, acc) in acc.iter_mut().enumerate() {
        // SAFETY: the caller's block has R rows and more than p steps.
        let x = unsafe { *t.a.add(r * t.a_row + p * t.a_step) };
        for (s, y) in acc.iter_mut().zip(b) {
            *s = s.wrapping_add(&x.wrapping_mul(y));
        }
    }
}

/// The wrapping sum of products of two slices, of the shorter length.
pub(super) fn dot<W: Word>(x: &[W], y: &[W]) -> W {
    #[inline(always)]
    fn body<W: Word>(x: &[W], y: &[W]) -> W {
        x.iter().zip(y).fold(W::zero(), |s, (x, y)| s.wrapping_add(&x.wrapping_mul(y)))
    }
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2")]
        fn avx2<W: Word>(x: &[W], y: &[W]) -> W {
            body(x, y)
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the feature was detected.
            return unsafe { avx2(x, y) };
        }
    }
    body(x, y)
}

/// Two 32-bit elements as the pair of their low limbs and the pair of their high limbs, signed and of 16 bits: an
/// element is `low + 2^16 high` modulo 2^32.
#[inline(always)]
pub(super) fn split<W: Word>(x: W, y: W) -> (W, W) {
    let (low16, half) = (W::from_u64(0xffff), W::from_u64(0x8000));
    let low = (x & low16) | (y << 16);
    let high = (x.wrapping_add(&half) >> 16) | (y.wrapping_add(&half) & !low16);
    (low, high)
}

/// The cross limbs of two right elements: for each the top 12 bits, then the low 12 bits, 16 bits apart.
#[inline(always)]
pub(super) fn cross_right<W: Word>(x: W, y: W) -> W {
    let low12 = W::from_u64(0xfff);
    (x >> 52) | ((x & low12) << 16) | ((y >> 52) << 32) | ((y & low12) << 48)
}

/// The cross limbs of two left elements, in the other order than [`cross_right`].
#[inline(always)]
pub(super) fn cross_left<W: Word>(x: W, y: W) -> W {
    let low12 = W::from_u64(0xfff);
    (x & low12) | ((x >> 52) << 16) | ((y & low12) << 32) | ((y >> 52) << 48)
}
