//! One reading of a model with gradients.

use candle_core::Tensor;
use ditto_core::Ctx;
use ditto_core::fixed::Fixed;
use ditto_core::nn::Tensor as Typed;
use ditto_core::session::SecureModel;

use super::engine::{Numbers, Seen, Train};
use super::rounding::round;
use super::value::{Value, failed};
use super::variables::{Source, Variables};
use crate::model::{ModelSpec, Request, Visit};

/// What a model gave for a batch.
#[derive(Debug)]
pub struct Reading {
    /// [batch, rows, outputs].
    pub output: Tensor,
    /// What it left behind.
    pub seen: Seen,
}

/// Reads a model for a batch of texts of one length: embeddings [batch, tokens, hidden] to outputs.
///
/// # Errors
///
/// As the model's own code, and for variables that are missing or have other shapes.
pub fn read(
    spec: &ModelSpec,
    variables: &Variables,
    engine: Train,
    embeddings: Tensor,
    request: &Request,
) -> ditto_core::Result<Reading> {
    spec.with_model(Read { variables, engine, embeddings, request })
}

struct Read<'a> {
    variables: &'a Variables,
    engine: Train,
    embeddings: Tensor,
    request: &'a Request,
}

impl Visit for Read<'_> {
    type Out = ditto_core::Result<Reading>;

    fn visit<M: SecureModel<Request = Request>>(self, model: &M) -> Self::Out {
        let Self { variables, engine, embeddings, request } = self;
        let (settings, numbers, gradients) = (model.settings(), engine.numbers(), engine.gradients());
        let source = Source { variables, settings: settings.clone(), numbers, gradients };
        let weights = model.load::<Train, _>(&source)?;
        let fraction = M::Input::F as i32;
        let embeddings = if gradients { embeddings } else { embeddings.detach() };
        let input = match numbers {
            Numbers::Floats => embeddings,
            Numbers::Served => round(&embeddings, fraction).map_err(failed("the input"))?,
        };
        let x = Typed::new(Value::new(input, fraction, M::Input::K));
        let output = Ctx::read(&engine, settings, |ctx| {
            let y = model.forward(ctx, &weights, &mut M::State::default(), &x, request)?;
            Ok(y.repr().tensor().clone())
        })?;
        Ok(Reading { output, seen: engine.into_seen() })
    }
}
