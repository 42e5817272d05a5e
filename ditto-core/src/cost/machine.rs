//! Time, predicted from counts.

use super::measure::{Loopback, loopback, seconds};
use super::work::{Kind, Load, Work};
use super::Cost;
use crate::error::Result;
use crate::net::Link;

/// Seconds of the two phases of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct PhaseSeconds {
    /// Before the input is there.
    pub preprocess: f64,
    /// From the input to the output.
    pub online: f64,
}

impl PhaseSeconds {
    /// What a network of links like `link` adds to computing, modelled: preprocessing has the helper's link to itself, the
    /// evaluators' bytes go both ways at once.
    pub fn on(link: &Link, cost: &Cost) -> Self {
        Self {
            preprocess: link.modelled_seconds(1, [cost.offline, 0]),
            online: link.modelled_seconds(u64::from(cost.hops), [cost.online / 2, cost.online / 2]),
        }
    }

    /// Both phases.
    pub fn total(&self) -> f64 {
        self.preprocess + self.online
    }
}

impl std::ops::Add for PhaseSeconds {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { preprocess: self.preprocess + other.preprocess, online: self.online + other.online }
    }
}

/// How fast a machine is that runs all three parties.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// Seconds per unit of each kind, on one core.
    rates: [f64; Kind::ALL.len()],
    /// Seconds of a hop between two processes.
    hop: f64,
    cores: usize,
}

impl Machine {
    /// Measures the machine at hand, in about a fifth of a second.
    pub fn measure() -> Result<Self> {
        let Loopback { hop, message, byte } = loopback()?;
        let rates = Kind::ALL.map(|kind| match kind {
            Kind::Wire => byte,
            Kind::Message => message,
            kind => seconds(kind),
        });
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self { rates, hop, cores })
    }

    /// Seconds per unit of a kind, on one core.
    pub fn rate(&self, kind: Kind) -> f64 {
        self.rates[kind as usize]
    }

    /// Seconds of a hop between two processes.
    pub fn hop(&self) -> f64 {
        self.hop
    }

    /// Cores that the parties share.
    pub fn cores(&self) -> usize {
        self.cores
    }

    /// Core seconds of a load.
    fn core_seconds(&self, load: &Load) -> Core {
        Kind::ALL.iter().fold(Core::default(), |sum, &kind| {
            let seconds = load[kind] as f64 * self.rate(kind);
            if kind.is_parallel() {
                Core { parallel: sum.parallel + seconds, ..sum }
            } else {
                Core { serial: sum.serial + seconds, ..sum }
            }
        })
    }

    /// Core seconds of all three parties, in both phases.
    pub fn effort(&self, work: &Work) -> f64 {
        let Work { helper, prepare: [p0, p1], online } = work;
        [helper, p0, p1, online, online].map(|load| self.core_seconds(load).total()).iter().sum()
    }

    /// Core seconds of P2, P0 and P1 before the input, and of an evaluator after it.
    pub fn efforts(&self, work: &Work) -> [f64; 4] {
        let Work { helper, prepare: [p0, p1], online } = work;
        [helper, p0, p1, online].map(|load| self.core_seconds(load).total())
    }

    /// Time of a request of which all three parties run on this machine and nothing else does.
    ///
    /// `work` and `hops` are the program's, `reading` the seconds that a party takes to read the program once.
    pub fn predict(&self, work: &Work, hops: u32, reading: f64) -> PhaseSeconds {
        let cores = self.cores as f64;
        let parties = [&work.helper, &work.prepare[0], &work.prepare[1]].map(|load| self.core_seconds(load));
        // Everybody meters the program; then all work at once, and nobody is done before the slowest.
        let shared = parties.iter().map(|p| p.total() + 2.0 * reading).sum::<f64>() / cores;
        let slowest = parties.iter().map(|p| p.serial + 2.0 * reading + p.parallel / cores);
        let preprocess = slowest.fold(shared, f64::max);
        // The evaluators wait for each other at every hop, so that serial parts meet serial parts.
        let one = self.core_seconds(&work.online);
        let online = (one.serial + reading) * (2.0 / cores).max(1.0)
            + one.parallel * 2.0 / cores
            + f64::from(hops) * self.hop;
        PhaseSeconds { preprocess, online }
    }
}

/// Core seconds by how they can be spread.
#[derive(Clone, Copy, Debug, Default)]
struct Core {
    serial: f64,
    parallel: f64,
}

impl Core {
    fn total(&self) -> f64 {
        self.serial + self.parallel
    }
}
