//! What a program depends on beside its code and its shapes.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
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

impl Settings {
    /// The same for another link.
    #[must_use]
    pub fn with_link(&self, link: Link) -> Self {
        Self { link, ..self.clone() }
    }
}

/// Dyadic scales of a checkpoint. What is not listed has the scale of its type: exponent 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantization {
    /// Exponents of weights by their name in the checkpoint: a number is `int * 2^(exponent - F)`.
    pub weights: BTreeMap<String, i32>,
    /// What is known of a step's numbers, by the step's path.
    pub steps: BTreeMap<String, StepScale>,
    /// Weight matrices, by name, whose products want a larger ring, where the model has one for them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub wide: BTreeSet<String>,
}

/// Scale and range of one step. What is absent is the protocol's own choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepScale {
    /// Exponent of the step's result.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub exponent: i32,
    /// What enters the step stays below 2^range in magnitude.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<i32>,
    /// What enters an inverse is at least 2^low.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<i32>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // The signature that serde asks for.
fn is_zero(exponent: &i32) -> bool {
    *exponent == 0
}

impl Quantization {
    /// The exponent of a weight.
    pub fn weight(&self, name: &str) -> i32 {
        self.weights.get(name).copied().unwrap_or_default()
    }

    /// Whether products with a weight want a larger ring.
    pub fn is_wide(&self, weight: &str) -> bool {
        self.wide.contains(weight)
    }

    /// Scale and range of a step.
    pub fn step(&self, path: &str) -> StepScale {
        self.steps.get(path).copied().unwrap_or_default()
    }
}

/// Most entries of a quantization: far above any model's, so that nobody allocates or prints without bound.
const MOST_ENTRIES: usize = 1 << 16;
/// Longest name of a weight or a step.
const LONGEST_NAME: usize = 512;
/// Largest exponent of two.
const LARGEST: i32 = 24;

impl Settings {
    /// Refuses settings from a file or the network that no calibration writes.
    pub fn check(&self) -> Result<()> {
        let Quantization { weights, steps, wide } = &self.quantization;
        let refuse = |name: &str, what: &'static str| Err(Error::Setting { name: name.to_owned(), what });
        if weights.len().max(steps.len()).max(wide.len()) > MOST_ENTRIES {
            return refuse("quantization", "has too many entries");
        }
        if let Some(name) = weights.keys().chain(steps.keys()).chain(wide).find(|n| n.len() > LONGEST_NAME) {
            return refuse(&name.chars().take(64).collect::<String>(), "has too long a name");
        }
        let fits = |n: i32| (-LARGEST..=LARGEST).contains(&n);
        if let Some((name, _)) = weights.iter().find(|(_, e)| !fits(**e)) {
            return refuse(name, "has an exponent out of bounds");
        }
        for (name, step) in steps {
            if !fits(step.exponent) {
                return refuse(name, "has an exponent out of bounds");
            }
            if ![step.range, step.low].into_iter().flatten().all(fits) {
                return refuse(name, "has a range out of bounds");
            }
            if matches!((step.low, step.range), (Some(low), Some(high)) if low >= high) {
                return refuse(name, "has a range that is empty");
            }
        }
        let rate = self.link.bits_per_second;
        if rate.is_some_and(|r| !(r.is_finite() && r > 0.0)) {
            return refuse("link", "has no such bandwidth");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(scale: StepScale) -> Settings {
        let steps = [("a/b".to_owned(), scale)].into();
        Settings { quantization: Quantization { steps, ..Quantization::default() }, ..Settings::default() }
    }

    #[test]
    fn settings_are_bounded() {
        step(StepScale { exponent: -3, range: Some(4), low: Some(-9) }).check().expect("fits");
        let refused = |s: &Settings, what: &str| {
            let error = s.check().expect_err(what).to_string();
            assert!(error.contains(what), "{error}");
        };
        refused(&step(StepScale { exponent: i32::MIN, ..StepScale::default() }), "a/b");
        refused(&step(StepScale { range: Some(1000), ..StepScale::default() }), "range out of bounds");
        refused(&step(StepScale { range: Some(3), low: Some(3), ..StepScale::default() }), "empty");
        let mut settings = Settings::default();
        settings.quantization.weights.insert("x".repeat(2000), 0);
        refused(&settings, "too long a name");
        settings.quantization.weights = [("w".to_owned(), 25)].into();
        refused(&settings, "`w`");
        let many = (0..=MOST_ENTRIES).map(|i| (i.to_string(), 0));
        settings.quantization.weights = many.collect();
        refused(&settings, "too many");
        settings = Settings::default();
        settings.link.bits_per_second = Some(f64::NAN);
        refused(&settings, "bandwidth");
    }
}
