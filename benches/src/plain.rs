//! The same models in ordinary floats, on the same cores: what privacy costs is told against them.
//!
//! Written with candle, which multiplies matrices on all cores. Queries, keys and values are made by one product, keys and
//! values of earlier tokens are kept; nothing else is optimised beyond what candle does.

mod bert;
mod gpt2;
mod layers;

use candle_core::{Device, Tensor};
use ditto_core::nn::Activation;
use ditto_core::session::Floats;
use ditto_core::tensor::Array;
use ditto_models::architecture::{Architecture, Gelu};
use ditto_models::plan::{Functions, Plan};

use crate::error::Result;
use layers::Cache;

/// A model in floats.
pub struct Plain {
    model: Box<dyn Model>,
}

impl std::fmt::Debug for Plain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Plain")
    }
}

/// What the requests of one conversation leave for each other.
#[derive(Clone, Debug, Default)]
pub struct Conversation {
    caches: Vec<Cache>,
}

/// A model of either family.
trait Model {
    /// Embeddings [rows, hidden] to what the client would receive.
    fn answer(&self, caches: &mut Vec<Cache>, x: &Tensor) -> candle_core::Result<Tensor>;
}

impl Plain {
    /// A model with the functions of its own training.
    pub fn new(architecture: &Architecture, floats: &dyn Floats) -> Result<Self> {
        Self::with_functions(architecture, floats, Plan::Accurate.functions())
    }

    /// The same with the functions of a plan.
    pub fn under(architecture: &Architecture, floats: &dyn Floats, plan: Plan) -> Result<Self> {
        Self::with_functions(architecture, floats, plan.functions())
    }

    fn with_functions(
        architecture: &Architecture,
        floats: &dyn Floats,
        functions: Functions,
    ) -> Result<Self> {
        let functions = match (functions.activation, architecture.gelu) {
            (Activation::Gelu | Activation::PumaGelu, Gelu::Tanh) => {
                Functions { activation: Activation::GeluTanh, ..functions }
            }
            _ => functions,
        };
        let model: Box<dyn Model> = if architecture.head.is_causal() {
            Box::new(gpt2::Gpt2::load(architecture, floats, functions)?)
        } else {
            Box::new(bert::Bert::load(architecture, floats, functions)?)
        };
        Ok(Self { model })
    }

    /// The answer to the next request of a conversation, whose input is [rows, hidden].
    pub fn answer(&self, conversation: &mut Conversation, x: &Array<f32>) -> Result<Vec<f32>> {
        let x = Tensor::from_slice(x.data(), x.shape().dims(), &Device::Cpu)?;
        let y = self.model.answer(&mut conversation.caches, &x)?;
        Ok(y.flatten_all()?.to_vec1()?)
    }
}

#[cfg(test)]
mod tests {
    use ditto_core::session::{ClearModel, SecureModel};
    use ditto_models::architecture::Opens;
    use ditto_models::config::{BertConfig, Gpt2Config};
    use ditto_models::model::{Request, Visit};
    use ditto_models::run::Network;

    use super::*;
    use crate::statistics::cosine;
    use crate::subject::{Lengths, Subject};

    /// What the model code says in floats.
    struct Reference<'a>(&'a Subject);
    impl Visit for Reference<'_> {
        type Out = Vec<Vec<f32>>;
        fn visit<M: SecureModel<Request = Request>>(self, model: &M) -> Self::Out {
            let floats = self.0.floats();
            let (model, mut state) = (ClearModel::new(model, &floats).unwrap(), M::State::default());
            let read = |(request, x): &(Request, Array<f32>)| {
                model.read(&mut state, request, x.clone()).unwrap().into_vec()
            };
            self.0.conversation.iter().map(read).collect()
        }
    }

    fn agree(model: (String, ditto_models::config::ModelConfig), further: usize) {
        let lengths = Lengths { seq: 9, further, opens: Opens::Logits };
        let subject = Subject::random(model, lengths, 5).unwrap();
        for plan in Plan::ALL {
            let spec = subject.spec(plan, Network::None).unwrap();
            let wanted = spec.with_model(Reference(&subject));
            let plain = Plain::under(&subject.architecture, &subject.floats(), plan).unwrap();
            let mut conversation = Conversation::default();
            for ((_, x), wanted) in subject.conversation.iter().zip(wanted) {
                let answer = plain.answer(&mut conversation, x).unwrap();
                let alike = cosine(&answer, &wanted).unwrap();
                // PUMA's polynomials are not quite GeLU.
                let least = if plan.functions().activation == Activation::PumaGelu { 0.999 } else { 0.9999 };
                assert!(alike > least, "{plan}: {alike}");
            }
        }
    }

    #[test]
    fn both_families_compute_what_the_model_code_says() {
        agree(("bert".to_owned(), BertConfig::tiny().into()), 0);
        agree(("gpt2".to_owned(), Gpt2Config::tiny().into()), 3);
    }
}
