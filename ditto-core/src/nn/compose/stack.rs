//! Tensors of one shape side by side, so that one protocol call serves all of them.

use crate::error::Result;
use crate::mpc::Share;
use crate::tensor::{Reshape, Shape, Slice};

/// Tensors of one shape as the rows of a matrix.
pub(super) fn stack<S: Share>(parts: &[S]) -> Result<S> {
    let row = |x: &S| x.restructure(&Reshape(&Shape::new(&[1, x.shape().len()])));
    let rows = parts.iter().map(row).collect::<Result<Vec<_>>>()?;
    S::concat(&rows.iter().collect::<Vec<_>>(), 0)
}

/// The `n` rows of a matrix, each in the given shape.
pub(super) fn unstack<S: Share>(x: &S, shape: &Shape, n: usize) -> Result<Vec<S>> {
    let row = |i| x.restructure(&Slice { axis: 0, start: i, end: i + 1 })?.restructure(&Reshape(shape));
    (0..n).map(row).collect()
}
