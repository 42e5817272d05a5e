//! Typed tensors, and what models are made of.
//!
//! Model code is generic over an [`Engine`] and works on [`Tensor`]s whose formats are types. The functions of this
//! module (`linear`, `softmax_attend`, `layer_norm`, ..) are what `#[secure_model]` code calls.

mod choice;
pub(crate) mod compose;
mod engine;
mod layers;
mod operators;
mod ops;
pub(crate) mod pointwise;
mod product;
pub(crate) mod puma_gelu;
mod tensor;
#[cfg(test)]
mod tests;
mod weights;

pub use choice::{Bits, argmax, greater, max_last, max_rows, maximum, relu, select};
pub use compose::least_variance;
pub use engine::{Activation, Engine, NormOf, Softmax};
pub use layers::{LayerNorm, Linear, LinearShape};
pub use operators::{Minus, Plus, Times};
pub use ops::{
    activation, add, causal_attend, concat, downcast, layer_norm, linear, matmul, matmul_t, mean_rows, mul,
    normalize, pointwise, softmax_attend, sub, upcast,
};
pub use pointwise::{Method, Pointwise, Report};
pub use product::{Product, Rescale, Unscaled};
pub use tensor::Tensor;
pub use weights::{Scope, WeightSource, Weights};
