//! Learning rates.

/// A rate that rises from 0 over a tenth of the steps, and falls back to 0 over the rest.
pub(super) fn rate(peak: f64, step: usize, steps: usize) -> f64 {
    let warm = (steps / 10).max(1) as f64;
    let (step, steps) = (step as f64, steps as f64);
    let up = (step + 1.0) / warm;
    let down = (steps - step) / (steps - warm).max(1.0);
    peak * up.min(down).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::rate;

    #[test]
    fn rises_and_falls() {
        let rates: Vec<f64> = (0..100).map(|step| rate(1.0, step, 100)).collect();
        assert!((rates[0] - 0.1).abs() < 1e-12 && rates[9] == 1.0);
        assert!(rates[..10].is_sorted() && rates[10..].is_sorted_by(|a, b| a >= b));
        assert!(rates[99] > 0.0 && rates[99] < 0.02);
        assert!(rate(1.0, 0, 1).is_finite() && rate(1.0, 5, 1) == 0.0);
    }
}
