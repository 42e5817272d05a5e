//! Plain arrays with run-time shapes, and the structural operations that every reading of a tensor shares.

mod array;
mod layout;
mod rows;
mod shape;

pub use array::{Array, Elem, broadcast_zip};
pub(crate) use array::{Repeat, filled, in_rows};
pub use layout::{Broadcast, Concat, Movement, Permute, Reshape, Slice, Structure, SumLast};
pub use rows::{Gather, RepeatRows, Rows, SumRows};
pub use shape::Shape;
