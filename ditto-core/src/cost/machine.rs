//! Time, predicted from counts.

use super::Cost;
use super::measure::{Loopback, loopback, seconds};
use super::work::{Kind, Load, Work};
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

/// How many times longer a kind of computing takes inside a run than in the short loop that measures it, alone and in the
/// cache: local sums and changes of ring are not counted and come on top, arrays leave the cache, the allocator and the
/// scheduler work. Fitted to runs by `scripts/fit-machine.py`.
fn fitted(kind: Kind) -> f64 {
    match kind {
        Kind::Draw => 1.0,
        Kind::Pass => 1.0,
        Kind::Fresh => 1.0,
        Kind::Pack | Kind::PackWide => 1.0,
        Kind::Step | Kind::Scan => 1.0,
        Kind::Hash => 1.0,
        Kind::Function => 1.0,
        Kind::Multiply32 | Kind::Multiply52 | Kind::Multiply64 => 1.0,
        Kind::Stream => 1.0,
        Kind::Wire => 1.0,
        Kind::Message => 1.0,
    }
}

/// The same for reading a program: engines that hold shares do more than the meter.
const READING: f64 = 1.0;

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
            let seconds = load[kind] as f64 * self.rate(kind) * fitted(kind);
            if kind.is_parallel() {
                Core { parallel: sum.parallel + seconds, ..sum }
            } else {
                Core { serial: sum.serial + seconds, ..sum }
            }
        })
    }

    /// Core seconds of all three parties, in both phases.
    pub fn effort(&self, work: &Work) -> f64 {
        let Work { helper, prepare: [p0, p1], online, assist } = work;
        [helper, p0, p1, online, online, assist].map(|load| self.core_seconds(load).total()).iter().sum()
    }

    /// Core seconds of P2, P0 and P1 before the input, and of an evaluator after it, with one reading of the program each.
    pub fn efforts(&self, work: &Work, reading: f64) -> [f64; 4] {
        let Work { helper, prepare: [p0, p1], online, .. } = work;
        [helper, p0, p1, online].map(|load| self.core_seconds(load).total() + READING * reading)
    }

    /// Time of a request of which all three parties run on this machine and nothing else does.
    ///
    /// `work` and `hops` are the program's, `reading` the seconds that a process takes to read the program for the first
    /// time and again.
    pub fn predict(&self, work: &Work, hops: u32, [first, again]: [f64; 2]) -> PhaseSeconds {
        let (cores, again) = (self.cores as f64, READING * again);
        let parties = [&work.helper, &work.prepare[0], &work.prepare[1]].map(|load| self.core_seconds(load));
        // Everybody meters the program; then all work at once, and nobody is done before the slowest.
        let shared = parties.iter().map(|p| p.total() + again).sum::<f64>() / cores;
        let slowest = parties.iter().map(|p| p.serial + again + p.parallel / cores);
        let preprocess = first * (3.0 / cores).max(1.0) + slowest.fold(shared, f64::max);
        // The evaluators wait for each other at every hop, so that serial parts meet serial parts. Where the helper
        // takes part it takes its share of the cores.
        let one = self.core_seconds(&work.online);
        let online = (one.serial + again) * (2.0 / cores).max(1.0)
            + one.parallel * 2.0 / cores
            + self.core_seconds(&work.assist).total() / cores
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

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(cores: usize) -> Machine {
        Machine { rates: [1.0; Kind::ALL.len()], hop: 1.0, cores }
    }

    #[test]
    fn time_is_bounded_by_all_cores_and_by_the_slowest_party() {
        let work = Work::default().helper(Kind::Step, 100).prepare(Kind::Step, 10).online(Kind::Step, 40);
        let step = fitted(Kind::Step);
        let [one, two, many] = [1, 2, 64].map(|cores| machine(cores).predict(&work, 3, [0.0; 2]));
        assert_eq!(one, PhaseSeconds { preprocess: 120.0 * step, online: 80.0 * step + 3.0 });
        // The helper's table steps keep one core busy, whatever the others do.
        assert_eq!(two, PhaseSeconds { preprocess: 100.0 * step, online: 40.0 * step + 3.0 });
        assert_eq!(many, two);
        let matrices = Work::default().online(Kind::Multiply32, 40);
        assert!(
            machine(64).predict(&matrices, 0, [0.0; 2]).online
                < machine(2).predict(&matrices, 0, [0.0; 2]).online
        );
    }

    #[test]
    fn networks_add_latency_and_transfer() {
        let cost = Cost { online: 100_000_000, offline: 50_000_000, hops: 10, multiply_adds: 0 };
        assert_eq!(PhaseSeconds::on(&Link::NONE, &cost), PhaseSeconds::default());
        let wan = PhaseSeconds::on(&Link::WAN, &cost);
        assert!((wan.preprocess - 1.02).abs() < 1e-9 && (wan.online - 1.2).abs() < 1e-9, "{wan:?}");
    }

    #[test]
    fn this_machine_has_a_speed() {
        let machine = Machine::measure().expect("measures");
        assert!(Kind::ALL.iter().all(|&kind| machine.rate(kind) > 0.0 && machine.rate(kind) < 1e-3));
        assert!(machine.hop() > 0.0 && machine.cores() > 0);
    }
}
