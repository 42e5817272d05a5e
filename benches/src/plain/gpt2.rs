//! GPT-2 in floats.

use candle_core::{D, DType, Result, Tensor};
use ditto_core::nn::Activation;
use ditto_core::session::Floats;
use ditto_models::architecture::{Architecture, Opens, PublicHead};
use ditto_models::plan::Functions;

use super::Model;
use super::layers::{Attention, Cache, LayerNorm, Linear, activation};

/// GPT-2 with what it gives the client.
pub(super) struct Gpt2 {
    blocks: Vec<Block>,
    norm: LayerNorm,
    /// None if the hidden state is the answer.
    logits: Option<Linear>,
    /// Whether the index of the largest logit is the answer.
    index: bool,
}

struct Block {
    attention_norm: LayerNorm,
    attention: Attention,
    attention_output: Linear,
    norm: LayerNorm,
    intermediate: Linear,
    output: Linear,
    activation: Activation,
}

impl Gpt2 {
    pub(super) fn load(
        architecture: &Architecture,
        floats: &dyn Floats,
        functions: Functions,
    ) -> crate::error::Result<Self> {
        let PublicHead::CausalLm { vocabulary, opens } = architecture.head else {
            return Err(
                ditto_core::Error::Unsupported("GPT-2 with another head than a language model's").into()
            );
        };
        let block = |i| Block::load(i, architecture, floats, functions);
        let logits = || Linear::load(floats, &["lm_head"], [architecture.hidden_size, vocabulary], false);
        Ok(Self {
            blocks: (0..architecture.num_hidden_layers).map(block).collect::<crate::error::Result<_>>()?,
            norm: LayerNorm::load(floats, "ln_f", architecture)?,
            logits: if opens == Opens::Hidden { None } else { Some(logits()?) },
            index: opens == Opens::Argmax,
        })
    }
}

impl Model for Gpt2 {
    fn answer(&self, caches: &mut Vec<Cache>, x: &Tensor) -> Result<Tensor> {
        caches.resize_with(self.blocks.len(), Cache::default);
        let mut x = x.clone();
        for (block, cache) in self.blocks.iter().zip(caches) {
            x = block.forward(&x, cache)?;
        }
        let last = x.dim(0)? - 1;
        let hidden = self.norm.forward(&x.narrow(0, last, 1)?)?;
        let Some(logits) = &self.logits else { return Ok(hidden) };
        let logits = logits.forward(&hidden)?;
        if self.index { logits.argmax(D::Minus1)?.to_dtype(DType::F32) } else { Ok(logits) }
    }
}

impl Block {
    fn load(
        i: usize,
        architecture: &Architecture,
        floats: &dyn Floats,
        functions: Functions,
    ) -> crate::error::Result<Self> {
        let (width, inner) = (architecture.hidden_size, architecture.intermediate_size);
        let name = |rest: &str| format!("h.{i}.{rest}");
        let linear = |rest: &str, shape| Linear::load(floats, &[&name(rest)], shape, true);
        let norm = |rest: &str| LayerNorm::load(floats, &name(rest), architecture);
        let [q, k, v] = ["query", "key", "value"].map(|part| name(&format!("attn.c_attn.{part}")));
        let scale = architecture.score_scale_of(i);
        Ok(Self {
            attention_norm: norm("ln_1")?,
            attention: Attention::load(floats, [&q, &k, &v], architecture, scale, functions)?,
            attention_output: linear("attn.c_proj", [width, width])?,
            norm: norm("ln_2")?,
            intermediate: linear("mlp.c_fc", [width, inner])?,
            output: linear("mlp.c_proj", [inner, width])?,
            activation: functions.activation,
        })
    }

    fn forward(&self, x: &Tensor, cache: &mut Cache) -> Result<Tensor> {
        let context = self.attention.forward(&self.attention_norm.forward(x)?, Some(cache))?;
        let x = (self.attention_output.forward(&context)? + x)?;
        let inner = activation(self.activation, &self.intermediate.forward(&self.norm.forward(&x)?)?)?;
        self.output.forward(&inner)? + x
    }
}
