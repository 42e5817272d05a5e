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

/// Applies `f` to pairs after broadcasting both operands to their common shape.
pub fn broadcast_zip<A: Elem, B: Elem, C: Elem>(
    a: &Array<A>,
    b: &Array<B>,
    op: &'static str,
    f: impl Fn(A, B) -> C + Sync,
) -> Result<Array<C>> {
    if a.shape == b.shape {
        return a.zip(b, op, f);
    }
    let shape = a.shape.broadcast(&b.shape, op)?;
    let a = super::Broadcast(&shape).apply_to(a)?;
    let b = super::Broadcast(&shape).apply_to(b)?;
    a.zip(&b, op, f)
}
