use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::Instant;

use super::{progress_bar, task_of_file};
use clap::Args;
use ditto_models::calibrate::{Accuracy, Report, calibrate};
use ditto_models::plan::Plan;
use ditto_models::quantization::QuantizationFile;
use ditto_models::run::RunError;
use serde::Serialize;

/// Fit a plan's scales and ranges to a checkpoint, on sample texts
///
/// Reads every line through a simulation of the protocols on this machine and records how near each range condition came
/// to its limit. From that it chooses a power of two for each weight and a range for each protocol, reads the lines again
/// with these, and writes them to a file beside the checkpoint, which `run` and `check` then use. Lines should be like the
/// texts that the model will be used on; some hundred are enough.
///
/// A checkpoint that cannot be run safely is refused: the tensor, row, step and text are named, and nothing is written.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Headroom counts in bits: with 1 bit, numbers may double before a condition fails. On these lines every condition must have
at least 1; scales are chosen to leave 2.

Examples:
  ditto calibrate --model checkpoints/all-MiniLM-L6-v2 --file lines.txt
  ditto check --model checkpoints/all-MiniLM-L6-v2 --file other-lines.txt")]
pub(crate) struct Calibrate {
    /// Directory of a Hugging Face BERT or GPT-2 checkpoint: config.json, model.safetensors, tokenizer.json
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// A file with one text per line; empty lines are skipped
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    /// Number formats and functions
    #[arg(long, value_enum, default_value = "accurate")]
    plan: Plan,
    /// Where to write [default: quantization.PLAN.json in the model's directory]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// What `--json` prints. The names are stable.
#[derive(Serialize)]
struct Json<'a> {
    model: String,
    plan: &'a str,
    quantization: String,
    /// Under the plan's own formats and ranges.
    accuracy_before: Accuracy,
    least_bits_before: f64,
    #[serde(flatten)]
    report: Report,
    seconds: f64,
}

impl Calibrate {
    pub(crate) fn run(self) -> Result<(), RunError> {
        let started = Instant::now();
        let task = task_of_file(&self.model, self.plan, &self.file)?;
        let bar = progress_bar(!self.json && std::io::stderr().is_terminal());
        bar.set_length(task.texts.len() as u64);
        let (task, found) = calibrate(task, &|reading, texts| {
            bar.set_message(format!("reading {reading}"));
            bar.set_position(texts as u64);
        })?;
        bar.finish_and_clear();
        let path = self.out.clone().unwrap_or_else(|| QuantizationFile::path(&self.model, self.plan));
        found.file.write(&path)?;
        let report = Report::new(&task, &found.after);
        let before = Report::new(&task, &found.before);
        let seconds = started.elapsed().as_secs_f64();
        let out = if self.json {
            let json = Json {
                model: self.model.display().to_string(),
                plan: self.plan.as_str(),
                quantization: path.display().to_string(),
                accuracy_before: before.accuracy,
                least_bits_before: before.least_bits,
                report,
                seconds,
            };
            serde_json::to_string(&json).unwrap_or_default() + "\n"
        } else {
            let names = &found.file.quantization;
            format!(
                "plan {}: {report}before: {}, least headroom {:.2} bits\nwrote {} ({} exponents of weights, {} steps) in \
                 {seconds:.1} s\n",
                self.plan,
                before.accuracy,
                before.least_bits,
                path.display(),
                names.weights.len(),
                names.steps.len(),
            )
        };
        // A reader that stops early is no failure: the file is written.
        let _ = std::io::stdout().lock().write_all(out.as_bytes());
        Ok(())
    }
}
