use std::path::Path;
use std::sync::Arc;

use ditto_core::session::{Floats, SecureModel, clear};
use ditto_core::tensor::Array;

use super::{Job, RunError};
use crate::answer::Answer;
use crate::architecture::Architecture;
use crate::checkpoint::Checkpoint;
use crate::config::{BertConfig, Head};
use crate::embeddings::{BertFloats, Embeddings};
use crate::input::{Input, Prepared, Preparer};
use crate::model::{ModelSpec, Request, Visit};
use crate::plan::Plan;
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
    /// The texts, as the model takes them.
    pub texts: Vec<Prepared>,
    /// The summed embeddings of every request, [rows, hidden] each.
    pub inputs: Vec<Array<f32>>,
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
        let config = BertConfig::open(dir)?;
        let checkpoint = Checkpoint::open(dir)?;
        let head = Head::detect(&config, &checkpoint)?;
        let tokenizer = Tokenizer::open(dir).and_then(|t| t.for_model(&config));
        let tokenizer = tokenizer.map_err(|source| RunError::Text { index: 0, source: source.into() })?;
        let embeddings = Embeddings::open(&checkpoint, &config)?;

        let preparer = Preparer::new(&tokenizer, &head, &config);
        let prepare = |(i, text): (usize, I)| {
            preparer.prepare(text.into()).map_err(|source| RunError::Text { index: i + 1, source })
        };
        let texts: Vec<Prepared> = texts.into_iter().enumerate().map(prepare).collect::<Result<_, _>>()?;
        if texts.is_empty() {
            return Err(RunError::NoText);
        }
        let inputs = texts.iter().map(|text| embeddings.sum(&text.encoded, &text.masks));
        let inputs = inputs.collect::<ditto_core::Result<_>>()?;
        let truncated = texts.iter().enumerate().filter(|(_, text)| text.encoded.truncated);
        let architecture = Architecture::new(&config, &head);
        let job = Job {
            model: ModelSpec { plan, architecture, settings: Arc::default() },
            requests: texts.chunks(1).map(request).collect(),
        };
        Ok(Self {
            truncated: truncated.map(|(i, _)| i + 1).collect(),
            checkpoint,
            head,
            job,
            texts,
            inputs,
            tokenizer,
        })
    }

    /// The same with requests of up to `size` texts, which share hops.
    pub fn batched(self, size: usize) -> Result<Self, RunError> {
        // One text after the other, whatever requests they were in.
        let width = self.job.model.architecture.hidden_size;
        let mut numbers = self.inputs.into_iter().flat_map(Array::into_vec);
        let (mut requests, mut inputs) = (Vec::new(), Vec::new());
        for texts in self.texts.chunks(size.clamp(1, Request::TEXTS)) {
            let request = request(texts);
            let rows = request.rows();
            inputs.push(Array::new([rows, width], numbers.by_ref().take(rows * width).collect())?);
            requests.push(request);
        }
        Ok(Self { job: Job { requests, ..self.job }, inputs, ..self })
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
                self.1.iter().zip(self.2).map(|(request, x)| f(request, x.clone())).collect()
            }
        }
        let floats = self.floats();
        // The plan's formats do not matter in floats; its functions must be the checkpoint's own.
        let model = ModelSpec { plan: Plan::Accurate, ..self.job.model.clone() };
        let outputs = model.with_model(Reference(&floats, &self.job.requests, &self.inputs))?;
        Ok(outputs.iter().enumerate().flat_map(|(i, y)| self.answers(i, y.data())).collect())
    }

    /// What the model's output says of the texts of request `i`.
    pub fn answers(&self, i: usize, output: &[f32]) -> Vec<Answer> {
        let architecture = &self.job.model.architecture;
        let before: usize = self.job.requests[..i].iter().map(|request| request.tokens.len()).sum();
        let mut rest = output;
        let rows = self.job.requests[i].outputs(&architecture.head);
        let read = |(text, rows): (&Prepared, usize)| {
            let (own, others) = rest.split_at((rows * architecture.outputs()).min(rest.len()));
            rest = others;
            Answer::read(&self.head, &self.tokenizer, text, own)
        };
        self.texts[before..].iter().zip(rows).map(read).collect()
    }
}

/// The request of texts together.
fn request(texts: &[Prepared]) -> Request {
    let masks = texts.iter().map(|text| text.masks.len());
    Request {
        tokens: texts.iter().map(|text| text.encoded.len()).collect(),
        masks: masks.filter(|&masks| masks > 0).collect(),
    }
}
