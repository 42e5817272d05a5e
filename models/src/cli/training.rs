use std::cell::RefCell;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use candle_core::Device;
use clap::{Args, ValueEnum};
use ditto_models::report::chain;
use ditto_models::run::RunError;
use ditto_models::train::metrics::Measure;
use ditto_models::train::{Files, Options, Point, STATE, Stage, Told, TrainError, plot};
use indicatif::ProgressBar;

use super::progress_bar;

/// How to train, for every command that does.
#[derive(Debug, Args)]
pub(super) struct Training {
    /// Texts, one per line; in a file that ends in .tsv, each with its class behind a tab
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Texts to measure on; by default every 20th of --data, which is kept back
    #[arg(long, value_name = "FILE")]
    held_out: Option<PathBuf>,
    /// Texts to measure on, at most
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(2..))]
    measured: u32,
    /// Longest text in tokens: longer ones are left out, and text to be continued is cut into pieces of this length
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u32).range(2..))]
    longest: u32,
    /// Tokens of a batch, about: a batch has texts of one length, so nothing is padded
    #[arg(long, value_name = "N", default_value_t = 2048, value_parser = clap::value_parser!(u32).range(1..))]
    batch_tokens: u32,
    /// Decay of the mean of gradients' squares, the second beta of Adam
    #[arg(long, value_name = "B", default_value_t = 0.999, value_parser = below_one)]
    beta2: f64,
    /// Weight decay of matrices
    #[arg(long, value_name = "D", default_value_t = 0.01, value_parser = finite)]
    decay: f64,
    /// Largest norm of gradients
    #[arg(long, value_name = "N", default_value_t = 1.0, value_parser = finite)]
    clip: f64,
    /// Leave embedding tables as they are
    #[arg(long)]
    freeze_embeddings: bool,
    /// Steps between measurements; with each, the state is written that --resume goes on from
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    every: u32,
    /// Go on from the state of an earlier run with the same options, if there is one
    #[arg(long)]
    pub(super) resume: bool,
    /// Write weights in f16, half the size
    #[arg(long)]
    pub(super) half: bool,
    /// Where random choices begin
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Where to compute
    #[arg(long, value_enum, default_value = "cpu")]
    device: Where,
}

/// Where to compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Where {
    /// This machine's cores
    Cpu,
    /// Its first NVIDIA card; wants a build with the feature `cuda`
    Cuda,
}

pub(super) fn finite(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if value.is_finite() && value >= 0.0 { Ok(value) } else { Err("must be 0 or more".to_owned()) }
}

fn below_one(text: &str) -> Result<f64, String> {
    finite(text).and_then(|value| if value < 1.0 { Ok(value) } else { Err("must be less than 1".to_owned()) })
}

impl Training {
    pub(super) fn files(&self) -> Files {
        Files { data: self.data.clone(), held_out: self.held_out.clone() }
    }

    pub(super) fn longest(&self) -> usize {
        self.longest as usize
    }

    pub(super) fn measured(&self) -> usize {
        self.measured as usize
    }

    pub(super) fn device(&self) -> Result<Device, RunError> {
        Ok(match self.device {
            Where::Cpu => Device::Cpu,
            Where::Cuda => Device::new_cuda(0).map_err(TrainError::from)?,
        })
    }

    pub(super) fn options(&self) -> Options {
        Options {
            tokens: self.batch_tokens as usize,
            beta2: self.beta2,
            decay: self.decay,
            clip: self.clip,
            seed: self.seed,
            freeze_embeddings: self.freeze_embeddings,
            every: self.every as usize,
        }
    }
}

/// Tells how a training goes.
pub(super) struct Course {
    bar: ProgressBar,
    mean: RefCell<Option<f64>>,
}

impl Course {
    pub(super) fn new() -> Self {
        let bar = progress_bar(std::io::stderr().is_terminal());
        if let Ok(style) =
            indicatif::ProgressStyle::with_template("{msg:32} {bar:30} {pos}/{len} [{elapsed}, {eta} left]")
        {
            bar.set_style(style);
        }
        Self { bar, mean: RefCell::default() }
    }

    pub(super) fn told(&self, told: Told<'_>) {
        match told {
            Told::Step { stage, step, steps, loss } => {
                let mut mean = self.mean.borrow_mut();
                let smooth = mean.map_or(loss, |mean| 0.95 * mean + 0.05 * loss);
                *mean = Some(smooth);
                self.bar.set_length(steps as u64);
                self.bar.set_position(step as u64);
                self.bar.set_message(format!("{}: loss {smooth:.4}", stage.name));
            }
            Told::Point(point) => {
                *self.mean.borrow_mut() = None;
                self.say(&format!(
                    "step {}: loss {:.5}, {}",
                    point.step,
                    point.loss,
                    listed(&point.measures)
                ));
            }
            Told::Fitting { layer, layers, step, steps } => {
                self.bar.set_length((layers * steps) as u64);
                self.bar.set_position((layer * steps + step) as u64);
                self.bar.set_message(format!("feed-forward part {} of {layers}", layer + 1));
            }
            Told::Fitted { layer, layers, wrong: [before, after] } => self.say(&format!(
                "feed-forward part {} of {layers}: wrong {:.2} % -> {:.2} %",
                layer + 1,
                100.0 * before,
                100.0 * after
            )),
            Told::Calibrating(texts) => self.say(&format!("calibrating on {texts} texts")),
            Told::Uncalibrated(error) => self.say(&format!("warning: not calibrated: {}", chain(error))),
        }
    }

    fn say(&self, line: &str) {
        self.bar.suspend(|| eprintln!("{line}"));
    }

    /// Ends the bar and draws the course into the output's directory.
    pub(super) fn end(&self, out: &Path, stages: &[Stage], points: &[Point]) -> Result<PathBuf, RunError> {
        self.bar.finish_and_clear();
        let file = out.join(STATE).join("losses.svg");
        plot(&file, stages, points)?;
        Ok(file)
    }
}

/// Figures in a line.
pub(super) fn listed(measures: &[Measure]) -> String {
    let each: Vec<String> = measures.iter().map(|m| format!("{} {:.4}", m.name, m.value)).collect();
    each.join(", ")
}
