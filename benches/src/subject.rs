//! A model with random or real weights, and the inputs that it is measured with.

use std::path::Path;
use std::sync::Arc;

use ditto_core::tensor::Array;
use ditto_models::architecture::{Architecture, Opens};
use ditto_models::checkpoint::Checkpoint;
use ditto_models::config::{Head, ModelConfig};
use ditto_models::embeddings::{BertEmbeddings, Gpt2Embeddings};
use ditto_models::model::{ModelSpec, Request};
use ditto_models::plan::Plan;
use ditto_models::run::Network;
use ditto_models::synthetic::{Synthetic, SyntheticGpt2, SyntheticHead};
use ditto_models::text::Encoded;
use ditto_models::weights::ModelFloats;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng};
use tempfile::TempDir;

use crate::error::{BenchError, Result};

/// What is measured.
pub struct Subject {
    /// What it is called: a size, or the directory of a checkpoint.
    pub name: String,
    /// Sizes and head.
    pub architecture: Architecture,
    /// The requests of one conversation with their inputs, [rows, hidden] each: one text of a BERT; of a GPT-2 a prompt and
    /// the further tokens, one by one.
    pub conversation: Vec<(Request, Array<f32>)>,
    /// Where numbers come from that no checkpoint has: random weights, and tokens.
    pub seed: u64,
    checkpoint: Checkpoint,
    // Where random weights lie, for as long as they are needed.
    _random: Option<TempDir>,
}

impl std::fmt::Debug for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subject").field("name", &self.name).finish_non_exhaustive()
    }
}

/// How long a text is, and what of the answer is opened.
#[derive(Clone, Copy, Debug)]
pub struct Lengths {
    /// Tokens of the text or prompt.
    pub seq: usize,
    /// Further tokens after a prompt.
    pub further: usize,
    /// What a GPT-2 opens to the client.
    pub opens: Opens,
}

impl Subject {
    /// A model of these sizes with random weights, in a temporary directory: as published models are initialised, normal
    /// with a spread of 0.02.
    pub fn random((name, config): (String, ModelConfig), lengths: Lengths, seed: u64) -> Result<Self> {
        let dir = TempDir::with_prefix("ditto-bench")
            .map_err(|source| BenchError::File { path: std::env::temp_dir(), source })?;
        match config {
            ModelConfig::Bert(config) => {
                Synthetic::new(config, SyntheticHead::Embedding, seed).write(dir.path())?;
            }
            ModelConfig::Gpt2(config) => SyntheticGpt2::new(config, seed).write(dir.path())?,
            other => return Err(unknown(&other)),
        }
        Self::read(name, dir.path(), lengths, seed, None)
            .map(|subject| Self { _random: Some(dir), ..subject })
    }

    /// The checkpoint in a directory, which must be of the family that `causal` says.
    pub fn open(dir: &Path, causal: bool, lengths: Lengths, seed: u64) -> Result<Self> {
        Self::read(dir.display().to_string(), dir, lengths, seed, Some(causal))
    }

    fn read(name: String, dir: &Path, lengths: Lengths, seed: u64, causal: Option<bool>) -> Result<Self> {
        let config = ModelConfig::open(dir)?;
        let checkpoint = Checkpoint::open(dir)?;
        let head = config.detect_head(&checkpoint)?;
        let architecture = Architecture::new(&config, &head);
        if let Some(causal) = causal
            && architecture.head.is_causal() != causal
        {
            let (found, other) = if causal { ("BERT", "bert") } else { ("GPT-2", "gpt2") };
            let what = format!("{} has a {found}: use the program `{other}`", dir.display());
            return Err(BenchError::Option { option: "checkpoint", what });
        }
        if head == Head::MaskedLm {
            return Err(BenchError::Head { dir: dir.to_owned(), head: "masked tokens" });
        }
        let Lengths { seq, further, opens } = lengths;
        let longest = architecture.max_position_embeddings;
        if seq.saturating_add(further) > longest {
            let what = match further {
                0 => format!("{seq} tokens, but the model takes {longest} at most"),
                _ => {
                    format!("{seq} tokens and {further} further ones, but the model takes {longest} at most")
                }
            };
            return Err(BenchError::Option { option: "seq", what });
        }
        let architecture = ModelSpec {
            plan: Plan::Accurate,
            architecture,
            settings: Arc::default(),
            embedding: Default::default(),
        }
        .opening(opens)
        .architecture;
        let conversation = conversation(&checkpoint, &config, &architecture, lengths, seed)?;
        Ok(Self { name, architecture, conversation, seed, checkpoint, _random: None })
    }

    /// The model under a plan, with variants of protocols for a network, and with the scales and ranges of the file beside
    /// the checkpoint if there is one.
    pub fn spec(&self, plan: Plan, network: Network) -> Result<ModelSpec> {
        let architecture = self.architecture.clone();
        let spec = ModelSpec { plan, architecture, settings: Arc::default(), embedding: Default::default() };
        let Some((request, _)) = self.conversation.first() else { return Ok(spec) };
        let (spec, _) = spec.quantized(&self.checkpoint, request, None)?;
        let settings = Arc::new(spec.settings.with_link(network.link()));
        Ok(ModelSpec { settings, ..spec })
    }

    /// The weights as floats.
    pub fn floats(&self) -> ModelFloats<'_> {
        ModelFloats::new(&self.checkpoint, &self.architecture.head)
    }

    /// Tokens of the text or prompt.
    pub fn seq(&self) -> usize {
        self.conversation.first().map_or(0, |(request, _)| request.rows())
    }
}

fn unknown(config: &ModelConfig) -> BenchError {
    BenchError::Option { option: "size", what: format!("no random weights for {config:?}") }
}

/// Requests for random tokens.
fn conversation(
    checkpoint: &Checkpoint,
    config: &ModelConfig,
    architecture: &Architecture,
    Lengths { seq, further, .. }: Lengths,
    seed: u64,
) -> Result<Vec<(Request, Array<f32>)>> {
    let mut random = StdRng::seed_from_u64(seed);
    let vocabulary = u32::try_from(config.vocab_size()).unwrap_or(u32::MAX);
    let ids: Vec<u32> = (0..seq + further).map(|_| random.random_range(0..vocabulary)).collect();
    let text = Request::new(&[seq], &architecture.head);
    match config {
        ModelConfig::Bert(config) => {
            let tables = BertEmbeddings::open(checkpoint, config)?;
            let (type_ids, origins) = (vec![0; seq], vec![None; seq]);
            let encoded = Encoded { ids: ids[..seq].to_vec(), type_ids, origins, truncated: false };
            Ok(vec![(text, tables.sum(&encoded, &[])?)])
        }
        ModelConfig::Gpt2(config) => {
            let tables = Gpt2Embeddings::open(checkpoint, config)?;
            let mut all = vec![(text, tables.rows(&ids[..seq], 0)?)];
            for (i, id) in ids[seq..].iter().enumerate() {
                let request = Request { tokens: vec![1], masks: Vec::new(), past: seq + i };
                all.push((request, tables.rows(&[*id], seq + i)?));
            }
            Ok(all)
        }
        other => Err(unknown(other)),
    }
}
