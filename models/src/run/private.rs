use std::time::Instant;

use ditto_core::Error;
use ditto_core::cost::Cost;
use ditto_core::net::Limits;
use ditto_core::prg::Randomness;
use ditto_core::session::{Input, SecureModel, request_cost};
use serde::Serialize;

use super::launch::Parties;
use super::session::{Asked, Session, Totals};
use super::{Launch, RunError, Serving, Task};
use crate::answer::Answer;
use crate::model::{Request, Visit};
use crate::report::chain;

/// Seconds of each phase, as the client saw them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Seconds {
    /// Sharing the weights, until all parties have loaded them.
    pub share_weights: f64,
    /// Until inputs were wanted, summed over requests: preprocessing, unless it overlaps the online phase.
    pub preprocess: f64,
    /// From sending inputs to receiving outputs, summed over requests.
    pub online: f64,
    /// From the first request asked to the last answered.
    pub requests: f64,
    /// Everything, with the start of the parties.
    pub total: f64,
}

/// A request that was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Which, from 0.
    pub request: usize,
    /// Why.
    pub error: String,
}

/// What a run came to.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The private answers, without those of requests that failed.
    pub answers: Vec<Answer>,
    /// How many requests were answered.
    pub answered: usize,
    /// Requests that failed while others did not.
    pub failures: Vec<Failure>,
    /// What all senders sent, as counted; hops added over requests.
    pub counted: Cost,
    /// The same as the meter said beforehand.
    pub metered: Cost,
    /// Times.
    pub seconds: Seconds,
    /// Processor seconds of P0, P1, P2 in preprocessing and online, over all requests; 0 with several in flight. Where the
    /// two overlap, P0's and P1's count as online. Threads share one process.
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
    let mut outcome = launch.with_parties(limits, randomness, progress, |parties| {
        task.job.model.with_model(Drive { task, parties, randomness, progress })
    })?;
    outcome.seconds.total = started.elapsed().as_secs_f64();
    Ok(outcome)
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
        let (spec, n) = (&task.job.model, task.inputs.len());
        let lanes = usize::from(task.serving.in_flight).clamp(1, n.max(1));
        let serving = Serving { in_flight: lanes as u8, ..task.serving };
        let session = Session::start(parties, (model, spec), serving, &task.floats(), randomness, progress)?;
        let ask = |i: usize| {
            let request = &task.job.requests[i];
            let x = match model.input() {
                Input::Values => Asked::Values(&task.inputs[i]),
                Input::Lookup(_) => Asked::Lookup(task.ids(i)),
            };
            session.request(model, request, x, &spec.architecture.output_shape(request), (i, n))
        };
        // A lane has every so manieth request; one that fails is given up, and the lane goes on.
        let lane = |first: usize| {
            let mut answered = Vec::new();
            for i in (first..n).step_by(lanes) {
                let answer = ask(i);
                match answer {
                    Err(error) if !session.give_up(i) => return Err(error),
                    answer => answered.push((i, answer)),
                }
            }
            session.end_lane((first..).step_by(lanes).find(|&i| i >= n).unwrap_or(n))?;
            Ok(answered)
        };
        let begun = Instant::now();
        let mut all = std::thread::scope(|scope| {
            let lane = &lane;
            let running: Vec<_> = (0..lanes).map(|first| scope.spawn(move || lane(first))).collect();
            let ended = running.into_iter().map(|l| {
                l.join().map_err(|_| RunError::Core(Error::Internal("a lane of the client panicked")))?
            });
            let ended: Vec<Result<Vec<_>, RunError>> = ended.collect();
            ended.into_iter().collect::<Result<Vec<_>, _>>()
        })?
        .into_iter()
        .flatten()
        .collect::<Vec<_>>();
        let requests = begun.elapsed().as_secs_f64();
        session.end()?;

        all.sort_by_key(|(i, _)| *i);
        let mut outcome = Outcome {
            seconds: Seconds { share_weights: session.share_weights, requests, ..Seconds::default() },
            ..Outcome::default()
        };
        let mut totals = Totals::default();
        for (i, answered) in all {
            match answered {
                Ok(answered) => {
                    outcome.answered += 1;
                    outcome.seconds.preprocess += answered.preprocess;
                    outcome.seconds.online += answered.online;
                    outcome.metered += request_cost(model, &task.job.requests[i])?;
                    outcome.answers.extend(task.answers(i, answered.output.data()));
                    totals = totals.and(answered.totals);
                }
                // If there is no answer at all, its error is the run's.
                Err(error) if n == 1 => return Err(error),
                Err(error) => outcome.failures.push(Failure { request: i, error: chain(&error) }),
            }
        }
        outcome.counted = Cost { multiply_adds: outcome.metered.multiply_adds, ..totals.counted };
        outcome.peak_rss_bytes = totals.peak_rss_bytes;
        // Of several requests at once, each reports what the process took for all.
        if lanes == 1 {
            outcome.cpu_seconds = totals.cpu_seconds;
        }
        Ok(outcome)
    }
}
