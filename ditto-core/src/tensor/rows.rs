//! Rows of unequal length side by side on one axis.

use std::ops::Range;

use super::{Array, Elem, Shape, Structure};
use crate::error::{Error, Result};

/// How a tensor's last axis divides into rows.
///
/// Scores of causal attention have a row per query, each longer than the one before; most tensors have one row per
/// leading index, the whole axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows {
    lengths: Vec<usize>,
}

impl Rows {
    /// One row: an axis of extent n.
    pub fn whole(n: usize) -> Self {
        Self { lengths: vec![n] }
    }

    /// The scores of `queries` tokens that follow `past` others: each sees those before it and itself.
    pub fn causal(past: usize, queries: usize) -> Self {
        Self { lengths: (past + 1..=past + queries).collect() }
    }

    /// Rows of these lengths.
    pub fn of(lengths: Vec<usize>) -> Self {
        Self { lengths }
    }

    /// The length of each row.
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// Number of rows.
    pub fn count(&self) -> usize {
        self.lengths.len()
    }

    /// Extent of the axis: the sum of all lengths.
    pub fn extent(&self) -> usize {
        self.lengths.iter().sum()
    }

    /// The longest row's length.
    pub fn longest(&self) -> usize {
        self.lengths.iter().copied().max().unwrap_or_default()
    }

    /// The shortest row's length.
    pub fn shortest(&self) -> usize {
        self.lengths.iter().copied().min().unwrap_or_default()
    }

    /// Where each row lies on the axis.
    pub fn ranges(&self) -> impl Iterator<Item = Range<usize>> {
        self.lengths.iter().scan(0, |end, length| {
            *end += length;
            Some(*end - length..*end)
        })
    }

    /// Leading extents of a shape whose last axis has these rows.
    fn leading<'s>(&self, op: &'static str, shape: &'s Shape, last: usize) -> Result<&'s [usize]> {
        match shape.dims().split_last() {
            Some((&n, leading)) if n == last => Ok(leading),
            _ => Err(Error::shape(op, shape, &Shape::new(&[last]))),
        }
    }
}

/// The leading extents and the new last one.
fn with_last(leading: &[usize], last: usize) -> Shape {
    let mut dims = leading.to_vec();
    dims.push(last);
    Shape::new(&dims)
}

/// Sums each row: [.., extent] to [.., count].
pub struct SumRows<'a>(pub &'a Rows);

impl Structure for SumRows<'_> {
    fn apply_to<T: Elem>(&self, x: &Array<T>) -> Result<Array<T>> {
        let Self(rows) = self;
        let leading = rows.leading("sum of rows", x.shape(), rows.extent())?;
        let mut data = Vec::with_capacity(leading.iter().product::<usize>() * rows.count());
        for axis in x.data().chunks(rows.extent().max(1)) {
            data.extend(rows.ranges().map(|row| axis[row].iter().fold(T::default(), |sum, &v| sum.plus(v))));
        }
        data.resize(leading.iter().product::<usize>() * rows.count(), T::default());
        Array::new(with_last(leading, rows.count()), data)
    }
}

/// One number for each row, repeated along it: [.., count] to [.., extent].
pub struct RepeatRows<'a>(pub &'a Rows);

impl Structure for RepeatRows<'_> {
    fn apply_to<T: Elem>(&self, x: &Array<T>) -> Result<Array<T>> {
        let Self(rows) = self;
        let leading = rows.leading("numbers of rows", x.shape(), rows.count())?;
        let mut data = Vec::with_capacity(leading.iter().product::<usize>() * rows.extent());
        for axis in x.data().chunks(rows.count().max(1)) {
            for (&v, &length) in axis.iter().zip(rows.lengths()) {
                data.extend(std::iter::repeat_n(v, length));
            }
        }
        Array::new(with_last(leading, rows.extent()), data)
    }
}

/// Parts of the last axis, one after the other.
pub struct Gather<'a>(pub &'a [Range<usize>]);

impl Structure for Gather<'_> {
    fn apply_to<T: Elem>(&self, x: &Array<T>) -> Result<Array<T>> {
        let n = x.shape().last();
        if let Some(outside) = self.0.iter().find(|part| part.start > part.end || part.end > n) {
            let axis = x.shape().rank().saturating_sub(1);
            let (start, end) = (outside.start, outside.end);
            return Err(Error::Slice { shape: x.shape().clone(), axis, start, end });
        }
        let extent = self.0.iter().map(ExactSizeIterator::len).sum();
        let shape = x.shape().with_last(extent);
        let mut data = Vec::with_capacity(shape.len());
        for axis in x.data().chunks(n.max(1)) {
            self.0.iter().for_each(|part| data.extend_from_slice(&axis[part.clone()]));
        }
        Array::new(shape, data)
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
    fn causal_rows_grow() {
        let rows = Rows::causal(2, 3);
        assert_eq!(rows.lengths(), [3, 4, 5]);
        assert_eq!(rows.ranges().collect::<Vec<_>>(), [0..3, 3..7, 7..12]);
        assert_eq!((rows.count(), rows.extent(), rows.longest()), (3, 12, 5));
        assert_eq!(Rows::causal(6, 1), Rows::whole(7));
    }

    #[test]
    fn rows_are_summed_and_repeated() {
        let rows = Rows::causal(0, 3);
        let sums = SumRows(&rows).apply_to(&iota(&[2, 6])).expect("fits");
        assert_eq!((sums.shape().dims(), sums.data()), (&[2, 3][..], &[0, 3, 12, 6, 15, 30][..]));
        let repeated = RepeatRows(&rows).apply_to(&sums).expect("fits");
        assert_eq!(repeated.data()[..7], [0, 3, 3, 12, 12, 12, 6]);
        assert!(SumRows(&rows).apply_to(&iota(&[2, 5])).is_err());
        assert!(RepeatRows(&rows).apply_to(&iota(&[6])).is_err());
    }

    #[test]
    fn parts_are_gathered() {
        let x = iota(&[2, 4]);
        let y = Gather(&[3..4, 0..2]).apply_to(&x).expect("inside");
        assert_eq!((y.shape().dims(), y.data()), (&[2, 3][..], &[3, 0, 1, 7, 4, 5][..]));
        assert!(Gather(&[0..1, 2..5]).apply_to(&x).is_err());
    }
}
