use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use clap::Args;
use ditto_models::eval::{Evaluation, Row, evaluate};
use ditto_models::run::RunError;
use serde::Serialize;

use super::progress_bar;
use super::run::advance;
use super::setup::Setup;
use super::training::listed;

/// Tell how good a checkpoint's answers are: in floats, in simulated fixed point, and privately
///
/// The metric is the task's: of classes accuracy, of a language model perplexity (of every token but each text's first), of
/// embeddings the mean cosine to the teacher's and Spearman's correlation of the similarities of all pairs. With --teacher
/// the same of what the checkpoint was distilled from, with and without the plan's functions and formats.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  ditto eval --model checkpoints/minilm-ditto --teacher checkpoints/all-MiniLM-L6-v2 --data held-out.txt --plan ditto
  ditto eval --model my-classifier --data held-out.tsv --plan accurate --limit 200 --no-private")]
pub(crate) struct Eval {
    /// Directory of a Hugging Face BERT or GPT-2 checkpoint: config.json, model.safetensors, tokenizer.json
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Directory of what it was distilled from
    #[arg(long, value_name = "DIR")]
    teacher: Option<PathBuf>,
    /// Texts, one per line; in a file that ends in .tsv, each with its class behind a tab
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Texts to read, at most: the first of the file
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Texts that share one private request, at most; a GPT-2 takes one at a time
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u8).range(1..=64))]
    batch: u8,
    /// Leave the private run out
    #[arg(long)]
    no_private: bool,
    #[command(flatten)]
    setup: Setup,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

/// What `--json` prints. The names are stable.
#[derive(Serialize)]
struct Json<'a> {
    model: String,
    teacher: Option<String>,
    data: String,
    plan: &'a str,
    rows: &'a [Row],
}

impl Eval {
    pub(crate) fn run(self) -> Result<(), RunError> {
        let plan = self.setup.plan;
        let task = Evaluation {
            model: self.model,
            teacher: self.teacher,
            data: self.data,
            limit: self.limit as usize,
            plan,
            quantization: self.setup.quantization.clone(),
            batch: self.batch.into(),
            launch: if self.no_private { None } else { Some(self.setup.launch()?) },
            limits: self.setup.limits(),
            randomness: self.setup.testing.randomness(),
        };
        let bar = progress_bar(!self.json && std::io::stderr().is_terminal());
        let told = |row: &Row| {
            if self.json {
                return;
            }
            let of = if row.teacher { "teacher" } else { "model" };
            let headroom =
                row.headroom.map(|bits| format!(", {bits:.1} bits of headroom")).unwrap_or_default();
            let line = format!(
                "{of:8} {:30} {}{headroom} ({})",
                row.reading.name(),
                listed(&row.measures),
                row.count
            );
            // A reader that stops early is no failure.
            bar.suspend(|| {
                let _ = writeln!(std::io::stdout(), "{line}");
            });
        };
        let rows = evaluate(&task, &told, &|phase| advance(&bar, phase))?;
        bar.finish_and_clear();
        if self.json {
            let json = Json {
                model: task.model.display().to_string(),
                teacher: task.teacher.as_ref().map(|dir| dir.display().to_string()),
                data: task.data.display().to_string(),
                plan: plan.as_str(),
                rows: &rows,
            };
            let _ = writeln!(std::io::stdout(), "{}", serde_json::to_string(&json).unwrap_or_default());
        }
        Ok(())
    }
}
