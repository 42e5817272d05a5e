//! Statistics of rows.

use super::*;
use crate::nn::compose::{Format, Fractional, Norm, layer_norm, mean_rows, normalize};

case!(LayerNorm[W] { f: u32, epsilon: f64, gain_f: u32, bias_f: u32, out: Format }: W => W, |c, ctx, x| {
    let sum = P::additive(ctx, &x[0])?;
    let norm = Norm {
        gain: Fractional { share: &x[1], fraction: c.gain_f },
        bias: Fractional { share: &x[2], fraction: c.bias_f },
        epsilon: c.epsilon,
    };
    layer_norm::<P, W, W, W>(&ctx.step("norm")?, Fractional { share: &sum, fraction: c.f }, norm, c.out)
});

/// The number that an integer of a case's result stands for.
fn number(y: i64, out: Format) -> f64 {
    y as f64 / f64::from(out.fraction).exp2()
}

#[test]
fn layer_norm_over_its_range() {
    let small = Format { fraction: 10, width: 32 };
    for (d, f) in [(1, 20), (2, 20), (96, 20), (96, 10), (100, 12), (768, 20)] {
        layer_normed::<u32>(d, f, small, 1.0 / 4096.0);
    }
    // Whole in one ring.
    for (d, f, fraction) in
        [(1, 36, 18), (96, 18, 18), (384, 36, 18), (768, 36, 18), (768, 32, 16), (1024, 36, 18)]
    {
        let finest = fraction.min(26 - usize::next_power_of_two(d).trailing_zeros());
        layer_normed::<u64>(d, f, Format { fraction, width: 64 }, 0.5f64.powi(finest as i32));
    }
}

/// Rows over the range of variances; `unit` is what the input is rounded to.
fn layer_normed<W: crate::primitives::RingWord>(d: usize, f: u32, result: Format, unit: f64) {
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
    let (gain_f, bias_f) = if result.width == 64 { (result.fraction, result.fraction) } else { (10, 16) };
    let case = LayerNorm::<W>::new(f, epsilon, gain_f, bias_f, result);
    let (gain, bias) = (random(d, 3 << gain_f, 21), random(d, 7 << bias_f, 22));
    let near = (120.0 / 1024.0 * f64::from(result.fraction).exp2()) as i64;
    let input = Input::shaped(result.width, &[sigmas.len(), d], x.clone());
    let affine = [&gain, &bias].map(|v| Input::shaped(result.width, &[d], v.clone()));
    let [gain_input, bias_input] = affine;
    let out = check(&case, &[input, gain_input, bias_input], near);
    assert_eq!(out.counted.hops, 8 - u32::from(f == result.fraction && result.width == 64));
    let scale = f64::from(f).exp2();
    let mut worst = 0f64;
    for (row, got) in x.chunks(d).zip(out.values.chunks(d)) {
        let row: Vec<f64> = row.iter().map(|&v| v as f64 / scale).collect();
        let mean = row.iter().sum::<f64>() / d as f64;
        let sigma = (row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / d as f64 + epsilon).sqrt();
        for (((v, y), gain), bias) in row.iter().zip(got).zip(&gain).zip(&bias) {
            let gain = *gain as f64 / f64::from(gain_f).exp2();
            let normal = (v - mean) / sigma;
            let want = normal * gain + *bias as f64 / f64::from(bias_f).exp2();
            // Input rounded (and with it mean and variance) and rounded again after the gain, factor 2^-9, 1 ulp.
            let ulp = f64::from(result.fraction).exp2().recip();
            let rounding = (2.0 * gain.abs() * (1.0 + normal.abs()) + 1.0) * unit / sigma;
            let allowed = rounding + (normal * gain).abs() / 512.0 + ulp;
            worst = worst.max((number(*y, result) - want).abs() / allowed);
        }
    }
    println!("layer norm {d} at {f}: {worst:.3} of the bound");
    assert!(worst < 1.0, "{d} {f}: {worst}");
}

case!(Normalize[W, V] { f: u32, out: Format }: W => V, |c, ctx, x| {
    normalize::<P, W, V>(&ctx.step("norm")?, &x[0], c.f, c.out.fraction, c.out.width)
});

#[test]
fn normalize_over_its_range() {
    for (d, f) in [(1, 10), (3, 12), (64, 10), (384, 8), (384, 12)] {
        let hops = if 48 - (f + 17 - 10) >= 32 { 6 } else { 7 };
        normalized::<u32, u32>(d, f, 32, Format { fraction: 10, width: 32 }, hops);
    }
    normalized::<u64, u64>(64, 12, 48, Format { fraction: 12, width: 48 }, 6);
    for f in [16, 18, 20] {
        normalized::<u64, u64>(384, f, 64, Format { fraction: f.min(18), width: 64 }, 6);
    }
    normalized::<u64, u32>(384, 18, 64, Format { fraction: 16, width: 32 }, 5);
}

fn normalized<W, V>(d: usize, f: u32, k: u32, result: Format, hops: u32)
where
    W: crate::primitives::RingWord,
    V: crate::primitives::RingWord,
{
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
        .filter(|r| r.iter().map(|&v| (v as f64).powi(2)).sum::<f64>().sqrt() > f64::from(f).exp2() / 31.9)
        .collect();
    let x = rows.concat();
    let near = (4.0 / 1024.0 * f64::from(result.fraction).exp2()) as i64;
    let input = [Input::shaped(k, &[rows.len(), d], x.clone())];
    let out = check(&Normalize::<W, V>::new(f, result), &input, near);
    let mut worst = 0f64;
    for (row, got) in x.chunks(d).zip(out.values.chunks(d)) {
        let norm = row.iter().map(|&v| (v as f64).powi(2)).sum::<f64>().sqrt();
        for (v, y) in row.iter().zip(got) {
            let want = *v as f64 / norm;
            let allowed = want.abs() / 512.0 + f64::from(result.fraction).exp2().recip();
            worst = worst.max((number(*y, result) - want).abs() / allowed);
        }
    }
    println!("normalize {d} at {f}: {worst:.3} of the bound, {} hops", out.counted.hops);
    assert!(worst < 1.0, "{d} {f}: {worst}");
    assert_eq!(out.counted.hops, hops);
}

case!(Mean[W] { f: u32, out: Format }: W => u64, |c, ctx, x| {
    mean_rows::<P, W, u64>(&ctx.step("mean")?, &x[0], c.f, c.out.fraction, c.out.width)
});

#[test]
fn means_of_rows() {
    for (n, d, k, f, out, k2) in [
        (1, 3, 32, 10, 10, 32),
        (2, 1, 32, 10, 8, 32),
        (7, 5, 32, 10, 10, 28),
        (300, 4, 32, 10, 10, 32),
        (5, 5, 32, 12, 8, 48),
        (128, 5, 48, 12, 12, 32),
        (512, 5, 64, 18, 18, 64),
        (100, 5, 64, 16, 12, 32),
    ] {
        let x = random(n * d, 30 << f, n as u64);
        let (case, input) = (Format { fraction: out, width: k2 }, [Input::shaped(k, &[n, d], x.clone())]);
        let got = if k == 32 {
            check(&Mean::<u32>::new(f, case), &input, 1)
        } else {
            check(&Mean::<u64>::new(f, case), &input, 1)
        };
        assert_eq!(got.shape.dims(), [1, d]);
        let h = k.max(48) - (16 + f - out);
        assert_eq!(got.counted.hops, u32::from(k < 48) + if k2 <= h { 1 } else { 2 });
        for j in 0..d {
            let mean = (0..n).map(|i| x[i * d + j] as f64).sum::<f64>() / n as f64;
            let (want, unit) = (mean / f64::from(f - out).exp2(), f64::from(65536));
            // 1/n is off by up to half a unit of 2^-16.
            let allowed = 1.0 + want.abs() * n as f64 * 0.5 / unit;
            assert!((got.values[j] as f64 - want).abs() < allowed, "{n} rows: {} for {want}", got.values[j]);
        }
    }
}
