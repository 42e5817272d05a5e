//! What a program depends on beside its code and its shapes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::net::Link;

/// Public choices that all parties must share; part of the program digest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Scales of weights and activations, as calibration found them.
    pub quantization: Quantization,
    /// The link that variants of a protocol are chosen for: few bytes or few hops.
    pub link: Link,
}

/// Dyadic scales of a checkpoint. What is not listed has the scale of its type: exponent 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantization {
    /// Exponents of weights by their name in the checkpoint: a number is `int * 2^(exponent - F)`.
    pub weights: BTreeMap<String, i32>,
    /// What is known of a step's numbers, by the step's path.
    pub steps: BTreeMap<String, StepScale>,
}

/// Scale and range of one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepScale {
    /// Exponent of the step's result.
    #[serde(default)]
    pub exponent: i32,
    /// What enters the step stays below 2^range in magnitude; absent where the protocol's own bound is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<i32>,
}

impl Quantization {
    /// The exponent of a weight.
    pub fn weight(&self, name: &str) -> i32 {
        self.weights.get(name).copied().unwrap_or_default()
    }

    /// Scale and range of a step.
    pub fn step(&self, path: &str) -> StepScale {
        self.steps.get(path).copied().unwrap_or_default()
    }
}
