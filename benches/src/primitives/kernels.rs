//! Matrix products beside loops that bound them, on one core.

use std::hint::black_box;
use std::time::Instant;

use ditto_core::kernel::{PackedB, matmul_packed};
use ditto_core::prg::{Prg, Seed};
use ditto_core::ring::Word;
use serde::Serialize;

use crate::error::{BenchError, Result};
use crate::registers::{Loop, loops, read};
use crate::statistics::median;
use crate::text::Table;

/// What the kernels do.
#[derive(Debug, Serialize)]
pub struct Kernels {
    /// Products of 128 rows with a matrix.
    pub products: Vec<Product>,
    /// Products of one row with a matrix that no cache holds.
    pub rows: Vec<Row>,
    /// Bytes that a loop over memory reads in a second.
    pub read_bytes_per_second: f64,
}

/// A product of matrices.
#[derive(Debug, Serialize)]
pub struct Product {
    /// Bits of the ring.
    pub ring: u32,
    /// Rows, inner dimension, columns.
    pub shape: [usize; 3],
    /// Multiply-adds in a second.
    pub multiply_adds_per_second: f64,
    /// The loop on registers that bounds it, if this processor has one for the ring.
    pub bound: Option<Bound>,
}

/// A loop on registers.
#[derive(Debug, Serialize)]
pub struct Bound {
    /// What it multiplies.
    pub name: &'static str,
    /// Multiply-adds in a second.
    pub multiply_adds_per_second: f64,
    /// What part of that the product reaches.
    pub reached: f64,
}

/// A product of one row.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Bits of the ring.
    pub ring: u32,
    /// Inner dimension, columns.
    pub shape: [usize; 2],
    /// Bytes of the packed matrix's numbers gone through in a second.
    pub bytes_per_second: f64,
    /// What part of reading alone that is.
    pub reached: f64,
}

/// Rows, inner dimension and columns of BERT-base's first feed-forward layer.
const SHAPE: [usize; 3] = [128, 768, 3072];
/// Inner dimension and columns of GPT-2's logits.
const LOGITS: [usize; 2] = [768, 50257];
/// Least seconds of one measurement.
const LEAST: f64 = 0.02;

/// Seconds of one call, from as many as take a while.
fn time(mut call: impl FnMut()) -> f64 {
    let (begun, mut calls) = (Instant::now(), 0u32);
    loop {
        call();
        calls += 1;
        let seconds = begun.elapsed().as_secs_f64();
        if seconds >= LEAST {
            return seconds / f64::from(calls);
        }
    }
}

fn words<W: Word>(n: usize, k: u32) -> Vec<W> {
    Prg::new(&Seed::new([1; 16])).words(0, 0, n, k)
}

/// The loop for a ring: the last that multiplies such words.
fn bound_of(ring: u32, loops: &[Loop]) -> Option<Loop> {
    let multiplies = match ring {
        16 => "two u16",
        32 => "u32",
        48 => "52-bit",
        _ => "u64",
    };
    loops.iter().rev().find(|l| l.name.starts_with(multiplies)).copied()
}

impl Kernels {
    /// Measures all of them; each product takes turns with its bound.
    pub fn measure(reps: usize) -> Result<Self> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
        let pool = pool.map_err(|e| BenchError::Option { option: "reps", what: e.to_string() })?;
        Ok(pool.install(|| {
            let loops = loops();
            let products = vec![
                product::<u16>(16, reps, &loops),
                product::<u32>(32, reps, &loops),
                product::<u64>(48, reps, &loops),
                product::<u64>(64, reps, &loops),
            ];
            let memory = vec![1u64; LOGITS[0] * LOGITS[1] / 2];
            let bytes = (8 * memory.len()) as f64;
            let mut reads = Vec::new();
            let rows = vec![
                row::<u32>(32, reps, &memory, &mut reads),
                row::<u64>(48, reps, &memory, &mut reads),
                row::<u64>(64, reps, &memory, &mut reads),
            ];
            let read_bytes_per_second = bytes / median(&reads);
            let rows = rows.into_iter().map(|(ring, bytes_per_second)| Row {
                ring,
                shape: LOGITS,
                bytes_per_second,
                reached: bytes_per_second / read_bytes_per_second,
            });
            Self { products, rows: rows.collect(), read_bytes_per_second }
        }))
    }

    /// As tables.
    pub fn text(&self) -> String {
        let mut products = Table::new(["", "G mult-adds/s", "registers only", "reached", "by the loop"]);
        for p in &self.products {
            let [m, k, n] = p.shape;
            let mut row = vec![
                format!("{m} x {k} x {n}, {} bits", p.ring),
                format!("{:.1}", p.multiply_adds_per_second / 1e9),
            ];
            if let Some(bound) = &p.bound {
                row.extend([
                    format!("{:.1}", bound.multiply_adds_per_second / 1e9),
                    format!("{:.0}%", 100.0 * bound.reached),
                    bound.name.to_owned(),
                ]);
            }
            products.row(row);
        }
        let mut rows = Table::new(["", "GB/s", "reading alone", "reached"]);
        for r in &self.rows {
            let [k, n] = r.shape;
            rows.row([
                format!("1 x {k} x {n}, {} bits", r.ring),
                format!("{:.1}", r.bytes_per_second / 1e9),
                format!("{:.1}", self.read_bytes_per_second / 1e9),
                format!("{:.0}%", 100.0 * r.reached),
            ]);
        }
        products.markdown() + "\n" + &rows.markdown()
    }
}

fn product<W: Word>(ring: u32, reps: usize, loops: &[Loop]) -> Product {
    let [m, k, n] = SHAPE;
    let packed = PackedB::new(ring, &words::<W>(k * n, ring), k, n);
    let (a, mut out) = (words::<W>(m * k, ring), vec![W::zero(); m * n]);
    let bound = bound_of(ring, loops);
    let (mut products, mut bounds) = (Vec::new(), Vec::new());
    for _ in 0..reps {
        products.push((m * k * n) as f64 / time(|| matmul_packed(&a, m, &packed, black_box(&mut out))));
        bounds.extend(bound.map(|l| l.multiply_adds as f64 / time(|| l.run())));
    }
    let rate = median(&products);
    let bound = bound.map(|l| Bound {
        name: l.name,
        multiply_adds_per_second: median(&bounds),
        reached: rate / median(&bounds),
    });
    Product { ring, shape: SHAPE, multiply_adds_per_second: rate, bound }
}

/// The ring, and bytes in a second; seconds of reading `memory` go to `reads`.
fn row<W: Word>(ring: u32, reps: usize, memory: &[u64], reads: &mut Vec<f64>) -> (u32, f64) {
    let [k, n] = LOGITS;
    let packed = PackedB::new(ring, &words::<W>(k * n, ring), k, n);
    let (a, mut out) = (words::<W>(k, ring), vec![W::zero(); n]);
    let mut rates = Vec::new();
    for _ in 0..reps {
        let seconds = time(|| matmul_packed(&a, 1, &packed, black_box(&mut out)));
        rates.push((k * n * size_of::<W>()) as f64 / seconds);
        reads.push(time(|| {
            black_box(read(memory));
        }));
    }
    (ring, median(&rates))
}
