use std::sync::Arc;

use ditto_core::Settings;
use serde::{Deserialize, Serialize};

use super::RunError;
use crate::model::{ModelSpec, Request};

/// What the client announces to the parties: all of it public.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// The model.
    pub model: ModelSpec,
    /// The requests, in order.
    pub requests: Vec<Request>,
}

impl Job {
    /// Most bytes of an announcement.
    pub const LIMIT: usize = 1 << 24;

    /// The same under other settings.
    #[must_use]
    pub fn with_settings(self, settings: Arc<Settings>) -> Self {
        Self { model: ModelSpec { settings, ..self.model }, ..self }
    }

    /// As sent.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads and checks an announcement.
    pub fn decode(bytes: &[u8]) -> Result<Self, RunError> {
        let job: Self = serde_json::from_slice(bytes).map_err(|e| RunError::Job(e.to_string()))?;
        if !job.model.architecture.is_sane() || !job.model.embedding.is_sane(&job.model.architecture) {
            return Err(RunError::Job("its sizes are out of bounds".to_owned()));
        }
        job.model.settings.check().map_err(|e| RunError::Job(e.to_string()))?;
        let check = |request: &Request| request.check(&job.model.architecture);
        job.requests.iter().try_for_each(check).map_err(RunError::Job)?;
        Ok(job)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn job() -> serde_json::Value {
        json!({
            "model": {
                "plan": "accurate",
                "architecture": {
                    "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8,
                    "layer_norm_eps": 1e-12, "max_position_embeddings": 16, "head": { "embedding": { "unit": true } }
                },
                "settings": serde_json::to_value(Settings::default()).unwrap(),
            },
            "requests": [{ "tokens": [3], "masks": [] }],
        })
    }

    #[test]
    fn settings_from_the_network_are_bounded() {
        Job::decode(job().to_string().as_bytes()).unwrap();
        let refused = |quantization: serde_json::Value, what: &str| {
            let mut job = job();
            job["model"]["settings"]["quantization"] = quantization;
            let error = Job::decode(job.to_string().as_bytes()).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        };
        refused(json!({"weights": {"w": 99}, "steps": {}}), "`w`");
        refused(json!({"weights": {}, "steps": {"s": {"exponent": -99}}}), "`s`");
        refused(json!({"weights": {}, "steps": {"s": {"range": 3, "low": 5}}}), "empty");
        refused(json!({"weights": {}, "steps": {}, "x": 1}), "unknown field");
        let many: serde_json::Map<_, _> = (0..70_000).map(|i| (i.to_string(), json!(0))).collect();
        refused(json!({"weights": many, "steps": {}}), "too many");
    }
}
