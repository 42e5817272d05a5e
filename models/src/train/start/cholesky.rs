//! Linear equations.

/// The solution x [n, m] of a x = b for a symmetric positive definite a [n, n], by Cholesky's factors; `None` for another.
pub(super) fn solve(mut a: Vec<f64>, mut b: Vec<f64>, n: usize) -> Option<Vec<f64>> {
    let m = b.len() / n.max(1);
    for j in 0..n {
        let (above, rest) = a.split_at_mut(j * n);
        let row = &mut rest[..n];
        for k in 0..j {
            // Factors lie transposed, so that rows are read along.
            let (factor, other) = (above[k * n + j], &above[k * n..][..n]);
            row[j..].iter_mut().zip(&other[j..]).for_each(|(v, o)| *v -= factor * o);
        }
        let pivot = row[j];
        if !(pivot > 0.0 && pivot.is_finite()) {
            return None;
        }
        row[j..].iter_mut().for_each(|v| *v /= pivot.sqrt());
    }
    for i in 0..n {
        let (done, rest) = b.split_at_mut(i * m);
        for k in 0..i {
            let factor = a[k * n + i];
            rest[..m].iter_mut().zip(&done[k * m..][..m]).for_each(|(v, d)| *v -= factor * d);
        }
        rest[..m].iter_mut().for_each(|v| *v /= a[i * n + i]);
    }
    for i in (0..n).rev() {
        let (rest, done) = b.split_at_mut((i + 1) * m);
        let row = &mut rest[i * m..];
        for k in i + 1..n {
            let factor = a[i * n + k];
            row.iter_mut().zip(&done[(k - i - 1) * m..][..m]).for_each(|(v, d)| *v -= factor * d);
        }
        row.iter_mut().for_each(|v| *v /= a[i * n + i]);
    }
    Some(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equations_are_solved() {
        let (a, x) = ([4.0, 2.0, 0.5, 2.0, 5.0, 1.0, 0.5, 1.0, 3.0], [1.0, -2.0, 0.5, 3.0, 2.0, -1.0]);
        let b: Vec<f64> = (0..3)
            .flat_map(|i| (0..2).map(move |j| (0..3).map(|k| a[i * 3 + k] * x[k * 2 + j]).sum()))
            .collect();
        let solved = solve(a.to_vec(), b, 3).unwrap();
        assert!(solved.iter().zip(x).all(|(s, x)| (s - x).abs() < 1e-12), "{solved:?}");
        assert_eq!(solve(vec![1.0, 2.0, 2.0, 1.0], vec![1.0, 1.0], 2), None);
    }
}
