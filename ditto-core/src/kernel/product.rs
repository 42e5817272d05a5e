//! Whole products out of register blocks: packed operands, blocking for the caches, and threads.

#![allow(unsafe_code, reason = "aligned panels, and disjoint parts of one output matrix for the threads")]

use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

use bytemuck::{Pod, Zeroable};
use rayon::prelude::*;

use super::gemm::{DEPTH, Path, Tile, cross_left, cross_right, split};
use crate::ring::Word;

/// Bytes of operand products that are worth a task, about 50 microseconds: waking a thread costs a few.
const TASK: usize = 1 << 23;

/// A cache line: the unit of panels, so that no vector load straddles two lines.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; 64]);

// SAFETY: an array of bytes without padding.
unsafe impl Zeroable for Line {}
// SAFETY: an array of bytes without padding, valid for any content.
unsafe impl Pod for Line {}

fn lines<W: Word>(words: usize) -> Vec<Line> {
    vec![Line([0; 64]); (words * size_of::<W>()).div_ceil(64)]
}

/// A right operand [k x n], packed once into the column panels that the register blocks read, for products with
/// [`super::matmul_packed`].
#[derive(Clone)]
pub struct PackedB<W> {
    k: usize,
    n: usize,
    width: u32,
    path: Path,
    /// Panels of `path.cols()` columns, zero-padded, each with an even number of rows.
    panels: Vec<Line>,
    /// Cross limbs, half as many rows, where the path has them.
    cross: Vec<Line>,
    word: PhantomData<W>,
}

impl<W> fmt::Debug for PackedB<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The elements may be secret.
        write!(f, "PackedB({} x {}, {} bits, {:?})", self.k, self.n, self.width, self.path)
    }
}

impl<W: Word> PackedB<W> {
    /// Packs `b`, [k x n] with elements below 2^width, for products modulo 2^width.
    pub fn new(width: u32, b: &[W], k: usize, n: usize) -> Self {
        Self::pack(Path::best::<W>(width), width, b, k, n, false)
    }

    /// Packs the transpose of `b_t`, [n x k] with elements below 2^width, for products modulo 2^width.
    pub fn from_transposed(width: u32, b_t: &[W], k: usize, n: usize) -> Self {
        Self::pack(Path::best::<W>(width), width, b_t, k, n, true)
    }

    /// Inner dimension, the rows of the operand.
    pub fn k(&self) -> usize {
        self.k
    }

    /// Columns of the operand.
    pub fn n(&self) -> usize {
        self.n
    }

    /// Bits of the ring.
    pub fn width(&self) -> u32 {
        self.width
    }

    pub(super) fn pack(path: Path, width: u32, b: &[W], k: usize, n: usize, transposed: bool) -> Self {
        assert_eq!(b.len(), k * n, "the right operand is not {k} x {n}");
        assert!(
            (1..=W::BITS).contains(&width),
            "a {}-bit word does not hold a ring of {width} bits",
            W::BITS
        );
        assert!(path.supports::<W>(width), "{path:?} does not run here");
        let (nr, rows) = (path.cols::<W>(), k.next_multiple_of(2));
        let count = n.div_ceil(nr);
        let mut panels = lines::<W>(count * nr * rows);
        let mut cross = lines::<W>(if path.crosses::<W>() { count * nr * rows / 2 } else { 0 });
        let fill = |(j, panel): (usize, &mut [W])| {
            let cols = j * nr..n.min((j + 1) * nr);
            if transposed {
                fill_transposed(panel, nr, b, k, cols);
            } else {
                for (to, from) in panel.chunks_exact_mut(nr).zip(b.chunks_exact(n)) {
                    to[..cols.len()].copy_from_slice(&from[cols.clone()]);
                }
            }
            if path.splits::<W>() {
                for pair in panel.chunks_exact_mut(2 * nr) {
                    let (x, y) = pair.split_at_mut(nr);
                    x.iter_mut().zip(y).for_each(|(x, y)| (*x, *y) = split(*x, *y));
                }
            }
        };
        if k > 0 {
            let words: &mut [W] = &mut bytemuck::cast_slice_mut(&mut panels)[..count * nr * rows];
            // A pass over memory costs about as much as eight multiplications per element.
            if tasks::<W>(8, k, n) > 1 {
                words.par_chunks_exact_mut(nr * rows).enumerate().for_each(fill);
            } else {
                words.chunks_exact_mut(nr * rows).enumerate().for_each(fill);
            }
            if path.crosses::<W>() {
                let pairs = words.chunks_exact(2 * nr);
                for (cross, pair) in
                    bytemuck::cast_slice_mut::<_, W>(&mut cross).chunks_exact_mut(nr).zip(pairs)
                {
                    let (x, y) = pair.split_at(nr);
                    cross.iter_mut().zip(x).zip(y).for_each(|((c, x), y)| *c = cross_right(*x, *y));
                }
            }
        }
        Self { k, n, width, path, panels, cross, word: PhantomData }
    }

    /// The operand as seen by a product with `m` rows.
    pub(super) fn right(&self, m: usize) -> Right<'_, W> {
        let (nr, rows) = (self.path.cols::<W>(), self.k.next_multiple_of(2));
        // Few rows wait for memory, and without the cross limbs there is less to read.
        let path = if self.path.crosses::<W>() && m <= 2 { Path::Avx512 } else { self.path };
        Right {
            path,
            data: bytemuck::cast_slice(&self.panels),
            stride: nr,
            panel: nr * rows,
            cross: bytemuck::cast_slice(&self.cross),
        }
    }
}

/// Copies columns `cols` of the transpose of `b_t` into a panel, a few steps at a time so that the panel's lines stay
/// in the cache.
fn fill_transposed<W: Word>(panel: &mut [W], nr: usize, b_t: &[W], k: usize, cols: Range<usize>) {
    for (block, rows) in panel.chunks_mut(16 * nr).enumerate() {
        let steps = 16 * block..k.min(16 * block + 16);
        for (i, j) in cols.clone().enumerate() {
            let from = &b_t[j * k..][steps.clone()];
            for (to, &x) in rows[i..].iter_mut().step_by(nr).zip(from) {
                *to = x;
            }
        }
    }
}

/// A right operand in memory: panel `j` starts at `j * panel` and its rows are `stride` apart.
pub(super) struct Right<'a, W> {
    path: Path,
    data: &'a [W],
    stride: usize,
    panel: usize,
    cross: &'a [W],
}

impl<'a, W: Word> Right<'a, W> {
    /// An operand [k x n] read where it lies, for paths that take elements as they are.
    pub(super) fn direct(path: Path, b: &'a [W], k: usize, n: usize) -> Self {
        assert_eq!(b.len(), k * n, "the right operand is not {k} x {n}");
        assert!(path != Path::Limbs, "limbs need a packed operand");
        Self { path, data: b, stride: n, panel: path.cols::<W>(), cross: &[] }
    }
}

/// How many tasks the product is worth on the current pool.
pub(super) fn tasks<W: Word>(m: usize, k: usize, n: usize) -> usize {
    let work = m.saturating_mul(k).saturating_mul(n).saturating_mul(size_of::<W>());
    if work < 2 * TASK {
        // Without asking rayon for its threads, which may start them.
        return 1;
    }
    match rayon::current_num_threads() {
        1 => 1,
        threads => (work / TASK).min(4 * threads),
    }
}

/// Part `i` of `0..n` cut into `parts` nearly equal parts.
fn part(n: usize, parts: usize, i: usize) -> Range<usize> {
    let start = |i: usize| i * (n / parts) + i.min(n % parts);
    start(i)..start(i + 1)
}

struct Job<'a, W> {
    a: &'a [W],
    lda: usize,
    a2: &'a [W],
    lda2: usize,
    b: &'a Right<'a, W>,
    c: *mut W,
    m: usize,
    k: usize,
    n: usize,
    blocks: usize,
    low: W,
}

// SAFETY: tasks write disjoint rows and columns through `c`; all else is read only.
unsafe impl<W: Word> Sync for Job<'_, W> {}

/// `C += A * B` modulo 2^width for A [m x k] and B [k x n].
pub(super) fn product<W: Word>(
    width: u32,
    m: usize,
    k: usize,
    n: usize,
    a: &[W],
    b: &Right<'_, W>,
    c: &mut [W],
) {
    assert_eq!(a.len(), m * k, "the left operand is not {m} x {k}");
    assert_eq!(c.len(), m * n, "the output is not {m} x {n}");
    assert!((1..=W::BITS).contains(&width), "a {}-bit word does not hold a ring of {width} bits", W::BITS);
    assert!(b.path.supports::<W>(width), "{:?} does not run here", b.path);
    if m == 0 || k == 0 || n == 0 {
        return;
    }
    let tasks = tasks::<W>(m, k, n);
    let pairs = k.div_ceil(2);
    let split_a = b.path.splits::<W>().then(|| {
        map_rows(a, k, 2 * pairs, tasks > 1, |row, to| {
            pair_up(row, to.chunks_exact_mut(2), |x, y, to| (to[0], to[1]) = split(x, y));
        })
    });
    let cross_a = b.path.crosses::<W>().then(|| {
        map_rows(a, k, pairs, tasks > 1, |row, to| {
            pair_up(row, to.iter_mut(), |x, y, to| *to = cross_left(x, y))
        })
    });
    let (a, lda) = split_a.as_deref().map_or((a, k), |split| (split, 2 * pairs));
    let mr = b.path.rows::<W>();
    let blocks = m.div_ceil(mr);
    let panels = n.div_ceil(b.path.cols::<W>());
    let job = Job {
        a,
        lda,
        a2: cross_a.as_deref().unwrap_or_default(),
        lda2: pairs,
        b,
        c: c.as_mut_ptr(),
        m,
        k,
        n,
        blocks,
        low: W::mask(width),
    };
    if tasks <= 1 {
        // SAFETY: the only task.
        unsafe { job.run(0..blocks, 0..panels) };
    } else {
        let across = tasks.min(panels);
        let down = tasks.div_ceil(across).min(blocks);
        (0..across * down).into_par_iter().for_each(|i| {
            // SAFETY: no two tasks share both a block of rows and a panel.
            unsafe { job.run(part(blocks, down, i / across), part(panels, across, i % across)) };
        });
    }
}

impl<W: Word> Job<'_, W> {
    /// Adds the blocks of rows and panels of columns given.
    ///
    /// # Safety
    /// Nobody else uses these parts of the output.
    unsafe fn run(&self, blocks: Range<usize>, panels: Range<usize>) {
        let path = self.b.path;
        let nr = path.cols::<W>();
        for step in (0..self.k).step_by(DEPTH) {
            for j in panels.clone() {
                for i in blocks.clone() {
                    let rows = part(self.m, self.blocks, i);
                    let tile = Tile {
                        a: self.a.as_ptr().wrapping_add(rows.start * self.lda + step),
                        lda: self.lda,
                        b: self.b.data.as_ptr().wrapping_add(j * self.b.panel + step * self.b.stride),
                        ldb: self.b.stride,
                        a2: self.a2.as_ptr().wrapping_add(rows.start * self.lda2 + step / 2),
                        lda2: self.lda2,
                        b2: self.b.cross.as_ptr().wrapping_add(j * self.b.panel / 2 + step / 2 * nr),
                        c: self.c.wrapping_add(rows.start * self.n + j * nr),
                        ldc: self.n,
                        k: DEPTH.min(self.k - step),
                        cols: nr.min(self.n - j * nr),
                        low: self.low,
                    };
                    // SAFETY: `product` checked the path and the lengths of A and C, and the constructors of the
                    // right operand its length; rows, columns and steps are within them.
                    unsafe { tile.run(path, rows.len()) };
                }
            }
        }
    }
}

/// A new matrix with rows of `len` words made from the rows of `a`, of `k` words.
fn map_rows<W: Word>(
    a: &[W],
    k: usize,
    len: usize,
    parallel: bool,
    f: impl Fn(&[W], &mut [W]) + Sync,
) -> Vec<W> {
    let mut out = vec![W::zero(); a.len() / k * len];
    if parallel && out.len() > 1 << 16 {
        out.par_chunks_exact_mut(len)
            .zip(a.par_chunks_exact(k))
            .with_min_len(8)
            .for_each(|(to, row)| f(row, to));
    } else {
        out.chunks_exact_mut(len).zip(a.chunks_exact(k)).for_each(|(to, row)| f(row, to));
    }
    out
}

/// Calls `f` for each two elements of a row and their place in the output; an odd last element is paired with zero.
#[inline(always)]
fn pair_up<W: Word, T>(row: &[W], mut to: impl Iterator<Item = T>, f: impl Fn(W, W, T)) {
    let pairs = row.chunks_exact(2);
    let last = pairs.remainder().first();
    for (pair, to) in pairs.zip(to.by_ref()) {
        f(pair[0], pair[1], to);
    }
    if let (Some(&x), Some(to)) = (last, to.next()) {
        f(x, W::zero(), to);
    }
}
