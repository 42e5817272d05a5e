use std::path::PathBuf;
use std::time::Instant;

use clap::{Args, ValueEnum};
use ditto_models::run::RunError;
use ditto_models::train::{Fitting, Kind, NewModel, Stage, fit};

use super::training::{Course, Training, finite, listed};

/// Train a classifier of texts on labels, or a language model on text
///
/// Begins with a checkpoint (--from), or with a new model whose weights are random and whose tokenizer is made of the texts
/// (--new). Training is in ordinary floats, with GELU and softmax; `ditto distill` makes a student of the result that is
/// right under a plan.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  ditto train --new classifier --data kinds.tsv --out checkpoints/kinds
  ditto train --new language --layers 4 --vocabulary 1024 --data dictionary.txt --out checkpoints/dictionary
  ditto train --from checkpoints/my-bert --data labelled.tsv --out checkpoints/my-classifier")]
pub(crate) struct Train {
    /// Directory of a BERT with a classifier of texts, or of a GPT-2, to begin with
    #[arg(long, value_name = "DIR", required_unless_present = "new")]
    from: Option<PathBuf>,
    /// Begin with a new model of this kind
    #[arg(long, value_enum, conflicts_with = "from")]
    new: Option<NewKind>,
    /// Directory of the trained model
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Of a new model: layers
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=256))]
    layers: u16,
    /// Of a new model: width of its hidden states
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u16).range(1..=16384))]
    width: u16,
    /// Of a new model: attention heads, a divisor of the width
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    heads: u16,
    /// Of a new model: tokens in its vocabulary, at most
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(300..=1 << 20))]
    vocabulary: u32,
    /// Steps
    #[arg(long, value_name = "N", default_value_t = 5000)]
    steps: usize,
    /// Highest learning rate
    #[arg(long, value_name = "R", default_value_t = 1e-3, value_parser = finite)]
    rate: f64,
    #[command(flatten)]
    training: Training,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum NewKind {
    /// A BERT that classifies texts
    Classifier,
    /// A GPT-2
    Language,
}

impl Train {
    pub(crate) fn run(self) -> Result<(), RunError> {
        let started = Instant::now();
        let files = self.training.files();
        let options = self.training.options();
        let from = match (self.from, self.new) {
            (Some(from), _) => from,
            (None, kind) => {
                let new = NewModel {
                    kind: if kind == Some(NewKind::Language) { Kind::Language } else { Kind::Classifier },
                    layers: self.layers.into(),
                    width: self.width.into(),
                    heads: self.heads.into(),
                    vocabulary: self.vocabulary as usize,
                    positions: self.training.longest(),
                    seed: options.seed,
                };
                new.write(&files.data, &self.out)?;
                self.out.clone()
            }
        };
        let task = Fitting {
            from,
            out: self.out,
            files,
            longest: self.training.longest(),
            measured: self.training.measured(),
            stage: Stage { name: "training".to_owned(), steps: self.steps, rate: self.rate },
            options,
            resume: self.training.resume,
            half: self.training.half,
            device: self.training.device()?,
        };
        let course = Course::new();
        let done = fit(&task, &|told| course.told(told))?;
        let plot = course.end(&task.out, std::slice::from_ref(&task.stage), &done.points)?;
        let [texts, held_out, left_out] = done.texts;
        let last = done.points.last().map(|point| listed(&point.measures)).unwrap_or_default();
        println!(
            "{texts} texts, {held_out} held out, {left_out} lines left out\n  first step  {}\n  trained     {last}",
            listed(&done.start)
        );
        println!(
            "wrote {} and {} in {:.0} s",
            task.out.display(),
            plot.display(),
            started.elapsed().as_secs_f64()
        );
        Ok(())
    }
}
