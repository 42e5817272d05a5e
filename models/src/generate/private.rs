use std::time::Instant;

use ditto_core::cost::Cost;
use ditto_core::net::Limits;
use ditto_core::prg::Randomness;
use ditto_core::session::{Input, SecureModel, next_operations};

use super::Generation;
use crate::model::{Request, Visit};
use crate::run::{Answered, Asked, Launch, Parties, Phase, RunError, Session};

/// What a generation came to.
#[derive(Clone, Debug)]
pub struct Generated {
    /// The tokens.
    pub tokens: Vec<u32>,
    /// What all senders sent, as counted, for the prompt and for each further token.
    pub counted: Vec<Cost>,
    /// The same as the meter said beforehand.
    pub metered: Vec<Cost>,
    /// Seconds of preprocessing and online phase, for the prompt and for each further token.
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
        let (spec, floats) = (&generation.model, generation.floats());
        let mut session = Session::start(parties, (model, spec), &floats, randomness, progress)?;
        let (mut requests, mut counted, mut seconds) = (Vec::new(), Vec::new(), Vec::new());
        let answer = |request: &Request, ids: &[u32]| {
            let embedded;
            let asked = match model.input() {
                Input::Values => {
                    embedded = generation.embeddings.rows(ids, request.past)?;
                    Asked::Values(&embedded)
                }
                Input::Lookup(_) => Asked::Lookup(generation.lookups(ids, request.past)),
            };
            let (before, output) = (session.counted, spec.architecture.output_shape(request));
            let at = (requests.len(), generation.tokens);
            let Answered { output, preprocess, online, .. } =
                session.request(model, request, asked, &output, at)?;
            requests.push(request.clone());
            counted.push(Cost {
                online: session.counted.online - before.online,
                offline: session.counted.offline - before.offline,
                hops: session.counted.hops - before.hops,
                multiply_adds: 0,
            });
            seconds.push([preprocess, online]);
            Ok(output)
        };
        let tokens = generation.write(answer, &mut |id| told(Told::Token(id)))?;
        session.end()?;

        let (mut state, mut metered) = (M::State::default(), Vec::new());
        for (request, counted) in requests.iter().zip(&mut counted) {
            let (_, cost) = next_operations(model, &mut state, request)?;
            counted.multiply_adds = cost.multiply_adds;
            metered.push(cost);
        }
        let Session { share_weights, peak_rss_bytes, .. } = session;
        Ok(Generated { tokens, counted, metered, seconds, share_weights, total: 0.0, peak_rss_bytes })
    }
}
