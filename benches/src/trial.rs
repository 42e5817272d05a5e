//! Runs of a subject under one or several plans, and of the same model in floats beside them.
//!
//! Turn that are compared take turns, so that whatever else the machine does falls on all of them: in every round each has
//! a session of its own, whose first request is not counted, as it finds memory and tables that later ones reuse. A single
//! plan has one session for all repetitions.

use std::collections::HashMap;
use std::time::Instant;

use ditto_core::cost::{Cost, PhaseSeconds};
use ditto_core::net::Limits;
use ditto_core::prg::Randomness;
use ditto_models::architecture::{Architecture, Opens, PublicHead};
use ditto_models::estimate::Estimate;
use ditto_models::model::{ModelSpec, Request};
use ditto_models::plan::Plan;
use ditto_models::run::{Launch, Network, Requested, Requests, Serving, run_requests};
use serde::Serialize;

use crate::error::{BenchError, Result};
use crate::operation::{Share, add_times, shares};
use crate::plain::{Conversation, Plain};
use crate::statistics::cosine;
use crate::subject::Subject;

/// How a subject is run.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The plans to compare.
    pub plans: Vec<Plan>,
    /// The network that variants of protocols are chosen for.
    pub network: Network,
    /// Counted repetitions.
    pub reps: usize,
    /// Whether preprocessing runs beside the online phase.
    pub overlap: bool,
    /// How the parties exist.
    pub launch: Launch,
    /// How long parties wait for each other.
    pub limits: Limits,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Seconds of the model in floats in every repetition: of the first request, and of each further one.
    pub plaintext: [Vec<f64>; 2],
    /// The plans, in their order.
    pub plans: Vec<Measured>,
}

/// One plan.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The plan.
    pub plan: Plan,
    /// The text or prompt.
    pub request: Stage,
    /// The tokens after a prompt.
    pub further: Option<Stage>,
    /// Seconds that sharing the weights took, in every session.
    pub share_weights: Vec<f64>,
    /// Most memory of P0, P1 and P2, in bytes.
    pub peak_rss_bytes: [u64; 3],
    /// How the private answer compares with that of the same functions in floats.
    pub check: Check,
}

/// Requests of one kind.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The first of them.
    pub asked: Request,
    /// What that one sends: as metered, to which what the channels counted was equal.
    pub cost: Cost,
    /// Its places, with the seconds of every counted request.
    pub shares: Vec<Share>,
    /// Seconds of the first request of the first session, which is not counted.
    pub first: PhaseSeconds,
    /// Seconds of every counted request.
    pub seconds: Vec<PhaseSeconds>,
    /// Seconds of as many more behind relays that imitate the network; none without a network.
    pub relayed: Vec<PhaseSeconds>,
}

/// A private answer beside that of the same functions in floats.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// Cosine of the two outputs; none if one of them is all zeros.
    Cosine(Option<f64>),
    /// Place of the token that was opened among all tokens by their logits in floats: 0 for the same answer.
    Rank(usize),
}

impl Setup {
    /// Runs `subject`.
    pub fn run(&self, subject: &Subject) -> Result<Trial> {
        let plain = Plain::new(&subject.architecture, &subject.floats())?;
        let mut plaintext: [Vec<f64>; 2] = Default::default();
        in_floats(&plain, subject)?;
        let mut plans =
            self.plans.iter().map(|&plan| Turn::new(subject, plan, self)).collect::<Result<Vec<_>>>()?;
        let (rounds, each) = if self.plans.len() > 1 { (self.reps, 1) } else { (1, self.reps) };
        for _ in 0..rounds {
            for _ in 0..each {
                let [first, further] = in_floats(&plain, subject)?;
                plaintext[0].extend(first);
                plaintext[1].extend(further);
            }
            for plan in &mut plans {
                plan.session(subject, self, each)?;
                if let Some(launch) = self.relayed() {
                    plan.relayed_session(subject, self, &launch, each)?;
                }
            }
        }
        Ok(Trial { plaintext, plans: plans.into_iter().filter_map(Turn::measured).collect() })
    }
}

impl Setup {
    /// The same parties behind relays, if there is a network to imitate and they are processes.
    fn relayed(&self) -> Option<Launch> {
        match &self.launch {
            Launch::Processes { program } if self.network != Network::None => {
                Some(Launch::Relayed { program: program.clone(), link: self.network.link() })
            }
            _ => None,
        }
    }
}

/// Seconds of each request of a conversation in floats: of the first, of the others.
fn in_floats(plain: &Plain, subject: &Subject) -> Result<[Vec<f64>; 2]> {
    let mut conversation = Conversation::default();
    let mut seconds = Vec::new();
    for (_, x) in &subject.conversation {
        let begun = Instant::now();
        plain.answer(&mut conversation, x)?;
        seconds.push(begun.elapsed().as_secs_f64());
    }
    let further = seconds.split_off(1.min(seconds.len()));
    Ok([seconds, further])
}

/// A plan that is being measured.
struct Turn {
    spec: ModelSpec,
    /// Of every request of a conversation.
    estimates: Vec<Estimate>,
    /// By whether they are further ones.
    stages: HashMap<bool, Stage>,
    share_weights: Vec<f64>,
    peak_rss_bytes: [u64; 3],
    check: Option<Check>,
}

/// The evaluator whose times are told: P1, which also waits for what the helper deals.
const TOLD: usize = 1;

impl Turn {
    fn new(subject: &Subject, plan: Plan, setup: &Setup) -> Result<Self> {
        let spec = subject.spec(plan, setup.network)?;
        let estimate = |(request, _): &(Request, _)| Estimate::new(&spec, request);
        let estimates: Vec<_> =
            subject.conversation.iter().map(estimate).collect::<ditto_core::Result<_>>()?;
        let (share_weights, peak_rss_bytes) = Default::default();
        Ok(Self { spec, estimates, stages: HashMap::new(), share_weights, peak_rss_bytes, check: None })
    }

    /// Answers to one conversation that is not counted, and to `counted` that are.
    fn answers(&self, subject: &Subject, setup: &Setup, launch: &Launch, counted: usize) -> Result<Requests> {
        let inputs: Vec<_> = (0..=counted).flat_map(|_| subject.conversation.iter().cloned()).collect();
        let (floats, randomness) = (subject.floats(), Randomness::system());
        let overlap = setup.overlap.then_some(Serving::OVERLAP);
        let serving = Serving { overlap, ..Serving::default() };
        Ok(run_requests(&self.spec, &floats, &inputs, launch, serving, setup.limits, randomness)?)
    }

    fn relayed_session(
        &mut self,
        subject: &Subject,
        setup: &Setup,
        launch: &Launch,
        counted: usize,
    ) -> Result<()> {
        let each = subject.conversation.len();
        let run = self.answers(subject, setup, launch, counted)?;
        for (i, answered) in run.answered.iter().enumerate().skip(each) {
            if let Some(stage) = self.stages.get_mut(&(i % each > 0)) {
                stage.relayed.push(answered.seconds);
            }
        }
        Ok(())
    }

    fn session(&mut self, subject: &Subject, setup: &Setup, counted: usize) -> Result<()> {
        let each = subject.conversation.len();
        let run = self.answers(subject, setup, &setup.launch, counted)?;
        self.share_weights.push(run.share_weights);
        for (i, answered) in run.answered.iter().enumerate() {
            let (at, first) = (i % each, i < each);
            self.take(&subject.conversation[at].0, at, first, answered)?;
        }
        if self.check.is_none()
            && let Some(answered) = run.answered.first()
        {
            self.check = Some(check(subject, self.spec.plan, answered.output.data())?);
        }
        Ok(())
    }

    /// Takes in an answer to the `at`-th request of a conversation.
    fn take(&mut self, request: &Request, at: usize, first: bool, answered: &Requested) -> Result<()> {
        let Estimate { operations, cost, steps, .. } = &self.estimates[at];
        same("bytes online", answered.counted.online, cost.online)?;
        same("bytes offline", answered.counted.offline, cost.offline)?;
        same("hops", answered.counted.hops.into(), cost.hops.into())?;
        for (most, report) in self.peak_rss_bytes.iter_mut().zip(&answered.reports) {
            *most = report.peak_rss_bytes.max(*most);
        }
        let stage = self.stages.entry(at > 0).or_insert_with(|| Stage {
            asked: request.clone(),
            cost: *cost,
            shares: shares(operations),
            first: answered.seconds,
            seconds: Vec::new(),
            relayed: Vec::new(),
        });
        if !first {
            stage.seconds.push(answered.seconds);
            add_times(&mut stage.shares, steps.names(), &answered.reports[TOLD].trace, TOLD)?;
        }
        Ok(())
    }

    fn measured(mut self) -> Option<Measured> {
        Some(Measured {
            plan: self.spec.plan,
            request: self.stages.remove(&false)?,
            further: self.stages.remove(&true),
            share_weights: self.share_weights,
            peak_rss_bytes: self.peak_rss_bytes,
            check: self.check?,
        })
    }
}

fn same(what: &'static str, counted: u64, metered: u64) -> Result<()> {
    if counted == metered { Ok(()) } else { Err(BenchError::Count { what, counted, metered }) }
}

/// Compares the answer to the first request with that of the plan's functions in floats.
fn check(subject: &Subject, plan: Plan, private: &[f32]) -> Result<Check> {
    let Some((_, x)) = subject.conversation.first() else { return Ok(Check::Cosine(None)) };
    let in_floats = |architecture: &Architecture| {
        let plain = Plain::under(architecture, &subject.floats(), plan)?;
        plain.answer(&mut Conversation::default(), x)
    };
    let mut architecture = subject.architecture.clone();
    if let PublicHead::CausalLm { opens: opens @ Opens::Argmax, .. } = &mut architecture.head {
        *opens = Opens::Logits;
        let logits = in_floats(&architecture)?;
        let own = private.first().and_then(|&index| logits.get(index as usize)).copied();
        let larger = |own: f32| logits.iter().filter(|&&logit| logit > own).count();
        return Ok(Check::Rank(own.map_or(logits.len(), larger)));
    }
    Ok(Check::Cosine(cosine(private, &in_floats(&architecture)?)))
}
