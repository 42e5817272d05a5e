//! The client's side of the input: looking tokens up.

mod bert;

pub use self::bert::BertEmbeddings;
