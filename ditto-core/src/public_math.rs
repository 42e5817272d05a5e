//! Functions for public tables that both evaluators must compute bit for bit alike.
//!
//! They use additions, multiplications and comparisons of f64 only, which IEEE 754 defines exactly, and no function
//! of a mathematical library, which differ by an ulp between systems.

const LN_2_HIGH: f64 = 0.693_147_180_369_123_8;
const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;

/// 2^n as a float, for n in the range of normal numbers.
pub fn power_of_two(n: i32) -> f64 {
    f64::from_bits(((1023 + i64::from(n.clamp(-1022, 1023))) as u64) << 52)
}

/// e^x to about 1e-15, for |x| < 700.
pub fn exp(x: f64) -> f64 {
    let n = (x * std::f64::consts::LOG2_E + 0.5).floor();
    let r = (x - n * LN_2_HIGH) - n * LN_2_LOW;
    // Taylor series; |r| <= ln(2)/2.
    let series = (1..=16).rev().fold(1.0, |sum, i| 1.0 + sum * r / f64::from(i));
    series * power_of_two(n as i32)
}

/// The error function to about 1e-15: its series near 0, a continued fraction beyond.
pub fn erf(x: f64) -> f64 {
    let a = x.abs();
    let value = if a >= 6.0 {
        1.0
    } else if a < 3.0 {
        let (mut term, mut sum) = (a, a);
        for n in 1..60 {
            term *= -a * a / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * std::f64::consts::FRAC_2_SQRT_PI
    } else {
        let fraction = (1..40).rev().fold(a, |f, n| a + f64::from(n) * 0.5 / f);
        1.0 - exp(-a * a) / (fraction * std::f64::consts::PI.sqrt())
    };
    value.copysign(x)
}

/// `x Phi(x)`.
pub fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2))
}

/// `x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))`, the approximation of [`gelu`] that GPT-2 was trained with.
pub fn gelu_tanh(x: f64) -> f64 {
    let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
    0.5 * x * (1.0 + tanh(inner))
}

/// `1 / (1 + e^-x)`.
pub fn sigmoid(x: f64) -> f64 {
    let e = exp(-x.abs().min(700.0));
    if x < 0.0 { e / (1.0 + e) } else { 1.0 / (1.0 + e) }
}

/// `x / (1 + e^-x)`.
pub fn silu(x: f64) -> f64 {
    x * sigmoid(x)
}

/// The hyperbolic tangent.
pub fn tanh(x: f64) -> f64 {
    let e = exp(-2.0 * x.abs().min(350.0));
    ((1.0 - e) / (1.0 + e)).copysign(x)
}

/// cos(2 pi i / n) and sin(2 pi i / n), for n a multiple of 8.
pub fn cos_sin(i: usize, n: usize) -> (f64, f64) {
    let i = i % n;
    let (octant, rest) = (8 * i / n, i % (n / 8));
    // Within an octant take the angle from the nearer axis.
    let steps = if octant % 2 == 0 { rest } else { n / 8 - rest };
    let x = 2.0 * std::f64::consts::PI * steps as f64 / n as f64;
    let xx = x * x;
    // 1 - x^2/(a(a+1)) (1 - x^2/((a+2)(a+3)) (..)), a = 1 for the cosine, 2 for the sine over x.
    let series = |first: f64| {
        (0..9).rev().fold(1.0, |sum, j| {
            let a = first + 2.0 * f64::from(j);
            1.0 - xx / (a * (a + 1.0)) * sum
        })
    };
    let (c, s) = (series(1.0), x * series(2.0));
    match octant {
        0 => (c, s),
        1 => (s, c),
        2 => (-s, c),
        3 => (-c, s),
        4 => (-c, -s),
        5 => (-s, -c),
        6 => (s, -c),
        _ => (c, -s),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_accurate() {
        for i in -4000..4000 {
            let x = f64::from(i) * 0.01;
            assert!((exp(x) / x.exp() - 1.0).abs() < 4e-15, "exp({x})");
        }
        assert_eq!(exp(0.0), 1.0);
    }

    #[test]
    fn activations_are_accurate() {
        // From tables of the error function.
        for (x, y) in [(0.0, 0.0), (0.5, 0.520_499_877_813_046_5), (1.0, 0.842_700_792_949_714_9)] {
            assert!((erf(x) - y).abs() < 1e-14 && erf(-x) == -erf(x), "erf({x})");
        }
        for (x, y) in [(2.0, 4.677_734_981_047_266e-3), (3.5, 7.430_983_723_414_128e-7)] {
            assert!((1.0 - erf(x) - y).abs() < 1e-14, "erf({x})");
        }
        assert!((gelu(1.0) - 0.841_344_746_068_542_9).abs() < 1e-14);
        for i in -900..900 {
            let x = f64::from(i) * 0.05;
            assert!((tanh(x) - x.tanh()).abs() < 1e-14, "tanh({x})");
            assert!((sigmoid(x) - 1.0 / (1.0 + (-x).exp())).abs() < 1e-14, "sigmoid({x})");
            assert!((silu(x) - x / (1.0 + (-x).exp())).abs() < 1e-12, "silu({x})");
        }
    }

    #[test]
    fn cos_and_sin_are_accurate() {
        for n in [8, 64, 4096] {
            for i in 0..n {
                let angle = 2.0 * std::f64::consts::PI * i as f64 / n as f64;
                let (c, s) = cos_sin(i, n);
                assert!((c - angle.cos()).abs() < 1e-14 && (s - angle.sin()).abs() < 1e-14, "{i}/{n}");
            }
        }
    }
}
