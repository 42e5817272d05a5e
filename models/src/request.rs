//! What is public of one request, and where its texts stand among the rows of its input and output.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::architecture::{Architecture, Opens, PublicHead};

/// What is public of one request: the lengths of its texts, which share hops.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Tokens of every text.
    pub tokens: Vec<usize>,
    /// Masked tokens of every text, whose rows come first in it; empty unless the head predicts them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub masks: Vec<usize>,
    /// Tokens before the text whose keys and values the servers hold already; 0 but for a text that is
    /// continued.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub past: usize,
}

/// Absent is 0.
fn is_zero(&past: &usize) -> bool {
    past == 0
}

impl Request {
    /// Most texts of a request: as many as are attended to at once. Of texts that are continued there is one.
    pub const TEXTS: usize = 64;
    /// Most masked tokens of a text: each costs an output as wide as the vocabulary.
    pub const MASKS: usize = 64;

    /// Texts of these lengths, with one masked token each if the head predicts them.
    pub fn new(tokens: &[usize], head: &PublicHead) -> Self {
        let masks = if head.is_masked() { vec![1; tokens.len()] } else { Vec::new() };
        Self { tokens: tokens.to_vec(), masks, past: 0 }
    }

    /// Most texts of a request for a head.
    pub fn most_texts(head: &PublicHead) -> usize {
        if head.is_causal() { 1 } else { Self::TEXTS }
    }

    /// Rows of the input: tokens of all texts.
    pub fn rows(&self) -> usize {
        self.tokens.iter().sum()
    }

    /// Rows of the output that belong to each text.
    pub fn outputs(&self, head: &PublicHead) -> Vec<usize> {
        match head {
            PublicHead::CausalLm { opens: Opens::EachLogits, .. } => self.tokens.clone(),
            PublicHead::Embedding { .. }
            | PublicHead::Classification { .. }
            | PublicHead::CausalLm { .. } => vec![1; self.tokens.len()],
            PublicHead::TokenClassification { .. } | PublicHead::QuestionAnswering => self.tokens.clone(),
            PublicHead::MaskedLm { .. } => self.masks.clone(),
        }
    }

    /// What is wrong with a request for this model, which came from the network.
    pub fn check(&self, architecture: &Architecture) -> Result<(), String> {
        let (longest, texts) = (architecture.max_position_embeddings, Self::most_texts(&architecture.head));
        if !(1..=texts).contains(&self.tokens.len()) {
            return Err(format!("a request has {} texts, not 1 to {texts}", self.tokens.len()));
        }
        if self.past > 0 && !architecture.head.is_causal() {
            return Err("a text continues another, but the head does not predict what follows".to_owned());
        }
        let fits = |&tokens: &usize| tokens > 0 && self.past.saturating_add(tokens) <= longest;
        if !self.tokens.iter().all(fits) {
            return Err(format!("a text is empty or longer than {longest} tokens"));
        }
        if !architecture.head.is_masked() {
            return if self.masks.is_empty() {
                Ok(())
            } else {
                Err("there are masked tokens, but the head does not predict them".to_owned())
            };
        }
        let fits = |(&masks, &tokens): (&usize, &usize)| (1..=tokens.min(Self::MASKS)).contains(&masks);
        if self.masks.len() == self.tokens.len() && self.masks.iter().zip(&self.tokens).all(fits) {
            Ok(())
        } else {
            Err(format!("a text has no masked token, more than {}, or more than tokens", Self::MASKS))
        }
    }
}

/// Where the texts of a request stand among its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The rows of each text.
    pub texts: Vec<Range<usize>>,
    /// The rows of each text that its head reads, if it does not read all: the first token, the masked ones,
    /// or the last.
    pub read: Vec<Range<usize>>,
}

impl Layout {
    /// Of a request.
    pub fn new(request: &Request, head: &PublicHead) -> Self {
        let mut end = 0;
        let texts = request.tokens.iter().map(|tokens| {
            end += tokens;
            end - tokens..end
        });
        let texts: Vec<Range<usize>> = texts.collect();
        let read = texts.iter().zip(request.outputs(head)).map(|(text, rows)| match head {
            PublicHead::CausalLm { .. } => text.end - rows..text.end,
            _ => text.start..text.start + rows,
        });
        Self { read: read.collect(), texts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{BertConfig, Gpt2Config, Head};

    fn tiny(head: &Head) -> Architecture {
        Architecture::new(&BertConfig::tiny().into(), head)
    }

    #[test]
    fn texts_follow_each_other() {
        let masked = PublicHead::MaskedLm { vocabulary: 9 };
        let request = Request { tokens: vec![5, 3], masks: vec![2, 1], past: 0 };
        let layout = Layout::new(&request, &masked);
        assert_eq!((layout.texts, layout.read), (vec![0..5, 5..8], vec![0..2, 5..6]));
        let classified = Layout::new(&request, &PublicHead::Classification { classes: 2 });
        assert_eq!(classified.read, [0..1, 5..6]);
        let causal = PublicHead::CausalLm { vocabulary: 9, opens: Opens::Logits };
        assert_eq!(Layout::new(&Request::new(&[5], &causal), &causal).read[0], 4..5);
        let each = PublicHead::CausalLm { vocabulary: 9, opens: Opens::EachLogits };
        assert_eq!(Layout::new(&Request::new(&[5], &each), &each).read[0], 0..5);
        assert_eq!(request.outputs(&PublicHead::QuestionAnswering), [5, 3]);
        assert_eq!(request.rows(), 8);
        assert_eq!(Request::new(&[5, 3], &masked).masks, [1, 1]);
        assert!(Request::new(&[5, 3], &PublicHead::QuestionAnswering).masks.is_empty());
    }

    #[test]
    fn refuses_what_no_honest_client_announces() {
        let (masked, spans) = (tiny(&Head::MaskedLm), tiny(&Head::QuestionAnswering));
        let refused = |architecture: &Architecture, tokens: &[usize], masks: &[usize]| {
            let request = Request { tokens: tokens.to_vec(), masks: masks.to_vec(), past: 0 };
            request.check(architecture).is_err()
        };
        assert!(!refused(&spans, &[1, 64], &[]) && !refused(&masked, &[3, 64], &[3, 64]));
        for tokens in [&[][..], &[0], &[65], &[usize::MAX, 2], &[1; 65]] {
            assert!(refused(&spans, tokens, &[]), "{tokens:?}");
        }
        assert!(refused(&spans, &[3], &[1]));
        for masks in [&[][..], &[1], &[0, 1], &[4, 1], &[1, 65], &[1, 1, 1]] {
            assert!(refused(&masked, &[3, 64], masks), "{masks:?}");
        }
    }

    #[test]
    fn only_a_text_that_is_continued_has_a_past() {
        let causal = Architecture::new(&Gpt2Config::tiny().into(), &Head::CausalLm);
        let refused = |architecture: &Architecture, tokens: &[usize], past: usize| {
            Request { tokens: tokens.to_vec(), masks: vec![], past }.check(architecture).err()
        };
        assert_eq!(refused(&causal, &[64], 0), None);
        assert_eq!(refused(&causal, &[1], 63), None);
        for (tokens, past) in [(&[65][..], 0), (&[1], 64), (&[2], 63), (&[0], 3), (&[1], usize::MAX)] {
            assert!(refused(&causal, tokens, past).unwrap().contains("64 tokens"), "{tokens:?} after {past}");
        }
        assert!(refused(&causal, &[1, 1], 0).unwrap().contains("2 texts"));
        assert!(refused(&tiny(&Head::QuestionAnswering), &[1], 1).unwrap().contains("continues"));
        let masked = Request { tokens: vec![3], masks: vec![1], past: 0 };
        assert!(masked.check(&causal).unwrap_err().contains("masked"));
    }

    #[test]
    fn no_past_is_not_written() {
        let text = |past| serde_json::to_string(&Request { tokens: vec![1], masks: vec![], past }).unwrap();
        assert_eq!((text(0).as_str(), text(7).as_str()), (r#"{"tokens":[1]}"#, r#"{"tokens":[1],"past":7}"#));
        let read: Request = serde_json::from_str(r#"{"tokens":[1]}"#).unwrap();
        assert_eq!(read.past, 0);
    }
}
