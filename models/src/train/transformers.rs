//! A student as the transformers library reads it.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::TrainError;
use crate::architecture::{Architecture, Gelu, PublicHead};

/// The module that has the functions of students, for a directory of weights.
const MODULE: (&str, &str) = ("modeling_quad", include_str!("transformers/modeling_quad.py"));

/// Names a student's functions in its configuration.
pub(super) fn name_functions(fields: &mut Map<String, Value>, architecture: &Architecture) {
    if architecture.gelu == Gelu::Quad {
        let field = if architecture.head.is_causal() { "activation_function" } else { "hidden_act" };
        fields.insert(field.to_owned(), "quad".into());
    }
    if architecture.two_quad {
        fields.insert("two_quad_softmax".to_owned(), true.into());
    }
    if is_own(architecture) {
        fields.insert("auto_map".to_owned(), classes(&architecture.head));
    }
}

/// Writes the module beside a student's weights, if its functions are none of the library's.
pub(super) fn write_module(dir: &Path, architecture: &Architecture) -> Result<(), TrainError> {
    if !is_own(architecture) {
        return Ok(());
    }
    let (name, text) = MODULE;
    let file = dir.join(format!("{name}.py"));
    std::fs::write(&file, text).map_err(|source| TrainError::Io { file, source })
}

/// Whether the library does not have its functions.
fn is_own(architecture: &Architecture) -> bool {
    architecture.gelu == Gelu::Quad || architecture.two_quad
}

/// The classes of the module, by those of the library that stand for a task.
fn classes(head: &PublicHead) -> Value {
    let (model, task) = match head {
        PublicHead::Embedding { .. } => ("BertModel", None),
        PublicHead::Classification { .. } => ("BertModel", Some("SequenceClassification")),
        PublicHead::TokenClassification { .. } => ("BertModel", Some("TokenClassification")),
        PublicHead::QuestionAnswering => ("BertModel", Some("QuestionAnswering")),
        PublicHead::MaskedLm { .. } => ("BertModel", Some("MaskedLM")),
        PublicHead::CausalLm { .. } => ("GPT2Model", Some("CausalLM")),
    };
    let class = |name: &str| format!("{}.Quad{name}", MODULE.0);
    let mut map = json!({ "AutoModel": class(model) });
    if let Some(task) = task {
        let name = if task == "CausalLM" { "GPT2LMHeadModel".to_owned() } else { format!("BertFor{task}") };
        map[format!("AutoModelFor{task}")] = class(&name).into();
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::Opens;

    #[test]
    fn the_module_has_every_class() {
        let heads = [
            PublicHead::Embedding { unit: true },
            PublicHead::Classification { classes: 2 },
            PublicHead::TokenClassification { classes: 2 },
            PublicHead::QuestionAnswering,
            PublicHead::MaskedLm { vocabulary: 9 },
            PublicHead::CausalLm { vocabulary: 9, opens: Opens::default() },
        ];
        for head in heads {
            let map = classes(&head);
            for (auto, class) in map.as_object().unwrap() {
                let name = class.as_str().unwrap().strip_prefix("modeling_quad.").unwrap();
                assert!(MODULE.1.contains(&format!("class {name}(_Attention, ")), "{auto}: {name}");
            }
        }
    }
}
