//! Plans: which number formats and functions a model runs with.
//!
//! Formats are types, so that one model source serves all of them and the compiler checks each; functions are public
//! values.

use clap::ValueEnum;
use ditto_core::fixed::Ring;
use ditto_core::nn::{Activation, Softmax};
use ditto_core::{Fixed, Fx, Z};
use serde::{Deserialize, Serialize};

/// Formats of a model.
pub trait Formats: Copy + Send + Sync + 'static {
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
    type Value: Fixed;
    /// What the client shares: summed embeddings.
    type Input: Fixed<Ring = Self::Ring>;
}

/// A mean over tokens, before it is scaled to length 1.
pub type Pooled = Fx<32, 12>;

/// What the client receives: an embedding or logits.
pub type Output = Fx<32, 16>;

/// Formats of a linear part in Z_2^32 with `A` fractional bits in activations and `W` in weights.
#[derive(Clone, Copy, Debug)]
pub struct Narrow<const A: u32, const W: u32>;

impl<const A: u32, const W: u32> Formats for Narrow<A, W> {
    type Ring = Z<32>;
    type Act = Fx<32, A>;
    type Weight = Fx<32, W>;
    type Bias = Fx<32, 16>;
    type Gain = Fx<32, A>;
    type Value = Fx<48, A>;
    type Input = Fx<32, 16>;
}

/// Name of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Plan {
    /// 10 and 11 fractional bits, accurate GeLU: for checkpoints as they are
    Accurate,
    /// The paper's formats (8 fractional bits) with Quad for GeLU: wants a checkpoint distilled for it
    Ditto,
    /// The paper's formats with an accurate GeLU: quantization alone
    DittoGelu,
}

/// What of a plan is a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Functions {
    /// The activation of the feed-forward part.
    pub activation: Activation,
    /// How scores become weights.
    pub softmax: Softmax,
}

/// Something to do with formats that are known only at run time.
pub trait VisitFormats {
    /// What comes of it.
    type Out;
    /// Does it.
    fn visit<P: Formats>(self) -> Self::Out;
}

impl Plan {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Accurate, Self::Ditto, Self::DittoGelu];

    /// As on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accurate => "accurate",
            Self::Ditto => "ditto",
            Self::DittoGelu => "ditto-gelu",
        }
    }

    /// Its functions.
    pub fn functions(self) -> Functions {
        let activation = match self {
            Self::Ditto => Activation::Quad,
            Self::Accurate | Self::DittoGelu => Activation::Gelu,
        };
        Functions { activation, softmax: Softmax::Exact }
    }

    /// Fractional bits of its activations.
    pub fn activation_fraction(self) -> u32 {
        struct Activation;
        impl VisitFormats for Activation {
            type Out = u32;
            fn visit<P: Formats>(self) -> u32 {
                P::Act::F
            }
        }
        self.with_formats(Activation)
    }

    /// Hands its formats to `visitor`.
    pub fn with_formats<V: VisitFormats>(self, visitor: V) -> V::Out {
        match self {
            Self::Accurate => visitor.visit::<Narrow<10, 11>>(),
            Self::Ditto | Self::DittoGelu => visitor.visit::<Narrow<8, 8>>(),
        }
    }
}

impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
