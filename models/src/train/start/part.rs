//! One feed-forward part of a student, fitted to its teacher's by itself.

use candle_core::{Result, Tensor, Var};
use ditto_core::nn::Activation;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::super::TrainError;
use super::super::adamw::{AdamW, Rules};
use super::super::engine::{activation, standard};
use super::super::learner::Learner;
use super::super::loss;
use super::super::schedule::rate;
use super::Start;
use super::cholesky::solve;
use super::quadratic::{Fit, Sums, moments};

/// Tokens whose units are in memory together.
const TOGETHER: usize = 4096;
/// What is added to the squares of outputs, as a part of their mean, so that weights change no more than the texts tell.
const RIDGE: f64 = 0.003;
/// Of the tokens, every how-manieth is kept back, to see whether a part came nearer on others, too.
const KEPT_BACK: usize = 20;
/// Added to variances.
const EPSILON: f64 = 1e-12;

/// A part, what enters it, and what should come out.
pub(super) struct Part<'a> {
    pub(super) student: &'a Learner,
    pub(super) layer: usize,
    /// What enters it, [tokens, hidden].
    pub(super) x: Tensor,
    /// What its output is added to, [tokens, hidden].
    pub(super) residual: Tensor,
    /// The teacher's sum of both, [tokens, hidden].
    pub(super) wanted: Tensor,
}

/// The two linear layers of a part; matrices are [inputs, outputs].
#[derive(Clone)]
struct Layers {
    before: Tensor,
    before_bias: Tensor,
    after: Tensor,
    after_bias: Tensor,
}

impl Layers {
    fn enter(&self, x: &Tensor) -> Result<Tensor> {
        x.matmul(&self.before)?.broadcast_add(&self.before_bias)
    }
    fn units(&self, x: &Tensor) -> Result<Tensor> {
        activation(Activation::Quad, &self.enter(x)?)
    }
    fn leave(&self, units: &Tensor) -> Result<Tensor> {
        units.matmul(&self.after)?.broadcast_add(&self.after_bias)
    }
    fn give(&self, x: &Tensor) -> Result<Tensor> {
        self.leave(&self.units(x)?)
    }
}

impl Part<'_> {
    /// The layers before and after the activations, by the model's names.
    fn names(&self) -> [String; 2] {
        let layer = self.layer;
        if self.student.spec.architecture.head.is_causal() {
            [format!("h.{layer}.mlp.c_fc"), format!("h.{layer}.mlp.c_proj")]
        } else {
            ["intermediate", "output"].map(|part| format!("encoder.layer.{layer}.{part}.dense"))
        }
    }

    fn layers(&self) -> std::result::Result<Layers, TrainError> {
        let variables = &self.student.variables;
        let [before, after] = self.names();
        let matrix = |name: &str| -> std::result::Result<Tensor, TrainError> {
            Ok(variables.matrix(&format!("{name}.weight"))?.t()?.contiguous()?)
        };
        Ok(Layers {
            before: matrix(&before)?,
            before_bias: variables.matrix(&format!("{before}.bias"))?,
            after: matrix(&after)?,
            after_bias: variables.matrix(&format!("{after}.bias"))?,
        })
    }

    fn put(&self, layers: &Layers) -> std::result::Result<(), TrainError> {
        let variables = &self.student.variables;
        let [before, after] = self.names();
        let put = |name: &str, weight: &Tensor, bias: &Tensor| -> std::result::Result<(), TrainError> {
            variables.change(&format!("{name}.weight"), &|_| weight.t())?;
            variables.change(&format!("{name}.bias"), &|_| Ok(bias.clone()))
        };
        put(&before, &layers.before, &layers.before_bias)?;
        put(&after, &layers.after, &layers.after_bias)
    }

    fn tokens(&self) -> Result<usize> {
        self.x.dim(0)
    }

    /// Rows that are trained on; those behind them are kept back.
    fn trained(&self) -> Result<usize> {
        let tokens = self.tokens()?;
        Ok(tokens - tokens / KEPT_BACK)
    }

    /// `f` of what enters, what it is added to and what is wanted, of some tokens after the other.
    fn for_each(
        &self,
        rows: std::ops::Range<usize>,
        mut f: impl FnMut([Tensor; 3]) -> Result<()>,
    ) -> Result<()> {
        for start in rows.clone().step_by(TOGETHER) {
            let count = TOGETHER.min(rows.end - start);
            let [x, residual, wanted] = [&self.x, &self.residual, &self.wanted];
            f([
                x.narrow(0, start, count)?,
                residual.narrow(0, start, count)?,
                wanted.narrow(0, start, count)?,
            ])?;
        }
        Ok(())
    }

    /// What is not right yet of the standardised sum, as a part of its variance, on tokens that are kept back.
    fn wrong(&self, layers: &Layers) -> Result<f64> {
        let (trained, tokens) = (self.trained()?, self.tokens()?);
        let rows = if trained < tokens { trained..tokens } else { 0..tokens };
        let (mut sum, count) = (0.0, rows.len());
        self.for_each(rows, |[x, residual, wanted]| {
            let own = standard(&(residual + layers.give(&x)?)?, EPSILON)?;
            let mean = loss::mse(&own, &standard(&wanted, EPSILON)?)?.to_scalar::<f32>()?;
            sum += f64::from(mean) * x.dim(0)? as f64;
            Ok(())
        })?;
        Ok(sum / count.max(1) as f64)
    }

    /// Fits the part: the nearest quadratic function for each unit, a regression on what they give, and then all of it
    /// by gradients. `told` is told each step. Returns what is wrong before and after the gradients.
    pub(super) fn fit(
        &self,
        function: Activation,
        start: &Start,
        batch: usize,
        seed: u64,
        told: &dyn Fn(usize),
    ) -> std::result::Result<[f64; 2], TrainError> {
        let layers = self.regressed(self.absorbed(self.layers()?, function)?)?;
        let before = self.wrong(&layers)?;
        let descended = self.descended(&layers, start, batch, seed, told)?;
        let after = self.wrong(&descended)?;
        // A rate that is too high is no reason to lose what there was.
        let nearer = after < before;
        self.put(if nearer { &descended } else { &layers })?;
        Ok([before, if nearer { after } else { before }])
    }

    /// Moves the unit's functions into the layers around them.
    fn absorbed(&self, layers: Layers, function: Activation) -> Result<Layers> {
        let mut sums: Option<Sums> = None;
        self.for_each(0..self.tokens()?, |[x, ..]| {
            let inner = layers.enter(&x)?;
            let new = moments(&inner, &activation(function, &inner)?)?;
            match &mut sums {
                None => sums = Some(new),
                Some(sums) => sums.iter_mut().flatten().zip(new.iter().flatten()).for_each(|(s, n)| *s += n),
            }
            Ok(())
        })?;
        let fits: Vec<Fit> = sums.unwrap_or_default().iter().map(Fit::of).collect();
        let row = |of: &dyn Fn(&Fit) -> f64| {
            let numbers: Vec<f32> = fits.iter().map(|fit| of(fit) as f32).collect();
            Tensor::from_vec(numbers, fits.len(), self.x.device())
        };
        let (a, b, d) = (row(&|fit| fit.a)?, row(&|fit| fit.b)?, row(&|fit| fit.d)?);
        Ok(Layers {
            before: layers.before.broadcast_mul(&a)?,
            before_bias: ((&layers.before_bias * a)? + b)?,
            after_bias: (&layers.after_bias + d.unsqueeze(0)?.matmul(&layers.after)?.squeeze(0)?)?,
            after: layers.after,
        })
    }

    /// Changes the layer after the activations so that it makes up for what is missing, by ridge regression.
    fn regressed(&self, layers: Layers) -> Result<Layers> {
        let mut sums: Option<[Tensor; 2]> = None;
        self.for_each(0..self.tokens()?, |[x, residual, wanted]| {
            let units = layers.units(&x)?;
            let missing = ((wanted - residual)? - layers.leave(&units)?)?;
            // A column of ones for the bias.
            let units = Tensor::cat(&[&units, &units.narrow(1, 0, 1)?.ones_like()?], 1)?;
            let transposed = units.t()?.contiguous()?;
            let new = [transposed.matmul(&units)?, transposed.matmul(&missing)?];
            sums = Some(match sums.take() {
                None => new,
                Some([squares, products]) => [(squares + &new[0])?, (products + &new[1])?],
            });
            Ok(())
        })?;
        let Some([squares, products]) = sums else { return Ok(layers) };
        let numbers = |t: &Tensor| -> Result<Vec<f64>> {
            Ok(t.flatten_all()?.to_vec1::<f32>()?.into_iter().map(f64::from).collect())
        };
        let ((n, outputs), tokens) = (products.dims2()?, self.tokens()?);
        let mut matrix = numbers(&squares)?;
        let mean = (0..n).map(|i| matrix[i * n + i]).sum::<f64>() / n as f64;
        (0..n).for_each(|i| matrix[i * n + i] += RIDGE * mean.max(tokens as f64 * 1e-6));
        let Some(change) = solve(matrix, numbers(&products)?, n) else { return Ok(layers) };
        let change: Vec<f32> = change.into_iter().map(|v| v as f32).collect();
        let change = Tensor::from_vec(change, (n, outputs), self.x.device())?;
        Ok(Layers {
            after: (&layers.after + change.narrow(0, 0, n - 1)?)?,
            after_bias: (&layers.after_bias + change.narrow(0, n - 1, 1)?.squeeze(0)?)?,
            ..layers
        })
    }

    /// Trains both layers on tokens drawn at random, in floats: hidden states beside the teacher's, standardised.
    fn descended(
        &self,
        layers: &Layers,
        start: &Start,
        batch: usize,
        seed: u64,
        told: &dyn Fn(usize),
    ) -> Result<Layers> {
        let tensors = [&layers.before, &layers.before_bias, &layers.after, &layers.after_bias];
        let vars = tensors.map(Var::from_tensor).into_iter().collect::<Result<Vec<Var>>>()?;
        let named = ["before", "before.bias", "after", "after.bias"].into_iter().zip(&vars);
        // These steps are few and their gradients of one kind, so their squares are soon forgotten, and no clip is needed.
        let mut optimizer = AdamW::new(named, Rules { beta2: 0.99, decay: 0.0, clip: f64::INFINITY })?;
        let [before, before_bias, after, after_bias] = &vars[..] else {
            candle_core::bail!("a part of two layers has four tensors")
        };
        let layers = || Layers {
            before: before.as_tensor().clone(),
            before_bias: before_bias.as_tensor().clone(),
            after: after.as_tensor().clone(),
            after_bias: after_bias.as_tensor().clone(),
        };
        let mut rng = StdRng::seed_from_u64(seed ^ (self.layer as u64) << 32);
        let trained = self.trained()? as u32;
        for step in 0..start.steps {
            let drawn: Vec<u32> = (0..batch).map(|_| rng.random_range(0..trained)).collect();
            let drawn = Tensor::from_vec(drawn, batch, self.x.device())?;
            let at = |t: &Tensor| t.index_select(&drawn, 0);
            let own = (at(&self.residual)? + layers().give(&at(&self.x)?)?)?;
            let loss = loss::mse(&standard(&own, EPSILON)?, &standard(&at(&self.wanted)?, EPSILON)?)?;
            optimizer.step(&loss.backward()?, rate(start.rate, step, start.steps))?;
            told(step + 1);
        }
        let layers = layers();
        Ok(Layers {
            before: layers.before.detach(),
            before_bias: layers.before_bias.detach(),
            after: layers.after.detach(),
            after_bias: layers.after_bias.detach(),
        })
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use tempfile::TempDir;

    use super::*;
    use crate::config::BertConfig;
    use crate::synthetic::{Synthetic, SyntheticHead};

    #[test]
    fn gradients_go_on_where_regression_ends() {
        let dir = TempDir::new().unwrap();
        Synthetic::new(BertConfig::tiny(), SyntheticHead::Embedding, 3).write(dir.path()).unwrap();
        let student = Learner::teacher(dir.path(), &Device::Cpu).unwrap();
        let hidden = student.spec.architecture.hidden_size;
        // Whatever enters, from a seed.
        let mut rng = StdRng::seed_from_u64(1);
        let x = (0..4000 * hidden).map(|_| rng.random_range(-2.0..2.0)).collect();
        let x = Tensor::from_vec::<_, f32>(x, (4000, hidden), &Device::Cpu).unwrap();
        let part = |wanted: &Tensor| Part {
            student: &student,
            layer: 1,
            x: x.clone(),
            residual: x.clone(),
            wanted: wanted.clone(),
        };
        let small = part(&x).layers().unwrap();
        // Units that are anything but straight.
        let layers = Layers {
            before: (small.before * 30.0).unwrap(),
            before_bias: (small.before_bias * 30.0).unwrap(),
            after: (small.after * 30.0).unwrap(),
            after_bias: (small.after_bias * 30.0).unwrap(),
        };
        part(&x).put(&layers).unwrap();
        // A teacher whose first layer is another: regression on the units that there are does not give it.
        let turn = (0..layers.before.elem_count()).map(|_| rng.random_range(0.7..1.3)).collect();
        let turn = Tensor::from_vec::<_, f32>(turn, layers.before.shape(), &Device::Cpu).unwrap();
        let teacher = Layers { before: (&layers.before * turn).unwrap(), ..layers.clone() };
        let part = part(&(&x + teacher.give(&x).unwrap()).unwrap());
        let steps = std::cell::Cell::new(0);
        let start = Start { tokens: 4000, steps: 300, rate: 1e-2 };
        let [before, after] = part.fit(Activation::Quad, &start, 256, 5, &|step| steps.set(step)).unwrap();
        assert!(before > 0.01 && after < 0.2 * before, "{before} {after}");
        assert_eq!(steps.get(), 300);
        // The student has what was measured.
        assert_eq!(part.wrong(&part.layers().unwrap()).unwrap(), after);
    }
}
