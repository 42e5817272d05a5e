//! The triangular products of causal attention, block by block through dense ones.

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::tensor::{Array, Elem, Rows, Shape};

/// Queries of a block: it goes through a dense product with the keys that its last query sees, so a query multiplies by
/// half as many keys too many on average.
const BLOCK: usize = 32;

/// Extents of a batch of causal attentions.
pub(super) struct Causal {
    /// Extents before those of a matrix: heads.
    leading: Vec<usize>,
    queries: usize,
    keys: usize,
    width: usize,
}

impl Causal {
    /// For queries [.., q, d] and keys [.., n, d].
    pub(super) fn of_queries(op: &'static str, x: &Shape, y: &Shape) -> Result<Self> {
        match (x.dims(), y.dims()) {
            ([bx @ .., queries, width], [by @ .., keys, dy])
                if bx == by && width == dy && queries <= keys && *queries > 0 =>
            {
                Ok(Self { leading: bx.to_vec(), queries: *queries, keys: *keys, width: *width })
            }
            _ => Err(Error::shape(op, x, y)),
        }
    }

    /// For weights [.., extent] and values [.., n, d].
    pub(super) fn of_weights(op: &'static str, queries: usize, x: &Shape, y: &Shape) -> Result<Self> {
        match (x.dims(), y.dims()) {
            ([bx @ .., extent], [by @ .., keys, width]) if bx == by && queries <= *keys && queries > 0 => {
                let causal = Self { leading: bx.to_vec(), queries, keys: *keys, width: *width };
                if causal.rows().extent() == *extent { Ok(causal) } else { Err(Error::shape(op, x, y)) }
            }
            _ => Err(Error::shape(op, x, y)),
        }
    }

    fn rows(&self) -> Rows {
        Rows::causal(self.keys - self.queries, self.queries)
    }

    fn with(&self, last: &[usize]) -> Shape {
        Shape::new(&[&self.leading, last].concat())
    }

    /// Shape of the scores.
    pub(super) fn scores(&self) -> Shape {
        self.with(&[self.rows().extent()])
    }

    /// Shape of weighted values.
    pub(super) fn mixed(&self) -> Shape {
        self.with(&[self.queries, self.width])
    }

    /// Runs `each` on every block of every matrix of a batch.
    ///
    /// `each` gets the matrix's number, the block's first query, where its rows lie on the axis, and its part of the
    /// result, in which a row of query i takes `size(i)` elements.
    fn blocks<T: Elem>(
        &self,
        out: Shape,
        size: impl Fn(usize) -> usize,
        each: impl Fn(usize, usize, &[std::ops::Range<usize>], &mut [T]) -> Result<()> + Sync,
    ) -> Result<Array<T>> {
        let ranges: Vec<_> = self.rows().ranges().collect();
        let mut data = vec![T::default(); out.len()];
        let mut rest = &mut data[..];
        let mut tasks = Vec::new();
        for matrix in 0..self.leading.iter().product() {
            for (block, rows) in ranges.chunks(BLOCK).enumerate() {
                let first = block * BLOCK;
                let elements = (first..first + rows.len()).map(&size).sum();
                let (own, others) = std::mem::take(&mut rest).split_at_mut(elements);
                rest = others;
                tasks.push((matrix, first, rows, own));
            }
        }
        tasks.into_par_iter().try_for_each(|(matrix, first, rows, own)| each(matrix, first, rows, own))?;
        Array::new(out, data)
    }

    /// Scores of queries `x` with keys `y`. `dense` adds a product [m, k] x [n, k]^T to its last argument.
    pub(super) fn score<T: Elem>(
        &self,
        x: &Array<T>,
        y: &Array<T>,
        dense: impl Fn([usize; 3], &[T], &[T], &mut [T]) -> Result<()> + Sync,
    ) -> Result<Array<T>> {
        let (d, past) = (self.width, self.keys - self.queries);
        self.blocks(
            self.scores(),
            |query| past + query + 1,
            |matrix, first, rows, out| {
                let seen = past + first + rows.len();
                let queries = &x.data()[(matrix * self.queries + first) * d..][..rows.len() * d];
                let keys = &y.data()[matrix * self.keys * d..][..seen * d];
                let mut all = vec![T::default(); rows.len() * seen];
                dense([rows.len(), d, seen], queries, keys, &mut all)?;
                let mut out = out;
                for (row, all) in rows.iter().zip(all.chunks(seen)) {
                    let (own, rest) = out.split_at_mut(row.len());
                    own.copy_from_slice(&all[..row.len()]);
                    out = rest;
                }
                Ok(())
            },
        )
    }

    /// Values `y` weighted by rows `x`. `dense` adds a product [m, k] x [k, n] to its last argument.
    pub(super) fn mix<T: Elem>(
        &self,
        x: &Array<T>,
        y: &Array<T>,
        dense: impl Fn([usize; 3], &[T], &[T], &mut [T]) -> Result<()> + Sync,
    ) -> Result<Array<T>> {
        let (d, past, extent) = (self.width, self.keys - self.queries, self.rows().extent());
        self.blocks(
            self.mixed(),
            |_| d,
            |matrix, first, rows, out| {
                let seen = past + first + rows.len();
                let own = &x.data()[matrix * extent..][..extent];
                let mut weights = vec![T::default(); rows.len() * seen];
                for (row, weights) in rows.iter().zip(weights.chunks_mut(seen)) {
                    weights[..row.len()].copy_from_slice(&own[row.clone()]);
                }
                let values = &y.data()[matrix * self.keys * d..][..seen * d];
                dense([rows.len(), seen, d], &weights, values, out)
            },
        )
    }
}
