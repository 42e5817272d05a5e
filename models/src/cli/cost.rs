use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use super::setup::JsonCost;
use clap::Args;
use ditto_core::cost::{Cost, Kind, Machine, PhaseSeconds};
use ditto_models::architecture::Opens;
use ditto_models::estimate::{Estimate, Row};
use ditto_models::lookup::Lookup;
use ditto_models::model::{ModelSpec, Request};
use ditto_models::plan::Plan;
use ditto_models::quantization::settings_for;
use ditto_models::rehearsal::rehearse;
use ditto_models::run::{Launch, Network, RunError};
use serde::Serialize;

/// Tell what one request of a model will send and how long it will take, without running it
///
/// Bytes and hops are exact: they are what `ditto run` counts for one text of that length. Only the configuration files of
/// the checkpoint are read; weights and tokenizer may be missing. Times are predicted for three parties on this machine with
/// nothing else running: its speed is measured for a second or two, by short loops and by running one small layer of the same
/// kind of model. Predicted times are mostly within 20 % of what a run takes.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  ditto cost --model checkpoints/all-MiniLM-L6-v2 --seq 128
  ditto cost --model checkpoints/all-MiniLM-L6-v2 --seq 128 --plan ditto --network wan --json
  ditto cost --model checkpoints/gpt2 --seq 1 --past 32 --opens argmax

Bytes are payload summed over all senders. A step's hops are its own; hops of steps side by side are shared, so the total
is less than their sum.")]
pub(crate) struct CostOf {
    /// Directory with the configuration of a Hugging Face BERT or GPT-2 checkpoint: config.json, and
    /// modules.json where there is one
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Length of the text in tokens, special ones included
    #[arg(long, value_name = "N")]
    seq: usize,
    /// Of a GPT-2: tokens before these, whose keys and values the servers hold already
    #[arg(long, value_name = "N", default_value_t = 0)]
    past: usize,
    /// Of a GPT-2: what the client receives; `run` opens logits, `generate` an index or a hidden state
    #[arg(long, value_enum, default_value = "logits")]
    opens: Opens,
    /// Number formats and functions
    #[arg(long, value_enum, default_value = "accurate")]
    plan: Plan,
    /// Scales and ranges that `ditto calibrate` wrote, or `none`; by default quantization.PLAN.json in the model's
    /// directory if it is there
    #[arg(long, value_name = "FILE|none")]
    quantization: Option<PathBuf>,
    /// Who looks tokens up, and from whom that hides the embedding tables
    #[arg(long, value_enum, default_value = "client")]
    embedding: Lookup,
    /// Choose variants of protocols for this network, and count the time that it would add (modelled)
    #[arg(long, value_enum, default_value = "none")]
    network: Network,
    /// Print one JSON object with every step instead of a table
    #[arg(long)]
    json: bool,
}

/// What `--json` prints. The names are stable.
#[derive(Serialize)]
struct Json<'a> {
    model: String,
    plan: Plan,
    network: Network,
    seq: usize,
    past: usize,
    cost: JsonCost,
    predicted_seconds: JsonSeconds,
    operations: Vec<JsonOperation<'a>>,
}

#[derive(Serialize)]
struct JsonSeconds {
    preprocess: f64,
    online: f64,
    /// In all with `--overlap`.
    overlapped: f64,
}

#[derive(Serialize)]
struct JsonOperation<'a> {
    step: &'a str,
    hops: u32,
    online_bytes: u64,
    offline_bytes: u64,
    multiply_adds: u64,
}

impl CostOf {
    pub(crate) fn run(self) -> Result<(), RunError> {
        let settings = settings_for(&self.model, self.plan, self.quantization.as_deref())?;
        let link = self.network.link();
        let model =
            ModelSpec::of_config(&self.model, self.plan, Arc::new(settings.with_link(link)), self.embedding)?;
        let model = model.opening(self.opens);
        let longest = model.architecture.max_position_embeddings;
        let tokens = self.seq.saturating_add(self.past);
        if self.seq == 0 || tokens > longest {
            return Err(RunError::Length { tokens, longest });
        }
        let request = Request { past: self.past, ..Request::new(&[self.seq], &model.architecture.head) };
        request.check(&model.architecture).map_err(RunError::Job)?;
        let estimate = Estimate::new(&model, &request)?;
        let machine = rehearse(&model, &Launch::processes()?)?;
        let PhaseSeconds { preprocess, online } = estimate.seconds(&machine, &link);
        let seconds = JsonSeconds { preprocess, online, overlapped: estimate.overlapped(&machine, &link) };
        let text = if self.json {
            self.to_json(&estimate, seconds)
        } else {
            self.to_text(&estimate, &machine, seconds)
        };
        // A reader that stops early (head, a pager) is no failure.
        let _ = std::io::stdout().lock().write_all(text.as_bytes());
        Ok(())
    }

    fn to_json(&self, estimate: &Estimate, predicted_seconds: JsonSeconds) -> String {
        let operations = estimate.operations.iter().map(|o| JsonOperation {
            step: &o.step,
            hops: o.cost.hops,
            online_bytes: o.cost.online,
            offline_bytes: o.cost.offline,
            multiply_adds: o.cost.multiply_adds,
        });
        let json = Json {
            model: self.model.display().to_string(),
            plan: self.plan,
            network: self.network,
            seq: self.seq,
            past: self.past,
            cost: estimate.cost.into(),
            predicted_seconds,
            operations: operations.collect(),
        };
        serde_json::to_string(&json).unwrap_or_default() + "\n"
    }

    fn to_text(&self, estimate: &Estimate, machine: &Machine, seconds: JsonSeconds) -> String {
        let rows = estimate.rows(ROWS);
        let efforts: Vec<f64> = rows.iter().map(|row| machine.effort(&row.work)).collect();
        let all: f64 = efforts.iter().sum();
        let widest = rows.iter().map(|row| name(row).chars().count()).max().unwrap_or_default();
        let line = |name: &str, share: f64, cost: &Cost| {
            format!(
                "{name:widest$} {:>6.1}% {:>10.2} {:>10.2} {:>6} {:>10.1}\n",
                100.0 * share,
                cost.online as f64 / 1e6,
                cost.offline as f64 / 1e6,
                cost.hops,
                cost.multiply_adds as f64 / 1e6
            )
        };
        let mut out = format!(
            "{} {}, {} tokens\n\n{:widest$} {:>7} {:>10} {:>10} {:>6} {:>10}\n",
            self.model.display(),
            self.plan,
            self.seq,
            "",
            "work",
            "online MB",
            "offline MB",
            "hops",
            "M mult-adds"
        );
        for (row, effort) in rows.iter().zip(&efforts) {
            out += &line(&name(row), effort / all, &row.cost);
        }
        out += &line("in all", 1.0, &estimate.cost);
        let [before, after] = machine.factors();
        let per_second = |kind, unit: f64| 1.0 / machine.rate(kind) / unit;
        let network = match self.network {
            Network::None => "loopback".to_owned(),
            network => format!("{network} (network modelled)"),
        };
        out + &format!(
            "\npredicted on {network}: {:.2} s preprocessing, {:.2} s online; {:.2} s in all with --overlap\n\
             the helper sends {:.1} MB to P0 and {:.1} MB to P1\n\
             this machine: {} cores; one does {:.0} / {:.0} / {:.0} G multiply-adds/s (rings to 32 / 52 / 64 bits), \
             {:.1} GB/s of AES,\n  {:.1} GB/s through arrays, {:.0} M table steps/s; loopback {:.0} us a hop, {:.1} GB/s\n\
             in a run of a small layer: {:.0} us a hop with what goes with it; computing takes {:.1} (preprocessing) and \
             {:.1} times (online)\n  what it takes alone\n",
            seconds.preprocess,
            seconds.online,
            seconds.overlapped,
            estimate.dealt[0] as f64 / 1e6,
            estimate.dealt[1] as f64 / 1e6,
            machine.cores(),
            per_second(Kind::Multiply32, 1e9),
            per_second(Kind::Multiply52, 1e9),
            per_second(Kind::Multiply64, 1e9),
            per_second(Kind::Draw, 1e9),
            per_second(Kind::Pass, 1e9),
            per_second(Kind::Step, 1e6),
            machine.hop() * 1e6,
            per_second(Kind::Wire, 1e9),
            machine.hop_in_run() * 1e6,
            before,
            after,
        )
    }
}

/// Most rows of the table.
const ROWS: usize = 28;

fn name(row: &Row) -> String {
    if row.times > 1 { format!("{} ({} x)", row.name, row.times) } else { row.name.clone() }
}
