use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use ditto_core::cost::{Cost, PhaseSeconds};
use ditto_core::net::Limits;
use ditto_models::lookup::Lookup;
use ditto_models::model::ModelSpec;
use ditto_models::plan::Plan;
use ditto_models::run::{Launch, Network, RunError, Serving, Testing};
use serde::Serialize;

/// How three parties run a checkpoint on this machine.
#[derive(Debug, Args)]
pub(super) struct Setup {
    /// Number formats and functions
    #[arg(long, value_enum, default_value = "accurate")]
    pub(super) plan: Plan,
    /// Scales and ranges that `ditto calibrate` wrote, or `none`; by default quantization.PLAN.json in the model's
    /// directory if it is there
    #[arg(long, value_name = "FILE|none")]
    pub(super) quantization: Option<PathBuf>,
    /// Who looks tokens up, and from whom that hides the embedding tables
    #[arg(long, value_enum, default_value = "client")]
    pub(super) embedding: Lookup,
    /// Choose variants of protocols for this network, and tell the time that it would add (modelled, not measured)
    #[arg(long, value_enum, default_value = "none")]
    pub(super) network: Network,
    /// Run preprocessing beside the online phase of the same request instead of before it: less time in all and less
    /// memory, but more time from the text to the answer
    #[arg(long)]
    overlap: bool,
    /// Most MiB of prepared material that a party holds with --overlap
    #[arg(long, value_name = "MIB", default_value_t = Serving::OVERLAP >> 20,
        value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    prepared: u64,
    /// Run the parties as threads of this process instead of three processes
    #[arg(long)]
    in_process: bool,
    /// Seconds that a party waits for another before it gives up
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86400))]
    time_limit: u64,
    #[command(flatten)]
    pub(super) testing: Testing,
}

impl Setup {
    pub(super) fn launch(&self) -> Result<Launch, RunError> {
        if self.in_process { Ok(Launch::Threads) } else { Launch::processes() }
    }

    pub(super) fn limits(&self) -> Limits {
        Limits { time_limit: Duration::from_secs(self.time_limit), ..Limits::default() }
    }

    /// How the parties go through requests, `in_flight` of them at once; several always overlap.
    pub(super) fn serving(&self, in_flight: u8, ahead: bool) -> Serving {
        let overlap = (self.overlap || in_flight > 1).then_some(self.prepared << 20);
        Serving { in_flight, overlap, ahead: ahead && self.overlap }
    }

    /// Whether phases overlap.
    pub(super) fn overlaps(&self) -> bool {
        self.overlap
    }

    /// Seconds that the network would add to one request after the other.
    pub(super) fn modelled(&self, counted: &Cost) -> Option<f64> {
        let link = self.network.link();
        let seconds = match self.overlap {
            true => PhaseSeconds::overlapped_on(&link, counted),
            false => PhaseSeconds::on(&link, counted).total(),
        };
        (self.network != Network::None).then_some(seconds)
    }

    /// Says what a user must know before they trust a run.
    pub(super) fn warn(&self, model: &ModelSpec) {
        eprintln!(
            "All three parties run on this machine, which protects nothing; it shows what runs and what it costs."
        );
        if let Some(replaced) = self.plan.replaces().filter(|_| !model.is_distilled()) {
            eprintln!(
                "Plan `{}` computes quadratic functions in place of {replaced}: a checkpoint that was not distilled for \
                 them gives wrong answers.",
                self.plan
            );
        }
    }
}

/// What was sent, as `--json` prints it. The names are stable.
#[derive(Serialize)]
pub(super) struct JsonCost {
    online_bytes: u64,
    offline_bytes: u64,
    hops: u32,
}

impl From<Cost> for JsonCost {
    fn from(Cost { online, offline, hops, .. }: Cost) -> Self {
        Self { online_bytes: online, offline_bytes: offline, hops }
    }
}
