//! Where a student with Quad starts: at the quadratic function nearest to the teacher's activation.
//!
//! `Quad(a x + b) + d` is any quadratic function with a positive square, and a, b and d go into the linear layers before and
//! after it. So each unit gets, by least squares over what enters it on the training texts, a function of its own. The first
//! step of training then begins near the teacher, not at what Quad makes of weights that are meant for GELU.

use candle_core::{Result, Tensor};
use ditto_core::nn::Activation;

use super::TrainError;
use super::data::Data;
use super::engine::activation;
use super::learner::Learner;
use super::loss;

/// Tokens that functions are fitted on, about.
const TOKENS: usize = 50_000;
/// The smallest factor of a square: that of a function which is nearly straight would ask for large offsets.
const LEAST_SQUARE: f64 = 0.03;

/// Sums over tokens of x^0 .. x^4, and of g, g x, g x^2 for what comes out of the activation, of every unit.
type Sums = Vec<[f64; 8]>;

/// Moves the weights of a student's feed-forward parts so that Quad is near the teacher's activation.
///
/// # Errors
///
/// As reading the teacher.
pub(super) fn start_near(
    student: &Learner,
    teacher: &Learner,
    data: &Data,
    seed: u64,
) -> std::result::Result<(), TrainError> {
    let layers = teacher.spec.architecture.num_hidden_layers;
    let function = teacher.spec.functions().activation;
    let (mut sums, mut tokens): (Vec<Sums>, usize) = (Vec::new(), 0);
    for batch in data.batches(TOKENS / 10, seed) {
        let batch = data.batch(&batch, teacher.variables.device())?;
        let seen = teacher.read(&batch)?.seen;
        tokens += batch.texts * batch.request.rows();
        for (layer, x) in seen.inner.iter().take(layers).enumerate() {
            let new = moments(x, function)?;
            match sums.get_mut(layer) {
                None => sums.push(new),
                Some(old) => old.iter_mut().zip(new).for_each(|(old, new)| {
                    old.iter_mut().zip(new).for_each(|(old, new)| *old += new);
                }),
            }
        }
        if tokens >= TOKENS {
            break;
        }
    }
    for (layer, sums) in sums.iter().enumerate() {
        let fits: Vec<Fit> = sums.iter().map(Fit::of).collect();
        absorb(student, layer, &fits)?;
    }
    Ok(())
}

/// The sums of every unit, whose inputs are the last axis.
fn moments(x: &Tensor, function: Activation) -> Result<Sums> {
    let x = loss::rows(&x.detach())?;
    let (xx, g) = (x.sqr()?, activation(function, &x)?);
    let terms =
        [x.ones_like()?, x.clone(), xx.clone(), (&xx * &x)?, xx.sqr()?, g.clone(), (&g * &x)?, (&g * &xx)?];
    let mut sums = vec![[0.0; 8]; x.dim(1)?];
    for (i, term) in terms.iter().enumerate() {
        let of_units = term.sum(0)?.to_vec1::<f32>()?;
        sums.iter_mut().zip(of_units).for_each(|(sums, sum)| sums[i] = f64::from(sum));
    }
    Ok(sums)
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

/// Moves the functions of a layer's units into the weights around them.
fn absorb(student: &Learner, layer: usize, fits: &[Fit]) -> std::result::Result<(), TrainError> {
    let (before, after) = if student.spec.architecture.head.is_causal() {
        (format!("h.{layer}.mlp.c_fc"), format!("h.{layer}.mlp.c_proj"))
    } else {
        (format!("encoder.layer.{layer}.intermediate.dense"), format!("encoder.layer.{layer}.output.dense"))
    };
    let variables = &student.variables;
    let column = |of: &dyn Fn(&Fit) -> f64| {
        let numbers: Vec<f32> = fits.iter().map(|fit| of(fit) as f32).collect();
        Tensor::from_vec(numbers, fits.len(), variables.device())
    };
    let (a, b, d) = (column(&|fit| fit.a)?, column(&|fit| fit.b)?, column(&|fit| fit.d)?);
    variables.change(&format!("{before}.weight"), &|w| w.broadcast_mul(&a.unsqueeze(1)?))?;
    variables.change(&format!("{before}.bias"), &|bias| (bias * &a)? + &b)?;
    let offset = variables.matrix(&format!("{after}.weight"))?.matmul(&d.unsqueeze(1)?)?.squeeze(1)?;
    variables.change(&format!("{after}.bias"), &|bias| bias + &offset)?;
    Ok(())
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
    fn a_function_is_near_gelu_where_it_was_fitted() {
        let xs: Vec<f64> = (-30..=10).map(|i| f64::from(i) * 0.1).collect();
        let fit = Fit::of(&sums(&xs, |x| Activation::Gelu.value(x)));
        let error = |f: &dyn Fn(f64) -> f64| {
            xs.iter().map(|&x| (f(x) - Activation::Gelu.value(x)).powi(2)).sum::<f64>().sqrt()
        };
        let fitted = error(&|x| Activation::Quad.value(fit.a * x + fit.b) + fit.d);
        assert!(fitted < 0.15 * error(&|x| Activation::Quad.value(x)), "{fitted}");
    }
}
