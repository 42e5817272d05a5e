use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use ditto_models::plan::Plan;
use ditto_models::quantization::settings_for;
use ditto_models::run::RunError;
use ditto_models::train::{Distillation, Numbers, Scales, Stage, Start, distill};

use super::training::{Course, Training, finite, listed};

/// Make a student of a checkpoint that is right under a plan: quantization-aware distillation
///
/// The student is the teacher's model with the plan's functions, at the scales that it will be served with. It starts from the
/// teacher's weights; under plans with Quad each feed-forward part is first fitted to the teacher's by itself. Then it learns in
/// two stages to answer like the teacher: first its embeddings, hidden states and attention scores, layer by layer, then its
/// predictions, with labels where the texts have them. The teacher is read in ordinary floats. The output is a checkpoint that
/// `ditto run` and the other commands take, calibrated on some of the texts.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  ditto distill --teacher checkpoints/all-MiniLM-L6-v2 --out checkpoints/minilm-ditto --data lines.txt --plan ditto
  ditto run --model checkpoints/minilm-ditto --plan ditto --text \"The cat sat on the mat.\"

An interrupted run goes on with --resume. The directory `training` in the output has the state and a plot of the losses.")]
pub(crate) struct Distill {
    /// Directory of a Hugging Face BERT or GPT-2 checkpoint: config.json, model.safetensors, tokenizer.json
    #[arg(long, value_name = "DIR")]
    teacher: PathBuf,
    /// Directory of a student to go on with, for example at other rates; by default the student starts from the teacher's
    /// weights
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
    /// Directory of the student
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Number formats and functions that the student is for
    #[arg(long, value_enum, default_value = "ditto")]
    plan: Plan,
    /// Tokens that feed-forward parts are fitted to before the first stage, for plans with Quad
    #[arg(long, value_name = "N", default_value_t = 300_000, value_parser = clap::value_parser!(u32).range(1..))]
    fit_tokens: u32,
    /// Steps of fitting each feed-forward part
    #[arg(long, value_name = "N", default_value_t = 3000)]
    fit_steps: usize,
    /// Highest learning rate of fitting
    #[arg(long, value_name = "R", default_value_t = 1e-3, value_parser = finite)]
    fit_rate: f64,
    /// Steps of the first stage, layer by layer
    #[arg(long, value_name = "N", default_value_t = 1000)]
    layer_steps: usize,
    /// Highest learning rate of the first stage
    #[arg(long, value_name = "R", default_value_t = 1e-4, value_parser = finite)]
    layer_rate: f64,
    /// Steps of the second stage, predictions
    #[arg(long, value_name = "N", default_value_t = 1000)]
    prediction_steps: usize,
    /// Highest learning rate of the second stage
    #[arg(long, value_name = "R", default_value_t = 1e-4, value_parser = finite)]
    prediction_rate: f64,
    /// Scales to train at, which `ditto calibrate` wrote, or `none` for those of the plan; then the student is left to be
    /// calibrated. By default its start is calibrated for training, and the student for serving
    #[arg(long, value_name = "FILE|none")]
    quantization: Option<PathBuf>,
    /// Train in floats, with the plan's functions alone: for comparison
    #[arg(long)]
    floats: bool,
    #[command(flatten)]
    training: Training,
}

impl Distill {
    pub(crate) fn run(self) -> Result<(), RunError> {
        let started = Instant::now();
        let scales = match &self.quantization {
            None => Scales::Calibrated,
            given => Scales::These(settings_for(&self.teacher, self.plan, given.as_deref())?),
        };
        let stage = |name: &str, steps, rate| Stage { name: name.to_owned(), steps, rate };
        let task = Distillation {
            teacher: self.teacher,
            from: self.from,
            out: self.out,
            files: self.training.files(),
            plan: self.plan,
            scales,
            numbers: if self.floats { Numbers::Floats } else { Numbers::Served },
            longest: self.training.longest(),
            measured: self.training.measured(),
            start: Start { tokens: self.fit_tokens as usize, steps: self.fit_steps, rate: self.fit_rate },
            stages: [
                stage("layers", self.layer_steps, self.layer_rate),
                stage("predictions", self.prediction_steps, self.prediction_rate),
            ],
            options: self.training.options(),
            resume: self.training.resume,
            half: self.training.half,
            device: self.training.device()?,
        };
        let course = Course::new();
        let done = distill(&task, &|told| course.told(told))?;
        let plot = course.end(&task.out, &task.stages, &done.points)?;
        let [texts, held_out, left_out] = done.texts;
        println!(
            "plan {}: {texts} texts, {held_out} held out, {left_out} lines left out\n  before             {}\n  first step         \
             {}\n  distilled          {}",
            task.plan,
            listed(&done.before),
            listed(&done.start),
            listed(&done.served),
        );
        if let Some(bits) = done.headroom {
            println!("  least headroom     {bits:.2} bits, calibrated");
        }
        println!(
            "wrote {} and {} in {:.0} s",
            task.out.display(),
            plot.display(),
            started.elapsed().as_secs_f64()
        );
        Ok(())
    }
}
