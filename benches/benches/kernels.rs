//! Matrix products, wire packing and the generator, beside register-only multiply-add loops, which bound the products.
//! Throughput counts multiply-adds for products, bytes of words for packing, and words for the generator.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ditto_benches::registers::loops;
use ditto_core::kernel::{PackedB, batched_matmul, batched_matmul_bt, matmul, matmul_bt, matmul_packed};
use ditto_core::kernel::{pack, unpack};
use ditto_core::prg::{Prg, Seed};
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

fn registers(c: &mut Criterion) {
    let mut group = c.benchmark_group("registers only");
    for registers in loops() {
        group.throughput(Throughput::Elements(registers.multiply_adds));
        group.bench_function(registers.name, |b| b.iter(|| registers.run()));
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

fn products(c: &mut Criterion) {
    // Figures are per core. Nothing has started the pool yet: this is the first group.
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global().expect("the only pool of this process");
    registers(c);
    dense::<u32>(c, 32);
    dense::<u64>(c, 64);
    dense::<u64>(c, 48);
}

fn generator(c: &mut Criterion) {
    let mut group = c.benchmark_group("generator");
    let prg = Prg::new(&Seed::new([7; 16]));
    let mut bytes = vec![0u8; 1 << 20];
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("bytes", |b| b.iter(|| prg.fill(1, 0, black_box(&mut bytes))));
    let n = 1 << 18;
    group.throughput(Throughput::Elements(n as u64));
    group.bench_function("bits as u8", |b| b.iter(|| prg.words::<u8>(1, 0, black_box(n), 1)));
    for k in [8, 20, 32] {
        group.bench_function(BenchmarkId::new("u32", k), |b| {
            b.iter(|| prg.words::<u32>(1, 0, black_box(n), k))
        });
    }
    for k in [48, 64] {
        group.bench_function(BenchmarkId::new("u64", k), |b| {
            b.iter(|| prg.words::<u64>(1, 0, black_box(n), k))
        });
    }
    group.finish();
}

criterion_group!(benches, products, packing, generator);
criterion_main!(benches);
