//! Who looks tokens up: the client, in tables of its own, or the servers, in shared tables and without learning which.

use clap::ValueEnum;
use ditto_core::session::{Input, Table};
use serde::{Deserialize, Serialize};

use crate::architecture::Architecture;
use crate::config::BertConfig;

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
        /// Rows of the table of token types.
        types: usize,
    },
}

/// Largest tables that a server accepts, as in `config.json`.
const LARGEST: [usize; 2] = [1 << 21, 64];

impl Embedding {
    /// For a checkpoint.
    pub fn new(lookup: Lookup, config: &BertConfig) -> Self {
        match lookup {
            Lookup::Client => Self::Client,
            Lookup::Private => Self::Private { words: config.vocab_size, types: config.type_vocab_size },
        }
    }

    /// Whether a server may allocate for these sizes, which came from the network.
    pub fn is_sane(&self) -> bool {
        match self {
            Self::Client => true,
            Self::Private { words, types } => {
                [words, types].iter().zip(LARGEST).all(|(rows, most)| (1..=most).contains(rows))
            }
        }
    }

    /// Where the model's input comes from. Positions are looked up as well: the rows of masked tokens come first, and no
    /// server may learn where they stand.
    pub fn input(&self, architecture: &Architecture) -> Input {
        let Self::Private { words, types } = *self else { return Input::Values };
        let table = |(name, rows): (&str, usize)| Table {
            name: format!("embeddings.{name}_embeddings.weight"),
            rows,
            columns: architecture.hidden_size,
        };
        let positions = architecture.max_position_embeddings;
        Input::Lookup([("word", words), ("token_type", types), ("position", positions)].map(table).to_vec())
    }
}
