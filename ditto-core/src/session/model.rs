use super::manifest::Recorder;
use crate::cost::Cost;
use crate::ctx::Ctx;
use crate::engine::{Meter, Program};
use crate::error::Result;
use crate::fixed::Fixed;
use crate::kernel::packed_len;
use crate::mpc::Dealt;
use crate::nn::{Engine, Tensor, WeightSource};
use crate::tensor::Shape;

/// A model that runs privately: one input tensor, one output tensor, weights of the owner.
pub trait SecureModel: Sync {
    /// Weights under an engine.
    type Weights<E: Engine>: Send + Sync;
    /// Format of the input.
    type Input: Fixed;
    /// Format of the output.
    type Output: Fixed;

    /// Everything public that the steps and shapes do not show: configuration, plan, quantization. Part of the program
    /// digest.
    fn description(&self) -> Vec<u8>;
    /// Shape of the input for a request of `length` (tokens, say).
    fn input_shape(&self, length: usize) -> Shape;
    /// Loads the weights.
    fn load<E: Engine, S: WeightSource<E>>(&self, source: &S) -> Result<Self::Weights<E>>;
    /// Computes.
    fn forward<E: Engine>(
        &self,
        ctx: &Ctx<'_, E>,
        weights: &Self::Weights<E>,
        x: &Tensor<E, Self::Input>,
    ) -> Result<Tensor<E, Self::Output>>;
}

/// Reads a model for its steps and costs; returns them with the program digest and the output's shape.
pub fn program<M: SecureModel>(model: &M, length: usize) -> Result<(Program, [u8; 32], Shape)> {
    let weights = model.load::<Meter, _>(&Recorder::default())?;
    let shape = model.input_shape(length);
    let x = Tensor::new(Dealt::new(shape.clone(), M::Input::K));
    let mut out = Shape::default();
    let program = Meter::read(|ctx| {
        out = model.forward(ctx, &weights, &x)?.shape().clone();
        Ok(())
    })?;
    let digest = program.digest(&[&model.description(), shape.to_string().as_bytes()]);
    Ok((program, digest, out))
}

/// Everything that one request of `length` sends: the program, the masked input to each evaluator, and an output share
/// from each.
pub fn request_cost<M: SecureModel>(model: &M, length: usize) -> Result<Cost> {
    let (program, _, output) = program(model, length)?;
    let input = packed_len(model.input_shape(length).len(), M::Input::K);
    let output = packed_len(output.len(), M::Output::K);
    Ok(Cost { online: program.total.online + 2 * (input + output) as u64, ..program.total })
}
