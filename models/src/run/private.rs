use std::time::Instant;

use ditto_core::cost::Cost;
use ditto_core::net::Limits;
use ditto_core::prg::Randomness;
use ditto_core::session::{
    Client, Input, Manifest, SecureModel, input_bytes, program, request_cost, share_weights,
};
use serde::Serialize;

use super::launch::Parties;
use super::{Launch, RunError, Task};
use crate::answer::Answer;
use crate::model::{Request, Visit};

/// Seconds of each phase, as the client saw them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Seconds {
    /// Sharing the weights, until all parties have loaded them.
    pub share_weights: f64,
    /// Preprocessing of all requests.
    pub preprocess: f64,
    /// From sending inputs to receiving outputs, of all requests.
    pub online: f64,
    /// Everything, with the start of the parties.
    pub total: f64,
}

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The private answers.
    pub answers: Vec<Answer>,
    /// What all senders sent, as counted; hops added over requests.
    pub counted: Cost,
    /// The same as the meter said beforehand.
    pub metered: Cost,
    /// Times.
    pub seconds: Seconds,
    /// Processor seconds of P0, P1, P2 in preprocessing and online, over all requests. Threads share one process.
    pub cpu_seconds: [[f64; 3]; 2],
    /// Most memory of P0, P1, P2 in bytes. Threads share one process.
    pub peak_rss_bytes: [u64; 3],
}

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The parties run; their process identifiers, if they are processes.
    Started([u32; 3]),
    /// Tensors shared so far, and in all.
    Weights(usize, usize),
    /// Preprocessing of a request (from 0), of how many.
    Preprocess(usize, usize),
    /// The online phase of a request (from 0), of how many.
    Online(usize, usize),
}

/// Shares the weights, runs every text, opens the answers to the client only.
pub fn run_private(
    task: &Task,
    launch: &Launch,
    limits: Limits,
    randomness: Randomness,
    progress: &(dyn Fn(Phase) + Sync),
) -> Result<Outcome, RunError> {
    let started = Instant::now();
    let mut parties = launch.start(limits, randomness)?;
    if let &[p0, p1, p2] = &parties.pids()[..] {
        progress(Phase::Started([p0, p1, p2]));
    }
    let drive = Drive { task, parties: &parties, randomness, progress };
    let result = task.job.model.with_model(drive);
    match result {
        Ok(mut outcome) => {
            parties.join()?;
            outcome.seconds.total = started.elapsed().as_secs_f64();
            Ok(outcome)
        }
        Err(error) => {
            parties.abort("the client stopped");
            Err(error)
        }
    }
}

struct Drive<'a> {
    task: &'a Task,
    parties: &'a Parties,
    randomness: Randomness,
    progress: &'a (dyn Fn(Phase) + Sync),
}

impl Visit for Drive<'_> {
    type Out = Result<Outcome, RunError>;

    fn visit<M: SecureModel<Request = Request>>(self, model: &M) -> Self::Out {
        let Self { task, parties, randomness, progress } = self;
        let client = Client::new(parties.client.clone());
        client.announce(&task.job.encode())?;

        let mut seconds = Seconds::default();
        let begun = Instant::now();
        let manifest = Manifest::of(model)?;
        let all = manifest.0.len();
        let shared = |n| progress(Phase::Weights(n, all));
        share_weights(&parties.owner, &manifest, &task.floats(), &randomness, &shared)?;
        client.loaded()?;
        seconds.share_weights = begun.elapsed().as_secs_f64();

        let n = task.inputs.len();
        let (mut answers, mut counted, mut metered) = (Vec::new(), Cost::default(), Cost::default());
        let (mut peak_rss_bytes, mut cpu_seconds) = ([0; 3], [[0.0; 3]; 2]);
        for (i, x) in task.inputs.iter().enumerate() {
            let (batch, request) = (i as u64 + 1, &task.job.requests[i]);
            let (_, _, output) = program(model, request)?;
            progress(Phase::Preprocess(i, n));
            let begun = Instant::now();
            // What is looked up needs no seeds.
            let values = model.input() == Input::Values;
            let seeds = values.then(|| client.begin(batch, &randomness)).transpose()?;
            client.ready(batch)?;
            seconds.preprocess += begun.elapsed().as_secs_f64();

            progress(Phase::Online(i, n));
            let begun = Instant::now();
            let y = match seeds {
                Some(seeds) => client.finish::<M>(batch, &seeds, x, &output)?,
                None => client.finish_lookup(model, request, batch, &task.ids(i), &randomness, &output)?,
            };
            seconds.online += begun.elapsed().as_secs_f64();

            let reports = client.reports(batch)?;
            for (party, report) in reports.iter().enumerate() {
                peak_rss_bytes[party] = report.peak_rss_bytes;
                cpu_seconds[0][party] += report.preprocess_cpu_micros as f64 / 1e6;
                cpu_seconds[1][party] += report.online_cpu_micros as f64 / 1e6;
                counted.online += report.online_bytes;
                counted.offline += report.offline_bytes;
            }
            counted.online += input_bytes(model, request)?;
            counted.hops += reports[0].hops.max(reports[1].hops);
            metered += request_cost(model, request)?;
            answers.extend(task.answers(i, y.data()));
        }
        client.close()?;
        parties.owner.iter().try_for_each(|l| l.close()).map_err(ditto_core::Error::from)?;
        counted.multiply_adds = metered.multiply_adds;
        Ok(Outcome { answers, counted, metered, seconds, cpu_seconds, peak_rss_bytes })
    }
}
