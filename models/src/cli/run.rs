use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Testing;
use clap::Args;
use ditto_core::cost::PhaseSeconds;
use ditto_core::net::Limits;
use ditto_models::plan::Plan;
use ditto_models::run::{Answer, Launch, Network, Outcome, Phase, RunError, Task, run_private};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

/// Run a checkpoint privately on this machine, beside its float reference
///
/// Three parties are started as three processes that talk over loopback. The checkpoint's weights are shared between
/// them, then each text: P0 and P1 compute, P2 prepares random material ahead of them, and only the answer is opened, to
/// the client. For each text the private answer is printed beside that of the same model in ordinary floating point.
///
/// One machine protects nothing: whoever controls it sees all three shares. This command shows what the protocols
/// compute and what they cost.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  scripts/fetch-minilm.sh
  ditto run --model checkpoints/all-MiniLM-L6-v2 --text \"The cat sat on the mat.\"
  ditto run --model my-classifier --file lines.txt --network wan --json

Costs are payload bytes summed over all senders. \"Online\" is what is sent once the text is there, \"offline\" what the
helper P2 sends before. A hop is a message between P0 and P1 that had to wait for the one before it.")]
pub(crate) struct Run {
    /// Directory of a Hugging Face BERT checkpoint: config.json, model.safetensors, tokenizer.json
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// A text; may be given several times
    #[arg(long, value_name = "TEXT")]
    text: Vec<String>,
    /// A file with one text per line; empty lines are skipped
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Number formats and functions
    #[arg(long, value_enum, default_value = "accurate")]
    plan: Plan,
    /// Also tell the time that this network would add (modelled, not measured)
    #[arg(long, value_enum, default_value = "none")]
    network: Network,
    /// Run the parties as threads of this process instead of three processes
    #[arg(long)]
    in_process: bool,
    /// Seconds that a party waits for another before it gives up
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86400))]
    time_limit: u64,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    testing: Testing,
}

/// What `--json` prints. The names are stable.
#[derive(Serialize)]
struct Json<'a> {
    model: String,
    plan: &'a str,
    network: Network,
    results: &'a [Answer],
    reference: &'a [Answer],
    cost: JsonCost,
    seconds: JsonSeconds,
    cpu_seconds: JsonCpu,
    peak_rss_bytes: [u64; 3],
}

#[derive(Serialize)]
struct JsonCost {
    online_bytes: u64,
    offline_bytes: u64,
    hops: u32,
}

#[derive(Serialize)]
struct JsonSeconds {
    share_weights: f64,
    preprocess: f64,
    online: f64,
    total: f64,
    /// What the named network would add, modelled; absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    modelled_network: Option<f64>,
}

/// Processor seconds of P0, P1 and P2.
#[derive(Serialize)]
struct JsonCpu {
    preprocess: [f64; 3],
    online: [f64; 3],
}

impl Run {
    pub(crate) fn run(self) -> Result<(), RunError> {
        let mut texts = self.text.clone();
        if let Some(file) = &self.file {
            texts.extend(lines(file)?);
        }
        let task = Task::open(&self.model, self.plan, texts)?;
        let reference = task.reference()?;
        if !self.json {
            self.warn(&task);
        }
        let launch = if self.in_process { Launch::Threads } else { Launch::processes()? };
        let limits = Limits { time_limit: Duration::from_secs(self.time_limit), ..Limits::default() };
        let bar = progress_bar(!self.json && std::io::stderr().is_terminal());
        let outcome =
            run_private(&task, &launch, limits, self.testing.randomness(), &|phase| show(&bar, phase))?;
        bar.finish_and_clear();
        let modelled = self.modelled(&outcome);
        let mut out = std::io::stdout().lock();
        // A reader that stops early (head, a pager) is no failure of the run.
        let _ = if self.json {
            writeln!(out, "{}", self.to_json(&outcome, &reference, modelled))
        } else {
            out.write_all(self.to_text(&outcome, &reference, modelled).as_bytes())
        };
        Ok(())
    }

    fn warn(&self, task: &Task) {
        eprintln!(
            "All three parties run on this machine, which protects nothing; it shows what runs and what it costs."
        );
        if self.plan == Plan::Ditto {
            eprintln!(
                "Plan `ditto` replaces GeLU by a quadratic function: a checkpoint that was not distilled for it gives \
                 wrong answers."
            );
        }
        for i in &task.truncated {
            eprintln!("Text {i} is longer than the model takes; its end is left out.");
        }
    }

    fn modelled(&self, outcome: &Outcome) -> Option<f64> {
        (self.network != Network::None)
            .then(|| PhaseSeconds::on(&self.network.link(), &outcome.counted).total())
    }

    fn to_json(&self, outcome: &Outcome, reference: &[Answer], modelled: Option<f64>) -> String {
        let (cost, seconds) = (outcome.counted, outcome.seconds);
        let json = Json {
            model: self.model.display().to_string(),
            plan: self.plan.as_str(),
            network: self.network,
            results: &outcome.answers,
            reference,
            cost: JsonCost { online_bytes: cost.online, offline_bytes: cost.offline, hops: cost.hops },
            seconds: JsonSeconds {
                share_weights: seconds.share_weights,
                preprocess: seconds.preprocess,
                online: seconds.online,
                total: seconds.total,
                modelled_network: modelled,
            },
            cpu_seconds: JsonCpu { preprocess: outcome.cpu_seconds[0], online: outcome.cpu_seconds[1] },
            peak_rss_bytes: outcome.peak_rss_bytes,
        };
        serde_json::to_string(&json).unwrap_or_default()
    }

    fn to_text(&self, outcome: &Outcome, reference: &[Answer], modelled: Option<f64>) -> String {
        use std::fmt::Write;
        let mut out = String::new();
        // Writing to a string cannot fail.
        for (private, float) in outcome.answers.iter().zip(reference) {
            let _ = match (private, float) {
                (Answer::Embedding { text, embedding }, Answer::Embedding { embedding: float, .. }) => {
                    writeln!(
                        out,
                        "{text}\n  private {}\n  float   {}\n  cosine  {:.6}",
                        head(embedding),
                        head(float),
                        cosine(embedding, float)
                    )
                }
                (
                    Answer::Label { text, label, score, logits },
                    Answer::Label { label: l, score: s, logits: f, .. },
                ) => {
                    writeln!(
                        out,
                        "{text}\n  private {label} {score:.4} {}\n  float   {l} {s:.4} {}",
                        head(logits),
                        head(f)
                    )
                }
                _ => Ok(()),
            };
        }
        let (cost, s) = (outcome.counted, outcome.seconds);
        let megabytes = |b: u64| b as f64 / 1e6;
        let _ = writeln!(
            out,
            "\nplan {}, {} text(s)\n  sent     {:.2} MB online, {:.2} MB offline, {} hops\n  seconds  {:.2} sharing \
             the weights, {:.2} preprocessing, {:.2} online, {:.2} in all",
            self.plan.as_str(),
            outcome.answers.len(),
            megabytes(cost.online),
            megabytes(cost.offline),
            cost.hops,
            s.share_weights,
            s.preprocess,
            s.online,
            s.total
        );
        if let Some(seconds) = modelled {
            let _ = writeln!(out, "  {}      {seconds:.2} s for transfer and latency (modelled)", self.network);
        }
        let rss = outcome.peak_rss_bytes.map(|b| format!("{:.0} MB", megabytes(b)));
        let _ = writeln!(out, "  memory   {} at most (P0, P1, P2)", rss.join(", "));
        out
    }
}

fn lines(file: &Path) -> Result<Vec<String>, RunError> {
    let content = std::fs::read_to_string(file)
        .map_err(|source| RunError::File { file: file.display().to_string(), source })?;
    Ok(content.lines().filter(|l| !l.trim().is_empty()).map(str::to_owned).collect())
}

/// The first numbers of a vector.
fn head(values: &[f32]) -> String {
    let first: Vec<String> = values.iter().take(6).map(|v| format!("{v:+.4}")).collect();
    let more = if values.len() > first.len() { ", .." } else { "" };
    format!("[{}{more}]", first.join(", "))
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn progress_bar(visible: bool) -> ProgressBar {
    let bar = if visible { ProgressBar::new(0) } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template("{msg:24} {bar:30} {pos}/{len} [{elapsed}]") {
        bar.set_style(style);
    }
    bar
}

fn show(bar: &ProgressBar, phase: Phase) {
    let (message, done, all) = match phase {
        Phase::Started(pids) => {
            tracing::info!("parties run as processes {pids:?}");
            return;
        }
        Phase::Weights(done, all) => ("sharing the weights".to_owned(), done, all),
        Phase::Preprocess(i, n) => (format!("text {}: preprocessing", i + 1), i, n),
        Phase::Online(i, n) => (format!("text {}: online", i + 1), i, n),
    };
    bar.set_length(all as u64);
    bar.set_message(message);
    bar.set_position(done as u64);
}
