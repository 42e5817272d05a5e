use std::time::Duration;

use super::Testing;
use clap::{Args, ValueEnum};
use ditto_core::mpc::Role;
use ditto_core::net::{Limits, SessionId};
use ditto_models::run::{RunError, party_process};

/// One party of a run on this machine; `ditto run` starts three of these.
#[derive(Debug, Args)]
pub(crate) struct Party {
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

impl Party {
    pub(crate) fn run(self) -> Result<(), RunError> {
        let role = match self.role {
            RoleName::P0 => Role::P0,
            RoleName::P1 => Role::P1,
            RoleName::P2 => Role::P2,
        };
        let limits = Limits { time_limit: Duration::from_secs(self.time_limit), ..Limits::default() };
        party_process(role, self.session, limits, self.testing.randomness())
    }
}
