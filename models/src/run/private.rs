use std::time::Instant;

use ditto_core::cost::Cost;
use ditto_core::net::Limits;
use ditto_core::prg::Randomness;
use ditto_core::session::{Input, SecureModel, request_cost};
use serde::Serialize;

use super::launch::Parties;
use super::session::{Asked, Session};
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
        let spec = &task.job.model;
        let mut session = Session::start(parties, (model, spec), &task.floats(), randomness, progress)?;
        let mut seconds = Seconds { share_weights: session.share_weights, ..Seconds::default() };
        let n = task.inputs.len();
        let (mut answers, mut metered) = (Vec::new(), Cost::default());
        for (i, (x, request)) in task.inputs.iter().zip(&task.job.requests).enumerate() {
            let x = match model.input() {
                Input::Values => Asked::Values(x),
                Input::Lookup(_) => Asked::Lookup(task.ids(i)),
            };
            let output = spec.architecture.output_shape(request);
            let answered = session.request(model, request, x, &output, (i, n))?;
            seconds.preprocess += answered.preprocess;
            seconds.online += answered.online;
            metered += request_cost(model, request)?;
            answers.extend(task.answers(i, answered.output.data()));
        }
        session.end()?;
        let Session { mut counted, cpu_seconds, peak_rss_bytes, .. } = session;
        counted.multiply_adds = metered.multiply_adds;
        Ok(Outcome { answers, counted, metered, seconds, cpu_seconds, peak_rss_bytes })
    }
}
