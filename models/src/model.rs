//! BERT and GPT-2 as models that parties run, and the choice of model and formats at run time.

use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;

use ditto_core::error::{Error, Result};
use ditto_core::nn::{Activation, Engine, Scope, Softmax, Tensor, WeightSource, Weights};
use ditto_core::session::{Input, SecureModel};
use ditto_core::tensor::Shape;
use ditto_core::{Ctx, Settings};
use serde::{Deserialize, Serialize};

use crate::architecture::{Architecture, Gelu, Opens, PublicHead};
use crate::bert::{Bert, bert};
use crate::config::{ConfigError, ModelConfig};
use crate::gpt2::{self, Cache, Gpt2};
use crate::lookup::{Embedding, Lookup};
use crate::plan::{Formats, Functions, Output, Plan, VisitFormats};
pub use crate::request::{Layout, Request};

/// All that is public of a model: what the parties, the client and the owner must agree on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSpec {
    /// The plan.
    pub plan: Plan,
    /// Sizes and head.
    pub architecture: Architecture,
    /// Scales, and the network to choose variants for.
    pub settings: Arc<Settings>,
    /// Who looks tokens up.
    #[serde(default)]
    pub embedding: Embedding,
}

/// BERT in formats `P`.
#[derive(Debug)]
pub struct BertModel<P> {
    spec: ModelSpec,
    formats: PhantomData<P>,
}

impl<P: Formats> SecureModel for BertModel<P> {
    type Weights<E: Engine> = Bert<E, P>;
    type State<E: Engine> = ();
    type Input = P::Input;
    type Output = Output;
    type Request = Request;

    fn description(&self) -> Vec<u8> {
        format!("bert {} {:?}", self.spec.plan, self.spec.architecture).into_bytes()
    }
    fn settings(&self) -> Arc<Settings> {
        self.spec.settings.clone()
    }
    fn input(&self) -> Input {
        self.spec.embedding.input(&self.spec.architecture)
    }
    fn input_shape(&self, request: &Request) -> Shape {
        Shape::new(&[request.rows(), self.spec.architecture.hidden_size])
    }
    fn load<E: Engine, S: WeightSource<E>>(&self, source: &S) -> Result<Bert<E, P>> {
        Bert::load(&Scope::new(source), &self.spec)
    }
    fn forward<E: Engine>(
        &self,
        ctx: &Ctx<'_, E>,
        weights: &Bert<E, P>,
        (): &mut (),
        x: &Tensor<E, P::Input>,
        request: &Request,
    ) -> Result<Tensor<E, Output>> {
        bert(ctx, weights, x, &Layout::new(request, &self.spec.architecture.head))
    }
}

/// GPT-2 in formats `P`.
#[derive(Debug)]
pub struct Gpt2Model<P> {
    spec: ModelSpec,
    formats: PhantomData<P>,
}

impl<P: Formats> SecureModel for Gpt2Model<P> {
    type Weights<E: Engine> = Gpt2<E, P>;
    /// The caches of all blocks.
    type State<E: Engine> = Vec<Cache<E, P>>;
    type Input = P::Residual;
    type Output = gpt2::Output;
    type Request = Request;

    fn description(&self) -> Vec<u8> {
        format!("gpt2 {} {:?}", self.spec.plan, self.spec.architecture).into_bytes()
    }
    fn settings(&self) -> Arc<Settings> {
        self.spec.settings.clone()
    }
    fn input(&self) -> Input {
        self.spec.embedding.input(&self.spec.architecture)
    }
    fn input_shape(&self, request: &Request) -> Shape {
        Shape::new(&[request.rows(), self.spec.architecture.hidden_size])
    }
    fn load<E: Engine, S: WeightSource<E>>(&self, source: &S) -> Result<Gpt2<E, P>> {
        Gpt2::load(&Scope::new(source), &self.spec)
    }
    fn forward<E: Engine>(
        &self,
        ctx: &Ctx<'_, E>,
        weights: &Gpt2<E, P>,
        caches: &mut Vec<Cache<E, P>>,
        x: &Tensor<E, P::Residual>,
        request: &Request,
    ) -> Result<Tensor<E, gpt2::Output>> {
        let Layout { read, .. } = Layout::new(request, &self.spec.architecture.head);
        let [read] = &read[..] else { return Err(Error::Unsupported("several texts at once")) };
        gpt2::gpt2(ctx, weights, caches, x, read)
    }
}

/// Something to do with a model whose type is known only at run time.
pub trait Visit {
    /// What comes of it.
    type Out;
    /// Does it.
    fn visit<M: SecureModel<Request = Request>>(self, model: &M) -> Self::Out;
}

impl ModelSpec {
    /// Of the configuration files of a checkpoint, whose weights may be missing.
    pub fn of_config(
        dir: &Path,
        plan: Plan,
        settings: Arc<Settings>,
        lookup: Lookup,
    ) -> std::result::Result<Self, ConfigError> {
        let config = ModelConfig::open(dir)?;
        let architecture = Architecture::new(&config, &config.head(dir)?);
        Ok(Self { plan, architecture, settings, embedding: Embedding::new(lookup, &config) })
    }

    /// The same where a causal model opens something else to the client; any other model as it is.
    #[must_use]
    pub fn opening(mut self, what: Opens) -> Self {
        if let PublicHead::CausalLm { opens, .. } = &mut self.architecture.head {
            *opens = what;
        }
        self
    }

    /// Whether the model was distilled for the functions that its plan has in place of others.
    pub fn is_distilled(&self) -> bool {
        let functions = self.plan.functions();
        let quad = functions.activation != Activation::Quad || self.architecture.gelu == Gelu::Quad;
        quad && (functions.softmax != Softmax::TwoQuad || self.architecture.two_quad)
    }

    /// The functions of the plan, with the GELU that the model was trained with, or those that it was distilled for.
    pub(crate) fn functions(&self) -> Functions {
        let mut functions = self.plan.functions();
        match (functions.activation, self.architecture.gelu) {
            (_, Gelu::Quad) => functions.activation = Activation::Quad,
            (Activation::Gelu, Gelu::Tanh) => functions.activation = Activation::GeluTanh,
            _ => {}
        }
        if self.architecture.two_quad {
            functions.softmax = Softmax::TwoQuad;
        }
        functions
    }

    /// Whether the model has a larger ring for the products of a weight matrix: of those that write to the residual
    /// stream of a GPT-2.
    pub(crate) fn can_widen(&self, weight: &str) -> bool {
        self.architecture.head.is_causal() && weight.ends_with(".c_proj.weight")
    }

    /// Picks the model's type and hands the model to `visitor`.
    pub fn with_model<V: Visit>(&self, visitor: V) -> V::Out {
        struct Pick<'a, V>(&'a ModelSpec, V);
        impl<V: Visit> VisitFormats for Pick<'_, V> {
            type Out = V::Out;
            fn visit<P: Formats>(self) -> V::Out {
                let spec = self.0.clone();
                if spec.architecture.head.is_causal() {
                    self.1.visit(&Gpt2Model::<P> { spec, formats: PhantomData })
                } else {
                    self.1.visit(&BertModel::<P> { spec, formats: PhantomData })
                }
            }
        }
        self.plan.with_formats(Pick(self, visitor))
    }
}
