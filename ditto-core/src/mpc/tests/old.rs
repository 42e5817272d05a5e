//! Each protocol with three parties against plain integers, and its exact cost.

use super::*;
use crate::ctx::Ctx;
use crate::error::Result;
use crate::primitives::Primitives;
use crate::testing::{Case, Input, Outcome, run, simulate};

/// Runs a case, checks the counted cost against the metered one, and that simulation agrees within `ulp`.
fn check<C: Case>(case: &C, inputs: &[Input], ulp: i64) -> Outcome {
    let outcome = run(case, inputs, 7).expect("runs");
    assert_eq!(
        (outcome.counted.online, outcome.counted.offline, outcome.counted.hops),
        (outcome.metered.online, outcome.metered.offline, outcome.metered.hops)
    );
    assert_eq!(outcome.to_helper, 0);
    let simulated = simulate(case, inputs, 3).expect("simulates");
    for (a, b) in outcome.values.iter().zip(&simulated) {
        assert!((a - b).abs() <= ulp, "{a} against {b} in simulation");
    }
    outcome
}

fn random(n: usize, bound: i64, seed: u64) -> Vec<i64> {
    let prg = crate::prg::Prg::new(&crate::prg::Seed::new([seed as u8; 16]));
    let words: Vec<u64> = prg.words(0, 0, n, 62);
    words.iter().map(|w| (*w as i64) % (2 * bound + 1) - bound).collect()
}

struct Truncate {
    drop: u32,
    k2: u32,
}
impl Case for Truncate {
    type In = u32;
    type Out = u64;
    fn run<P: Primitives>(&self, ctx: &Ctx<'_, P>, x: &[P::Masked<u32>]) -> Result<P::Masked<u64>> {
        let z = P::product(&ctx.step("product")?, Bilinear::Elementwise, &x[0], &x[1])?;
        crate::nn::compose::truncate(&ctx.step("truncate")?, &z, self.drop, self.k2)
    }
}

#[test]
fn truncation() {
    let (a, b) = (random(500, 30000, 1), random(500, 16000, 2));
    for (drop, k2) in [(8, 32), (12, 48), (12, 20), (12, 19), (0, 40), (12, 64)] {
        let out = check(&Truncate { drop, k2 }, &[Input::new(32, a.clone()), Input::new(32, b.clone())], 1);
        for (i, v) in out.values.iter().enumerate() {
            let z = a[i] * b[i];
            let exact = z as f64 / (1i64 << drop) as f64;
            let got = if k2 >= 32 - drop + 4 { *v as f64 } else { continue };
            assert!((got - exact).abs() < 1.0001, "{drop} {k2}: {got} for {exact}");
        }
    }
}

struct Sign;
impl Case for Sign {
    type In = u32;
    type Out = u32;
    fn run<P: Primitives>(&self, ctx: &Ctx<'_, P>, x: &[P::Masked<u32>]) -> Result<P::Masked<u32>> {
        let s = P::msb(&ctx.step("msb")?, &x[0])?;
        let s = P::open_bits(&ctx.step("open")?, &s)?;
        let y = P::select(&ctx.step("select")?, &s, &x[0])?;
        P::remask(&ctx.step("remask")?, &y)
    }
}

#[test]
fn sign_and_select() {
    for k in [2, 3, 5, 7, 8, 10, 13, 16, 32] {
        let top = 1i64 << (k - 1);
        let mut v = random(300, top - 1, 5);
        v.extend([0, 1, -1, top - 1, -top]);
        let out = check(&Sign, &[Input::new(k, v.clone())], 0);
        assert_eq!(out.values, v.iter().map(|&v| v.min(0)).collect::<Vec<_>>(), "k = {k}");
    }
}

struct Lift {
    k2: u32,
}
impl Case for Lift {
    type In = u32;
    type Out = u64;
    fn run<P: Primitives>(&self, ctx: &Ctx<'_, P>, x: &[P::Masked<u32>]) -> Result<P::Masked<u64>> {
        P::upcast(&ctx.step("lift")?, &x[0], self.k2)
    }
}

#[test]
fn upcast() {
    for (k, k2) in [(2, 3), (5, 9), (17, 40), (32, 48), (32, 64)] {
        let top = 1i64 << (k - 2);
        let mut v = random(300, top - 1, 9);
        v.extend([0, -1, top - 1, -top]);
        assert_eq!(check(&Lift { k2 }, &[Input::new(k, v.clone())], 0).values, v);
    }
}

struct Softmax {
    f: u32,
}
impl Case for Softmax {
    type In = u64;
    type Out = u32;
    fn run<P: Primitives>(&self, ctx: &Ctx<'_, P>, x: &[P::Masked<u64>]) -> Result<P::Masked<u32>> {
        let scores = P::additive(ctx, &P::reduce::<u64, u32>(&x[0], 32)?)?;
        crate::nn::compose::softmax_attend::<P, u32, u64, u32>(
            &ctx.step("softmax")?,
            &scores,
            self.f,
            &x[1],
            10,
            10,
            32,
        )
    }
}

#[test]
fn softmax() {
    let (rows, n, d) = (6, 33, 5);
    let f = 18;
    let s = random(rows * n, 60 << f, 4);
    let v = random(n * d, 4 << 10, 5);
    let out = check(
        &Softmax { f },
        &[Input::shaped(48, &[rows, n], s.clone()), Input::shaped(48, &[n, d], v.clone())],
        16,
    );
    let mut worst = 0f64;
    for r in 0..rows {
        let row: Vec<f64> = s[r * n..(r + 1) * n].iter().map(|&x| x as f64 / f64::from(1 << f)).collect();
        let top = row.iter().copied().fold(f64::MIN, f64::max);
        let e: Vec<f64> = row.iter().map(|x| (x - top).exp()).collect();
        let sum: f64 = e.iter().sum();
        for j in 0..d {
            let want: f64 = (0..n).map(|i| e[i] / sum * v[i * d + j] as f64).sum();
            worst = worst.max((out.values[r * d + j] as f64 - want).abs());
        }
    }
    assert!(worst < 6.0, "{worst} ulp");
}

struct Standardize {
    f: u32,
}
impl Case for Standardize {
    type In = u32;
    type Out = u32;
    fn run<P: Primitives>(&self, ctx: &Ctx<'_, P>, x: &[P::Masked<u32>]) -> Result<P::Masked<u32>> {
        let x = P::additive(ctx, &x[0])?;
        crate::nn::compose::standardize::<P, u32, u32>(&ctx.step("norm")?, &x, self.f, 1e-12, 10, 32)
    }
}

#[test]
fn standardize() {
    let (rows, d, f) = (7, 96, 20);
    let mut x = Vec::new();
    for r in 0..rows {
        let sigma = [0.1, 0.5, 1.0, 3.0, 10.0, 25.0, 0.07][r];
        x.extend(random(d, (sigma * 1.7 * f64::from(1 << f)) as i64, r as u64).iter().map(|v| v + (1 << f)));
    }
    let out = check(&Standardize { f }, &[Input::shaped(32, &[rows, d], x.clone())], 12);
    for r in 0..rows {
        let row: Vec<f64> = x[r * d..(r + 1) * d].iter().map(|&v| v as f64).collect();
        let mean = row.iter().sum::<f64>() / d as f64;
        let sigma = (row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / d as f64).sqrt();
        for j in 0..d {
            let want = (row[j] - mean) / sigma * 1024.0;
            let got = out.values[r * d + j] as f64;
            // 12 fractional bits of input: 2^-12 / sigma.
            let slack = 4.0 + 2.0 * 1024.0 / 4096.0 / (sigma / f64::from(1 << f));
            assert!((got - want).abs() < slack, "row {r}: {got} for {want}");
        }
    }
}

struct Pointwise {
    function: crate::nn::Activation,
    f: u32,
}
impl Case for Pointwise {
    type In = u32;
    type Out = u32;
    fn run<P: Primitives>(&self, ctx: &Ctx<'_, P>, x: &[P::Masked<u32>]) -> Result<P::Masked<u32>> {
        let x = P::additive(ctx, &x[0])?;
        crate::nn::compose::activation::<P, u32, u32>(&ctx.step("f")?, self.function, &x, self.f, self.f, 32)
    }
}

#[test]
fn pointwise_functions() {
    use crate::nn::Activation;
    for f in [8u32, 10] {
        let one = f64::from(1 << f);
        let mut x: Vec<i64> = (-(8 << f)..(8 << f)).step_by(3).collect();
        x.extend(random(200, 126 << f, 3));
        for (function, exact, bound) in [
            (Activation::Tanh, f64::tanh as fn(f64) -> f64, 1.6),
            (Activation::Gelu, (|x: f64| crate::engine::gelu_for_tests(x)) as fn(f64) -> f64, 1.6),
            (Activation::Quad, (|x: f64| 0.125 * x * x + 0.25 * x + 0.5) as fn(f64) -> f64, 0.0),
        ] {
            let x: Vec<i64> =
                if function == Activation::Quad { x.iter().map(|v| v / 4).collect() } else { x.clone() };
            let out = check(&Pointwise { function, f }, &[Input::new(32, x.clone())], 4);
            let mut worst = 0f64;
            for (x, y) in x.iter().zip(&out.values) {
                worst = worst.max((*y as f64 - exact(*x as f64 / one) * one).abs());
            }
            println!("{function:?} f={f}: {:.3} of 2^-8, {worst:.3} ulp", worst / one * 256.0);
            assert!(worst < 1.01 + bound * one / 256.0, "{function:?} {worst}");
        }
    }
}
