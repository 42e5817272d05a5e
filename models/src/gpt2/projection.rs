use ditto_core::nn::{Engine, Linear, LinearShape, Scope, WeightSource, Weights};

use crate::model::ModelSpec;
use crate::plan::Formats;

/// Weights of a layer that writes to the residual stream, in the ring that its products fit.
///
/// Rings are types, and which of the two a layer has is public: the quantization's choice.
pub enum Projection<E: Engine, P: Formats> {
    /// The plan's ring.
    Narrow(Linear<E, P::Weight, P::Bias>),
    /// A larger one.
    Wide(Linear<E, P::WideWeight, P::WideBias>),
}

impl<E: Engine, P: Formats> Weights<E> for Projection<E, P> {
    /// The model, and the width of the layer's input.
    type Config = (ModelSpec, usize);
    fn load<S: WeightSource<E>>(scope: &Scope<'_, S>, config: &Self::Config) -> ditto_core::Result<Self> {
        let (model, inputs) = config;
        let shape = LinearShape::new(*inputs, model.architecture.hidden_size);
        Ok(if model.settings.quantization.is_wide(&scope.name("weight")) {
            Self::Wide(Linear::load(scope, &shape)?)
        } else {
            Self::Narrow(Linear::load(scope, &shape)?)
        })
    }
}
