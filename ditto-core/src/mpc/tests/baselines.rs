//! Activations in the one ring of the baselines.

use super::*;
use crate::nn::compose::activation;
use crate::nn::{Activation, puma_gelu};

case!(Applied[W, V] { function: Activation, f: u32, out: u32, k2: u32 }: W => V, |c, ctx, x| {
    let x = P::additive(ctx, &x[0])?;
    activation::<P, W, V>(&ctx.step("f")?, c.function, &x, c.f, c.out, c.k2)
});

fn exact(function: Activation, x: f64) -> f64 {
    match function.pointwise() {
        Some(function) => function.value(x),
        None if function == Activation::PumaGelu => puma_gelu::value(x),
        None => 0.125 * x * x + 0.25 * x + 0.5,
    }
}

/// The worst error, in units of the result's last place.
fn error<W, V>(case: Applied<W, V>, k: u32, x: &[i64], near: i64) -> f64
where
    W: crate::primitives::RingWord,
    V: crate::primitives::RingWord,
{
    let out = check(&case, &[Input::new(k, x.to_vec())], near);
    let scale = f64::from(case.f).exp2();
    let error = |(x, y): (&i64, &i64)| {
        (*y as f64 - exact(case.function, *x as f64 / scale) * f64::from(case.out).exp2()).abs()
    };
    x.iter().zip(&out.values).map(error).fold(0.0, f64::max)
}

/// Bits per element, online and offline, and hops of a metered case of 64 elements in Z_{2^k}.
fn bits<W, V>(case: &Applied<W, V>, k: u32) -> (u64, u64, u32)
where
    W: crate::primitives::RingWord,
    V: crate::primitives::RingWord,
{
    let out = counted(case, &[Input::new(k, vec![0; 64])], &[], 1);
    (out.counted.online / 8, out.counted.offline / 8, out.counted.hops)
}

#[test]
fn puma_gelu_over_its_range() {
    for (f, out) in [(18, 18), (36, 18), (16, 16), (32, 16)] {
        let shift = f - out;
        let limits = [-4.0, -1.95, 3.0].map(|t: f64| (t * f64::from(f).exp2()).round_ties_even() as i64);
        // [-64, 64] densely, far out, and the ends of every piece.
        let mut x: Vec<i64> = (-(64i64 << f)..=64 << f).step_by((1 << f) / 89 * 2 + 1).collect();
        x.extend(random(500, (1 << (f + 8)) - 1, 3));
        x.extend(
            limits
                .iter()
                .flat_map(|&t| [t - (2 << shift), t - (1 << shift), t, t + (1 << shift), t + (2 << shift)]),
        );
        // Where x is rounded it may fall into the next piece; the pieces are up to 0.016 apart.
        let unit = f64::from(out).exp2();
        let near = if shift == 0 { 6 } else { (0.016 * unit) as i64 + 6 };
        let case = Applied::<u64, u64>::new(Activation::PumaGelu, f, out, 64);
        let between = |x: &i64| limits.iter().all(|t| (x - t).abs() > 1 << shift || shift == 0);
        x.retain(between);
        let worst = error(case.clone(), 64, &x, near);
        println!("PUMA's GeLU {f} to {out}: {worst:.3} ulp; bits {:?}", bits(&case, 64));
        // The argument's rounding is scaled by a slope of up to 1.13.
        assert!(worst < if shift == 0 { 3.0 } else { 4.2 }, "{f} {out}: {worst}");
        let out = check(&case, &[Input::new(64, x.clone())], near);
        let gelu = |(x, y): (&i64, &i64)| {
            (*y as f64 / unit - crate::public_math::gelu(*x as f64 / f64::from(f).exp2())).abs()
        };
        let worst = x.iter().zip(&out.values).map(gelu).fold(0.0, f64::max);
        println!("against GeLU: {worst:.5}");
        assert!(worst < 0.02);
    }
    // In another ring, with coefficients of 14 bits only: at 3 they are off by 5 ulp together.
    let x: Vec<i64> = (-(64i64 << 8)..64 << 8).step_by(7).collect();
    let worst = error(Applied::<u32, u32>::new(Activation::PumaGelu, 8, 8, 32), 32, &x, 6);
    assert!(worst < 8.0, "{worst}");
}

#[test]
fn what_activations_cost_in_one_ring() {
    let bits = |function| bits(&Applied::<u64, u64>::new(function, 36, 18, 64), 64);
    assert_eq!(bits(Activation::PumaGelu), (954, 1423, 10));
    assert_eq!(bits(Activation::Quad), (256, 142, 4));
    println!("accurate GeLU in 64 bits: {:?}", bits(Activation::Gelu));
    let small = |function| self::bits(&Applied::<u32, u32>::new(function, 20, 10, 32), 32);
    println!("in 32 bits: GeLU {:?}, Quad {:?}", small(Activation::Gelu), small(Activation::Quad));
}

#[test]
fn formats_that_puma_gelu_cannot_have() {
    for (f, out, k2) in [(30, 28, 64), (20, 12, 32), (10, 12, 64)] {
        let case = Applied::<u64, u64>::new(Activation::PumaGelu, f, out, k2);
        assert!(crate::testing::run(&case, &[Input::new(64, vec![0])], 1).is_err(), "{f} {out} {k2}");
    }
}

#[test]
fn functions_with_many_fractional_bits() {
    let x: Vec<i64> = random(2000, 120 << 36, 9).into_iter().chain([0, 1 << 36, -1 << 36]).collect();
    for function in [Activation::Gelu, Activation::Tanh] {
        let case = Applied::<u64, u64>::new(function, 36, 18, 64);
        let worst = error(case, 64, &x, 4 << 10) / f64::from(18).exp2();
        assert!(worst <= 1.0 / 256.0, "{function:?}: {worst}");
    }
    // Values of BERT: linear outputs to 200.
    for f in [18, 16] {
        let x = random(2000, 200 << (2 * f), 6);
        let worst = error(Applied::<u64, u64>::new(Activation::Quad, 2 * f, f, 64), 64, &x, 60);
        assert!(worst < 1.001 + 201.0 / 4.0, "{f}: {worst}");
    }
}
