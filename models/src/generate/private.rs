use std::time::Instant;

use ditto_core::cost::Cost;
use ditto_core::net::Limits;
use ditto_core::prg::Randomness;
use ditto_core::session::{Input, SecureModel, next_operations};

use super::Generation;
use crate::model::{Request, Visit};
use crate::run::{Asked, Begun, Launch, Parties, Phase, RunError, Serving, Session};

/// What a generation came to.
#[derive(Clone, Debug)]
pub struct Generated {
    /// The tokens.
    pub tokens: Vec<u32>,
    /// What all senders sent, as counted, for the prompt and for each further token.
    pub counted: Vec<Cost>,
    /// The same as the meter said beforehand.
    pub metered: Vec<Cost>,
    /// Seconds until the input was wanted, and from there to the output, for the prompt and for each further token: of
    /// preprocessing and online phase, unless one runs beside the other.
    pub seconds: Vec<[f64; 2]>,
    /// Seconds that sharing the weights took.
    pub share_weights: f64,
    /// Seconds of everything, with the start of the parties.
    pub total: f64,
    /// Most memory of P0, P1, P2 in bytes. Threads share one process.
    pub peak_rss_bytes: [u64; 3],
}

/// What happens during a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// How far it has come.
    Phase(Phase),
    /// A token has come.
    Token(u32),
}

/// Shares the weights and writes the text; what is opened goes to the client only.
pub fn generate(
    generation: &Generation,
    launch: &Launch,
    limits: Limits,
    randomness: Randomness,
    told: &(dyn Fn(Told) + Sync),
) -> Result<Generated, RunError> {
    let started = Instant::now();
    let progress = |phase| told(Told::Phase(phase));
    let mut generated = launch.with_parties(limits, randomness, &progress, |parties| {
        let write = Write { generation, parties, randomness, progress: &progress, told };
        generation.model.with_model(write)
    })?;
    generated.total = started.elapsed().as_secs_f64();
    Ok(generated)
}

struct Write<'a> {
    generation: &'a Generation,
    parties: &'a Parties,
    randomness: Randomness,
    progress: &'a (dyn Fn(Phase) + Sync),
    told: &'a (dyn Fn(Told) + Sync),
}

impl Visit for Write<'_> {
    type Out = Result<Generated, RunError>;

    fn visit<M: SecureModel<Request = Request>>(self, model: &M) -> Self::Out {
        let Self { generation, parties, randomness, progress, told } = self;
        let (spec, floats, n) = (&generation.model, generation.floats(), generation.tokens);
        let serving = Serving { in_flight: 1, ..generation.serving };
        let session = Session::start(parties, (model, spec), serving, &floats, randomness, progress)?;
        let (mut requests, mut counted, mut seconds) = (Vec::new(), Vec::new(), Vec::new());
        let (mut peak_rss_bytes, mut next): ([u64; 3], Option<Begun>) = Default::default();
        let answer = |request: &Request, ids: &[u32]| {
            let embedded;
            let asked = match model.input() {
                Input::Values => {
                    embedded = generation.embeddings.rows(ids, request.past)?;
                    Asked::Values(&embedded)
                }
                Input::Lookup(_) => Asked::Lookup(generation.lookups(ids, request.past)),
            };
            let (i, output, started) =
                (requests.len(), spec.architecture.output_shape(request), Instant::now());
            let begun = match next.take() {
                Some(begun) => begun,
                None => session.begin(model, request, (i, n))?,
            };
            session.ready(&begun)?;
            let preprocess = started.elapsed().as_secs_f64();
            if serving.ahead && i + 1 < n {
                // Its number and that of those before it is all that preprocessing needs to know of a token.
                let following =
                    Request { tokens: vec![1], masks: Vec::new(), past: request.past + ids.len() };
                next = Some(session.begin(model, &following, (i + 1, n))?);
            }
            let started = Instant::now();
            let (output, totals, _) = session.finish(model, request, asked, &output, (&begun, n))?;
            seconds.push([preprocess, started.elapsed().as_secs_f64()]);
            requests.push(request.clone());
            counted.push(totals.counted);
            peak_rss_bytes = totals.peak_rss_bytes;
            Ok(output)
        };
        let tokens = generation.write(answer, &mut |id| told(Told::Token(id)))?;
        let mut asked = requests.len();
        if next.is_some() {
            // The text has ended before.
            session.give_up(asked);
            asked += 1;
        }
        session.end_lane(asked)?;
        session.end()?;

        let (mut state, mut metered) = (M::State::default(), Vec::new());
        for (request, counted) in requests.iter().zip(&mut counted) {
            let (_, cost) = next_operations(model, &mut state, request)?;
            counted.multiply_adds = cost.multiply_adds;
            metered.push(cost);
        }
        let share_weights = session.share_weights;
        Ok(Generated { tokens, counted, metered, seconds, share_weights, total: 0.0, peak_rss_bytes })
    }
}
