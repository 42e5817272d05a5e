use std::fmt::Write;

use ditto_models::answer::{Answer, Candidate, Entity};

/// A private answer beside the float reference's, for people.
pub(super) fn show(private: &Answer, float: &Answer) -> String {
    let mut out = title(private);
    let rows = [("private", private), ("float  ", float)];
    for (name, answer) in rows {
        for line in lines(answer) {
            // Writing to a string cannot fail.
            let _ = write!(out, "\n  {name} {line}");
        }
    }
    if let Answer::Embedding { .. } = private {
        let _ = write!(out, "\n  cosine  {:.6}", cosine(private.values(), float.values()));
    }
    out + "\n"
}

/// What was asked.
fn title(answer: &Answer) -> String {
    match answer {
        Answer::Label { text, text_pair: Some(second), .. } => format!("{text}\n{second}"),
        Answer::Span { question, context, .. } => format!("{question}\n{context}"),
        Answer::Embedding { text, .. }
        | Answer::Label { text, .. }
        | Answer::Entities { text, .. }
        | Answer::Masks { text, .. }
        | Answer::Next { text, .. } => text.clone(),
    }
}

fn lines(answer: &Answer) -> Vec<String> {
    match answer {
        Answer::Embedding { embedding, .. } => vec![head(embedding)],
        Answer::Label { label, score, logits, .. } => vec![format!("{label} {score:.4} {}", head(logits))],
        Answer::Entities { entities, .. } if entities.is_empty() => vec!["no entities".to_owned()],
        Answer::Entities { entities, .. } => entities.iter().map(entity).collect(),
        Answer::Span { answer, score, start, end, .. } => {
            vec![format!("{answer:?} {score:.4} characters {start} to {end}")]
        }
        Answer::Masks { masks, .. } => masks.iter().map(|candidates| mask(candidates)).collect(),
        Answer::Next { next, .. } => vec![following(next)],
    }
}

fn entity(e: &Entity) -> String {
    format!("{} {} {:.4} characters {} to {}", e.word, e.entity, e.score, e.start, e.end)
}

fn mask(candidates: &[Candidate]) -> String {
    let names: Vec<String> = candidates.iter().map(|c| format!("{} {:.4}", c.token_str, c.score)).collect();
    names.join(", ")
}

/// What follows a text begins with a space more often than not, so it is quoted.
fn following(candidates: &[Candidate]) -> String {
    let names: Vec<String> = candidates.iter().map(|c| format!("{:?} {:.4}", c.token_str, c.score)).collect();
    names.join(", ")
}

/// The first numbers of a vector.
fn head(values: &[f32]) -> String {
    let first: Vec<String> = values.iter().take(6).map(|v| format!("{v:+.4}")).collect();
    let more = if values.len() > first.len() { ", .." } else { "" };
    format!("[{}{more}]", first.join(", "))
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}
