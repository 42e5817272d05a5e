use serde::{Deserialize, Serialize};

use super::RunError;
use crate::architecture::Architecture;
use crate::heads::PlanName;

/// What the client announces to the parties: all of it public.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// The plan.
    pub plan: PlanName,
    /// The model.
    pub architecture: Architecture,
    /// Tokens of each request, in order.
    pub lengths: Vec<usize>,
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
        if !job.architecture.is_sane() {
            return Err(RunError::Job("its sizes are out of bounds".to_owned()));
        }
        let longest = job.architecture.max_position_embeddings;
        if job.lengths.iter().any(|&n| n == 0 || n > longest) {
            return Err(RunError::Job(format!("a text is empty or longer than {longest} tokens")));
        }
        Ok(job)
    }
}
