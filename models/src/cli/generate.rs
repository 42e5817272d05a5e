use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Instant;

use clap::{Args, ValueEnum};
use ditto_core::cost::Cost;
use ditto_models::generate::{Choice, Generated, Generation, Sampling, Told, generate};
use ditto_models::model::ModelSpec;
use ditto_models::run::{Network, RunError};
use ditto_models::text::Stream;
use serde::Serialize;

use super::progress_bar;
use super::run::advance;
use super::setup::{JsonCost, Setup};

/// Continue a text privately on this machine, beside the float reference
///
/// Three parties are started as three processes that talk over loopback. The checkpoint's weights are shared between
/// them. The first request reads the prompt, each further one the token before it: keys and values of all tokens so far
/// stay with the parties, as shares. Tokens are printed as they come, and then those of the same model in ordinary
/// floating point.
///
/// The servers learn how many tokens the prompt has and how many are written, and nothing else of the text.
///
/// One machine protects nothing: whoever controls it sees all three shares. This command shows what the protocols
/// compute and what they cost.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Who chooses the next token decides what is opened to the client, and what the client learns of the model:
  --sample argmax   The servers compute all logits and the index of the largest, and open that index alone. The client
                    learns the text and nothing more. Costs a product with the vocabulary and a tree of comparisons.
  --sample client   The last hidden state is opened to the client, which holds the table of tokens and so makes the logits
                    itself, and draws with --temperature, --top-k and --top-p. As good as opening all logits, and cheaper;
                    many of them help a client to copy the model. With --embedding private the client has no table, and
                    the logits are opened instead.

Examples:
  ditto generate --model checkpoints/gpt2 --prompt \"The meaning of life is\" --tokens 20
  ditto generate --model checkpoints/gpt2 --prompt \"Once upon a time\" --tokens 40 --sample client --temperature 0.8 --top-k 40
  ditto cost --model checkpoints/gpt2 --seq 32 --past 0

Fields of --json: prompt, text, tokens, reference_tokens, cost (online_bytes, offline_bytes, hops: all requests together),
seconds (share_weights, prefill, per_token: for each further token, total). Seconds of a token are its preprocessing and
its online phase together.")]
pub(crate) struct Generate {
    /// Directory of a Hugging Face GPT-2 checkpoint: config.json, model.safetensors, tokenizer.json
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// The text to continue
    #[arg(long, value_name = "TEXT")]
    prompt: String,
    /// Tokens to write, at most: a token that ends the text is the last
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    tokens: u16,
    /// Who chooses the next token: see below for what is opened to whom
    #[arg(long, value_enum, default_value = "argmax")]
    sample: Sample,
    /// What the client divides logits by; 0 takes the most likely token
    #[arg(long, value_name = "T", default_value_t = 1.0, allow_negative_numbers = true, value_parser = temperature)]
    temperature: f32,
    /// Most tokens that the client draws from
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    top_k: Option<u32>,
    /// Probability that the tokens which the client draws from have together
    #[arg(long, value_name = "P", default_value_t = 1.0, value_parser = probability)]
    top_p: f32,
    /// Where the client's draws begin
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    setup: Setup,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// Who chooses the next token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Sample {
    /// The servers; only the most likely token is opened to the client
    Argmax,
    /// The client, of the hidden state that is opened to it
    Client,
}

fn temperature(text: &str) -> Result<f32, String> {
    let value: f32 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=1e6).contains(&value) { Ok(value) } else { Err("must be 0 or more".to_owned()) }
}

fn probability(text: &str) -> Result<f32, String> {
    let value: f32 = text.parse().map_err(|_| "not a number".to_owned())?;
    if value > 0.0 && value <= 1.0 { Ok(value) } else { Err("must be above 0 and at most 1".to_owned()) }
}

/// What `--json` prints. The names are stable.
#[derive(Serialize)]
struct Json<'a> {
    model: String,
    plan: &'a str,
    /// The file in use.
    quantization: Option<PathBuf>,
    network: Network,
    prompt: &'a str,
    text: String,
    tokens: &'a [u32],
    reference_tokens: &'a [u32],
    cost: JsonCost,
    seconds: JsonSeconds,
    peak_rss_bytes: [u64; 3],
}

#[derive(Serialize)]
struct JsonSeconds {
    share_weights: f64,
    prefill: f64,
    per_token: Vec<f64>,
    total: f64,
    /// What the named network would add, modelled; absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    modelled_network: Option<f64>,
}

impl Generate {
    pub(crate) fn run(self) -> Result<(), RunError> {
        let setup = &self.setup;
        let (generation, quantization) =
            Generation::open(&self.model, setup.plan, &self.prompt, self.tokens.into(), self.choice())?
                .quantized(setup.quantization.as_deref())?;
        let generation = generation
            .with_lookup(setup.embedding)?
            .with_link(setup.network.link())
            .with_serving(setup.serving(1, true));
        if !self.json {
            self.warn(&generation.model, quantization.is_some());
        }
        let (launch, limits) = (setup.launch()?, setup.limits());
        let randomness = setup.testing.randomness();
        let generated = if self.json {
            generate(&generation, &launch, limits, randomness, &|_| ())?
        } else {
            let printer = Printer::new(&self.prompt, &generation);
            let generated = generate(&generation, &launch, limits, randomness, &|told| printer.told(told))?;
            printer.end();
            generated
        };
        let reference = generation.reference()?;
        let out = if self.json {
            self.to_json(&generation, &generated, &reference, quantization)
        } else {
            self.to_text(&generation, &generated, &reference)
        };
        // A reader that stops early (head, a pager) is no failure of the run.
        let _ = std::io::stdout().lock().write_all(out.as_bytes());
        Ok(())
    }

    fn choice(&self) -> Choice {
        let top_k = self.top_k.map(|k| k as usize);
        let sampling = Sampling { temperature: self.temperature, top_k, top_p: self.top_p };
        match self.sample {
            Sample::Argmax => Choice::Argmax,
            Sample::Client => Choice::Client(sampling, self.seed),
        }
    }

    fn warn(&self, model: &ModelSpec, calibrated: bool) {
        self.setup.warn(model);
        if !calibrated {
            eprintln!(
                "This checkpoint was not calibrated for plan `{}`: a number out of a protocol's range would wrap without \
                 notice. See `ditto calibrate`.",
                self.setup.plan
            );
        }
    }

    fn to_json(
        &self,
        generation: &Generation,
        generated: &Generated,
        reference: &[u32],
        quantization: Option<PathBuf>,
    ) -> String {
        let counted = sum(&generated.counted);
        let seconds: Vec<f64> = generated.seconds.iter().map(|phases| phases.iter().sum()).collect();
        let json = Json {
            model: self.model.display().to_string(),
            plan: self.setup.plan.as_str(),
            quantization,
            network: self.setup.network,
            prompt: &self.prompt,
            text: text(generation, &generated.tokens),
            tokens: &generated.tokens,
            reference_tokens: reference,
            cost: counted.into(),
            seconds: JsonSeconds {
                share_weights: generated.share_weights,
                prefill: seconds.first().copied().unwrap_or_default(),
                per_token: seconds.get(1..).unwrap_or_default().to_vec(),
                total: generated.total,
                modelled_network: self.setup.modelled(&counted),
            },
            peak_rss_bytes: generated.peak_rss_bytes,
        };
        serde_json::to_string(&json).unwrap_or_default() + "\n"
    }

    fn to_text(&self, generation: &Generation, generated: &Generated, reference: &[u32]) -> String {
        use std::fmt::Write;
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = if generated.tokens == reference {
            writeln!(out, "\nfloat    the same {} token(s)", reference.len())
        } else {
            let same = generated.tokens.iter().zip(reference).take_while(|(a, b)| a == b).count();
            let text = text(generation, reference);
            writeln!(out, "\nfloat    {}{text}\n         the first {same} token(s) are the same", self.prompt)
        };
        let _ = writeln!(
            out,
            "\nplan {}, {} token(s) after {}",
            self.setup.plan,
            generated.tokens.len(),
            generation.prompt.len()
        );
        let [first, rest @ ..] = &generated.counted[..] else { return out };
        let [first_seconds, rest_seconds @ ..] = &generated.seconds[..] else { return out };
        let megabytes = |b: u64| b as f64 / 1e6;
        let mut line = |name: &str, n: usize, cost: &Cost, seconds: [f64; 2]| {
            let n = n as f64;
            let [preprocess, online] = seconds.map(|s| s / n);
            let _ = writeln!(
                out,
                "  {name:14} {:8.2} MB online {:8.2} MB offline {:5.0} hops {preprocess:7.3} s preprocessing {online:7.3} s \
                 online",
                megabytes(cost.online) / n,
                megabytes(cost.offline) / n,
                f64::from(cost.hops) / n,
            );
        };
        line("first token", 1, first, *first_seconds);
        if !rest.is_empty() {
            let seconds = rest_seconds.iter().fold([0.0; 2], |[a, b], [c, d]| [a + c, b + d]);
            line("each further", rest.len(), &sum(rest), seconds);
        }
        if let Some(seconds) = self.setup.modelled(&sum(&generated.counted)) {
            let _ = writeln!(
                out,
                "  {}: {seconds:.2} s for transfer and latency of all (modelled)",
                self.setup.network
            );
        }
        let rss = generated.peak_rss_bytes.map(|b| format!("{:.0} MB", megabytes(b)));
        let _ = writeln!(
            out,
            "  {:.2} s sharing the weights, {:.2} s in all; memory {} at most (P0, P1, P2)",
            generated.share_weights,
            generated.total,
            rss.join(", ")
        );
        out
    }
}

fn sum(costs: &[Cost]) -> Cost {
    costs.iter().fold(Cost::default(), |sum, &cost| sum + cost)
}

/// The text of tokens, without one that ends it.
fn text(generation: &Generation, tokens: &[u32]) -> String {
    let written = tokens.strip_suffix(&[tokens.last().copied().unwrap_or_default()]).unwrap_or_default();
    match tokens.last() {
        Some(&last) if generation.ends(last) => generation.tokenizer().decode(written),
        _ => generation.tokenizer().decode(tokens),
    }
}

/// Prints tokens as they come.
struct Printer<'a> {
    generation: &'a Generation,
    bar: indicatif::ProgressBar,
    written: Mutex<Written<'a>>,
}

struct Written<'a> {
    prompt: &'a str,
    stream: Stream<'a>,
    /// When the first token came, and how many have come since.
    begun: Option<Instant>,
    tokens: usize,
}

impl<'a> Printer<'a> {
    fn new(prompt: &'a str, generation: &'a Generation) -> Self {
        let bar = progress_bar(std::io::stderr().is_terminal());
        let stream = Stream::new(generation.tokenizer());
        let written = Written { prompt, stream, begun: None, tokens: 0 };
        Self { generation, bar, written: Mutex::new(written) }
    }

    fn told(&self, told: Told) {
        match told {
            Told::Phase(phase) => advance(&self.bar, phase),
            Told::Token(id) => self.token(id),
        }
    }

    fn token(&self, id: u32) {
        let Ok(mut written) = self.written.lock() else { return };
        let mut text = String::new();
        if written.begun.is_none() {
            self.bar.finish_and_clear();
            text.push_str("private  ");
            text.push_str(written.prompt);
            written.begun = Some(Instant::now());
        }
        written.tokens += 1;
        if !self.generation.ends(id) {
            text += &written.stream.push(id);
        }
        print(&text);
    }

    fn end(&self) {
        let Ok(mut written) = self.written.lock() else { return };
        let rest = written.stream.finish();
        print(&(rest + "\n"));
        if let (Some(begun), further @ 1..) = (written.begun, written.tokens.saturating_sub(1)) {
            let rate = further as f64 / begun.elapsed().as_secs_f64().max(1e-9);
            print(&format!("         {rate:.2} tokens per second after the first\n"));
        }
    }
}

/// Writes to standard output at once; a reader that has gone is no failure.
fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
