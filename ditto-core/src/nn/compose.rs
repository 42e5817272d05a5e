//! Functions composed of protocols, for every engine that has them. Widths are run-time values here.

mod argmax;
mod attention;
mod choice;
pub(crate) mod inverse;
pub(crate) mod maximum;
mod norm;
mod pointwise;
mod puma_gelu;
mod stack;
mod truncate;

pub(crate) use argmax::argmax;
pub(crate) use attention::softmax_attend;
pub(crate) use choice::{greater, relu, select};
pub use norm::least_variance;
pub(crate) use norm::{Norm, layer_norm, layer_norm_tensor, mean_rows, normalize};
pub(crate) use pointwise::{activation, apply_plan, pointwise};
pub(crate) use truncate::truncate;

/// A share and how many of its bits are fractional.
pub(crate) struct Fractional<'a, S> {
    pub(crate) share: &'a S,
    pub(crate) fraction: u32,
}

/// What a result shall look like.
#[derive(Clone, Copy)]
pub(crate) struct Format {
    pub(crate) fraction: u32,
    pub(crate) width: u32,
}

/// ceil(log2 n) for n >= 1.
fn log2_ceil(n: usize) -> u32 {
    n.max(1).next_power_of_two().trailing_zeros()
}
