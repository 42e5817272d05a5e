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
