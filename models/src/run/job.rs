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

    /// As sent.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads and checks an announcement.
    pub fn decode(bytes: &[u8]) -> Result<Self, RunError> {
        let job: Self = serde_json::from_slice(bytes).map_err(|e| RunError::Job(e.to_string()))?;
        if !job.model.architecture.is_sane() {
            return Err(RunError::Job("its sizes are out of bounds".to_owned()));
        }
        let check = |request: &Request| request.check(&job.model.architecture);
        job.requests.iter().try_for_each(check).map_err(RunError::Job)?;
        Ok(job)
    }
}
