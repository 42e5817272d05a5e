//! AVX-512 register blocks.
//!
//! Every block takes its row count and its count of column vectors as constants, so that edges do no wasted rows and
//! at most one vector of wasted columns.

#![allow(
    unsafe_code,
    reason = "vector intrinsics and raw pointers into matrices; the caller checks bounds and CPU"
)]

use std::arch::x86_64::*;

use super::gemm::Tile;

/// Whether the plain blocks run here.
pub(super) fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
}

/// Whether the blocks with the 52-bit fused multiplication run here.
pub(super) fn has_ifma() -> bool {
    has_avx512() && is_x86_feature_detected!("avx512ifma")
}

/// Whether the blocks with the 16-bit dot product run here.
pub(super) fn has_vnni() -> bool {
    has_avx512() && is_x86_feature_detected!("avx512vnni")
}

/// Calls `$f` with the row count, one of those listed, and the other constants.
macro_rules! by_rows {
    ($rows:expr, $t:expr, $f:ident, [$($r:literal)*], $v:literal) => {
        match $rows {
            $($r => $f::<$r, $v>($t),)*
            rows => unreachable!("no register block of {rows} rows"),
        }
    };
    ($rows:expr, $t:expr, $f:ident, [$($r:literal)*], $v:literal, $masked:literal) => {
        match $rows {
            $($r => $f::<$r, $v, $masked>($t),)*
            rows => unreachable!("no register block of {rows} rows"),
        }
    };
}

/// A block that multiplies and adds whole elements, one broadcast of A against the vectors of a row of B.
macro_rules! plain {
    ($entry:ident, $block:ident, $features:literal, $word:ty, $lanes:literal, $mask:ty, $load:ident, $store:ident,
     $set1:ident, $add:ident, |$s:ident, $x:ident, $y:ident| $madd:expr) => {
        /// # Safety
        /// As [`Tile::run`]; the CPU has the features of the block.
        #[target_feature(enable = $features)]
        pub(super) unsafe fn $entry(rows: usize, t: &Tile<$word>) {
            let masked = t.cols < 2 * $lanes && t.ldb != 2 * $lanes;
            // SAFETY: handed on to the caller.
            unsafe {
                match (t.cols > $lanes, masked) {
                    (true, false) => by_rows!(rows, t, $block, [1 2 3 4 5 6 7 8], 2, false),
                    (true, true) => by_rows!(rows, t, $block, [1 2 3 4 5 6 7 8], 2, true),
                    (false, false) => by_rows!(rows, t, $block, [1 2 3 4 5 6 7 8], 1, false),
                    (false, true) => by_rows!(rows, t, $block, [1 2 3 4 5 6 7 8], 1, true),
                }
            }
        }

        #[target_feature(enable = $features)]
        unsafe fn $block<const R: usize, const V: usize, const MASKED: bool>(t: &Tile<$word>) {
            let masks: [$mask; 2] = [mask(t.cols, $lanes) as $mask, mask(t.cols.saturating_sub($lanes), $lanes) as $mask];
            let mut acc = [[_mm512_setzero_si512(); V]; R];
            // SAFETY: reads rows 0..R and steps 0..k of A, and the columns of B and C that the masks allow; an
            // unmasked load of B reads a packed panel or a full block.
            unsafe {
                let mut a = [t.a; R];
                for (r, a) in a.iter_mut().enumerate() {
                    *a = opaque(t.a.add(r * t.a_row));
                }
                let (mut row, mut at) = (t.b, 0);
                for _ in 0..t.k {
                    let mut b = [_mm512_setzero_si512(); V];
                    for (v, b) in b.iter_mut().enumerate() {
                        let from = row.wrapping_add(v * $lanes);
                        *b = if MASKED { $load(masks[v], from.cast()) } else { _mm512_loadu_si512(from.cast()) };
                    }
                    for r in 0..R {
                        let $x = $set1(*a[r].wrapping_add(at) as _);
                        for v in 0..V {
                            let ($s, $y) = (acc[r][v], b[v]);
                            acc[r][v] = $madd;
                        }
                    }
                    row = row.wrapping_add(t.ldb);
                    at += t.a_step;
                }
                let low = $set1(t.low as _);
                for (r, acc) in acc.iter().enumerate() {
                    for (v, &sum) in acc.iter().enumerate() {
                        let c = t.c.add(r * t.ldc).wrapping_add(v * $lanes);
                        let old = $load(masks[v], c.cast_const().cast());
                        $store(c.cast(), masks[v], _mm512_and_si512($add(old, sum), low));
                    }
                }
            }
        }
    };
}

plain!(
    plain_u16,
    plain_u16_block,
    "avx512f,avx512bw",
    u16,
    32,
    __mmask32,
    _mm512_maskz_loadu_epi16,
    _mm512_mask_storeu_epi16,
    _mm512_set1_epi16,
    _mm512_add_epi16,
    |s, x, y| _mm512_add_epi16(s, _mm512_mullo_epi16(x, y))
);
plain!(
    plain_u32,
    plain_u32_block,
    "avx512f",
    u32,
    16,
    __mmask16,
    _mm512_maskz_loadu_epi32,
    _mm512_mask_storeu_epi32,
    _mm512_set1_epi32,
    _mm512_add_epi32,
    |s, x, y| _mm512_add_epi32(s, _mm512_mullo_epi32(x, y))
);
plain!(
    plain_u64,
    plain_u64_block,
    "avx512f,avx512dq",
    u64,
    8,
    __mmask8,
    _mm512_maskz_loadu_epi64,
    _mm512_mask_storeu_epi64,
    _mm512_set1_epi64,
    _mm512_add_epi64,
    |s, x, y| _mm512_add_epi64(s, _mm512_mullo_epi64(x, y))
);
plain!(
    ifma_u64,
    ifma_u64_block,
    "avx512f,avx512ifma",
    u64,
    8,
    __mmask8,
    _mm512_maskz_loadu_epi64,
    _mm512_mask_storeu_epi64,
    _mm512_set1_epi64,
    _mm512_add_epi64,
    |s, x, y| _mm512_madd52lo_epu64(s, x, y)
);

/// The same pointer, of unknown origin. A compiler that sees that rows are evenly spaced keeps one pointer and adds
/// the stride for each row in each step, which takes issue slots from the multiplications.
#[inline(always)]
fn opaque<T>(row: *const T) -> *const T {
    std::hint::black_box(row)
}

/// The lowest `cols` bits, at most `lanes` of them.
#[inline(always)]
fn mask(cols: usize, lanes: usize) -> u64 {
    (1u64 << cols.min(lanes)) - 1
}

/// u32 from signed 16-bit limbs, see [`super::gemm::split`]. The sum of products of low limbs and the sum of the two
/// kinds of cross products both wrap at 2^32, and the product of the high limbs vanishes.
///
/// # Safety
/// As [`Tile::run`] with a packed panel; A and B are split, so that two steps hold low and high limbs.
#[target_feature(enable = "avx512f,avx512vnni")]
pub(super) unsafe fn limbs_u32(rows: usize, t: &Tile<u32>) {
    // SAFETY: handed on to the caller.
    unsafe {
        if t.cols > 16 {
            by_rows!(rows, t, limbs_u32_block, [1 2 3 4 5 6], 2)
        } else {
            by_rows!(rows, t, limbs_u32_block, [1 2 3 4 5 6], 1)
        }
    }
}

#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn limbs_u32_block<const R: usize, const V: usize>(t: &Tile<u32>) {
    const LANES: usize = 16;
    let zero = _mm512_setzero_si512();
    let (mut low, mut cross) = ([[zero; V]; R], [[zero; V]; R]);
    // SAFETY: reads rows 0..R of A and the packed panel of B, two steps at a time (both are padded to an even number
    // of steps), and the columns of C that the masks allow.
    unsafe {
        let mut a = [t.a; R];
        for (r, a) in a.iter_mut().enumerate() {
            *a = opaque(t.a.add(r * t.a_row));
        }
        let (mut row, mut at) = (t.b, 0);
        for _ in 0..t.k.div_ceil(2) {
            let (mut b0, mut b1) = ([zero; V], [zero; V]);
            for v in 0..V {
                b0[v] = _mm512_loadu_si512(row.add(v * LANES).cast());
                b1[v] = _mm512_loadu_si512(row.add(t.ldb + v * LANES).cast());
            }
            for r in 0..R {
                let a0 = _mm512_set1_epi32(*a[r].add(at) as i32);
                let a1 = _mm512_set1_epi32(*a[r].add(at + t.a_step) as i32);
                for v in 0..V {
                    low[r][v] = _mm512_dpwssd_epi32(low[r][v], a0, b0[v]);
                    cross[r][v] = _mm512_dpwssd_epi32(cross[r][v], a0, b1[v]);
                    cross[r][v] = _mm512_dpwssd_epi32(cross[r][v], a1, b0[v]);
                }
            }
            row = row.wrapping_add(2 * t.ldb);
            at += 2 * t.a_step;
        }
        let keep = _mm512_set1_epi32(t.low as i32);
        for r in 0..R {
            for v in 0..V {
                let mask = mask(t.cols.saturating_sub(v * LANES), LANES) as __mmask16;
                let c = t.c.add(r * t.ldc).wrapping_add(v * LANES).cast::<i32>();
                let sum = _mm512_add_epi32(low[r][v], _mm512_slli_epi32::<16>(cross[r][v]));
                let sum = _mm512_add_epi32(_mm512_maskz_loadu_epi32(mask, c.cast_const()), sum);
                _mm512_mask_storeu_epi32(c, mask, _mm512_and_si512(sum, keep));
            }
        }
    }
}

/// u64 from limbs of 52 and 12 bits: low and high halves of the product of the 52-bit limbs, and modulo 2^12 the cross
/// products, which [`super::gemm::cross_right`] lays out for the 16-bit dot product, two steps per instruction.
///
/// # Safety
/// As [`Tile::run`] with a packed panel; `a2` and `b2` hold cross limbs, and an odd last step is zero there.
#[target_feature(enable = "avx512f,avx512ifma,avx512vnni")]
pub(super) unsafe fn limbs_u64(rows: usize, t: &Tile<u64>) {
    // SAFETY: handed on to the caller.
    unsafe {
        if t.cols > 8 {
            by_rows!(rows, t, limbs_u64_block, [1 2 3 4], 2)
        } else {
            by_rows!(rows, t, limbs_u64_block, [1 2 3 4], 1)
        }
    }
}

#[target_feature(enable = "avx512f,avx512ifma,avx512vnni")]
unsafe fn limbs_u64_block<const R: usize, const V: usize>(t: &Tile<u64>) {
    const LANES: usize = 8;
    let zero = _mm512_setzero_si512();
    let (mut low, mut high, mut cross) = ([[zero; V]; R], [[zero; V]; R], [[zero; V]; R]);
    // SAFETY: reads rows 0..R and steps 0..k of A and of the packed panel of B, half as many steps of the cross
    // limbs, and the columns of C that the masks allow.
    unsafe {
        let (mut a, mut a2) = ([t.a; R], [t.a2; R]);
        for r in 0..R {
            a[r] = opaque(t.a.add(r * t.a_row));
            a2[r] = opaque(t.a2.add(r * t.a_row));
        }
        let (mut row, mut row2) = (t.b, t.b2);
        let (mut at, mut at2) = (0, 0);
        for _ in 0..t.k / 2 {
            for _ in 0..2 {
                fused_step(&mut low, &mut high, &a, at, row);
                row = row.wrapping_add(t.ldb);
                at += t.a_step;
            }
            cross_step(&mut cross, &a2, at2, row2);
            row2 = row2.wrapping_add(t.ldb);
            at2 += t.a_step;
        }
        if t.k % 2 == 1 {
            fused_step(&mut low, &mut high, &a, at, row);
            cross_step(&mut cross, &a2, at2, row2);
        }
        let keep = _mm512_set1_epi64(t.low as i64);
        for r in 0..R {
            for v in 0..V {
                let mask = mask(t.cols.saturating_sub(v * LANES), LANES) as __mmask8;
                let c = t.c.add(r * t.ldc).wrapping_add(v * LANES).cast::<i64>();
                // The two dot-product lanes of a word hold even and odd steps; only their low 12 bits survive.
                let top = _mm512_add_epi64(cross[r][v], _mm512_srli_epi64::<32>(cross[r][v]));
                let top = _mm512_slli_epi64::<52>(_mm512_add_epi64(high[r][v], top));
                let sum = _mm512_add_epi64(low[r][v], top);
                let sum = _mm512_add_epi64(_mm512_maskz_loadu_epi64(mask, c.cast_const()), sum);
                _mm512_mask_storeu_epi64(c, mask, _mm512_and_si512(sum, keep));
            }
        }
    }
}

/// # Safety
/// Offset `at` of the rows `a` and the vectors at `row` are readable.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
unsafe fn fused_step<const R: usize, const V: usize>(
    low: &mut [[__m512i; V]; R],
    high: &mut [[__m512i; V]; R],
    a: &[*const u64; R],
    at: usize,
    row: *const u64,
) {
    let mut b = [_mm512_setzero_si512(); V];
    // SAFETY: handed on to the caller.
    unsafe {
        for (v, b) in b.iter_mut().enumerate() {
            *b = _mm512_loadu_si512(row.add(v * 8).cast());
        }
        for r in 0..R {
            let x = _mm512_set1_epi64(*a[r].add(at) as i64);
            for v in 0..V {
                low[r][v] = _mm512_madd52lo_epu64(low[r][v], x, b[v]);
                high[r][v] = _mm512_madd52hi_epu64(high[r][v], x, b[v]);
            }
        }
    }
}

/// # Safety
/// Offset `at` of the rows `a` and the vectors at `row` are readable.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn cross_step<const R: usize, const V: usize>(
    cross: &mut [[__m512i; V]; R],
    a: &[*const u64; R],
    at: usize,
    row: *const u64,
) {
    let mut b = [_mm512_setzero_si512(); V];
    // SAFETY: handed on to the caller.
    unsafe {
        for (v, b) in b.iter_mut().enumerate() {
            *b = _mm512_loadu_si512(row.add(v * 8).cast());
        }
        for r in 0..R {
            let x = _mm512_set1_epi64(*a[r].add(at) as i64);
            for v in 0..V {
                cross[r][v] = _mm512_dpwssd_epi32(cross[r][v], x, b[v]);
            }
        }
    }
}
