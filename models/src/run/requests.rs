//! Requests one after the other with three parties, and what each took: for measuring.

use ditto_core::cost::{Cost, PhaseSeconds};
use ditto_core::net::Limits;
use ditto_core::prg::Randomness;
use ditto_core::session::{Floats, Report, SecureModel};
use ditto_core::tensor::Array;

use super::launch::Parties;
use super::session::{Answered, Asked, Session};
use super::{Launch, RunError, Serving};
use crate::model::{ModelSpec, Request, Visit};

/// What a session came to.
#[derive(Clone, Debug)]
pub struct Requests {
    /// Seconds that sharing the weights took, until all parties had loaded them.
    pub share_weights: f64,
    /// Every request, in its order.
    pub answered: Vec<Requested>,
}

/// What a request came to.
#[derive(Clone, Debug)]
pub struct Requested {
    /// The model's output.
    pub output: Array<f32>,
    /// As the client saw it: from asking to the end of preprocessing, and from there to the output.
    pub seconds: PhaseSeconds,
    /// What all senders sent, as counted.
    pub counted: Cost,
    /// What P0, P1 and P2 reported.
    pub reports: [Report; 3],
}

/// Runs requests with their inputs, [rows, hidden] each, in one session of a model of which the client looks tokens up. A
/// request that continues a text follows those before it in its conversation. Of `serving` only the overlap of phases counts.
///
/// # Errors
///
/// As [`run_private`](super::run_private).
pub fn run_requests(
    model: &ModelSpec,
    floats: &dyn Floats,
    inputs: &[(Request, Array<f32>)],
    launch: &Launch,
    serving: Serving,
    limits: Limits,
    randomness: Randomness,
) -> Result<Requests, RunError> {
    launch.with_parties(limits, randomness, &|_| (), |parties| {
        model.with_model(Run { spec: model, floats, inputs, parties, serving, randomness })
    })
}

struct Run<'a> {
    spec: &'a ModelSpec,
    floats: &'a dyn Floats,
    inputs: &'a [(Request, Array<f32>)],
    parties: &'a Parties,
    serving: Serving,
    randomness: Randomness,
}

impl Visit for Run<'_> {
    type Out = Result<Requests, RunError>;

    fn visit<M: SecureModel<Request = Request>>(self, model: &M) -> Self::Out {
        let Self { spec, floats, inputs, parties, serving, randomness } = self;
        let session = Session::start(parties, (model, spec), serving, floats, randomness, &|_| ())?;
        let mut answered = Vec::new();
        for (i, (request, x)) in inputs.iter().enumerate() {
            let (output, at) = (spec.architecture.output_shape(request), (i, inputs.len()));
            let Answered { output, preprocess, online, totals, reports } =
                session.request(model, request, Asked::Values(x), &output, at)?;
            let seconds = PhaseSeconds { preprocess, online };
            answered.push(Requested { output, seconds, counted: totals.counted, reports });
        }
        session.end_lane(inputs.len())?;
        session.end()?;
        Ok(Requests { share_weights: session.share_weights, answered })
    }
}
