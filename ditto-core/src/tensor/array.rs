//! A dense row-major array that is cheap to clone.

use std::fmt;
use std::sync::Arc;

use rayon::prelude::*;

use super::{Shape, Structure};
use crate::error::{Error, Result};
use crate::ring::Word;

/// What an array may hold: ring words, true integers (simulation), floats (reference), nothing (cost metering).
pub trait Elem: Copy + Default + Send + Sync + 'static {
    /// Sum; wraps in words.
    fn plus(self, other: Self) -> Self;
    /// Difference; wraps in words.
    fn minus(self, other: Self) -> Self;
}

macro_rules! elem_word {
    ($($t:ty),*) => {$(
        impl Elem for $t {
            #[inline(always)]
            fn plus(self, other: Self) -> Self { self.wrapping_add(other) }
            #[inline(always)]
            fn minus(self, other: Self) -> Self { self.wrapping_sub(other) }
        }
    )*};
}
elem_word!(u8, u16, u32, u64, u128, i64, i128);

impl Elem for f32 {
    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self + other
    }
    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        self - other
    }
}

impl Elem for () {
    #[inline(always)]
    fn plus(self, (): Self) {}
    #[inline(always)]
    fn minus(self, (): Self) {}
}

/// Element counts above which a pass over memory is worth several threads.
const PARALLEL: usize = 1 << 15;

/// A vector of `n` elements of which `fill` writes every part, given where the part starts; long ones on several threads.
///
/// `fill` is a trait object so that there is one copy of the threads' code for each type, not one for each function.
pub(crate) fn filled<T: Elem>(n: usize, fill: &(dyn Fn(usize, &mut [T]) + Sync)) -> Vec<T> {
    let mut out = vec![T::default(); n];
    if n < PARALLEL {
        fill(0, &mut out);
    } else {
        let part = n.div_ceil(rayon::current_num_threads()).max(PARALLEL / 2);
        out.par_chunks_mut(part).enumerate().for_each(|(i, out)| fill(i * part, out));
    }
    out
}

/// A dense row-major array; clones share the data.
#[derive(Clone, Default)]
pub struct Array<T> {
    shape: Shape,
    data: Arc<Vec<T>>,
}

impl<T> fmt::Debug for Array<T> {
    // Never the contents: they may be shares.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Array{}", self.shape)
    }
}

impl<T: Elem> Array<T> {
    /// An array of the given shape; the data's length must be the shape's.
    pub fn new(shape: impl Into<Shape>, data: Vec<T>) -> Result<Self> {
        let shape = shape.into();
        if shape.len() != data.len() {
            return Err(Error::Length { op: "array", shape, got: data.len() });
        }
        Ok(Self { shape, data: Arc::new(data) })
    }

    /// An array around shared data of the right length.
    pub(crate) fn from_arc(shape: Shape, data: Arc<Vec<T>>) -> Self {
        debug_assert_eq!(shape.len(), data.len());
        Self { shape, data }
    }

    /// An array of default values (zeros).
    pub fn zeros(shape: impl Into<Shape>) -> Self {
        let shape = shape.into();
        let data = vec![T::default(); shape.len()];
        Self { shape, data: Arc::new(data) }
    }

    /// The shape.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The elements in row-major order.
    pub fn data(&self) -> &[T] {
        &self.data
    }

    /// The elements as the shared vector itself.
    pub(crate) fn arc(&self) -> Arc<Vec<T>> {
        self.data.clone()
    }

    /// The elements, copied only if another clone still reads them.
    pub fn into_vec(self) -> Vec<T> {
        Arc::try_unwrap(self.data).unwrap_or_else(|shared| (*shared).clone())
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// The same data under another shape with as many elements.
    pub fn reshape(&self, shape: impl Into<Shape>) -> Result<Self> {
        let shape = shape.into();
        if shape.len() != self.len() {
            return Err(Error::shape("reshape", &self.shape, &shape));
        }
        Ok(Self { shape, data: self.data.clone() })
    }

    /// Applies `f` to every element.
    pub fn map<U: Elem>(&self, f: impl Fn(T) -> U + Sync) -> Array<U> {
        let data = filled(self.len(), &|at, out| {
            for (out, &v) in out.iter_mut().zip(&self.data[at..]) {
                *out = f(v);
            }
        });
        Array { shape: self.shape.clone(), data: Arc::new(data) }
    }

    /// Applies `f` to pairs of elements of two arrays of one shape.
    pub fn zip<U: Elem, V: Elem>(
        &self,
        other: &Array<U>,
        op: &'static str,
        f: impl Fn(T, U) -> V + Sync,
    ) -> Result<Array<V>> {
        if self.shape != *other.shape() {
            return Err(Error::shape(op, &self.shape, other.shape()));
        }
        let data = filled(self.len(), &|at, out| {
            for (out, (&a, &b)) in out.iter_mut().zip(self.data[at..].iter().zip(&other.data()[at..])) {
                *out = f(a, b);
            }
        });
        Ok(Array { shape: self.shape.clone(), data: Arc::new(data) })
    }
}

impl<W: Word + Elem> Array<W> {
    /// Every element modulo 2^k.
    pub(crate) fn low(&self, k: u32) -> Self {
        if k >= W::BITS { self.clone() } else { self.map(|v| v.low(k)) }
    }
}

/// How the elements of an array repeat in a larger shape, where that takes no table of indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// The shapes are the same.
    Not,
    /// Each element fills a row of so many.
    Elements(usize),
    /// All elements, so many, fill each row.
    Rows(usize),
}

impl Repeat {
    /// How `shape` repeats in `whole`, to which it can be broadcast.
    pub(crate) fn of(shape: &Shape, whole: &Shape) -> Option<Self> {
        let (dims, out) = (shape.dims(), whole.dims());
        if dims == out {
            return Some(Self::Not);
        }
        if whole.is_empty() {
            return None;
        }
        if shape.len() == 1 {
            return Some(Self::Elements(whole.len()));
        }
        let inner = dims.iter().skip_while(|&&d| d == 1).count();
        if out.ends_with(&dims[dims.len() - inner..]) {
            return Some(Self::Rows(shape.len()));
        }
        let outer = dims.len() - dims.iter().rev().take_while(|&&d| d == 1).count();
        let same = dims.len() == out.len() && out.starts_with(&dims[..outer]);
        same.then(|| Self::Elements(whole.len() / shape.len()))
    }
}

/// Applies `f` to pairs after broadcasting both operands to their common shape.
pub fn broadcast_zip<A: Elem, B: Elem, C: Elem>(
    a: &Array<A>,
    b: &Array<B>,
    op: &'static str,
    f: impl Fn(A, B) -> C + Sync,
) -> Result<Array<C>> {
    let shape = a.shape.broadcast(&b.shape, op)?;
    let a = super::Broadcast(&shape).apply_to(a)?;
    let (whole, own) = (a.data(), b.data());
    let data = match Repeat::of(&b.shape, &shape) {
        Some(Repeat::Elements(n)) => filled(shape.len(), &|at, out| {
            in_rows(at, n, out, |row, at, out| {
                let b = own[row];
                out.iter_mut().zip(&whole[at..]).for_each(|(out, &a)| *out = f(a, b));
            });
        }),
        Some(Repeat::Rows(n)) => filled(shape.len(), &|at, out| {
            in_rows(at, n, out, |row, at, out| {
                let pairs = whole[at..].iter().zip(&own[at - row * n..]);
                out.iter_mut().zip(pairs).for_each(|(out, (&a, &b))| *out = f(a, b));
            });
        }),
        _ => return a.zip(&super::Broadcast(&shape).apply_to(b)?, op, f),
    };
    Ok(Array { shape, data: Arc::new(data) })
}

/// Cuts `out`, which starts at element `at` of a whole, where rows of `n` end: `f` gets the row, where its piece starts in the
/// whole, and the piece.
#[inline(always)]
pub(crate) fn in_rows<T>(at: usize, n: usize, mut out: &mut [T], mut f: impl FnMut(usize, usize, &mut [T])) {
    let mut at = at;
    while !out.is_empty() {
        let row = at / n;
        let (piece, rest) = out.split_at_mut(((row + 1) * n - at).min(out.len()));
        f(row, at, piece);
        at += piece.len();
        out = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Broadcast;

    #[test]
    fn what_repeats_is_as_what_was_copied() {
        let whole = Shape::new(&[3, 4, 5]);
        let numbers = |shape: &Shape| {
            Array::new(shape.clone(), (0..shape.len() as u64).map(|i| i * i + 3).collect()).expect("fits")
        };
        let wide = Shape::new(&[3, 200, 100]);
        for (out, dims) in [
            (&whole, &[3, 4, 5][..]),
            (&whole, &[5]),
            (&whole, &[1, 5]),
            (&whole, &[4, 5]),
            (&whole, &[1, 4, 5]),
            (&whole, &[3, 1, 1]),
            (&whole, &[3, 4, 1]),
            (&whole, &[1]),
            (&whole, &[]),
            (&whole, &[4, 1]),
            (&whole, &[3, 1, 5]),
            (&whole, &[1, 4, 1]),
            (&wide, &[100]),
            (&wide, &[3, 200, 1]),
            (&wide, &[3, 1, 1]),
        ] {
            let (a, b) = (numbers(out), numbers(&Shape::new(dims)));
            let copied = Broadcast(out).apply_to(&b).expect("fits");
            let f = |a: u64, b: u64| a.wrapping_mul(31).wrapping_sub(b);
            let got = broadcast_zip(&a, &b, "test", f).expect("fits");
            assert_eq!(got.data(), a.zip(&copied, "test", f).expect("one shape").data(), "{dims:?}");
            let turned = broadcast_zip(&b, &a, "test", |b, a| f(a, b)).expect("fits");
            assert_eq!(turned.data(), got.data(), "{dims:?} on the left");
        }
    }
}
