//! Structural operations: they move or sum elements, the same way in every share and every reading.

use super::{Array, Elem, Shape};
use crate::error::{Error, Result};

/// A linear map that only moves and adds elements, so that it applies to shares component by component.
pub trait Structure: Sync {
    /// The image of an array.
    fn apply_to<T: Elem>(&self, x: &Array<T>) -> Result<Array<T>>;
    /// The same as a value, if it only moves elements: for engines whose tensors are no [`Array`].
    fn movement(&self) -> Option<Movement<'_>> {
        None
    }
}

/// A [`Structure`] that only moves elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Movement<'a> {
    /// [`Reshape`].
    Reshape(&'a Shape),
    /// [`Permute`].
    Permute(&'a [usize]),
    /// [`Slice`].
    Slice {
        /// The axis.
        axis: usize,
        /// First index taken.
        start: usize,
        /// One past the last index taken.
        end: usize,
    },
}

/// Same elements, another shape.
pub struct Reshape<'a>(pub &'a Shape);

impl Structure for Reshape<'_> {
    fn apply_to<T: Elem>(&self, x: &Array<T>) -> Result<Array<T>> {
        x.reshape(self.0.clone())
    }
    fn movement(&self) -> Option<Movement<'_>> {
        Some(Movement::Reshape(self.0))
    }
}

/// Reorders axes: axis `i` of the result is axis `self.0[i]` of the operand (PyTorch `permute`).
pub struct Permute<'a>(pub &'a [usize]);

impl Structure for Permute<'_> {
    fn apply_to<T: Elem>(&self, x: &Array<T>) -> Result<Array<T>> {
        let dims = x.shape().dims();
        let mut seen = vec![false; dims.len()];
        let valid = self.0.len() == dims.len()
            && self.0.iter().all(|&a| a < dims.len() && !std::mem::replace(&mut seen[a], true));
        if !valid {
            return Err(Error::shape("permute", x.shape(), &Shape::new(self.0)));
        }
        let mut strides = vec![1usize; dims.len()];
        for i in (0..dims.len().saturating_sub(1)).rev() {
            strides[i] = strides[i + 1] * dims[i + 1];
        }
        let out: Vec<usize> = self.0.iter().map(|&a| dims[a]).collect();
        let step: Vec<usize> = self.0.iter().map(|&a| strides[a]).collect();
        if self.0 == [1, 0] {
            return Array::new(Shape::new(&out), transpose(x.data(), dims[0], dims[1]));
        }
        let mut data = Vec::with_capacity(x.len());
        if !x.is_empty() {
            walk(&out, &step, 0, x.data(), &mut data);
        }
        Array::new(Shape::new(&out), data)
    }
    fn movement(&self) -> Option<Movement<'_>> {
        Some(Movement::Permute(self.0))
    }
}

/// Transposes a matrix block by block, so that both sides stay in cache.
fn transpose<T: Elem>(from: &[T], rows: usize, columns: usize) -> Vec<T> {
    const BLOCK: usize = 16;
    let mut to = vec![T::default(); from.len()];
    for r in (0..rows).step_by(BLOCK) {
        for c in (0..columns).step_by(BLOCK) {
            for i in r..rows.min(r + BLOCK) {
                for j in c..columns.min(c + BLOCK) {
                    to[j * rows + i] = from[i * columns + j];
                }
            }
        }
    }
    to
}

fn walk<T: Copy>(dims: &[usize], step: &[usize], at: usize, from: &[T], to: &mut Vec<T>) {
    match (dims, step) {
        ([], _) => to.push(from[at]),
        (&[n], &[1]) => to.extend_from_slice(&from[at..at + n]),
        (&[n], &[s]) => to.extend((0..n).map(|i| from[at + i * s])),
        _ => (0..dims[0]).for_each(|i| walk(&dims[1..], &step[1..], at + i * step[0], from, to)),
    }
}

/// Elements `start..end` along an axis.
pub struct Slice {
    /// The axis.
    pub axis: usize,
    /// First index taken.
    pub start: usize,
    /// One past the last index taken.
    pub end: usize,
}

impl Structure for Slice {
    fn apply_to<T: Elem>(&self, x: &Array<T>) -> Result<Array<T>> {
        let dims = x.shape().dims();
        if self.axis >= dims.len() || self.start > self.end || self.end > dims[self.axis] {
            return Err(Error::Slice {
                shape: x.shape().clone(),
                axis: self.axis,
                start: self.start,
                end: self.end,
            });
        }
        let inner: usize = dims[self.axis + 1..].iter().product();
        let outer: usize = dims[..self.axis].iter().product();
        let mut data = Vec::with_capacity(outer * (self.end - self.start) * inner);
        for o in 0..outer {
            let base = o * dims[self.axis];
            data.extend_from_slice(&x.data()[(base + self.start) * inner..(base + self.end) * inner]);
        }
        let mut out = dims.to_vec();
        out[self.axis] = self.end - self.start;
        Array::new(Shape::new(&out), data)
    }
    fn movement(&self) -> Option<Movement<'_>> {
        let &Self { axis, start, end } = self;
        Some(Movement::Slice { axis, start, end })
    }
}

/// Repeats axes of extent 1 to reach a shape (NumPy broadcasting).
pub struct Broadcast<'a>(pub &'a Shape);

impl Structure for Broadcast<'_> {
    fn apply_to<T: Elem>(&self, x: &Array<T>) -> Result<Array<T>> {
        if x.shape() == self.0 {
            return Ok(x.clone());
        }
        if x.shape().broadcast(self.0, "broadcast")? != *self.0 {
            return Err(Error::shape("broadcast", x.shape(), self.0));
        }
        let (dims, out) = (x.shape().dims(), self.0.dims());
        let missing = out.len() - dims.len();
        let mut step = vec![0usize; out.len()];
        let mut stride = 1;
        for i in (0..dims.len()).rev() {
            step[missing + i] = if dims[i] == 1 { 0 } else { stride };
            stride *= dims[i];
        }
        let mut data = Vec::with_capacity(self.0.len());
        if !self.0.is_empty() {
            walk(out, &step, 0, x.data(), &mut data);
        }
        Array::new(self.0.clone(), data)
    }
}

/// Sums over the last axis, which disappears.
pub struct SumLast;

impl Structure for SumLast {
    fn apply_to<T: Elem>(&self, x: &Array<T>) -> Result<Array<T>> {
        let Some((&n, outer)) = x.shape().dims().split_last() else {
            return Err(Error::shape("sum over the last axis", x.shape(), &Shape::default()));
        };
        let rows = outer.iter().product();
        let data = (0..rows)
            .map(|r| x.data()[r * n..(r + 1) * n].iter().fold(T::default(), |s, &v| s.plus(v)))
            .collect();
        Array::new(Shape::new(outer), data)
    }
}

/// Joins arrays along an axis; all other extents must agree.
pub struct Concat {
    /// The axis.
    pub axis: usize,
}

impl Concat {
    /// The joined array.
    pub fn join<T: Elem>(&self, parts: &[&Array<T>]) -> Result<Array<T>> {
        let Some(first) = parts.first() else {
            return Err(Error::Unsupported("joining no tensors"));
        };
        let mut dims = first.shape().dims().to_vec();
        if self.axis >= dims.len() {
            return Err(Error::shape("concat", first.shape(), first.shape()));
        }
        dims[self.axis] = 0;
        for part in parts {
            let d = part.shape().dims();
            let same = d.len() == dims.len()
                && d.iter().zip(first.shape().dims()).enumerate().all(|(i, (a, b))| i == self.axis || a == b);
            if !same {
                return Err(Error::shape("concat", first.shape(), part.shape()));
            }
            dims[self.axis] += d[self.axis];
        }
        let outer: usize = dims[..self.axis].iter().product();
        let mut data = Vec::with_capacity(dims.iter().product());
        for o in 0..outer {
            for part in parts {
                let chunk = part.len() / outer;
                data.extend_from_slice(&part.data()[o * chunk..(o + 1) * chunk]);
            }
        }
        Array::new(Shape::new(&dims), data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iota(dims: &[usize]) -> Array<u32> {
        let shape = Shape::new(dims);
        let n = shape.len() as u32;
        Array::new(shape, (0..n).collect()).expect("right length")
    }

    #[test]
    fn permute_moves_axes() {
        let x = iota(&[2, 3, 4]);
        let y = Permute(&[2, 0, 1]).apply_to(&x).expect("valid");
        assert_eq!(y.shape().dims(), [4, 2, 3]);
        assert_eq!(y.data()[..6], [0, 4, 8, 12, 16, 20]);
        assert!(Permute(&[0, 0, 1]).apply_to(&x).is_err());
        assert!(Permute(&[0, 1]).apply_to(&x).is_err());
        let back = Permute(&[1, 2, 0]).apply_to(&y).expect("valid");
        assert_eq!(back.data(), x.data());
    }

    #[test]
    fn slice_concat_and_sum_agree_with_hand_counts() {
        let x = iota(&[2, 5]);
        let a = Slice { axis: 1, start: 0, end: 2 }.apply_to(&x).expect("valid");
        let b = Slice { axis: 1, start: 2, end: 5 }.apply_to(&x).expect("valid");
        assert_eq!(Concat { axis: 1 }.join(&[&a, &b]).expect("fits").data(), x.data());
        assert_eq!(SumLast.apply_to(&x).expect("has an axis").data(), [10, 35]);
        assert!(Slice { axis: 1, start: 3, end: 6 }.apply_to(&x).is_err());
    }

    #[test]
    fn broadcast_repeats_rows_and_columns() {
        let row = iota(&[3]);
        let to = Shape::new(&[2, 3]);
        assert_eq!(Broadcast(&to).apply_to(&row).expect("fits").data(), [0, 1, 2, 0, 1, 2]);
        let col = iota(&[2, 1]);
        assert_eq!(Broadcast(&to).apply_to(&col).expect("fits").data(), [0, 0, 0, 1, 1, 1]);
        assert!(Broadcast(&to).apply_to(&iota(&[2])).is_err());
    }

    #[test]
    fn empty_arrays_pass_through() {
        let x = iota(&[0, 4]);
        assert_eq!(Permute(&[1, 0]).apply_to(&x).expect("valid").shape().dims(), [4, 0]);
        assert_eq!(SumLast.apply_to(&x).expect("valid").len(), 0);
    }
}
