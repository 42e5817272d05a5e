//! Softmax times values.

use super::*;
use crate::nn::compose::softmax_attend;

case!(Softmax[] { f: u32, vf: u32, out: u32 }: u64 => u32, |c, ctx, x| {
    let scores = P::additive(ctx, &P::reduce::<u64, u32>(&x[0], 32)?)?;
    softmax_attend::<P, u32, u64, u32>(&ctx.step("softmax")?, &scores, c.f, &x[1], c.vf, c.out, 32)
});

/// Scores [q, n] and values [n, d] through the protocol; the worst error in units of 2^-out.
fn error(case: &Softmax, q: usize, n: usize, d: usize, scores: &[i64], values: &[i64], seed: u64) -> f64 {
    let inputs = [Input::shaped(48, &[q, n], scores.to_vec()), Input::shaped(48, &[n, d], values.to_vec())];
    let out = counted(case, &inputs, &[], seed);
    assert_eq!(out.shape.dims(), [q, d]);
    let log_n = n.next_power_of_two().trailing_zeros();
    assert_eq!(out.counted.hops, 3 * log_n + 10, "hops for {n} keys");
    let unit = f64::from(case.f).exp2();
    let mut worst = 0f64;
    for r in 0..q {
        let row: Vec<f64> = scores[r * n..(r + 1) * n].iter().map(|&x| x as f64 / unit).collect();
        let top = row.iter().copied().fold(f64::MIN, f64::max);
        let e: Vec<f64> = row.iter().map(|x| (x - top).exp()).collect();
        let sum: f64 = e.iter().sum();
        for j in 0..d {
            let want: f64 = (0..n).map(|i| e[i] / sum * values[i * d + j] as f64).sum();
            let want = want * f64::from(case.out as i32 - case.vf as i32).exp2();
            worst = worst.max((out.values[r * d + j] as f64 - want).abs());
        }
    }
    worst
}

#[test]
fn attention_over_flat_peaked_and_wide_rows() {
    for (n, d) in [(1, 3), (2, 4), (3, 2), (128, 5), (512, 2)] {
        let (f, q) = (16u32, if n > 100 { 4 } else { 40 });
        let case = Softmax::new(f, 10, 10);
        let values = random(n * d, (40 << 10) - 1, n as u64);
        for (name, spread) in [("flat", 0.0), ("narrow", 1.0), ("peaked", 20.0), ("wide", 120.0)] {
            let mut scores = random(q * n, (spread / 2.0 * f64::from(f).exp2()) as i64, 3);
            if name == "peaked" {
                scores.chunks_mut(n).enumerate().for_each(|(r, row)| row[r % n] = 12 << f);
            }
            scores
                .chunks_mut(n)
                .enumerate()
                .for_each(|(r, row)| row.iter_mut().for_each(|s| *s += (r as i64 * 7) << f));
            let worst = error(&case, q, n, d, &scores, &values, n as u64);
            println!("{n} keys, {name}: {worst:.2} ulp of 2^-10 with values up to 40");
            // Values of 40 at a relative error of about 2^-11 of the weights, plus rounding.
            assert!(worst < 40.0 * 1024.0 / 2048.0 + 3.0, "{n} {name}: {worst}");
        }
    }
}

#[test]
fn scores_at_the_edge_of_the_exponential_count_for_nothing() {
    // The coarse maximum, and the score 12 to 18 below it: where exponentials are cut off and must not wrap.
    let (f, n, q) = (12u32, 2, 20_000);
    let case = Softmax::new(f, 10, 10);
    let values = vec![1 << 10, -30 << 10];
    for top in [0i64, 1, 700, 1023, 1024, 2047] {
        let below = |r: usize| top - (12 << f) - (r as i64 * (6 << f)) / q as i64;
        let scores: Vec<i64> = (0..q).flat_map(|r| [top, below(r)]).collect();
        let worst = error(&case, q, n, 1, &scores, &values, top as u64);
        // Exponentials are rounded to 2^-14 of a scale of at least e^-1.5.
        assert!(worst < 12.0, "maximum at {top}: {worst}");
    }
}

#[test]
fn attention_that_cannot_be() {
    let case = Softmax::new(11, 10, 10);
    let inputs = |n: usize| [Input::shaped(48, &[1, n], vec![0; n]), Input::shaped(48, &[n, 1], vec![0; n])];
    assert!(crate::testing::run(&case, &inputs(2), 1).is_err(), "too few fractional bits");
    assert!(crate::testing::run(&Softmax::new(12, 10, 10), &inputs(0), 1).is_err(), "no keys");
    assert!(crate::testing::run(&Softmax::new(28, 10, 10), &inputs(2), 1).is_err(), "too small a ring");
    assert!(crate::testing::run(&Softmax::new(16, 24, 10), &inputs(16), 1).is_err(), "values too wide");
}
