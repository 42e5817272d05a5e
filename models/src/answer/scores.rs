//! From logits to probabilities.

/// The place of the largest number, the first of equal ones; 0 where there are none.
pub(super) fn best(values: &[f32]) -> usize {
    let top = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    values.iter().position(|&v| v == top).unwrap_or(0)
}

/// `e^v / sum e^v`.
pub(super) fn softmax(values: &[f32]) -> Vec<f32> {
    let top = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let terms: Vec<f64> = values.iter().map(|v| f64::from(v - top).exp()).collect();
    let sum: f64 = terms.iter().sum();
    terms.iter().map(|term| (term / sum) as f32).collect()
}
