//! Statistics of rows.

use super::*;
use crate::nn::compose::{mean_rows, normalize, standardize};

case!(Standardize[] { f: u32, epsilon: f64, out: u32 }: u32 => u32, |c, ctx, x| {
    let x = P::additive(ctx, &x[0])?;
    standardize::<P, u32, u32>(&ctx.step("norm")?, &x, c.f, c.epsilon, c.out, 32)
});

#[test]
fn standardize_over_its_range() {
    for (d, f) in [(1, 20), (2, 20), (96, 20), (96, 10), (100, 12), (768, 20)] {
        let sigmas = [0.07, 0.1, 0.5, 1.0, 3.0, 10.0, 25.0, 31.0];
        let mut x = Vec::new();
        for (r, sigma) in sigmas.iter().enumerate() {
            // Uniform numbers have a deviation of their bound over sqrt 3; the mean is away from 0.
            let mut row = random(d, (sigma * 1.7 * f64::from(f).exp2()) as i64, r as u64);
            if d == 2 {
                row = vec![(sigma * f64::from(f).exp2()) as i64, -(sigma * f64::from(f).exp2()) as i64];
            }
            x.extend(row.iter().map(|v| v + (r as i64 - 2) * (1 << f)));
        }
        // Epsilon keeps rows without variance inside the range.
        let epsilon = if d == 1 { 0.01 } else { 1e-5 };
        let case = Standardize::new(f, epsilon, 10);
        let out = check(&case, &[Input::shaped(32, &[sigmas.len(), d], x.clone())], 40);
        assert_eq!(out.counted.hops, 8);
        let scale = f64::from(f).exp2();
        let mut worst = 0f64;
        for (row, got) in x.chunks(d).zip(out.values.chunks(d)) {
            let row: Vec<f64> = row.iter().map(|&v| v as f64 / scale).collect();
            let mean = row.iter().sum::<f64>() / d as f64;
            let sigma = (row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / d as f64 + epsilon).sqrt();
            for (v, y) in row.iter().zip(got) {
                let want = (v - mean) / sigma;
                // Input rounded to 2^-12 (and with it mean and variance), factor 2^-9, 1 ulp.
                let allowed = 2.0 / 4096.0 / sigma * (1.0 + want.abs()) + want.abs() / 512.0 + 1.0 / 1024.0;
                worst = worst.max((*y as f64 / 1024.0 - want).abs() / allowed);
            }
        }
        println!("standardize {d} at {f}: {worst:.3} of the bound");
        assert!(worst < 1.0, "{d} {f}: {worst}");
    }
}

case!(Normalize[] { f: u32, out: u32 }: u32 => u32, |c, ctx, x| {
    normalize::<P, u32, u32>(&ctx.step("norm")?, &x[0], c.f, c.out, 32)
});

#[test]
fn normalize_over_its_range() {
    for (d, f) in [(1, 10), (3, 12), (64, 10), (384, 8), (384, 12)] {
        let lengths = [0.04, 0.3, 1.0, 4.0, 20.0, 31.0];
        let mut x = Vec::new();
        for (r, length) in lengths.iter().enumerate() {
            let row = random(d, 1 << 30, r as u64 + 5);
            let norm = row.iter().map(|&v| (v as f64).powi(2)).sum::<f64>().sqrt();
            x.extend(row.iter().map(|&v| (v as f64 / norm * length * f64::from(f).exp2()).round() as i64));
        }
        // Rounding may have made a short row still shorter than allowed.
        let rows: Vec<&[i64]> = x
            .chunks(d)
            .filter(|r| {
                r.iter().map(|&v| (v as f64).powi(2)).sum::<f64>().sqrt() > f64::from(f).exp2() / 31.9
            })
            .collect();
        let x = rows.concat();
        let out = check(&Normalize::new(f, 10), &[Input::shaped(32, &[rows.len(), d], x.clone())], 4);
        let mut worst = 0f64;
        for (row, got) in x.chunks(d).zip(out.values.chunks(d)) {
            let norm = row.iter().map(|&v| (v as f64).powi(2)).sum::<f64>().sqrt();
            for (v, y) in row.iter().zip(got) {
                let want = *v as f64 / norm;
                let allowed = want.abs() / 512.0 + 1.0 / 1024.0;
                worst = worst.max((*y as f64 / 1024.0 - want).abs() / allowed);
            }
        }
        println!("normalize {d} at {f}: {worst:.3} of the bound, {} hops", out.counted.hops);
        assert!(worst < 1.0, "{d} {f}: {worst}");
        assert_eq!(out.counted.hops, if 48 - (f + 17 - 10) >= 32 { 6 } else { 7 });
    }
}

case!(Mean[] { f: u32, out: u32, k2: u32 }: u32 => u64, |c, ctx, x| {
    mean_rows::<P, u32, u64>(&ctx.step("mean")?, &x[0], c.f, c.out, c.k2)
});

#[test]
fn means_of_rows() {
    for (n, d, f, out, k2) in
        [(1, 3, 10, 10, 32), (2, 1, 10, 8, 32), (7, 5, 10, 10, 28), (300, 4, 10, 10, 32), (5, 5, 12, 8, 48)]
    {
        let x = random(n * d, 30 << f, n as u64);
        let got = check(&Mean::new(f, out, k2), &[Input::shaped(32, &[n, d], x.clone())], 1);
        assert_eq!(got.shape.dims(), [1, d]);
        let h = 48 - (16 + f - out);
        assert_eq!(got.counted.hops, if k2 <= h { 2 } else { 3 });
        for j in 0..d {
            let mean = (0..n).map(|i| x[i * d + j] as f64).sum::<f64>() / n as f64;
            let (want, unit) = (mean / f64::from(f - out).exp2(), f64::from(65536));
            // 1/n is off by up to half a unit of 2^-16.
            let allowed = 1.0 + want.abs() * n as f64 * 0.5 / unit;
            assert!((got.values[j] as f64 - want).abs() < allowed, "{n} rows: {} for {want}", got.values[j]);
        }
    }
}
