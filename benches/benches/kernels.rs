//! Matrix products and wire packing, beside register-only multiply-add loops, which bound a product that multiplies
//! whole elements. Throughput counts multiply-adds for products and bytes of words for packing.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ditto_core::kernel::pack_bits::{pack, unpack};
use ditto_core::kernel::{PackedB, batched_matmul, batched_matmul_bt, matmul, matmul_bt, matmul_packed};
use ditto_core::ring::Word;

fn words<W: Word>(len: usize, width: u32) -> Vec<W> {
    let mut s = 0x9e37_79b9_7f4a_7c15u64;
    (0..len)
        .map(|_| {
            s ^= s << 13;
            s ^= s >> 7;
            s ^= s << 17;
            W::from_u64(s).low(width)
        })
        .collect()
}

/// One thread, so that figures are per core.
fn one_core<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool of one thread").install(f)
}

fn dense<W: Word>(c: &mut Criterion, width: u32) {
    let (k, n) = (768, 3072);
    let mut group = c.benchmark_group(format!("{width} of {} bits", W::BITS));
    let weights = words::<W>(k * n, width);
    let packed = PackedB::new(width, &weights, k, n);
    for m in [1, 8, 128] {
        let a = words::<W>(m * k, width);
        let mut out = vec![W::zero(); m * n];
        group.throughput(Throughput::Elements((m * k * n) as u64));
        group.bench_function(BenchmarkId::new("packed", format!("{m} x {k} x {n}")), |b| {
            b.iter(|| matmul_packed(&a, m, &packed, black_box(&mut out)));
        });
        group.bench_function(BenchmarkId::new("unpacked", format!("{m} x {k} x {n}")), |b| {
            b.iter(|| matmul(width, m, k, n, &a, &weights, black_box(&mut out)));
        });
        group.bench_function(BenchmarkId::new("transposed", format!("{m} x {k} x {n}")), |b| {
            b.iter(|| matmul_bt(width, m, k, n, &a, &weights, black_box(&mut out)));
        });
    }
    let (heads, m, k, n) = (12, 128, 64, 128);
    let (a, b) = (words::<W>(heads * m * k, width), words::<W>(heads * k * n, width));
    let mut out = vec![W::zero(); heads * m * n];
    group.throughput(Throughput::Elements((heads * m * k * n) as u64));
    group.bench_function("12 heads, 128 x 64 x 128", |bench| {
        bench.iter(|| batched_matmul(width, heads, m, k, n, &a, &b, black_box(&mut out)));
    });
    group.bench_function("12 heads, 128 x 64 x 128, transposed", |bench| {
        bench.iter(|| batched_matmul_bt(width, heads, m, k, n, &a, &b, black_box(&mut out)));
    });
    group.finish();
}

/// Multiply-adds without memory: 24 independent chains of whole vectors.
fn registers<W: Word, const LANES: usize>(c: &mut Criterion) {
    const STEPS: usize = 10_000;
    #[inline(always)]
    fn body<W: Word, const LANES: usize>() -> [[W; LANES]; 24] {
        let (x, y) = (black_box([W::from_u64(3); LANES]), black_box([W::from_u64(5); LANES]));
        let mut acc = [[W::zero(); LANES]; 24];
        for i in 0..STEPS {
            // The factor depends on the step, so that the product cannot be hoisted out of the loop.
            let mut x = x;
            x.iter_mut().for_each(|x| *x = x.wrapping_add(&W::from_u64(i as u64)));
            for (s, z) in acc.iter_mut().zip(0u64..) {
                for j in 0..LANES {
                    s[j] = s[j].wrapping_add(&(x[j] ^ W::from_u64(z)).wrapping_mul(&y[j]));
                }
            }
        }
        acc
    }
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn avx2<W: Word, const LANES: usize>() -> [[W; LANES]; 24] {
        body()
    }
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    fn avx512<W: Word, const LANES: usize>() -> [[W; LANES]; 24] {
        body()
    }

    let mut group = c.benchmark_group(format!("registers only, {} bits", W::BITS));
    group.throughput(Throughput::Elements((STEPS * 24 * LANES) as u64));
    group.bench_function("portable", |b| b.iter(body::<W, LANES>));
    #[cfg(target_arch = "x86_64")]
    #[allow(unsafe_code, reason = "the features are detected first")]
    {
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the feature is there.
            group.bench_function("AVX2", |b| b.iter(|| unsafe { avx2::<W, LANES>() }));
        }
        if ["avx512f"]
            .iter()
            .all(|_| is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq"))
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
        {
            // SAFETY: the features are there.
            group.bench_function("AVX-512", |b| b.iter(|| unsafe { avx512::<W, LANES>() }));
        }
    }
    group.finish();
}

fn packing(c: &mut Criterion) {
    let mut group = c.benchmark_group("wire");
    let n = 1 << 18;
    for k in [1, 8, 17, 20, 23, 24, 31, 32] {
        let words = words::<u32>(n, k);
        let bytes = pack(&words, k);
        group.throughput(Throughput::Bytes(4 * n as u64));
        group.bench_function(BenchmarkId::new("pack u32", k), |b| b.iter(|| pack(black_box(&words), k)));
        group.bench_function(BenchmarkId::new("unpack u32", k), |b| {
            b.iter(|| unpack::<u32>(black_box(&bytes), n, k));
        });
    }
    for k in [1, 48, 52, 63] {
        let words = words::<u64>(n, k);
        let bytes = pack(&words, k);
        group.throughput(Throughput::Bytes(8 * n as u64));
        group.bench_function(BenchmarkId::new("pack u64", k), |b| b.iter(|| pack(black_box(&words), k)));
        group.bench_function(BenchmarkId::new("unpack u64", k), |b| {
            b.iter(|| unpack::<u64>(black_box(&bytes), n, k));
        });
    }
    let words = words::<u8>(n, 1);
    let bytes = pack(&words, 1);
    group.throughput(Throughput::Bytes(n as u64));
    group.bench_function("pack u8/1", |b| b.iter(|| pack(black_box(&words), 1)));
    group.bench_function("unpack u8/1", |b| b.iter(|| unpack::<u8>(black_box(&bytes), n, 1)));
    group.finish();
}

fn kernels(c: &mut Criterion) {
    registers::<u32, 16>(c);
    registers::<u64, 8>(c);
    packing(c);
}

fn products(c: &mut Criterion) {
    dense::<u32>(c, 32);
    dense::<u64>(c, 64);
    dense::<u64>(c, 48);
}

fn products_on_one_core(c: &mut Criterion) {
    let mut c = std::mem::take(c);
    one_core(move || products(&mut c));
}

criterion_group!(benches, kernels, products_on_one_core);
criterion_main!(benches);
