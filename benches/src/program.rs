//! The programs `bert` and `gpt2`.

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use ditto_models::report::chain;
use ditto_models::run::PartyArguments;

use crate::ablation;
use crate::chart;
use crate::document::{self, Document, Run};
use crate::error::Result;
use crate::host::Host;
use crate::options::{Choice, Options, Task};
use crate::scaling;
use crate::subject::Subject;
use crate::text;

/// The command line of a program that starts parties and so plays them as well.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli<O: Args> {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    options: O,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// One party of a run on this machine; the program starts three of these
    #[command(hide = true)]
    Party(PartyArguments),
}

/// Runs a program with these options.
pub fn main<O: Options>() -> ExitCode {
    let matches = Cli::<O>::command().about(O::ABOUT).disable_help_subcommand(true).get_matches();
    let cli = Cli::<O>::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let result = match cli.command {
        Some(Command::Party(party)) => party.run_traced().map_err(Into::into),
        None => cli.options.choose().and_then(|choice| print(&choice)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

fn print(choice: &Choice) -> Result<()> {
    let output = output(choice, &Host::read())?;
    // A reader that stops early is no failure of the run.
    let _ = std::io::stdout().lock().write_all(output.as_bytes());
    Ok(())
}

fn output(choice: &Choice, host: &Host) -> Result<String> {
    match &choice.task {
        Task::One => {
            let runs = runs(choice, &choice.subject(None)?, host)?;
            if let Some(file) = &choice.chart {
                chart::parts(&runs, file)?;
            }
            if choice.json { json(&Document::new(runs)) } else { Ok(text::runs(&runs, choice.setup.reps)) }
        }
        Task::Scaling(axis, points) => {
            let run = |&point: &usize| {
                let subject = choice.subject(Some((*axis, point)))?;
                Ok((point, runs(choice, &subject, host)?))
            };
            let points = points.iter().map(run).collect::<Result<Vec<_>>>()?;
            let scaling = scaling::Scaling::new(*axis, points);
            if let Some(file) = &choice.chart {
                chart::growth(&scaling, file)?;
            }
            if choice.json { json(&scaling) } else { Ok(scaling.text(choice.setup.reps)) }
        }
        Task::Ablation => {
            let mut choice = choice.clone();
            choice.setup.plans = ablation::PLANS.map(|(plan, _)| plan).into();
            let runs = runs(&choice, &choice.subject(None)?, host)?;
            if let Some(file) = &choice.chart {
                chart::parts(&runs, file)?;
            }
            if choice.json {
                json(&Document::new(runs))
            } else {
                Ok(ablation::text(&runs, choice.setup.reps))
            }
        }
    }
}

fn runs(choice: &Choice, subject: &Subject, host: &Host) -> Result<Vec<Run>> {
    let trial = choice.setup.run(subject)?;
    Ok(document::runs(subject, &choice.setup, &trial, host))
}

fn json<T: serde::Serialize>(value: &T) -> Result<String> {
    Ok(serde_json::to_string(value)? + "\n")
}
