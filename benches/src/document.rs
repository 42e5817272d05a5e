//! What `--json` prints. The names are stable.

use ditto_core::cost::{Cost, PhaseSeconds};
use ditto_models::run::Network;
use serde::Serialize;

use crate::host::Host;
use crate::links::{Modelled, NETWORKS};
use crate::operation::{Row, by_layer, by_part};
use crate::statistics::median;
use crate::subject::Subject;
use crate::trial::{Check, Measured, Setup, Stage, Trial};

/// One plan, or several that were compared in one run.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Document {
    /// One.
    Run(Box<Run>),
    /// Several.
    Comparison {
        /// Each of them.
        runs: Vec<Run>,
        /// Each against the first.
        ratios: Vec<Ratio>,
    },
}

/// One plan.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// A size, or the directory of a checkpoint.
    pub model: String,
    /// The plan.
    pub plan: &'static str,
    /// The network that variants of protocols were chosen for.
    pub network: Network,
    /// Whether preprocessing ran beside the online phase: what is told of phases is then of both at once.
    pub overlap: bool,
    /// Tokens of the text or prompt.
    pub seq: usize,
    /// The request for the text or prompt.
    #[serde(flatten)]
    pub request: Request,
    /// A token after the prompt; of a GPT-2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub further: Option<Request>,
    /// Median seconds of the request that reads the prompt, in all; of a GPT-2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_token_seconds: Option<f64>,
    /// Median seconds of a token after the prompt, in all; of a GPT-2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub further_token_seconds: Option<f64>,
    /// Most memory of P0, P1 and P2.
    pub peak_rss_bytes: [u64; 3],
    /// Median seconds of sharing the weights, which is done once a session and in no other figure.
    pub share_weights_seconds: f64,
    /// The private answer beside that of the same functions in floats.
    pub check: Check,
    /// What random weights and tokens were drawn from.
    pub seed: u64,
    /// The machine.
    pub host: Host,
}

/// Requests of one kind.
#[derive(Clone, Debug, Serialize)]
pub struct Request {
    /// Medians, as the client saw them.
    pub seconds: Seconds,
    /// Median of the same in floats on the same cores.
    pub plaintext_seconds: f64,
    /// What the first of them sends.
    pub cost: Sent,
    /// Parts of the model. Seconds are the evaluator P1's.
    pub operations: Vec<Operation>,
    /// Layers of the model, and what is before and after them.
    pub layers: Vec<Operation>,
    /// Every repetition.
    pub repetitions: Repetitions,
    /// Seconds of the first request of a session, which finds no memory to reuse.
    pub first_request_seconds: Seconds,
    /// Measured seconds with what a network adds to them: modelled, not measured.
    pub modelled_seconds: Vec<OnNetwork>,
    /// Median seconds behind relays that delay what parties send each other, as the network would, on the same cores; none
    /// without a network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relayed_seconds: Option<Seconds>,
}

/// Seconds of the phases.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Seconds {
    /// Before the input is there.
    pub preprocess: f64,
    /// From the input to the output.
    pub online: f64,
    /// Both.
    pub total: f64,
}

/// Seconds of the phases in every repetition.
#[derive(Clone, Debug, Serialize)]
pub struct Repetitions {
    /// Before the input is there.
    pub preprocess: Vec<f64>,
    /// From the input to the output.
    pub online: Vec<f64>,
    /// Both.
    pub total: Vec<f64>,
    /// In floats.
    pub plaintext: Vec<f64>,
}

/// Payload of all senders.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Sent {
    /// Once the input is there.
    pub online_bytes: u64,
    /// Before.
    pub offline_bytes: u64,
    /// Longest chain of messages between the evaluators.
    pub hops: u32,
    /// Multiply-adds of all parties.
    pub multiply_adds: u64,
}

/// Part of a model.
#[derive(Clone, Debug, Serialize)]
pub struct Operation {
    /// Its name.
    pub name: String,
    /// Median seconds of both phases.
    pub seconds: f64,
    /// Median seconds of preprocessing.
    pub preprocess_seconds: f64,
    /// Median seconds online.
    pub online_seconds: f64,
    /// What it sends.
    #[serde(flatten)]
    pub sent: Sent,
}

/// A request on a network, modelled.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct OnNetwork {
    /// The network.
    pub network: Network,
    /// With a link for each pair of parties.
    pub link_per_pair: Seconds,
    /// With one pipe for all that anybody sends.
    pub one_shared_pipe: Seconds,
}

/// One plan against another: how many times as much.
#[derive(Clone, Debug, Serialize)]
pub struct Ratio {
    /// The plan.
    pub plan: &'static str,
    /// The plan that it is divided by.
    pub to: &'static str,
    /// Bytes online and offline.
    pub bytes: f64,
    /// Bytes online.
    pub online_bytes: f64,
    /// Bytes offline.
    pub offline_bytes: f64,
    /// Hops.
    pub hops: f64,
    /// Median seconds.
    pub seconds: Seconds,
    /// Modelled seconds in all on each network, with a link per pair.
    pub modelled: Vec<(Network, f64)>,
}

impl From<PhaseSeconds> for Seconds {
    fn from(seconds: PhaseSeconds) -> Self {
        Self { preprocess: seconds.preprocess, online: seconds.online, total: seconds.total() }
    }
}

impl Seconds {
    fn medians(all: &[PhaseSeconds]) -> Self {
        let median = |of: fn(&PhaseSeconds) -> f64| median(&all.iter().map(of).collect::<Vec<f64>>());
        Self {
            preprocess: median(|s| s.preprocess),
            online: median(|s| s.online),
            total: median(PhaseSeconds::total),
        }
    }
}

impl From<Cost> for Sent {
    fn from(Cost { online, offline, hops, multiply_adds }: Cost) -> Self {
        Self { online_bytes: online, offline_bytes: offline, hops, multiply_adds }
    }
}

impl From<Row> for Operation {
    fn from(Row { name, seconds: [preprocess, online], cost, .. }: Row) -> Self {
        Self {
            name,
            seconds: preprocess + online,
            preprocess_seconds: preprocess,
            online_seconds: online,
            sent: cost.into(),
        }
    }
}

impl Request {
    fn new(stage: &Stage, plaintext: &[f64], overlap: bool) -> Self {
        let all = |of: fn(&PhaseSeconds) -> f64| stage.seconds.iter().map(of).collect::<Vec<f64>>();
        let repetitions = Repetitions {
            preprocess: all(|s| s.preprocess),
            online: all(|s| s.online),
            total: all(PhaseSeconds::total),
            plaintext: plaintext.to_vec(),
        };
        let seconds = Seconds::medians(&stage.seconds);
        let on = |network| {
            let added = Modelled::new(network, &stage.cost);
            let sum = |added: PhaseSeconds| {
                let online = seconds.online + added.online;
                // Beside the online phase the helper's link only counts for what it takes longer.
                let dealing = if overlap { (added.preprocess - online).max(0.0) } else { added.preprocess };
                let preprocess = seconds.preprocess + dealing;
                Seconds { preprocess, online, total: seconds.total + added.online + dealing }
            };
            OnNetwork {
                network,
                link_per_pair: sum(added.link_per_pair),
                one_shared_pipe: sum(added.one_shared_pipe),
            }
        };
        Self {
            seconds,
            plaintext_seconds: median(plaintext),
            cost: stage.cost.into(),
            operations: by_part(&stage.shares).into_iter().map(Operation::from).collect(),
            layers: by_layer(&stage.shares).into_iter().map(Operation::from).collect(),
            repetitions,
            first_request_seconds: stage.first.into(),
            modelled_seconds: NETWORKS.map(on).into(),
            relayed_seconds: (!stage.relayed.is_empty()).then(|| Seconds::medians(&stage.relayed)),
        }
    }

    /// Bytes of all senders in both phases.
    pub fn bytes(&self) -> u64 {
        self.cost.online_bytes + self.cost.offline_bytes
    }
}

impl Run {
    fn new(subject: &Subject, setup: &Setup, trial: &Trial, measured: &Measured, host: &Host) -> Self {
        let new = |stage, plaintext| Request::new(stage, plaintext, setup.overlap);
        let request = new(&measured.request, &trial.plaintext[0]);
        let further = measured.further.as_ref().map(|stage| new(stage, &trial.plaintext[1]));
        let causal = subject.architecture.head.is_causal();
        Self {
            model: subject.name.clone(),
            plan: measured.plan.as_str(),
            network: setup.network,
            overlap: setup.overlap,
            seq: subject.seq(),
            first_token_seconds: causal.then_some(request.seconds.total),
            further_token_seconds: further.as_ref().map(|further| further.seconds.total),
            request,
            further,
            peak_rss_bytes: measured.peak_rss_bytes,
            share_weights_seconds: median(&measured.share_weights),
            check: measured.check,
            seed: subject.seed,
            host: host.clone(),
        }
    }

    /// How many times as much it is as another.
    pub fn ratio(&self, to: &Self) -> Ratio {
        let (a, b) = (&self.request, &to.request);
        let over = |a: u64, b: u64| a as f64 / b as f64;
        let modelled = a.modelled_seconds.iter().zip(&b.modelled_seconds);
        Ratio {
            plan: self.plan,
            to: to.plan,
            bytes: over(a.bytes(), b.bytes()),
            online_bytes: over(a.cost.online_bytes, b.cost.online_bytes),
            offline_bytes: over(a.cost.offline_bytes, b.cost.offline_bytes),
            hops: over(a.cost.hops.into(), b.cost.hops.into()),
            seconds: Seconds {
                preprocess: a.seconds.preprocess / b.seconds.preprocess,
                online: a.seconds.online / b.seconds.online,
                total: a.seconds.total / b.seconds.total,
            },
            modelled: modelled
                .map(|(a, b)| (a.network, a.link_per_pair.total / b.link_per_pair.total))
                .collect(),
        }
    }
}

/// The plans of a trial, in their order.
pub fn runs(subject: &Subject, setup: &Setup, trial: &Trial, host: &Host) -> Vec<Run> {
    trial.plans.iter().map(|measured| Run::new(subject, setup, trial, measured, host)).collect()
}

impl Document {
    /// Of runs.
    pub fn new(mut runs: Vec<Run>) -> Self {
        if runs.len() == 1
            && let Some(run) = runs.pop()
        {
            return Self::Run(Box::new(run));
        }
        let ratios = runs.iter().skip(1).map(|run| run.ratio(&runs[0])).collect();
        Self::Comparison { runs, ratios }
    }
}
