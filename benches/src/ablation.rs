//! The paper's ablation: what quantization and the quadratic activation bring, alone and together.

use std::fmt::Write;

use ditto_models::plan::Plan;
use ditto_models::run::Network;

use crate::document::Run;
use crate::text::{self, Table, megabytes, seconds};

/// The plans, and what each has of the two ideas.
pub const PLANS: [(Plan, &str); 4] = [
    (Plan::Puma, "neither"),
    (Plan::PumaQuad, "Quad alone"),
    (Plan::DittoGelu, "quantization alone"),
    (Plan::Ditto, "both"),
];

/// What the functions differ in beside the two ideas.
const DIFFERENCES: &str = "\
`puma` and `puma-quad` have PUMA's softmax, clipped at -14, in the ring of 64 bits; `ditto-gelu` and `ditto` have an exact
one, and their own accurate GeLU where they have GeLU: a ring of 32 bits does not hold the powers in PUMA's.";

/// The table, then everything else of these runs, which are of [`PLANS`] in their order.
pub fn text(runs: &[Run], reps: usize) -> String {
    let mut table = Table::new([
        "",
        "plan",
        "MB",
        "fewer",
        "hops",
        "in all s",
        "faster",
        "LAN s, modelled",
        "faster",
        "WAN s, modelled",
        "faster",
    ]);
    let Some(baseline) = runs.first() else { return String::new() };
    for (run, (_, idea)) in runs.iter().zip(PLANS) {
        let mut row = vec![
            idea.to_owned(),
            run.plan.to_owned(),
            megabytes(run.request.bytes()),
            format!("{:.2}", baseline.request.bytes() as f64 / run.request.bytes() as f64),
            run.request.cost.hops.to_string(),
        ];
        for network in [Network::None, Network::Lan, Network::Wan] {
            let of = |run: &Run| {
                let on = run.request.modelled_seconds.iter().find(|on| on.network == network);
                on.map_or(f64::NAN, |on| on.link_per_pair.total)
            };
            row.extend([seconds(of(run)), format!("{:.2}", of(baseline) / of(run))]);
        }
        table.row(row);
    }
    let mut out = String::from("## Ablation\n\n");
    out += &table.markdown();
    let _ = writeln!(out, "\n{DIFFERENCES}\n");
    out + &text::runs(runs, reps)
}
