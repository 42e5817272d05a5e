//! Procedural macros of Ditto.

mod errors;
mod generate;
mod lower;
mod model;
mod names;
mod tree;
mod types;
mod weights;
mod words;

use proc_macro::TokenStream;

/// Turns a function over secret tensors into one that runs under every engine.
#[proc_macro_attribute]
pub fn secure_model(options: TokenStream, item: TokenStream) -> TokenStream {
    model::expand(options.into(), item.into()).into()
}

/// Implements `ditto_core::nn::Weights` for a struct of weights.
#[proc_macro_derive(Weights, attributes(weights))]
pub fn derive_weights(item: TokenStream) -> TokenStream {
    weights::expand(item.into()).into()
}
