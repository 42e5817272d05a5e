//! Softmax times values.

use super::*;
use crate::cost::Cost;
use crate::engine::Clear;
use crate::fixed::Z;
use crate::mpc::Share;
use crate::net::Link;
use crate::nn::compose::maximum::{WAYS, cost};
use crate::nn::compose::{Format, Fractional, softmax_attend};
use crate::nn::{Engine, Softmax as Kind};
use crate::tensor::{Array, Rows, Shape};

/// Rows of scores [q, n], or [extent] of causal attention with values [n, d].
fn rows_of(scores: &Shape, values: &Shape) -> Rows {
    let n = values.dims()[values.rank() - 2];
    if scores.rank() == values.rank() {
        return Rows::whole(n);
    }
    let causal = (1..=n).map(|q| Rows::causal(n - q, q));
    causal.into_iter().find(|rows| rows.extent() == scores.last()).expect("rows of causal attention")
}

case!(Softmax[] { kind: Kind, f: u32, vf: u32, out: u32 }: u64 => u32, |c, ctx, x| {
    let rows = rows_of(x[0].shape(), x[1].shape());
    let scores = P::additive(ctx, &P::reduce::<u64, u32>(&x[0], 32)?)?;
    let scores = Fractional { share: &scores, fraction: c.f };
    let values = Fractional { share: &x[1], fraction: c.vf };
    let out = Format { fraction: c.out, width: 32 };
    softmax_attend::<P, u32, u64, u32>(&ctx.step("softmax")?, c.kind, &rows, scores, values, out)
});

/// The maximum of `outer` times these rows, by the tree that is taken where there is no network.
fn tree_cost(outer: usize, rows: &Rows, k: u32) -> Cost {
    let costs = WAYS.map(|ways| cost(outer, rows, k, ways));
    costs[Link::NONE.fastest(&costs)]
}

/// Hops of an exact softmax over n keys on the link of the tests.
fn hops(kind: Kind, n: usize) -> u32 {
    let levels = n.next_power_of_two().trailing_zeros();
    match kind {
        Kind::ExactWithin(..8) => 7 + 2 * levels.div_ceil(2),
        _ => 9 + 3 * levels.div_ceil(2),
    }
}

/// Scores [q, n] and values [n, d] through the protocol; the worst error in units of 2^-out.
fn error(case: &Softmax, q: usize, n: usize, d: usize, scores: &[i64], values: &[i64], seed: u64) -> f64 {
    let inputs = [Input::shaped(48, &[q, n], scores.to_vec()), Input::shaped(48, &[n, d], values.to_vec())];
    let out = counted(case, &inputs, &[], seed);
    assert_eq!(out.shape.dims(), [q, d]);
    assert_eq!(out.counted.hops, hops(case.kind, n), "hops for {n} keys");
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
        for kind in [Kind::Exact, Kind::ExactWithin(7), Kind::ExactWithin(6), Kind::ExactWithin(5)] {
            rows_of_all_kinds(kind, n, d);
        }
    }
}

fn rows_of_all_kinds(kind: Kind, n: usize, d: usize) {
    let (f, q) = (16u32, if n > 100 { 4 } else { 40 });
    let case = Softmax::new(kind, f, 10, 10);
    let values = random(n * d, (40 << 10) - 1, n as u64);
    let widest = match kind {
        Kind::ExactWithin(log) => 0.95 * f64::from(log).exp2(),
        _ => 250.0,
    };
    for (name, spread) in [("flat", 0.0), ("narrow", 1.0), ("peaked", 20.0), ("wide", widest)] {
        let mut scores = random(q * n, (spread / 2.0 * f64::from(f).exp2()) as i64, 3);
        if name == "peaked" {
            scores.chunks_mut(n).enumerate().for_each(|(r, row)| row[r % n] = 12 << f);
        }
        scores
            .chunks_mut(n)
            .enumerate()
            .for_each(|(r, row)| row.iter_mut().for_each(|s| *s += (r as i64 * 7) << f));
        let worst = error(&case, q, n, d, &scores, &values, n as u64);
        println!("{kind:?}, {n} keys, {name}: {worst:.2} ulp of 2^-10 with values up to 40");
        // Values of 40 at a relative error of about 2^-11 of the weights, 2^-10 where rows are wide, plus rounding.
        let relative = if kind == Kind::ExactWithin(7) { 1024.0 } else { 2048.0 };
        assert!(worst < 40.0 * 1024.0 / relative + 3.0, "{kind:?} {n} {name}: {worst}");
    }
}

#[test]
fn scores_at_the_edge_of_the_exponential_count_for_nothing() {
    // The coarse maximum, and the score 12 to 18 below it: where exponentials are cut off and must not wrap.
    let (f, n, q) = (12u32, 2, 20_000);
    let case = Softmax::new(Kind::Exact, f, 10, 10);
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
    let case = Softmax::new(Kind::Exact, 11, 10, 10);
    let inputs = |n: usize| [Input::shaped(48, &[1, n], vec![0; n]), Input::shaped(48, &[n, 1], vec![0; n])];
    assert!(crate::testing::run(&case, &inputs(2), 1).is_err(), "too few fractional bits");
    assert!(crate::testing::run(&Softmax::new(Kind::Exact, 12, 10, 10), &inputs(0), 1).is_err(), "no keys");
    assert!(
        crate::testing::run(&Softmax::new(Kind::Exact, 28, 10, 10), &inputs(2), 1).is_err(),
        "too small a ring"
    );
    assert!(
        crate::testing::run(&Softmax::new(Kind::Exact, 16, 24, 10), &inputs(16), 1).is_err(),
        "values too wide"
    );
}

case!(OneRing[] { kind: Kind, f: u32, vf: u32, out: Format }: u64 => u64, |c, ctx, x| {
    let rows = rows_of(x[0].shape(), x[1].shape());
    let scores = P::additive(ctx, &x[0])?;
    let scores = Fractional { share: &scores, fraction: c.f };
    let values = Fractional { share: &x[1], fraction: c.vf };
    softmax_attend::<P, u64, u64, u64>(&ctx.step("softmax")?, c.kind, &rows, scores, values, c.out)
});

/// A softmax in Z_{2^64} with F fractional bits, scores un-rescaled.
fn one_ring(kind: Kind, fraction: u32) -> OneRing {
    OneRing::new(kind, 2 * fraction, fraction, Format { fraction, width: 64 })
}

/// What the float reference says of scores [q, n] and values [n, d].
fn clear(case: &OneRing, [q, n, d]: [usize; 3], scores: &[i64], values: &[i64]) -> Vec<f32> {
    let floats = |x: &[i64], f: u32| x.iter().map(|&v| (v as f64 / f64::from(f).exp2()) as f32).collect();
    let scores = Array::new([q, n], floats(scores, case.f)).expect("fits");
    let values = Array::new([n, d], floats(values, case.vf)).expect("fits");
    let attend = |ctx: &crate::ctx::Ctx<'_, Clear>| {
        Clear::softmax_attend::<Z<64>, Z<64>, Z<64>>(
            ctx,
            case.kind,
            &Rows::whole(n),
            &scores,
            0,
            &values,
            0,
            0,
        )
    };
    Clear::run(attend).expect("runs").into_vec()
}

/// Three parties against the reference, and against simulation; the worst difference to the reference.
fn one_ring_error(case: &OneRing, [q, n, d]: [usize; 3], scores: &[i64], values: &[i64], near: f64) -> f64 {
    let inputs = [Input::shaped(64, &[q, n], scores.to_vec()), Input::shaped(64, &[n, d], values.to_vec())];
    let unit = f64::from(case.out.fraction).exp2();
    let out = check(case, &inputs, (near * unit) as i64);
    let maximum = tree_cost(q, &Rows::whole(n), 64).hops;
    assert_eq!(out.counted.hops, if case.kind == Kind::TwoQuad { 10 } else { maximum + 11 });
    let want = clear(case, [q, n, d], scores, values);
    let error = |(y, w): (&i64, &f32)| (*y as f64 / unit - f64::from(*w)).abs();
    out.values.iter().zip(&want).map(error).fold(0.0, f64::max)
}

#[test]
fn clipped_attention_in_one_ring() {
    for (fraction, n, d) in [(18, 1, 3), (18, 2, 4), (18, 5, 2), (18, 128, 5), (16, 128, 3), (18, 512, 2)] {
        let (case, q) = (one_ring(Kind::Clipped, fraction), if n > 100 { 4 } else { 40 });
        let f = case.f;
        let values = random(n * d, (40 << fraction) - 1, n as u64);
        for (name, spread) in [("flat", 0.0), ("narrow", 1.0), ("peaked", 20.0), ("wide", 255.0)] {
            let mut scores = random(q * n, (spread / 2.0 * f64::from(f).exp2()) as i64, 3);
            if name == "peaked" {
                scores.chunks_mut(n).enumerate().for_each(|(r, row)| row[r % n] = 12 << f);
            }
            let rows = scores.chunks_mut(n).enumerate();
            rows.for_each(|(r, row)| row.iter_mut().for_each(|s| *s += (r as i64 * 7) << f));
            // Weights to 1.5 * 2^-12, the reciprocal to 2^-12 (512 keys: 2^-11), values of 40.
            let bound = 40.0 * (1.5 / 4096.0 + if n > 128 { 2.0 } else { 1.0 } / 4096.0);
            let worst = one_ring_error(&case, [q, n, d], &scores, &values, 2.0 * bound);
            println!("clipped, {fraction} bits, {n} keys, {name}: {:.3} of the bound", worst / bound);
            assert!(worst < bound, "{fraction} {n} {name}: {worst}");
        }
    }
}

#[test]
fn what_is_clipped_counts_for_nothing() {
    // The maximum, and a score 13.9 to 14.1, and then up to 255 below it.
    let case = one_ring(Kind::Clipped, 18);
    let q = 4000;
    let values = vec![1 << 18, -60 << 18];
    for (from, to) in [(13.9, 14.1), (0.0, 0.01), (14.0, 255.9)] {
        let below = |r: usize| -((from + (to - from) * r as f64 / q as f64) * f64::from(36).exp2()) as i64;
        let scores: Vec<i64> = (0..q).flat_map(|r| [0, below(r)]).collect();
        let worst = one_ring_error(&case, [q, 2, 1], &scores, &values, 0.05);
        println!("{from} to {to} below: {worst:.6}");
        assert!(worst < if from < 1.0 { 61.0 * 2.5 / 4096.0 } else { 0.001 }, "{from}: {worst}");
    }
}

#[test]
fn two_quad_attention() {
    for (fraction, n, d) in [(16, 1, 3), (16, 3, 2), (16, 128, 5), (18, 128, 2), (16, 512, 2), (18, 512, 2)] {
        let (case, q) = (one_ring(Kind::TwoQuad, fraction), if n > 100 { 4 } else { 40 });
        let unit = f64::from(case.f).exp2();
        let values = random(n * d, (63 << fraction) - 1, n as u64);
        // Distilled scores are small; others reach 80. At -4.5 all weights are as small as they may be.
        for (name, centre, spread) in
            [("small", 0.0, 2.0), ("wide", 0.0, 160.0), ("high", 80.0, 8.0), ("low", -4.45, 0.05)]
        {
            let mut scores = random(q * n, (spread / 2.0 * unit) as i64, 3);
            // A row must not lie where the sum is too small.
            scores.iter_mut().for_each(|s| *s += (centre * unit) as i64);
            if name == "wide" {
                scores.chunks_mut(n).for_each(|row| row[0] = (80.0 * unit) as i64);
            }
            let bound = 63.0 * (1.0 / 2048.0 + 1.0 / 4096.0);
            let worst = one_ring_error(&case, [q, n, d], &scores, &values, 2.0 * bound);
            println!("two-quad, {fraction} bits, {n} keys, {name}: {:.3} of the bound", worst / bound);
            assert!(worst < bound, "{fraction} {n} {name}: {worst}");
        }
    }
}

#[test]
fn ranges_of_softmax_in_one_ring() {
    let simulate = |case: &OneRing, scores: Vec<i64>| {
        let n = scores.len();
        let inputs = [Input::shaped(64, &[1, n], scores), Input::shaped(64, &[n, 1], vec![1 << 16; n])];
        crate::testing::simulate(case, &inputs, 1)
    };
    let quad = one_ring(Kind::TwoQuad, 16);
    assert!(simulate(&quad, vec![0; 4]).is_ok());
    // All weights 0; weights too large.
    assert!(simulate(&quad, vec![-5 << 32; 4]).is_err());
    assert!(simulate(&quad, vec![300 << 32; 4]).is_err());

    let inputs = |k| [Input::shaped(k, &[1, 2], vec![0; 2]), Input::shaped(k, &[2, 1], vec![0; 2])];
    let out = |fraction, width| Format { fraction, width };
    for (case, k) in [
        (OneRing::new(Kind::Clipped, 36, 18, out(18, 48)), 64),
        (OneRing::new(Kind::Clipped, 11, 18, out(18, 64)), 64),
        (OneRing::new(Kind::Clipped, 60, 18, out(18, 64)), 64),
        (OneRing::new(Kind::Clipped, 36, 40, out(18, 64)), 64),
        (OneRing::new(Kind::TwoQuad, 36, 18, out(18, 64)), 48),
        (OneRing::new(Kind::TwoQuad, 20, 10, out(10, 32)), 32),
        (OneRing::new(Kind::TwoQuad, 40, 24, out(18, 64)), 64),
        (OneRing::new(Kind::TwoQuad, 12, 16, out(16, 64)), 64),
    ] {
        assert!(crate::testing::run(&case, &inputs(k), 1).is_err(), "{:?} {} {}", case.kind, case.f, case.vf);
    }
}

#[test]
fn what_softmax_costs_in_one_ring() {
    // Bits of a row of 128 keys with one output, online and offline, and hops.
    let cost = |kind, fraction: u32| {
        let case = one_ring(kind, fraction);
        let inputs =
            [Input::shaped(64, &[128, 128], vec![0; 128 * 128]), Input::shaped(64, &[128, 1], vec![0; 128])];
        let cost = counted(&case, &inputs, &[], 1).counted;
        (cost.online * 8 / 128, cost.offline * 8 / 128, cost.hops)
    };
    // Scores, nodes of the maximum, the row, its one output: the tables of the documentation.
    let tree = tree_cost(128, &Rows::whole(128), 64);
    let [online, offline] = [tree.online, tree.offline].map(|bytes| bytes * 8 / 128);
    let clipped = [128 * 326 + online + 468 + 256, 128 * 689 + offline + 12_929 + 202];
    assert_eq!(cost(Kind::Clipped, 18), (clipped[0], clipped[1], tree.hops + 11));
    let quad = [128 * 256 + 810 + 256, 128 * 128 + 13_072 + 224];
    assert_eq!(cost(Kind::TwoQuad, 16), (quad[0], quad[1], 10));
    // Per score, beside the tree and what a row takes; the widths of the documentation.
    let inputs =
        [Input::shaped(48, &[128, 128], vec![0; 128 * 128]), Input::shaped(48, &[128, 1], vec![0; 128])];
    for (kind, opened, coarse, width, dealt) in [
        (Kind::ExactWithin(5), 18, 7, 39, 2 * (39 + 47 + 16)),
        (Kind::ExactWithin(6), 19, 7, 41, 2 * (41 + 93 + 18)),
        (Kind::ExactWithin(7), 20, 7, 46, 2 * (46 + 185 + 23)),
        (Kind::Exact, 21, 10, 39, 4 * (39 + 24 + 16)),
    ] {
        let exact = Softmax::new(kind, 20, 10, 10);
        let cost = counted(&exact, &inputs, &[], 1).counted;
        let tree = tree_cost(128, &Rows::whole(128), coarse);
        let clip = if kind == Kind::Exact { [10, 30] } else { [0, 0] };
        let beside = [
            cost.online - tree.online - 128 * 128 * (2 * opened + 2 * width + clip[0]) / 8,
            cost.offline - tree.offline - 128 * 128 * (dealt + clip[1]) / 8,
        ];
        println!("{kind:?}: {beside:?} bytes for 128 rows of one output beside scores and maxima");
        assert!(beside[0] < 128 * 1200 / 8 && beside[1] < 128 * 24_000 / 8, "{kind:?}");
        assert_eq!(cost.hops, hops(kind, 128));
    }
}

/// Dense scores [h, q, n] whose masked elements must not matter, and the rows that causal attention has of them.
fn causal_scores(h: usize, past: usize, q: usize, spread: i64) -> (Vec<i64>, Vec<i64>) {
    let n = past + q;
    let dense = random(h * q * n, spread, (h + q + n) as u64);
    let seen = |(i, row): (usize, &[i64])| row[..=past + i % q].to_vec();
    let flat = dense.chunks(n).enumerate().flat_map(seen).collect();
    (dense, flat)
}

#[test]
fn causal_rows_are_as_those_of_their_own() {
    for (past, q) in [(0, 1), (0, 2), (0, 7), (3, 1), (6, 5), (40, 33), (127, 1)] {
        let (h, d, n) = (2, 3, past + q);
        let log_n = (n as u32).next_power_of_two().trailing_zeros();
        for kind in [Kind::Exact, Kind::Clipped, Kind::TwoQuad] {
            let f = if kind == Kind::Exact { 16 } else { 32 };
            let (_, flat) = causal_scores(h, past, q, 3 << f);
            let extent = flat.len() / h;
            let values = random(h * n * d, (40 << 10) - 1, n as u64);
            let (values_f, k) = if kind == Kind::Exact { (10, 48) } else { (16, 64) };
            let values: Vec<i64> = values.iter().map(|v| v << (values_f - 10)).collect();
            let inputs =
                [Input::shaped(k, &[h, extent], flat.clone()), Input::shaped(k, &[h, n, d], values.clone())];
            let (out, ulp, hops) = match kind {
                Kind::Exact => {
                    let case = Softmax::new(kind, f, 10, 10);
                    (counted(&case, &inputs, &[], 7), 1024.0, hops(kind, n))
                }
                _ => {
                    let case = OneRing::new(kind, f, 16, Format { fraction: 16, width: 64 });
                    let hops = match kind {
                        Kind::Clipped => tree_cost(h, &Rows::causal(past, q), 64).hops + 11,
                        _ if q > 1 && log_n > ((past + 1) as u32).next_power_of_two().trailing_zeros() => 12,
                        _ => 10,
                    };
                    (counted(&case, &inputs, &[], 7), 65536.0, hops)
                }
            };
            assert_eq!(out.shape.dims(), [h, q, d]);
            assert_eq!(out.counted.hops, hops, "{kind:?}, {q} after {past}");
            for head in 0..h {
                let mut row = &flat[head * extent..];
                for i in 0..q {
                    let keys = past + i + 1;
                    let scores: Vec<f64> =
                        row[..keys].iter().map(|&s| s as f64 / f64::from(f).exp2()).collect();
                    row = &row[keys..];
                    let top = scores.iter().copied().fold(f64::MIN, f64::max);
                    let weight =
                        |s: &f64| if kind == Kind::TwoQuad { (s + 5.0).powi(2) } else { (s - top).exp() };
                    let weights: Vec<f64> = scores.iter().map(weight).collect();
                    let sum: f64 = weights.iter().sum();
                    for j in 0..d {
                        let value =
                            |key: usize| values[(head * n + key) * d + j] as f64 / f64::from(values_f).exp2();
                        let want: f64 = (0..keys).map(|key| weights[key] / sum * value(key)).sum();
                        let got = out.values[(head * q + i) * d + j] as f64 / ulp;
                        assert!((got - want).abs() < 0.03, "{kind:?}, {q} after {past}: {got} and {want}");
                    }
                }
            }
        }
    }
}
