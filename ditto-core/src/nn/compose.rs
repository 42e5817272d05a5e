//! Functions composed of protocols, for every engine that has them. Widths are run-time values here.

mod attention;
pub(crate) mod inverse;
pub(crate) mod maximum;
mod norm;
mod pointwise;
mod truncate;

pub(crate) use attention::softmax_attend;
pub(crate) use norm::{mean_rows, normalize, standardize};
pub(crate) use pointwise::{activation, apply_plan, pointwise};
pub(crate) use truncate::truncate;

/// ceil(log2 n) for n >= 1.
fn log2_ceil(n: usize) -> u32 {
    n.max(1).next_power_of_two().trailing_zeros()
}
