//! A private image classifier, from nothing: docs/guide.md tells its story.

// A program has no interface: `pub` is `pub(crate)` here.
#![allow(unreachable_pub, missing_docs)]

mod data;
mod model;
mod train;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use ditto_core::session::{clear, private, request_cost, simulate};
use ditto_models::checkpoint::Checkpoint;

use crate::data::{Image, images, patches};
use crate::model::{Config, Digits};
use crate::train::Trained;

/// A private image classifier
#[derive(Parser)]
struct Args {
    /// Directory of the model
    #[arg(long, default_value = "checkpoints/digits", global = true)]
    model: PathBuf,
    /// What every pixel (0 to 255) is multiplied by before it enters the model
    #[arg(long, default_value_t = 1.0 / 255.0, global = true)]
    scale: f32,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make weights
    Train,
    /// Compare fixed point with floats, and check every range, in one process
    Check,
    /// What a private answer costs
    Cost,
    /// Classify images privately, by three parties in this process
    Run {
        /// How many
        #[arg(default_value_t = 5)]
        images: usize,
    },
}

const CONFIG: Config = Config { patches: 16, pixels: 16, width: 64, heads: 4, blocks: 2, classes: 10 };

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.command {
        Command::Train => train(&args.model, args.scale),
        Command::Check => check(&args.model, args.scale),
        Command::Cost => cost(),
        Command::Run { images } => run(&args.model, args.scale, images),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn train(dir: &Path, scale: f32) -> Result<(), Box<dyn Error>> {
    let trained = Trained::fit(&CONFIG, &images(2000, 1), scale, 7)?;
    std::fs::create_dir_all(dir)?;
    trained.save(&dir.join("model.safetensors"))?;
    println!("wrote {}", dir.join("model.safetensors").display());
    Ok(())
}

fn check(dir: &Path, scale: f32) -> Result<(), Box<dyn Error>> {
    let (model, weights, test) = (Digits(CONFIG), Checkpoint::open(dir)?, images(200, 2));
    let (float, fixed) = (clear(&model, &weights)?, simulate(&model, &weights)?);
    let (mut right, mut worst) = ([0, 0], 0f32);
    for (i, image) in test.iter().enumerate() {
        let x = patches(image, scale)?;
        let a = float(&(), x.clone())?;
        let b = fixed([i as u8; 16], &(), &x)?;
        right[0] += usize::from(best(a.data()) == image.digit);
        right[1] += usize::from(best(b.data()) == image.digit);
        worst = a.data().iter().zip(b.data()).map(|(a, b)| (a - b).abs()).fold(worst, f32::max);
    }
    println!("{} images: {} right in floats, {} in fixed point", test.len(), right[0], right[1]);
    println!("logits differ by {worst:.4} at most; every range condition holds");
    Ok(())
}

fn cost() -> Result<(), Box<dyn Error>> {
    let cost = request_cost(&Digits(CONFIG), &())?;
    println!(
        "{:.3} MB online, {:.3} MB offline, {} hops, {:.1} million multiply-adds",
        cost.online as f64 / 1e6,
        cost.offline as f64 / 1e6,
        cost.hops,
        cost.multiply_adds as f64 / 1e6
    );
    Ok(())
}

fn run(dir: &Path, scale: f32, n: usize) -> Result<(), Box<dyn Error>> {
    let (model, weights, test) = (Digits(CONFIG), Checkpoint::open(dir)?, images(n, 3));
    let inputs = test.iter().map(|image| Ok(((), patches(image, scale)?)));
    let inputs = inputs.collect::<ditto_core::Result<Vec<_>>>()?;
    let answers = private(&model, &weights, &inputs)?;
    let float = clear(&model, &weights)?;
    for ((image, answer), ((), x)) in test.iter().zip(&answers).zip(inputs) {
        let (private, reference) = (best(answer.data()), best(float(&(), x)?.data()));
        println!("{}private {private}, float {reference}, drawn {}\n", picture(image), image.digit);
    }
    Ok(())
}

/// The class with the largest logit.
fn best(logits: &[f32]) -> usize {
    (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap_or(0)
}

/// An image in characters.
fn picture(image: &Image) -> String {
    let shade = |p: &u8| if *p > 128 { '#' } else { '.' };
    let line = |row: &[u8]| row.iter().map(shade).chain(['\n']).collect::<String>();
    image.pixels.chunks(data::SIDE).map(line).collect()
}
