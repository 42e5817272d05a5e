//! Plans: which fixed-point formats and functions a model runs with.
//!
//! A plan is a type, so that one model source serves all of them and the compiler checks the formats of each.

use ditto_core::fixed::Ring;
use ditto_core::nn::Activation;
use ditto_core::{Fixed, Fx, Z};

/// Formats and functions of a model.
pub trait Plan: Copy + Send + Sync + 'static {
    /// Ring of the linear layers.
    type Ring: Ring;
    /// Activations.
    type Act: Fixed<Ring = Self::Ring>;
    /// Weight matrices.
    type Weight: Fixed<Ring = Self::Ring>;
    /// Biases; at most as fine as a product of the two above.
    type Bias: Fixed<Ring = Self::Ring>;
    /// Gains of layer normalisations, and the rows they multiply.
    type Gain: Fixed<Ring = Self::Ring>;
    /// Values of attention, which are multiplied by unnormalised exponentials.
    type Value: Fixed<Ring = Z<48>>;
    /// What the client shares: summed embeddings.
    type Input: Fixed<Ring = Self::Ring>;
    /// The activation of the feed-forward part.
    const ACTIVATION: Activation;
    /// Name on the command line.
    const NAME: &'static str;
}

/// A mean over tokens, before it is scaled to length 1.
pub type Pooled = Fx<32, 12>;

/// What the client receives: an embedding or logits.
pub type Output = Fx<32, 16>;

/// The default: accurate on checkpoints as they are.
#[derive(Clone, Copy, Debug)]
pub struct Accurate;

impl Plan for Accurate {
    type Ring = Z<32>;
    type Act = Fx<32, 10>;
    type Weight = Fx<32, 11>;
    type Bias = Fx<32, 16>;
    type Gain = Fx<32, 10>;
    type Value = Fx<48, 10>;
    type Input = Fx<32, 16>;
    const ACTIVATION: Activation = Activation::Gelu;
    const NAME: &'static str = "accurate";
}

/// The paper's: 8 fractional bits in linear layers and Quad for GeLU. Wants a checkpoint distilled for it.
#[derive(Clone, Copy, Debug)]
pub struct Ditto;

impl Plan for Ditto {
    type Ring = Z<32>;
    type Act = Fx<32, 8>;
    type Weight = Fx<32, 8>;
    type Bias = Fx<32, 16>;
    type Gain = Fx<32, 8>;
    type Value = Fx<48, 8>;
    type Input = Fx<32, 16>;
    const ACTIVATION: Activation = Activation::Quad;
    const NAME: &'static str = "ditto";
}

/// The paper's formats with an accurate GeLU: quantization alone, no distillation needed.
#[derive(Clone, Copy, Debug)]
pub struct DittoGelu;

impl Plan for DittoGelu {
    type Ring = Z<32>;
    type Act = Fx<32, 8>;
    type Weight = Fx<32, 8>;
    type Bias = Fx<32, 16>;
    type Gain = Fx<32, 8>;
    type Value = Fx<48, 8>;
    type Input = Fx<32, 16>;
    const ACTIVATION: Activation = Activation::Gelu;
    const NAME: &'static str = "ditto-gelu";
}
