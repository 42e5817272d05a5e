//! How near two models' answers are, and how good a model's are.

use serde::{Deserialize, Serialize};

use crate::calibrate::cosine;

/// A figure by its name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// What it is.
    pub name: String,
    /// Its value.
    pub value: f64,
}

impl Measure {
    pub(crate) fn new(name: &str, value: f64) -> Self {
        Self { name: name.to_owned(), value }
    }
}

/// Ranks from 1, the mean of their places for equal numbers.
fn ranks(x: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..x.len()).collect();
    order.sort_by(|&a, &b| x[a].total_cmp(&x[b]));
    let mut ranks = vec![0.0; x.len()];
    let mut rest = &order[..];
    while let Some(&first) = rest.first() {
        let equal = rest.iter().take_while(|&&i| x[i] == x[first]).count();
        let before = order.len() - rest.len();
        let rank = before as f64 + (equal as f64 + 1.0) / 2.0;
        rest[..equal].iter().for_each(|&i| ranks[i] = rank);
        rest = &rest[equal..];
    }
    ranks
}

/// Correlation of two series (Pearson).
fn pearson(x: &[f64], y: &[f64]) -> f64 {
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    let (mx, my) = (mean(x), mean(y));
    let product = |a: &[f64], ma: f64, b: &[f64], mb: f64| {
        a.iter().zip(b).map(|(a, b)| (a - ma) * (b - mb)).sum::<f64>()
    };
    product(x, mx, y, my) / (product(x, mx, x, mx) * product(y, my, y, my)).sqrt()
}

/// Correlation of the ranks of two series (Spearman).
pub fn spearman(x: &[f64], y: &[f64]) -> f64 {
    pearson(&ranks(x), &ranks(y))
}

/// The cosine of every pair of vectors, in a fixed order.
fn similarities<V: AsRef<[f32]>>(vectors: &[V]) -> Vec<f64> {
    let pairs = (0..vectors.len()).flat_map(|i| (0..i).map(move |j| (i, j)));
    pairs.map(|(i, j)| cosine(vectors[i].as_ref(), vectors[j].as_ref())).collect()
}

/// Embeddings beside those of a reference: the mean cosine, and Spearman's correlation of the similarities of all pairs.
pub fn embeddings<V: AsRef<[f32]>>(own: &[V], reference: &[V]) -> Vec<Measure> {
    let cosines = own.iter().zip(reference).map(|(a, b)| cosine(a.as_ref(), b.as_ref()));
    let mean = cosines.sum::<f64>() / own.len().max(1) as f64;
    let correlation = spearman(&similarities(own), &similarities(reference));
    vec![Measure::new("cosine", mean), Measure::new("spearman", correlation)]
}

/// The place of the largest number.
fn best(logits: &[f32]) -> Option<usize> {
    (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b]).then(b.cmp(&a)))
}

/// How often the largest logit of a row is where it should be.
pub fn accuracy<V: AsRef<[f32]>>(logits: &[V], classes: &[usize]) -> f64 {
    let right = logits.iter().zip(classes).filter(|(logits, class)| best(logits.as_ref()) == Some(**class));
    right.count() as f64 / classes.len().max(1) as f64
}

/// How often the largest logit of a row is where a reference has it.
pub fn agreement<V: AsRef<[f32]>>(own: &[V], reference: &[V]) -> f64 {
    let classes: Vec<usize> = reference.iter().map(|row| best(row.as_ref()).unwrap_or_default()).collect();
    accuracy(own, &classes)
}

/// Minus the logarithm of the probability that logits give to a token.
pub fn surprise(logits: &[f32], token: usize) -> f64 {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|&v| f64::from(v - most).exp()).sum();
    sum.ln() - f64::from(logits.get(token).copied().unwrap_or(f32::NEG_INFINITY) - most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_of_equals_are_shared() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 2.0]), [3.5, 1.0, 3.5, 2.0]);
        assert!((spearman(&[1.0, 2.0, 3.0], &[1.0, 10.0, 100.0]) - 1.0).abs() < 1e-12);
        assert!((spearman(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]) + 1.0).abs() < 1e-12);
    }

    #[test]
    fn embeddings_of_one_model_agree() {
        let own = [[1.0_f32, 0.0], [0.6, 0.8], [0.0, 1.0], [-0.6, 0.8]];
        let measures = embeddings(&own, &own.map(|v| v.map(|x| 2.0 * x)));
        assert!(measures.iter().all(|m| (m.value - 1.0).abs() < 1e-6), "{measures:?}");
        let other = [[0.0_f32, 1.0], [0.6, 0.8], [1.0, 0.0], [0.8, -0.6]];
        assert!(embeddings(&own, &other)[0].value < 0.5);
    }

    #[test]
    fn classes_and_tokens_are_counted() {
        let logits = [[0.0_f32, 2.0], [1.0, -1.0], [0.5, 0.0]];
        assert!((accuracy(&logits, &[1, 0, 1]) - 2.0 / 3.0).abs() < 1e-12);
        assert!((agreement(&logits, &[[0.0, 1.0], [3.0, 0.0], [0.0, 9.0]]) - 2.0 / 3.0).abs() < 1e-12);
        assert!((surprise(&[1.0, 1.0], 0) - 2f64.ln()).abs() < 1e-9);
    }
}
