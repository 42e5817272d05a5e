//! BERT with a head, as a model that parties run; and the choice of plan and head at run time.

use std::marker::PhantomData;

use clap::ValueEnum;
use ditto_core::error::Result;
use ditto_core::nn::{Engine, Scope, Tensor, WeightSource, Weights};
use ditto_core::session::SecureModel;
use ditto_core::tensor::Shape;
use ditto_core::{Ctx, Fixed};
use serde::{Deserialize, Serialize};

use crate::architecture::{Architecture, PublicHead};
use crate::bert::{Classifier, Encoder, classify, sentence_embedding};
use crate::plan::{Accurate, Ditto, DittoGelu, Output, Plan};

/// Name of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlanName {
    /// 10 and 11 fractional bits, accurate GeLU: for checkpoints as they are
    Accurate,
    /// The paper's formats (8 fractional bits) with Quad for GeLU: wants a checkpoint distilled for it
    Ditto,
    /// The paper's formats with an accurate GeLU: quantization alone
    DittoGelu,
}

impl PlanName {
    /// As on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accurate => Accurate::NAME,
            Self::Ditto => Ditto::NAME,
            Self::DittoGelu => DittoGelu::NAME,
        }
    }
}

/// BERT for sentence embeddings under plan `P`.
#[derive(Debug)]
pub struct Embedder<P> {
    architecture: Architecture,
    unit: bool,
    plan: PhantomData<P>,
}

/// BERT for sequence classification under plan `P`.
#[derive(Debug)]
pub struct SequenceClassifier<P> {
    architecture: Architecture,
    plan: PhantomData<P>,
}

/// Everything public: the plan with its formats, and the architecture.
fn description<P: Plan>(architecture: &Architecture) -> Vec<u8> {
    let formats = [P::Act::F, P::Weight::F, P::Bias::F, P::Gain::F, P::Value::F, P::Input::F, P::Act::K];
    format!("bert {} {formats:?} {architecture:?}", P::NAME).into_bytes()
}

impl<P: Plan> SecureModel for Embedder<P> {
    type Weights<E: Engine> = Encoder<E, P>;
    type Input = P::Input;
    type Output = Output;

    fn description(&self) -> Vec<u8> {
        description::<P>(&self.architecture)
    }
    fn input_shape(&self, length: usize) -> Shape {
        Shape::new(&[length, self.architecture.hidden_size])
    }
    fn load<E: Engine, S: WeightSource<E>>(&self, source: &S) -> Result<Encoder<E, P>> {
        Encoder::load(&Scope::new(source), &self.architecture)
    }
    fn forward<E: Engine>(
        &self,
        ctx: &Ctx<'_, E>,
        weights: &Encoder<E, P>,
        x: &Tensor<E, P::Input>,
    ) -> Result<Tensor<E, Output>> {
        sentence_embedding(ctx, weights, x, self.unit)
    }
}

impl<P: Plan> SecureModel for SequenceClassifier<P> {
    type Weights<E: Engine> = Classifier<E, P>;
    type Input = P::Input;
    type Output = Output;

    fn description(&self) -> Vec<u8> {
        description::<P>(&self.architecture)
    }
    fn input_shape(&self, length: usize) -> Shape {
        Shape::new(&[length, self.architecture.hidden_size])
    }
    fn load<E: Engine, S: WeightSource<E>>(&self, source: &S) -> Result<Classifier<E, P>> {
        Classifier::load(&Scope::new(source), &self.architecture)
    }
    fn forward<E: Engine>(
        &self,
        ctx: &Ctx<'_, E>,
        weights: &Classifier<E, P>,
        x: &Tensor<E, P::Input>,
    ) -> Result<Tensor<E, Output>> {
        classify(ctx, weights, x)
    }
}

/// Something to do with a model whose type is known only at run time.
pub trait Visit {
    /// What comes of it.
    type Out;
    /// Does it.
    fn visit<M: SecureModel>(self, model: &M) -> Self::Out;
}

/// Picks the model's type and hands it to `visitor`.
pub fn with_model<V: Visit>(plan: PlanName, architecture: &Architecture, visitor: V) -> V::Out {
    match plan {
        PlanName::Accurate => with_head::<Accurate, V>(architecture, visitor),
        PlanName::Ditto => with_head::<Ditto, V>(architecture, visitor),
        PlanName::DittoGelu => with_head::<DittoGelu, V>(architecture, visitor),
    }
}

fn with_head<P: Plan, V: Visit>(architecture: &Architecture, visitor: V) -> V::Out {
    let architecture = architecture.clone();
    match architecture.head {
        PublicHead::Embedding { unit } => {
            visitor.visit(&Embedder::<P> { architecture, unit, plan: PhantomData })
        }
        PublicHead::Classification { .. } => {
            visitor.visit(&SequenceClassifier::<P> { architecture, plan: PhantomData })
        }
    }
}
