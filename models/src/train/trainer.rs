//! The loop: batches, steps, measurements, and a state to go on from.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::TrainError;
use super::adamw::{AdamW, Rules};
use super::data::{Batch, Data};
use super::learner::Learner;
use super::metrics::Measure;
use super::schedule::rate;
use super::start::Start;

/// Steps without a finite loss or gradient, one after the other, that are put up with.
const PATIENCE: usize = 10;
/// The directory of a training's state, within its output.
pub const STATE: &str = "training";

/// How to train.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Options {
    /// Tokens of a batch, about.
    pub tokens: usize,
    /// Decay of Adam's mean of squares.
    pub beta2: f64,
    /// Weight decay.
    pub decay: f64,
    /// Largest norm of the gradients.
    pub clip: f64,
    /// What draws begin with.
    pub seed: u64,
    /// Whether embedding tables stay as they are.
    pub freeze_embeddings: bool,
    /// Steps between measurements; the state is written with each.
    pub every: usize,
}

/// A part of training with a loss of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// Its name.
    pub name: String,
    /// Its steps.
    pub steps: usize,
    /// Its highest learning rate.
    pub rate: f64,
}

/// What is known after some steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The stage.
    pub stage: usize,
    /// Steps of all stages so far.
    pub step: usize,
    /// Mean loss since the point before.
    pub loss: f64,
    /// Measured on held-out texts.
    pub measures: Vec<Measure>,
}

/// What happens during training.
#[derive(Clone, Copy, Debug)]
pub enum Told<'a> {
    /// A step was taken.
    Step {
        /// The stage.
        stage: &'a Stage,
        /// Steps of all stages so far.
        step: usize,
        /// Steps of all stages.
        steps: usize,
        /// The loss.
        loss: f64,
    },
    /// Held-out texts were measured.
    Point(&'a Point),
    /// A feed-forward part is being fitted.
    Fitting {
        /// Its layer.
        layer: usize,
        /// All layers.
        layers: usize,
        /// Steps taken.
        step: usize,
        /// Steps of a layer.
        steps: usize,
    },
    /// A feed-forward part was fitted.
    Fitted {
        /// Its layer.
        layer: usize,
        /// All layers.
        layers: usize,
        /// What the standardised hidden states after it have wrong on tokens kept back, as a part of their variance: before
        /// the first step, and after the last.
        wrong: [f64; 2],
    },
    /// Scales for training are being fitted to texts, so many of which were read.
    Calibrating(usize),
    /// Scales could not be fitted.
    Uncalibrated(&'a TrainError),
}

/// Where a training begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Beginning {
    /// The checkpoint.
    pub(super) dir: PathBuf,
    /// How its feed-forward parts were fitted, if they were.
    pub(super) start: Option<Start>,
}

/// What a training is: its state only fits the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Identity {
    from: Beginning,
    options: Options,
    stages: Vec<Stage>,
    texts: usize,
    plan: String,
}

/// How far it has come.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct State {
    identity: Identity,
    step: usize,
    /// Measured before the first step.
    start: Vec<Measure>,
    points: Vec<Point>,
}

/// A model, texts, and how to train on them.
pub(super) struct Trainer<'a> {
    pub(super) learner: &'a Learner,
    pub(super) data: &'a Data,
    pub(super) options: &'a Options,
    pub(super) stages: &'a [Stage],
    /// The loss of a batch in a stage.
    pub(super) loss: &'a dyn Fn(usize, &Batch) -> Result<Tensor, TrainError>,
    /// Measures the model on held-out texts.
    pub(super) measure: &'a dyn Fn() -> Result<Vec<Measure>, TrainError>,
    pub(super) told: &'a dyn Fn(Told<'_>),
    pub(super) from: Beginning,
    /// The output's directory.
    pub(super) out: &'a Path,
}

fn state_file(out: &Path) -> PathBuf {
    out.join(STATE).join("state.json")
}

/// Whether an output's directory has a state to go on from.
pub(super) fn has_state(out: &Path) -> bool {
    state_file(out).is_file()
}

impl Trainer<'_> {
    fn dir(&self) -> PathBuf {
        self.out.join(STATE)
    }

    fn identity(&self) -> Identity {
        Identity {
            from: self.from.clone(),
            options: self.options.clone(),
            stages: self.stages.to_vec(),
            texts: self.data.examples.len(),
            plan: self.learner.spec.plan.to_string(),
        }
    }

    fn optimizer(&self) -> candle_core::Result<AdamW> {
        let frozen: HashSet<String> = if self.options.freeze_embeddings {
            self.learner.tables().into_iter().collect()
        } else {
            HashSet::new()
        };
        let Options { beta2, decay, clip, .. } = *self.options;
        let trained = self.learner.variables.all().iter().filter(|(name, _)| !frozen.contains(*name));
        AdamW::new(trained.map(|(name, var)| (name.as_str(), var)), Rules { beta2, decay, clip })
    }

    /// The files of the state after so many steps.
    fn files(&self, step: usize) -> [PathBuf; 2] {
        ["variables", "moments"].map(|what| self.dir().join(format!("{what}.{step}.safetensors")))
    }

    fn state_file(&self) -> PathBuf {
        state_file(self.out)
    }

    fn save(&self, state: &State, optimizer: &AdamW) -> Result<(), TrainError> {
        let io = |file: &Path| {
            let file = file.to_owned();
            move |source| TrainError::Io { file, source }
        };
        std::fs::create_dir_all(self.dir()).map_err(io(&self.dir()))?;
        let [variables, moments] = self.files(state.step);
        self.learner.variables.write(&variables, false)?;
        optimizer.write(&moments)?;
        // The state last: it names the files, and so is never without them.
        let (file, part) = (self.state_file(), self.dir().join("state.json.part"));
        let text = serde_json::to_vec_pretty(state)
            .map_err(|source| TrainError::Json { file: file.clone(), source })?;
        std::fs::write(&part, text).map_err(io(&part))?;
        std::fs::rename(&part, &file).map_err(io(&file))?;
        for entry in std::fs::read_dir(self.dir()).map_err(io(&self.dir()))?.flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|end| end == "safetensors")
                && path != variables
                && path != moments
            {
                std::fs::remove_file(&path).map_err(io(&path))?;
            }
        }
        Ok(())
    }

    fn restore(&self, optimizer: &mut AdamW) -> Result<State, TrainError> {
        let file = self.state_file();
        let text = std::fs::read(&file).map_err(|source| TrainError::Io { file: file.clone(), source })?;
        let state: State = serde_json::from_slice(&text)
            .map_err(|source| TrainError::Json { file: file.clone(), source })?;
        if state.identity != self.identity() {
            let what = "it was made with other options, stages or texts".to_owned();
            return Err(TrainError::Resume { file, what });
        }
        let [variables, moments] = self.files(state.step);
        self.learner.variables.restore(&variables)?;
        let (_, within) = self.place(state.step);
        if within > 0 {
            optimizer.restore(&moments, within as i32)?;
        }
        Ok(state)
    }

    /// The stage of a step, and the step within it.
    fn place(&self, step: usize) -> (usize, usize) {
        let mut rest = step;
        for (i, stage) in self.stages.iter().enumerate() {
            if rest < stage.steps {
                return (i, rest);
            }
            rest -= stage.steps;
        }
        (self.stages.len(), 0)
    }

    /// Trains to the end, or on from its state if `resume`. Returns what was measured before the first step and on the way.
    pub(super) fn run(&self, resume: bool) -> Result<(Vec<Measure>, Vec<Point>), TrainError> {
        let steps: usize = self.stages.iter().map(|stage| stage.steps).sum();
        let mut optimizer = self.optimizer()?;
        let mut state = if resume {
            self.restore(&mut optimizer)?
        } else {
            let start = (self.measure)()?;
            let state = State { identity: self.identity(), step: 0, start, points: Vec::new() };
            // The start may have taken long.
            self.save(&state, &optimizer)?;
            state
        };
        state.points.iter().for_each(|point| (self.told)(Told::Point(point)));
        let mut order = Order { data: self.data, options: self.options, epoch: 0, queue: Vec::new() };
        (0..state.step).for_each(|_| {
            order.next();
        });
        let (mut sum, mut count, mut lost) = (0.0, 0, 0);
        while state.step < steps {
            let (at, within) = self.place(state.step);
            let stage = &self.stages[at];
            if within == 0 && state.step > 0 {
                optimizer = self.optimizer()?;
            }
            let batch = self.data.batch(&order.next(), self.learner.variables.device())?;
            let loss = (self.loss)(at, &batch)?;
            let gradients = loss.backward()?;
            let value = f64::from(loss.to_scalar::<f32>()?);
            let norm = optimizer.step(&gradients, rate(stage.rate, within, stage.steps))?;
            state.step += 1;
            if value.is_finite() && norm.is_finite() {
                sum += value;
                count += 1;
                lost = 0;
            } else {
                // The optimizer has left such a step out: one is an accident, many are a course.
                lost += 1;
                if lost > PATIENCE {
                    return Err(TrainError::Diverged { step: state.step });
                }
            }
            (self.told)(Told::Step { stage, step: state.step, steps, loss: value });
            let ends = within + 1 == stage.steps;
            if state.step.is_multiple_of(self.options.every) || ends {
                let loss = sum / f64::from(count.max(1));
                (sum, count) = (0.0, 0);
                let point = Point { stage: at, step: state.step, loss, measures: (self.measure)()? };
                (self.told)(Told::Point(&point));
                state.points.push(point);
                self.save(&state, &optimizer)?;
            }
        }
        Ok((state.start, state.points))
    }
}

/// Batches, epoch after epoch: each in another order, always the same for one seed.
struct Order<'a> {
    data: &'a Data,
    options: &'a Options,
    epoch: u64,
    queue: Vec<Vec<usize>>,
}

impl Order<'_> {
    fn next(&mut self) -> Vec<usize> {
        if self.queue.is_empty() {
            let seed = self.options.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(self.epoch);
            self.queue = self.data.batches(self.options.tokens, seed);
            self.epoch += 1;
        }
        self.queue.pop().unwrap_or_default()
    }
}
