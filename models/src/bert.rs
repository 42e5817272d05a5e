//! BERT (Devlin et al., 2019), as Hugging Face's `modeling_bert.py` has it, written in `#[secure_model]`.
//!
//! The client looks its own tokens up and shares the sum of their embeddings; everything after that is private. Rows of
//! all texts of a request stand below each other: only attention and pooling look at one text at a time.
//!
//! The encoder treats all rows alike, whatever their order: where a token stands in its text is in its embedding. So a
//! client that asks for masked tokens puts their rows first, and no server learns more than how many there are.

mod encoder;
mod heads;

use ditto_core::nn::{Engine, Tensor, concat, linear};
use ditto_macros::{Weights, secure_model};

pub use self::encoder::{Attention, Encoder, Layer, attention, encoder, layer};
pub use self::heads::{Classifier, Head, Predictor, classify, predict, sentence_embedding};
use crate::model::{Layout, ModelSpec};
use crate::plan::{Formats, Output};

/// Weights of BERT with its head.
#[derive(Weights)]
#[weights(config = ModelSpec)]
pub struct Bert<E: Engine, P: Formats> {
    #[weights(name = "")]
    encoder: Encoder<E, P>,
    #[weights(name = "")]
    head: Head<E, P>,
}

/// The rows that a head reads, below each other.
#[secure_model]
fn pick<P: Formats>(x: &Tensor<P::Act>, #[public] layout: &Layout) -> Tensor<P::Act> {
    let mut rows: Vec<Tensor<P::Act>> = Vec::new();
    for part in &layout.read {
        rows.push(x.slice(0, part.start, part.end));
    }
    concat(&rows, 0)
}

/// BERT with its head: embeddings [rows, hidden] to what the client receives.
#[secure_model]
pub fn bert<P: Formats>(
    w: &Bert<P>,
    embeddings: &Tensor<P::Input>,
    #[public] layout: &Layout,
) -> Tensor<Output> {
    let x = encoder(&w.encoder, embeddings, &layout.texts);
    match &w.head {
        Head::Embedding { unit } => sentence_embedding::<P>(&x, &layout.texts, *unit),
        Head::Classification(head) => classify(head, &pick::<P>(&x, layout)),
        Head::Tokens(head) => linear(&x, head),
        Head::MaskedLm(head) => predict(head, &pick::<P>(&x, layout)),
    }
}
