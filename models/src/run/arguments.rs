//! The command line of one party's process, which a run on this machine starts three times.

use std::time::Duration;

use clap::{Args, ValueEnum};
use ditto_core::mpc::Role;
use ditto_core::net::{Limits, SessionId};
use ditto_core::prg::Randomness;

use super::RunError;
use super::party::party_process;

/// One party of a run on this machine: what [`Launch::Processes`](super::Launch::Processes) passes to its program after
/// the word `party`. A program that starts parties plays them as well.
#[derive(Debug, Args)]
pub struct PartyArguments {
    /// Which party.
    #[arg(long, ignore_case = true)]
    role: RoleName,
    /// Session, 32 hexadecimal digits.
    #[arg(long, value_parser = session)]
    session: SessionId,
    /// Seconds that a party waits for another.
    #[arg(long)]
    time_limit: u64,
    #[command(flatten)]
    testing: Testing,
}

/// Options that only builds for tests have.
#[derive(Clone, Copy, Debug, Args)]
pub struct Testing {
    /// Make the run repeat exactly; nothing is secret then
    #[cfg(feature = "testing")]
    #[arg(long, hide = true)]
    testing_seed: Option<u8>,
}

impl Testing {
    /// Where the randomness of a run comes from.
    pub fn randomness(self) -> Randomness {
        #[cfg(feature = "testing")]
        if let Some(seed) = self.testing_seed {
            return Randomness::fixed(seed);
        }
        Randomness::system()
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RoleName {
    P0,
    P1,
    P2,
}

fn session(hex: &str) -> Result<SessionId, String> {
    let number = u128::from_str_radix(hex, 16).map_err(|e| e.to_string())?;
    if hex.len() == 32 { Ok(SessionId(number.to_be_bytes())) } else { Err("32 digits are needed".to_owned()) }
}

impl PartyArguments {
    /// Plays the party.
    ///
    /// # Errors
    ///
    /// When the party fails; the others have been told why.
    pub fn run(self) -> Result<(), RunError> {
        self.play(false)
    }

    /// The same, with reports that say when steps were [entered](ditto_core::session::Party::traced).
    ///
    /// # Errors
    ///
    /// As [`Self::run`].
    pub fn run_traced(self) -> Result<(), RunError> {
        self.play(true)
    }

    fn play(self, traced: bool) -> Result<(), RunError> {
        let role = match self.role {
            RoleName::P0 => Role::P0,
            RoleName::P1 => Role::P1,
            RoleName::P2 => Role::P2,
        };
        let limits = Limits { time_limit: Duration::from_secs(self.time_limit), ..Limits::default() };
        party_process(role, self.session, limits, self.testing.randomness(), traced)
    }
}
