use std::time::Instant;

use ditto_core::Error;
use ditto_core::cost::Cost;
use ditto_core::prg::Randomness;
use ditto_core::session::{Client, Floats, Manifest, Report, SecureModel, input_bytes, share_weights};
use ditto_core::tensor::{Array, Shape};

use super::launch::Parties;
use super::{Phase, RunError};
use crate::model::{ModelSpec, Request};

/// A client whose parties hold a model.
pub(crate) struct Session<'a> {
    client: Client,
    parties: &'a Parties,
    randomness: Randomness,
    progress: &'a (dyn Fn(Phase) + Sync),
    /// Number of the last request, from 1.
    batch: u64,
    /// Seconds that sharing the weights took.
    pub(crate) share_weights: f64,
    /// What all senders sent, as counted; hops added over requests.
    pub(crate) counted: Cost,
    /// Processor seconds of P0, P1, P2 in preprocessing and online, over all requests.
    pub(crate) cpu_seconds: [[f64; 3]; 2],
    /// Most memory of P0, P1, P2 in bytes.
    pub(crate) peak_rss_bytes: [u64; 3],
}

/// What the client has of a request.
pub(crate) enum Asked<'a> {
    /// The input itself.
    Values(&'a Array<f32>),
    /// Ids of the rows that are looked up in each of the model's tables.
    Lookup(Vec<Vec<usize>>),
}

/// An output, the seconds from asking to the end of preprocessing and from there to the output, and what the parties
/// reported.
pub(crate) struct Answered {
    pub(crate) output: Array<f32>,
    pub(crate) preprocess: f64,
    pub(crate) online: f64,
    pub(crate) reports: [Report; 3],
}

impl<'a> Session<'a> {
    /// Announces a model to the parties and shares its weights with them.
    pub(crate) fn start<M: SecureModel>(
        parties: &'a Parties,
        (model, spec): (&M, &ModelSpec),
        floats: &dyn Floats,
        randomness: Randomness,
        progress: &'a (dyn Fn(Phase) + Sync),
    ) -> Result<Self, RunError> {
        let client = Client::new(parties.client.clone());
        client.announce(&spec.encode())?;
        let begun = Instant::now();
        let manifest = Manifest::of(model)?;
        let all = manifest.0.len();
        let shared = |n| progress(Phase::Weights(n, all));
        share_weights(&parties.owner, &manifest, floats, &randomness, &shared)?;
        client.loaded()?;
        Ok(Self {
            client,
            parties,
            randomness,
            progress,
            batch: 0,
            share_weights: begun.elapsed().as_secs_f64(),
            counted: Cost::default(),
            cpu_seconds: Default::default(),
            peak_rss_bytes: Default::default(),
        })
    }

    /// Asks a request, the `i`-th (from 0) of `n`, whose output has a shape.
    pub(crate) fn request<M: SecureModel<Request = Request>>(
        &mut self,
        model: &M,
        request: &Request,
        asked: Asked<'_>,
        output: &Shape,
        (i, n): (usize, usize),
    ) -> Result<Answered, RunError> {
        self.batch += 1;
        let (client, batch) = (&self.client, self.batch);
        (self.progress)(Phase::Preprocess(i, n));
        let begun = Instant::now();
        client.ask(batch, &request.encode())?;
        // What is looked up needs no seeds.
        let seeds = match asked {
            Asked::Values(_) => Some(client.begin(batch, &self.randomness)?),
            Asked::Lookup(_) => None,
        };
        client.ready(batch)?;
        let preprocess = begun.elapsed().as_secs_f64();

        (self.progress)(Phase::Online(i, n));
        let begun = Instant::now();
        let output = match (&asked, &seeds) {
            (Asked::Values(x), Some(seeds)) => client.finish::<M>(batch, seeds, x, output)?,
            (Asked::Lookup(ids), _) => {
                client.finish_lookup(model, request, batch, ids, &self.randomness, output)?
            }
            (Asked::Values(_), None) => return Err(RunError::Core(Error::Internal("an input has seeds"))),
        };
        let online = begun.elapsed().as_secs_f64();

        let reports = client.reports(batch)?;
        for (party, report) in reports.iter().enumerate() {
            self.peak_rss_bytes[party] = report.peak_rss_bytes;
            self.cpu_seconds[0][party] += report.preprocess_cpu_micros as f64 / 1e6;
            self.cpu_seconds[1][party] += report.online_cpu_micros as f64 / 1e6;
            self.counted.online += report.online_bytes;
            self.counted.offline += report.offline_bytes;
        }
        self.counted.online += input_bytes(model, request)?;
        self.counted.hops += reports[0].hops.max(reports[1].hops);
        Ok(Answered { output, preprocess, online, reports })
    }

    /// Ends the session in order.
    pub(crate) fn end(&self) -> Result<(), RunError> {
        self.client.end(self.batch + 1)?;
        self.client.close()?;
        Ok(self.parties.owner.iter().try_for_each(|l| l.close()).map_err(ditto_core::Error::from)?)
    }
}
