//! The command line.

mod party;
mod run;

use clap::{Parser, Subcommand};
use ditto_models::run::RunError;

/// Private Transformer inference on three servers.
///
/// A client and a model owner run a Hugging Face checkpoint on three servers that see neither text nor weights nor
/// answer, as long as no two of them join forces.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Run),
    #[command(hide = true)]
    Party(party::Party),
}

impl Cli {
    pub(crate) fn run(self) -> Result<(), RunError> {
        match self.command {
            Command::Run(run) => run.run(),
            Command::Party(party) => party.run(),
        }
    }
}
