//! BERT in floats.

use candle_core::{D, Result, Tensor};
use ditto_core::nn::Activation;
use ditto_core::session::Floats;
use ditto_models::architecture::{Architecture, PublicHead};
use ditto_models::plan::Functions;

use super::Model;
use super::layers::{Attention, Cache, LayerNorm, Linear, activation};

/// BERT with its head.
pub(super) struct Bert {
    norm: LayerNorm,
    layers: Vec<Layer>,
    head: Head,
}

struct Layer {
    attention: Attention,
    attention_output: Linear,
    attention_norm: LayerNorm,
    intermediate: Linear,
    output: Linear,
    output_norm: LayerNorm,
    activation: Activation,
}

enum Head {
    /// The mean, of length 1 if so.
    Embedding { unit: bool },
    /// Of the first token.
    Classification { pooler: Linear, classifier: Linear },
    /// Of every token.
    Tokens(Linear),
}

impl Bert {
    pub(super) fn load(
        architecture: &Architecture,
        floats: &dyn Floats,
        functions: Functions,
    ) -> crate::error::Result<Self> {
        let layer = |i| Layer::load(i, architecture, floats, functions);
        Ok(Self {
            norm: LayerNorm::load(floats, "embeddings.LayerNorm", architecture)?,
            layers: (0..architecture.num_hidden_layers).map(layer).collect::<crate::error::Result<_>>()?,
            head: Head::load(architecture, floats)?,
        })
    }
}

impl Model for Bert {
    fn answer(&self, _: &mut Vec<Cache>, x: &Tensor) -> Result<Tensor> {
        let mut x = self.norm.forward(x)?;
        for layer in &self.layers {
            x = layer.forward(&x)?;
        }
        self.head.forward(&x)
    }
}

impl Layer {
    fn load(
        i: usize,
        architecture: &Architecture,
        floats: &dyn Floats,
        functions: Functions,
    ) -> crate::error::Result<Self> {
        let (width, inner) = (architecture.hidden_size, architecture.intermediate_size);
        let name = |rest: &str| format!("encoder.layer.{i}.{rest}");
        let linear = |rest: &str, shape| Linear::load(floats, &[&name(rest)], shape, true);
        let norm = |rest: &str| LayerNorm::load(floats, &name(rest), architecture);
        let [q, k, v] = ["query", "key", "value"].map(|part| name(&format!("attention.self.{part}")));
        let scale = architecture.score_scale_of(i);
        Ok(Self {
            attention: Attention::load(floats, [&q, &k, &v], architecture, scale, functions)?,
            attention_output: linear("attention.output.dense", [width, width])?,
            attention_norm: norm("attention.output.LayerNorm")?,
            intermediate: linear("intermediate.dense", [width, inner])?,
            output: linear("output.dense", [inner, width])?,
            output_norm: norm("output.LayerNorm")?,
            activation: functions.activation,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let context = self.attention.forward(x, None)?;
        let attended = self.attention_norm.forward(&(self.attention_output.forward(&context)? + x)?)?;
        let inner = activation(self.activation, &self.intermediate.forward(&attended)?)?;
        self.output_norm.forward(&(self.output.forward(&inner)? + attended)?)
    }
}

impl Head {
    fn load(architecture: &Architecture, floats: &dyn Floats) -> crate::error::Result<Self> {
        let width = architecture.hidden_size;
        let last = |name: &str| Linear::load(floats, &[name], [width, architecture.outputs()], true);
        Ok(match architecture.head {
            PublicHead::Embedding { unit } => Self::Embedding { unit },
            PublicHead::Classification { .. } => Self::Classification {
                pooler: Linear::load(floats, &["pooler.dense"], [width, width], true)?,
                classifier: last("classifier")?,
            },
            PublicHead::TokenClassification { .. } => Self::Tokens(last("classifier")?),
            PublicHead::QuestionAnswering => Self::Tokens(last("qa_outputs")?),
            PublicHead::MaskedLm { .. } | PublicHead::CausalLm { .. } => {
                return Err(ditto_core::Error::Unsupported("this head, in floats").into());
            }
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Embedding { unit } => {
                let mean = x.mean_keepdim(0)?;
                if *unit {
                    mean.broadcast_div(&mean.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?)
                } else {
                    Ok(mean)
                }
            }
            Self::Classification { pooler, classifier } => {
                classifier.forward(&pooler.forward(&x.narrow(0, 0, 1)?)?.tanh()?)
            }
            Self::Tokens(linear) => linear.forward(x),
        }
    }
}
