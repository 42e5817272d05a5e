use ditto_core::session::{ClearModel, Floats, SecureModel};

use super::Generation;
use crate::model::{ModelSpec, Request, Visit};
use crate::plan::Plan;
use crate::run::RunError;

impl Generation {
    /// The tokens that the same model writes in ordinary floats, drawn alike.
    pub fn reference(&self) -> Result<Vec<u32>, RunError> {
        struct Reference<'a>(&'a Generation, &'a dyn Floats);
        impl Visit for Reference<'_> {
            type Out = Result<Vec<u32>, RunError>;
            fn visit<M: SecureModel<Request = Request>>(self, model: &M) -> Self::Out {
                let (model, mut state) = (ClearModel::new(model, self.1)?, M::State::default());
                let embeddings = &self.0.embeddings;
                let answer = |request: &Request, ids: &[u32]| {
                    Ok(model.read(&mut state, request, embeddings.rows(ids, request.past)?)?)
                };
                self.0.write(answer, &mut |_| ())
            }
        }
        // The plan's formats do not matter in floats; its functions must be the checkpoint's own.
        let model = ModelSpec { plan: Plan::Accurate, ..self.model.clone() };
        model.with_model(Reference(self, &self.floats()))
    }
}
