use std::path::{Path, PathBuf};

use clap::Args;
use ditto_models::input::Input;
use ditto_models::run::RunError;

/// Texts to run.
#[derive(Debug, Args)]
pub(super) struct Inputs {
    /// A text; may be given several times
    #[arg(long, value_name = "TEXT")]
    text: Vec<String>,
    /// The second text of a pair, for each --text in turn
    #[arg(long, value_name = "TEXT", requires = "text")]
    text_pair: Vec<String>,
    /// A question about a context; may be given several times, each with its own context
    #[arg(long, value_name = "TEXT", requires = "context")]
    question: Vec<String>,
    /// The context in which a question is answered
    #[arg(long, value_name = "TEXT", requires = "question")]
    context: Vec<String>,
    /// A file with one text per line; a tab separates the two of a pair, empty lines are skipped
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

impl Inputs {
    /// All of them, those of the file last.
    pub(super) fn read(&self) -> Result<Vec<Input>, RunError> {
        let mut inputs = match &self.text_pair[..] {
            [] => self.text.iter().map(|text| text.as_str().into()).collect(),
            second => pairs(("--text", &self.text), ("--text-pair", second))?,
        };
        inputs.extend(pairs(("--question", &self.question), ("--context", &self.context))?);
        if let Some(file) = &self.file {
            inputs.extend(of_file(file)?.1);
        }
        Ok(inputs)
    }
}

fn pairs(
    first: (&'static str, &[String]),
    second: (&'static str, &[String]),
) -> Result<Vec<Input>, RunError> {
    if first.1.len() != second.1.len() {
        return Err(RunError::Unpaired {
            first: first.0,
            firsts: first.1.len(),
            second: second.0,
            seconds: second.1.len(),
        });
    }
    Ok(first.1.iter().zip(second.1).map(|(a, b)| (a.as_str(), b.as_str()).into()).collect())
}

/// The inputs of a file, one per line, with their line numbers from 1; empty lines are skipped.
pub(super) fn of_file(file: &Path) -> Result<(Vec<usize>, Vec<Input>), RunError> {
    let content = std::fs::read_to_string(file)
        .map_err(|source| RunError::File { file: file.display().to_string(), source })?;
    let lines = content.lines().enumerate().filter(|(_, l)| !l.trim().is_empty());
    Ok(lines.map(|(i, l)| (i + 1, Input::of_line(l))).unzip())
}
