//! Every path of the products that runs on this machine, against the triple loop.

use proptest::prelude::*;

use super::*;

/// Words from a fixed generator; the top and bottom of the range come often, because limbs carry there.
fn words<W: Word>(seed: u64, len: usize, width: u32) -> Vec<W> {
    let mut s = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        s ^= s << 13;
        s ^= s >> 7;
        s ^= s << 17;
        s
    };
    (0..len)
        .map(|_| match next() % 8 {
            0 => W::mask(width),
            1 => W::from_u64(0x8000_8000_8000_8000).low(width),
            2 => W::from_u64(next() % 3).low(width),
            _ => W::from_u128(u128::from(next()) << 64 | u128::from(next())).low(width),
        })
        .collect()
}

fn naive<W: Word>(width: u32, [m, k, n]: [usize; 3], a: &[W], b: &[W], c: &mut [W]) {
    for i in 0..m {
        for j in 0..n {
            for p in 0..k {
                c[i * n + j] = c[i * n + j].wrapping_add(&a[i * k + p].wrapping_mul(&b[p * n + j]));
            }
            c[i * n + j] = c[i * n + j].low(width);
        }
    }
}

fn transpose<W: Word>(b: &[W], k: usize, n: usize) -> Vec<W> {
    (0..n * k).map(|i| b[i % k * n + i / k]).collect()
}

fn check<W: Word>(width: u32, [m, k, n]: [usize; 3], seed: u64) {
    let a = words::<W>(seed, m * k, width);
    let b = words::<W>(seed + 1, k * n, width);
    let c = words::<W>(seed + 2, m * n, width);
    let b_t = transpose(&b, k, n);
    let mut expected = c.clone();
    naive(width, [m, k, n], &a, &b, &mut expected);
    let same = |got: &[W], what: &str| {
        assert!(got == expected, "{what}: {m} x {k} x {n}, {width} of {} bits, seed {seed}", W::BITS);
    };
    for path in Path::ALL.into_iter().filter(|p| p.supports::<W>(width)) {
        for (operand, transposed) in [(&b, false), (&b_t, true)] {
            let mut got = c.clone();
            matmul_packed(&a, m, &PackedB::pack(path, width, operand, k, n, transposed), &mut got);
            same(&got, &format!("packed {path:?}, transposed {transposed}"));
        }
        let mut got = c.clone();
        matmul_on(path, width, m, k, n, &a, &b, &mut got);
        same(&got, &format!("unpacked {path:?}"));
    }
    let mut got = c.clone();
    matmul(width, m, k, n, &a, &b, &mut got);
    same(&got, "matmul");
    let mut got = c.clone();
    matmul_bt(width, m, k, n, &a, &b_t, &mut got);
    same(&got, "matmul_bt");
}

fn check_words(dims: [usize; 3], seed: u64) {
    check::<u8>(8, dims, seed);
    check::<u8>(3, dims, seed);
    check::<u16>(16, dims, seed);
    check::<u16>(9, dims, seed);
    for width in [32, 31, 20, 1] {
        check::<u32>(width, dims, seed);
    }
    for width in [64, 63, 53, 52, 48, 33] {
        check::<u64>(width, dims, seed);
    }
    check::<u128>(128, dims, seed);
    check::<u128>(80, dims, seed);
}

#[test]
fn edges_of_the_blocks() {
    for dims in
        [[0, 3, 3], [3, 0, 3], [3, 3, 0], [1, 1, 1], [1, 513, 97], [13, 257, 33], [8, 256, 32], [65, 2, 1]]
    {
        check_words(dims, 7);
    }
    for m in 1..=9 {
        check::<u32>(32, [m, 7, 40], m as u64);
        check::<u64>(64, [m, 7, 20], m as u64);
        check::<u64>(50, [m, 7, 20], m as u64);
        check::<u16>(16, [m, 7, 70], m as u64);
    }
}

#[test]
fn threads_share_the_output() {
    for dims in [[96, 300, 500], [1, 3000, 3001], [1500, 129, 17]] {
        check::<u32>(30, dims, 1);
        check::<u64>(64, dims, 2);
        check::<u64>(48, dims, 3);
    }
    check::<u128>(128, [1, 700, 900], 5);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().expect("a pool of threads");
    pool.install(|| check::<u32>(32, [96, 300, 500], 4));
}

#[test]
fn batches() {
    for (batch, [m, k, n]) in
        [(0, [2, 2, 2]), (3, [0, 2, 2]), (5, [17, 9, 33]), (12, [64, 64, 64]), (70, [3, 40, 5])]
    {
        let a = words::<u32>(1, batch * m * k, 32);
        let b = words::<u32>(2, batch * k * n, 32);
        let c = words::<u32>(3, batch * m * n, 32);
        let mut b_t = Vec::new();
        let mut expected = c.clone();
        for i in 0..batch {
            let b = &b[i * k * n..][..k * n];
            naive(32, [m, k, n], &a[i * m * k..][..m * k], b, &mut expected[i * m * n..][..m * n]);
            b_t.extend(transpose(b, k, n));
        }
        let mut got = c.clone();
        batched_matmul(32, batch, m, k, n, &a, &b, &mut got);
        assert_eq!(got, expected);
        let mut got = c.clone();
        batched_matmul_bt(32, batch, m, k, n, &a, &b_t, &mut got);
        assert_eq!(got, expected);
    }
}

#[test]
#[should_panic(expected = "the right operand is not 3 x 4")]
fn a_wrong_length_is_named() {
    PackedB::<u32>::new(32, &[0; 11], 3, 4);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_shape(m in 0usize..40, k in 0usize..300, n in 0usize..100, seed in any::<u32>()) {
        check_words([m, k, n], u64::from(seed));
    }

    #[test]
    fn any_width(m in 1usize..9, k in 1usize..20, n in 1usize..40, w in 1u32..=64, seed in any::<u32>()) {
        check::<u64>(w, [m, k, n], u64::from(seed));
        check::<u32>(w.div_ceil(2), [m, k, n], u64::from(seed));
    }
}
