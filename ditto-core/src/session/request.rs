//! One request at a party: opened, prepared, answered.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::lookup::{self, receive_keys};
use super::party::{Conversation, Party, Served};
use super::received::input_masks;
use super::report::{Report, Trace, cpu_micros, peak_rss_bytes};
use super::tally::Tallies;
use super::{Input, SecureModel, Table, next_program};
use crate::ctx::{Ctx, StepTable, Steps};
use crate::engine::Meter;
use crate::error::{Error, Result};
use crate::fixed::{Fixed, WordOf};
use crate::kernel::{pack, packed_len, unpack};
use crate::keys::reserved;
use crate::mpc::embedding::{self, Assist};
use crate::mpc::{Evaluator, Mask, Masked, Preprocess, Role, Store};
use crate::net::{Address, Channel, Message};
use crate::nn::Tensor;
use crate::tensor::{Array, Shape};

/// A request that the parties agree on, before its input is there.
pub(super) struct Opened<M: SecureModel> {
    request: M::Request,
    batch: u64,
    shape: Shape,
    source: Source<WordOf<M::Input>>,
    program: Arc<StepTable>,
    /// The program as preprocessing reads it.
    steps: Steps,
    engine: Preprocess,
    store: Arc<Store>,
    links: Tallies,
}

/// Where a request's input comes from, as a party sees it before the input is there.
enum Source<W> {
    /// The client; this is its mask.
    Client(Mask<W>),
    /// Rows of these tables.
    Tables {
        tables: Vec<Table>,
        /// The mask of the result, where it is drawn already.
        mask: Option<Mask<W>>,
        /// P2's part.
        assist: Mutex<Option<Assist<W>>>,
    },
}

impl<M: SecureModel> Opened<M> {
    pub(super) fn batch(&self) -> u64 {
        self.batch
    }
}

impl Party {
    /// Begins a request: finds its program, burns its batch, and compares both with the other parties.
    pub(super) fn open<M: SecureModel>(
        &self,
        model: &M,
        state: &mut M::State<Meter>,
        batch: u64,
        request: M::Request,
    ) -> Result<Opened<M>> {
        let (program, digest, _) = next_program(model, state, &request)?;
        self.burnt.burn(batch)?;
        self.agree(batch, &digest)?;
        let (shape, k) = (model.input_shape(&request), M::Input::K);
        let store = Arc::new(Store::new(self.ahead.unwrap_or(usize::MAX), self.patience));
        let links = Tallies::new(&self.links.peers);
        let engine = self.preprocess_engine(batch, &digest, &store, &links)?;
        let steps = Steps::follow(program.steps.clone());
        let source = match model.input() {
            Input::Values => {
                let seeds = self.input_seeds(batch, &digest)?;
                Source::Client(input_masks(self.role, k, &shape, &seeds)?)
            }
            Input::Lookup(tables) => {
                // P2's part in the lookup must not wait for all that it deals, which may wait for that part. What an
                // evaluator draws goes into the store, which only preprocessing fills.
                let (mask, assist) = match self.role {
                    Role::P2 => {
                        let ctx = Ctx::root(&engine, &steps).step(lookup::STEP)?;
                        let (mask, assist) = embedding::offline(&ctx, &shape, k)?;
                        (Some(mask), assist)
                    }
                    Role::P0 | Role::P1 => (None, None),
                };
                Source::Tables { tables, mask, assist: Mutex::new(assist) }
            }
        };
        Ok(Opened { request, batch, shape, source, program: program.steps, steps, engine, store, links })
    }

    /// Everything that needs masks only: at P0 and P1 it fills the store, at P2 it deals.
    pub(super) fn prepare<M: SecureModel>(
        &self,
        model: &M,
        weights: &Served<M>,
        state: &mut M::State<Preprocess>,
        opened: &Opened<M>,
    ) -> Result<Report> {
        let (started, cpu) = (Instant::now(), cpu_micros());
        let mut prepare = || {
            let ctx = Ctx::root(&opened.engine, &opened.steps);
            let mask = match &opened.source {
                Source::Client(mask) => mask.clone(),
                Source::Tables { mask: Some(mask), .. } => mask.clone(),
                Source::Tables { mask: None, .. } => {
                    embedding::offline(&ctx.step(lookup::STEP)?, &opened.shape, M::Input::K)?.0
                }
            };
            model.forward(&ctx, &weights.preprocess, state, &Tensor::new(mask), &opened.request).map(drop)
        };
        let prepared = prepare();
        opened.store.end(prepared.as_ref().err().cloned());
        prepared?;
        let offline_bytes = match self.role {
            Role::P0 | Role::P1 => opened.links.to(Role::P2)?.sent(),
            Role::P2 => opened.links.sent(),
        };
        Ok(Report {
            offline_bytes,
            preprocess_micros: started.elapsed().as_micros() as u64,
            preprocess_cpu_micros: cpu_micros().saturating_sub(cpu),
            trace: Trace { preprocess: self.times(&opened.steps), ..Trace::default() },
            ..Report::default()
        })
    }

    /// From the input to the output; at P2 nothing, unless the input is looked up.
    pub(super) fn answer<M: SecureModel>(
        &self,
        model: &M,
        weights: &Served<M>,
        state: &mut M::State<Evaluator>,
        opened: &Opened<M>,
    ) -> Result<Report> {
        let answered = match self.role {
            Role::P0 | Role::P1 => self.online(model, weights, state, opened),
            Role::P2 => self.assist(model, weights, opened),
        };
        opened.store.abandon();
        answered
    }

    /// What a request took in both phases.
    pub(super) fn together(&self, prepared: Report, answered: Report) -> Result<Report> {
        let at_once = self.ahead.is_some() && self.role != Role::P2;
        Ok(if at_once { prepared.beside(answered) } else { prepared.and(answered) })
    }

    /// Tells the client what a request took.
    pub(super) fn report(&self, batch: u64, report: Report) -> Result<Report> {
        let report = Report { peak_rss_bytes: peak_rss_bytes(), ..report };
        let message = Message::new(Address::new(batch, reserved::REPORT, 1), 0, report.encode());
        self.links.client.send(message)?;
        Ok(report)
    }

    /// Serves one request: preprocesses, tells the client, and computes on its input: at P2 only if it is looked up.
    ///
    /// Several threads may serve requests at once. After an error the others must be told, of this request
    /// ([`Self::abandon`]) or of the whole session ([`Self::abort`]).
    pub fn serve<M: SecureModel>(
        &self,
        model: &M,
        weights: &Served<M>,
        conversation: &mut Conversation<M>,
        batch: u64,
        request: &M::Request,
    ) -> Result<Report> {
        let Conversation { meter, preprocess, online } = conversation;
        let opened = self.open(model, meter, batch, request.clone())?;
        let mut prepare = || self.prepare(model, weights, preprocess, &opened);
        let report = if self.ahead.is_none() {
            let prepared = prepare()?;
            self.tell_ready(batch)?;
            let answered = self.answer(model, weights, online, &opened)?;
            self.together(prepared, answered)?
        } else {
            self.tell_ready(batch)?;
            std::thread::scope(|scope| {
                let ahead = scope.spawn(prepare);
                let answered = self.answer(model, weights, online, &opened);
                let prepared = ahead.join().map_err(|_| Error::Internal("preprocessing panicked"))?;
                // If preprocessing failed, the online phase failed for want of it.
                let answered = answered?;
                self.together(prepared?, answered)
            })?
        };
        self.report(batch, report)
    }

    /// P2's part in looking an input up.
    fn assist<M: SecureModel>(&self, model: &M, weights: &Served<M>, opened: &Opened<M>) -> Result<Report> {
        let Source::Tables { tables, assist, .. } = &opened.source else { return Ok(Report::default()) };
        let assist = assist.lock().unwrap_or_else(PoisonError::into_inner).take();
        let assist = assist.ok_or(Error::Internal("the helper takes part in a lookup once"))?;
        let keys =
            receive_keys(self.role, &*self.links.client, opened.batch, model, tables, &opened.request)?;
        let (started, cpu) = (Instant::now(), cpu_micros());
        let part = embedding::part(self.role, M::Input::K, &weights.tables, &keys)?;
        // Not the links of what is dealt: the two are counted apart.
        let links = Tallies::new(&self.links.peers);
        assist.send([&**links.to(Role::P0)?, &**links.to(Role::P1)?], &part)?;
        Ok(Report {
            online_bytes: links.sent(),
            online_micros: started.elapsed().as_micros() as u64,
            online_cpu_micros: cpu_micros().saturating_sub(cpu),
            ..Report::default()
        })
    }

    /// The online phase of P0 and P1.
    fn online<M: SecureModel>(
        &self,
        model: &M,
        weights: &Served<M>,
        state: &mut M::State<Evaluator>,
        opened: &Opened<M>,
    ) -> Result<Report> {
        let (batch, shape, k) = (opened.batch, &opened.shape, M::Input::K);
        let online =
            weights.online.as_ref().ok_or(Error::Internal("only evaluators have an online phase"))?;
        let client = &*self.links.client;
        let other = if self.role == Role::P0 { Role::P1 } else { Role::P0 };
        let peer = opened.links.to(other)?;
        let engine = Evaluator::new(self.role, batch, peer.clone(), opened.store.clone());
        let steps = Steps::follow(opened.program.clone());
        let ctx = Ctx::root(&engine, &steps);
        let (x, started, cpu) = match &opened.source {
            Source::Client(mask) => {
                let n = shape.len();
                let got = client.recv(Address::new(batch, reserved::INPUT, 1), packed_len(n, k))?;
                let (started, cpu) = (Instant::now(), cpu_micros());
                let m = unpack(&got.payload, n, k).ok_or(Error::Internal("an input has set padding bits"))?;
                (Masked::from_mask(mask, Array::new(shape.clone(), m)?)?, started, cpu)
            }
            Source::Tables { tables, .. } => {
                let keys = receive_keys(self.role, client, batch, model, tables, &opened.request)?;
                let (started, cpu) = (Instant::now(), cpu_micros());
                let part = embedding::part(self.role, k, &weights.tables, &keys)?;
                let (ctx, helper) = (ctx.step(lookup::STEP)?, &**self.peer(Role::P2)?);
                (embedding::online(&ctx, helper, shape, k, part)?, started, cpu)
            }
        };
        let y = model.forward(&ctx, online, state, &Tensor::new(x), &opened.request)?;
        let trace = Trace { online: self.times(&steps), ..Trace::default() };
        let mut online_bytes = peer.sent();

        // Nothing leaves unless both evaluators opened the same values.
        let address = Address::new(batch, reserved::OUTPUT, 0);
        let transcript = engine.transcript();
        peer.send(Message::new(address, 0, transcript.to_vec()))?;
        if peer.recv(address, 32)?.payload != transcript {
            return Err(Error::Transcript);
        }
        let part = pack(&y.repr().output_part(self.role)?, M::Output::K);
        online_bytes += part.len() as u64;
        client.send(Message::new(Address::new(batch, reserved::OUTPUT, 1), 0, part))?;
        let online_micros = started.elapsed().as_micros() as u64;
        let online_cpu_micros = cpu_micros().saturating_sub(cpu);
        let hops = ctx.depth();
        Ok(Report { online_bytes, hops, online_micros, online_cpu_micros, trace, ..Report::default() })
    }
}
