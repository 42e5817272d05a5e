//! The client's side of input and output: looking tokens up, and the table that makes logits of a hidden
//! state.

mod bert;
mod gpt2;

pub use self::bert::{BertEmbeddings, rows};
pub use self::gpt2::{Gpt2Embeddings, LmHead};
