//! Weights without a training framework: the transformer stays random, as in random-feature methods (Rahimi and Recht,
//! 2007), and the head is fitted by ridge regression. A model trained elsewhere needs none of this: save it as
//! safetensors under the names that `model.rs` asks for.

use std::collections::BTreeMap;
use std::path::Path;

use ditto_core::error::{Error, Result};
use ditto_core::session::{Floats, Manifest, clear};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use safetensors::tensor::{Dtype, TensorView};

use crate::data::{Image, patches};
use crate::model::{Config, Digits};

/// Tensors by name, row-major.
#[derive(Clone)]
pub struct Trained(BTreeMap<String, (Vec<usize>, Vec<f32>)>);

impl Floats for Trained {
    fn floats(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let missing = |what: &str| Error::Weight { name: name.to_owned(), what: what.to_owned() };
        let (stored, values) = self.0.get(name).ok_or_else(|| missing("it is not in the model"))?;
        if stored == shape { Ok(values.clone()) } else { Err(missing("it has another shape")) }
    }
}

impl Trained {
    /// Random weights: normal with deviation 1 / sqrt(inputs) for matrices, 1 and 0 for normalisations.
    fn random(config: &Config, seed: u64) -> Result<Self> {
        let mut rng = StdRng::seed_from_u64(seed);
        // The sum of twelve uniform numbers is nearly normal.
        let mut normal = || (0..12).map(|_| rng.random::<f32>()).sum::<f32>() - 6.0;
        let tensors = Manifest::of(&Digits(config.clone()))?.0.into_iter().map(|entry| {
            let (shape, n) = (entry.stored_shape(), entry.shape.len());
            let values = match entry.name.rsplit('.').next() {
                Some("bias") => vec![0.0; n],
                Some("weight") if entry.shape.rank() == 1 => vec![1.0; n],
                Some("weight") => {
                    let deviation = (2.0 / shape[1] as f32).sqrt();
                    (0..n).map(|_| normal() * deviation).collect()
                }
                _ => (0..n).map(|_| normal() * 0.5).collect(),
            };
            (entry.name, (shape, values))
        });
        Ok(Self(tensors.collect()))
    }

    /// Fits the head to labelled images.
    pub fn fit(config: &Config, images: &[Image], scale: f32, seed: u64) -> Result<Self> {
        // With the unit matrix for a head the model gives its features.
        let bare = Config { classes: config.width, ..config.clone() };
        let mut model = Self::random(&bare, seed)?;
        let width = config.width;
        let unit = (0..width * width).map(|i| f32::from(u8::from(i % (width + 1) == 0))).collect();
        model.0.insert("head.weight".to_owned(), (vec![width, width], unit));
        let bare = Digits(bare);
        let features = clear(&bare, &model)?;
        let rows = images.iter().map(|image| Ok(features(&(), patches(image, scale)?)?.into_vec()));
        let rows = rows.collect::<Result<Vec<_>>>()?;
        let (weight, bias) = ridge(&rows, images, config);
        model.0.insert("head.weight".to_owned(), (vec![config.classes, width], weight));
        model.0.insert("head.bias".to_owned(), (vec![config.classes], bias));
        Ok(model)
    }

    /// Writes a safetensors file.
    pub fn save(&self, file: &Path) -> std::result::Result<(), safetensors::SafeTensorError> {
        let bytes = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        let stored: Vec<_> = self.0.iter().map(|(n, (shape, v))| (n, shape.clone(), bytes(v))).collect();
        let views = stored
            .iter()
            .map(|(name, shape, bytes)| Ok((name, TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
            .collect::<std::result::Result<Vec<_>, safetensors::SafeTensorError>>()?;
        safetensors::serialize_to_file(views, None, file)
    }
}

/// Weights and biases that send features to 8 for the right class and 0 for the others, by least squares.
fn ridge(rows: &[Vec<f32>], images: &[Image], config: &Config) -> (Vec<f32>, Vec<f32>) {
    let n = config.width + 1;
    let target = |image: &Image, class| if image.digit == class { 8.0 } else { 0.0 };
    // [X'X + r | X'Y], with a column of ones for the biases.
    let mut system = vec![vec![0f64; n + config.classes]; n];
    for (row, image) in rows.iter().zip(images) {
        let x: Vec<f64> = row.iter().map(|&v| f64::from(v)).chain([1.0]).collect();
        for i in 0..n {
            (0..n).for_each(|j| system[i][j] += x[i] * x[j]);
            (0..config.classes).for_each(|c| system[i][n + c] += x[i] * target(image, c));
        }
    }
    (0..n).for_each(|i| system[i][i] += 1.0);
    // Gauss and Jordan; the matrix is positive definite, so no pivot is near 0.
    for i in 0..n {
        let pivot = system[i].clone();
        for (j, row) in system.iter_mut().enumerate() {
            let factor = if i == j { 1.0 - 1.0 / pivot[i] } else { row[i] / pivot[i] };
            row.iter_mut().zip(&pivot).for_each(|(v, p)| *v -= factor * p);
        }
    }
    let solution = |i: usize, c: usize| system[i][n + c] as f32;
    let weight = (0..config.classes).flat_map(|c| (0..config.width).map(move |i| solution(i, c))).collect();
    (weight, (0..config.classes).map(|c| solution(config.width, c)).collect())
}
