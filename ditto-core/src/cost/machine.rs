//! Time, predicted from counts.

use super::Cost;
use super::measure::{Loopback, fresh, loopback, seconds};
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
    /// What a network adds to computing, modelled, if each pair of parties has a link like `link`: the helper sends each
    /// evaluator half of what it deals ([`StepTable::receiver`](crate::ctx::StepTable::receiver)), at once, and the
    /// evaluators' bytes go both ways at once.
    pub fn on(link: &Link, cost: &Cost) -> Self {
        Self {
            preprocess: link.modelled_seconds(1, [cost.offline.div_ceil(2), 0]),
            online: link.modelled_seconds(u64::from(cost.hops), [cost.online / 2, cost.online / 2]),
        }
    }

    /// The same if all that is sent goes through one pipe like `link`.
    pub fn on_shared(link: &Link, cost: &Cost) -> Self {
        Self {
            preprocess: link.modelled_seconds(1, [cost.offline, 0]),
            online: link.modelled_seconds(u64::from(cost.hops), [cost.online, 0]),
        }
    }

    /// What a network adds in all where preprocessing runs beside the online phase, modelled, apart from computing: the
    /// helper's links and the evaluators' are busy at once, from the first deal on.
    pub fn overlapped_on(link: &Link, cost: &Cost) -> f64 {
        let Self { preprocess, online } = Self::on(link, cost);
        preprocess.max(link.modelled_seconds(1, [0, 0]) + online)
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
    /// Seconds of a hop between two processes that do nothing else.
    hop: f64,
    /// Seconds per byte of memory that the system hands out anew.
    fresh: f64,
    cores: usize,
    pace: Pace,
}

/// How runs differ from what their counts say.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Pace {
    /// How many times longer computing takes in a run than in the loops that measure it, before the input and after it;
    /// products of matrices aside.
    factor: [f64; 2],
    /// Seconds of a step before the input, apart from its computing: contexts, locks, allocations, threads.
    step: f64,
    /// Seconds of a hop after it, with all that is done for a hop apart from computing.
    hop: f64,
    /// Seconds that the first request takes longer than the next.
    first: PhaseSeconds,
}

/// A request that has been run, and how long it took.
#[derive(Clone, Copy, Debug)]
pub struct Observed {
    /// What it computed.
    pub work: Work,
    /// Its steps.
    pub steps: usize,
    /// Its hops.
    pub hops: u32,
    /// Seconds that a process takes to read its program once more.
    pub reading: f64,
    /// How long it took.
    pub seconds: PhaseSeconds,
}

impl Machine {
    /// Measures the machine at hand, in about a fifth of a second.
    pub fn measure() -> Result<Self> {
        let Loopback { hop, byte } = loopback()?;
        let rates = Kind::ALL.map(|kind| match kind {
            Kind::Wire => byte,
            kind => seconds(kind),
        });
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let pace = Pace { factor: [1.0; 2], step: 0.0, hop, first: PhaseSeconds::default() };
        Ok(Self { rates, hop, fresh: fresh(), cores, pace })
    }

    /// The same machine, with what two runs on it have shown beyond its rates: one that hardly computes, and one that does.
    /// The larger the second, the less errors of the first matter. `first` is what the first request of a process takes
    /// longer than the next.
    #[must_use]
    pub fn seen(self, [small, large]: [&Observed; 2], first: PhaseSeconds) -> Self {
        let [a, b] = [small, large].map(|o| self.computing(&o.work, |kind| !kind.is_kernel()));
        // Without what is known beforehand.
        let rest = |o: &Observed| {
            let kernels = self.computing(&o.work, Kind::is_kernel);
            let preprocess = o.seconds.preprocess - kernels.preprocess - self.readings() * o.reading;
            PhaseSeconds { preprocess, online: o.seconds.online - kernels.online }
        };
        let [small_rest, large_rest] = [small, large].map(rest);
        // Two equations in two unknowns per phase: time = factor * computing + overhead * count.
        let solve = |[a, b]: [f64; 2], [at, bt]: [f64; 2], [an, bn]: [f64; 2]| {
            let factor = ((bt * an - at * bn) / (b * an - a * bn)).clamp(LEAST, MOST);
            let factor = if factor.is_finite() { factor } else { 1.0 };
            (factor, ((at - factor * a) / an).max(0.0))
        };
        let (before, step) = solve(
            [a.preprocess, b.preprocess],
            [small_rest.preprocess, large_rest.preprocess],
            [small.steps as f64, large.steps as f64],
        );
        let (after, hop) = solve(
            [a.online, b.online],
            [small_rest.online, large_rest.online],
            [f64::from(small.hops), f64::from(large.hops)],
        );
        Self { pace: Pace { factor: [before, after], step, hop: hop.max(self.hop), first }, ..self }
    }

    /// Seconds per unit of a kind, on one core.
    pub fn rate(&self, kind: Kind) -> f64 {
        self.rates[kind as usize]
    }

    /// Seconds of a hop between two processes that do nothing else.
    pub fn hop(&self) -> f64 {
        self.hop
    }

    /// Cores that the parties share.
    pub fn cores(&self) -> usize {
        self.cores
    }

    /// Seconds of a hop in a run, with all that is done for it apart from computing.
    pub fn hop_in_run(&self) -> f64 {
        self.pace.hop
    }

    /// How many times longer computing takes in a run than in a short loop, before the input and after it; products of
    /// matrices aside.
    pub fn factors(&self) -> [f64; 2] {
        self.pace.factor
    }

    /// Core seconds of some kinds of a load.
    fn core_seconds(&self, load: &Load, of: impl Fn(Kind) -> bool) -> Core {
        Kind::ALL.iter().filter(|&&kind| of(kind)).fold(Core::default(), |sum, &kind| {
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
        let [online, assist] =
            [&work.online, &work.assist].map(|load| self.core_seconds(load, |_| true).total());
        let [helper, prepare, _] = self.efforts(work);
        helper + 2.0 * (prepare + online) + assist
    }

    /// Core seconds of P2 and of an evaluator before the input, and of an evaluator after it.
    pub fn efforts(&self, work: &Work) -> [f64; 3] {
        let of = |load| self.core_seconds(load, |_| true).total();
        [of(&work.helper), self.preparing(work, |_| true).total(), of(&work.online)]
    }

    /// Core seconds of an evaluator before the input: half of what both do, for they change places.
    fn preparing(&self, work: &Work, of: impl Fn(Kind) -> bool + Copy) -> Core {
        let [near, far] = work.prepare.map(|load| self.core_seconds(&load, of));
        Core { serial: (near.serial + far.serial) / 2.0, parallel: (near.parallel + far.parallel) / 2.0 }
    }

    /// How many times longer than alone three processes take that do the same at once.
    fn readings(&self) -> f64 {
        (3.0 / self.cores as f64).max(1.0)
    }

    /// Time of some kinds of computing alone, with all three parties on this machine.
    fn computing(&self, work: &Work, of: impl Fn(Kind) -> bool + Copy) -> PhaseSeconds {
        let cores = self.cores as f64;
        let Work { helper, online, assist, .. } = work;
        let evaluator = self.preparing(work, of);
        let parties = [self.core_seconds(helper, of), evaluator, evaluator];
        // All work at once, and nobody is done before the slowest.
        let shared = parties.iter().map(Core::total).sum::<f64>() / cores;
        let slowest = parties.iter().map(|p| p.serial + p.parallel / cores);
        let preprocess = slowest.fold(shared, f64::max);
        // The evaluators wait for each other at every hop, so that serial parts meet serial parts. Where the helper
        // takes part it takes its share of the cores.
        let [one, assist] = [online, assist].map(|load| self.core_seconds(load, of));
        let online =
            one.serial * (2.0 / cores).max(1.0) + one.parallel * 2.0 / cores + assist.total() / cores;
        PhaseSeconds { preprocess, online }
    }

    /// What the first request of a process takes longer than the next, if it has this work.
    ///
    /// The evaluators keep what they draw and receive for the online phase: each as much as one draws that receives nothing. Later requests find
    /// the memory that this one gives back; it finds what loading the weights has left, a masked value and a mask of each.
    pub fn first(&self, work: &Work) -> PhaseSeconds {
        let prepare = &work.prepare[0];
        let fresh = prepare[Kind::Draw].saturating_sub(2 * prepare[Kind::Stream]) as f64 * self.fresh;
        let memory = PhaseSeconds { preprocess: fresh * (2.0 / self.cores as f64).max(1.0), online: 0.0 };
        self.pace.first + memory
    }

    /// Time of a request of which all three parties run on this machine and nothing else does.
    ///
    /// `work`, `steps` and `hops` are the program's, `reading` the seconds that a process takes to read the program again.
    pub fn predict(&self, work: &Work, steps: usize, hops: u32, reading: f64) -> PhaseSeconds {
        let Pace { factor, step, hop, .. } = self.pace;
        let kernels = self.computing(work, Kind::is_kernel);
        let computing = self.computing(work, |kind| !kind.is_kernel());
        PhaseSeconds {
            // Everybody meters the program, then reads it to prepare.
            preprocess: self.readings() * reading
                + factor[0] * computing.preprocess
                + kernels.preprocess
                + step * steps as f64,
            online: factor[1] * computing.online + kernels.online + hop * f64::from(hops),
        }
    }

    /// Time in all of the same request where preprocessing runs beside the online phase, with `link` between the parties:
    /// what is busy longest sets it. That is the cores with the computing of all; or the chain of hops with what an
    /// evaluator computes between them, its bytes and latency; or the helper, which deals while its links carry what it
    /// has dealt. `cost` is the program's.
    pub fn predict_overlapped(
        &self,
        work: &Work,
        steps: usize,
        cost: &Cost,
        reading: f64,
        link: &Link,
    ) -> f64 {
        let alone = self.predict(work, steps, cost.hops, reading);
        let network = PhaseSeconds::on(link, cost);
        let [before, after] = self.pace.factor;
        let busy = |load: &Load, factor: f64| {
            let of = |kernel: bool| self.core_seconds(load, |kind| kind.is_kernel() == kernel).total();
            factor * of(false) + of(true)
        };
        let [near, far] = &work.prepare;
        let preparing = busy(&work.helper, before) + busy(near, before) + busy(far, before);
        let online = 2.0 * busy(&work.online, after) + busy(&work.assist, after);
        let read = self.readings() * reading;
        let cores = (preparing + online) / self.cores as f64 + self.pace.step * steps as f64;
        let chain = alone.online + network.online;
        let helper = (alone.preprocess - read).max(network.preprocess);
        read + link.modelled_seconds(1, [0, 0]) + cores.max(chain).max(helper)
    }
}

/// Limits of the factor that a run may show: a machine that was disturbed must not lead predictions far astray.
const LEAST: f64 = 0.5;
const MOST: f64 = 8.0;

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
        let pace = Pace { factor: [1.0; 2], step: 0.0, hop: 1.0, first: PhaseSeconds::default() };
        Machine { rates: [1.0; Kind::ALL.len()], hop: 1.0, fresh: 1.0, cores, pace }
    }

    #[test]
    fn time_is_bounded_by_all_cores_and_by_the_slowest_party() {
        let work = Work::default().helper(Kind::Step, 100).prepare(Kind::Step, 10).online(Kind::Step, 40);
        let [one, two, many] = [1, 2, 64].map(|cores| machine(cores).predict(&work, 7, 3, 0.0));
        assert_eq!(one, PhaseSeconds { preprocess: 120.0, online: 83.0 });
        // The helper's table steps keep one core busy, whatever the others do.
        assert_eq!(two, PhaseSeconds { preprocess: 100.0, online: 43.0 });
        assert_eq!(many, two);
        let matrices = Work::default().online(Kind::Multiply32, 40);
        let online = |cores| machine(cores).predict(&matrices, 0, 0, 0.0).online;
        assert!(online(64) < online(2));
    }

    #[test]
    fn runs_show_what_counts_do_not() {
        for cores in [1, 2, 8] {
            let steps = |n| Work::default().helper(Kind::Step, n).online(Kind::Step, 2 * n);
            let products = |n| Work::default().helper(Kind::Multiply32, 3 * n).online(Kind::Multiply32, n);
            let work = |n| steps(n) + products(n);
            let reading = 1e-3;
            let told = machine(cores);
            // A machine where computing takes 3 and 4 times as long, a step 5 s and a hop 6 s.
            let run = |n, count: usize, hops: u32| {
                let [alone, kernels] = [steps(n), products(n)].map(|work| told.computing(&work, |_| true));
                let preprocess = 3.0 * alone.preprocess + 5.0 * count as f64 + told.readings() * reading;
                let online = 4.0 * alone.online + 6.0 * f64::from(hops);
                let seconds = PhaseSeconds { preprocess, online } + kernels;
                Observed { work: work(n), steps: count, hops, reading, seconds }
            };
            let first = PhaseSeconds { preprocess: 0.5, online: 0.25 };
            let seen = told.seen([&run(1, 10, 7), &run(100, 12, 8)], first);
            let expected = run(1000, 100, 50).seconds + first;
            let got = seen.predict(&work(1000), 100, 50, reading) + seen.first(&work(1000));
            assert!((got.preprocess / expected.preprocess - 1.0).abs() < 1e-9, "{got:?}, {expected:?}");
            assert!((got.online / expected.online - 1.0).abs() < 1e-9, "{got:?}, {expected:?}");
        }
    }

    #[test]
    fn the_first_request_needs_memory_that_weights_have_not_left() {
        let work = |draw| Work::default().prepare(Kind::Draw, draw).prepare(Kind::Stream, 30);
        let seconds = |cores, draw| machine(cores).first(&work(draw)).preprocess;
        assert_eq!([50, 60, 100].map(|draw| seconds(2, draw)), [0.0, 0.0, 40.0]);
        assert_eq!(seconds(1, 100), 80.0);
    }

    #[test]
    fn disturbed_runs_give_bounded_factors() {
        let run = |n, seconds| {
            let work = Work::default().helper(Kind::Step, n).online(Kind::Step, n);
            let seconds = PhaseSeconds { preprocess: seconds, online: seconds };
            Observed { work, steps: 10, hops: 10, reading: 0.0, seconds }
        };
        let machine = machine(2);
        for (small, large) in [(9.0, 1.0), (0.0, 0.0), (1.0, 1e9), (f64::NAN, 1.0)] {
            let seen = machine.seen([&run(1, small), &run(2, large)], PhaseSeconds::default());
            let PhaseSeconds { preprocess, online } = seen.predict(&run(5, 0.0).work, 10, 10, 0.0);
            assert!(preprocess > 0.0 && preprocess < 1e3, "{small} {large}: {preprocess}");
            assert!((10.0..1e3).contains(&online), "{small} {large}: {online}");
        }
    }

    #[test]
    fn networks_add_latency_and_transfer() {
        let cost = Cost { online: 100_000_000, offline: 50_000_000, hops: 10, multiply_adds: 0 };
        assert_eq!(PhaseSeconds::on(&Link::NONE, &cost), PhaseSeconds::default());
        let [wan, shared] = [PhaseSeconds::on, PhaseSeconds::on_shared].map(|on| on(&Link::WAN, &cost));
        assert!((wan.preprocess - 0.52).abs() < 1e-9 && (wan.online - 1.2).abs() < 1e-9, "{wan:?}");
        assert!((shared.preprocess - 1.02).abs() < 1e-9 && (shared.online - 2.2).abs() < 1e-9, "{shared:?}");
    }

    #[test]
    fn overlapped_phases_take_what_is_busy_longest() {
        let work = Work::default().helper(Kind::Step, 100).prepare(Kind::Step, 10).online(Kind::Step, 40);
        let cost = |hops, offline| Cost { online: 0, offline, hops, multiply_adds: 0 };
        let of = |cores: usize, cost: Cost, link: &Link| {
            machine(cores).predict_overlapped(&work, 7, &cost, 0.0, link)
        };
        // 200 core seconds; the helper alone takes 100, the online phase 40 and a second a hop.
        assert_eq!(of(1, cost(3, 0), &Link::NONE), 200.0);
        assert_eq!(of(2, cost(3, 0), &Link::NONE), 100.0);
        assert_eq!(of(64, cost(3, 0), &Link::NONE), 100.0);
        assert_eq!(of(64, cost(90, 0), &Link::NONE), 130.0);
        // A link's 50 MB/s: half of what is dealt takes 300 s.
        let wan = of(64, cost(90, 30_000_000_000), &Link::WAN);
        assert!((wan - 300.04).abs() < 1e-9, "{wan}");
        let hops = of(64, cost(500, 0), &Link::WAN);
        assert!((hops - (40.0 + 500.0 * 1.02 + 0.02)).abs() < 1e-9, "{hops}");
        let network = PhaseSeconds::overlapped_on(&Link::WAN, &cost(500, 100_000_000));
        assert!((network - 10.02).abs() < 1e-9, "{network}");
    }

    #[test]
    fn this_machine_has_a_speed() {
        let machine = Machine::measure().expect("measures");
        assert!(Kind::ALL.iter().all(|&kind| machine.rate(kind) > 0.0 && machine.rate(kind) < 1e-3));
        assert!(machine.hop() > 0.0 && machine.cores() > 0);
    }
}
