//! From text to tokens and back, with the checkpoint's own `tokenizer.json`.

pub(crate) mod bytes;
mod encoded;
mod error;
mod stream;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use tokenizers::PostProcessor as _;
use tokenizers::{Encoding, TruncationDirection, TruncationParams, TruncationStrategy, truncate_encodings};

use serde_json::{Map, Value};

pub use self::encoded::{Encoded, Origin, excerpt};
pub use self::error::TextError;
pub use self::stream::Stream;
use crate::config::{BertConfig, Gpt2Config, ModelConfig};
use crate::files::{self, FileError};

/// The file of the tokenizer.
const TOKENIZER: &str = "tokenizer.json";

/// The most bytes that `tokenizer.json` may have. The largest multilingual vocabularies take a
/// fifth of it.
const MAX_FILE: u64 = 128 << 20;

/// The most bytes of a text. At most 2^16 tokens of it would be used.
const MAX_TEXT: usize = 1 << 20;

/// What a model can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Tokens in its vocabulary.
    pub vocab: usize,
    /// Types of tokens.
    pub types: usize,
    /// Its longest text in tokens.
    pub positions: usize,
}

impl From<&BertConfig> for Sizes {
    fn from(config: &BertConfig) -> Self {
        Self {
            vocab: config.vocab_size,
            types: config.type_vocab_size,
            positions: config.max_position_embeddings,
        }
    }
}

impl From<&Gpt2Config> for Sizes {
    fn from(config: &Gpt2Config) -> Self {
        Self { vocab: config.vocab_size, types: 1, positions: config.n_positions }
    }
}

impl From<&ModelConfig> for Sizes {
    fn from(config: &ModelConfig) -> Self {
        match config {
            ModelConfig::Bert(config) => config.into(),
            ModelConfig::Gpt2(config) => config.into(),
        }
    }
}

/// The tokenizer of a checkpoint.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    file: PathBuf,
    inner: tokenizers::Tokenizer,
    /// The end that truncation cuts off.
    direction: TruncationDirection,
    /// Whether tokens are bytes in disguise.
    byte_level: bool,
    /// The model's sizes, once [`Tokenizer::for_model`] was called.
    model: Option<Sizes>,
}

impl Tokenizer {
    /// Reads `tokenizer.json` of a checkpoint.
    ///
    /// The padding and the length limit that the file may carry are dropped: they belong to
    /// whoever saved it. Every padded token would cost as much as a real one.
    ///
    /// # Errors
    ///
    /// For a file that is missing, too large or malformed.
    pub fn open(dir: &Path) -> Result<Self, TextError> {
        let file = dir.join(TOKENIZER);
        let content = match files::read(&file, MAX_FILE) {
            Ok(content) => content,
            Err(FileError::Io(source)) => return Err(TextError::Io { file, source }),
            Err(FileError::NotAFile) => return Err(TextError::NotAFile { file }),
            Err(FileError::TooLarge { bytes }) => {
                return Err(TextError::TooLarge { file, bytes, limit: MAX_FILE });
            }
        };
        match fence(|| load(&content)) {
            Ok(Loaded { inner, direction, byte_level }) => {
                Ok(Self { file, inner, direction, byte_level, model: None })
            }
            Err(source) => Err(TextError::Malformed { file, source }),
        }
    }

    /// Checks that the model knows all tokens, and limits encodings to the model's positions.
    ///
    /// # Errors
    ///
    /// When there is a token whose id is not below the model's `vocab_size`.
    pub fn for_model(mut self, model: impl Into<Sizes>) -> Result<Self, TextError> {
        let sizes = model.into();
        let highest = self.inner.get_vocab(true).into_iter().max_by_key(|(_, id)| *id);
        if let Some((token, id)) = highest.filter(|(_, id)| *id as usize >= sizes.vocab) {
            return Err(TextError::Vocabulary { file: self.file, token, id, vocab_size: sizes.vocab });
        }
        self.model = Some(sizes);
        Ok(self)
    }

    /// Checks that tokens are bytes in disguise, as GPT-2 has them: only such can be turned back into text
    /// ([`Tokenizer::decode`], [`Stream`]).
    ///
    /// # Errors
    ///
    /// Where the decoder of the file is no `ByteLevel`.
    pub fn for_generation(self) -> Result<Self, TextError> {
        if self.byte_level { Ok(self) } else { Err(TextError::NotByteLevel { file: self.file }) }
    }

    /// The id of a token such as `[PAD]`, if the vocabulary has it.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The token of an id.
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// Turns a text into at most `max_tokens` tokens, and at most as many as the model has
    /// positions. A longer text loses its end; `[CLS]` and `[SEP]` stay.
    ///
    /// # Errors
    ///
    /// For a text without tokens, one of over 1 MiB, and a limit that leaves no place for text.
    pub fn encode(&self, text: &str, max_tokens: usize) -> Result<Encoded, TextError> {
        let encoding = self.pieces(text)?;
        self.finish(encoding, None, max_tokens, TruncationStrategy::LongestFirst)
    }

    /// Turns a pair of texts into tokens, as [`Tokenizer::encode`] does with one. Where tokens have
    /// to go, the longer text loses them first.
    ///
    /// # Errors
    ///
    /// As [`Tokenizer::encode`].
    pub fn encode_pair(&self, first: &str, second: &str, max_tokens: usize) -> Result<Encoded, TextError> {
        let (first, second) = (self.pieces(first)?, self.pieces(second)?);
        self.finish(first, Some(second), max_tokens, TruncationStrategy::LongestFirst)
    }

    /// Turns a question and its context into tokens, as [`Tokenizer::encode_pair`] does with any two texts, but cuts off
    /// tokens of the context only.
    ///
    /// # Errors
    ///
    /// As [`Tokenizer::encode`], and for a question that leaves no place for its context.
    pub fn encode_question(
        &self,
        question: &str,
        context: &str,
        max_tokens: usize,
    ) -> Result<Encoded, TextError> {
        let (question, context) = (self.pieces(question)?, self.pieces(context)?);
        self.finish(question, Some(context), max_tokens, TruncationStrategy::OnlySecond)
    }

    /// Turns a text into at most `max_tokens` tokens as [`Tokenizer::encode`], but without special tokens.
    ///
    /// # Errors
    ///
    /// As [`Tokenizer::encode`].
    pub fn encode_plain(&self, text: &str, max_tokens: usize) -> Result<Encoded, TextError> {
        let encoding = self.pieces(text)?;
        self.finish_plain(encoding, max_tokens)
    }

    /// Turns the whole of a text into tokens, without special ones: nothing is cut off.
    ///
    /// # Errors
    ///
    /// As [`Tokenizer::encode`], and for a text of more than `max_tokens` tokens, or more than the model has
    /// positions.
    pub fn encode_whole(&self, text: &str, max_tokens: usize) -> Result<Encoded, TextError> {
        let encoding = self.pieces(text)?;
        let (tokens, max_tokens) = (encoding.len(), self.limit(max_tokens));
        if tokens > max_tokens {
            return Err(TextError::TooLong { tokens, max_tokens });
        }
        self.finish_plain(encoding, max_tokens)
    }

    /// The tokens of a text alone.
    fn pieces(&self, text: &str) -> Result<Encoding, TextError> {
        if text.len() > MAX_TEXT {
            return Err(TextError::TextTooLong { bytes: text.len(), limit: MAX_TEXT });
        }
        let encoding = fence(|| self.inner.encode_char_offsets(text, false))
            .map_err(|source| TextError::Encode { source })?;
        if encoding.is_empty() {
            // A text without tokens may still be long.
            return Err(TextError::NoTokens { text: text.chars().take(40).collect() });
        }
        Ok(encoding)
    }

    /// A limit on tokens, or the model's own where that is lower.
    fn limit(&self, max_tokens: usize) -> usize {
        self.model.map_or(max_tokens, |model| max_tokens.min(model.positions))
    }

    /// Truncates, and adds no special tokens.
    fn finish_plain(&self, mut encoding: Encoding, max_tokens: usize) -> Result<Encoded, TextError> {
        let max_tokens = self.limit(max_tokens);
        if max_tokens == 0 {
            return Err(TextError::LimitTooSmall { max_tokens, special: 0 });
        }
        let truncated = encoding.len() > max_tokens;
        encoding.truncate(max_tokens, 0, self.direction);
        let encoded = Encoded::new(&encoding, truncated);
        self.check(&encoded, max_tokens)?;
        Ok(encoded)
    }

    /// Truncates, and adds the special tokens. The library would do both in one step, but only with
    /// a limit that is set on the tokenizer as a whole, not for a call.
    fn finish(
        &self,
        first: Encoding,
        second: Option<Encoding>,
        max_tokens: usize,
        strategy: TruncationStrategy,
    ) -> Result<Encoded, TextError> {
        let failed = |source| TextError::Encode { source };
        let max_tokens = self.limit(max_tokens);
        let texts = 1 + usize::from(second.is_some());
        let special = self.inner.get_post_processor().map_or(0, |p| p.added_tokens(second.is_some()));
        if max_tokens < special + texts {
            return Err(TextError::LimitTooSmall { max_tokens, special });
        }
        let max_length = max_tokens - special;
        if strategy == TruncationStrategy::OnlySecond && first.len() >= max_length {
            return Err(TextError::QuestionTooLong { tokens: first.len(), max_tokens });
        }
        let params = TruncationParams { direction: self.direction, max_length, strategy, stride: 0 };
        let before = first.len() + second.as_ref().map_or(0, Encoding::len);
        let truncated = before > params.max_length;
        let (mut first, mut second) = truncate_encodings(first, second, &params).map_err(failed)?;
        // What was cut off would get special tokens of its own.
        first.take_overflowing();
        if let Some(second) = &mut second {
            second.take_overflowing();
            encoded::mark_second(second);
        }
        let encoding = fence(|| self.inner.post_process(first, second, true)).map_err(failed)?;
        let encoded = Encoded::new(&encoding, truncated);
        self.check(&encoded, max_tokens)?;
        Ok(encoded)
    }

    /// Checks what the model is about to look up. The template of special tokens has ids and types
    /// of its own, which need not be in the vocabulary, and it may repeat the text.
    fn check(&self, encoded: &Encoded, max_tokens: usize) -> Result<(), TextError> {
        let file = || self.file.clone();
        if encoded.len() > max_tokens {
            return Err(TextError::TooManyTokens { file: file(), tokens: encoded.len(), max_tokens });
        }
        let Some(model) = self.model else { return Ok(()) };
        if let Some(&id) = encoded.ids.iter().find(|&&id| id as usize >= model.vocab) {
            let token = self.token(id).unwrap_or_default();
            return Err(TextError::Vocabulary { file: file(), token, id, vocab_size: model.vocab });
        }
        if let Some(&type_id) = encoded.type_ids.iter().find(|&&type_id| type_id as usize >= model.types) {
            return Err(TextError::TokenType { file: file(), type_id, type_vocab_size: model.types });
        }
        Ok(())
    }
}

/// What is used of a file.
struct Loaded {
    inner: tokenizers::Tokenizer,
    direction: TruncationDirection,
    byte_level: bool,
}

/// Builds the library's tokenizer from the content of a file, without what is not used of it.
fn load(content: &[u8]) -> tokenizers::Result<Loaded> {
    let mut fields: Map<String, Value> = serde_json::from_slice(content)?;
    let direction =
        match fields.remove("truncation").and_then(|mut params| Some(params.get_mut("direction")?.take())) {
            Some(direction) => serde_json::from_value(direction)?,
            None => TruncationDirection::default(),
        };
    fields.remove("padding");
    // Bytes are turned back into text here, one token at a time, and the library panics on a malformed
    // decoder.
    let decoder = fields.remove("decoder");
    let byte_level =
        decoder.is_some_and(|decoder| decoder.get("type").is_some_and(|kind| kind == "ByteLevel"));
    let inner = tokenizers::Tokenizer::from_bytes(serde_json::to_vec(&fields)?)?;
    Ok(Loaded { inner, direction, byte_level })
}

/// Runs the library, and makes an error of a panic in it: it trusts `tokenizer.json` in places, such
/// as templates that use a special token without defining it. It is only ever lent data that a
/// panic leaves as it was.
fn fence<T>(run: impl FnOnce() -> tokenizers::Result<T>) -> tokenizers::Result<T> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let message = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        Err(format!("the tokenizers library panicked: {message}").into())
    })
}

#[cfg(test)]
mod tests;
