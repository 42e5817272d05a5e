//! A model in training.

use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use ditto_core::Settings;
use serde_json::{Map, Value};

use super::TrainError;
use super::data::Batch;
use super::engine::{Numbers, Train};
use super::read::{Reading, read};
use super::transformers::{name_functions, write_module};
use super::value::failed;
use super::variables::Variables;
use crate::architecture::{Architecture, Gelu, Opens};
use crate::checkpoint::Checkpoint;
use crate::config::{Head, ModelConfig};
use crate::lookup::Embedding;
use crate::model::ModelSpec;
use crate::plan::Plan;

/// The configuration's file.
const CONFIG: &str = "config.json";
/// Files of a checkpoint that its student has, too, where they exist.
const COPIED: [&str; 8] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "1_Pooling/config.json",
];

/// A checkpoint's model with its variables.
#[derive(Debug)]
pub struct Learner {
    /// What it is.
    pub spec: ModelSpec,
    /// Its configuration.
    pub config: ModelConfig,
    /// Its head.
    pub head: Head,
    /// Its tensors.
    pub variables: Variables,
    numbers: Numbers,
    /// Whether it is to be trained.
    learns: bool,
}

impl Learner {
    /// A checkpoint in floats, with its own functions: a teacher.
    ///
    /// # Errors
    ///
    /// As opening a checkpoint.
    pub fn teacher(dir: &Path, device: &Device) -> Result<Self, TrainError> {
        let this = Self::open(dir, Plan::Accurate, Arc::default(), Numbers::Floats, device)?;
        Ok(Self { learns: false, ..this })
    }

    /// A checkpoint whose functions are those of a plan, at its scales.
    ///
    /// # Errors
    ///
    /// As opening a checkpoint.
    pub fn student(
        dir: &Path,
        plan: Plan,
        settings: Arc<Settings>,
        numbers: Numbers,
        device: &Device,
    ) -> Result<Self, TrainError> {
        let mut this = Self::open(dir, plan, settings, numbers, device)?;
        if plan.replaces().is_some() {
            this.spec.architecture.gelu = Gelu::Quad;
        }
        this.spec.architecture.two_quad |= plan == Plan::MpcFormer;
        Ok(this)
    }

    fn open(
        dir: &Path,
        plan: Plan,
        settings: Arc<Settings>,
        numbers: Numbers,
        device: &Device,
    ) -> Result<Self, TrainError> {
        let config = ModelConfig::open(dir)?;
        let head = config.detect_head(&Checkpoint::open(dir)?)?;
        let architecture = Architecture::new(&config, &head);
        let spec = ModelSpec { plan, architecture, settings, embedding: Embedding::Client };
        let spec = spec.opening(Opens::EachLogits);
        let variables = Variables::open(dir, spec.architecture.head, device)?;
        Ok(Self { spec, config, head, variables, numbers, learns: true })
    }

    /// The names of its embedding tables.
    pub fn tables(&self) -> Vec<String> {
        let names: &[&str] = match self.config {
            ModelConfig::Bert(_) => &["word_embeddings", "token_type_embeddings", "position_embeddings"],
            ModelConfig::Gpt2(_) => &["wte", "wpe"],
        };
        let prefix = if self.spec.architecture.head.is_causal() { "" } else { "embeddings." };
        let stored = |name: &&str| self.variables.stored_name(&format!("{prefix}{name}.weight"));
        names.iter().map(stored).collect()
    }

    /// The sum of a batch's embeddings, [texts, tokens, hidden].
    fn embed(&self, batch: &Batch) -> ditto_core::Result<Tensor> {
        let (hidden, tokens) = (self.spec.architecture.hidden_size, batch.request.rows());
        let rows = self.tables().into_iter().zip(&batch.ids).map(|(table, ids)| {
            let table = self.variables.get(&table)?;
            table.index_select(ids, 0).map_err(failed("embeddings"))
        });
        let rows = rows.collect::<ditto_core::Result<Vec<_>>>()?;
        let [first, rest @ ..] = &rows[..] else {
            return Err(ditto_core::Error::Unsupported("a model without embedding tables"));
        };
        let sum = rest.iter().try_fold(first.clone(), |sum, row| sum + row);
        sum.and_then(|sum| sum.reshape((batch.texts, tokens, hidden))).map_err(failed("embeddings"))
    }

    /// Reads a batch, with gradients of what is to be trained.
    ///
    /// # Errors
    ///
    /// As [`read`].
    pub fn read(&self, batch: &Batch) -> ditto_core::Result<Reading> {
        let engine = Train::new(self.numbers);
        self.read_with(if self.learns { engine } else { engine.without_gradients() }, batch)
    }

    /// Reads a batch under an engine.
    ///
    /// # Errors
    ///
    /// As [`read`].
    pub fn read_with(&self, engine: Train, batch: &Batch) -> ditto_core::Result<Reading> {
        read(&self.spec, &self.variables, engine, self.embed(batch)?, &batch.request)
    }

    /// What numbers it is read in.
    pub fn numbers(&self) -> Numbers {
        self.numbers
    }

    /// Writes it as a checkpoint of its own: the files of the one that it came from, a configuration that names its
    /// functions, their code for the transformers library, and its weights, in f16 if `half`.
    ///
    /// # Errors
    ///
    /// For files that cannot be read or written.
    pub fn write(&self, dir: &Path, half: bool) -> Result<(), TrainError> {
        let from = self.variables.checkpoint().dir();
        let io = |file: &Path| {
            let file = file.to_owned();
            move |source| TrainError::Io { file, source }
        };
        for name in COPIED {
            let (file, to) = (from.join(name), dir.join(name));
            // A copy of a file onto itself would leave nothing of it.
            if file.is_file() && file.canonicalize().ok() != to.canonicalize().ok() {
                let above = to.parent().unwrap_or(dir);
                std::fs::create_dir_all(above).map_err(io(above))?;
                std::fs::copy(&file, &to).map_err(io(&to))?;
            }
        }
        let (file, to) = (from.join(CONFIG), dir.join(CONFIG));
        let text = std::fs::read(&file).map_err(io(&file))?;
        let json = |source| TrainError::Json { file: file.clone(), source };
        let mut fields: Map<String, Value> = serde_json::from_slice(&text).map_err(json)?;
        let architecture = &self.spec.architecture;
        name_functions(&mut fields, architecture);
        fields.insert("torch_dtype".to_owned(), if half { "float16" } else { "float32" }.into());
        let mut text = serde_json::to_vec_pretty(&fields).map_err(json)?;
        text.push(b'\n');
        std::fs::write(&to, text).map_err(io(&to))?;
        write_module(dir, architecture)?;
        self.variables.write_to(dir, half)
    }
}
