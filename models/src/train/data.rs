//! Texts to train on, as models take them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use super::TrainError;
use crate::config::{Head, ModelConfig};
use crate::embeddings::rows;
use crate::files::{self, FileError};
use crate::input::{Input, Prepared, Preparer};
use crate::labelled::{LABELLED, labelled};
use crate::model::Request;
use crate::text::{TextError, Tokenizer};

/// Most bytes of a file of texts.
const LIMIT: u64 = 1 << 30;
/// Of a file that is also to be tested on, every how-manieth text is kept back.
const KEPT_BACK: usize = 20;

/// A text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// What each token looks up in each of the model's tables.
    pub ids: Vec<Vec<u32>>,
    /// Masked tokens, whose rows come first.
    pub masks: usize,
    /// Its class, if it is labelled.
    pub label: Option<u32>,
    /// The token that follows each, of a text that is to be continued.
    pub next: Vec<u32>,
}

impl Example {
    /// Its length.
    pub(super) fn tokens(&self) -> usize {
        self.ids.first().map_or(0, Vec::len)
    }
}

/// Texts.
#[derive(Clone, Debug, Default)]
pub struct Data {
    /// All of them, in the file's order.
    pub examples: Vec<Example>,
    /// What cannot be used: texts without tokens, or without what the head asks for.
    pub skipped: usize,
}

/// What makes texts of a file into examples.
#[derive(Debug)]
pub struct Reader<'a> {
    config: &'a ModelConfig,
    head: &'a Head,
    tokenizer: Tokenizer,
    longest: usize,
}

impl<'a> Reader<'a> {
    /// For a checkpoint; longer texts are cut off after `longest` tokens.
    ///
    /// # Errors
    ///
    /// For a tokenizer that does not fit.
    pub fn new(
        dir: &Path,
        config: &'a ModelConfig,
        head: &'a Head,
        longest: usize,
    ) -> Result<Self, TextError> {
        let tokenizer = Tokenizer::open(dir)?.for_model(config)?;
        Ok(Self { config, head, tokenizer, longest })
    }

    /// The texts of a file: one per line, with its class behind a tab if the file's name ends in `.tsv`. For a model that
    /// continues texts, lines follow each other, each with an end, and are cut into texts of the longest length.
    ///
    /// # Errors
    ///
    /// For a file that cannot be read, a line without a class or with one that the model does not have, and a file without
    /// a single text.
    pub fn read(&self, file: &Path) -> Result<Data, TrainError> {
        let text = content(file)?;
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let data = match self.config {
            ModelConfig::Gpt2(config) => {
                let mut stream = Vec::new();
                for (_, line) in lines {
                    if let Ok(encoded) = self.tokenizer.encode_plain(line, usize::MAX) {
                        stream.extend(encoded.ids);
                        stream.extend(config.eos_token_id);
                    }
                }
                self.blocks(&stream)
            }
            ModelConfig::Bert(_) => {
                let has_class = is_labelled(file);
                let mut data = Data::default();
                for (i, line) in lines {
                    match self.example(line, has_class).map_err(|what| bad(file, i + 1, what))? {
                        Some(example) => data.examples.push(example),
                        None => data.skipped += 1,
                    }
                }
                data
            }
        };
        if data.examples.is_empty() {
            return Err(bad(file, 0, "no text in it that the model takes".to_owned()));
        }
        Ok(data)
    }

    /// Some texts of a file, from its whole length, as a model takes them: so many, or all where it has fewer.
    ///
    /// # Errors
    ///
    /// For a file that cannot be read.
    pub(super) fn sample(&self, file: &Path, texts: usize) -> Result<Vec<Input>, TrainError> {
        let text = content(file)?;
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        let lines: Vec<&str> = if is_labelled(file) {
            lines.filter_map(|line| line.rsplit_once('\t')).map(|(text, _)| text).collect()
        } else {
            lines.collect()
        };
        let parts = lines.chunks(lines.len().div_ceil(texts.max(1)).max(1));
        let of_parts = parts.filter_map(|part| part.iter().find(|line| self.prepare(line).is_some()));
        Ok(of_parts.map(|line| Input::of_line(line)).collect())
    }

    /// A text as the model takes it, if it is not too long.
    fn prepare(&self, line: &str) -> Option<Prepared> {
        let preparer = Preparer::new(&self.tokenizer, self.head, self.config);
        preparer.prepare(Input::of_line(line)).ok().filter(|prepared| prepared.encoded.len() <= self.longest)
    }

    fn example(&self, line: &str, has_class: bool) -> Result<Option<Example>, String> {
        let (line, label) = if has_class {
            labelled(line, self.head).map(|(line, class)| (line, Some(class)))?
        } else {
            (line, None)
        };
        let Some(prepared) = self.prepare(line) else { return Ok(None) };
        let looked_up: Vec<[usize; 3]> = rows(&prepared.encoded, &prepared.masks).collect();
        let ids = (0..3).map(|table| looked_up.iter().map(|ids| ids[table] as u32).collect()).collect();
        Ok(Some(Example { ids, masks: prepared.masks.len(), label, next: Vec::new() }))
    }

    /// Texts of one length out of a stream of tokens.
    fn blocks(&self, stream: &[u32]) -> Data {
        let length = self.longest;
        let windows = stream.windows(length + 1).step_by(length);
        let examples = windows.map(|window| Example {
            ids: vec![window[..length].to_vec(), (0..length as u32).collect()],
            masks: 0,
            label: None,
            next: window[1..].to_vec(),
        });
        Data { examples: examples.collect(), skipped: 0 }
    }
}

/// A file of texts.
fn content(file: &Path) -> Result<String, TrainError> {
    let bytes = files::read(file, LIMIT).map_err(|e| match e {
        FileError::Io(source) => TrainError::Io { file: file.to_owned(), source },
        FileError::NotAFile => bad(file, 0, "not a regular file".to_owned()),
        FileError::TooLarge { bytes } => bad(file, 0, format!("{bytes} bytes, more than {LIMIT}")),
    })?;
    String::from_utf8(bytes).map_err(|e| {
        let line = e.as_bytes().iter().take(e.utf8_error().valid_up_to()).filter(|&&b| b == b'\n').count();
        bad(file, line + 1, "not UTF-8".to_owned())
    })
}

/// Whether a file's lines end with their classes.
fn is_labelled(file: &Path) -> bool {
    file.extension().is_some_and(|end| end == LABELLED)
}

fn bad(file: &Path, line: usize, what: String) -> TrainError {
    TrainError::Data { file: file.to_owned(), line, what }
}

impl Data {
    /// The texts without every 20th, and these.
    pub fn split(self) -> (Self, Self) {
        let (mut kept, mut rest) = (Self::default(), Self { skipped: self.skipped, ..Self::default() });
        for (i, example) in self.examples.into_iter().enumerate() {
            if i % KEPT_BACK == KEPT_BACK - 1 { &mut kept } else { &mut rest }.examples.push(example);
        }
        (rest, kept)
    }

    /// The first texts.
    pub fn truncate(&mut self, texts: usize) {
        self.examples.truncate(texts);
    }

    /// Batches of texts of one length with about so many tokens, in an order that `seed` decides: no text is padded.
    pub fn batches(&self, tokens: usize, seed: u64) -> Vec<Vec<usize>> {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut alike: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
        for (i, example) in self.examples.iter().enumerate() {
            alike.entry((example.tokens(), example.masks)).or_default().push(i);
        }
        let mut all = Vec::new();
        for ((length, _), mut texts) in alike {
            texts.shuffle(&mut rng);
            all.extend(texts.chunks((tokens / length.max(1)).max(1)).map(<[usize]>::to_vec));
        }
        all.shuffle(&mut rng);
        all
    }

    /// A batch of texts of one length on a device.
    pub fn batch(&self, texts: &[usize], device: &Device) -> candle_core::Result<Batch> {
        let all: Vec<&Example> = texts.iter().filter_map(|&i| self.examples.get(i)).collect();
        let first = all.first().map(|example| (*example).clone());
        let tokens = first.as_ref().map_or(0, Example::tokens);
        let masks = first.as_ref().map_or(0, |example| example.masks);
        let column = |of: &dyn Fn(&Example) -> Vec<u32>| {
            let ids: Vec<u32> = all.iter().flat_map(|example| of(example)).collect();
            let n = ids.len();
            Tensor::from_vec(ids, n, device)
        };
        let tables = first.as_ref().map_or(0, |example| example.ids.len());
        let ids = (0..tables).map(|table| column(&|example| example.ids[table].clone()));
        let labels = match first {
            Some(Example { label: Some(_), .. }) => Some(column(&|e| e.label.into_iter().collect())?),
            _ => None,
        };
        let next = match first {
            Some(Example { next, .. }) if !next.is_empty() => Some(column(&|e| e.next.clone())?),
            _ => None,
        };
        Ok(Batch {
            request: Request {
                tokens: vec![tokens],
                masks: Vec::from_iter((masks > 0).then_some(masks)),
                past: 0,
            },
            texts: all.len(),
            ids: ids.collect::<candle_core::Result<_>>()?,
            labels,
            next,
        })
    }
}

/// Texts of one length.
#[derive(Debug)]
pub struct Batch {
    /// The request of one of them.
    pub request: Request,
    /// Their number.
    pub texts: usize,
    /// What all tokens look up in each table, [texts * tokens].
    pub ids: Vec<Tensor>,
    /// Classes, one for each text.
    pub labels: Option<Tensor>,
    /// The token that follows each, [texts * tokens].
    pub next: Option<Tensor>,
}

/// Files of texts.
#[derive(Clone, Debug)]
pub struct Files {
    /// To train on.
    pub data: PathBuf,
    /// To test on; without it, every 20th text of the other is kept back.
    pub held_out: Option<PathBuf>,
}

impl Files {
    /// Texts to train on, and those to test on.
    ///
    /// # Errors
    ///
    /// As [`Reader::read`].
    pub fn read(&self, reader: &Reader<'_>) -> Result<(Data, Data), TrainError> {
        let data = reader.read(&self.data)?;
        match &self.held_out {
            Some(file) => Ok((data, reader.read(file)?)),
            None => {
                let (train, kept) = data.split();
                if kept.examples.is_empty() {
                    let what = format!("fewer than {KEPT_BACK} texts, so none can be kept back to test on");
                    return Err(bad(&self.data, 0, what));
                }
                Ok((train, kept))
            }
        }
    }
}
