//! The command line.

mod calibrate;
mod check;
mod cost;
mod demo;
mod distill;
mod eval;
mod generate;
mod inputs;
mod run;
mod setup;
mod show;
mod train;
mod training;

use std::path::Path;

use clap::{Parser, Subcommand};
use ditto_models::plan::Plan;
use ditto_models::run::{PartyArguments, RunError, Task};
use indicatif::{ProgressBar, ProgressStyle};

/// Private Transformer inference on three servers.
///
/// A client and a model owner run a Hugging Face checkpoint on three servers that see neither text nor weights nor
/// answer, as long as no two of them join forces. Without a command, two small checkpoints that come with the program are run.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Run),
    Generate(generate::Generate),
    Cost(cost::CostOf),
    Calibrate(calibrate::Calibrate),
    Check(check::Check),
    Eval(eval::Eval),
    Train(train::Train),
    Distill(distill::Distill),
    /// One party of a run on this machine; `ditto run` starts three of these
    #[command(hide = true)]
    Party(PartyArguments),
}

/// A checkpoint and the texts of a file.
fn task_of_file(dir: &Path, plan: Plan, file: &Path) -> Result<Task, RunError> {
    let (lines, inputs) = inputs::of_file(file)?;
    Task::open(dir, plan, inputs).map(|task| task.with_lines(lines))
}

/// A bar for people who watch, hidden from all others.
fn progress_bar(visible: bool) -> ProgressBar {
    let bar = if visible { ProgressBar::new(0) } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template("{msg:24} {bar:30} {pos}/{len} [{elapsed}]") {
        bar.set_style(style);
    }
    bar
}

impl Cli {
    pub(crate) fn run(self) -> Result<(), RunError> {
        let Some(command) = self.command else { return demo::demo() };
        match command {
            Command::Run(run) => run.run(),
            Command::Generate(generate) => generate.run(),
            Command::Cost(cost) => cost.run(),
            Command::Calibrate(calibrate) => calibrate.run(),
            Command::Check(check) => check.run(),
            Command::Eval(eval) => eval.run(),
            Command::Train(train) => train.run(),
            Command::Distill(distill) => distill.run(),
            Command::Party(party) => party.run(),
        }
    }
}
