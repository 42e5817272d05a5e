//! A tensor of a synthetic checkpoint, whose numbers are drawn when it is written.

use std::borrow::Cow;
use std::f32::consts::TAU;

use half::{bf16, f16};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng};
use safetensors::View;

use super::Dtype;

/// What becomes of the number at a place in row-major order.
pub(super) type Change = Box<dyn Fn(usize, f32) -> f32>;

/// One tensor. Its numbers are drawn when [`View::data`] is called, so that a checkpoint is never in
/// memory as a whole.
pub(super) struct Tensor {
    name: String,
    shape: Vec<usize>,
    dtype: Dtype,
    numbers: Numbers,
    change: Option<Change>,
}

/// What a tensor holds.
pub(super) enum Numbers {
    /// Normal numbers.
    Normal {
        /// Their mean.
        mean: f32,
        /// Their standard deviation.
        spread: f32,
        /// What they are drawn from.
        seed: [u8; 32],
    },
    /// A causal mask: 1 up to the diagonal of the last two axes, which are as long, and 0 after it.
    Causal,
    /// One number everywhere.
    Constant(f32),
}

impl Numbers {
    /// Normal numbers that depend on a checkpoint's seed and on a tensor's name.
    pub(super) fn normal(seed: u64, name: &str, mean: f32, spread: f32) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        bytes[8..16].copy_from_slice(&fnv1a(name.as_bytes()).to_le_bytes());
        Self::Normal { mean, spread, seed: bytes }
    }
}

impl Tensor {
    pub(super) fn new(name: String, shape: &[usize], dtype: Dtype, numbers: Numbers) -> Self {
        Self { name, shape: shape.to_vec(), dtype, numbers, change: None }
    }

    /// The same with some numbers changed.
    pub(super) fn changed(self, change: Option<Change>) -> Self {
        Self { change, ..self }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn bytes(&self) -> usize {
        self.data_len()
    }

    fn values(&self) -> Box<dyn Iterator<Item = f32> + '_> {
        let count = self.shape.iter().product();
        let numbers: Box<dyn Iterator<Item = f32>> = match self.numbers {
            Numbers::Normal { mean, spread, seed } => Box::new(normal(seed).map(move |v| mean + spread * v)),
            Numbers::Constant(value) => Box::new(std::iter::repeat(value)),
            Numbers::Causal => {
                let width = self.shape.last().copied().unwrap_or(1);
                Box::new((0..count).map(move |i| f32::from(u8::from(i % width <= i / width % width))))
            }
        };
        let numbers = numbers.take(count);
        match &self.change {
            None => Box::new(numbers),
            Some(change) => Box::new(numbers.enumerate().map(move |(i, value)| change(i, value))),
        }
    }
}

/// Normal numbers with mean 0 and spread 1, without end.
fn normal(seed: [u8; 32]) -> impl Iterator<Item = f32> {
    let mut rng = StdRng::from_seed(seed);
    let mut spare = None;
    std::iter::repeat_with(move || {
        // Box and Muller: two uniform numbers make two normal ones.
        spare.take().unwrap_or_else(|| {
            let radius = (-2.0 * (1.0 - rng.random::<f32>()).ln()).sqrt();
            let (sin, cos) = (TAU * rng.random::<f32>()).sin_cos();
            spare = Some(radius * sin);
            radius * cos
        })
    })
}

impl View for Tensor {
    fn dtype(&self) -> safetensors::Dtype {
        match self.dtype {
            Dtype::F32 => safetensors::Dtype::F32,
            Dtype::F16 => safetensors::Dtype::F16,
            Dtype::Bf16 => safetensors::Dtype::BF16,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let mut bytes = Vec::with_capacity(self.data_len());
        match self.dtype {
            Dtype::F32 => self.values().for_each(|v| bytes.extend(v.to_le_bytes())),
            Dtype::F16 => self.values().for_each(|v| bytes.extend(f16::from_f32(v).to_le_bytes())),
            Dtype::Bf16 => self.values().for_each(|v| bytes.extend(bf16::from_f32(v).to_le_bytes())),
        }
        Cow::Owned(bytes)
    }

    fn data_len(&self) -> usize {
        let size = match self.dtype {
            Dtype::F32 => 4,
            Dtype::F16 | Dtype::Bf16 => 2,
        };
        size * self.shape.iter().product::<usize>()
    }
}

/// The 64-bit FNV-1a hash, which, unlike the standard library's, stays the same for ever.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}
