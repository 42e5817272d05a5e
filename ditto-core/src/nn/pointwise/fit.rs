//! Fits a constant and a few waves to a function: which frequencies, and with which factors.
//!
//! Frequencies are whole multiples of 2 pi / 2^log_period, but not the lowest ones in a row: with three free
//! frequencies a smooth function is met as well as with five or six harmonics of one period. The search is
//! deterministic, and uses operations that IEEE 754 rounds correctly only: every machine finds the same numbers.

use std::collections::BTreeSet;

use crate::public_math::cos_sin;

/// Highest frequency tried.
const FREQUENCIES: usize = 40;
/// Points that a fit looks at. What it promises is checked on all inputs afterwards.
const POINTS: i64 = 120;
/// Sets of frequencies that are kept from one number of waves to the next.
const BEAM: usize = 16;
/// Sets that are looked at closely.
const FINALISTS: usize = 5;
/// Iterations towards the smallest maximum error.
const REWEIGHTINGS: usize = 40;

/// `constant + sum cos_j cos(f_j a) + sin_j sin(f_j a)`, a = 2 pi x / 2^log_period.
#[derive(Clone, Debug)]
pub(crate) struct Fit {
    pub(crate) constant: f64,
    /// Frequency, factor of the cosine, factor of the sine.
    pub(crate) waves: Vec<(u32, f64, f64)>,
    /// The largest error on the points of the fit.
    pub(crate) error: f64,
}

/// Looks for fits with 0, 1, 2, .. waves.
pub(crate) struct Search {
    /// Values of 1, cos(a), sin(a), cos(2a), .. per point.
    basis: Vec<Vec<f64>>,
    target: Vec<f64>,
    /// Inner products of basis functions, and with the target.
    gram: Vec<Vec<f64>>,
    right: Vec<f64>,
    squares: f64,
    /// Holds large factors that cancel each other down: they need more bits.
    ridge: f64,
    beam: Vec<Vec<u32>>,
}

impl Search {
    /// For a target on the integers from `low` to `high`, wanted within `tolerance`.
    pub(crate) fn new(
        low: i64,
        high: i64,
        log_period: u32,
        tolerance: f64,
        target: impl Fn(i64) -> f64,
    ) -> Self {
        let points: BTreeSet<i64> = (0..=POINTS).map(|i| low + (high - low) * i / POINTS).collect();
        let n = 1i64 << log_period;
        // At least two samples a turn.
        let most = FREQUENCIES.min(n as usize / 4);
        let row = |&x: &i64| {
            let at = |f: i64| cos_sin((x.rem_euclid(n) * f % n) as usize, n as usize);
            let waves = (1..=most as i64).map(at).flat_map(|(c, s)| [c, s]);
            std::iter::once(1.0).chain(waves).collect::<Vec<f64>>()
        };
        let basis: Vec<Vec<f64>> = points.iter().map(row).collect();
        let target: Vec<f64> = points.iter().map(|&x| target(x)).collect();
        let size = 1 + 2 * most;
        let (mut gram, mut right) = (vec![vec![0.0; size]; size], vec![0.0; size]);
        for (row, t) in basis.iter().zip(&target) {
            for i in 0..size {
                right[i] += row[i] * t;
                for (sum, other) in gram[i].iter_mut().zip(row) {
                    *sum += row[i] * other;
                }
            }
        }
        let squares = target.iter().map(|t| t * t).sum();
        let ridge = 1e-3 * tolerance * tolerance * points.len() as f64;
        Self { basis, target, gram, right, squares, ridge, beam: Vec::new() }
    }

    /// The best fits with one wave more than the last time; none when there are no frequencies left.
    pub(crate) fn next(&mut self) -> Vec<Fit> {
        if self.beam.is_empty() {
            self.beam = vec![Vec::new()];
        } else {
            let most = (self.right.len() / 2) as u32;
            let longer: BTreeSet<Vec<u32>> = self
                .beam
                .iter()
                .flat_map(|set| (1..=most).filter(|f| !set.contains(f)).map(|f| with(set, None, f)))
                .collect();
            let mut scored: Vec<_> = longer.into_iter().map(|set| (self.score(&set), set)).collect();
            sort(&mut scored);
            scored.truncate(BEAM);
            for entry in scored.iter_mut().take(FINALISTS) {
                self.improve(entry, most);
            }
            sort(&mut scored);
            self.beam = scored.into_iter().map(|(_, set)| set).collect();
        }
        self.beam.iter().take(FINALISTS).map(|set| self.minimax(set)).collect()
    }

    /// Moves single frequencies while that helps.
    fn improve(&self, (score, set): &mut (f64, Vec<u32>), most: u32) {
        loop {
            let before = *score;
            for i in 0..set.len() {
                for step in [-2i64, -1, 1, 2] {
                    let moved = i64::from(set[i]) + step;
                    if !(1..=i64::from(most)).contains(&moved) || set.contains(&(moved as u32)) {
                        continue;
                    }
                    let other = with(set, Some(i), moved as u32);
                    let its = self.score(&other);
                    if its < *score {
                        (*score, *set) = (its, other);
                    }
                }
            }
            if *score >= before {
                return;
            }
        }
    }

    fn columns(set: &[u32]) -> Vec<usize> {
        let pair = |&f: &u32| [2 * f as usize - 1, 2 * f as usize];
        std::iter::once(0).chain(set.iter().flat_map(pair)).collect()
    }

    /// The sum of squared errors of the best factors.
    fn score(&self, set: &[u32]) -> f64 {
        let columns = Self::columns(set);
        let gram = columns.iter().flat_map(|&i| columns.iter().map(move |&j| self.gram[i][j])).collect();
        let right: Vec<f64> = columns.iter().map(|&i| self.right[i]).collect();
        let factors = solve(gram, right.clone(), self.ridge);
        self.squares - factors.iter().zip(&right).map(|(a, b)| a * b).sum::<f64>()
    }

    /// The factors with about the smallest maximum error: least squares whose weights follow the errors (Lawson).
    fn minimax(&self, set: &[u32]) -> Fit {
        let columns = Self::columns(set);
        let size = columns.len();
        let rows: Vec<Vec<f64>> =
            self.basis.iter().map(|row| columns.iter().map(|&c| row[c]).collect()).collect();
        let mut weights = vec![1.0; rows.len()];
        let mut best = (f64::INFINITY, vec![0.0; size]);
        for _ in 0..REWEIGHTINGS {
            let (mut gram, mut right) = (vec![0.0; size * size], vec![0.0; size]);
            for ((row, t), w) in rows.iter().zip(&self.target).zip(&weights) {
                for (i, v) in row.iter().enumerate() {
                    let v = w * v;
                    right[i] += v * t;
                    for (sum, other) in gram[i * size..].iter_mut().zip(&row[..=i]) {
                        *sum += v * other;
                    }
                }
            }
            let factors = solve(gram, right, self.ridge);
            let error = |(row, t): (&Vec<f64>, &f64)| {
                let value: f64 = row.iter().zip(&factors).map(|(a, b)| a * b).sum();
                (value - t).abs()
            };
            let errors: Vec<f64> = rows.iter().zip(&self.target).map(error).collect();
            let worst = errors.iter().copied().fold(0.0, f64::max);
            if worst < best.0 {
                best = (worst, factors);
            }
            if worst == 0.0 {
                break;
            }
            for (w, e) in weights.iter_mut().zip(&errors) {
                *w *= e / worst + 1e-3;
            }
            let scale = weights.len() as f64 / weights.iter().sum::<f64>();
            weights.iter_mut().for_each(|w| *w *= scale);
        }
        let (error, factors) = best;
        let waves = set.iter().enumerate().map(|(j, &f)| (f, factors[1 + 2 * j], factors[2 + 2 * j]));
        Fit { constant: factors[0], waves: waves.collect(), error }
    }
}

fn sort(scored: &mut [(f64, Vec<u32>)]) {
    scored.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
}

/// The set with `frequency` in place of the `i`-th, or besides all.
fn with(set: &[u32], i: Option<usize>, frequency: u32) -> Vec<u32> {
    let others = set.iter().enumerate().filter(|(j, _)| Some(*j) != i).map(|(_, &f)| f);
    let mut new: Vec<u32> = others.chain([frequency]).collect();
    new.sort_unstable();
    new
}

/// Solves a symmetric positive definite system, of which the lower half is read, by Cholesky's decomposition, with
/// `ridge` added to the diagonal except for the constant.
fn solve(mut a: Vec<f64>, mut b: Vec<f64>, ridge: f64) -> Vec<f64> {
    let n = b.len();
    for i in 0..n {
        let (above, row) = a.split_at_mut(i * n);
        for j in 0..i {
            let other = &above[j * n..];
            let taken: f64 = row[..j].iter().zip(other).map(|(x, y)| x * y).sum();
            row[j] = (row[j] - taken) / other[j];
        }
        let taken: f64 = row[..i].iter().map(|v| v * v).sum();
        let added = if i > 0 { ridge } else { 0.0 };
        // Rounding can make a pivot of a nearly dependent column negative.
        row[i] = (row[i] + added - taken).max(1e-30).sqrt();
    }
    for i in 0..n {
        let taken: f64 = (0..i).map(|j| a[i * n + j] * b[j]).sum();
        b[i] = (b[i] - taken) / a[i * n + i];
    }
    for i in (0..n).rev() {
        let taken: f64 = (i + 1..n).map(|j| a[j * n + i] * b[j]).sum();
        b[i] = (b[i] - taken) / a[i * n + i];
    }
    b
}
