//! Medians, and the exponent by which a cost grows.

use serde::Serialize;

/// The median, or the mean of the two in the middle; 0 of nothing.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.len(), sorted.len() / 2) {
        (0, _) => 0.0,
        (n, half) if n % 2 == 1 => sorted[half],
        (_, half) => sorted[half - 1].midpoint(sorted[half]),
    }
}

/// Least and greatest; 0 of nothing.
pub fn range(values: &[f64]) -> [f64; 2] {
    let fold = |f: fn(f64, f64) -> f64| values.iter().copied().reduce(f).unwrap_or_default();
    [fold(f64::min), fold(f64::max)]
}

/// A power law `y = scale * x^exponent`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PowerLaw {
    /// The exponent.
    pub exponent: f64,
    /// The value at 1.
    pub scale: f64,
}

impl PowerLaw {
    /// The law that is nearest to points in logarithms (least squares). `None` for fewer than two different `x`, and for
    /// numbers that have no logarithm.
    pub fn fit(points: &[(f64, f64)]) -> Option<Self> {
        let logs: Vec<(f64, f64)> = points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
        if !logs.iter().all(|(x, y)| x.is_finite() && y.is_finite()) {
            return None;
        }
        let n = logs.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| logs.iter().map(of).sum::<f64>() / n;
        let (mx, my) = (mean(|p| p.0), mean(|p| p.1));
        let (mut xx, mut xy) = (0.0, 0.0);
        for (x, y) in &logs {
            xx += (x - mx) * (x - mx);
            xy += (x - mx) * (y - my);
        }
        let exponent = xy / xx;
        exponent.is_finite().then(|| Self { exponent, scale: (my - exponent * mx).exp() })
    }
}

/// How alike two vectors point: 1 for the same direction. `None` if one of them has no length, or if their lengths differ.
pub fn cosine(a: &[f32], b: &[f32]) -> Option<f64> {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let cosine = dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
    (a.len() == b.len() && cosine.is_finite()).then_some(cosine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_and_even_numbers() {
        assert_eq!(median(&[]), 0.0);
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!((range(&[2.0, -1.0, 5.0]), range(&[])), ([-1.0, 5.0], [0.0, 0.0]));
    }

    #[test]
    fn a_power_law_is_found() {
        let law = |x: f64| 3.0 * x.powf(1.7);
        let points: Vec<_> = [32.0, 64.0, 128.0, 512.0].map(|x| (x, law(x))).into();
        let fit = PowerLaw::fit(&points).unwrap();
        assert!((fit.exponent - 1.7).abs() < 1e-9 && (fit.scale - 3.0).abs() < 1e-9, "{fit:?}");
        // Least squares, worked out by hand: logarithms 0, 1, 2 and 0, 2, 1 have slope 1/2.
        let e = std::f64::consts::E;
        let fit = PowerLaw::fit(&[(1.0, 1.0), (e, e * e), (e * e, e)]).unwrap();
        assert!((fit.exponent - 0.5).abs() < 1e-9 && (fit.scale - 0.5f64.exp()).abs() < 1e-9, "{fit:?}");
        assert!(PowerLaw::fit(&[(2.0, 1.0)]).is_none() && PowerLaw::fit(&[(2.0, 1.0), (2.0, 2.0)]).is_none());
        assert!(PowerLaw::fit(&[(1.0, 0.0), (2.0, 2.0)]).is_none());
    }

    #[test]
    fn cosines_tell_directions() {
        assert!((cosine(&[1.0, 2.0], &[2.0, 4.0]).unwrap() - 1.0).abs() < 1e-12);
        assert_eq!(cosine(&[1.0, 0.0], &[0.0, 3.0]), Some(0.0));
        assert!(cosine(&[1.0], &[1.0, 1.0]).is_none() && cosine(&[0.0], &[1.0]).is_none());
    }
}
