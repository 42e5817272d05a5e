//! What a client asks: a text or two, made into tokens for a head.

use crate::config::Head;
use crate::model::Request;
use crate::text::{Encoded, Sizes, TextError, Tokenizer};

/// The token that is to be predicted.
const MASK: &str = "[MASK]";

/// A text, or two: a sentence pair, or a question and its context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// One text.
    Text(String),
    /// Two texts.
    Pair(String, String),
}

impl From<String> for Input {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Input {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl<A: Into<String>, B: Into<String>> From<(A, B)> for Input {
    fn from((first, second): (A, B)) -> Self {
        Self::Pair(first.into(), second.into())
    }
}

impl Input {
    /// A line of a file: its first tab separates two texts.
    pub fn of_line(line: &str) -> Self {
        line.split_once('\t').map_or_else(|| line.into(), Self::from)
    }

    /// The first text.
    pub fn first(&self) -> &str {
        match self {
            Self::Text(first) | Self::Pair(first, _) => first,
        }
    }

    /// The second text.
    pub fn second(&self) -> Option<&str> {
        match self {
            Self::Text(_) => None,
            Self::Pair(_, second) => Some(second),
        }
    }
}

/// Why an input does not suit a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// The tokenizer, or a text.
    #[error(transparent)]
    Text(#[from] TextError),
    /// Two texts for a head that takes one.
    #[error("it is a pair of texts, but this checkpoint {does}, one text at a time")]
    Pair {
        /// What the checkpoint does.
        does: &'static str,
    },
    /// A question alone.
    #[error("a question needs a context: use --question and --context, or a tab between them in a file")]
    NoContext,
    /// Nothing to predict.
    #[error("there is no {MASK} among the text's tokens: the model predicts what stands in its place")]
    NoMask,
    /// Too much to predict.
    #[error("the text has {found} tokens {MASK}, but at most {most} are predicted")]
    TooManyMasks {
        /// Their number.
        found: usize,
        /// Most of them.
        most: usize,
    },
}

/// An input as its model takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// The texts.
    pub input: Input,
    /// Their tokens.
    pub encoded: Encoded,
    /// Places of the masked tokens, if the head predicts them.
    pub masks: Vec<usize>,
}

/// Makes inputs into tokens, as a head wants them.
#[derive(Debug)]
pub struct Preparer<'a> {
    tokenizer: &'a Tokenizer,
    head: &'a Head,
    limit: usize,
}

impl<'a> Preparer<'a> {
    /// For a checkpoint.
    pub fn new(tokenizer: &'a Tokenizer, head: &'a Head, model: impl Into<Sizes>) -> Self {
        let limit = match head {
            Head::Embedding { max_tokens: Some(tokens), .. } => *tokens,
            _ => model.into().positions,
        };
        Self { tokenizer, head, limit }
    }

    /// Makes an input into tokens; what is too long is cut off as the transformers library does.
    pub fn prepare(&self, input: Input) -> Result<Prepared, InputError> {
        let encoded = self.encode(&input)?;
        let masks = match self.head {
            Head::MaskedLm => self.masks(&encoded)?,
            _ => Vec::new(),
        };
        Ok(Prepared { input, encoded, masks })
    }

    fn encode(&self, input: &Input) -> Result<Encoded, InputError> {
        let single = |does| match input {
            Input::Text(text) => Ok(self.tokenizer.encode(text, self.limit)?),
            Input::Pair(..) => Err(InputError::Pair { does }),
        };
        match (self.head, input) {
            (Head::Embedding { .. }, _) => single("embeds texts"),
            (Head::TokenClassification { .. }, _) => single("classifies tokens"),
            (Head::MaskedLm, _) => single("predicts masked tokens"),
            (Head::CausalLm, Input::Text(text)) => Ok(self.tokenizer.encode_plain(text, self.limit)?),
            (Head::CausalLm, Input::Pair(..)) => Err(InputError::Pair { does: "continues texts" }),
            (Head::Classification { .. }, Input::Text(text)) => {
                Ok(self.tokenizer.encode(text, self.limit)?)
            }
            (Head::Classification { .. }, Input::Pair(first, second)) => {
                Ok(self.tokenizer.encode_pair(first, second, self.limit)?)
            }
            (Head::QuestionAnswering, Input::Text(_)) => Err(InputError::NoContext),
            (Head::QuestionAnswering, Input::Pair(question, context)) => {
                Ok(self.tokenizer.encode_question(question, context, self.limit)?)
            }
        }
    }

    fn masks(&self, encoded: &Encoded) -> Result<Vec<usize>, InputError> {
        let masks = self.tokenizer.id(MASK).map_or_else(Vec::new, |mask| encoded.places(mask));
        match masks.len() {
            0 => Err(InputError::NoMask),
            found if found > Request::MASKS => Err(InputError::TooManyMasks { found, most: Request::MASKS }),
            _ => Ok(masks),
        }
    }
}
