use std::fmt::Debug;
use std::sync::Arc;

use super::lookup::{self, Input};
use super::manifest::Recorder;
use crate::cost::{Cost, Kind, Work};
use crate::ctx::Ctx;
use crate::engine::{Charge, Meter, Program};
use crate::error::{Error, Result};
use crate::fixed::{Fixed, WordOf};
use crate::kernel::packed_len;
use crate::nn::{Engine, Tensor, WeightSource};
use crate::settings::Settings;
use crate::tensor::Shape;

/// A model that runs privately: one input tensor, one output tensor, weights of the owner.
pub trait SecureModel: Sync {
    /// Weights under an engine.
    type Weights<E: Engine>: Send + Sync;
    /// What a request leaves for the next ones of its conversation, under an engine: keys and values of tokens so far,
    /// say. `()` where every request stands alone.
    type State<E: Engine>: Default + Send;
    /// Format of the input.
    type Input: Fixed;
    /// Format of the output.
    type Output: Fixed;
    /// What is public of one request and decides its shapes: a number of tokens, say.
    type Request: Clone + Debug + Send + Sync;

    /// Everything public that steps, shapes and settings do not show: configuration and plan. Part of the program
    /// digest.
    fn description(&self) -> Vec<u8>;
    /// Scales, and the link to choose variants for.
    fn settings(&self) -> Arc<Settings> {
        Arc::default()
    }
    /// Where inputs come from: by default the client has them.
    fn input(&self) -> Input {
        Input::Values
    }
    /// Shape of a request's input.
    fn input_shape(&self, request: &Self::Request) -> Shape;
    /// Loads the weights.
    fn load<E: Engine, S: WeightSource<E>>(&self, source: &S) -> Result<Self::Weights<E>>;
    /// Computes. The state is that of a new conversation, or what the request before has left.
    fn forward<E: Engine>(
        &self,
        ctx: &Ctx<'_, E>,
        weights: &Self::Weights<E>,
        state: &mut Self::State<E>,
        x: &Tensor<E, Self::Input>,
        request: &Self::Request,
    ) -> Result<Tensor<E, Self::Output>>;
}

/// Reads a model for its steps and costs; returns them with the program digest and the output's shape.
pub fn program<M: SecureModel>(model: &M, request: &M::Request) -> Result<(Program, [u8; 32], Shape)> {
    next_program(model, &mut M::State::default(), request)
}

/// [`program`] of the next request of a conversation.
pub fn next_program<M: SecureModel>(
    model: &M,
    state: &mut M::State<Meter>,
    request: &M::Request,
) -> Result<(Program, [u8; 32], Shape)> {
    let weights = model.load::<Meter, _>(&Recorder::new(model.settings()))?;
    let mut out = Shape::default();
    let program = Meter::read(model.settings(), |ctx| {
        let x = Tensor::new(lookup::metered(ctx, model, request)?);
        let y = model.forward(ctx, &weights, state, &x, request)?;
        if y.exponent() != 0 {
            // The client reads its answer in the output's own format.
            return Err(Error::Exponent { op: "the output", lhs: y.exponent(), rhs: 0 });
        }
        out = y.shape().clone();
        Ok(())
    })?;
    let public = format!("{} {request:?} {:?}", model.input_shape(request), model.input());
    let digest = program.digest(&[&model.description(), public.as_bytes()]);
    Ok((program, digest, out))
}

/// One step of a request.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Path of the step; `input` and `output` are what goes from and to the client.
    pub step: String,
    /// What it sends; its hops are its own, and may hide behind those of a step beside it.
    pub cost: Cost,
    /// What it computes.
    pub work: Work,
    /// Longest chain of messages between the evaluators once it is done, on its own line of control. Where it is not more
    /// than that of a step before it, the two ran side by side.
    pub depth: u32,
}

/// Everything that one request sends and computes, in program order: the masked input to each evaluator, or keys to each
/// server; the program; and an output share from each evaluator.
pub fn operations<M: SecureModel>(model: &M, request: &M::Request) -> Result<(Vec<Operation>, Cost)> {
    next_operations(model, &mut M::State::default(), request)
}

/// [`operations`] of the next request of a conversation.
pub fn next_operations<M: SecureModel>(
    model: &M,
    state: &mut M::State<Meter>,
    request: &M::Request,
) -> Result<(Vec<Operation>, Cost)> {
    let (program, _, output) = next_program(model, state, request)?;
    let client = |step: &str, online: u64, work: Work, depth: u32| Operation {
        step: step.to_owned(),
        cost: Cost { online, ..Cost::default() },
        work,
        depth,
    };
    let input = match model.input() {
        Input::Values => {
            let (n, k) = (model.input_shape(request).len(), M::Input::K);
            Work::receive::<WordOf<M::Input>>(n, k)
        }
        Input::Lookup(tables) => {
            let keys = lookup::key_bytes(model, &tables, request)?;
            Work::default().each_online(Kind::Wire, keys)
        }
    };
    let mut all = vec![client("input", input_bytes(model, request)?, input, 0)];
    for Charge { step, cost, work, depth } in &program.charges {
        let step = program.steps.name(*step).unwrap_or_default();
        match all.last_mut() {
            Some(last) if last.step == step => {
                last.cost += *cost;
                last.work += *work;
                last.depth = last.depth.max(*depth);
            }
            _ => all.push(Operation { step: step.to_owned(), cost: *cost, work: *work, depth: *depth }),
        }
    }
    let (n, k) = (output.len(), M::Output::K);
    let output = 2 * packed_len(n, k) as u64;
    all.push(client("output", output, Work::reveal::<WordOf<M::Output>>(n, k), program.total.hops));
    let sum = all.iter().fold(Cost::default(), |sum, o| sum + o.cost);
    Ok((all, Cost { hops: program.total.hops, ..sum }))
}

/// Bytes that the client sends for a request's input: its masked value to each evaluator, or keys to each server.
pub fn input_bytes<M: SecureModel>(model: &M, request: &M::Request) -> Result<u64> {
    Ok(match model.input() {
        Input::Values => 2 * packed_len(model.input_shape(request).len(), M::Input::K) as u64,
        Input::Lookup(tables) => 3 * lookup::key_bytes(model, &tables, request)? as u64,
    })
}

/// Everything that one request sends.
pub fn request_cost<M: SecureModel>(model: &M, request: &M::Request) -> Result<Cost> {
    operations(model, request).map(|(_, total)| total)
}
