use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{BertConfig, ConfigError, Head, Scores};
use crate::architecture::Gelu;
use crate::checkpoint::Checkpoint;
use crate::synthetic::{Synthetic, SyntheticHead};

/// `config.json` of all-MiniLM-L6-v2.
fn minilm() -> Value {
    json!({
        "_name_or_path": "nreimers/MiniLM-L6-H384-uncased",
        "architectures": ["BertModel"],
        "attention_probs_dropout_prob": 0.1,
        "gradient_checkpointing": false,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": 384,
        "initializer_range": 0.02,
        "intermediate_size": 1536,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": 512,
        "model_type": "bert",
        "num_attention_heads": 12,
        "num_hidden_layers": 6,
        "pad_token_id": 0,
        "position_embedding_type": "absolute",
        "transformers_version": "4.8.2",
        "type_vocab_size": 2,
        "use_cache": true,
        "vocab_size": 30522
    })
}

fn open(config: &Value) -> Result<BertConfig, ConfigError> {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
    BertConfig::open(dir.path())
}

fn with(field: &str, value: Value) -> Result<BertConfig, ConfigError> {
    let mut config = minilm();
    config[field] = value;
    open(&config)
}

fn without(field: &str) -> Result<BertConfig, ConfigError> {
    let mut config = minilm();
    config.as_object_mut().unwrap().remove(field);
    open(&config)
}

fn message<T>(result: Result<T, ConfigError>) -> String {
    result.err().unwrap().to_string()
}

#[test]
fn reads_a_real_configuration() {
    let config = open(&minilm()).unwrap();
    let expected = BertConfig {
        architectures: vec!["BertModel".to_owned()],
        vocab_size: 30522,
        hidden_size: 384,
        num_hidden_layers: 6,
        num_attention_heads: 12,
        intermediate_size: 1536,
        hidden_act: Gelu::Exact,
        two_quad_softmax: false,
        max_position_embeddings: 512,
        type_vocab_size: 2,
        layer_norm_eps: 1e-12,
        pad_token_id: 0,
        tie_word_embeddings: true,
        problem: None,
        labels: None,
    };
    assert_eq!(config, expected);
    assert_eq!(config.head_size(), 32);
}

#[test]
fn fills_in_the_defaults_of_the_transformers_library() {
    for field in
        ["hidden_act", "type_vocab_size", "layer_norm_eps", "pad_token_id", "position_embedding_type"]
    {
        assert_eq!(without(field).unwrap(), open(&minilm()).unwrap());
        assert_eq!(with(field, Value::Null).unwrap(), open(&minilm()).unwrap());
    }
    assert_eq!(without("architectures").unwrap().architectures, Vec::<String>::new());
    for field in ["model_type", "vocab_size", "hidden_size", "num_hidden_layers", "max_position_embeddings"] {
        let text = message(without(field));
        assert!(text.ends_with(&format!("config.json: {field} is missing")), "{text}");
    }
}

#[test]
fn knows_the_names_of_gelu() {
    for name in ["gelu", "gelu_python", "gelu_new", "gelu_pytorch_tanh"] {
        assert_eq!(with("hidden_act", json!(name)).unwrap().hidden_act, Gelu::Exact);
    }
}

#[test]
fn refuses_what_it_does_not_support_by_name() {
    let cases = [
        ("hidden_act", json!("relu")),
        ("model_type", json!("roberta")),
        ("position_embedding_type", json!("relative_key")),
        ("is_decoder", json!(true)),
        ("add_cross_attention", json!(true)),
        ("quantization_config", json!({ "bits": 8 })),
    ];
    for (field, value) in cases {
        let text = message(with(field, value.clone()));
        assert!(text.contains(&format!("config.json: {field} {value} is not supported: ")), "{text}");
    }
}

#[test]
fn refuses_values_out_of_bounds_by_name() {
    let cases = [
        ("hidden_size", json!(0)),
        ("hidden_size", json!(-384)),
        ("hidden_size", json!(384.0)),
        ("hidden_size", json!("384")),
        ("hidden_size", json!(1_u64 << 60)),
        ("num_attention_heads", json!(0)),
        ("num_attention_heads", json!(7)),
        ("num_attention_heads", json!(768)),
        ("num_hidden_layers", json!(100_000)),
        ("num_hidden_layers", json!([6])),
        ("intermediate_size", json!(u64::MAX)),
        ("vocab_size", json!(1_u64 << 40)),
        ("max_position_embeddings", json!(0)),
        ("type_vocab_size", json!(0)),
        ("pad_token_id", json!(30522)),
        ("layer_norm_eps", json!(0)),
        ("layer_norm_eps", json!(-1e-12)),
        ("layer_norm_eps", json!(1)),
        ("layer_norm_eps", json!("1e-12")),
        ("hidden_act", json!(1)),
        ("is_decoder", json!("yes")),
        ("architectures", json!("BertModel")),
        ("architectures", json!([1])),
        ("id2label", json!({})),
        ("id2label", json!(["a"])),
        ("id2label", json!({ "0": "a", "2": "b" })),
        ("id2label", json!({ "0": 1 })),
        ("num_labels", json!(0)),
    ];
    for (field, value) in cases {
        let text = message(with(field, value.clone()));
        assert!(text.contains(&format!("config.json: {field} is {value}, but should be ")), "{text}");
    }
}

#[test]
fn shortens_the_values_in_errors() {
    let text = message(with("hidden_size", json!("é".repeat(1000))));
    assert!(text.chars().count() < 300, "{text}");
}

#[test]
fn orders_labels_by_number() {
    let names: Vec<_> = (0..12).map(|id| format!("class {id}")).collect();
    let map: serde_json::Map<_, _> =
        names.iter().enumerate().map(|(id, name)| (id.to_string(), json!(name))).collect();
    assert_eq!(with("id2label", Value::Object(map)).unwrap().labels, Some(names));
}

#[test]
fn refuses_bad_files() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("config.json");
    assert!(matches!(BertConfig::open(dir.path()), Err(ConfigError::Io { .. })));
    for malformed in ["", "{", "[]", "{}{}", &"[".repeat(100_000)] {
        fs::write(&file, malformed).unwrap();
        assert!(matches!(BertConfig::open(dir.path()), Err(ConfigError::Json { .. })));
    }
    fs::write(&file, " ".repeat((4 << 20) + 1)).unwrap();
    assert!(matches!(BertConfig::open(dir.path()), Err(ConfigError::TooLarge { .. })));
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    assert!(matches!(BertConfig::open(dir.path()), Err(ConfigError::NotAFile { .. })));
}

/// Writes a tiny checkpoint, changes its files and detects its head.
fn detect(head: SyntheticHead, changes: &[(&str, Value)]) -> Result<Head, ConfigError> {
    let dir = TempDir::new().unwrap();
    Synthetic::new(BertConfig::tiny(), head, 1).write(dir.path()).unwrap();
    for (file, content) in changes {
        let path = dir.path().join(file);
        match content {
            Value::Null => fs::remove_file(path).unwrap(),
            // Changes of config.json are merged into it.
            Value::Object(fields) if *file == "config.json" => {
                let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
                config.as_object_mut().unwrap().extend(fields.clone());
                fs::write(path, config.to_string()).unwrap();
            }
            content => {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, content.to_string()).unwrap();
            }
        }
    }
    Head::detect(&BertConfig::open(dir.path())?, &Checkpoint::open(dir.path()).unwrap())
}

const CLASSIFIER: SyntheticHead = SyntheticHead::Classification { labels: 3 };

#[test]
fn detects_classifiers() {
    let labels = |names: [&str; 3]| Head::Classification {
        labels: names.map(str::to_owned).to_vec(),
        scores: Scores::Softmax,
    };
    assert_eq!(detect(CLASSIFIER, &[]).unwrap(), labels(["LABEL_0", "LABEL_1", "LABEL_2"]));
    let named = json!({ "id2label": { "0": "a", "1": "b", "2": "c" }, "architectures": null });
    assert_eq!(detect(CLASSIFIER, &[("config.json", named)]).unwrap(), labels(["a", "b", "c"]));
    let none = json!({ "id2label": null });
    assert_eq!(
        detect(CLASSIFIER, &[("config.json", none)]).unwrap(),
        labels(["LABEL_0", "LABEL_1", "LABEL_2"])
    );

    let counted = json!({ "id2label": null, "num_labels": 3 });
    assert_eq!(
        detect(CLASSIFIER, &[("config.json", counted)]).unwrap(),
        labels(["LABEL_0", "LABEL_1", "LABEL_2"])
    );

    let two = json!({ "id2label": { "0": "a", "1": "b" } });
    let text = message(detect(CLASSIFIER, &[("config.json", two)]));
    assert!(text.contains("\"classifier.weight\" has shape [3, 32]"), "{text}");
    let wide = json!({ "hidden_size": 64 });
    assert!(message(detect(CLASSIFIER, &[("config.json", wide)])).contains(", 64]"));
    let lost = json!({ "architectures": ["BertForSequenceClassification"] });
    assert!(message(detect(SyntheticHead::Embedding, &[("config.json", lost)])).contains("no tensor"));
    let other = json!({ "architectures": ["BertForMultipleChoice"] });
    assert!(message(detect(CLASSIFIER, &[("config.json", other)])).contains("BertForMultipleChoice"));
}

#[test]
fn scores_classes_as_they_were_trained() {
    let scores = |labels: usize, problem: Value| {
        let change = json!({ "problem_type": problem });
        match detect(SyntheticHead::Classification { labels }, &[("config.json", change)]).unwrap() {
            Head::Classification { scores, .. } => scores,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(scores(2, Value::Null), Scores::Softmax);
    assert_eq!(scores(2, json!("single_label_classification")), Scores::Softmax);
    assert_eq!(scores(1, Value::Null), Scores::Sigmoid);
    assert_eq!(scores(2, json!("multi_label_classification")), Scores::Sigmoid);
    assert_eq!(scores(1, json!("regression")), Scores::Logit);
    let text = message(with("problem_type", json!("ranking")));
    assert!(text.contains("problem_type \"ranking\" is not supported"), "{text}");
}

#[test]
fn detects_heads_on_every_token() {
    let tokens = SyntheticHead::TokenClassification { labels: 3 };
    let labels = |names: [&str; 3]| Head::TokenClassification { labels: names.map(str::to_owned).to_vec() };
    let named = json!({ "id2label": { "0": "O", "1": "B-PER", "2": "I-PER" } });
    assert_eq!(detect(tokens.clone(), &[("config.json", named)]).unwrap(), labels(["O", "B-PER", "I-PER"]));
    // Without a pooler, a classifier is one of tokens.
    let silent = || json!({ "architectures": null });
    let found = detect(tokens.clone(), &[("config.json", silent())]).unwrap();
    assert_eq!(found, labels(["LABEL_0", "LABEL_1", "LABEL_2"]));
    let two = json!({ "id2label": { "0": "a", "1": "b" } });
    assert!(
        message(detect(tokens.clone(), &[("config.json", two)])).contains("2 rows, one for each of id2label")
    );

    let answers = SyntheticHead::QuestionAnswering;
    assert_eq!(detect(answers.clone(), &[("config.json", silent())]).unwrap(), Head::QuestionAnswering);
    let spans = json!({ "architectures": ["BertForQuestionAnswering"] });
    let text = message(detect(tokens, &[("config.json", spans.clone())]));
    assert!(text.contains("no tensor \"qa_outputs.weight\""), "{text}");
    assert!(text.contains("BertForQuestionAnswering"), "{text}");
}

#[test]
fn detects_the_prediction_of_masked_tokens() {
    let masked = |tied| SyntheticHead::MaskedLm { tied };
    assert_eq!(detect(masked(true), &[]).unwrap(), Head::MaskedLm);
    assert_eq!(detect(masked(false), &[]).unwrap(), Head::MaskedLm);
    let training = json!({ "architectures": ["BertForPreTraining"] });
    assert_eq!(detect(masked(true), &[("config.json", training)]).unwrap(), Head::MaskedLm);
    let untied = json!({ "tie_word_embeddings": false });
    let text = message(detect(masked(true), &[("config.json", untied)]));
    assert!(text.contains("no tensor \"cls.predictions.decoder.weight\""), "{text}");
    // Encoders keep this head from their training; without its name, or as part of an embedder, it does not count.
    let embedding = |normalize| Head::Embedding { normalize, max_tokens: None };
    let silent = json!({ "architectures": null });
    assert_eq!(detect(masked(true), &[("config.json", silent)]).unwrap(), embedding(true));
    let pools = modules(&[("", "Transformer"), ("1_Pooling", "Pooling")]);
    assert_eq!(detect(masked(true), &[pools]).unwrap(), embedding(false));
    let wide = json!({ "hidden_size": 64 });
    assert!(message(detect(masked(true), &[("config.json", wide)])).contains("needs [64, 64]"));
}

#[test]
fn announces_the_head_without_a_checkpoint() {
    let head = |architectures: &[&str], labels: Option<&[&str]>| {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let config = BertConfig {
            architectures: owned(architectures),
            labels: labels.map(owned),
            ..BertConfig::tiny()
        };
        Head::of_config(&config, TempDir::new().unwrap().path())
    };
    let labels = |names: &[&str]| Head::Classification {
        labels: names.iter().map(|n| n.to_string()).collect(),
        scores: Scores::Softmax,
    };
    let class = "BertForSequenceClassification";
    assert_eq!(head(&[class], Some(&["a", "b", "c"])).unwrap(), labels(&["a", "b", "c"]));
    assert_eq!(head(&[class], None).unwrap(), labels(&["LABEL_0", "LABEL_1"]));
    let two = ["LABEL_0", "LABEL_1"].map(str::to_owned).to_vec();
    assert_eq!(
        head(&["BertForTokenClassification"], None).unwrap(),
        Head::TokenClassification { labels: two }
    );
    assert_eq!(head(&["BertForQuestionAnswering"], None).unwrap(), Head::QuestionAnswering);
    assert_eq!(head(&["BertForMaskedLM"], None).unwrap(), Head::MaskedLm);
    assert_eq!(head(&["BertForPreTraining"], None).unwrap(), Head::MaskedLm);
    let embedding = Head::Embedding { normalize: true, max_tokens: None };
    assert_eq!(head(&["BertModel"], None).unwrap(), embedding);
    assert_eq!(head(&[], None).unwrap(), embedding);
    assert!(message(head(&["BertForMultipleChoice"], None)).contains("BertForMultipleChoice"));
}

fn module(path: &str, class: &str) -> Value {
    json!({ "idx": 0, "name": "0", "path": path, "type": class })
}

fn modules(list: &[(&str, &str)]) -> (&'static str, Value) {
    ("modules.json", list.iter().map(|(path, class)| module(path, class)).collect())
}

const POOLING: &str = "1_Pooling/config.json";

#[test]
fn detects_sentence_embeddings() {
    let embedding = |normalize, max_tokens| Head::Embedding { normalize, max_tokens };
    let head = |changes: &[(&str, Value)]| detect(SyntheticHead::Embedding, changes).unwrap();
    assert_eq!(head(&[]), embedding(true, None));
    assert_eq!(head(&[("modules.json", Value::Null), (POOLING, Value::Null)]), embedding(true, None));
    let limit = |tokens: usize| ("sentence_bert_config.json", json!({ "max_seq_length": tokens }));
    assert_eq!(head(&[limit(48)]), embedding(true, Some(48)));
    assert_eq!(head(&[limit(256)]), embedding(true, Some(64)));
    let bare = modules(&[("", "a.b.Transformer"), ("pool", "Pooling")]);
    assert_eq!(
        head(&[bare, ("pool/config.json", json!({ "pooling_mode": "mean" }))]),
        embedding(false, None)
    );
}

#[test]
fn refuses_other_poolings() {
    let refused = |changes: &[(&str, Value)]| message(detect(SyntheticHead::Embedding, changes));
    for mode in
        ["cls_token", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken", "of_tomorrow"]
    {
        let field = format!("pooling_mode_{mode}");
        let text = refused(&[(POOLING, json!({ "pooling_mode_mean_tokens": true, &field: true }))]);
        assert!(text.contains(&format!("1_Pooling/config.json: {field} true is not supported")), "{text}");
    }
    let text = refused(&[(POOLING, json!({ "pooling_mode_mean_tokens": false }))]);
    assert!(text.contains("pooling_mode_mean_tokens false is not supported"), "{text}");
    assert!(refused(&[(POOLING, json!({ "pooling_mode": "cls" }))]).contains("pooling_mode \"cls\""));
    assert!(
        refused(&[(POOLING, json!({ "word_embedding_dimension": 64 }))]).contains("hidden_size, which is 32")
    );
    let broken = [
        modules(&[("", "Transformer"), ("../x", "Pooling")]),
        modules(&[("", "Transformer"), ("", "Pooling")]),
        modules(&[("0_Transformer", "Transformer"), ("p", "Pooling")]),
        modules(&[("", "Transformer"), ("p", "Pooling"), ("2_Dense", "Dense")]),
        modules(&[("", "Pooling")]),
        modules(&[("", "Transformer")]),
        ("modules.json", json!([{ "path": "" }])),
        ("modules.json", json!({})),
        ("modules.json", json!([])),
    ];
    for change in broken {
        let text = refused(&[change]);
        assert!(text.contains("modules.json: "), "{text}");
    }
}
