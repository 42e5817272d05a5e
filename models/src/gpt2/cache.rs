use ditto_core::nn::{Engine, Tensor, concat};
use ditto_macros::secure_model;

use crate::plan::Formats;

/// Keys and values of one block's tokens so far, [heads, tokens, width of a head].
pub struct Cache<E: Engine, P: Formats> {
    tokens: Option<(Tensor<E, P::Act>, Tensor<E, P::Value>)>,
}

impl<E: Engine, P: Formats> Default for Cache<E, P> {
    fn default() -> Self {
        Self { tokens: None }
    }
}

/// Adds the keys and values of new tokens, and gives those of all.
#[secure_model]
pub fn remember<P: Formats>(
    cache: &mut Cache<P>,
    keys: Tensor<P::Act>,
    values: Tensor<P::Value>,
) -> (Tensor<P::Act>, Tensor<P::Value>) {
    let all = match &cache.tokens {
        Some((k, v)) => (concat(&[k, &keys], 1), concat(&[v, &values], 1)),
        None => (keys, values),
    };
    cache.tokens = Some(all.clone());
    all
}
