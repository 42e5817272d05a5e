//! A model with the scales and ranges of a quantization file.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use ditto_core::session::{Manifest, SecureModel, Use, program};

use super::RunError;
use crate::checkpoint::Checkpoint;
use crate::model::{ModelSpec, Request, Visit};
use crate::quantization::{QuantizationError, QuantizationFile, weights_digest};

impl ModelSpec {
    /// The same with the scales and ranges that an option names: see [`QuantizationFile::find`]. Also returns the file's
    /// path. `request` is one that the model takes.
    ///
    /// # Errors
    ///
    /// For a file that is not of this checkpoint, or names what the model does not have.
    pub fn quantized(
        self,
        checkpoint: &Checkpoint,
        request: &Request,
        option: Option<&Path>,
    ) -> Result<(Self, Option<PathBuf>), RunError> {
        let dir = checkpoint.dir();
        let Some((path, file)) = QuantizationFile::find(dir, self.plan, option)? else {
            return Ok((self, None));
        };
        if file.weights_sha256 != weights_digest(checkpoint)? {
            return Err(QuantizationError::Weights { file: path, dir: dir.to_owned() }.into());
        }
        let model = Self { settings: file.settings(), ..self };
        model.knows(request, &path)?;
        Ok((model, Some(path)))
    }

    /// Refuses settings of weights and steps that the model does not have: they would be taken for granted.
    fn knows(&self, request: &Request, path: &Path) -> Result<(), RunError> {
        struct Names<'a>(&'a Request);
        impl Visit for Names<'_> {
            type Out = ditto_core::Result<(HashSet<String>, HashSet<String>)>;
            fn visit<M: SecureModel<Request = Request>>(self, model: &M) -> Self::Out {
                let weights = Manifest::of(model)?.0.into_iter();
                let weights = weights.filter(|e| e.r#use != Use::Table).map(|e| e.name).collect();
                let (program, _, _) = program(model, self.0)?;
                Ok((weights, program.steps.names().iter().cloned().collect()))
            }
        }
        let (weights, steps) = self.with_model(Names(request))?;
        let quantization = &self.settings.quantization;
        let named = quantization.weights.keys().chain(&quantization.wide);
        let weight = named.into_iter().find(|w| !weights.contains(*w)).map(|w| ("weight", w));
        let step = quantization.steps.keys().find(|s| !steps.contains(*s)).map(|s| ("step", s));
        match weight.or(step) {
            None => Ok(()),
            Some((what, name)) => {
                Err(QuantizationError::Unknown { file: path.to_owned(), what, name: name.clone() }.into())
            }
        }
    }
}
