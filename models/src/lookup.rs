//! Who looks tokens up: the client, in tables of its own, or the servers, in shared tables and without learning which.

use clap::ValueEnum;
use ditto_core::session::{Input, Table};
use serde::{Deserialize, Serialize};

use crate::architecture::Architecture;
use crate::config::ModelConfig;

/// Where the embeddings of tokens come from, as on the command line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Lookup {
    /// The client holds the embedding tables and looks its tokens up: they stay hidden from the servers, the tables do not
    /// stay hidden from the client
    #[default]
    Client,
    /// The servers look tokens up in shared tables, by keys of the client's that tell no server which: tokens stay hidden
    /// from the servers, and the tables from the client too
    Private,
}

/// The same with the sizes that servers must know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Embedding {
    /// By the client.
    #[default]
    Client,
    /// By the servers.
    Private {
        /// Rows of the table of words.
        words: usize,
        /// Rows of the table of token types; 0 without one.
        types: usize,
    },
}

/// Largest table of words that a server accepts, as in `config.json`.
const WORDS: usize = 1 << 21;
/// Largest table of types.
const TYPES: usize = 64;

impl Embedding {
    /// For a checkpoint.
    pub fn new(lookup: Lookup, config: &ModelConfig) -> Self {
        let types = match config {
            ModelConfig::Bert(config) => config.type_vocab_size,
            ModelConfig::Gpt2(_) => 0,
        };
        match lookup {
            Lookup::Client => Self::Client,
            Lookup::Private => Self::Private { words: config.vocab_size(), types },
        }
    }

    /// Whether a server may allocate for these sizes, which came from the network.
    pub fn is_sane(&self, architecture: &Architecture) -> bool {
        let Self::Private { words, types } = *self else { return true };
        // Only BERT has types.
        let least = usize::from(!architecture.head.is_causal());
        (1..=WORDS).contains(&words) && (least..=least * TYPES).contains(&types)
    }

    /// Where the model's input comes from. Positions are looked up as well: the rows of masked tokens come first, and no
    /// server may learn where they stand.
    pub fn input(&self, architecture: &Architecture) -> Input {
        let Self::Private { words, types } = *self else { return Input::Values };
        let table = |(name, rows): (&str, usize)| Table {
            name: format!("{name}.weight"),
            rows,
            columns: architecture.hidden_size,
        };
        let positions = architecture.max_position_embeddings;
        let tables = if architecture.head.is_causal() {
            vec![("wte", words), ("wpe", positions)]
        } else {
            vec![
                ("embeddings.word_embeddings", words),
                ("embeddings.token_type_embeddings", types),
                ("embeddings.position_embeddings", positions),
            ]
        };
        Input::Lookup(tables.into_iter().map(table).collect())
    }

    /// What is looked up in each table for rows of a token, a type and a position.
    pub fn ids(&self, rows: impl Iterator<Item = [usize; 3]>) -> Vec<Vec<usize>> {
        let rows: Vec<_> = rows.collect();
        let tables: &[usize] = match self {
            Self::Client => &[],
            Self::Private { types: 0, .. } => &[0, 2],
            Self::Private { .. } => &[0, 1, 2],
        };
        tables.iter().map(|&table| rows.iter().map(|row| row[table]).collect()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{BertConfig, Gpt2Config, Head};

    #[test]
    fn tables_are_those_of_the_family() {
        let (bert, gpt2) = (ModelConfig::Bert(BertConfig::tiny()), ModelConfig::Gpt2(Gpt2Config::tiny()));
        for (config, head, names) in [
            (&bert, Head::QuestionAnswering, &["word", "token_type", "position"][..]),
            (&gpt2, Head::CausalLm, &["wte", "wpe"]),
        ] {
            let architecture = Architecture::new(config, &head);
            assert_eq!(Embedding::new(Lookup::Client, config).input(&architecture), Input::Values);
            let embedding = Embedding::new(Lookup::Private, config);
            assert!(embedding.is_sane(&architecture));
            let input = embedding.input(&architecture);
            assert!(input.tables().iter().zip(names).all(|(table, name)| table.name.contains(name)));
            assert_eq!((input.tables().len(), input.tables()[0].rows), (names.len(), config.vocab_size()));
            let ids = embedding.ids([[5, 1, 0], [6, 0, 1]].into_iter());
            assert_eq!((ids.len(), &ids[0], &ids[names.len() - 1]), (names.len(), &vec![5, 6], &vec![0, 1]));
        }
    }

    #[test]
    fn sizes_from_the_network_are_bounded() {
        let bert = Architecture::new(&ModelConfig::Bert(BertConfig::tiny()), &Head::QuestionAnswering);
        let gpt2 = Architecture::new(&ModelConfig::Gpt2(Gpt2Config::tiny()), &Head::CausalLm);
        let sane = |words, types, a: &Architecture| Embedding::Private { words, types }.is_sane(a);
        assert!(sane(1, 1, &bert) && sane(1 << 21, 64, &bert) && sane(1, 0, &gpt2));
        assert!(!sane(0, 1, &bert) && !sane(1, 0, &bert) && !sane(1, 65, &bert) && !sane(1, 1, &gpt2));
        assert!(!sane(usize::MAX, 1, &bert) && Embedding::Client.is_sane(&bert));
    }
}
