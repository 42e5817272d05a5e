use std::fmt::Debug;
use std::sync::Arc;

use super::manifest::Recorder;
use crate::cost::Cost;
use crate::ctx::Ctx;
use crate::engine::{Meter, Program};
use crate::error::{Error, Result};
use crate::fixed::Fixed;
use crate::kernel::packed_len;
use crate::mpc::Dealt;
use crate::nn::{Engine, Tensor, WeightSource};
use crate::settings::Settings;
use crate::tensor::Shape;

/// A model that runs privately: one input tensor, one output tensor, weights of the owner.
pub trait SecureModel: Sync {
    /// Weights under an engine.
    type Weights<E: Engine>: Send + Sync;
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
    /// Shape of a request's input.
    fn input_shape(&self, request: &Self::Request) -> Shape;
    /// Loads the weights.
    fn load<E: Engine, S: WeightSource<E>>(&self, source: &S) -> Result<Self::Weights<E>>;
    /// Computes.
    fn forward<E: Engine>(
        &self,
        ctx: &Ctx<'_, E>,
        weights: &Self::Weights<E>,
        x: &Tensor<E, Self::Input>,
        request: &Self::Request,
    ) -> Result<Tensor<E, Self::Output>>;
}

/// Reads a model for its steps and costs; returns them with the program digest and the output's shape.
pub fn program<M: SecureModel>(model: &M, request: &M::Request) -> Result<(Program, [u8; 32], Shape)> {
    let weights = model.load::<Meter, _>(&Recorder::new(model.settings()))?;
    let shape = model.input_shape(request);
    let x = Tensor::new(Dealt::new(shape.clone(), M::Input::K));
    let mut out = Shape::default();
    let program = Meter::read(model.settings(), |ctx| {
        let y = model.forward(ctx, &weights, &x, request)?;
        if y.exponent() != 0 {
            // The client reads its answer in the output's own format.
            return Err(Error::Exponent { op: "the output", lhs: y.exponent(), rhs: 0 });
        }
        out = y.shape().clone();
        Ok(())
    })?;
    let digest = program.digest(&[&model.description(), format!("{shape} {request:?}").as_bytes()]);
    Ok((program, digest, out))
}

/// Everything that one request sends: the program, the masked input to each evaluator, and an output share
/// from each.
pub fn request_cost<M: SecureModel>(model: &M, request: &M::Request) -> Result<Cost> {
    let (program, _, output) = program(model, request)?;
    let input = packed_len(model.input_shape(request).len(), M::Input::K);
    let output = packed_len(output.len(), M::Output::K);
    Ok(Cost { online: program.total.online + 2 * (input + output) as u64, ..program.total })
}
