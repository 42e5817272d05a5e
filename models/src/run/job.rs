use std::sync::Arc;

use ditto_core::Settings;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

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

/// How the parties go through requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Serving {
    /// Requests in flight at once, each in a lane of its own.
    pub in_flight: u8,
    /// Preprocessing runs beside the online phase of the same request, with at most so many bytes of prepared material
    /// in memory at a party, over all requests; without it, a request's preprocessing is complete and in memory before its
    /// input is asked for.
    pub overlap: Option<u64>,
    /// The client asks a request when the one before it in its lane is prepared: its preprocessing runs beside the other's
    /// online phase.
    pub ahead: bool,
}

impl Default for Serving {
    fn default() -> Self {
        Self { in_flight: 1, overlap: None, ahead: false }
    }
}

impl Serving {
    /// Most requests in flight.
    pub const MOST: u8 = 16;
    /// Prepared material in memory where nothing else is said.
    pub const OVERLAP: u64 = 256 << 20;

    /// Bytes of prepared material of one request.
    pub(super) fn share(&self) -> Option<usize> {
        // A request that is asked ahead has material while the one before it has.
        let requests = usize::from(self.in_flight.max(1)) << u32::from(self.ahead);
        self.overlap.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX) / requests)
    }
}

/// What a client tells the parties at first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Announcement {
    pub(super) model: ModelSpec,
    pub(super) serving: Serving,
}

impl Announcement {
    /// Most bytes of one.
    pub(super) const LIMIT: usize = 1 << 24;

    /// As sent.
    pub(super) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads and checks one.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, RunError> {
        let announced: Self = read(bytes)?;
        let Self { model, serving } = &announced;
        if !model.architecture.is_sane() || !model.embedding.is_sane(&model.architecture) {
            return Err(RunError::Job("its sizes are out of bounds".to_owned()));
        }
        if !(1..=Serving::MOST).contains(&serving.in_flight) {
            let what = format!("{} requests in flight; 1 to {} can be", serving.in_flight, Serving::MOST);
            return Err(RunError::Job(what));
        }
        model.settings.check().map_err(|e| RunError::Job(e.to_string()))?;
        Ok(announced)
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

    fn announced() -> serde_json::Value {
        json!({ "model": model(), "serving": { "in_flight": 2, "overlap": null, "ahead": false } })
    }

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
        let read = |announced: &serde_json::Value| Announcement::decode(announced.to_string().as_bytes());
        let sane = read(&announced()).unwrap();
        assert_eq!(Announcement::decode(&sane.encode()).unwrap(), sane);
        for in_flight in [0, 17] {
            let mut announced = announced();
            announced["serving"]["in_flight"] = json!(in_flight);
            assert!(read(&announced).unwrap_err().to_string().contains("1 to 16"));
        }
        let refused = |quantization: serde_json::Value, what: &str| {
            let mut announced = announced();
            announced["model"]["settings"]["quantization"] = quantization;
            let error = read(&announced).unwrap_err().to_string();
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
        let Announcement { model, .. } = Announcement::decode(announced().to_string().as_bytes()).unwrap();
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
