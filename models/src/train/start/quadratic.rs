//! The quadratic function nearest to an activation, for each unit of a feed-forward part.

use candle_core::{Result, Tensor};

/// The smallest factor of a square: that of a function which is nearly straight would ask for large offsets.
const LEAST_SQUARE: f64 = 0.03;

/// Sums over tokens of x^0 .. x^4, and of g, g x, g x^2 for what should come out, of every unit.
pub(super) type Sums = Vec<[f64; 8]>;

/// The sums of every unit, of what enters it and of what should come out; units are the last axis.
pub(super) fn moments(x: &Tensor, g: &Tensor) -> Result<Sums> {
    let xx = x.sqr()?;
    let terms =
        [x.ones_like()?, x.clone(), xx.clone(), (&xx * x)?, xx.sqr()?, g.clone(), (g * x)?, (g * &xx)?];
    let mut sums = vec![[0.0; 8]; x.dim(1)?];
    for (i, term) in terms.iter().enumerate() {
        let of_units = term.sum(0)?.to_vec1::<f32>()?;
        sums.iter_mut().zip(of_units).for_each(|(sums, sum)| sums[i] = f64::from(sum));
    }
    Ok(sums)
}

/// `Quad(a x + b) + d`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Fit {
    pub(super) a: f64,
    pub(super) b: f64,
    pub(super) d: f64,
}

impl Fit {
    /// The nearest to the activation, by least squares with a square of at least [`LEAST_SQUARE`].
    pub(super) fn of([n, x, xx, x3, x4, g, gx, gxx]: &[f64; 8]) -> Self {
        // Around the mean, as x may lie far from 0.
        let n = n.max(1.0);
        let [x, xx, x3, x4, g, gx, gxx] = [x, xx, x3, x4, g, gx, gxx].map(|sum| sum / n);
        let mean = x;
        let m2 = (xx - mean * mean).max(1e-9);
        let m3 = x3 - 3.0 * mean * xx + 2.0 * mean.powi(3);
        let m4 = x4 - 4.0 * mean * x3 + 6.0 * mean * mean * xx - 3.0 * mean.powi(4);
        // g = r + q u + p (u^2 - m2) with u = x - mean; q and p by normal equations.
        let (c1, c2) = (gx - mean * g, gxx - 2.0 * mean * gx + mean * mean * g - m2 * g);
        let spread = (m4 - m2 * m2 - m3 * m3 / m2).max(1e-12);
        let p = ((c2 - m3 / m2 * c1) / spread).clamp(LEAST_SQUARE, 4.0);
        let q = (c1 - p * m3) / m2;
        let r = g - p * m2;
        // In powers of x.
        let (q, r) = (q - 2.0 * p * mean, r - q * mean + p * mean * mean);
        let a = (8.0 * p).sqrt();
        let b = 4.0 * q / a - 1.0;
        Self { a, b, d: r - (0.125 * b * b + 0.25 * b + 0.5) }
    }
}

#[cfg(test)]
mod tests {
    use ditto_core::nn::Activation;

    use super::*;

    fn sums(xs: &[f64], f: impl Fn(f64) -> f64) -> [f64; 8] {
        xs.iter().fold([0.0; 8], |mut sums, &x| {
            let g = f(x);
            let terms = [1.0, x, x * x, x.powi(3), x.powi(4), g, g * x, g * x * x];
            sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
            sums
        })
    }

    #[test]
    fn a_quadratic_function_is_found() {
        let xs: Vec<f64> = (-40..=70).map(|i| f64::from(i) * 0.05).collect();
        let f = |x: f64| 0.3 * x * x + 0.7 * x - 0.2;
        let fit = Fit::of(&sums(&xs, f));
        for x in xs {
            let y = Activation::Quad.value(fit.a * x + fit.b) + fit.d;
            assert!((y - f(x)).abs() < 1e-9, "{x}: {y}");
        }
    }

    #[test]
    fn a_function_is_near_gelu_where_it_was_fitted() {
        let xs: Vec<f64> = (-30..=10).map(|i| f64::from(i) * 0.1).collect();
        let fit = Fit::of(&sums(&xs, |x| Activation::Gelu.value(x)));
        let error = |f: &dyn Fn(f64) -> f64| {
            xs.iter().map(|&x| (f(x) - Activation::Gelu.value(x)).powi(2)).sum::<f64>().sqrt()
        };
        let fitted = error(&|x| Activation::Quad.value(fit.a * x + fit.b) + fit.d);
        assert!(fitted < 0.25 * error(&|x| Activation::Quad.value(x)), "{fitted}");
    }
}
