//! Whole products out of register blocks: packed operands, blocking for the caches, and threads.

#![allow(unsafe_code, reason = "aligned panels, and disjoint parts of one output matrix for the threads")]

use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

use bytemuck::{Pod, Zeroable};
use rayon::prelude::*;

use super::gemm::{DEPTH, Path, Tile, cross_left, cross_right, dot, split};
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

/// How a left operand is interleaved.
#[derive(Clone, Copy)]
enum Form {
    Whole,
    Split,
    Cross,
}

/// Interleaves a left operand [m x k]: block of rows after block of rows, and in a block step after step, so that a
/// register block reads one stream. Limb forms take an even number of steps, cross limbs half of it.
fn interleave<W: Word>(a: &[W], m: usize, k: usize, blocks: usize, form: Form, parallel: bool) -> Vec<W> {
    let steps = match form {
        Form::Whole => k,
        Form::Split => k.next_multiple_of(2),
        Form::Cross => k.div_ceil(2),
    };
    let mut out = vec![W::zero(); m * steps];
    let mut rest = (a, &mut out[..]);
    let parts: Vec<_> = (0..blocks)
        .map(|i| {
            let rows = part(m, blocks, i).len();
            let (from, to) =
                (rest.0.split_at(rows * k), std::mem::take(&mut rest.1).split_at_mut(rows * steps));
            rest = (from.1, to.1);
            (rows, from.0, to.0)
        })
        .collect();
    let one = |(rows, from, to)| match rows {
        1 => interleave_rows::<W, 1>(from, k, to, form),
        2 => interleave_rows::<W, 2>(from, k, to, form),
        3 => interleave_rows::<W, 3>(from, k, to, form),
        4 => interleave_rows::<W, 4>(from, k, to, form),
        5 => interleave_rows::<W, 5>(from, k, to, form),
        6 => interleave_rows::<W, 6>(from, k, to, form),
        7 => interleave_rows::<W, 7>(from, k, to, form),
        8 => interleave_rows::<W, 8>(from, k, to, form),
        _ => unreachable!("no register block of {rows} rows"),
    };
    if parallel && m * k > 1 << 16 {
        parts.into_par_iter().with_min_len(4).for_each(one);
    } else {
        parts.into_iter().for_each(one);
    }
    out
}

fn interleave_rows<W: Word, const R: usize>(from: &[W], k: usize, to: &mut [W], form: Form) {
    let rows: [&[W]; R] = std::array::from_fn(|r| &from[r * k..][..k]);
    let even = k - k % 2;
    // An odd last step is paired with zero.
    let pair = |r: usize, p: usize| (rows[r][p], if p < even { rows[r][p + 1] } else { W::zero() });
    match form {
        Form::Whole => {
            for (p, to) in to.as_chunks_mut::<R>().0.iter_mut().enumerate() {
                *to = std::array::from_fn(|r| rows[r][p]);
            }
        }
        Form::Split => {
            for (p, to) in to.chunks_exact_mut(2 * R).enumerate() {
                let (low, high) = to.split_at_mut(R);
                for r in 0..R {
                    let (x, y) = pair(r, 2 * p);
                    (low[r], high[r]) = split(x, y);
                }
            }
        }
        Form::Cross => {
            for (p, to) in to.as_chunks_mut::<R>().0.iter_mut().enumerate() {
                *to = std::array::from_fn(|r| {
                    let (x, y) = pair(r, 2 * p);
                    cross_left(x, y)
                });
            }
        }
    }
}

/// Bytes of the left operand that a task keeps in the second-level cache while it walks the panels.
const LEFT: usize = 1 << 20;

/// A left operand as the register blocks read it.
#[derive(Clone, Copy)]
enum Left<'a, W> {
    /// Rows where they lie.
    Rows(&'a [W]),
    /// Interleaved, with so many steps, and its cross limbs, if any.
    Blocks(&'a [W], usize, &'a [W]),
}

struct Job<'a, W> {
    a: Left<'a, W>,
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
    let blocks = m.div_ceil(b.path.rows::<W>());
    let panels = n.div_ceil(b.path.cols::<W>());
    let limbs = b.path.splits::<W>() || b.path.crosses::<W>();
    let form = if b.path.splits::<W>() { Form::Split } else { Form::Whole };
    // Interleaving pays when it is read a few times.
    let whole = (limbs || m > 1 && panels > 3).then(|| interleave(a, m, k, blocks, form, tasks > 1));
    let cross = b.path.crosses::<W>().then(|| interleave(a, m, k, blocks, Form::Cross, tasks > 1));
    let left = match &whole {
        Some(whole) => Left::Blocks(whole, whole.len() / m, cross.as_deref().unwrap_or_default()),
        None => Left::Rows(a),
    };
    let job = Job { a: left, b, c: c.as_mut_ptr(), m, k, n, blocks, low: W::mask(width) };
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
        let left = LEFT / size_of::<W>();
        // Few rows are walked over many steps, many rows over few, so that they stay in the cache for all panels.
        let group = (left / (DEPTH * self.b.path.rows::<W>())).min(blocks.len());
        let deep = (left / (group * self.b.path.rows::<W>())).max(DEPTH).next_multiple_of(DEPTH);
        for start in blocks.clone().step_by(group) {
            let group = start..blocks.end.min(start + group);
            for first in (0..self.k).step_by(deep) {
                for j in panels.clone() {
                    for step in (first..self.k.min(first + deep)).step_by(DEPTH) {
                        for i in group.clone() {
                            // SAFETY: handed on to the caller.
                            unsafe { self.tile(i, j, step) };
                        }
                    }
                }
            }
        }
    }

    /// Adds one block of rows, one panel and `DEPTH` steps.
    ///
    /// # Safety
    /// Nobody else uses this part of the output.
    unsafe fn tile(&self, i: usize, j: usize, step: usize) {
        let Right { path, data, stride, panel, cross } = *self.b;
        let nr = path.cols::<W>();
        let rows = part(self.m, self.blocks, i);
        let (a, a2, a_row, a_step) = match self.a {
            Left::Rows(a) => {
                let a = a.as_ptr().wrapping_add(rows.start * self.k + step);
                (a, a, self.k, 1)
            }
            Left::Blocks(a, steps, cross) => {
                let a = a.as_ptr().wrapping_add(rows.start * steps + step * rows.len());
                let cross =
                    cross.as_ptr().wrapping_add(rows.start * steps.div_ceil(2) + step / 2 * rows.len());
                (a, cross, 1, rows.len())
            }
        };
        let tile = Tile {
            a,
            a_row,
            a_step,
            a2,
            b: data.as_ptr().wrapping_add(j * panel + step * stride),
            ldb: stride,
            b2: cross.as_ptr().wrapping_add(j * panel / 2 + step / 2 * nr),
            c: self.c.wrapping_add(rows.start * self.n + j * nr),
            ldc: self.n,
            k: DEPTH.min(self.k - step),
            cols: nr.min(self.n - j * nr),
            low: self.low,
        };
        // SAFETY: `product` checked the path and the lengths of A and C, and the constructors of the right operand its
        // length; rows, columns and steps are within them.
        unsafe { tile.run(path, rows.len()) };
    }
}

/// `C += A * B^T` modulo 2^width for a single row A [1 x k] and B^T [n x k], read where it lies: packing would cost
/// more than the products.
pub(super) fn row_by_rows<W: Word>(width: u32, k: usize, n: usize, a: &[W], b_t: &[W], c: &mut [W]) {
    assert_eq!(a.len(), k, "the left operand is not 1 x {k}");
    assert_eq!(b_t.len(), k * n, "the right operand is not the transpose of {k} x {n}");
    assert_eq!(c.len(), n, "the output is not 1 x {n}");
    assert!((1..=W::BITS).contains(&width), "a {}-bit word does not hold a ring of {width} bits", W::BITS);
    if k == 0 || n == 0 {
        return;
    }
    let rows = n.div_ceil(tasks::<W>(1, k, n));
    let some = |(c, b_t): (&mut [W], &[W])| {
        for (c, b) in c.iter_mut().zip(b_t.chunks_exact(k)) {
            *c = c.wrapping_add(&dot(a, b)).low(width);
        }
    };
    if rows == n {
        some((c, b_t));
    } else {
        c.par_chunks_mut(rows).zip(b_t.par_chunks(rows * k)).for_each(some);
    }
}
