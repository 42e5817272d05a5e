//! Compute kernels of the protocols: wrapping matrix products over Z_{2^k} and the packing of k-bit elements for the
//! wire.
//!
//! Matrices are row-major slices. Every product adds to its output, `C += A * B`, and takes the `width` of the ring in
//! bits: elements are below 2^width on input and are reduced to it on output. A product runs on rayon when the work
//! pays for waking threads, on the pool of the calling thread, and on the calling thread alone otherwise.

use rayon::prelude::*;

use crate::ring::Word;

mod gemm;
#[cfg(target_arch = "x86_64")]
mod gemm_x86;
mod pack_bits;
mod product;

use gemm::Path;
pub use pack_bits::{pack, packed_len, unpack};
pub use product::PackedB;
use product::{Right, product};

/// `C += A * B` with a packed right operand: `a` is [m x k], `c` is [m x n], modulo 2^width of the packed operand.
pub fn matmul_packed<W: Word>(a: &[W], m: usize, b: &PackedB<W>, c: &mut [W]) {
    product(b.width(), m, b.k(), b.n(), a, &b.right(m), c);
}

/// `C += A * B` modulo 2^width: `a` is [m x k], `b` is [k x n], `c` is [m x n].
pub fn matmul<W: Word>(width: u32, m: usize, k: usize, n: usize, a: &[W], b: &[W], c: &mut [W]) {
    matmul_on(Path::best::<W>(width), width, m, k, n, a, b, c);
}

/// `C += A * B^T` modulo 2^width: `a` is [m x k], `b_t` is [n x k], `c` is [m x n].
pub fn matmul_bt<W: Word>(width: u32, m: usize, k: usize, n: usize, a: &[W], b_t: &[W], c: &mut [W]) {
    if m == 1 {
        return product::row_by_rows(width, k, n, a, b_t, c);
    }
    let b = PackedB::pack(Path::best::<W>(width), width, b_t, k, n, true);
    matmul_packed(a, m, &b, c);
}

/// [`matmul`] over `batch` independent products, each of the three matrices stored batch after batch.
#[expect(clippy::too_many_arguments, reason = "the dimensions of a product, flat like those of `matmul`")]
pub fn batched_matmul<W: Word>(
    width: u32,
    batch: usize,
    m: usize,
    k: usize,
    n: usize,
    a: &[W],
    b: &[W],
    c: &mut [W],
) {
    batched(batch, [m, k, n], a, b, c, |a, b, c| matmul(width, m, k, n, a, b, c));
}

/// [`matmul_bt`] over `batch` independent products, each of the three matrices stored batch after batch.
#[expect(clippy::too_many_arguments, reason = "the dimensions of a product, flat like those of `matmul_bt`")]
pub fn batched_matmul_bt<W: Word>(
    width: u32,
    batch: usize,
    m: usize,
    k: usize,
    n: usize,
    a: &[W],
    b_t: &[W],
    c: &mut [W],
) {
    batched(batch, [m, k, n], a, b_t, c, |a, b, c| matmul_bt(width, m, k, n, a, b, c));
}

#[expect(clippy::too_many_arguments, reason = "the dimensions of a product and its path")]
fn matmul_on<W: Word>(path: Path, width: u32, m: usize, k: usize, n: usize, a: &[W], b: &[W], c: &mut [W]) {
    // With a single block of rows B is read once, where it lies.
    let direct = match path {
        Path::Limbs => Path::Avx512,
        path => path,
    };
    if m <= direct.rows::<W>() {
        product(width, m, k, n, a, &Right::direct(direct, b, k, n), c);
    } else {
        matmul_packed(a, m, &PackedB::pack(path, width, b, k, n, false), c);
    }
}

fn batched<W: Word>(
    batch: usize,
    [m, k, n]: [usize; 3],
    a: &[W],
    b: &[W],
    c: &mut [W],
    one: impl Fn(&[W], &[W], &mut [W]) + Sync,
) {
    assert_eq!(a.len(), batch * m * k, "the left operands are not {batch} x {m} x {k}");
    assert_eq!(b.len(), batch * k * n, "the right operands are not {batch} x {k} x {n}");
    assert_eq!(c.len(), batch * m * n, "the outputs are not {batch} x {m} x {n}");
    if m == 0 || k == 0 || n == 0 {
        return;
    }
    let tasks = product::tasks::<W>(batch * m, k, n).min(batch);
    let one = |i: usize, c: &mut [W]| one(&a[i * m * k..][..m * k], &b[i * k * n..][..k * n], c);
    if tasks <= 1 {
        c.chunks_exact_mut(m * n).enumerate().for_each(|(i, c)| one(i, c));
    } else {
        let chunks = c.par_chunks_exact_mut(m * n).enumerate();
        chunks.with_min_len(batch / tasks).for_each(|(i, c)| one(i, c));
    }
}

#[cfg(test)]
mod tests;
