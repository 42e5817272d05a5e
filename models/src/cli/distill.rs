use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use ditto_models::plan::Plan;
use ditto_models::quantization::settings_for;
use ditto_models::run::RunError;
use ditto_models::train::{Distillation, Numbers, Stage, distill};

use super::training::{Course, Training, finite, listed};

/// Make a student of a checkpoint that is right under a plan: quantization-aware distillation
///
/// The student is the teacher's model with the plan's functions, at the scales that the plan serves. It starts from the
/// teacher's weights, and learns in two stages to answer like the teacher: first its embeddings, hidden states and attention
/// scores, layer by layer, then its predictions, with labels where the texts have them. The teacher is read in ordinary
/// floats. The output is a checkpoint that `ditto run` and the other commands take.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  ditto distill --teacher checkpoints/all-MiniLM-L6-v2 --out checkpoints/minilm-ditto --data lines.txt --plan ditto
  ditto calibrate --model checkpoints/minilm-ditto --plan ditto --file lines.txt
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
    /// Steps of the first stage, layer by layer
    #[arg(long, value_name = "N", default_value_t = 5000)]
    layer_steps: usize,
    /// Highest learning rate of the first stage
    #[arg(long, value_name = "R", default_value_t = 2e-4, value_parser = finite)]
    layer_rate: f64,
    /// Steps of the second stage, predictions
    #[arg(long, value_name = "N", default_value_t = 2000)]
    prediction_steps: usize,
    /// Highest learning rate of the second stage
    #[arg(long, value_name = "R", default_value_t = 1e-4, value_parser = finite)]
    prediction_rate: f64,
    /// Scales that `ditto calibrate` wrote and the student will be served with, or `none`; by default quantization.PLAN.json
    /// in the directory that the student starts from, if it is there
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
        let settings = settings_for(
            self.from.as_ref().unwrap_or(&self.teacher),
            self.plan,
            self.quantization.as_deref(),
        )?;
        let stage = |name: &str, steps, rate| Stage { name: name.to_owned(), steps, rate };
        let task = Distillation {
            teacher: self.teacher,
            from: self.from,
            out: self.out,
            files: self.training.files(),
            plan: self.plan,
            settings,
            numbers: if self.floats { Numbers::Floats } else { Numbers::Served },
            longest: self.training.longest(),
            measured: self.training.measured(),
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
        let last = done.points.last().map(|point| listed(&point.measures)).unwrap_or_default();
        println!(
            "plan {}: {texts} texts, {held_out} held out, {left_out} lines left out\n  before             {}\n  first step         \
             {}\n  distilled          {last}",
            task.plan,
            listed(&done.before),
            listed(&done.start),
        );
        if let Some((step, bits)) = done.headroom {
            println!("  least headroom     {bits:.2} bits at {step}");
            if bits < 1.0 {
                eprintln!("warning: step `{step}` has {bits:.2} bits of headroom; calibrate before serving");
            }
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
