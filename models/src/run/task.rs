use std::path::{Path, PathBuf};
use std::sync::Arc;

use ditto_core::Settings;
use ditto_core::net::Link;
use ditto_core::session::{Floats, SecureModel, clear};
use ditto_core::tensor::Array;
use rayon::prelude::*;

use super::{Job, RunError, Serving};
use crate::answer::Answer;
use crate::architecture::{Architecture, Opens};
use crate::checkpoint::Checkpoint;
use crate::config::{Head, ModelConfig};
use crate::embeddings::{BertEmbeddings, Gpt2Embeddings, rows};
use crate::input::{Input, Prepared, Preparer};
use crate::lookup::{Embedding, Lookup};
use crate::model::{ModelSpec, Request, Visit};
use crate::plan::Plan;
use crate::text::{TextError, Tokenizer};
use crate::weights::ModelFloats;

/// A checkpoint and texts, with what client and owner know of them.
#[derive(Debug)]
pub struct Task {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// Its head.
    pub head: Head,
    /// What the parties are told.
    pub job: Job,
    /// How they go through it.
    pub serving: Serving,
    /// The texts, as the model takes them.
    pub texts: Vec<Prepared>,
    /// The summed embeddings of every request, [rows, hidden] each.
    pub inputs: Vec<Array<f32>>,
    /// Line of each text in its file, from 1; texts given otherwise count on.
    pub lines: Vec<usize>,
    /// Texts (from 1) that lost their end because the model takes no longer ones.
    pub truncated: Vec<usize>,
    tokenizer: Tokenizer,
}

impl Task {
    /// Opens a checkpoint and encodes texts, with a request for each.
    pub fn open<I: Into<Input>>(
        dir: &Path,
        plan: Plan,
        texts: impl IntoIterator<Item = I>,
    ) -> Result<Self, RunError> {
        let config = ModelConfig::open(dir)?;
        let checkpoint = Checkpoint::open(dir)?;
        let head = config.detect_head(&checkpoint)?;
        let tokenizer = tokenizer(dir, &config)
            .map_err(|source| RunError::Text { index: 0, source: Box::new(source.into()) })?;

        let preparer = Preparer::new(&tokenizer, &head, &config);
        let prepare = |(i, text): (usize, I)| {
            preparer
                .prepare(text.into())
                .map_err(|source| RunError::Text { index: i + 1, source: Box::new(source) })
        };
        let texts: Vec<Prepared> = texts.into_iter().enumerate().map(prepare).collect::<Result<_, _>>()?;
        if texts.is_empty() {
            return Err(RunError::NoText);
        }
        let inputs = inputs(&checkpoint, &config, &texts)?;
        let truncated = texts.iter().enumerate().filter(|(_, text)| text.encoded.truncated);
        let architecture = Architecture::new(&config, &head);
        let job = Job {
            model: ModelSpec { plan, architecture, settings: Arc::default(), embedding: Embedding::Client },
            requests: texts.chunks(1).map(request).collect(),
        };
        Ok(Self {
            truncated: truncated.map(|(i, _)| i + 1).collect(),
            checkpoint,
            head,
            job,
            serving: Serving::default(),
            lines: (1..=texts.len()).collect(),
            texts,
            inputs,
            tokenizer,
        })
    }

    /// The same where a causal model opens something else to the client.
    #[must_use]
    pub fn opening(self, what: Opens) -> Self {
        Self { job: Job { model: self.job.model.opening(what), ..self.job }, ..self }
    }

    /// The same with requests of up to `size` texts, which share hops; of one where the head takes one at a
    /// time.
    pub fn batched(self, size: usize) -> Result<Self, RunError> {
        // One text after the other, whatever requests they were in.
        let width = self.job.model.architecture.hidden_size;
        let mut numbers = self.inputs.into_iter().flat_map(Array::into_vec);
        let most = Request::most_texts(&self.job.model.architecture.head);
        let (mut requests, mut inputs) = (Vec::new(), Vec::new());
        for texts in self.texts.chunks(size.clamp(1, most)) {
            let request = request(texts);
            let rows = request.rows();
            inputs.push(Array::new([rows, width], numbers.by_ref().take(rows * width).collect())?);
            requests.push(request);
        }
        Ok(Self { job: Job { requests, ..self.job }, inputs, ..self })
    }

    /// The same with the lines of a file that the texts came from.
    #[must_use]
    pub fn with_lines(self, lines: Vec<usize>) -> Self {
        Self { lines, ..self }
    }

    /// The same with another way to go through the requests.
    #[must_use]
    pub fn with_serving(self, serving: Serving) -> Self {
        Self { serving, ..self }
    }

    /// The texts of request `i`, as places in the list of texts.
    pub fn places(&self, i: usize) -> std::ops::Range<usize> {
        let before: usize = self.job.requests[..i].iter().map(|request| request.tokens.len()).sum();
        before..before + self.job.requests[i].tokens.len()
    }

    /// The same with tokens looked up by the client or by the servers.
    pub fn with_lookup(mut self, lookup: Lookup) -> Result<Self, RunError> {
        self.job.model.embedding = Embedding::new(lookup, &ModelConfig::open(self.checkpoint.dir())?);
        Ok(self)
    }

    /// What the texts of request `i` look up in each table of a private lookup.
    pub fn ids(&self, i: usize) -> Vec<Vec<usize>> {
        let texts = self.texts_of(i).iter();
        self.job.model.embedding.ids(texts.flat_map(|text| rows(&text.encoded, &text.masks)))
    }

    /// The texts of request `i`.
    fn texts_of(&self, i: usize) -> &[Prepared] {
        &self.texts[self.places(i)]
    }

    /// The same under other settings.
    #[must_use]
    pub fn with_settings(self, settings: Arc<Settings>) -> Self {
        Self { job: self.job.with_settings(settings), ..self }
    }

    /// The same with variants of protocols for a link.
    #[must_use]
    pub fn with_link(self, link: Link) -> Self {
        let settings = self.job.model.settings.with_link(link);
        self.with_settings(Arc::new(settings))
    }

    /// The same with the scales and ranges that an option names: see [`QuantizationFile::find`](crate::quantization::QuantizationFile::find). Also returns the file's
    /// path.
    pub fn quantized(self, option: Option<&Path>) -> Result<(Self, Option<PathBuf>), RunError> {
        let Some(request) = self.job.requests.first() else { return Ok((self, None)) };
        let (model, path) = self.job.model.clone().quantized(&self.checkpoint, request, option)?;
        Ok((Self { job: Job { model, ..self.job }, ..self }, path))
    }

    /// The weights as floats.
    pub fn floats(&self) -> ModelFloats<'_> {
        ModelFloats::new(&self.checkpoint, &self.job.model.architecture.head)
    }

    /// The float reference of every text.
    pub fn reference(&self) -> Result<Vec<Answer>, RunError> {
        // The plan's formats do not matter in floats; its functions must be the checkpoint's own.
        self.read_floats(&ModelSpec { plan: Plan::Accurate, ..self.job.model.clone() })
    }

    /// Every text in floats, with the functions of `model`.
    pub(crate) fn read_floats(&self, model: &ModelSpec) -> Result<Vec<Answer>, RunError> {
        struct Reference<'a>(&'a dyn Floats, &'a [Request], &'a [Array<f32>]);
        impl Visit for Reference<'_> {
            type Out = ditto_core::Result<Vec<Array<f32>>>;
            fn visit<M: SecureModel<Request = Request>>(self, model: &M) -> Self::Out {
                let f = clear(model, self.0)?;
                self.1.par_iter().zip(self.2).map(|(request, x)| f(request, x.clone())).collect()
            }
        }
        let floats = self.floats();
        let outputs = model.with_model(Reference(&floats, &self.job.requests, &self.inputs))?;
        Ok(outputs.iter().enumerate().flat_map(|(i, y)| self.answers(i, y.data())).collect())
    }

    /// What the model's output says of the texts of request `i`.
    pub fn answers(&self, i: usize, output: &[f32]) -> Vec<Answer> {
        let architecture = &self.job.model.architecture;
        let mut rest = output;
        let rows = self.job.requests[i].outputs(&architecture.head);
        let read = |(text, rows): (&Prepared, usize)| {
            let (own, others) = rest.split_at((rows * architecture.outputs()).min(rest.len()));
            rest = others;
            Answer::read(&self.head, &self.tokenizer, text, own)
        };
        self.texts_of(i).iter().zip(rows).map(read).collect()
    }
}

/// The tokenizer of a model. One that writes also has its tokens turned back into text.
fn tokenizer(dir: &Path, config: &ModelConfig) -> Result<Tokenizer, TextError> {
    let tokenizer = Tokenizer::open(dir)?.for_model(config)?;
    match config {
        ModelConfig::Bert(_) => Ok(tokenizer),
        ModelConfig::Gpt2(_) => tokenizer.for_generation(),
    }
}

/// The summed embeddings of every text.
fn inputs(
    checkpoint: &Checkpoint,
    config: &ModelConfig,
    texts: &[Prepared],
) -> Result<Vec<Array<f32>>, RunError> {
    let inputs: ditto_core::Result<_> = match config {
        ModelConfig::Bert(config) => {
            let tables = BertEmbeddings::open(checkpoint, config)?;
            texts.iter().map(|text| tables.sum(&text.encoded, &text.masks)).collect()
        }
        ModelConfig::Gpt2(config) => {
            let tables = Gpt2Embeddings::open(checkpoint, config)?;
            texts.iter().map(|text| tables.rows(&text.encoded.ids, 0)).collect()
        }
    };
    Ok(inputs?)
}

/// The request of texts together.
fn request(texts: &[Prepared]) -> Request {
    let masks = texts.iter().map(|text| text.masks.len());
    Request {
        tokens: texts.iter().map(|text| text.encoded.len()).collect(),
        masks: masks.filter(|&masks| masks > 0).collect(),
        past: 0,
    }
}

#[cfg(test)]
mod tests;
