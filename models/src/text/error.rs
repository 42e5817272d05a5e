//! What can be wrong with a tokenizer or a text.

use std::io;
use std::path::PathBuf;

/// An error of the tokenizer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// `tokenizer.json` could not be read.
    #[error("{}: cannot read the file", .file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// `tokenizer.json` is something else than a regular file.
    #[error("{}: not a regular file", .file.display())]
    NotAFile {
        /// The file.
        file: PathBuf,
    },
    /// `tokenizer.json` is larger than any honest one.
    #[error("{}: {bytes} bytes are over the limit of {limit}", .file.display())]
    TooLarge {
        /// The file.
        file: PathBuf,
        /// Its size.
        bytes: u64,
        /// The most that is accepted.
        limit: u64,
    },
    /// `tokenizer.json` is malformed, or uses something that is not supported.
    #[error("{}: not a usable tokenizer", .file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// What the tokenizers library said.
        source: tokenizers::Error,
    },
    /// The tokenizer has tokens that the model lacks.
    #[error("{}: token {token:?} has id {id}, but config.json has vocab_size {vocab_size}", .file.display())]
    Vocabulary {
        /// The file.
        file: PathBuf,
        /// Such a token; empty where the vocabulary has none of this id.
        token: String,
        /// Its id.
        id: u32,
        /// The size of the model's vocabulary.
        vocab_size: usize,
    },
    /// The tokenizer gives a token type that the model lacks.
    #[error("{}: a token has type {type_id}, but config.json has type_vocab_size {type_vocab_size}", .file.display())]
    TokenType {
        /// The file.
        file: PathBuf,
        /// The type.
        type_id: u32,
        /// The number of the model's types.
        type_vocab_size: usize,
    },
    /// The tokenizer's tokens cannot be turned back into text.
    #[error("{}: decoder is not \"ByteLevel\", as it must be in a model that writes", .file.display())]
    NotByteLevel {
        /// The file.
        file: PathBuf,
    },
    /// A text that must not be cut off has more tokens than the model takes.
    #[error("the text has {tokens} tokens, but at most {max_tokens} have a place")]
    TooLong {
        /// The tokens of the text.
        tokens: usize,
        /// The most that the model takes, or that the caller leaves it.
        max_tokens: usize,
    },
    /// A text is longer than is accepted.
    #[error("the text has {bytes} bytes, but at most {limit} are accepted")]
    TextTooLong {
        /// The length of the text.
        bytes: usize,
        /// The most that is accepted.
        limit: usize,
    },
    /// There is nothing in a text, or only white space and control characters.
    #[error("there are no tokens in the text {text:?}")]
    NoTokens {
        /// The text.
        text: String,
    },
    /// The limit on tokens leaves no place for the text.
    #[error("a limit of {max_tokens} tokens leaves no place for text next to {special} special tokens")]
    LimitTooSmall {
        /// The limit.
        max_tokens: usize,
        /// The number of special tokens, such as `[CLS]` and `[SEP]`.
        special: usize,
    },
    /// A question leaves no place for its context.
    #[error(
        "a question of {tokens} tokens leaves no place for its context: the model takes {max_tokens} in all"
    )]
    QuestionTooLong {
        /// The tokens of the question.
        tokens: usize,
        /// The limit, with special tokens.
        max_tokens: usize,
    },
    /// The special tokens are arranged in a way that gives more tokens than the limit.
    #[error("{}: a text became {tokens} tokens, over the limit of {max_tokens}", .file.display())]
    TooManyTokens {
        /// The file.
        file: PathBuf,
        /// The number of tokens.
        tokens: usize,
        /// The limit.
        max_tokens: usize,
    },
    /// The tokenizers library failed on a text.
    #[error("the tokenizer failed on the text")]
    Encode {
        /// What it said.
        source: tokenizers::Error,
    },
}
