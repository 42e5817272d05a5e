use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::Gpt2Config;
use crate::architecture::Gelu;
use crate::checkpoint::Checkpoint;
use crate::config::{BertConfig, ConfigError, Head, ModelConfig};
use crate::synthetic::{Synthetic, SyntheticGpt2, SyntheticHead};

/// `config.json` of gpt2.
fn gpt2() -> Value {
    json!({
        "activation_function": "gelu_new",
        "architectures": ["GPT2LMHeadModel"],
        "attn_pdrop": 0.1,
        "bos_token_id": 50256,
        "embd_pdrop": 0.1,
        "eos_token_id": 50256,
        "initializer_range": 0.02,
        "layer_norm_epsilon": 1e-05,
        "model_type": "gpt2",
        "n_ctx": 1024,
        "n_embd": 768,
        "n_head": 12,
        "n_layer": 12,
        "n_positions": 1024,
        "resid_pdrop": 0.1,
        "summary_activation": null,
        "summary_first_dropout": 0.1,
        "summary_proj_to_labels": true,
        "summary_type": "cls_index",
        "summary_use_proj": true,
        "task_specific_params": { "text-generation": { "do_sample": true, "max_length": 50 } },
        "vocab_size": 50257
    })
}

fn open_any(config: &Value) -> Result<ModelConfig, ConfigError> {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
    ModelConfig::open(dir.path())
}

fn open(config: &Value) -> Result<Gpt2Config, ConfigError> {
    match open_any(config)? {
        ModelConfig::Gpt2(config) => Ok(config),
        other => panic!("{other:?}"),
    }
}

fn with(field: &str, value: Value) -> Result<Gpt2Config, ConfigError> {
    let mut config = gpt2();
    config[field] = value;
    open(&config)
}

fn without(field: &str) -> Result<Gpt2Config, ConfigError> {
    let mut config = gpt2();
    config.as_object_mut().unwrap().remove(field);
    open(&config)
}

fn message<T>(result: Result<T, ConfigError>) -> String {
    result.err().unwrap().to_string()
}

#[test]
fn reads_a_real_configuration() {
    let config = open(&gpt2()).unwrap();
    let expected = Gpt2Config {
        architectures: vec!["GPT2LMHeadModel".to_owned()],
        vocab_size: 50257,
        n_positions: 1024,
        n_embd: 768,
        n_layer: 12,
        n_head: 12,
        n_inner: None,
        activation_function: Gelu::Tanh,
        two_quad_softmax: false,
        layer_norm_epsilon: 1e-5,
        scale_attn_by_inverse_layer_idx: false,
        tie_word_embeddings: true,
        bos_token_id: Some(50256),
        eos_token_id: Some(50256),
    };
    assert_eq!(config, expected);
    assert_eq!(config.inner_size(), 3072);
    assert_eq!(with("n_inner", json!(2048)).unwrap().inner_size(), 2048);
}

#[test]
fn fills_in_the_defaults_of_the_transformers_library() {
    for field in ["activation_function", "layer_norm_epsilon", "n_inner", "n_ctx", "tie_word_embeddings"] {
        assert_eq!(without(field).unwrap(), open(&gpt2()).unwrap());
        assert_eq!(with(field, Value::Null).unwrap(), open(&gpt2()).unwrap());
    }
    // Either name, and what is no business of ours.
    assert_eq!(without("n_positions").unwrap(), open(&gpt2()).unwrap());
    assert_eq!(with("n_ctx", json!(7)).unwrap(), open(&gpt2()).unwrap());
    assert_eq!(with("reorder_and_upcast_attn", json!(true)).unwrap(), open(&gpt2()).unwrap());
    assert_eq!(with("scale_attn_weights", json!(true)).unwrap(), open(&gpt2()).unwrap());
    assert!(with("scale_attn_by_inverse_layer_idx", json!(true)).unwrap().scale_attn_by_inverse_layer_idx);
    assert_eq!(without("eos_token_id").unwrap().eos_token_id, None);
    assert!(without("architectures").unwrap().architectures.is_empty());
    for field in ["vocab_size", "n_embd", "n_layer", "n_head"] {
        let text = message(without(field));
        assert!(text.ends_with(&format!("config.json: {field} is missing")), "{text}");
    }
    let mut short = gpt2();
    short.as_object_mut().unwrap().retain(|field, _| !["n_positions", "n_ctx"].contains(&field.as_str()));
    assert!(message(open(&short)).ends_with("config.json: n_positions is missing"));
}

#[test]
fn knows_the_names_of_gelu() {
    for (name, form) in [
        ("gelu", Gelu::Exact),
        ("gelu_python", Gelu::Exact),
        ("gelu_new", Gelu::Tanh),
        ("gelu_pytorch_tanh", Gelu::Tanh),
    ] {
        let config = with("activation_function", json!(name)).unwrap();
        assert_eq!(config.activation_function, form);
        // It is written under a name of the same form.
        let again = open(&{
            let mut value = serde_json::to_value(&config).unwrap();
            value["model_type"] = json!("gpt2");
            value
        });
        assert_eq!(again.unwrap(), config);
    }
}

#[test]
fn refuses_what_it_does_not_support_by_name() {
    let cases = [
        ("activation_function", json!("relu")),
        ("scale_attn_weights", json!(false)),
        ("add_cross_attention", json!(true)),
        ("quantization_config", json!({ "bits": 8 })),
        ("architectures", json!(["GPT2DoubleHeadsModel"])),
        ("architectures", json!(["GPT2ForSequenceClassification"])),
        ("architectures", json!(["GPT2LMHeadModel", "GPT2ForTokenClassification"])),
    ];
    for (field, value) in cases {
        let text = message(with(field, value.clone()));
        assert!(text.contains(&format!("config.json: {field} {value} is not supported: ")), "{text}");
    }
}

#[test]
fn refuses_values_out_of_bounds_by_name() {
    let cases = [
        ("n_embd", json!(0)),
        ("n_embd", json!("768")),
        ("n_embd", json!(1_u64 << 60)),
        ("n_head", json!(0)),
        ("n_head", json!(7)),
        ("n_layer", json!(0)),
        ("n_layer", json!(100_000)),
        ("n_inner", json!(0)),
        ("n_inner", json!(u64::MAX)),
        ("n_positions", json!(0)),
        ("n_positions", json!(1_u64 << 32)),
        ("vocab_size", json!(1_u64 << 40)),
        ("eos_token_id", json!(50257)),
        ("bos_token_id", json!(-1)),
        ("layer_norm_epsilon", json!(0)),
        ("layer_norm_epsilon", json!(1)),
        ("activation_function", json!(1)),
        ("tie_word_embeddings", json!("yes")),
        ("scale_attn_by_inverse_layer_idx", json!(1)),
        ("architectures", json!("GPT2LMHeadModel")),
    ];
    for (field, value) in cases {
        let text = message(with(field, value.clone()));
        assert!(text.contains(&format!("config.json: {field} is {value}, but should be ")), "{text}");
    }
}

#[test]
fn the_family_is_that_of_model_type() {
    let dir = TempDir::new().unwrap();
    Synthetic::new(BertConfig::tiny(), SyntheticHead::Embedding, 1).write(dir.path()).unwrap();
    let bert = ModelConfig::open(dir.path()).unwrap();
    assert!(matches!(&bert, ModelConfig::Bert(config) if config.vocab_size == bert.vocab_size()));
    assert!(matches!(bert.head(dir.path()).unwrap(), Head::Embedding { .. }));
    assert!(Gpt2Config::open(dir.path()).is_err());
    let text = message(with("model_type", json!("gpt_neox")));
    assert!(text.contains(r#"model_type "gpt_neox" is not supported: "bert" and "gpt2" are"#), "{text}");
    assert!(message(without("model_type")).ends_with("config.json: model_type is missing"));
}

#[test]
fn the_head_fits_the_configuration() {
    let detect = |change: &dyn Fn(&mut Gpt2Config), spec: &SyntheticGpt2| {
        let dir = TempDir::new().unwrap();
        spec.write(dir.path()).unwrap();
        let mut config = Gpt2Config::open(dir.path()).unwrap();
        change(&mut config);
        ModelConfig::from(config).detect_head(&Checkpoint::open(dir.path()).unwrap())
    };
    let tied = SyntheticGpt2::new(Gpt2Config::tiny(), 1);
    let untied = Gpt2Config { tie_word_embeddings: false, ..Gpt2Config::tiny() };
    let own = SyntheticGpt2::new(untied, 1);
    assert_eq!(detect(&|_| (), &tied).unwrap(), Head::CausalLm);
    assert_eq!(detect(&|_| (), &own).unwrap(), Head::CausalLm);
    let text = message(detect(&|config| config.tie_word_embeddings = false, &tied));
    assert!(
        text.contains("tie_word_embeddings is false, but should be true where there is no tensor"),
        "{text}"
    );
    let text = message(detect(&|config| config.vocab_size = 321, &own));
    assert!(
        text.contains(r#""lm_head.weight" has shape [320, 32], but"#) && text.contains("[321, 32]"),
        "{text}"
    );
}
