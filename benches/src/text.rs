//! What is printed for people: Markdown, which the page of published numbers takes as it is.

use std::fmt::Write;

use ditto_models::run::Network;

use crate::document::{Operation, Request, Run, Seconds};
use crate::host::Host;
use crate::statistics::range;
use crate::trial::Check;

/// A table; the first column is to the left, all others to the right.
#[derive(Clone, Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// With these headings.
    pub fn new<H: Into<String>>(headings: impl IntoIterator<Item = H>) -> Self {
        Self { rows: vec![headings.into_iter().map(Into::into).collect()] }
    }

    /// Adds a row; what is missing in it stays empty.
    pub fn row<C: Into<String>>(&mut self, cells: impl IntoIterator<Item = C>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// With columns padded to one width.
    pub fn markdown(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let cell = |row: &[String], i: usize| row.get(i).cloned().unwrap_or_default();
        let width =
            |i: usize| self.rows.iter().map(|row| cell(row, i).chars().count()).max().unwrap_or_default();
        let widths: Vec<usize> = (0..columns).map(|i| width(i).max(3)).collect();
        let mut out = String::new();
        for (at, row) in self.rows.iter().enumerate() {
            for (i, &width) in widths.iter().enumerate() {
                let text = cell(row, i);
                // Writing to a string cannot fail.
                let _ =
                    if i == 0 { write!(out, "| {text:width$} ") } else { write!(out, "| {text:>width$} ") };
            }
            out += "|\n";
            if at == 0 {
                for (i, &width) in widths.iter().enumerate() {
                    let dashes = "-".repeat(width);
                    let _ = if i == 0 { write!(out, "|-{dashes}-") } else { write!(out, "|-{dashes}:") };
                }
                out += "|\n";
            }
        }
        out
    }
}

/// Seconds with as many digits as mean something.
pub fn seconds(seconds: f64) -> String {
    if seconds < 0.1 { format!("{seconds:.4}") } else { format!("{seconds:.2}") }
}

/// Millions of bytes.
pub fn megabytes(bytes: u64) -> String {
    format!("{:.2}", bytes as f64 / 1e6)
}

/// The machine, on one line.
pub fn host(host: &Host) -> String {
    let mut out = format!("{}, {} cores", host.cpu.as_deref().unwrap_or("unknown processor"), host.cores);
    if !host.extensions.is_empty() {
        let _ = write!(out, " ({})", host.extensions.join(", "));
    }
    if let Some(memory) = host.memory_bytes {
        let _ = write!(out, ", {:.0} GiB", memory as f64 / f64::from(1 << 30));
    }
    if let Some(system) = &host.system {
        let _ = write!(out, ", {system}");
    }
    let _ = write!(out, "; {} threads in each party's kernels and in floats", host.threads);
    if let Some(load) = host.load_before {
        let _ = write!(out, "; load before {load:.2}");
    }
    if let Some(commit) = &host.commit {
        let _ = write!(out, "; commit {commit}");
    }
    out
}

/// What the seconds of runs hold, and what they do not.
pub const INCLUDED: &str = "\
Three parties as three processes on this machine, over loopback TCP, sharing its cores. Seconds are the client's, medians
of the repetitions: preprocessing from asking to the parties being ready, online from sending the masked input to the
output; reading and agreeing on the program is in preprocessing. Not in them: starting processes, sharing the weights, the
client's look-up of embeddings, and a first request per session, whose time is told apart. Bytes are payload over all
senders; online is what is sent once the input is there. Seconds of parts are the evaluator P1's, each moment counted to
the step entered last. Networks are modelled: latency of every hop, and bytes by bandwidth, added to what was measured.
\"Behind relays\" is measured: relays in user space, on the same cores, hold back what parties send each other as the
network named would; client and owner are not behind one.";

/// Runs of one subject, compared.
pub fn runs(runs: &[Run], reps: usize) -> String {
    let mut out = String::new();
    let Some(one) = runs.first() else { return out };
    let _ = writeln!(
        out,
        "## {}, {} tokens{}\n\nProtocols chosen for network `{}`; {reps} repetitions; seed {}.\n{}.\n\n{INCLUDED}\n",
        one.model,
        one.seq,
        if one.overlap { ", phases overlapped" } else { "" },
        one.network,
        one.seed,
        host(&one.host)
    );
    let causal = one.first_token_seconds.is_some();
    let _ = writeln!(out, "### {}\n", if causal { "First token" } else { "A text" });
    out += &summary(runs, |run| Some(&run.request));
    if one.further.is_some() {
        out += "\n### A further token\n\n";
        out += &summary(runs, |run| run.further.as_ref());
    }
    out += "\n### Sessions\n\n";
    out += &sessions(runs);
    if runs.len() > 1 {
        let _ = writeln!(out, "\n### Ratios to `{}`\n", one.plan);
        out += &ratios(runs);
    }
    for run in runs {
        let _ = writeln!(out, "\n### Parts of `{}`\n", run.plan);
        out += &operations(&run.request.operations);
        if let Some(further) = &run.further {
            let _ = writeln!(out, "\n### Parts of a further token under `{}`\n", run.plan);
            out += &operations(&further.operations);
        }
    }
    for run in runs {
        let _ = writeln!(out, "\n### Layers of `{}`\n", run.plan);
        out += &operations(&run.request.layers);
    }
    out
}

fn spread(median: f64, all: &[f64]) -> String {
    let [least, most] = range(all);
    format!("{} ({} to {})", seconds(median), seconds(least), seconds(most))
}

fn summary<'a>(runs: &'a [Run], request: impl Fn(&'a Run) -> Option<&'a Request>) -> String {
    let mut table = Table::new([
        "",
        "preprocessing s",
        "online s",
        "in all s",
        "floats s",
        "times floats",
        "online alone",
    ]);
    let mut sent = Table::new(["", "online MB", "offline MB", "hops", "G mult-adds"]);
    let relayed = runs.iter().filter_map(&request).any(|request| request.relayed_seconds.is_some());
    let headings = ["in all s, modelled", "none", "LAN", "LAN, one pipe", "WAN", "WAN, one pipe"];
    let mut networks = Table::new(headings.into_iter().chain(relayed.then_some("behind relays, measured")));
    for run in runs {
        let Some(request) = request(run) else { continue };
        let Request { seconds: s, repetitions, plaintext_seconds: floats, cost, .. } = request;
        table.row([
            run.plan.to_owned(),
            spread(s.preprocess, &repetitions.preprocess),
            spread(s.online, &repetitions.online),
            spread(s.total, &repetitions.total),
            spread(*floats, &repetitions.plaintext),
            format!("{:.1}", s.total / floats),
            format!("{:.1}", s.online / floats),
        ]);
        sent.row([
            run.plan.to_owned(),
            megabytes(cost.online_bytes),
            megabytes(cost.offline_bytes),
            cost.hops.to_string(),
            format!("{:.2}", cost.multiply_adds as f64 / 1e9),
        ]);
        let on = |network| request.modelled_seconds.iter().find(|on| on.network == network);
        let per_pair = |network| on(network).map_or(String::new(), |on| seconds(on.link_per_pair.total));
        let one_pipe = |network| on(network).map_or(String::new(), |on| seconds(on.one_shared_pipe.total));
        let modelled = [
            run.plan.to_owned(),
            per_pair(Network::None),
            per_pair(Network::Lan),
            one_pipe(Network::Lan),
            per_pair(Network::Wan),
            one_pipe(Network::Wan),
        ];
        networks.row(modelled.into_iter().chain(request.relayed_seconds.map(|s| seconds(s.total))));
    }
    [table.markdown(), sent.markdown(), networks.markdown()].join("\n")
}

fn sessions(runs: &[Run]) -> String {
    let mut table = Table::new([
        "",
        "sharing weights s",
        "first request s",
        "peak MB of P0",
        "of P1",
        "of P2",
        "answer beside floats, same functions",
    ]);
    for run in runs {
        let Seconds { total, .. } = run.request.first_request_seconds;
        let [p0, p1, p2] = run.peak_rss_bytes.map(|bytes| format!("{:.0}", bytes as f64 / 1e6));
        let check = match run.check {
            Check::Cosine(Some(cosine)) => format!("cosine {cosine:.6}"),
            Check::Cosine(None) => "no cosine".to_owned(),
            Check::Rank(0) => "same token".to_owned(),
            Check::Rank(rank) => format!("token of rank {rank}"),
        };
        table.row([
            run.plan.to_owned(),
            seconds(run.share_weights_seconds),
            seconds(total),
            p0,
            p1,
            p2,
            check,
        ]);
    }
    table.markdown()
}

fn ratios(runs: &[Run]) -> String {
    let mut table = Table::new([
        "",
        "bytes",
        "online",
        "offline",
        "hops",
        "preprocessing s",
        "online s",
        "in all s",
        "LAN s, modelled",
        "WAN s, modelled",
    ]);
    for run in &runs[1..] {
        let ratio = run.ratio(&runs[0]);
        let modelled = |network| {
            ratio.modelled.iter().find(|(other, _)| *other == network).map_or(f64::NAN, |(_, ratio)| *ratio)
        };
        let ratios = [
            ratio.bytes,
            ratio.online_bytes,
            ratio.offline_bytes,
            ratio.hops,
            ratio.seconds.preprocess,
            ratio.seconds.online,
            ratio.seconds.total,
            modelled(Network::Lan),
            modelled(Network::Wan),
        ];
        table.row(std::iter::once(run.plan.to_owned()).chain(ratios.map(|ratio| format!("{ratio:.2}"))));
    }
    table.markdown()
}

fn operations(operations: &[Operation]) -> String {
    let mut table =
        Table::new(["", "preprocessing s", "online s", "both s", "share", "online MB", "offline MB", "hops"]);
    let all: f64 = operations.iter().map(|o| o.seconds).sum();
    for o in operations {
        table.row([
            o.name.clone(),
            seconds(o.preprocess_seconds),
            seconds(o.online_seconds),
            seconds(o.seconds),
            format!("{:.1}%", 100.0 * o.seconds / all),
            megabytes(o.sent.online_bytes),
            megabytes(o.sent.offline_bytes),
            o.sent.hops.to_string(),
        ]);
    }
    table.markdown()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_aligned() {
        let mut table = Table::new(["", "s"]);
        table.row(["a plan", "1.25"]);
        table.row(["b"]);
        let wanted = "|        |    s |\n|--------|-----:|\n| a plan | 1.25 |\n| b      |      |\n";
        assert_eq!(table.markdown(), wanted);
    }
}
