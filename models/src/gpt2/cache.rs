use ditto_core::nn::{Engine, Tensor, concat};
use ditto_macros::secure_model;

use crate::plan::Formats;

/// Keys and values of one block's tokens so far, [heads, tokens, width of a head].
pub struct Cache<E: Engine, P: Formats> {
    keys: Option<Tensor<E, P::Act>>,
    values: Option<Tensor<E, P::Value>>,
}

impl<E: Engine, P: Formats> Default for Cache<E, P> {
    fn default() -> Self {
        Self { keys: None, values: None }
    }
}

/// Adds the keys and values of new tokens, and gives those of all.
#[secure_model]
pub fn remember<P: Formats>(
    cache: &mut Cache<P>,
    keys: Tensor<P::Act>,
    values: Tensor<P::Value>,
) -> (Tensor<P::Act>, Tensor<P::Value>) {
    let keys: Tensor<P::Act> = match &cache.keys {
        Some(before) => concat(&[before, &keys], 1),
        None => keys,
    };
    let values: Tensor<P::Value> = match &cache.values {
        Some(before) => concat(&[before, &values], 1),
        None => values,
    };
    cache.keys = Some(keys.clone());
    cache.values = Some(values.clone());
    (keys, values)
}
