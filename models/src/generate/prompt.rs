use std::path::{Path, PathBuf};
use std::sync::Arc;

use ditto_core::net::Link;

use super::{Choice, Sampler};
use crate::architecture::{Architecture, Opens};
use crate::checkpoint::Checkpoint;
use crate::config::{Gpt2Config, ModelConfig};
use crate::embeddings::{Gpt2Embeddings, LmHead};
use crate::lookup::{Embedding, Lookup};
use crate::model::{ModelSpec, Request};
use crate::plan::Plan;
use crate::run::{RunError, Serving};
use crate::text::{TextError, Tokenizer};
use crate::weights::ModelFloats;

/// Why a prompt cannot be continued.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PromptError {
    /// The tokenizer, or the prompt.
    #[error(transparent)]
    Text(#[from] TextError),
    /// A checkpoint that does not write.
    #[error("{}: a {kind} does not continue texts; use `ditto run`", .dir.display())]
    Kind {
        /// The checkpoint.
        dir: PathBuf,
        /// Its kind.
        kind: &'static str,
    },
    /// Nothing to continue.
    #[error("it has no tokens, and the model has no token that begins a text (bos_token_id)")]
    Empty,
    /// More than the model takes.
    #[error(
        "it has {prompt} tokens, and {tokens} more are wanted, but the model takes {longest} (n_positions); the last \
         token need not be taken in"
    )]
    Long {
        /// Tokens of the prompt.
        prompt: usize,
        /// Tokens to write.
        tokens: usize,
        /// Most tokens that the model takes.
        longest: usize,
    },
    /// An index that is no token's.
    #[error("the servers answered with {0}, which is no token's number")]
    Index(f32),
}

impl From<PromptError> for RunError {
    fn from(error: PromptError) -> Self {
        Self::Prompt(Box::new(error))
    }
}

/// A checkpoint and a prompt, with what client and owner know of them.
#[derive(Debug)]
pub struct Generation {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// What the parties are told.
    pub model: ModelSpec,
    /// The prompt's tokens.
    pub prompt: Vec<u32>,
    /// Most tokens to write.
    pub tokens: usize,
    /// Who chooses them.
    pub choice: Choice,
    /// How the parties go through requests.
    pub serving: Serving,
    pub(super) config: Gpt2Config,
    pub(super) embeddings: Gpt2Embeddings,
    lm_head: Option<LmHead>,
    tokenizer: Tokenizer,
}

impl Generation {
    /// Opens a checkpoint and encodes a prompt, to be continued by `tokens` tokens.
    pub fn open(
        dir: &Path,
        plan: Plan,
        prompt: &str,
        tokens: usize,
        choice: Choice,
    ) -> Result<Self, RunError> {
        let config = match ModelConfig::open(dir)? {
            ModelConfig::Gpt2(config) => config,
            ModelConfig::Bert(_) => {
                return Err(PromptError::Kind { dir: dir.to_owned(), kind: "BERT" }.into());
            }
        };
        let checkpoint = Checkpoint::open(dir)?;
        let any = ModelConfig::Gpt2(config.clone());
        let tokenizer =
            Tokenizer::open(dir).and_then(|t| t.for_model(&any)).and_then(Tokenizer::for_generation);
        let tokenizer = tokenizer.map_err(PromptError::from)?;
        let prompt = match tokenizer.encode_whole(prompt, config.n_positions) {
            Ok(encoded) => encoded.ids,
            Err(TextError::NoTokens { .. }) => vec![config.bos_token_id.ok_or(PromptError::Empty)?],
            Err(error) => return Err(PromptError::from(error).into()),
        };
        let longest = config.n_positions;
        if prompt.len() + tokens.saturating_sub(1) > longest {
            return Err(PromptError::Long { prompt: prompt.len(), tokens, longest }.into());
        }
        let embeddings = Gpt2Embeddings::open(&checkpoint, &config)?;
        let architecture = Architecture::new(&any, &any.detect_head(&checkpoint)?);
        let model = ModelSpec { plan, architecture, settings: Arc::default(), embedding: Embedding::Client };
        let (serving, lm_head) = (Serving::default(), None);
        Ok(Self {
            checkpoint,
            model,
            prompt,
            tokens,
            choice,
            serving,
            config,
            embeddings,
            lm_head,
            tokenizer,
        })
    }

    /// The same with the scales and ranges that an option names: see
    /// [`QuantizationFile::find`](crate::quantization::QuantizationFile::find). Also returns the file's path.
    pub fn quantized(self, option: Option<&Path>) -> Result<(Self, Option<PathBuf>), RunError> {
        let request = Request::new(&[self.prompt.len()], &self.model.architecture.head);
        let (model, path) = self.model.clone().quantized(&self.checkpoint, &request, option)?;
        Ok((Self { model, ..self }, path))
    }

    /// The same with variants of protocols for a link.
    #[must_use]
    pub fn with_link(self, link: Link) -> Self {
        let settings = Arc::new(self.model.settings.with_link(link));
        Self { model: ModelSpec { settings, ..self.model }, ..self }
    }

    /// The same with another way to go through requests.
    #[must_use]
    pub fn with_serving(self, serving: Serving) -> Self {
        Self { serving, ..self }
    }

    /// The same with tokens looked up by the client or by the servers, and with no more opened to the client than its choice
    /// needs: which token, the hidden state that a client with the table of tokens makes logits of, or logits.
    pub fn with_lookup(mut self, lookup: Lookup) -> Result<Self, RunError> {
        self.model.embedding = Embedding::new(lookup, &ModelConfig::Gpt2(self.config.clone()));
        let (opens, lm_head) = match (self.choice, lookup) {
            (Choice::Argmax, _) => (Opens::Argmax, None),
            (Choice::Client(..), Lookup::Client) => {
                (Opens::Hidden, Some(self.embeddings.lm_head(&self.checkpoint)?))
            }
            (Choice::Client(..), Lookup::Private) => (Opens::Logits, None),
        };
        Ok(Self { model: self.model.opening(opens), lm_head, ..self })
    }

    /// What tokens that follow `past` others look up in each table of a private lookup.
    pub(super) fn lookups(&self, ids: &[u32], past: usize) -> Vec<Vec<usize>> {
        let rows = ids.iter().enumerate().map(|(i, &id)| [id as usize, 0, past + i]);
        self.model.embedding.ids(rows)
    }

    /// The weights as floats.
    pub fn floats(&self) -> ModelFloats<'_> {
        ModelFloats::new(&self.checkpoint, &self.model.architecture.head)
    }

    /// Text of tokens.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Whether a token ends the text.
    pub fn ends(&self, id: u32) -> bool {
        self.config.eos_token_id == Some(id)
    }

    pub(super) fn chooser(&self) -> Chooser<'_> {
        let sampler = match self.choice {
            Choice::Argmax => None,
            Choice::Client(sampling, seed) => Some(Sampler::new(sampling, seed)),
        };
        Chooser { sampler, lm_head: self.lm_head.as_ref(), vocabulary: self.config.vocab_size }
    }
}

/// Makes tokens of what a client receives.
pub(super) struct Chooser<'a> {
    /// Absent where the servers choose.
    sampler: Option<Sampler>,
    /// For a client that receives a hidden state.
    lm_head: Option<&'a LmHead>,
    vocabulary: usize,
}

impl Chooser<'_> {
    /// The next token.
    pub(super) fn choose(&mut self, output: &[f32]) -> Result<u32, RunError> {
        let index = match (&mut self.sampler, self.lm_head) {
            (None, _) => output.first().copied(),
            (Some(sampler), None) => sampler.draw(output).map(|i| i as f32),
            (Some(sampler), Some(head)) => sampler.draw(&head.logits(output)?).map(|i| i as f32),
        };
        let index = index.unwrap_or(f32::NAN);
        // A vocabulary is far below 2^24, so an index is exact.
        if index.fract() == 0.0 && (0.0..self.vocabulary as f32).contains(&index) {
            Ok(index as u32)
        } else {
            Err(PromptError::Index(index).into())
        }
    }
}
