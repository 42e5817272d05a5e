//! A rehearsal: what a machine takes for a small model of the same kind, run as any other.
//!
//! Counts and rates leave out what cannot be counted from shapes: contexts, locks and allocations of a step, threads of a
//! join, the way of a message through two processes, caches that parties share. So before a time is predicted, one layer of
//! the model is run privately, a hundredth as large, with random numbers for weights, once with hardly a row and once with
//! enough of them that computing shows.

use ditto_core::cost::{Machine, Observed, PhaseSeconds, Work};
use ditto_core::net::Limits;
use ditto_core::prg::Randomness;
use ditto_core::session::{Floats, Report};
use ditto_core::tensor::Array;
use ditto_core::{Error, Settings};

use crate::architecture::{Architecture, PublicHead};
use crate::estimate::Estimate;
use crate::lookup::Embedding;
use crate::model::{ModelSpec, Request};
use crate::run::{Launch, RunError, Serving, run_requests};

/// Sizes of the layer.
const WIDTH: usize = 256;
const HEADS: usize = 4;
const VOCABULARY: usize = 512;
/// A request that hardly computes and one that does: tokens, and how often it is run.
const SMALL: (usize, usize) = (3, 9);
const LARGE: (usize, usize) = (80, 6);

/// Measures this machine: its rates, then with them what a small model of the kind of `model` takes, under the same plan and
/// for the same network.
pub fn rehearse(model: &ModelSpec, launch: &Launch) -> Result<Machine, RunError> {
    let machine = Machine::measure()?;
    let model = reduced(model);
    let request = |(tokens, _)| Request::new(&[tokens], &model.architecture.head);
    // What the parties make once is made in the first request, which counts apart.
    let times = [(SMALL, 1), (SMALL, SMALL.1), (LARGE, LARGE.1)];
    let requests: Vec<Request> =
        times.iter().flat_map(|&(size, times)| std::iter::repeat_n(request(size), times)).collect();
    let timed = run_blank(&model, &requests, launch)?;
    let seconds: Vec<PhaseSeconds> = timed.iter().map(|t| t.seconds).collect();
    let (small, large) = seconds[1..].split_at(SMALL.1);
    let observed = |size, runs: &[PhaseSeconds]| {
        let Estimate { operations, cost, reading, .. } = Estimate::new(&model, &request(size))?;
        let work: Work = operations.iter().map(|o| o.work).sum();
        Ok::<_, RunError>(Observed {
            work,
            steps: operations.len(),
            hops: cost.hops,
            reading,
            seconds: quartile(runs),
        })
    };
    let [small, large] = [observed(SMALL, small)?, observed(LARGE, large)?];
    let first = PhaseSeconds {
        preprocess: (seconds[0].preprocess - small.seconds.preprocess).max(0.0),
        online: (seconds[0].online - small.seconds.online).max(0.0),
    };
    Ok(machine.seen([&small, &large], first))
}

/// One layer, in the default scales.
fn reduced(model: &ModelSpec) -> ModelSpec {
    let some = |vocabulary: usize| vocabulary.min(VOCABULARY);
    let head = match model.architecture.head {
        PublicHead::MaskedLm { vocabulary } => PublicHead::MaskedLm { vocabulary: some(vocabulary) },
        PublicHead::CausalLm { vocabulary, opens } => {
            PublicHead::CausalLm { vocabulary: some(vocabulary), opens }
        }
        head => head,
    };
    let architecture = Architecture {
        hidden_size: WIDTH,
        num_hidden_layers: 1,
        num_attention_heads: HEADS,
        intermediate_size: 4 * WIDTH,
        max_position_embeddings: LARGE.0,
        head,
        ..model.architecture.clone()
    };
    let settings = Settings { link: model.settings.link, ..Settings::default() };
    ModelSpec { plan: model.plan, architecture, settings: settings.into(), embedding: Embedding::Client }
}

/// The lower quartile of each phase: what else the machine does can only add.
fn quartile(runs: &[PhaseSeconds]) -> PhaseSeconds {
    let quartile = |phase: fn(&PhaseSeconds) -> f64| {
        let mut seconds: Vec<f64> = runs.iter().map(phase).collect();
        seconds.sort_by(f64::total_cmp);
        seconds.get(seconds.len() / 4).copied().unwrap_or_default()
    };
    PhaseSeconds { preprocess: quartile(|s| s.preprocess), online: quartile(|s| s.online) }
}

/// What a request took.
#[derive(Clone, Copy, Debug)]
pub struct Timed {
    /// As the client saw it.
    pub seconds: PhaseSeconds,
    /// Processor seconds of P0, P1 and P2 in both phases. Threads share one process.
    pub cpu_seconds: [[f64; 3]; 2],
}

/// Runs requests on a model of these sizes, of which the client looks tokens up, in one session. Weights and inputs are
/// numbers without a meaning: what a run takes does not depend on them.
pub fn run_blank(model: &ModelSpec, requests: &[Request], launch: &Launch) -> Result<Vec<Timed>, RunError> {
    let blank = |request: &Request| Array::zeros([request.rows(), model.architecture.hidden_size]);
    let inputs: Vec<_> = requests.iter().map(|request| (request.clone(), blank(request))).collect();
    let (limits, randomness) = (Limits::default(), Randomness::system());
    let run = run_requests(model, &Meaningless, &inputs, launch, Serving::default(), limits, randomness)?;
    let timed = run.answered.iter().map(|answered| {
        let spent = |micros: fn(&Report) -> u64| answered.reports.each_ref().map(|r| micros(r) as f64 / 1e6);
        let cpu_seconds = [spent(|r| r.preprocess_cpu_micros), spent(|r| r.online_cpu_micros)];
        Timed { seconds: answered.seconds, cpu_seconds }
    });
    Ok(timed.collect())
}

/// Weights whose values do not matter.
struct Meaningless;

impl Floats for Meaningless {
    fn floats(&self, _: &str, shape: &[usize]) -> Result<Vec<f32>, Error> {
        Ok(vec![1.0 / 64.0; shape.iter().product()])
    }
}

#[cfg(test)]
mod tests {
    use ditto_core::net::Link;

    use super::*;
    use crate::config::{BertConfig, Gpt2Config, Head, ModelConfig};
    use crate::plan::Plan;

    fn models() -> Vec<ModelSpec> {
        let bert = Architecture::new(&ModelConfig::Bert(BertConfig::tiny()), &Head::QuestionAnswering);
        let gpt2 = Architecture::new(&ModelConfig::Gpt2(Gpt2Config::tiny()), &Head::CausalLm);
        let masked = Architecture { head: PublicHead::MaskedLm { vocabulary: 30_000 }, ..bert.clone() };
        let spec = |architecture| ModelSpec {
            plan: Plan::Ditto,
            architecture,
            settings: Default::default(),
            embedding: Embedding::Client,
        };
        [bert, gpt2, masked].map(spec).into()
    }

    #[test]
    fn every_family_is_rehearsed_in_small() {
        for model in models() {
            let small = reduced(&model);
            assert_eq!(small.architecture.head.is_causal(), model.architecture.head.is_causal());
            assert!(small.architecture.outputs() <= VOCABULARY.max(WIDTH));
            let machine = rehearse(&model, &Launch::Threads).unwrap();
            assert!(machine.hop_in_run() >= machine.hop());
            let seconds = |tokens| {
                let request = Request::new(&[tokens], &model.architecture.head);
                Estimate::new(&model, &request).unwrap().seconds(&machine, &Link::NONE)
            };
            let (short, long) = (seconds(1), seconds(60));
            assert!(short.preprocess > 0.0 && short.online > 0.0, "{short:?}");
            assert!(long.online > short.online, "{short:?}, {long:?}");
        }
    }

    #[test]
    fn a_quartile_is_taken_of_each_phase() {
        let runs = [(1.0, 9.0), (3.0, 8.0), (2.0, 100.0), (5.0, 50.0)];
        let runs = runs.map(|(preprocess, online)| PhaseSeconds { preprocess, online });
        assert_eq!(quartile(&runs), PhaseSeconds { preprocess: 2.0, online: 9.0 });
        assert_eq!(quartile(&[]), PhaseSeconds::default());
    }
}
