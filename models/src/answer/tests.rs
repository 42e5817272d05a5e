use tempfile::TempDir;

use super::Answer;
use crate::config::{BertConfig, Gpt2Config, Head, Scores};
use crate::input::{Input, InputError, Prepared, Preparer};
use crate::model::Request;
use crate::synthetic::{Synthetic, SyntheticGpt2, SyntheticHead};
use crate::text::Tokenizer;

fn tokenizer() -> Tokenizer {
    let dir = TempDir::new().unwrap();
    Synthetic::new(BertConfig::tiny(), SyntheticHead::Embedding, 1).write(dir.path()).unwrap();
    Tokenizer::open(dir.path()).unwrap().for_model(&BertConfig::tiny()).unwrap()
}

fn prepare(head: &Head, input: impl Into<Input>) -> Result<Prepared, InputError> {
    Preparer::new(&tokenizer(), head, &BertConfig::tiny()).prepare(input.into())
}

/// The answer that an output is read as.
fn read(head: &Head, input: impl Into<Input>, output: &[f32]) -> Answer {
    Answer::read(head, &tokenizer(), &prepare(head, input).unwrap(), output)
}

fn labels(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| name.to_string()).collect()
}

#[test]
fn names_the_likeliest_class() {
    let read = |scores, output: &[f32]| {
        let head = Head::Classification { labels: labels(&["a", "b", "c"][..output.len()]), scores };
        match read(&head, ("the cat", "a dog"), output) {
            Answer::Label { text, text_pair, label, score, logits } => {
                assert_eq!((text.as_str(), text_pair.as_deref()), ("the cat", Some("a dog")));
                assert_eq!(logits, output);
                (label, score)
            }
            other => panic!("{other:?}"),
        }
    };
    let near = |(label, score): (String, f32), (name, expected): (&str, f32)| {
        assert!(label == name && (score - expected).abs() < 1e-6, "{label} {score} for {name} {expected}");
    };
    near(read(Scores::Softmax, &[0.0, 2.0_f32.ln(), 0.0]), ("b", 0.5));
    near(read(Scores::Softmax, &[1000.0, 0.0, -1000.0]), ("a", 1.0));
    near(read(Scores::Softmax, &[7.0, 7.0]), ("a", 0.5));
    near(read(Scores::Sigmoid, &[3.0_f32.ln()]), ("a", 0.75));
    near(read(Scores::Logit, &[-4.5]), ("a", -4.5));
}

#[test]
fn names_entities_token_by_token() {
    let head = Head::TokenClassification { labels: labels(&["O", "B-X", "I-X"]) };
    // [CLS], the, dog, ##s, a word that the vocabulary lacks, [SEP]; special tokens never count.
    let text = "The dogs 日";
    let row = |class: usize| (0..3).map(move |i| if i == class { 2.0_f32.ln() } else { 0.0 });
    let output: Vec<f32> = [1, 0, 1, 2, 1, 2].into_iter().flat_map(row).collect();
    let Answer::Entities { entities, .. } = read(&head, text, &output) else { panic!("another answer") };
    let found: Vec<_> =
        entities.iter().map(|e| (e.entity.as_str(), e.index, e.word.as_str(), e.start, e.end)).collect();
    assert_eq!(found, [("B-X", 2, "dog", 4, 7), ("I-X", 3, "##s", 7, 8), ("B-X", 4, "日", 9, 10)]);
    assert!(entities.iter().all(|e| (e.score - 0.5).abs() < 1e-6));
}

/// The best span for logits of start and end that are 0 but where said.
fn span(
    question: &str,
    context: &str,
    starts: &[(usize, f32)],
    ends: &[(usize, f32)],
) -> (String, f32, usize, usize) {
    let prepared = prepare(&Head::QuestionAnswering, (question, context)).unwrap();
    let mut output = vec![0.0; 2 * prepared.encoded.len()];
    starts.iter().for_each(|&(i, v)| output[2 * i] = v);
    ends.iter().for_each(|&(i, v)| output[2 * i + 1] = v);
    match read(&Head::QuestionAnswering, (question, context), &output) {
        Answer::Span { answer, score, start, end, .. } => (answer, score, start, end),
        other => panic!("{other:?}"),
    }
}

#[test]
fn answers_from_the_context_only() {
    // 0 [CLS], 1 cat, 2 [SEP], 3 the, 4 dog, 5 ##s, 6 ran, 7 [SEP]: "ran" is spelt r ##a ##n, 6 to 8.
    let question = "cat";
    let context = "The dogs go";
    let best = |starts, ends| span(question, context, starts, ends);
    // However likely, tokens of the question and special tokens neither start nor end an answer, and the question's do not
    // take part in the probabilities; [CLS] does.
    let (answer, score, start, end) = best(&[(1, 90.0), (4, 20.0)], &[(1, 90.0), (2, 90.0), (5, 20.0)]);
    assert_eq!((answer.as_str(), start, end), ("dogs", 4, 8));
    assert!(score > 0.999, "{score}");
    // [CLS] takes what it is given.
    let (answer, score, ..) = best(&[(0, 20.0), (4, 20.0)], &[(5, 20.0)]);
    assert_eq!(answer, "dogs");
    assert!((score - 0.5).abs() < 1e-3, "{score}");
    // An answer does not end before it starts, and is widened to whole words.
    let (answer, ..) = best(&[(5, 20.0)], &[(4, 20.0), (5, 10.0)]);
    assert_eq!(answer, "dogs");
}

#[test]
fn answers_are_short() {
    let context = "go ".repeat(20);
    // [CLS] cat [SEP], then the context from 3.
    let ends = |i: usize| span("cat", &context, &[(3, 30.0)], &[(i, 30.0), (4, 10.0)]).3;
    // 15 tokens: 3 to 17.
    assert_eq!(ends(17), 15 * 3 - 1);
    assert_eq!(ends(18), 5);
}

#[test]
fn predicts_each_mask_by_itself() {
    let prepared = prepare(&Head::MaskedLm, "the [MASK] sat on [MASK].").unwrap();
    assert_eq!(prepared.masks.len(), 2);
    let tokenizer = tokenizer();
    let (cat, dog) = (tokenizer.id("cat").unwrap(), tokenizer.id("dog").unwrap());
    let mut output = vec![0.0; 2 * 320];
    output[cat as usize] = 1000.0;
    output[320 + dog as usize] = 320.0_f32.ln();
    let Answer::Masks { masks, .. } = Answer::read(&Head::MaskedLm, &tokenizer, &prepared, &output) else {
        panic!("another answer")
    };
    assert_eq!(masks.len(), 2);
    assert!(masks.iter().all(|candidates| candidates.len() == 5));
    assert_eq!((masks[0][0].token, masks[0][0].token_str.as_str(), masks[0][0].score), (cat, "cat", 1.0));
    assert_eq!((masks[1][0].token, masks[1][0].token_str.as_str()), (dog, "dog"));
    assert!((masks[1][0].score - 320.0 / 639.0).abs() < 1e-6);
    // The rest are equal: the first of the vocabulary.
    assert_eq!(masks[1][1..].iter().map(|c| c.token).collect::<Vec<_>>(), [0, 1, 2, 3]);
}

#[test]
fn predicts_what_a_text_goes_on_with() {
    let dir = TempDir::new().unwrap();
    let config = Gpt2Config { vocab_size: 400, ..Gpt2Config::tiny() };
    SyntheticGpt2::new(Gpt2Config::tiny(), 1).write(dir.path()).unwrap();
    let tokenizer = Tokenizer::open(dir.path()).unwrap().for_model(&config).unwrap();
    let prepared = Preparer::new(&tokenizer, &Head::CausalLm, &config).prepare("to".into()).unwrap();
    assert_eq!((prepared.encoded.len(), prepared.masks.len()), (2, 0));
    let mut output = vec![0.0; 400];
    let the = tokenizer.id("Ġthe").unwrap();
    output[the as usize] = 400.0_f32.ln();
    // The model's vocabulary is larger than the tokenizer's.
    output[399] = 1.0;
    let answer = Answer::read(&Head::CausalLm, &tokenizer, &prepared, &output);
    assert_eq!(answer.values(), output);
    let json = serde_json::to_value(&answer).unwrap();
    assert_eq!(json.as_object().unwrap().keys().collect::<Vec<_>>(), ["next", "text"]);
    let Answer::Next { text, next, .. } = answer else { panic!("another answer") };
    assert_eq!((text.as_str(), next.len()), ("to", 5));
    let named: Vec<_> = next.iter().map(|c| (c.token, c.token_str.as_str())).collect();
    assert_eq!(named[..3], [(the, " the"), (399, ""), (0, "!")]);
    let sum = 400.0 + 1.0_f32.exp() + 398.0;
    assert!((next[0].score - 400.0 / sum).abs() < 1e-6);
    let pair = Preparer::new(&tokenizer, &Head::CausalLm, &config).prepare(("a", "b").into());
    assert!(pair.unwrap_err().to_string().contains("continues texts"));
}

#[test]
fn inputs_suit_their_head() {
    let text = |head: &Head, input: Input| prepare(head, input).unwrap_err().to_string();
    let pair = || Input::from(("the cat", "a dog"));
    let embedding = Head::Embedding { normalize: true, max_tokens: None };
    assert!(text(&embedding, pair()).contains("pair of texts, but this checkpoint embeds"));
    assert!(text(&Head::MaskedLm, pair()).contains("pair of texts"));
    assert!(text(&Head::TokenClassification { labels: vec![] }, pair()).contains("classifies tokens"));
    assert!(text(&Head::QuestionAnswering, "who".into()).contains("a question needs a context"));
    assert!(text(&Head::MaskedLm, "the cat".into()).contains("there is no [MASK]"));
    // Cut off with the end of the text.
    assert!(text(&Head::MaskedLm, ("cat ".repeat(70) + "[MASK]").into()).contains("there is no [MASK]"));
    assert!(prepare(&Head::MaskedLm, "[MASK] ".repeat(62)).is_ok());
}

#[test]
fn masks_are_counted() {
    let config = BertConfig { max_position_embeddings: 512, ..BertConfig::tiny() };
    let tokenizer = tokenizer().for_model(&config).unwrap();
    let preparer = Preparer::new(&tokenizer, &Head::MaskedLm, &config);
    let prepare = |masks: usize| preparer.prepare("[MASK] ".repeat(masks).into());
    assert_eq!(prepare(Request::MASKS).unwrap().masks.len(), Request::MASKS);
    let error = prepare(Request::MASKS + 1).unwrap_err().to_string();
    assert!(error.contains("65 tokens [MASK], but at most 64"), "{error}");
}

#[test]
fn lines_of_a_file_may_be_pairs() {
    assert_eq!(Input::of_line("a b"), Input::Text("a b".to_owned()));
    assert_eq!(Input::of_line("a\tb\tc"), Input::Pair("a".to_owned(), "b\tc".to_owned()));
}
