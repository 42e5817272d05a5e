//! The models once more, in double precision and plain loops, sharing nothing with the model code but the reading of files.
#![allow(dead_code)] // Each test uses one of them.

pub(crate) mod bert;
pub(crate) mod gpt2;

type Rows = Vec<Vec<f64>>;

fn normalized(x: &Rows, gain: &[f64], bias: &[f64], epsilon: f64) -> Rows {
    let width = gain.len();
    let row = |row: &Vec<f64>| {
        let mean = row.iter().sum::<f64>() / width as f64;
        let variance = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / width as f64;
        let deviation = (variance + epsilon).sqrt();
        (0..width).map(|i| (row[i] - mean) / deviation * gain[i] + bias[i]).collect()
    };
    x.iter().map(row).collect()
}

fn affine(x: &Rows, weight: &[f64], bias: &[f64]) -> Rows {
    let dot = |row: &[f64], column: &[f64]| row.iter().zip(column).map(|(a, b)| a * b).sum::<f64>();
    let columns = || weight.chunks_exact(x[0].len()).zip(bias);
    x.iter().map(|row| columns().map(|(column, bias)| dot(row, column) + bias).collect()).collect()
}

fn add(a: &Rows, b: &Rows) -> Rows {
    a.iter().zip(b).map(|(a, b)| a.iter().zip(b).map(|(a, b)| a + b).collect()).collect()
}

fn map(x: &Rows, f: impl Fn(f64) -> f64) -> Rows {
    x.iter().map(|row| row.iter().map(|&v| f(v)).collect()).collect()
}
