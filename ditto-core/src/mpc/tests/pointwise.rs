//! Exponentials, series, activations.

use super::*;
use crate::engine::Meter;
use crate::error::Error;
use crate::mpc::{Dealt, ExpSpec};
use crate::nn::compose::{activation, pointwise};
use crate::nn::{Activation, Method, Pointwise, Report};
use crate::public_math;
use crate::tensor::Shape;

case!(Exp[W] { spec: ExpSpec }: W => u64, |c, ctx, x| {
    let zero = P::open_bits(&ctx.step("open")?, &P::msb(&ctx.step("msb")?, &x[1])?)?;
    P::remask(&ctx.step("remask")?, &P::exp(&ctx.step("exp")?, &c.spec, &x[0], Some(&zero))?)
});

case!(WholeExp[W] { spec: ExpSpec }: W => u64, |c, ctx, x| {
    P::remask(&ctx.step("remask")?, &P::exp(&ctx.step("exp")?, &c.spec, &x[0], None)?)
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

/// Without a bit that cuts off: the worst error in ulp, whose mean must be small too.
fn check_whole_exp(spec: ExpSpec, k: u32, step: usize) -> f64 {
    let range = 1i64 << (spec.log_range + spec.fraction);
    let mut x: Vec<i64> = (1 - range..=0).step_by(step).collect();
    x.extend([0, -1, 1 - range]);
    let inputs = [Input::new(k, x.clone())];
    let out = with_word!(k, W => check(&WholeExp::<W>::new(spec), &inputs, 3));
    assert_eq!(out.counted.hops, 1);
    let (unit, scale) = (f64::from(spec.fraction).exp2(), f64::from(spec.out_fraction).exp2());
    let errors: Vec<f64> =
        x.iter().zip(&out.values).map(|(x, y)| *y as f64 - (*x as f64 / unit).exp() * scale).collect();
    let mean = errors.iter().sum::<f64>() / errors.len() as f64;
    assert!(mean.abs() < 0.1 + 3.0 / (errors.len() as f64).sqrt(), "{spec:?}: mean {mean}");
    errors.into_iter().fold(0.0, |worst, e| worst.max(e.abs()))
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
        (spec(12, 5, 14, 40), 18, 61),
        (spec(12, 6, 16, 40), 19, 119),
        (spec(12, 7, 21, 45), 20, 241),
        (spec(5, 7, 20, 46), 32, 1),
        (spec(8, 4, 14, 64), 13, 3),
    ] {
        for worst in [check_exp(spec, k, step), check_whole_exp(spec, k, step)] {
            println!("{spec:?} in {k} bits: {worst:.3} ulp");
            assert!(worst < 1.5, "{spec:?} {worst}");
        }
    }
}

#[test]
fn exponentials_that_cannot_be() {
    let inputs = |k| [Input::new(k, vec![0]), Input::new(k, vec![0])];
    for (spec, k) in [
        (ExpSpec { fraction: 12, log_range: 8, out_fraction: 14, out_width: 17 }, 32),
        (ExpSpec { fraction: 12, log_range: 7, out_fraction: 21, out_width: 52 }, 32),
        (ExpSpec { fraction: 12, log_range: 4, out_fraction: 14, out_width: 15 }, 32),
        (ExpSpec { fraction: 12, log_range: 4, out_fraction: 14, out_width: 17 }, 16),
        (ExpSpec { fraction: 17, log_range: 4, out_fraction: 10, out_width: 12 }, 32),
    ] {
        assert!(crate::testing::run(&Exp::<u32>::new(spec), &inputs(k), 1).is_err(), "{spec:?}");
    }
}

case!(Quad[W, V] { f: u32, out: u32 }: W => V, |c, ctx, x| {
    let x = P::additive(ctx, &x[0])?;
    activation::<P, W, V>(&ctx.step("f")?, Activation::Quad, &x, c.f, c.out, 32)
});

#[test]
fn quad_is_exact_up_to_rounding() {
    for (f, out, limit) in [(8, 8, 30), (10, 10, 14), (20, 10, 14), (16, 12, 3)] {
        let mut x = random(2000, limit << f, 6);
        x.extend([0, 1, -1, limit << f, -limit << f]);
        let got = check(&Quad::<u32, u32>::new(f, out), &[Input::new(32, x.clone())], limit);
        assert_eq!(got.counted.hops, 2);
        let (unit, scale) = (f64::from(f).exp2(), f64::from(out).exp2());
        let error = |(x, y): (&i64, &i64)| {
            let x = *x as f64 / unit;
            (*y as f64 - (0.125 * x * x + 0.25 * x + 0.5) * scale).abs()
        };
        let worst = x.iter().zip(&got.values).map(error).fold(0.0, f64::max);
        // The argument's rounding is scaled by the slope (x + 1) / 4.
        let bound = 1.001 + if f == out { 0.0 } else { (limit as f64 + 1.0) / 4.0 };
        println!("Quad {f} to {out}: {worst:.3} ulp of {bound:.2}");
        assert!(worst < bound, "{f} {out}: {worst}");
    }
}

case!(Squared[W] { a: i64, k: u32 }: W => u64, |c, ctx, x| {
    P::remask(&ctx.step("remask")?, &P::quadratic(&ctx.step("polynomial")?, &x[0], c.a, c.k)?)
});

#[test]
fn polynomials_of_an_opened_value_are_exact() {
    for (h, k, a) in
        [(2, 4, 1i64), (4, 8, 0), (8, 17, -3), (24, 45, 512), (31, 64, 7), (32, 64, -1), (48, 64, 5)]
    {
        let limit = (1i64 << (h - 2)) - 1;
        // Where the result fits its ring.
        let limit = limit.min((1i64 << ((k - 2) / 2)) - 8 - a.abs()).max(0);
        let mut x = random(300, limit, u64::from(h));
        x.extend([0, limit, -limit, limit.min(1), -limit.min(1)]);
        let want: Vec<i64> = x.iter().map(|x| x * (x + a)).collect();
        let input = [Input::new(h, x)];
        let out = with_word!(h, W => check(&Squared::<W>::new(a, k), &input, 0));
        assert_eq!((out.values, out.counted.hops), (want, 1), "{h} {k}");
    }
    for (h, k) in [(1, 8), (8, 9), (8, 8), (32, 65)] {
        let input = [Input::new(h, vec![0])];
        assert!(crate::testing::run(&Squared::<u32>::new(0, k), &input, 1).is_err(), "{h} {k}");
    }
}

case!(Applied[W, V] { function: Pointwise, f: u32, out: u32, k2: u32 }: W => V, |c, ctx, x| {
    let x = P::additive(ctx, &x[0])?;
    pointwise::<P, W, V>(&ctx.step("f")?, &c.function, &x, c.f, c.out, c.k2)
});

/// Runs a function with three parties and in simulation: both keep what the report promises, and the bytes are those
/// it tells. Returns the report and the worst error.
fn keeps<W, V>(function: &Pointwise, k: u32, formats: [u32; 3], mut x: Vec<i64>) -> (Report, f64)
where
    W: crate::primitives::RingWord,
    V: crate::primitives::RingWord,
{
    let [f, out, k2] = formats;
    let report = function.report(f, out, k2).expect("a plan");
    assert!(report.max_error <= report.tolerance, "{report}");
    // Whole bytes per message, so that bits per element can be compared exactly.
    x.truncate(x.len() / 8 * 8);
    let case = Applied::<W, V>::new(function.clone(), f, out, k2);
    let near = (2.0 * report.max_error * f64::from(out).exp2()) as i64 + 1;
    let got = check(&case, &[Input::new(k, x.clone())], near);
    let per = |bytes: u64| (bytes * 8 / x.len() as u64, bytes * 8 % x.len() as u64);
    assert_eq!(per(got.counted.online), (report.online_bits, 0), "{report}");
    assert_eq!(per(got.counted.offline), (report.offline_bits, 0), "{report}");
    assert_eq!(got.counted.hops, report.hops, "{report}");
    let (unit, scale) = (f64::from(f).exp2(), f64::from(out).exp2());
    let error = |(x, y): (&i64, &i64)| (*y as f64 / scale - function.value(*x as f64 / unit)).abs();
    let worst = x.iter().zip(&got.values).map(error).fold(0.0, f64::max);
    println!("{f} to {out}: {report}; measured {worst:.2e}");
    assert!(worst <= report.max_error, "{report}: {worst}");
    (report, worst)
}

/// Integers over the whole range with `f` fractional bits, both ends included, and some at random.
fn over(function: &Pointwise, f: u32, n: i64, seed: u64) -> Vec<i64> {
    let scale = f64::from(f).exp2();
    let (low, high) = ((function.range().start() * scale).ceil(), (function.range().end() * scale).floor());
    let (low, high) = (low as i64, high as i64);
    let mut x: Vec<i64> = (0..n).map(|i| low + (high - low) * i / (n - 1)).collect();
    x.extend(random(n as usize, (high - low) / 2, seed).iter().map(|v| (low + high) / 2 + v));
    x
}

const READY: [Activation; 4] = [Activation::Gelu, Activation::Tanh, Activation::Silu, Activation::Sigmoid];

fn ready(activation: Activation) -> &'static Pointwise {
    activation.pointwise().expect("a pointwise function")
}

#[test]
fn ready_functions_keep_their_tolerance() {
    for activation in READY {
        let function = ready(activation);
        for (f, out) in [(8, 8), (10, 10), (20, 10), (18, 8), (8, 10)] {
            let mut x = over(function, f, 2000, 3);
            // Most of them where something happens.
            x.extend(random(4000, 9 << f, 5));
            let (report, _) = keeps::<u32, u32>(function, 32, [f, out, 32], x);
            let allowed = f64::max(1.0 / 256.0, 2.0 / f64::from(out).exp2());
            assert_eq!(report.tolerance, allowed);
        }
    }
    // Other rings, and more fractional bits than the tolerance asks for.
    let gelu = ready(Activation::Gelu);
    keeps::<u64, u64>(gelu, 48, [8, 8, 64], over(gelu, 8, 2000, 4));
    keeps::<u64, u64>(gelu, 64, [36, 18, 64], over(gelu, 36, 2000, 4));
    keeps::<u32, u16>(gelu, 32, [18, 8, 16], over(gelu, 18, 2000, 4));
}

#[test]
fn gelu_keeps_its_bound_for_every_argument() {
    // |x| <= 64 at 10 fractional bits, each argument with masks of its own; the report's bound holds for all masks.
    let gelu = ready(Activation::Gelu).with_range(-64.0..=64.0).expect("a range");
    let mut worst = 0f64;
    for part in 0..4 {
        let x: Vec<i64> = (0..1 << 15).map(|i| -(64 << 10) + (part << 15) + i).collect();
        let (report, measured) = keeps::<u32, u32>(&gelu, 32, [10, 10, 32], x);
        assert!(report.max_error <= 1.0 / 256.0, "{report}");
        worst = worst.max(measured);
    }
    println!("GeLU over all 131072 arguments: {:.3} of 2^-8", worst * 256.0);
    assert!(worst <= 1.0 / 256.0);
}

#[test]
fn a_smaller_range_costs_less() {
    let gelu = ready(Activation::Gelu);
    let mut last = u64::MAX;
    for reach in [120.0, 16.0, 4.0, 3.0] {
        let narrow = gelu.with_range(-reach..=reach).expect("a range");
        let (report, _) = keeps::<u32, u32>(&narrow, 32, [10, 10, 32], over(&narrow, 10, 1500, 8));
        let bits = report.online_bits + report.offline_bits;
        assert!(bits < last, "{report}");
        last = bits;
    }
    // Without tails there are no comparisons.
    let small = gelu.with_range(-3.0..=3.0).expect("a range").report(10, 10, 32).expect("a plan");
    assert!(matches!(small.method, Method::Series { tails: 0, .. }) && small.hops == 3, "{small}");
}

/// Whether a method is the one that is expected.
type Expected = fn(Method) -> bool;

/// Functions of an author, and by which method they are computed at 10 fractional bits.
fn authors() -> Vec<(Pointwise, Expected)> {
    type F = fn(f64) -> f64;
    let new = |name: &str, f: F, range, tolerance| Pointwise::new(name, f, range, tolerance).expect(name);
    let softplus: F = |x| x.max(0.0) + (1.0 + (-x.abs()).exp()).ln();
    let runge: F = |x| 1.0 / (1.0 + x * x);
    let hardswish: F = |x| x * (x + 3.0).clamp(0.0, 6.0) / 6.0;
    let shifted: F = |x| public_math::tanh(x - 20.0) - 7.0;
    let waves = |m| matches!(m, Method::Series { tails: 0, .. });
    let low = |m| matches!(m, Method::Series { tails: 1, .. });
    let both = |m| matches!(m, Method::Series { tails: 2, .. });
    let slopes = |m| matches!(m, Method::Table { slopes: true, tails: 0, .. });
    let slopes_between = |m| matches!(m, Method::Table { slopes: true, tails: 2, .. });
    let values = |m| matches!(m, Method::Table { slopes: false, .. });
    let pieces = |m| m == Method::TwoPieces;
    let line = |m| m == Method::Series { waves: 0, tails: 0 };
    vec![
        (new("softplus", softplus, -32.0..=32.0, 1.0 / 256.0), both),
        (new("exp", public_math::exp, -16.0..=1.0, 1.0 / 128.0), low),
        (new("sin", f64::sin, -8.0..=8.0, 1.0 / 256.0), waves),
        (new("square", |x| x * x, -2.0..=2.0, 1.0 / 64.0), waves),
        (new("root", f64::sqrt, 1.0..=64.0, 1.0 / 128.0), waves),
        (new("runge", runge, -8.0..=8.0, 1.0 / 256.0), slopes),
        (new("far runge", runge, -64.0..=64.0, 1.0 / 256.0), slopes_between),
        (new("reciprocal", |x| 1.0 / x, 1.0..=32.0, 1.0 / 256.0), slopes),
        (new("hardswish", hardswish, -16.0..=16.0, 1.0 / 128.0), slopes_between),
        (new("staircase", |x| (x * 4.0).floor() / 4.0, -1.0..=1.0, 1.0 / 256.0), values),
        (new("relu", |x| x.max(0.0), -16.0..=16.0, 1.0 / 128.0), pieces),
        (new("leaky relu", |x| x.max(x / 4.0), -16.0..=16.0, 1.0 / 256.0), pieces),
        (new("magnitude", f64::abs, -16.0..=16.0, 1.0 / 256.0), pieces),
        (new("identity", |x| x, -4.0..=4.0, 1.0 / 64.0), line),
        (new("constant", |_| 1.5, -4.0..=4.0, 1.0 / 64.0), line),
        (new("shifted", shifted, 4.0..=40.0, 1.0 / 200.0), both),
    ]
}

#[test]
fn functions_of_authors_keep_their_tolerance() {
    for (function, by) in authors() {
        let (report, _) = keeps::<u32, u32>(&function, 32, [10, 10, 32], over(&function, 10, 2000, 2));
        assert!(by(report.method), "{report}");
    }
    // An argument that is rounded before it is opened; more exact formats; coarse ones.
    for (function, _) in authors().into_iter().take(4) {
        keeps::<u32, u32>(&function, 32, [20, 10, 32], over(&function, 20, 1000, 2));
    }
    let fine = Pointwise::new("fine", public_math::tanh, -4.0..=4.0, 1.0 / 4096.0).expect("a function");
    keeps::<u32, u32>(&fine, 32, [14, 14, 32], over(&fine, 14, 3000, 2));
    let fine = Pointwise::new("fine", public_math::exp, -4.0..=0.0, 1.0 / 16384.0).expect("a function");
    keeps::<u32, u32>(&fine, 32, [16, 16, 32], over(&fine, 16, 3000, 2));
    let coarse = Pointwise::new("coarse", public_math::tanh, -2.0..=2.0, 1.0 / 8.0).expect("a function");
    keeps::<u32, u16>(&coarse, 16, [3, 3, 16], over(&coarse, 3, 64, 2));
}

#[test]
fn random_functions_keep_their_tolerance() {
    // Sums of two steps on random ranges, with random tolerances.
    let numbers = random(80, 1000, 11);
    for n in numbers.chunks_exact(8) {
        let n: Vec<f64> = n.iter().map(|&v| v as f64 / 1000.0).collect();
        let (a, b, c, d) = (n[0] * 3.0, n[1] * 4.0, 0.4 + n[2].abs(), n[3]);
        let f = move |x: f64| a * public_math::sigmoid((x - b) / c) + d * public_math::tanh(x + 2.0 * d);
        let (low, high) = (-2.0 - 6.0 * n[4].abs(), 2.0 + 9.0 * n[5].abs());
        let tolerance = 0.004 + 0.02 * n[6].abs();
        let function = Pointwise::new("random", f, low..=high, tolerance).expect("a function");
        keeps::<u32, u32>(&function, 32, [10, 10, 32], over(&function, 10, 1000, 13));
    }
}

fn told<T>(result: Result<T, Error>) -> String {
    match result {
        Err(error @ Error::Pointwise { .. }) => error.to_string(),
        Err(error) => panic!("another error: {error}"),
        Ok(_) => panic!("no error"),
    }
}

#[test]
fn bad_arguments_are_told() {
    let new = |range, tolerance| told(Pointwise::new("f", f64::sqrt, range, tolerance));
    #[allow(clippy::reversed_empty_ranges)]
    for range in [2.0..=1.0, 1.0..=1.0, f64::NAN..=1.0, 0.0..=f64::INFINITY] {
        assert!(new(range, 0.1).contains("empty or not finite"));
    }
    for tolerance in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(new(0.0..=1.0, tolerance).contains("not a positive number"));
    }
    assert!(new(-1.0..=1.0, 0.1).contains("its value at -1 is NaN"));
    let gelu = ready(Activation::Gelu);
    #[allow(clippy::reversed_empty_ranges)]
    let reversed = gelu.with_range(3.0..=-3.0);
    assert!(told(reversed).contains("`gelu`"));
    // What a format cannot do is told with what it can.
    let tight = gelu.with_range(-4.0..=4.0).and_then(|g| g.with_tolerance(1.0 / 2048.0)).expect("a function");
    let error = told(tight.report(10, 10, 32));
    assert!(error.contains("cannot be met") && error.contains("can, or a smaller range"), "{error}");
    tight.report(12, 13, 32).expect("a few bits more are enough");
    let large = Pointwise::new("large", |x| x * x, -100.0..=100.0, 1.0).expect("a function");
    assert!(told(large.report(10, 10, 16)).contains("do not fit a ring of 16 bits"));
    let wide = Pointwise::new("wide", f64::sin, -1e9..=1e9, 0.1).expect("a function");
    assert!(told(wide.report(10, 10, 32)).contains("a smaller range"));
    assert!(told(gelu.report(61, 10, 32)).contains("fractional bits"));
    // A pole inside the range is found when the values are taken.
    let pole = Pointwise::new("pole", |x| 1.0 / (x - 0.25), -1.0..=1.0, 0.1).expect("finite at the ends");
    assert!(told(pole.report(10, 10, 32)).contains("its value at 0.25 is inf"));
    // A ring that cannot hold the argument's range.
    let inputs = [Input::new(16, vec![0])];
    let case = Applied::<u16, u32>::new(gelu.clone(), 10, 10, 32);
    assert!(told(crate::testing::run(&case, &inputs, 1)).contains("needs a ring of"));
}

#[test]
fn an_argument_out_of_range_is_reported_by_the_simulation() {
    for (function, _) in authors() {
        let scale = f64::from(10).exp2();
        let (low, high) = (*function.range().start() * scale, *function.range().end() * scale);
        let case = Applied::<u32, u32>::new(function.clone(), 10, 10, 32);
        for x in [low as i64 - 8, high as i64 + 8] {
            let result = crate::testing::simulate(&case, &[Input::new(32, vec![high as i64, x])], 1);
            assert!(
                matches!(result, Err(Error::Range { op: "pointwise function", .. })),
                "{function:?} at {x}"
            );
        }
    }
}

/// Start of the hash of the public tables of a function's program.
fn tables(function: &Pointwise) -> String {
    let x = Dealt::<u32>::new(Shape::new(&[1]), 32);
    let program = Meter::read(std::sync::Arc::default(), |ctx| {
        pointwise::<Meter, u32, u32>(ctx, function, &x, 10, 10, 32)
    });
    program.expect("a plan").tables[..4].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn coefficients_are_part_of_the_program() {
    let near = |shift: f64| {
        let f = move |x: f64| public_math::tanh(x) + shift * x;
        Pointwise::new("near", f, -4.0..=4.0, 0.01).expect("a function")
    };
    assert_eq!(tables(&near(0.0)), tables(&near(0.0)));
    assert_ne!(tables(&near(0.0)), tables(&near(1e-9)));
    // Every machine must find the same numbers: parties on different ones compare them.
    let found = READY.map(|activation| tables(ready(activation)));
    assert_eq!(found, ["d2822e14", "c888628a", "a987dcac", "36b5b6c3"]);
}
