//! Newton steps and inverses.

use super::*;
use crate::nn::compose::inverse::{Inverse, InverseSpec, inverse};

case!(Newton[] { power: u32, lead: u128 }: u128 => u128, |c, ctx, x| {
    let z = P::newton(&ctx.step("newton")?, &x[0], &x[1], c.power, c.lead)?;
    P::remask(&ctx.step("remask")?, &z)
});

#[test]
fn newton_steps_are_exact() {
    for (k, power) in [(128, 2), (128, 3), (100, 2), (100, 3), (70, 2)] {
        // The terms must not wrap, for simulation checks that.
        let bound = 1i64 << ((k - 8) / (power + 1)).min(20);
        let (x, r) = (random(60, bound, 1), random(60, bound, 2));
        let lead = 3u128 << 20;
        let inputs = [Input::new(k, x.clone()), Input::new(k, r.clone())];
        let out = check(&Newton::new(power, lead), &inputs, 0);
        for (i, y) in out.values.iter().enumerate() {
            let r_power = i128::from(r[i]).pow(power);
            let want =
                (lead as i128).wrapping_mul(r[i].into()).wrapping_sub(i128::from(x[i]).wrapping_mul(r_power));
            assert_eq!(*y, want as i64, "{k} {power}");
        }
        assert_eq!(out.counted.offline, u64::from(2 * power - 1) * (60 * u64::from(k)).div_ceil(8));
    }
    // Any values, modulo 2^k.
    let (x, r) = (ring_elements(50, 64, 1), ring_elements(50, 64, 2));
    let inputs = [Input::new(128, x.clone()), Input::new(128, r.clone())];
    let out = counted(&Newton::new(3, 5), &inputs, &[], 1);
    for (i, &y) in out.values.iter().enumerate() {
        let cube = r[i].wrapping_mul(r[i]).wrapping_mul(r[i]);
        assert_eq!(y, r[i].wrapping_mul(5).wrapping_sub(x[i].wrapping_mul(cube)));
    }
}

#[derive(Clone)]
struct Of(InverseSpec);
impl crate::testing::Case for Of {
    type In = u64;
    type Out = u64;
    fn run<P: crate::primitives::Primitives>(
        &self,
        ctx: &crate::ctx::Ctx<'_, P>,
        x: &[P::Masked<u64>],
    ) -> crate::error::Result<P::Masked<u64>> {
        inverse(&ctx.step("inverse")?, &x[0], &self.0)
    }
}

/// Numbers over the whole range [2^low, 2^high), alike in every octave, with the ends of each octave.
fn over_octaves(spec: &InverseSpec, per_octave: usize) -> Vec<i64> {
    let mut x = Vec::new();
    for octave in spec.low..spec.high {
        let start = f64::from(octave + spec.fraction as i32).exp2();
        for (i, r) in random(per_octave, 1 << 30, (octave + 64) as u64).iter().enumerate() {
            let jitter = (*r as f64 / f64::from(1 << 30) + 1.0) / 2.0;
            x.push((start * (1.0 + (i as f64 + jitter) / per_octave as f64)) as i64);
        }
        x.extend([start.ceil() as i64, start.ceil() as i64 + 1, (2.0 * start).ceil() as i64 - 1]);
    }
    let ends = [spec.low, spec.high].map(|e| f64::from(e + spec.fraction as i32).exp2().ceil() as i64);
    x.retain(|v| (ends[0]..ends[1]).contains(v));
    x
}

fn worst(spec: InverseSpec, h: u32) -> (f64, f64) {
    let x = over_octaves(&spec, 250);
    let out = counted(&Of(spec), &[Input::new(h, x.clone())], &[], 5);
    assert_eq!(out.counted.hops, 1 + 2 * spec.steps);
    let simulated = crate::testing::simulate(&Of(spec), &[Input::new(h, x.clone())], 1).expect("simulates");
    let scale = f64::from(spec.out_fraction).exp2();
    let (mut worst, mut apart) = (0f64, 0f64);
    for ((&x, &y), &z) in x.iter().zip(&out.values).zip(&simulated) {
        let value = x as f64 / f64::from(spec.fraction).exp2();
        let want = scale * if spec.kind == Inverse::Rsqrt { 1.0 / value.sqrt() } else { 1.0 / value };
        // One ulp is allowed beside the relative error.
        worst = worst.max((((y as f64 - want).abs() - 1.0).max(0.0)) / want);
        apart = apart.max((((y - z).abs() as f64 - 2.0).max(0.0)) / want);
    }
    (worst, apart)
}

#[test]
fn inverses_over_their_whole_range() {
    // Sums of exponentials below 1, 2^(log n) of them, the largest at least 2^low.
    let lows = [(-3, 14, 11, 10), (-5, 16, 12, 10), (-9, 21, 12, 12)];
    let sums = lows.into_iter().flat_map(|formats| [0, 1, 4, 7, 9].map(|log_n| (formats, log_n)));
    for ((low, fraction, index, mantissa), log_n) in sums {
        let spec = InverseSpec {
            kind: Inverse::Reciprocal,
            fraction,
            low,
            high: log_n + 1,
            out_fraction: 12 + log_n as u32,
            out_width: 48,
            index,
            mantissa,
            steps: 1,
        };
        let (relative, apart) = worst(spec, fraction + log_n as u32 + 3);
        println!("reciprocal of [2^{low}, 2^{}): relative 2^{:.2}", log_n + 1, relative.log2());
        // The guess: the mantissa, and one index unit at the lowest octave of a segment.
        let octaves = (log_n + 1 - low + 2) / 3;
        let guess = 0.5f64.powi(index as i32 - 1 - octaves) + 0.5f64.powi(mantissa as i32 + 1 - octaves);
        assert!(relative < guess * guess && apart < 2.0 * guess * guess, "{log_n}: {relative} {apart}");
    }
    for (low, high, index) in [(-12, 10, 13), (-4, 4, 12), (0, 3, 11)] {
        let spec = InverseSpec {
            kind: Inverse::Rsqrt,
            fraction: 22,
            low,
            high,
            out_fraction: 17,
            out_width: 48,
            index,
            mantissa: 10,
            steps: 1,
        };
        let (relative, apart) = worst(spec, 38);
        println!("inverse root of [2^{low}, 2^{high}): relative 2^{:.2}", relative.log2());
        let octaves = ((high - low) as u32).div_ceil(3) as i32;
        let guess = 0.5f64.powi(index as i32 - octaves) + 0.5f64.powi(11 - (octaves + 1) / 2);
        let bound = 1.5 * guess * guess;
        assert!(relative < bound && apart < 2.0 * bound, "{low} {high}: {relative} {apart}");
    }
}

#[test]
fn two_newton_steps_over_sixteen_octaves() {
    // As 2Quad has it: 16 octaves of sums, then those of rows of 128.
    for log_n in [0, 1, 7, 9] {
        let spec = InverseSpec {
            kind: Inverse::Reciprocal,
            fraction: 14 - log_n as u32,
            low: log_n - 3,
            high: log_n + 13,
            out_fraction: 25 + log_n as u32,
            out_width: 64,
            index: 11,
            mantissa: 10,
            steps: 2,
        };
        let (relative, apart) = worst(spec, 38);
        println!(
            "reciprocal of [2^{}, 2^{}) in two steps: relative 2^{:.2}",
            spec.low,
            spec.high,
            relative.log2()
        );
        // Segments of 5 or 6 octaves: 2^-4 of the guess, to the fourth power; and a rounding unit of the first step.
        let bound = 0.5f64.powi(14);
        assert!(relative < bound && apart < 2.0 * bound, "{log_n}: {relative} {apart}");
    }
}

#[test]
fn inverses_that_cannot_be() {
    let spec = InverseSpec {
        kind: Inverse::Rsqrt,
        fraction: 20,
        low: -10,
        high: 10,
        out_fraction: 17,
        out_width: 48,
        index: 12,
        mantissa: 10,
        steps: 1,
    };
    let inputs = [Input::new(36, vec![1 << 20])];
    for bad in [InverseSpec { out_fraction: 40, ..spec }, InverseSpec { out_fraction: 2, ..spec }] {
        assert!(crate::testing::run(&Of(bad), &inputs, 1).is_err());
    }
    // Simulation refuses what the range does not hold.
    for outside in [0, 1 << 9, 1 << 30, -5] {
        assert!(crate::testing::simulate(&Of(spec), &[Input::new(36, vec![outside])], 1).is_err());
    }
}
