//! Options of the programs `bert` and `gpt2`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use ditto_core::net::Limits;
use ditto_models::architecture::Opens;
use ditto_models::config::ModelConfig;
use ditto_models::plan::Plan;
use ditto_models::run::{Launch, Network};

use crate::error::{BenchError, Result};
use crate::size::{BertSize, Custom, Gpt2Size, Size, bounded};
use crate::subject::{Lengths, Subject};
use crate::trial::Setup;

/// Options of `bert`.
#[derive(Clone, Debug, Args)]
pub struct BertOptions {
    #[command(flatten)]
    model: ModelOptions<BertSize>,
    /// Tokens of the text, special ones included
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = bounded::<65536>)]
    seq: usize,
    #[command(flatten)]
    how: HowOptions,
}

/// Options of `gpt2`.
#[derive(Clone, Debug, Args)]
pub struct Gpt2Options {
    #[command(flatten)]
    model: ModelOptions<Gpt2Size>,
    /// Tokens of the prompt
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = bounded::<65536>)]
    seq: usize,
    /// Further tokens after the prompt, 0 for none
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16))]
    tokens: u16,
    /// What is opened to the client: the index of the likeliest token, all logits, or the hidden state that a client
    /// with the table of tokens makes logits of
    #[arg(long, value_enum, default_value = "argmax")]
    opens: Opens,
    #[command(flatten)]
    how: HowOptions,
}

/// Which model.
#[derive(Clone, Debug, Args)]
struct ModelOptions<S: Size> {
    /// Size of a model with random weights [default: base]
    #[arg(long, value_enum, conflicts_with = "checkpoint")]
    size: Option<S>,
    #[command(flatten)]
    custom: Custom,
    /// Directory of a checkpoint to take weights, sizes and scales from
    #[arg(long, value_name = "DIR")]
    checkpoint: Option<PathBuf>,
    /// Where random weights and tokens are drawn from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

/// How it is run, and what is printed.
#[derive(Clone, Debug, Args)]
struct HowOptions {
    /// Number formats and functions; several, divided by commas, take turns in one run, and each is compared with the first
    #[arg(long, value_enum, value_delimiter = ',', default_value = "ditto")]
    plan: Vec<Plan>,
    /// Choose variants of protocols for this network; what it would add is modelled for all of them
    #[arg(long, value_enum, default_value = "none")]
    network: Network,
    /// Let preprocessing run beside the online phase of its request, as `ditto run --overlap` does
    #[arg(long)]
    overlap: bool,
    /// Repetitions that count, after one that does not
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = bounded::<1000>)]
    reps: usize,
    /// Print one JSON document instead of tables
    #[arg(long)]
    json: bool,
    /// Also draw time and bytes of the parts under each plan, or what --scaling found, as SVG
    #[arg(long, value_name = "FILE.svg")]
    chart: Option<PathBuf>,
    /// Run a row of sizes instead of one, and fit by which power of it time and bytes grow
    #[arg(long, value_enum, conflicts_with = "ablation")]
    scaling: Option<Axis>,
    /// The sizes of --scaling [default: 32,64,128,256,512 tokens or 1,2,4,8,12,24 layers]
    #[arg(long, value_name = "N,..", value_delimiter = ',', requires = "scaling", value_parser = bounded::<65536>)]
    points: Vec<usize>,
    /// Run the paper's ablation: quantization alone, Quad alone, both, and neither
    #[arg(long, conflicts_with = "plan")]
    ablation: bool,
    /// Seconds that a party waits for another before it gives up
    #[arg(long, value_name = "S", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=86400))]
    time_limit: u64,
}

/// What is varied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Axis {
    /// Length of the text or prompt, in tokens
    Seq,
    /// Layers
    Layers,
}

impl Axis {
    /// Its sizes where none are given.
    fn points(self) -> &'static [usize] {
        match self {
            Self::Seq => &[32, 64, 128, 256, 512],
            Self::Layers => &[1, 2, 4, 8, 12, 24],
        }
    }
}

/// What a program was asked for, checked.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The model.
    pub model: Source,
    /// Length of the text, and what is opened.
    pub lengths: Lengths,
    /// Where random weights and tokens are drawn from.
    pub seed: u64,
    /// How it is run.
    pub setup: Setup,
    /// What is run.
    pub task: Task,
    /// Whether one JSON document is printed.
    pub json: bool,
    /// Where a chart goes.
    pub chart: Option<PathBuf>,
}

/// Where a model comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A size with random weights, and its name.
    Random(String, Box<ModelConfig>),
    /// A checkpoint, and whether it must be one that continues texts.
    Checkpoint(PathBuf, bool),
}

/// What is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// One subject.
    One,
    /// A row of subjects.
    Scaling(Axis, Vec<usize>),
    /// The paper's ablation of one subject.
    Ablation,
}

/// Options of a program.
pub trait Options: Args {
    /// What the program measures, on a line.
    const ABOUT: &'static str;
    /// Checks them against each other.
    fn choose(self) -> Result<Choice>;
}

impl Options for BertOptions {
    const ABOUT: &'static str = "Measure a private BERT beside the same in ordinary floats";
    fn choose(self) -> Result<Choice> {
        let lengths = Lengths { seq: self.seq, further: 0, opens: Opens::default() };
        self.model.choose(BertSize::Base, false, lengths, self.how)
    }
}

impl Options for Gpt2Options {
    const ABOUT: &'static str = "Measure a private GPT-2 beside the same in ordinary floats";
    fn choose(self) -> Result<Choice> {
        let lengths = Lengths { seq: self.seq, further: self.tokens.into(), opens: self.opens };
        self.model.choose(Gpt2Size::Base, true, lengths, self.how)
    }
}

impl<S: Size> ModelOptions<S> {
    fn choose(self, default: S, causal: bool, lengths: Lengths, how: HowOptions) -> Result<Choice> {
        let model = match self.checkpoint {
            Some(dir) => match self.custom.given() {
                Some(option) => {
                    return Err(BenchError::Option { option, what: "a --checkpoint has its own".to_owned() });
                }
                None => Source::Checkpoint(dir, causal),
            },
            None => {
                let (name, config) = self.size.unwrap_or(default).model(&self.custom)?;
                Source::Random(name, Box::new(config))
            }
        };
        how.choose(model, lengths, self.seed)
    }
}

impl HowOptions {
    fn choose(self, model: Source, lengths: Lengths, seed: u64) -> Result<Choice> {
        let refuse = |option, what: &str| Err(BenchError::Option { option, what: what.to_owned() });
        if let Some(plan) =
            self.plan.iter().enumerate().find_map(|(i, p)| self.plan[..i].contains(p).then_some(p))
        {
            return refuse("plan", &format!("`{plan}` is there twice"));
        }
        if let Some(file) = &self.chart {
            // Found now, and not when everything has been measured.
            if file.extension().is_none_or(|extension| extension != "svg") {
                return refuse("chart", &format!("{} does not end in .svg", file.display()));
            }
            let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty());
            if dir.is_some_and(|dir| !dir.is_dir()) {
                return refuse("chart", &format!("{} is in no directory that exists", file.display()));
            }
        }
        let task = match self.scaling {
            None if self.ablation => Task::Ablation,
            None => Task::One,
            Some(axis) => {
                if axis == Axis::Layers && matches!(model, Source::Checkpoint(..)) {
                    return refuse("scaling", "a --checkpoint has as many layers as it has");
                }
                let mut points = if self.points.is_empty() { axis.points().to_vec() } else { self.points };
                points.sort_unstable();
                points.dedup();
                if points.len() < 2 {
                    return refuse("points", "a power is fitted to two different sizes at least");
                }
                Task::Scaling(axis, points)
            }
        };
        let launch = Launch::processes()?;
        let limits = Limits { time_limit: Duration::from_secs(self.time_limit), ..Limits::default() };
        let Self { plan: plans, network, overlap, reps, .. } = self;
        let setup = Setup { plans, network, overlap, reps, launch, limits };
        Ok(Choice { model, lengths, seed, setup, task, json: self.json, chart: self.chart })
    }
}

impl Choice {
    /// The subject, or that of one point of a row.
    pub fn subject(&self, point: Option<(Axis, usize)>) -> Result<Subject> {
        let (mut model, mut lengths) = (self.model.clone(), self.lengths);
        match (point, &mut model) {
            (Some((Axis::Seq, seq)), _) => lengths.seq = seq,
            (Some((Axis::Layers, layers)), Source::Random(_, config)) => match &mut **config {
                ModelConfig::Bert(config) => config.num_hidden_layers = layers,
                ModelConfig::Gpt2(config) => config.n_layer = layers,
                _ => {}
            },
            _ => {}
        }
        match model {
            Source::Random(name, config) => Subject::random((name, *config), lengths, self.seed),
            Source::Checkpoint(dir, causal) => Subject::open(&dir, causal, lengths, self.seed),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Bert {
        #[command(flatten)]
        options: BertOptions,
    }

    #[derive(Parser)]
    struct Gpt2 {
        #[command(flatten)]
        options: Gpt2Options,
    }

    fn words(line: &str) -> impl Iterator<Item = &str> {
        std::iter::once("program").chain(line.split_whitespace())
    }

    fn bert(line: &str) -> Result<Choice, String> {
        let parsed = Bert::try_parse_from(words(line)).map_err(|e| e.to_string())?;
        parsed.options.choose().map_err(|e| e.to_string())
    }

    #[test]
    fn options_are_read() {
        let choice = bert("--size minilm --seq 64 --plan ditto,puma --network wan --reps 3 --json").unwrap();
        assert_eq!((choice.lengths.seq, choice.setup.reps, choice.json), (64, 3, true));
        assert_eq!(choice.setup.plans, [Plan::Ditto, Plan::Puma]);
        assert_eq!((choice.setup.network, choice.task), (Network::Wan, Task::One));
        assert!(matches!(choice.model, Source::Random(name, _) if name == "minilm-l6"));
        let choice = bert("--scaling layers").unwrap();
        assert_eq!(choice.task, Task::Scaling(Axis::Layers, vec![1, 2, 4, 8, 12, 24]));
        let choice = bert("--scaling seq --points 64,16,64").unwrap();
        assert_eq!(choice.task, Task::Scaling(Axis::Seq, vec![16, 64]));
        assert_eq!(bert("--ablation").unwrap().task, Task::Ablation);
        let gpt2 = Gpt2::try_parse_from(words("--tokens 0 --opens logits")).unwrap();
        let lengths = gpt2.options.choose().unwrap().lengths;
        assert_eq!((lengths.seq, lengths.further, lengths.opens), (32, 0, Opens::Logits));
    }

    #[test]
    fn wrong_options_are_refused_by_name() {
        for (line, what) in [
            ("--size huge", "huge"),
            ("--size custom --layers 1 --hidden 32", "--heads"),
            ("--layers 3", "--layers: it goes with --size custom"),
            ("--size base --checkpoint x", "--checkpoint"),
            ("--checkpoint x --vocab 9", "--vocab: a --checkpoint has its own"),
            ("--plan ditto,puma,ditto", "`ditto` is there twice"),
            ("--plan fast", "fast"),
            ("--reps 0", "from 1 to 1000"),
            ("--seq 0", "from 1"),
            ("--seq many", "many"),
            ("--scaling layers --checkpoint x", "as many layers"),
            ("--scaling seq --points 8,8", "--points"),
            ("--points 8", "--scaling"),
            ("--ablation --plan ditto", "--plan"),
            ("--network moon", "moon"),
            ("--chart chart.png", "chart.png does not end in .svg"),
            ("--chart nowhere/chart.svg", "no directory"),
            ("--time-limit 0", "--time-limit"),
        ] {
            let error = bert(line).unwrap_err();
            assert!(error.contains(what), "{line}: {error}");
        }
    }
}
