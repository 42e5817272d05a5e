use std::sync::Arc;

use ditto_core::Settings;
use serde::de::DeserializeOwned;

use super::RunError;
use crate::architecture::Architecture;
use crate::model::{ModelSpec, Request};

/// What the client tells the parties: all of it public.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// The model, announced at first.
    pub model: ModelSpec,
    /// The requests, each asked when its turn comes.
    pub requests: Vec<Request>,
}

impl Job {
    /// The same under other settings.
    #[must_use]
    pub fn with_settings(self, settings: Arc<Settings>) -> Self {
        Self { model: ModelSpec { settings, ..self.model }, ..self }
    }
}

impl ModelSpec {
    /// Most bytes of an announcement.
    pub(super) const LIMIT: usize = 1 << 24;

    /// As announced.
    pub(super) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads and checks an announcement.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, RunError> {
        let model: Self = read(bytes)?;
        if !model.architecture.is_sane() || !model.embedding.is_sane(&model.architecture) {
            return Err(RunError::Job("its sizes are out of bounds".to_owned()));
        }
        model.settings.check().map_err(|e| RunError::Job(e.to_string()))?;
        Ok(model)
    }
}

impl Request {
    /// Most bytes of a request.
    pub(super) const LIMIT: usize = 1 << 16;

    /// As asked.
    pub(super) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads and checks a request.
    pub(super) fn decode(bytes: &[u8], architecture: &Architecture) -> Result<Self, RunError> {
        let request: Self = read(bytes)?;
        request.check(architecture).map_err(RunError::Job)?;
        Ok(request)
    }
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RunError> {
    serde_json::from_slice(bytes).map_err(|e| RunError::Job(e.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn model() -> serde_json::Value {
        json!({
            "plan": "accurate",
            "architecture": {
                "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8,
                "layer_norm_eps": 1e-12, "max_position_embeddings": 16, "head": { "embedding": { "unit": true } }
            },
            "settings": serde_json::to_value(Settings::default()).unwrap(),
        })
    }

    #[test]
    fn settings_from_the_network_are_bounded() {
        ModelSpec::decode(model().to_string().as_bytes()).unwrap();
        let refused = |quantization: serde_json::Value, what: &str| {
            let mut model = model();
            model["settings"]["quantization"] = quantization;
            let error = ModelSpec::decode(model.to_string().as_bytes()).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        };
        refused(json!({"weights": {"w": 99}, "steps": {}}), "`w`");
        refused(json!({"weights": {}, "steps": {"s": {"exponent": -99}}}), "`s`");
        refused(json!({"weights": {}, "steps": {"s": {"range": 3, "low": 5}}}), "empty");
        refused(json!({"weights": {}, "steps": {}, "x": 1}), "unknown field");
        let many: serde_json::Map<_, _> = (0..70_000).map(|i| (i.to_string(), json!(0))).collect();
        refused(json!({"weights": many, "steps": {}}), "too many");
    }

    #[test]
    fn requests_from_the_network_are_checked() {
        let model = ModelSpec::decode(model().to_string().as_bytes()).unwrap();
        let read = |text: &str| Request::decode(text.as_bytes(), &model.architecture);
        let request = read(r#"{"tokens": [3, 16]}"#).unwrap();
        assert_eq!(Request::decode(&request.encode(), &model.architecture).unwrap(), request);
        for (text, what) in [
            (r#"{"tokens": [17]}"#, "16 tokens"),
            (r#"{"tokens": []}"#, "0 texts"),
            (r#"{"tokens": [3], "past": 1}"#, "continues"),
            (r#"{"tokens": [3], "x": 1}"#, "unknown field"),
            ("", "EOF"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(what), "{text}: {error}");
        }
    }
}
