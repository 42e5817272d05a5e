use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::Instant;

use super::{progress_bar, task_of_file};
use clap::Args;
use ditto_models::calibrate::{REQUIRED, Report, Trial};
use ditto_models::plan::Plan;
use ditto_models::run::RunError;
use serde::Serialize;

/// Compare the simulation with floats on texts: accuracy and headroom
///
/// Reads every line through the float reference and through a simulation of the protocols on this machine, with the scales
/// and ranges that `ditto calibrate` wrote. Tells how near the answers are, and how near each range condition came to its
/// limit. Fails if a condition did not hold on some line.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Directory of a Hugging Face BERT or GPT-2 checkpoint: config.json, model.safetensors, tokenizer.json
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// A file with one text per line; empty lines are skipped
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    /// Number formats and functions
    #[arg(long, value_enum, default_value = "accurate")]
    plan: Plan,
    /// Scales and ranges that `ditto calibrate` wrote, or `none`; by default quantization.PLAN.json in the model's
    /// directory if it is there
    #[arg(long, value_name = "FILE|none")]
    quantization: Option<PathBuf>,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// What `--json` prints. The names are stable.
#[derive(Serialize)]
struct Json<'a> {
    model: String,
    plan: &'a str,
    quantization: Option<String>,
    #[serde(flatten)]
    report: &'a Report,
    violations: usize,
    warnings: usize,
    seconds: f64,
}

impl Check {
    pub(crate) fn run(self) -> Result<(), RunError> {
        let started = Instant::now();
        let task = task_of_file(&self.model, self.plan, &self.file)?;
        let (task, quantization) = task.quantized(self.quantization.as_deref())?;
        let bar = progress_bar(!self.json && std::io::stderr().is_terminal());
        bar.set_length(task.texts.len() as u64);
        let reference = task.reference()?;
        let trial = Trial::run_with(&task, &reference, &|texts| bar.set_position(texts as u64))?;
        bar.finish_and_clear();
        let report = Report::new(&task, &trial);
        let broken = trial.below(0.0);
        let warnings = trial.below(REQUIRED).len() - broken.len();
        let seconds = started.elapsed().as_secs_f64();
        let quantization = quantization.map(|path| path.display().to_string());
        let out = if self.json {
            let json = Json {
                model: self.model.display().to_string(),
                plan: self.plan.as_str(),
                quantization,
                report: &report,
                violations: broken.len(),
                warnings,
                seconds,
            };
            serde_json::to_string(&json).unwrap_or_default() + "\n"
        } else {
            let file = quantization.unwrap_or_else(|| "none".to_owned());
            format!("plan {}, quantization {file}: {report}in {seconds:.1} s\n", self.plan)
        };
        let _ = std::io::stdout().lock().write_all(out.as_bytes());
        if warnings > 0 {
            eprintln!("warning: {warnings} range condition(s) have less than {REQUIRED} bit of headroom");
        }
        match broken.first() {
            None => Ok(()),
            Some(worst) => Err(RunError::Violated { count: broken.len(), step: worst.seen.step.clone() }),
        }
    }
}
