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
    /// The residual stream of a model that normalises before its layers, which sums the outputs of all of them.
    type Residual: Fixed;
    /// Activations before a layer whose products do not fit `Ring`.
    type WideAct: Fixed;
    /// That layer's weight matrix.
    type WideWeight: Fixed<Ring = <Self::WideAct as Fixed>::Ring>;
    /// That layer's bias.
    type WideBias: Fixed<Ring = <Self::WideAct as Fixed>::Ring>;
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
    type Residual = Fx<48, 12>;
    type WideAct = Fx<48, A>;
    type WideWeight = Fx<48, W>;
    type WideBias = Fx<48, 16>;
}

/// Everything in Z_2^64 with `F` fractional bits, as in the systems that Ditto is compared with.
#[derive(Clone, Copy, Debug)]
pub struct Uniform<const F: u32>;

impl<const F: u32> Formats for Uniform<F> {
    type Ring = Z<64>;
    type Act = Fx<64, F>;
    type Weight = Fx<64, F>;
    type Bias = Fx<64, F>;
    type Gain = Fx<64, F>;
    type Value = Fx<64, F>;
    type Input = Fx<64, F>;
    type Residual = Fx<64, F>;
    type WideAct = Fx<64, F>;
    type WideWeight = Fx<64, F>;
    type WideBias = Fx<64, F>;
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
    /// PUMA (Dong et al., 2023): 18 fractional bits in a ring of 64, its own GeLU, softmax clipped at -14
    Puma,
    /// PUMA's formats and softmax with Quad for GeLU: Quad alone; wants a checkpoint distilled for it
    PumaQuad,
    /// MPCFormer (Li et al., 2023): 16 fractional bits in a ring of 64, Quad for GeLU and 2Quad for softmax: wants a
    /// checkpoint distilled for it
    #[serde(rename = "mpcformer")]
    #[value(name = "mpcformer")]
    MpcFormer,
}

/// What of a plan is a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Functions {
    /// What stands for GeLU: in the feed-forward part, and where a head has it.
    pub activation: Activation,
    /// How scores become weights of attention.
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
    pub const ALL: [Self; 6] =
        [Self::Accurate, Self::Ditto, Self::DittoGelu, Self::Puma, Self::PumaQuad, Self::MpcFormer];

    /// As on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accurate => "accurate",
            Self::Ditto => "ditto",
            Self::DittoGelu => "ditto-gelu",
            Self::Puma => "puma",
            Self::PumaQuad => "puma-quad",
            Self::MpcFormer => "mpcformer",
        }
    }

    /// Its functions.
    pub fn functions(self) -> Functions {
        let (activation, softmax) = match self {
            Self::Accurate | Self::DittoGelu => (Activation::Gelu, Softmax::Exact),
            // A model that is distilled for the plan has rows that are not wider.
            Self::Ditto => (Activation::Quad, Softmax::ExactWithin(6)),
            Self::Puma => (Activation::PumaGelu, Softmax::Clipped),
            Self::PumaQuad => (Activation::Quad, Softmax::Clipped),
            Self::MpcFormer => (Activation::Quad, Softmax::TwoQuad),
        };
        Functions { activation, softmax }
    }

    /// The functions of a model that it computes as quadratic ones, which the model must have been distilled for.
    pub fn replaces(self) -> Option<&'static str> {
        match self {
            Self::Accurate | Self::DittoGelu | Self::Puma => None,
            Self::Ditto | Self::PumaQuad => Some("GeLU"),
            Self::MpcFormer => Some("GeLU and softmax"),
        }
    }

    /// The plan with the same formats and the functions that models are trained with, if this one replaces them.
    pub fn formats_alone(self) -> Option<Self> {
        match self {
            Self::Ditto => Some(Self::DittoGelu),
            Self::PumaQuad => Some(Self::Puma),
            Self::Accurate | Self::DittoGelu | Self::Puma | Self::MpcFormer => None,
        }
    }

    /// Fractional bits of its activations.
    pub fn activation_fraction(self) -> u32 {
        struct Fraction;
        impl VisitFormats for Fraction {
            type Out = u32;
            fn visit<P: Formats>(self) -> u32 {
                P::Act::F
            }
        }
        self.with_formats(Fraction)
    }

    /// Hands its formats to `visitor`.
    pub fn with_formats<V: VisitFormats>(self, visitor: V) -> V::Out {
        match self {
            Self::Accurate => visitor.visit::<Narrow<10, 11>>(),
            Self::Ditto | Self::DittoGelu => visitor.visit::<Narrow<8, 8>>(),
            Self::Puma | Self::PumaQuad => visitor.visit::<Uniform<18>>(),
            Self::MpcFormer => visitor.visit::<Uniform<16>>(),
        }
    }
}

impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
