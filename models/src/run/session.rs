use std::time::Instant;

use ditto_core::Error;
use ditto_core::cost::Cost;
use ditto_core::prg::{Randomness, Seed};
use ditto_core::session::{Client, Floats, Input, Manifest, Report, SecureModel, input_bytes, share_weights};
use ditto_core::tensor::{Array, Shape};

use super::job::Announcement;
use super::launch::Parties;
use super::{Phase, RunError, Serving};
use crate::model::{ModelSpec, Request};

/// A client whose parties hold a model.
pub(crate) struct Session<'a> {
    client: Client,
    parties: &'a Parties,
    randomness: Randomness,
    progress: &'a (dyn Fn(Phase) + Sync),
    /// Seconds that sharing the weights took.
    pub(crate) share_weights: f64,
}

/// What the client has of a request.
pub(crate) enum Asked<'a> {
    /// The input itself.
    Values(&'a Array<f32>),
    /// Ids of the rows that are looked up in each of the model's tables.
    Lookup(Vec<Vec<usize>>),
}

/// A request that the parties know of and prepare.
pub(crate) struct Begun {
    batch: u64,
    /// Of its input, unless that is looked up.
    seeds: Option<[Seed; 2]>,
    at: Instant,
}

/// An output, and what it took.
pub(crate) struct Answered {
    pub(crate) output: Array<f32>,
    /// Seconds from asking, or from the answer before if it was asked ahead, until the input was wanted.
    pub(crate) preprocess: f64,
    /// Seconds from there to the output.
    pub(crate) online: f64,
    /// What P0, P1 and P2 reported.
    pub(crate) reports: [Report; 3],
    pub(crate) totals: Totals,
}

/// What requests took in all.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    /// What all senders sent, as counted; hops added over requests.
    pub(crate) counted: Cost,
    /// Processor seconds of P0, P1, P2 in preprocessing and online.
    pub(crate) cpu_seconds: [[f64; 3]; 2],
    /// Most memory of P0, P1, P2 in bytes.
    pub(crate) peak_rss_bytes: [u64; 3],
}

impl Totals {
    fn of(reports: &[Report; 3], input_bytes: u64) -> Self {
        let sum = |bytes: fn(&Report) -> u64| reports.iter().map(bytes).sum::<u64>();
        let counted = Cost {
            online: sum(|r| r.online_bytes) + input_bytes,
            offline: sum(|r| r.offline_bytes),
            hops: reports[0].hops.max(reports[1].hops),
            multiply_adds: 0,
        };
        let seconds = |micros: fn(&Report) -> u64| reports.each_ref().map(|r| micros(r) as f64 / 1e6);
        Self {
            counted,
            cpu_seconds: [seconds(|r| r.preprocess_cpu_micros), seconds(|r| r.online_cpu_micros)],
            peak_rss_bytes: reports.each_ref().map(|r| r.peak_rss_bytes),
        }
    }

    /// The sum, and of memory the most.
    #[must_use]
    pub(crate) fn and(self, other: Self) -> Self {
        let pairs = |a: [f64; 3], b: [f64; 3]| std::array::from_fn(|i| a[i] + b[i]);
        let [a, b] = [self.cpu_seconds, other.cpu_seconds];
        Self {
            counted: self.counted + other.counted,
            cpu_seconds: [pairs(a[0], b[0]), pairs(a[1], b[1])],
            peak_rss_bytes: std::array::from_fn(|i| self.peak_rss_bytes[i].max(other.peak_rss_bytes[i])),
        }
    }
}

impl<'a> Session<'a> {
    /// Announces a model to the parties and shares its weights with them.
    pub(crate) fn start<M: SecureModel>(
        parties: &'a Parties,
        (model, spec): (&M, &ModelSpec),
        serving: Serving,
        floats: &dyn Floats,
        randomness: Randomness,
        progress: &'a (dyn Fn(Phase) + Sync),
    ) -> Result<Self, RunError> {
        let client = Client::new(parties.client.clone());
        client.announce(&Announcement { model: spec.clone(), serving }.encode())?;
        let begun = Instant::now();
        let manifest = Manifest::of(model)?;
        let all = manifest.0.len();
        let shared = |n| progress(Phase::Weights(n, all));
        share_weights(&parties.owner, &manifest, floats, &randomness, &shared)?;
        client.loaded()?;
        Ok(Self { client, parties, randomness, progress, share_weights: begun.elapsed().as_secs_f64() })
    }

    /// Asks the `i`-th request of `n`, from 0: the parties prepare it. Its batch is `i + 1`.
    pub(crate) fn begin<M: SecureModel<Request = Request>>(
        &self,
        model: &M,
        request: &Request,
        (i, n): (usize, usize),
    ) -> Result<Begun, RunError> {
        let (client, batch) = (&self.client, i as u64 + 1);
        (self.progress)(Phase::Preprocess(i, n));
        let at = Instant::now();
        client.ask(batch, &request.encode())?;
        // What is looked up needs no seeds.
        let seeds = match model.input() {
            Input::Values => Some(client.begin(batch, &self.randomness)?),
            Input::Lookup(_) => None,
        };
        Ok(Begun { batch, seeds, at })
    }

    /// Waits until a request is prepared; gives the seconds since it was asked.
    pub(crate) fn ready(&self, begun: &Begun) -> Result<f64, RunError> {
        self.client.ready(begun.batch)?;
        Ok(begun.at.elapsed().as_secs_f64())
    }

    /// Sends a request's input and receives its output, which has a shape.
    pub(crate) fn finish<M: SecureModel<Request = Request>>(
        &self,
        model: &M,
        request: &Request,
        asked: Asked<'_>,
        output: &Shape,
        (begun, n): (&Begun, usize),
    ) -> Result<(Array<f32>, Totals, [Report; 3]), RunError> {
        let (client, batch) = (&self.client, begun.batch);
        (self.progress)(Phase::Online(batch as usize - 1, n));
        let output = match (&asked, &begun.seeds) {
            (Asked::Values(x), Some(seeds)) => client.finish::<M>(batch, seeds, x, output)?,
            (Asked::Lookup(ids), _) => {
                client.finish_lookup(model, request, batch, ids, &self.randomness, output)?
            }
            (Asked::Values(_), None) => return Err(RunError::Core(Error::Internal("an input has seeds"))),
        };
        let reports = client.reports(batch)?;
        let totals = Totals::of(&reports, input_bytes(model, request)?);
        Ok((output, totals, reports))
    }

    /// Asks the `i`-th request of `n` and waits for its answer.
    pub(crate) fn request<M: SecureModel<Request = Request>>(
        &self,
        model: &M,
        request: &Request,
        asked: Asked<'_>,
        output: &Shape,
        (i, n): (usize, usize),
    ) -> Result<Answered, RunError> {
        let begun = self.begin(model, request, (i, n))?;
        let preprocess = self.ready(&begun)?;
        let started = Instant::now();
        let (output, totals, reports) = self.finish(model, request, asked, output, (&begun, n))?;
        Ok(Answered { output, preprocess, online: started.elapsed().as_secs_f64(), totals, reports })
    }

    /// Gives the `i`-th request up. False if the session has ended.
    pub(crate) fn give_up(&self, i: usize) -> bool {
        let goes_on = self.client.failure().is_none();
        if goes_on {
            // Not why: an error may tell something of the input.
            self.client.abandon(i as u64 + 1, "the client does not go on with it");
        }
        goes_on
    }

    /// Says that there is no `i`-th request in its lane, nor one after it.
    pub(crate) fn end_lane(&self, i: usize) -> Result<(), RunError> {
        Ok(self.client.end(i as u64 + 1)?)
    }

    /// Ends the session in order; all its lanes must have ended.
    pub(crate) fn end(&self) -> Result<(), RunError> {
        self.client.close()?;
        Ok(self.parties.owner.iter().try_for_each(|l| l.close()).map_err(ditto_core::Error::from)?)
    }
}
