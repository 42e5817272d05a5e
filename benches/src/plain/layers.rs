//! What both families are made of.

use candle_core::{D, Device, Result, Tensor};
use candle_nn::ops;
use ditto_core::nn::{Activation, Softmax};
use ditto_core::session::Floats;
use ditto_models::architecture::Architecture;
use ditto_models::plan::Functions;

/// A tensor of a checkpoint.
fn tensor(floats: &dyn Floats, name: &str, shape: &[usize]) -> crate::error::Result<Tensor> {
    Ok(Tensor::from_vec(floats.floats(name, shape)?, shape, &Device::Cpu)?)
}

/// A linear layer.
pub(super) struct Linear {
    /// [inputs, outputs].
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    /// Layers side by side, of which each has so many outputs.
    pub(super) fn load(
        floats: &dyn Floats,
        names: &[&str],
        [inputs, outputs]: [usize; 2],
        bias: bool,
    ) -> crate::error::Result<Self> {
        let all = |what: &str, shape: &[usize]| {
            let parts = names.iter().map(|name| tensor(floats, &format!("{name}.{what}"), shape));
            Ok::<_, crate::error::BenchError>(Tensor::cat(
                &parts.collect::<crate::error::Result<Vec<_>>>()?,
                0,
            )?)
        };
        // Transposed once, as every product would read it so.
        let weight = all("weight", &[outputs, inputs])?.t()?.contiguous()?;
        Ok(Self { weight, bias: if bias { Some(all("bias", &[outputs])?) } else { None } })
    }

    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = x.matmul(&self.weight)?;
        match &self.bias {
            Some(bias) => y.broadcast_add(bias),
            None => Ok(y),
        }
    }
}

/// A layer normalisation.
pub(super) struct LayerNorm {
    gain: Tensor,
    bias: Tensor,
    epsilon: f32,
}

impl LayerNorm {
    pub(super) fn load(
        floats: &dyn Floats,
        name: &str,
        architecture: &Architecture,
    ) -> crate::error::Result<Self> {
        let part = |part: &str| tensor(floats, &format!("{name}.{part}"), &[architecture.hidden_size]);
        let epsilon = architecture.layer_norm_eps as f32;
        Ok(Self { gain: part("weight")?, bias: part("bias")?, epsilon })
    }

    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        ops::layer_norm(&x.contiguous()?, &self.gain, &self.bias, self.epsilon)
    }
}

/// An activation, as the private model has it; a polynomial that stands for GeLU is GeLU here.
pub(super) fn activation(function: Activation, x: &Tensor) -> Result<Tensor> {
    match function {
        Activation::Gelu | Activation::PumaGelu => x.gelu_erf(),
        Activation::GeluTanh => x.gelu(),
        Activation::Quad => ((x.sqr()? * 0.125)? + (x * 0.25)?)? + 0.5,
        Activation::Tanh => x.tanh(),
        Activation::Silu => x.silu(),
        Activation::Sigmoid => ops::sigmoid(x),
    }
}

/// Keys and values of the tokens so far, [heads, tokens, d] each.
#[derive(Clone, Debug, Default)]
pub(super) struct Cache(Option<[Tensor; 2]>);

/// Self-attention up to its output layer.
pub(super) struct Attention {
    query_key_value: Linear,
    heads: usize,
    scale: f64,
    softmax: Softmax,
}

impl Attention {
    /// `names` are those of query, key and value; scores are scaled by `scale`.
    pub(super) fn load(
        floats: &dyn Floats,
        names: [&str; 3],
        architecture: &Architecture,
        scale: f64,
        functions: Functions,
    ) -> crate::error::Result<Self> {
        let width = architecture.hidden_size;
        Ok(Self {
            query_key_value: Linear::load(floats, &names, [width; 2], true)?,
            heads: architecture.num_attention_heads,
            scale,
            softmax: functions.softmax,
        })
    }

    /// Rows [n, hidden] to contexts [n, hidden]; with a cache, causal after the tokens in it.
    pub(super) fn forward(&self, x: &Tensor, cache: Option<&mut Cache>) -> Result<Tensor> {
        let (n, width) = x.dims2()?;
        let all = self.query_key_value.forward(x)?.reshape((n, 3, self.heads, width / self.heads))?;
        let part = |i: usize| all.narrow(1, i, 1)?.squeeze(1)?.transpose(0, 1)?.contiguous();
        let (q, mut k, mut v) = (part(0)?, part(1)?, part(2)?);
        let mut mask = None;
        if let Some(cache) = cache {
            if let Some([keys, values]) = &cache.0 {
                k = Tensor::cat(&[keys, &k], 1)?;
                v = Tensor::cat(&[values, &v], 1)?;
            }
            cache.0 = Some([k.clone(), v.clone()]);
            mask = causal(n, k.dim(1)?)?;
        }
        let scores = (q.matmul(&k.transpose(1, 2)?)? * self.scale)?;
        let context = self.weights(scores, mask)?.matmul(&v)?;
        context.transpose(0, 1)?.reshape((n, width))
    }

    fn weights(&self, scores: Tensor, mask: Option<Tensor>) -> Result<Tensor> {
        match self.softmax {
            Softmax::Exact | Softmax::ExactWithin(_) | Softmax::Clipped => {
                let scores = match mask {
                    Some(mask) => scores.broadcast_add(&mask.log()?)?,
                    None => scores,
                };
                ops::softmax_last_dim(&scores)
            }
            Softmax::TwoQuad => {
                let terms = (scores + f64::from(Softmax::SHIFT))?.sqr()?;
                let terms = match mask {
                    Some(mask) => terms.broadcast_mul(&mask)?,
                    None => terms,
                };
                terms.broadcast_div(&terms.sum_keepdim(D::Minus1)?)
            }
        }
    }
}

/// 1 where the last `n` of `all` tokens may look, 0 where they may not; none is needed for a single one.
fn causal(n: usize, all: usize) -> Result<Option<Tensor>> {
    if n < 2 {
        return Ok(None);
    }
    let past = all - n;
    let may = (0..n).flat_map(|i| (0..all).map(move |j| f32::from(u8::from(j <= past + i))));
    Tensor::from_vec(may.collect::<Vec<_>>(), (n, all), &Device::Cpu).map(Some)
}
