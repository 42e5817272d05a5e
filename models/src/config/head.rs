//! What sits on top of a model.

use std::path::Path;

use serde::Serializer;

use super::{BertConfig, CONFIG, ConfigError, Gpt2Config, Problem, bounds, pooling};
use crate::checkpoint::Checkpoint;

/// Classes of a classifier whose configuration names none, which is why the transformers library does not write them.
const DEFAULT_LABELS: usize = 2;
/// Classes of the transformers library whose heads are computed.
const HEADS: [(&str, Kind); 5] = [
    ("BertForSequenceClassification", Kind::Classification),
    ("BertForTokenClassification", Kind::TokenClassification),
    ("BertForQuestionAnswering", Kind::QuestionAnswering),
    ("BertForMaskedLM", Kind::MaskedLm),
    // Of its two heads, only the one that predicts tokens.
    ("BertForPreTraining", Kind::MaskedLm),
];
/// Classes with heads that are not computed. Their encoder alone would answer another question than
/// the checkpoint was trained for, so they are refused rather than read as sentence embeddings.
const OTHER_HEADS: [&str; 3] = ["BertForMultipleChoice", "BertForNextSentencePrediction", "BertLMHeadModel"];

/// The matrix of a classifier, of texts or of tokens.
const CLASSIFIER: &str = "classifier.weight";
/// The matrix that gives the logits of an answer's start and end.
const SPAN: &str = "qa_outputs.weight";
/// The first matrix of the head that predicts tokens.
const TRANSFORM: &str = "cls.predictions.transform.dense.weight";
/// Its last matrix, where it is not the table of word embeddings.
const DECODER: &str = "cls.predictions.decoder.weight";
/// The matrix of a GPT-2 that gives the logits of tokens, where it is not the table of tokens.
const LM_HEAD: &str = "lm_head.weight";

/// What sits on top of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Head {
    /// The pooler (a dense layer and tanh on the first token) and a linear classifier.
    Classification {
        /// The names of the classes: as many as the classifier has rows.
        labels: Vec<String>,
        /// What makes a score of a logit.
        scores: Scores,
    },
    /// A linear classifier on every token.
    TokenClassification {
        /// The names of the classes: as many as the classifier has rows.
        labels: Vec<String>,
    },
    /// Two logits for every token: whether the answer starts there, and whether it ends there.
    QuestionAnswering,
    /// Logits of all tokens of the vocabulary in place of each masked one.
    MaskedLm,
    /// Logits of all tokens of the vocabulary for the one that follows a text.
    CausalLm,
    /// The mean over all tokens.
    Embedding {
        /// Whether the mean is then scaled to length 1.
        normalize: bool,
        /// The longest input in tokens that the checkpoint is meant for, where it says so. It is
        /// at most `max_position_embeddings`.
        max_tokens: Option<usize>,
    },
}

/// What makes the score of a class of its logit, as in the transformers library's pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scores {
    /// Softmax over the classes.
    Softmax,
    /// The logistic function: of a single class, or of classes that do not exclude each other.
    Sigmoid,
    /// Nothing: the logit is the score, as in a regression.
    Logit,
}

/// Heads by what their tensors are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Classification,
    TokenClassification,
    QuestionAnswering,
    MaskedLm,
}

impl Kind {
    /// The matrix that makes a head one of this kind.
    fn tensor(self) -> &'static str {
        match self {
            Self::Classification | Self::TokenClassification => CLASSIFIER,
            Self::QuestionAnswering => SPAN,
            Self::MaskedLm => TRANSFORM,
        }
    }

    /// The kind that the tensors of a checkpoint show. A head that predicts tokens is none: encoders keep it from
    /// their training.
    fn of_tensors(checkpoint: &Checkpoint) -> Option<Self> {
        let has = |kind: &Self| checkpoint.has(kind.tensor());
        // A classifier of tokens has no pooler.
        let pooler = checkpoint.prefix(&["bert"]).has("pooler.dense.weight");
        let classifier = if pooler { Self::Classification } else { Self::TokenClassification };
        [classifier, Self::QuestionAnswering].into_iter().find(has)
    }

    /// The head with so many rows in its last matrix.
    fn head(self, config: &BertConfig, rows: usize) -> Head {
        let labels = || config.labels.clone().unwrap_or_else(|| numbered(rows));
        match self {
            Self::Classification => {
                let labels = labels();
                let scores = match config.problem {
                    Some(Problem::Regression) => Scores::Logit,
                    Some(Problem::MultiLabel) => Scores::Sigmoid,
                    _ if labels.len() == 1 => Scores::Sigmoid,
                    _ => Scores::Softmax,
                };
                Head::Classification { labels, scores }
            }
            Self::TokenClassification => Head::TokenClassification { labels: labels() },
            Self::QuestionAnswering => Head::QuestionAnswering,
            Self::MaskedLm => Head::MaskedLm,
        }
    }
}

impl Head {
    /// The head that the configuration files of a BERT announce. It is that of the class which
    /// `architectures` lists; otherwise sentences are embedded, with mean pooling and scaling to length 1
    /// unless the files of sentence-transformers say something else. These files also make an embedder of a
    /// checkpoint that could predict tokens. Without labels in the configuration there are two, as in the
    /// transformers library.
    ///
    /// # Errors
    ///
    /// For heads and poolings that are not supported.
    pub fn of_config(config: &BertConfig, dir: &Path) -> Result<Self, ConfigError> {
        match announced(config, dir)? {
            Some((_, kind)) => Ok(kind.head(config, DEFAULT_LABELS)),
            None => pooling::head(config, dir),
        }
    }

    /// The head that the configuration announces ([`Head::of_config`]), checked against the tensors. Where none is
    /// announced, a `classifier.weight` or `qa_outputs.weight` makes one. Where the configuration names no labels, there
    /// are as many as the classifier has rows.
    ///
    /// # Errors
    ///
    /// For heads and poolings that are not supported, and tensors of a head that are missing or do not fit.
    pub fn detect(config: &BertConfig, checkpoint: &Checkpoint) -> Result<Self, ConfigError> {
        let dir = checkpoint.dir();
        let announced = announced(config, dir)?;
        let Some(kind) = announced.map(|(_, kind)| kind).or_else(|| Kind::of_tensors(checkpoint)) else {
            return pooling::head(config, dir);
        };
        let missing = |tensor: &str| ConfigError::HeadMissing {
            dir: dir.to_owned(),
            tensor: tensor.to_owned(),
            file: dir.join(CONFIG),
            architecture: announced.map_or("a head", |(class, _)| class).to_owned(),
        };
        let shape = checkpoint.shape(kind.tensor()).ok_or_else(|| missing(kind.tensor()))?;
        let rows = rows(config, dir, kind, shape)?;
        if kind == Kind::MaskedLm && !config.tie_word_embeddings && !checkpoint.has(DECODER) {
            return Err(missing(DECODER));
        }
        Ok(kind.head(config, rows))
    }

    /// The head of a GPT-2. Its matrix is the table of tokens, unless the configuration or a tensor says
    /// otherwise.
    ///
    /// # Errors
    ///
    /// For a matrix of its own that is missing or does not fit.
    pub(super) fn detect_causal(config: &Gpt2Config, checkpoint: &Checkpoint) -> Result<Self, ConfigError> {
        let (dir, file) = (checkpoint.dir().to_owned(), checkpoint.dir().join(CONFIG));
        let (vocabulary, hidden) = (config.vocab_size, config.n_embd);
        match checkpoint.shape(LM_HEAD) {
            Some(&[rows, columns]) if (rows, columns) == (vocabulary, hidden) => Ok(Self::CausalLm),
            Some(found) => {
                let (tensor, found) = (LM_HEAD.to_owned(), found.to_vec());
                let expected = format!("[{vocabulary}, {hidden}]");
                Err(ConfigError::HeadShape { dir, tensor, found, file, expected })
            }
            None if config.tie_word_embeddings => Ok(Self::CausalLm),
            None => Err(ConfigError::Field {
                file,
                field: "tie_word_embeddings".to_owned(),
                found: "false".to_owned(),
                expected: format!("true where there is no tensor {LM_HEAD:?}"),
            }),
        }
    }
}

/// The class with a head that the configuration lists.
fn announced(config: &BertConfig, dir: &Path) -> Result<Option<(&'static str, Kind)>, ConfigError> {
    let is = |class: &str| config.architectures.iter().any(|name| name == class);
    if let Some(other) = OTHER_HEADS.iter().find(|class| is(class)) {
        let known: Vec<&str> = HEADS.iter().map(|(class, _)| *class).collect();
        return Err(ConfigError::Unsupported {
            file: dir.join(CONFIG),
            field: "architectures".to_owned(),
            found: other.to_string(),
            reason: format!("{}, BertModel and sentence-transformers checkpoints are", known.join(", ")),
        });
    }
    let found = HEADS.into_iter().find(|(class, _)| is(class));
    Ok(found.filter(|(_, kind)| *kind != Kind::MaskedLm || !pooling::is_there(dir)))
}

/// The rows of the matrix that makes a head, which must fit the configuration.
fn rows(config: &BertConfig, dir: &Path, kind: Kind, shape: &[usize]) -> Result<usize, ConfigError> {
    let hidden = config.hidden_size;
    let wrong = |expected| ConfigError::HeadShape {
        dir: dir.to_owned(),
        tensor: kind.tensor().to_owned(),
        found: shape.to_vec(),
        file: dir.join(CONFIG),
        expected,
    };
    let (allowed, expected) = match kind {
        Kind::Classification | Kind::TokenClassification => {
            (1..=bounds::LABELS, format!("[1 to {}, {hidden}]", bounds::LABELS))
        }
        Kind::QuestionAnswering => (2..=2, format!("[2, {hidden}]")),
        Kind::MaskedLm => (hidden..=hidden, format!("[{hidden}, {hidden}]")),
    };
    let rows = match *shape {
        [rows, columns] if columns == hidden && allowed.contains(&rows) => rows,
        _ => return Err(wrong(expected)),
    };
    match &config.labels {
        Some(labels) if kind.tensor() == CLASSIFIER && labels.len() != rows => {
            Err(wrong(format!("{} rows, one for each of id2label", labels.len())))
        }
        _ => Ok(rows),
    }
}

/// Labels as the transformers library makes them up.
pub(super) fn numbered(classes: usize) -> Vec<String> {
    (0..classes).map(|class| format!("LABEL_{class}")).collect()
}

/// Writes labels as `id2label` has them: an object with numbers as keys.
pub(super) fn serialize_labels<S: Serializer>(
    labels: &Option<Vec<String>>,
    to: S,
) -> Result<S::Ok, S::Error> {
    to.collect_map(labels.iter().flatten().enumerate())
}
