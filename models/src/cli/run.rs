use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use super::inputs::Inputs;
use super::progress_bar;
use super::setup::{JsonCost, Setup};
use super::show::show;
use clap::Args;
use ditto_models::answer::Answer;
use ditto_models::run::{Failure, Network, Outcome, Phase, RunError, Serving, Task, run_private};
use indicatif::ProgressBar;
use serde::Serialize;

/// Run a checkpoint privately on this machine, beside its float reference
///
/// Three parties are started as three processes that talk over loopback. The checkpoint's weights are shared between
/// them, then each text: P0 and P1 compute, P2 prepares random material ahead of them, and only the answer is opened, to
/// the client. For each text the private answer is printed beside that of the same model in ordinary floating point.
///
/// The checkpoint decides what is answered: an embedding, the class of a text or a pair, classes of tokens,
/// the part of a context that answers a question, the tokens that fit in place of masked ones, or (of a
/// GPT-2) the token that comes next.
///
/// One machine protects nothing: whoever controls it sees all three shares. This command shows what the protocols
/// compute and what they cost.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  scripts/fetch-minilm.sh
  ditto run --model checkpoints/all-MiniLM-L6-v2 --text \"The cat sat on the mat.\"
  ditto run --model my-classifier --file lines.txt --batch 16 --network wan --json
  ditto run --model my-nli --text \"It rains.\" --text-pair \"The street is wet.\"
  ditto run --model my-reader --question \"Who wrote it?\" --context \"The book was written by Ada.\"
  ditto run --model bert-base-uncased --text \"The cat [MASK] on the mat.\"
  ditto run --model gpt2 --text \"The cat sat on the\"

Fields of --json for each text, in \"results\" (private) and \"reference\" (float):
  embedding             text, embedding
  classification        text, text_pair (of a pair), label, score, logits
  token classification  text, entities: [entity, score, index, word, start, end]
  question answering    question, context, answer, score, start, end
  masked tokens         text, masks: for each, five of [token, token_str, score]
  next token            text, next: five of [token, token_str, score]
start and end count characters; index counts tokens.

Costs are payload bytes summed over all senders. \"Online\" is what is sent once the text is there, \"offline\" what the
helper P2 sends before. A hop is a message between P0 and P1 that had to wait for the one before it.")]
pub(crate) struct Run {
    /// Directory of a Hugging Face BERT or GPT-2 checkpoint: config.json, model.safetensors, tokenizer.json
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    #[command(flatten)]
    inputs: Inputs,
    /// Texts that share one request and its hops, at most; a GPT-2 takes one at a time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
    batch: u8,
    /// Requests in flight at once: they share the parties and their links, and fill each other's waits. Each is prepared
    /// while it is answered, as with --overlap
    #[arg(long, value_name = "N", default_value_t = 1,
        value_parser = clap::value_parser!(u8).range(1..=i64::from(Serving::MOST)))]
    in_flight: u8,
    #[command(flatten)]
    setup: Setup,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// What `--json` prints. The names are stable.
#[derive(Serialize)]
struct Json<'a> {
    model: String,
    plan: &'a str,
    /// The file in use.
    quantization: Option<PathBuf>,
    network: Network,
    results: &'a [Answer],
    reference: &'a [Answer],
    /// Requests that failed; absent if none did.
    #[serde(skip_serializing_if = "<[Failure]>::is_empty")]
    failures: &'a [Failure],
    requests_per_minute: f64,
    cost: JsonCost,
    seconds: JsonSeconds,
    cpu_seconds: JsonCpu,
    peak_rss_bytes: [u64; 3],
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
        let setup = &self.setup;
        let (task, quantization) = Task::open(&self.model, setup.plan, self.inputs.read()?)?
            .batched(self.batch.into())?
            .with_lookup(setup.embedding)?
            .quantized(setup.quantization.as_deref())?;
        let task = task.with_link(setup.network.link()).with_serving(setup.serving(self.in_flight, false));
        let mut reference = task.reference()?;
        if !self.json {
            self.warn(&task);
        }
        let (launch, randomness) = (setup.launch()?, setup.testing.randomness());
        let bar = progress_bar(!self.json && std::io::stderr().is_terminal());
        let progress = |phase| advance(&bar, phase);
        let outcome = run_private(&task, &launch, setup.limits(), randomness, &progress)?;
        bar.finish_and_clear();
        // Beside each private answer that of floats.
        for failure in outcome.failures.iter().rev() {
            reference.drain(task.places(failure.request));
        }
        // What several requests at once add to each other's time is not modelled.
        let modelled = self.setup.modelled(&outcome.counted).filter(|_| self.in_flight == 1);
        let mut out = std::io::stdout().lock();
        // A reader that stops early (head, a pager) is no failure of the run.
        let _ = if self.json {
            writeln!(out, "{}", self.to_json(&outcome, &reference, modelled, quantization))
        } else {
            out.write_all(self.to_text(&outcome, &reference, modelled).as_bytes())
        };
        match &outcome.failures[..] {
            [] => Ok(()),
            [first, ..] => {
                Err(RunError::Requests { count: outcome.failures.len(), first: first.error.clone() })
            }
        }
    }

    fn warn(&self, task: &Task) {
        self.setup.warn(&task.job.model);
        for i in &task.truncated {
            eprintln!("Text {i} is longer than the model takes; its end is left out.");
        }
    }

    fn to_json(
        &self,
        outcome: &Outcome,
        reference: &[Answer],
        modelled: Option<f64>,
        quantization: Option<PathBuf>,
    ) -> String {
        let (cost, seconds) = (outcome.counted, outcome.seconds);
        let json = Json {
            model: self.model.display().to_string(),
            plan: self.setup.plan.as_str(),
            quantization,
            network: self.setup.network,
            results: &outcome.answers,
            reference,
            failures: &outcome.failures,
            requests_per_minute: per_minute(outcome),
            cost: cost.into(),
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
        for (private, float) in outcome.answers.iter().zip(reference) {
            out += &show(private, float);
        }
        // Writing to a string cannot fail.
        let (cost, s) = (outcome.counted, outcome.seconds);
        let megabytes = |b: u64| b as f64 / 1e6;
        let _ = writeln!(
            out,
            "\nplan {}, {} text(s)\n  sent     {:.2} MB online, {:.2} MB offline, {} hops\n  seconds  {:.2} sharing \
             the weights, {:.2} preprocessing, {:.2} online{}, {:.2} in all",
            self.setup.plan.as_str(),
            outcome.answers.len(),
            megabytes(cost.online),
            megabytes(cost.offline),
            cost.hops,
            s.share_weights,
            s.preprocess,
            s.online,
            if self.setup.overlaps() || self.in_flight > 1 { " with what overlaps" } else { "" },
            s.total
        );
        if self.in_flight > 1 {
            let _ = writeln!(
                out,
                "  flow     {:.2} s for all requests, {} at once at most: {:.1} a minute",
                s.requests,
                self.in_flight,
                per_minute(outcome)
            );
        }
        if let Some(seconds) = modelled {
            let _ = writeln!(
                out,
                "  {}      {seconds:.2} s for transfer and latency (modelled)",
                self.setup.network
            );
        }
        let rss = outcome.peak_rss_bytes.map(|b| format!("{:.0} MB", megabytes(b)));
        let _ = writeln!(out, "  memory   {} at most (P0, P1, P2)", rss.join(", "));
        out
    }
}

/// Requests answered in a minute, from the first asked to the last answered.
fn per_minute(outcome: &Outcome) -> f64 {
    60.0 * outcome.answered as f64 / outcome.seconds.requests.max(1e-9)
}

pub(super) fn advance(bar: &ProgressBar, phase: Phase) {
    let (message, done, all) = match phase {
        Phase::Started(pids) => {
            tracing::info!("parties run as processes {pids:?}");
            return;
        }
        Phase::Weights(done, all) => ("sharing the weights".to_owned(), done, all),
        Phase::Preprocess(i, n) => (format!("request {}: preprocessing", i + 1), i, n),
        Phase::Online(i, n) => (format!("request {}: online", i + 1), i, n),
    };
    bar.set_length(all as u64);
    bar.set_message(message);
    bar.set_position(done as u64);
}
