//! Exponentials, series, activations.

use super::*;
use crate::mpc::ExpSpec;
use crate::nn::Activation;
use crate::nn::compose::activation;

case!(Exp[W] { spec: ExpSpec }: W => u32, |c, ctx, x| {
    let zero = P::open_bits(&ctx.step("open")?, &P::msb(&ctx.step("msb")?, &x[1])?)?;
    P::remask(&ctx.step("remask")?, &P::exp(&ctx.step("exp")?, &c.spec, &x[0], &zero)?)
});

fn check_exp(spec: ExpSpec, k: u32, step: usize) -> f64 {
    let range = 1i64 << (spec.log_range + spec.fraction);
    let mut x: Vec<i64> = (1 - range..=0).step_by(step).collect();
    x.extend([0, -1, 1 - range]);
    let kept = x.len();
    // What is out of the range is cut off by the bit.
    x.extend(ring_elements(400, k, 4));
    let zero: Vec<i64> = (0..x.len()).map(|i| -i64::from(i >= kept)).collect();
    let inputs = [Input::new(k, x.clone()), Input::new(k, zero)];
    let out = with_word!(k, W => check(&Exp::<W>::new(spec), &inputs, 3));
    assert!(out.values[kept..].iter().all(|y| y.abs() <= 1), "cut off");
    let unit = f64::from(spec.fraction).exp2();
    let scale = f64::from(spec.out_fraction).exp2();
    let error = |(x, y): (&i64, &i64)| (*y as f64 - (*x as f64 / unit).exp() * scale).abs();
    x[..kept].iter().zip(&out.values).map(error).fold(0.0, f64::max)
}

#[test]
fn exponentials_over_their_whole_range() {
    let spec = |fraction, log_range, out_fraction, out_width| ExpSpec {
        fraction,
        log_range,
        out_fraction,
        out_width,
    };
    for (spec, k, step) in [
        (spec(12, 4, 14, 17), 21, 1),
        (spec(12, 4, 14, 17), 17, 7),
        (spec(12, 4, 14, 17), 48, 7),
        (spec(8, 4, 12, 15), 13, 1),
        (spec(8, 3, 16, 19), 16, 1),
        (spec(4, 0, 20, 24), 8, 1),
        (spec(0, 4, 8, 12), 6, 1),
    ] {
        let worst = check_exp(spec, k, step);
        println!("{spec:?} in {k} bits: {worst:.3} ulp");
        assert!(worst < 1.5, "{spec:?} {worst}");
    }
}

#[test]
fn exponentials_that_cannot_be() {
    let inputs = |k| [Input::new(k, vec![0]), Input::new(k, vec![0])];
    for (spec, k) in [
        (ExpSpec { fraction: 12, log_range: 6, out_fraction: 14, out_width: 17 }, 32),
        (ExpSpec { fraction: 12, log_range: 4, out_fraction: 14, out_width: 17 }, 16),
        (ExpSpec { fraction: 17, log_range: 4, out_fraction: 10, out_width: 12 }, 32),
    ] {
        assert!(crate::testing::run(&Exp::<u32>::new(spec), &inputs(k), 1).is_err(), "{spec:?}");
    }
}

case!(Pointwise[W, V] { function: Activation, f: u32, out: u32, k2: u32 }: W => V, |c, ctx, x| {
    let x = P::additive(ctx, &x[0])?;
    activation::<P, W, V>(&ctx.step("f")?, c.function, &x, c.f, c.out, c.k2)
});

fn exact(function: Activation, x: f64) -> f64 {
    match function {
        Activation::Tanh => x.tanh(),
        Activation::Gelu => crate::engine::gelu_for_tests(x),
        Activation::Quad => 0.125 * x * x + 0.25 * x + 0.5,
        Activation::PumaGelu => crate::nn::puma_gelu::value(x),
    }
}

/// The worst error, in units of the result's last place.
fn pointwise_error<W, V>(case: Pointwise<W, V>, k: u32, x: &[i64], near: i64) -> f64
where
    W: crate::primitives::RingWord,
    V: crate::primitives::RingWord,
{
    let out = check(&case, &[Input::new(k, x.to_vec())], near);
    let hops = match case.function {
        Activation::Quad if case.f == case.out => 3,
        Activation::Quad => 4,
        Activation::PumaGelu if case.f == case.out => 9,
        Activation::PumaGelu => 10,
        _ => 5,
    };
    assert_eq!(out.counted.hops, hops);
    let scale = f64::from(case.f).exp2();
    let error = |(x, y): (&i64, &i64)| {
        (*y as f64 - exact(case.function, *x as f64 / scale) * f64::from(case.out).exp2()).abs()
    };
    x.iter().zip(&out.values).map(error).fold(0.0, f64::max)
}

#[test]
fn smooth_functions() {
    for function in [Activation::Gelu, Activation::Tanh] {
        for (f, out) in [(8, 8), (10, 10), (20, 10), (18, 8)] {
            // Steps over [-8, 8], and the rest of the range.
            let step = (1usize << (f - out)) * 3 + 1;
            let mut x: Vec<i64> = (-(8i64 << f)..8 << f).step_by(step).collect();
            x.extend(random(300, (126 << f) - 1, 3));
            x.extend([0, 1, -1, 4 << f, -4 << f, 6 << f, -6 << f, 126 << f, -126 << f]);
            let worst = pointwise_error(Pointwise::<u32, u32>::new(function, f, out, 32), 32, &x, 4);
            let unit = f64::from(out).exp2();
            println!("{function:?} {f} to {out}: {:.3} of 2^-8, {worst:.3} ulp", worst / unit * 256.0);
            // The series, and the roundings of argument and result.
            assert!(worst / unit < 1.0 / 256.0 + 2.2 / unit, "{function:?} {f} {out}: {worst}");
        }
    }
}

#[test]
fn quad_is_exact_up_to_rounding() {
    for (f, out, limit) in [(8, 8, 30), (10, 10, 14), (20, 10, 14), (16, 12, 3)] {
        let mut x = random(2000, limit << f, 6);
        x.extend([0, 1, -1, limit << f, -limit << f]);
        let worst = pointwise_error(Pointwise::<u32, u32>::new(Activation::Quad, f, out, 32), 32, &x, limit);
        // The argument's rounding is scaled by the slope (x + 1) / 4.
        let bound = 1.001 + if f == out { 0.0 } else { (limit as f64 + 1.0) / 4.0 };
        println!("Quad {f} to {out}: {worst:.3} ulp of {bound:.2}");
        assert!(worst < bound, "{f} {out}: {worst}");
    }
}

#[test]
fn pointwise_functions_in_other_rings() {
    let x: Vec<i64> = (-(100 << 8)..100 << 8).step_by(61).collect();
    let unit = f64::from(8).exp2();
    let worst = pointwise_error(Pointwise::<u64, u64>::new(Activation::Gelu, 8, 8, 64), 48, &x, 4);
    assert!(worst / unit < 1.0 / 256.0 + 2.2 / unit);
    let inputs = [Input::new(16, vec![0])];
    // The result cannot have more fractional bits, and the ring must hold the range.
    for (f, out) in [(8, 9), (8, 8)] {
        assert!(
            crate::testing::run(&Pointwise::<u16, u32>::new(Activation::Tanh, f, out, 32), &inputs, 1)
                .is_err()
        );
    }
}

/// Bits per element, online and offline, of a metered case of 64 elements in Z_{2^k}.
fn bits<W, V>(case: &Pointwise<W, V>, k: u32) -> (u64, u64)
where
    W: crate::primitives::RingWord,
    V: crate::primitives::RingWord,
{
    let out = counted(case, &[Input::new(k, vec![0; 64])], &[], 1);
    (out.counted.online / 8, out.counted.offline / 8)
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
        let case = Pointwise::<u64, u64>::new(Activation::PumaGelu, f, out, 64);
        let between = |x: &i64| limits.iter().all(|t| (x - t).abs() > 1 << shift || shift == 0);
        x.retain(between);
        let worst = pointwise_error(case.clone(), 64, &x, near);
        println!("PUMA's GeLU {f} to {out}: {worst:.3} ulp; bits {:?}", bits(&case, 64));
        // The argument's rounding is scaled by a slope of up to 1.13.
        assert!(worst < if shift == 0 { 3.0 } else { 4.2 }, "{f} {out}: {worst}");
        let out = check(&case, &[Input::new(64, x.clone())], near);
        let gelu = |(x, y): (&i64, &i64)| {
            (*y as f64 / unit - crate::engine::gelu_for_tests(*x as f64 / f64::from(f).exp2())).abs()
        };
        let worst = x.iter().zip(&out.values).map(gelu).fold(0.0, f64::max);
        println!("against GeLU: {worst:.5}");
        assert!(worst < 0.02);
    }
    // In another ring, with coefficients of 14 bits only: at 3 they are off by 5 ulp together.
    let x: Vec<i64> = (-(64i64 << 8)..64 << 8).step_by(7).collect();
    let worst = pointwise_error(Pointwise::<u32, u32>::new(Activation::PumaGelu, 8, 8, 32), 32, &x, 6);
    assert!(worst < 8.0, "{worst}");
}

#[test]
fn what_pointwise_functions_cost_in_one_ring() {
    let bits = |function| bits(&Pointwise::<u64, u64>::new(function, 36, 18, 64), 64);
    assert_eq!(bits(Activation::PumaGelu), (954, 1423));
    assert_eq!(bits(Activation::Quad), (256, 142));
    println!("accurate GeLU in 64 bits: {:?}", bits(Activation::Gelu));
    let small = |function| self::bits(&Pointwise::<u32, u32>::new(function, 20, 10, 32), 32);
    println!("in 32 bits: GeLU {:?}, Quad {:?}", small(Activation::Gelu), small(Activation::Quad));
}

#[test]
fn pointwise_functions_that_cannot_be() {
    for (f, out, k2) in [(30, 28, 64), (20, 12, 32), (10, 12, 64)] {
        let case = Pointwise::<u64, u64>::new(Activation::PumaGelu, f, out, k2);
        assert!(crate::testing::run(&case, &[Input::new(64, vec![0])], 1).is_err(), "{f} {out} {k2}");
    }
}

#[test]
fn functions_with_many_fractional_bits() {
    let x: Vec<i64> = random(2000, 120 << 36, 9).into_iter().chain([0, 1 << 36, -1 << 36]).collect();
    for function in [Activation::Gelu, Activation::Tanh] {
        let case = Pointwise::<u64, u64>::new(function, 36, 18, 64);
        let worst = pointwise_error(case, 64, &x, 16 << 6) / f64::from(18).exp2();
        assert!(worst < 1.0 / 256.0 + 2.2 / 4096.0, "{function:?}: {worst}");
    }
    // Values of BERT: linear outputs to 200.
    for f in [18, 16] {
        let x = random(2000, 200 << (2 * f), 6);
        let worst = pointwise_error(Pointwise::<u64, u64>::new(Activation::Quad, 2 * f, f, 64), 64, &x, 60);
        assert!(worst < 1.001 + 201.0 / 4.0, "{f}: {worst}");
    }
}
