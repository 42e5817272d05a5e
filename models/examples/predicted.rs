//! Predicted and measured times side by side:
//! `cargo build --release && cargo run --release -p ditto-models --example predicted -- --model checkpoints/all-MiniLM-L6-v2 --seq 16,128`

use std::error::Error;
use std::path::{Path, PathBuf};

use clap::Parser;
use ditto_core::cost::{Kind, Load, PhaseSeconds};
use ditto_core::net::Link;
use ditto_models::estimate::Estimate;
use ditto_models::lookup::Lookup;
use ditto_models::model::{ModelSpec, Request};
use ditto_models::plan::Plan;
use ditto_models::rehearsal::{Timed, rehearse, run_blank};
use ditto_models::run::Launch;
use serde_json::json;

/// Print predicted and measured times of private runs side by side
#[derive(Parser)]
struct Args {
    /// Directories with the configuration of a checkpoint; no weights are needed
    #[arg(long, required = true, value_delimiter = ',')]
    model: Vec<PathBuf>,
    /// Lengths in tokens, special ones included
    #[arg(long, value_delimiter = ',', default_value = "16,64,128")]
    seq: Vec<usize>,
    /// Of a GPT-2: also a further token after each length
    #[arg(long)]
    further: bool,
    /// Plans
    #[arg(long, value_enum, value_delimiter = ',', default_value = "accurate,ditto,ditto-gelu")]
    plan: Vec<Plan>,
    /// Runs of each case; the median counts
    #[arg(long, default_value_t = 3)]
    reps: usize,
    /// The program that plays the parties [default: `ditto` beside this one's directory]
    #[arg(long)]
    program: Option<PathBuf>,
    /// Print a JSON object per run instead, with everything that was counted
    #[arg(long)]
    json: bool,
}

/// One request, predicted and run.
struct Run {
    predicted: PhaseSeconds,
    timed: Timed,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let program = match &args.program {
        Some(program) => program.clone(),
        None => std::env::current_exe()?.with_file_name("../ditto"),
    };
    let launch = Launch::Processes { program };
    if !args.json {
        println!(
            "{:34} {:>8} {:>8} {:>6}   {:>8} {:>8} {:>6}   cpu seconds of P2, P0, P1, online",
            "", "pre", "run", "ratio", "online", "run", "ratio"
        );
    }
    for dir in &args.model {
        for &plan in &args.plan {
            let model = ModelSpec::of_config(dir, plan, Default::default(), Lookup::Client)?;
            for &seq in &args.seq {
                let request = Request::new(&[seq], &model.architecture.head);
                let further = Request { tokens: vec![1], past: seq, ..request.clone() };
                let requests = if args.further { vec![request, further] } else { vec![request] };
                case(dir, &model, &requests, &launch, &args)?;
            }
        }
    }
    Ok(())
}

fn case(
    dir: &Path,
    model: &ModelSpec,
    requests: &[Request],
    launch: &Launch,
    args: &Args,
) -> Result<(), Box<dyn Error>> {
    let mut runs: Vec<Vec<Run>> = requests.iter().map(|_| Vec::new()).collect();
    for _ in 0..args.reps {
        // Beside each run, so that both see the same machine.
        let machine = rehearse(model, launch)?;
        let timed = run_blank(model, requests, launch)?;
        for ((request, timed), runs) in requests.iter().zip(timed).zip(&mut runs) {
            let estimate = Estimate::new(model, request)?;
            let predicted = estimate.seconds(&machine, &Link::NONE);
            if args.json {
                let amounts = |load: &Load| Kind::ALL.map(|k| load[k]);
                let work = estimate.work();
                println!(
                    "{}",
                    json!({
                        "model": dir, "plan": model.plan, "request": request,
                        "hops": estimate.cost.hops, "steps": estimate.operations.len(), "reading": estimate.reading,
                        "kinds": Kind::ALL, "rates": Kind::ALL.map(|k| machine.rate(k)), "machine": format!("{machine:?}"),
                        "loads": [amounts(&work.helper), amounts(&work.prepare[0]), amounts(&work.prepare[1]), amounts(&work.online)],
                        "efforts": machine.efforts(&work), "predicted": predicted,
                        "seconds": timed.seconds, "cpu_seconds": timed.cpu_seconds,
                    })
                );
            }
            runs.push(Run { predicted, timed });
        }
    }
    if args.json {
        return Ok(());
    }
    for (request, runs) in requests.iter().zip(&runs) {
        let median = |value: &dyn Fn(&Run) -> f64| {
            let mut values: Vec<f64> = runs.iter().map(value).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
        };
        let name = dir.file_name().unwrap_or_default().to_string_lossy();
        let past = if request.past > 0 { format!("{}+", request.past) } else { String::new() };
        print!("{:34}", format!("{name} {} {past}{}", model.plan, request.rows()));
        for phase in [|s: &PhaseSeconds| s.preprocess, |s: &PhaseSeconds| s.online] {
            let (told, run) = (median(&|r| phase(&r.predicted)), median(&|r| phase(&r.timed.seconds)));
            print!(" {told:8.3} {run:8.3} {:6.2}  ", told / run);
        }
        for (phase, party) in [(0, 2), (0, 0), (0, 1), (1, 0)] {
            print!(" {:.2}", median(&|r| r.timed.cpu_seconds[phase][party]));
        }
        println!();
    }
    Ok(())
}
