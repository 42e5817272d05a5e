//! The command line.

mod cost;
mod party;
mod run;

use clap::{Args, Parser, Subcommand};
use ditto_core::prg::Randomness;
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
    Cost(cost::CostOf),
    #[command(hide = true)]
    Party(party::Party),
}

/// Options that only builds for tests have.
#[derive(Clone, Copy, Debug, Args)]
struct Testing {
    /// Make the run repeat exactly; nothing is secret then
    #[cfg(feature = "testing")]
    #[arg(long, hide = true)]
    testing_seed: Option<u8>,
}

impl Testing {
    fn randomness(self) -> Randomness {
        #[cfg(feature = "testing")]
        if let Some(seed) = self.testing_seed {
            return Randomness::fixed(seed);
        }
        Randomness::system()
    }
}

impl Cli {
    pub(crate) fn run(self) -> Result<(), RunError> {
        match self.command {
            Command::Run(run) => run.run(),
            Command::Cost(cost) => cost.run(),
            Command::Party(party) => party.run(),
        }
    }
}
