//! Fields that the configurations of all families have, if under other names.

use serde::Serializer;

use super::json::Fields;
use super::{ConfigError, bounds};
use crate::architecture::Gelu;

/// The name of Quad as an activation. Other tools do not know it, and so do not compute something else.
pub(super) const QUAD: &str = "quad";
/// The field that says whether attention has 2Quad in place of softmax.
pub(super) const TWO_QUAD: &str = "two_quad_softmax";

/// Writes an activation under the first of its names.
pub(super) fn serialize_activation<S: Serializer>(gelu: &Gelu, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(match gelu {
        Gelu::Exact => "gelu",
        Gelu::Tanh => "gelu_new",
        Gelu::Quad => QUAD,
    })
}

/// Checks that the configuration is one of this family.
pub(super) fn check_model_type(fields: &Fields, family: &str) -> Result<(), ConfigError> {
    match fields.text("model_type")? {
        Some(found) if found == family => Ok(()),
        Some(_) => Err(fields.unsupported("model_type", format!("only {family:?} is"))),
        None => Err(fields.missing("model_type")),
    }
}

/// Refuses weights that were quantized before they were stored.
pub(super) fn check_plain_floats(fields: &Fields) -> Result<(), ConfigError> {
    match fields.get("quantization_config") {
        None => Ok(()),
        Some(_) => Err(fields.unsupported("quantization_config", "weights must be plain floats")),
    }
}

/// The classes of the transformers library that can load the checkpoint.
pub(super) fn architectures(fields: &Fields) -> Result<Vec<String>, ConfigError> {
    let Some(value) = fields.get("architectures") else { return Ok(Vec::new()) };
    let names = value.as_array().and_then(|names| {
        names.iter().map(|name| name.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
    });
    names.ok_or_else(|| fields.wrong("architectures", "a list of class names"))
}

/// The number of attention heads, which divides the width of the hidden states.
pub(super) fn heads(fields: &Fields, field: &str, width: (&str, usize)) -> Result<usize, ConfigError> {
    let heads = fields.count(field, 1..=width.1)?;
    if width.1.is_multiple_of(heads) {
        Ok(heads)
    } else {
        Err(fields.wrong(field, format!("a divisor of {}, which is {}", width.0, width.1)))
    }
}

/// What layer normalisation adds to the variance.
pub(super) fn layer_norm_eps(fields: &Fields, field: &str, absent: f64) -> Result<f64, ConfigError> {
    let Some(value) = fields.get(field) else { return Ok(absent) };
    let eps = value.as_f64().filter(|&eps| eps > 0.0 && eps <= bounds::EPS);
    eps.ok_or_else(|| fields.wrong(field, format!("a number above 0 and up to {}", bounds::EPS)))
}
