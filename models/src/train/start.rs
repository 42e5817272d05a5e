//! Where a student with Quad starts: at the quadratic function nearest to the teacher's activation.
//!
//! `Quad(a x + b) + d` is any quadratic function with a positive square, and a, b and d go into the linear layers before and
//! after it. So each unit gets, by least squares over what enters it on the training texts, a function of its own. The first
//! step of training then begins near the teacher, not at what Quad makes of weights that are meant for GELU. What is left of
//! the difference, the layer after the activations makes up for as far as a linear layer can.

use candle_core::{Result, Tensor};
use ditto_core::nn::Activation;

use super::TrainError;
use super::data::{Batch, Data, Example};
use super::engine::activation;
use super::learner::Learner;
use super::loss;

/// Tokens that each layer is fitted on, about.
const TOKENS: usize = 48_000;
/// Tokens that are read together.
const TOGETHER: usize = 2048;
/// The smallest factor of a square: that of a function which is nearly straight would ask for large offsets.
const LEAST_SQUARE: f64 = 0.03;
/// What is added to the squares of outputs, as a part of their mean, so that weights change no more than the texts tell.
const RIDGE: f64 = 0.003;

/// Sums over tokens of x^0 .. x^4, and of g, g x, g x^2 for what should come out, of every unit.
type Sums = Vec<[f64; 8]>;

/// Moves the weights of a student's feed-forward parts so that it is near its teacher, one layer after the other: each is
/// fitted to what the layers before it really give.
///
/// # Errors
///
/// As reading teacher and student.
pub(super) fn start_near(
    student: &Learner,
    teacher: &Learner,
    data: &Data,
    seed: u64,
) -> std::result::Result<(), TrainError> {
    let function = teacher.spec.functions().activation;
    let mut tokens = 0;
    let enough = data.batches(TOGETHER, seed).into_iter().take_while(|texts| {
        let before = tokens;
        tokens += texts.iter().filter_map(|&i| data.examples.get(i)).map(Example::tokens).sum::<usize>();
        before < TOKENS
    });
    let batches = enough.map(|texts| data.batch(&texts, student.variables.device()));
    let batches = batches.collect::<Result<Vec<Batch>>>()?;
    // After a feed-forward part comes every second normalisation: BERT has one before its layers, GPT-2 two in each.
    let after = |layer: usize| 2 * layer + 2;
    let layers = teacher.spec.architecture.num_hidden_layers;
    let wanted = batches.iter().map(|batch| {
        let sums = teacher.read(batch)?.seen.sums;
        Ok((0..layers).map(|layer| sums[after(layer)].clone()).collect())
    });
    let wanted = wanted.collect::<std::result::Result<Vec<Vec<Tensor>>, TrainError>>()?;
    for layer in 0..layers {
        let read = batches.iter().zip(&wanted).map(|(batch, wanted)| {
            let seen = student.read(batch)?.seen;
            let missing = (&wanted[layer] - seen.sums[after(layer)].detach())?;
            Ok(Inside { x: loss::rows(&seen.inner[layer].detach())?, missing: loss::rows(&missing)? })
        });
        let read = read.collect::<std::result::Result<Vec<Inside>, TrainError>>()?;
        let mut sums: Option<Sums> = None;
        for inside in &read {
            let new = moments(&inside.x, &activation(function, &inside.x)?)?;
            match &mut sums {
                None => sums = Some(new),
                Some(sums) => sums.iter_mut().flatten().zip(new.iter().flatten()).for_each(|(s, n)| *s += n),
            }
        }
        let fits = sums.unwrap_or_default().iter().map(Fit::of).collect();
        let part = FeedForward::new(student, layer, fits)?;
        part.absorb()?;
        part.regress(&read)?;
    }
    Ok(())
}

/// What a student's feed-forward part does with a batch, before it is changed.
struct Inside {
    /// What enters the activations, [tokens, units].
    x: Tensor,
    /// What the teacher's hidden states have more after the part, [tokens, hidden].
    missing: Tensor,
}

/// A feed-forward part of a student, and the functions that its units are to have.
struct FeedForward<'a> {
    student: &'a Learner,
    /// The layers before and after the activations.
    names: [String; 2],
    /// Of each unit a, b and d of `Quad(a x + b) + d`.
    a: Tensor,
    b: Tensor,
    d: Tensor,
}

impl<'a> FeedForward<'a> {
    fn new(student: &'a Learner, layer: usize, fits: Vec<Fit>) -> Result<Self> {
        let column = |of: &dyn Fn(&Fit) -> f64| {
            let numbers: Vec<f32> = fits.iter().map(|fit| of(fit) as f32).collect();
            Tensor::from_vec(numbers, fits.len(), student.variables.device())
        };
        let (a, b, d) = (column(&|fit| fit.a)?, column(&|fit| fit.b)?, column(&|fit| fit.d)?);
        Ok(Self { student, names: names(student, layer), a, b, d })
    }

    /// Moves the functions of the units into the weights around them.
    fn absorb(&self) -> std::result::Result<(), TrainError> {
        let ([before, after], variables) = (&self.names, &self.student.variables);
        variables.change(&format!("{before}.weight"), &|w| w.broadcast_mul(&self.a.unsqueeze(1)?))?;
        variables.change(&format!("{before}.bias"), &|bias| (bias * &self.a)? + &self.b)?;
        let weight = variables.matrix(&format!("{after}.weight"))?;
        let offset = weight.matmul(&self.d.unsqueeze(1)?)?.squeeze(1)?;
        variables.change(&format!("{after}.bias"), &|bias| bias + &offset)
    }

    /// Changes the layer after the activations so that what it adds to the hidden states makes up for the rest of the
    /// difference, by ridge regression.
    fn regress(&self, read: &[Inside]) -> std::result::Result<(), TrainError> {
        let ([_, after], variables) = (&self.names, &self.student.variables);
        let weight = variables.matrix(&format!("{after}.weight"))?.t()?.contiguous()?;
        let mut sums: Option<[Tensor; 2]> = None;
        let mut tokens = 0;
        for Inside { x, missing } in read {
            let units = x.broadcast_mul(&self.a)?.broadcast_add(&self.b)?;
            let units = activation(Activation::Quad, &units)?;
            // The new functions already changed what was missing.
            let changed = (units.broadcast_add(&self.d)? - activation(Activation::Quad, x)?)?;
            let missing = (missing - changed.matmul(&weight)?)?;
            // A column of ones for the bias.
            let units = Tensor::cat(&[&units, &units.narrow(1, 0, 1)?.ones_like()?], 1)?;
            tokens += units.dim(0)?;
            let transposed = units.t()?.contiguous()?;
            let new = [transposed.matmul(&units)?, transposed.matmul(&missing)?];
            sums = Some(match sums {
                None => new,
                Some([squares, products]) => [(squares + &new[0])?, (products + &new[1])?],
            });
        }
        let Some([squares, products]) = sums else { return Ok(()) };
        let numbers = |t: &Tensor| -> Result<Vec<f64>> {
            Ok(t.flatten_all()?.to_vec1::<f32>()?.into_iter().map(f64::from).collect())
        };
        let (n, outputs) = products.dims2()?;
        let mut matrix = numbers(&squares)?;
        let mean = (0..n).map(|i| matrix[i * n + i]).sum::<f64>() / n as f64;
        (0..n).for_each(|i| matrix[i * n + i] += RIDGE * mean.max(tokens as f64 * 1e-6));
        let Some(change) = solve(matrix, numbers(&products)?, n) else { return Ok(()) };
        let change: Vec<f32> = change.into_iter().map(|v| v as f32).collect();
        let change = Tensor::from_vec(change, (n, outputs), variables.device())?;
        let weight = change.narrow(0, 0, n - 1)?.t()?;
        let bias = change.narrow(0, n - 1, 1)?.squeeze(0)?;
        variables.change(&format!("{after}.weight"), &|w| w + &weight)?;
        variables.change(&format!("{after}.bias"), &|b| b + &bias)
    }
}

/// The solution x [n, m] of a x = b for a symmetric positive definite a [n, n], by Cholesky's factors; `None` for another.
fn solve(mut a: Vec<f64>, mut b: Vec<f64>, n: usize) -> Option<Vec<f64>> {
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

/// The sums of every unit, of what enters it and of what should come out; units are the last axis.
fn moments(x: &Tensor, g: &Tensor) -> Result<Sums> {
    let xx = x.sqr()?;
    let terms =
        [x.ones_like()?, x.clone(), xx.clone(), (&xx * x)?, xx.sqr()?, g.clone(), (g * x)?, (g * &xx)?];
    let mut sums = vec![[0.0; 8]; x.dim(1)?];
    for (i, term) in terms.iter().enumerate() {
        let of_units = term.sum(0)?.to_vec1::<f32>()?;
        sums.iter_mut().zip(of_units).for_each(|(sums, sum)| sums[i] = f64::from(sum));
    }
    Ok(sums)
}

/// The layers before and after a layer's activations, by the model's names.
fn names(student: &Learner, layer: usize) -> [String; 2] {
    if student.spec.architecture.head.is_causal() {
        [format!("h.{layer}.mlp.c_fc"), format!("h.{layer}.mlp.c_proj")]
    } else {
        ["intermediate", "output"].map(|part| format!("encoder.layer.{layer}.{part}.dense"))
    }
}

/// `Quad(a x + b) + d`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Fit {
    a: f64,
    b: f64,
    d: f64,
}

impl Fit {
    /// The nearest to the activation, by least squares with a square of at least [`LEAST_SQUARE`].
    fn of([n, x, xx, x3, x4, g, gx, gxx]: &[f64; 8]) -> Self {
        // Around the mean, as x may lie far from 0.
        let n = n.max(1.0);
        let [x, xx, x3, x4, g, gx, gxx] = [x, xx, x3, x4, g, gx, gxx].map(|sum| sum / n);
        let mean = x;
        let m2 = (xx - mean * mean).max(1e-9);
        let m3 = x3 - 3.0 * mean * xx + 2.0 * mean.powi(3);
        let m4 = x4 - 4.0 * mean * x3 + 6.0 * mean * mean * xx - 3.0 * mean.powi(4);
        // g = r + q u + p (u^2 - m2) with u = x - mean; q and p by normal equations.
        let (c1, c2) = (gx - mean * g, gxx - 2.0 * mean * gx + mean * mean * g - m2 * g);
        let spread = (m4 - m2 * m2 - m3 * m3 / m2).max(1e-12);
        let p = ((c2 - m3 / m2 * c1) / spread).clamp(LEAST_SQUARE, 4.0);
        let q = (c1 - p * m3) / m2;
        let r = g - p * m2;
        // In powers of x.
        let (q, r) = (q - 2.0 * p * mean, r - q * mean + p * mean * mean);
        let a = (8.0 * p).sqrt();
        let b = 4.0 * q / a - 1.0;
        Self { a, b, d: r - (0.125 * b * b + 0.25 * b + 0.5) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(xs: &[f64], f: impl Fn(f64) -> f64) -> [f64; 8] {
        xs.iter().fold([0.0; 8], |mut sums, &x| {
            let g = f(x);
            let terms = [1.0, x, x * x, x.powi(3), x.powi(4), g, g * x, g * x * x];
            sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
            sums
        })
    }

    #[test]
    fn a_quadratic_function_is_found() {
        let xs: Vec<f64> = (-40..=70).map(|i| f64::from(i) * 0.05).collect();
        let f = |x: f64| 0.3 * x * x + 0.7 * x - 0.2;
        let fit = Fit::of(&sums(&xs, f));
        for x in xs {
            let y = Activation::Quad.value(fit.a * x + fit.b) + fit.d;
            assert!((y - f(x)).abs() < 1e-9, "{x}: {y}");
        }
    }

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

    #[test]
    fn a_function_is_near_gelu_where_it_was_fitted() {
        let xs: Vec<f64> = (-30..=10).map(|i| f64::from(i) * 0.1).collect();
        let fit = Fit::of(&sums(&xs, |x| Activation::Gelu.value(x)));
        let error = |f: &dyn Fn(f64) -> f64| {
            xs.iter().map(|&x| (f(x) - Activation::Gelu.value(x)).powi(2)).sum::<f64>().sqrt()
        };
        let fitted = error(&|x| Activation::Quad.value(fit.a * x + fit.b) + fit.d);
        assert!(fitted < 0.25 * error(&|x| Activation::Quad.value(x)), "{fitted}");
    }
}
