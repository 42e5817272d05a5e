use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ditto_core::session::{Floats, Manifest, SecureModel, clear, program};
use ditto_core::tensor::Array;
use rayon::prelude::*;
use serde::Serialize;

use super::{Job, RunError};
use crate::architecture::Architecture;
use crate::checkpoint::Checkpoint;
use crate::config::{BertConfig, Head};
use crate::embeddings::{BertFloats, Embeddings};
use crate::model::{ModelSpec, Request, Visit};
use crate::plan::Plan;
use crate::quantization::{QuantizationError, QuantizationFile, weights_digest};
use crate::text::Tokenizer;

/// A checkpoint and texts, with what client and owner know of them.
#[derive(Debug)]
pub struct Task {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// Its head.
    pub head: Head,
    /// What the parties are told.
    pub job: Job,
    /// The texts.
    pub texts: Vec<String>,
    /// Their summed embeddings, [tokens, hidden] each.
    pub inputs: Vec<Array<f32>>,
    /// Line of each text in its file, from 1; texts given otherwise count on.
    pub lines: Vec<usize>,
    /// Texts (from 1) that lost their end because the model takes no longer ones.
    pub truncated: Vec<usize>,
}

/// An answer to one text.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// Of a sentence embedding.
    Embedding {
        /// The text.
        text: String,
        /// The embedding.
        embedding: Vec<f32>,
    },
    /// Of a classification.
    Label {
        /// The text.
        text: String,
        /// Name of the most likely class.
        label: String,
        /// Its probability.
        score: f32,
        /// Logits of all classes.
        logits: Vec<f32>,
    },
}

impl Answer {
    /// The numbers that the model gave.
    pub fn values(&self) -> &[f32] {
        match self {
            Self::Embedding { embedding, .. } => embedding,
            Self::Label { logits, .. } => logits,
        }
    }
}

impl Task {
    /// Opens a checkpoint and encodes texts.
    pub fn open(dir: &Path, plan: Plan, texts: Vec<String>) -> Result<Self, RunError> {
        let config = BertConfig::open(dir)?;
        let checkpoint = Checkpoint::open(dir)?;
        let head = Head::detect(&config, &checkpoint)?;
        let tokenizer = Tokenizer::open(dir).and_then(|t| t.for_model(&config));
        let tokenizer = tokenizer.map_err(|source| RunError::Text { index: 0, source })?;
        let embeddings = Embeddings::open(&checkpoint, &config)?;
        let limit = match &head {
            Head::Embedding { max_tokens: Some(n), .. } => *n,
            _ => config.max_position_embeddings,
        };
        if texts.is_empty() {
            return Err(RunError::NoText);
        }
        let (mut inputs, mut truncated) = (Vec::new(), Vec::new());
        for (i, text) in texts.iter().enumerate() {
            let encoded =
                tokenizer.encode(text, limit).map_err(|source| RunError::Text { index: i + 1, source })?;
            if encoded.truncated {
                truncated.push(i + 1);
            }
            inputs.push(embeddings.sum(&encoded)?);
        }
        let requests = inputs.iter().map(|x| Request { tokens: x.shape().dims()[0] }).collect();
        let architecture = Architecture::new(&config, &head);
        let job = Job { model: ModelSpec { plan, architecture, settings: Arc::default() }, requests };
        let lines = (1..=texts.len()).collect();
        Ok(Self { checkpoint, head, job, texts, inputs, lines, truncated })
    }

    /// The same with the scales and ranges that an option names: see [`QuantizationFile::find`]. Also returns the file's
    /// path.
    pub fn quantized(self, option: Option<&Path>) -> Result<(Self, Option<PathBuf>), RunError> {
        let (dir, plan) = (self.checkpoint.dir().to_owned(), self.job.model.plan);
        let Some((path, file)) = QuantizationFile::find(&dir, plan, option)? else { return Ok((self, None)) };
        if file.weights_sha256 != weights_digest(&self.checkpoint)? {
            return Err(QuantizationError::Weights { file: path, dir }.into());
        }
        let task = Self { job: self.job.with_settings(file.settings()), ..self };
        task.knows(&path)?;
        Ok((task, Some(path)))
    }

    /// Refuses settings of weights and steps that the model does not have: they would be taken for granted.
    fn knows(&self, path: &Path) -> Result<(), RunError> {
        struct Names<'a>(&'a Request);
        impl Visit for Names<'_> {
            type Out = ditto_core::Result<(HashSet<String>, HashSet<String>)>;
            fn visit<M: SecureModel<Request = Request>>(self, model: &M) -> Self::Out {
                let weights = Manifest::of(model)?.0.into_iter().map(|e| e.name).collect();
                let (program, _, _) = program(model, self.0)?;
                Ok((weights, program.steps.names().iter().cloned().collect()))
            }
        }
        let Some(request) = self.job.requests.first() else { return Ok(()) };
        let (weights, steps) = self.job.model.with_model(Names(request))?;
        let quantization = &self.job.model.settings.quantization;
        let weight = quantization.weights.keys().find(|w| !weights.contains(*w)).map(|w| ("weight", w));
        let step = quantization.steps.keys().find(|s| !steps.contains(*s)).map(|s| ("step", s));
        match weight.or(step) {
            None => Ok(()),
            Some((what, name)) => {
                Err(QuantizationError::Unknown { file: path.to_owned(), what, name: name.clone() }.into())
            }
        }
    }

    /// The weights as floats.
    pub fn floats(&self) -> BertFloats<'_> {
        BertFloats(&self.checkpoint)
    }

    /// The float reference of every text.
    pub fn reference(&self) -> Result<Vec<Answer>, RunError> {
        struct Reference<'a>(&'a dyn Floats, &'a [Request], &'a [Array<f32>]);
        impl Visit for Reference<'_> {
            type Out = ditto_core::Result<Vec<Array<f32>>>;
            fn visit<M: SecureModel<Request = Request>>(self, model: &M) -> Self::Out {
                let f = clear(model, self.0)?;
                self.1.par_iter().zip(self.2).map(|(request, x)| f(request, x.clone())).collect()
            }
        }
        let floats = self.floats();
        // The plan's formats do not matter in floats; its activation must be the checkpoint's own.
        let model = ModelSpec { plan: Plan::Accurate, ..self.job.model.clone() };
        let outputs = model.with_model(Reference(&floats, &self.job.requests, &self.inputs))?;
        Ok(outputs.iter().enumerate().map(|(i, y)| self.answer(i, y.data())).collect())
    }

    /// What the model's output says of text `i`.
    pub fn answer(&self, i: usize, output: &[f32]) -> Answer {
        let text = self.texts[i].clone();
        match &self.head {
            Head::Embedding { .. } => Answer::Embedding { text, embedding: output.to_vec() },
            Head::Classification { labels } => {
                let top = output.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let best = output.iter().position(|&v| v == top).unwrap_or(0);
                let sum: f32 = output.iter().map(|v| (v - top).exp()).sum();
                Answer::Label {
                    text,
                    label: labels.get(best).cloned().unwrap_or_default(),
                    score: 1.0 / sum,
                    logits: output.to_vec(),
                }
            }
        }
    }
}
