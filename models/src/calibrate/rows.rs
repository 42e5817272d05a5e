//! Rows of weights that are out of proportion.
//!
//! A tensor has one scale. A row (an output of a linear layer, a token's embedding) that is R times as large as the
//! others makes products R times as large, and whatever ring holds them leaves the others log2 R bits fewer. Texts do
//! not always show that: a row may belong to a token that the samples lack. So it is looked for in the weights.
//!
//! Measured (largest norm of a row over the median): all-MiniLM-L6-v2 at most 5.0 (2.3 bits) over all its matrices;
//! GPT-2's outlying dimensions reach 10 to 20 (4.3 bits). The limit is 32, 5 bits: half of what the finest plan's
//! activations have. A median row times 256 is 8 bits, and still 5.8 where the row was the smallest of a real
//! checkpoint (0.22 of the median, a token of MiniLM's vocabulary).

use super::Problem;
use crate::checkpoint::CheckpointError;
use crate::quantization::for_each_tensor;
use crate::run::Task;

/// Largest norm of a row, in norms of the median row.
pub const MOST: f64 = 32.0;

/// Rows that are out of proportion, in matrices and in gains (vectors called `weight`, whose rows are single numbers).
///
/// The rows of a matrix that is stored [inputs, outputs] are its columns.
pub(super) fn out_of_proportion(task: &Task) -> Result<Vec<Problem>, CheckpointError> {
    let (floats, mut problems) = (task.floats(), Vec::new());
    for_each_tensor(&task.checkpoint, |name, shape, values| {
        let norms = match *shape {
            [_, outputs] if floats.is_transposed(name) => column_norms(values, outputs),
            [_, width] => values.chunks(width.max(1)).map(norm).collect(),
            [_] if name.ends_with(".weight") || name.ends_with(".gamma") => {
                values.chunks(1).map(norm).collect()
            }
            _ => return Ok::<_, CheckpointError>(()),
        };
        let (Some(median), Some((row, largest))) = (median(&norms), largest(&norms)) else { return Ok(()) };
        let ratio = largest / median;
        if ratio > MOST {
            problems.push(Problem::Row { tensor: name.to_owned(), row, ratio });
        }
        Ok(())
    })?;
    Ok(problems)
}

fn column_norms(values: &[f32], columns: usize) -> Vec<f64> {
    let mut squares = vec![0.0; columns];
    for row in values.chunks(columns.max(1)) {
        squares.iter_mut().zip(row).for_each(|(sum, &v)| *sum += f64::from(v) * f64::from(v));
    }
    squares.into_iter().map(f64::sqrt).collect()
}

fn norm(row: &[f32]) -> f64 {
    row.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>().sqrt()
}

fn largest(norms: &[f64]) -> Option<(usize, f64)> {
    norms.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1))
}

/// The lower median of norms that are not 0: padding of a vocabulary does not count, and of two rows the smaller does.
pub(super) fn median(norms: &[f64]) -> Option<f64> {
    let mut rest: Vec<f64> = norms.iter().copied().filter(|&n| n > 0.0).collect();
    rest.sort_by(f64::total_cmp);
    rest.get(rest.len().checked_sub(1)? / 2).copied()
}

/// Root mean square of a tensor's median row; 0 for a tensor of zeros.
pub(super) fn typical(values: &[f32], width: usize) -> f64 {
    let norms: Vec<f64> = values.chunks(width.max(1)).map(norm).collect();
    median(&norms).unwrap_or_default() / (width.max(1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::config::Gpt2Config;
    use crate::plan::Plan;
    use crate::synthetic::SyntheticGpt2;

    #[test]
    fn rows_of_a_gpt2_are_its_outputs() {
        let problems = |planted: f32| {
            let dir = TempDir::new().unwrap();
            let spec = SyntheticGpt2 { planted: Some(planted), ..SyntheticGpt2::new(Gpt2Config::tiny(), 1) };
            spec.write(dir.path()).unwrap();
            out_of_proportion(&Task::open(dir.path(), Plan::Accurate, ["a"]).unwrap()).unwrap()
        };
        assert_eq!(problems(3000.0), []);
        // The unit that reads what is planted, and the dimension that holds it.
        let found: Vec<(String, usize)> = problems(3e4)
            .into_iter()
            .filter_map(|p| if let Problem::Row { tensor, row, .. } = p { Some((tensor, row)) } else { None })
            .collect();
        let named = |name: &str| found.iter().find(|(tensor, _)| tensor.ends_with(name)).map(|(_, row)| *row);
        assert!(named("h.0.mlp.c_fc.weight").is_some_and(|row| row < 32), "{found:?}");
        assert_eq!(named("h.0.mlp.c_proj.weight"), Some(1));
    }

    #[test]
    fn the_median_ignores_rows_of_zeros() {
        assert_eq!(median(&[0.0, 0.0, 0.0, 1.0, 3.0]), Some(1.0));
        assert_eq!(median(&[5.0]), Some(5.0));
        assert_eq!(median(&[0.0]), None);
    }

    #[test]
    fn columns_have_norms_as_rows_have() {
        assert_eq!(column_norms(&[3.0, 0.0, 1.0, -4.0, 2.0, 0.0], 3), [5.0, 2.0, 1.0]);
        assert!(column_norms(&[], 0).is_empty());
    }

    #[test]
    fn a_typical_number_is_that_of_the_median_row() {
        assert!((typical(&[3.0, -3.0, 100.0, 100.0, 1.0, 1.0], 2) - 3.0).abs() < 1e-12);
        assert_eq!(typical(&[], 2), 0.0);
    }
}
