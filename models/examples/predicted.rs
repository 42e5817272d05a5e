//! Predicted and measured times side by side:
//! `cargo build --release && cargo run --release -p ditto-models --example predicted -- --model checkpoints/all-MiniLM-L6-v2 --seq 16,128`

use std::error::Error;
use std::path::{Path, PathBuf};

use clap::Parser;
use ditto_core::cost::{Kind, Load, Machine};
use ditto_core::net::{Limits, Link};
use ditto_core::prg::Randomness;
use ditto_models::estimate::Estimate;
use ditto_models::plan::Plan;
use ditto_models::run::{Launch, Task, run_private};
use serde_json::json;

/// Print predicted and measured times of private runs side by side
#[derive(Parser)]
struct Args {
    /// Checkpoints
    #[arg(long, required = true, value_delimiter = ',')]
    model: Vec<PathBuf>,
    /// Lengths in tokens, special ones included
    #[arg(long, value_delimiter = ',', default_value = "16,64,128")]
    seq: Vec<usize>,
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

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let program = match args.program {
        Some(program) => program,
        None => std::env::current_exe()?.with_file_name("../ditto"),
    };
    if !args.json {
        println!(
            "{:34} {:>8} {:>8} {:>6}   {:>8} {:>8} {:>6}   cpu P2 P0 P1 online, predicted/measured",
            "", "pre", "run", "ratio", "online", "run", "ratio"
        );
    }
    for model in &args.model {
        for &plan in &args.plan {
            for &seq in &args.seq {
                case(model, plan, seq, args.reps, &program, args.json)?;
            }
        }
    }
    Ok(())
}

fn case(
    model: &Path,
    plan: Plan,
    seq: usize,
    reps: usize,
    program: &Path,
    json: bool,
) -> Result<(), Box<dyn Error>> {
    let task = Task::open(model, plan, ["a ".repeat(seq.saturating_sub(2)).as_str()])?;
    let request = &task.job.requests[0];
    if request.rows() != seq {
        return Err(format!("a text of {seq} tokens has {} in this checkpoint", request.rows()).into());
    }
    let launch = Launch::Processes { program: program.to_owned() };
    let (mut pre, mut online, mut cpu) = (Vec::new(), Vec::new(), [0.0; 4]);
    let mut predicted = Vec::new();
    for _ in 0..reps {
        // Beside each run, so that both see the same machine.
        let machine = Machine::measure()?;
        let estimate = Estimate::new(&task.job.model, request)?;
        let seconds = estimate.seconds(&machine, &Link::NONE);
        let run = run_private(&task, &launch, Limits::default(), Randomness::system(), &|_| ())?;
        let [before, after] = run.cpu_seconds;
        let measured = [before[2], before[0], before[1], (after[0] + after[1]) / 2.0];
        let work = estimate.work();
        let efforts = machine.efforts(&work, estimate.reading[1]);
        if json {
            let amounts = |load: &Load| Kind::ALL.map(|k| load[k]);
            println!(
                "{}",
                json!({
                    "model": model, "plan": plan, "seq": seq, "hops": estimate.cost.hops,
                    "kinds": Kind::ALL, "rates": Kind::ALL.map(|k| machine.rate(k)), "hop": machine.hop(), "reading": estimate.reading,
                    "loads": [amounts(&work.helper), amounts(&work.prepare[0]), amounts(&work.prepare[1]), amounts(&work.online)],
                    "predicted": seconds, "efforts": efforts, "cpu": measured,
                    "preprocess": run.seconds.preprocess, "online": run.seconds.online,
                })
            );
            continue;
        }
        pre.push(run.seconds.preprocess);
        online.push(run.seconds.online);
        predicted.push((seconds, efforts));
        for (sum, one) in cpu.iter_mut().zip(measured) {
            *sum += one / reps as f64;
        }
    }
    if json {
        return Ok(());
    }
    let (before, after) =
        (median(predicted.iter().map(|p| p.0.preprocess)), median(predicted.iter().map(|p| p.0.online)));
    let (pre, online) = (median(pre.into_iter()), median(online.into_iter()));
    let name = model.file_name().unwrap_or_default().to_string_lossy();
    print!(
        "{:34} {before:8.3} {pre:8.3} {:6.2}   {after:8.3} {online:8.3} {:6.2}  ",
        format!("{name} {plan} {seq}"),
        before / pre,
        after / online
    );
    for (i, cpu) in cpu.iter().enumerate() {
        print!(" {:.2}/{cpu:.2}", median(predicted.iter().map(|p| p.1[i])));
    }
    println!();
    Ok(())
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
