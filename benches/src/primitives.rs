//! Single protocols, and the kernels below them.

pub mod kernels;
mod protocol;
mod world;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;
use ditto_models::plan::Plan;
use ditto_models::report::chain;
use serde::Serialize;

pub use protocol::{Measured, Protocol};

use crate::error::{BenchError, Result};
use crate::host::Host;
use crate::size::bounded;
use crate::text::{self, Table, megabytes};

/// Measure single protocols with three parties in one process, and the kernels below them
///
/// Parties are threads that share this machine's cores and talk over queues in memory: what a protocol computes and sends,
/// without a network. Protocols run in the formats of each plan that has what they need.
#[derive(Debug, Parser)]
pub struct Primitives {
    /// Whose number formats; several, divided by commas, take turns in one run
    #[arg(long, value_enum, value_delimiter = ',', default_value = "ditto,puma")]
    plan: Vec<Plan>,
    /// Only protocols with this in their name
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Elements of functions that work on each alone
    #[arg(long, value_name = "N", default_value_t = 1 << 16, value_parser = bounded::<4194304>)]
    elements: usize,
    /// Repetitions that count, after one that does not
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = bounded::<1000>)]
    reps: usize,
    /// Leave the kernels out
    #[arg(long)]
    no_kernels: bool,
    /// Print one JSON document instead of tables
    #[arg(long)]
    json: bool,
}

/// What `--json` prints. The names are stable.
#[derive(Debug, Serialize)]
struct Document {
    protocols: Vec<Measured>,
    kernels: Option<kernels::Kernels>,
    reps: usize,
    host: Host,
}

/// Runs the program.
pub fn main() -> ExitCode {
    match Primitives::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

impl Primitives {
    fn run(self) -> Result<()> {
        let wanted =
            |protocol: &Protocol| self.only.as_ref().is_none_or(|only| protocol.name().contains(only));
        let chosen: Vec<Protocol> = Protocol::all(self.elements).into_iter().filter(wanted).collect();
        if chosen.is_empty() {
            let what = format!("no protocol has `{}` in its name", self.only.unwrap_or_default());
            return Err(BenchError::Option { option: "only", what });
        }
        let host = Host::read();
        let kernels = if self.no_kernels { None } else { Some(kernels::Kernels::measure(self.reps)?) };
        let mut protocols = Vec::new();
        for protocol in &chosen {
            protocols.extend(protocol.measure(&self.plan, self.reps)?);
        }
        let document = Document { protocols, kernels, reps: self.reps, host };
        let output = if self.json { serde_json::to_string(&document)? + "\n" } else { self.text(&document) };
        // A reader that stops early is no failure of the run.
        let _ = std::io::stdout().lock().write_all(output.as_bytes());
        Ok(())
    }

    fn text(&self, document: &Document) -> String {
        let mut out = format!(
            "## Primitives\n\n{} repetitions, medians.\n{}.\n",
            document.reps,
            text::host(&document.host)
        );
        if let Some(kernels) = &document.kernels {
            out += "\n### Kernels, one core\n\n";
            out += &kernels.text();
        }
        let mut table = Table::new([
            "",
            "plan",
            "preprocessing ms",
            "online ms",
            "both ms",
            "MB",
            "online B/element",
            "offline B/element",
            "hops",
        ]);
        for m in &document.protocols {
            let each = |bytes: u64| format!("{:.2}", bytes as f64 / m.elements as f64);
            let [before, online] = [m.preprocess_seconds, m.online_seconds].map(|s| s * 1e3);
            table.row([
                m.protocol.clone(),
                m.plan.to_owned(),
                format!("{before:.2}"),
                format!("{online:.2}"),
                format!("{:.2}", before + online),
                megabytes(m.online_bytes + m.offline_bytes),
                each(m.online_bytes),
                each(m.offline_bytes),
                m.hops.to_string(),
            ]);
        }
        out + "\n### Protocols, three parties in one process\n\n" + &table.markdown()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_checked() {
        let parse =
            |line: &str| Primitives::try_parse_from(line.split_whitespace()).map_err(|e| e.to_string());
        let options = parse("primitives --plan puma --only GeLU --elements 64 --reps 2 --json").unwrap();
        assert_eq!(
            (options.plan, options.elements, options.reps, options.json),
            (vec![Plan::Puma], 64, 2, true)
        );
        assert!(parse("primitives --elements 0").unwrap_err().contains("from 1"));
        assert!(parse("primitives --plan x").unwrap_err().contains('x'));
    }
}
