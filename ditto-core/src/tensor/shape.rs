//! Run-time shapes.

use std::fmt;

use smallvec::SmallVec;

use crate::error::{Error, Result};

/// The extents of a tensor, outermost first; row-major order throughout.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Shape(SmallVec<[usize; 4]>);

impl Shape {
    /// A shape from its extents.
    pub fn new(dims: &[usize]) -> Self {
        Self(SmallVec::from_slice(dims))
    }

    /// The extents.
    pub fn dims(&self) -> &[usize] {
        &self.0
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.0.iter().product()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The last extent; 1 for a scalar.
    pub fn last(&self) -> usize {
        self.0.last().copied().unwrap_or(1)
    }

    /// Number of rows when the last axis is read as a row.
    pub fn rows(&self) -> usize {
        self.0[..self.rank().saturating_sub(1)].iter().product()
    }

    /// The shape with the last axis replaced.
    pub fn with_last(&self, last: usize) -> Self {
        let mut dims = self.0.clone();
        match dims.last_mut() {
            Some(d) => *d = last,
            None => dims.push(last),
        }
        Self(dims)
    }

    /// The common shape of a binary operation: equal extents, or 1 against anything, aligned at the last axis.
    pub fn broadcast(&self, other: &Self, op: &'static str) -> Result<Self> {
        let rank = self.rank().max(other.rank());
        let at = |s: &Self, i: usize| {
            let missing = rank - s.rank();
            if i < missing { 1 } else { s.0[i - missing] }
        };
        let mut dims = SmallVec::new();
        for i in 0..rank {
            let (a, b) = (at(self, i), at(other, i));
            if a != b && a != 1 && b != 1 {
                return Err(Error::shape(op, self, other));
            }
            dims.push(if a == 1 { b } else { a });
        }
        Ok(Self(dims))
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &self.0[..])
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(dims: [usize; N]) -> Self {
        Self::new(&dims)
    }
}
