use std::sync::Arc;
use std::time::{Duration, Instant};

use super::lookup::{self, receive_keys};
use super::received::input_masks;
use super::{Input, Received, SecureModel, Table as TableShape, next_program};
use crate::ctx::{Ctx, StepTable, Steps};
use crate::engine::Meter;
use crate::error::{Error, Result};
use crate::fixed::{Fixed, WordOf};
use crate::kernel::{pack, packed_len, unpack};
use crate::keys::{Burnt, PairKey, reserved};
use crate::mpc::embedding::{self, Assist};
use crate::mpc::{Evaluator, Mask, Masked, Preprocess, Role, Roles, Store, Table};
use crate::net::{Address, Channel, Message};
use crate::nn::Tensor;
use crate::prg::{Prg, Randomness, Seed};
use crate::tensor::{Array, Shape};

/// A server's links.
pub struct Links {
    /// To P0, P1, P2; its own place is empty.
    pub peers: [Option<Arc<dyn Channel>>; 3],
    /// To the client.
    pub client: Arc<dyn Channel>,
}

/// One of the three servers in a session.
pub struct Party {
    role: Role,
    links: Links,
    keys: [Option<PairKey>; 3],
    burnt: Burnt,
    patience: Duration,
    /// Most bytes of prepared material in memory, if preprocessing runs beside the online phase.
    ahead: Option<usize>,
    /// Whether seeds of inputs come from the batch's keys.
    clientless: bool,
    /// Whether reports say when steps were entered.
    traced: bool,
}

/// One request, as a party sees it before the input is there.
struct Prepared<'a, R, W> {
    public: &'a R,
    batch: u64,
    shape: Shape,
    source: Source<W>,
    steps: Arc<StepTable>,
}

/// Where a request's input comes from, as a party sees it before the input is there.
enum Source<W> {
    /// The client; this is its mask.
    Client(Mask<W>),
    /// Rows of these tables.
    Tables(Vec<TableShape>),
}

/// What a party tells the client after a request. Bytes are payload that this party sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Report {
    /// To the other evaluator and the client; of P2 its part in a lookup, to both evaluators.
    pub online_bytes: u64,
    /// Preprocessing, to both evaluators.
    pub offline_bytes: u64,
    /// Longest chain of dependent messages between the evaluators.
    pub hops: u32,
    /// Most memory that this process ever held, in bytes; 0 where the system does not tell.
    pub peak_rss_bytes: u64,
    /// Microseconds of preprocessing.
    pub preprocess_micros: u64,
    /// Microseconds from the input to the output.
    pub online_micros: u64,
    /// Processor time of this process during preprocessing, in microseconds over all threads; in steps of 10 ms, and 0
    /// where the system does not tell.
    pub preprocess_cpu_micros: u64,
    /// The same from the input to the output.
    pub online_cpu_micros: u64,
    /// When the party entered each step; of a party that is [traced](Party::traced) only.
    pub trace: Trace,
}

/// When a party entered each step of a request's program: microseconds from the beginning of a phase, in the order of the
/// program's steps, and then the time at which the phase ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Trace {
    /// Of preprocessing.
    pub preprocess: Vec<u32>,
    /// Of the online phase, from before the input came; the helper has none.
    pub online: Vec<u32>,
}

impl Report {
    /// Preprocessing and online phase together.
    fn and(self, online: Self) -> Self {
        Self {
            online_bytes: online.online_bytes,
            hops: online.hops,
            online_micros: online.online_micros,
            online_cpu_micros: online.online_cpu_micros,
            trace: Trace { online: online.trace.online, ..self.trace },
            ..self
        }
    }

    /// Bytes of a report without a trace.
    const BYTES: usize = 68;

    fn encode(&self) -> Vec<u8> {
        let words = [
            self.online_bytes,
            self.offline_bytes,
            self.preprocess_micros,
            self.online_micros,
            self.peak_rss_bytes,
            self.preprocess_cpu_micros,
            self.online_cpu_micros,
        ];
        let Trace { preprocess, online } = &self.trace;
        let counts = [self.hops, preprocess.len() as u32, online.len() as u32];
        let short = counts.iter().chain(preprocess).chain(online).flat_map(|w| w.to_le_bytes());
        words.iter().flat_map(|w| w.to_le_bytes()).chain(short).collect()
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let word = |i: usize| Some(u64::from_le_bytes(bytes.get(i * 8..i * 8 + 8)?.try_into().ok()?));
        let short = |i: usize| Some(u32::from_le_bytes(bytes.get(i..i + 4)?.try_into().ok()?));
        let (preprocess, online) = (short(60)? as usize, short(64)? as usize);
        let (times, rest) = bytes.get(Self::BYTES..)?.as_chunks();
        if times.len() != preprocess.checked_add(online)? || !rest.is_empty() {
            return None;
        }
        let times: Vec<u32> = times.iter().map(|t| u32::from_le_bytes(*t)).collect();
        let (preprocess, online) = times.split_at(preprocess);
        Some(Self {
            online_bytes: word(0)?,
            offline_bytes: word(1)?,
            preprocess_micros: word(2)?,
            online_micros: word(3)?,
            peak_rss_bytes: word(4)?,
            preprocess_cpu_micros: word(5)?,
            online_cpu_micros: word(6)?,
            hops: short(56)?,
            trace: Trace { preprocess: preprocess.to_vec(), online: online.to_vec() },
        })
    }
}

/// Weights of a model under the engines of one party.
pub struct Served<M: SecureModel> {
    preprocess: M::Weights<Preprocess>,
    online: Option<M::Weights<Evaluator>>,
    tables: Vec<Table<WordOf<M::Input>>>,
}

impl<M: SecureModel> Served<M> {
    /// From the shares that the owner sent.
    pub fn new(model: &M, received: &Received, role: Role) -> Result<Self> {
        let preprocess = model.load::<Preprocess, _>(received)?;
        let online = if role == Role::P2 { None } else { Some(model.load::<Evaluator, _>(received)?) };
        Ok(Self { preprocess, online, tables: received.tables()? })
    }
}

/// What the requests of one conversation leave for each other at a party: a model's state in each of its readings.
///
/// Requests share a conversation in the order in which they are served. After an error it is of no use.
pub struct Conversation<M: SecureModel> {
    meter: M::State<Meter>,
    preprocess: M::State<Preprocess>,
    online: M::State<Evaluator>,
}

impl<M: SecureModel> Default for Conversation<M> {
    fn default() -> Self {
        Self { meter: M::State::default(), preprocess: M::State::default(), online: M::State::default() }
    }
}

impl Party {
    /// Agrees on keys with the two other parties. `patience` bounds every wait between this party's own threads.
    pub fn establish(role: Role, links: Links, patience: Duration, randomness: &Randomness) -> Result<Self> {
        if let Some(number) = randomness.number() {
            let keys = Role::ALL.map(|other| {
                let pair = (role.index() + other.index()) as u8;
                (other != role).then(|| PairKey::fixed([number ^ pair; 32]))
            });
            return Ok(Self {
                role,
                links,
                keys,
                burnt: Burnt::default(),
                patience,
                ahead: None,
                clientless: false,
                traced: false,
            });
        }
        let mut keys = [None, None, None];
        for (key, link) in keys.iter_mut().zip(&links.peers) {
            if let Some(link) = link {
                *key = Some(PairKey::agree(&**link)?);
            }
        }
        let (burnt, ahead, clientless, traced) = (Burnt::default(), None, false, false);
        Ok(Self { role, links, keys, burnt, patience, ahead, clientless, traced })
    }

    /// Also tells the client in every report when steps were entered: to measure, not to serve, as it tells more of what
    /// servers do than an answer needs.
    #[must_use]
    pub fn traced(self) -> Self {
        Self { traced: true, ..self }
    }

    /// When steps were entered, if that is to be told.
    fn times(&self, steps: &Steps) -> Vec<u32> {
        if self.traced { steps.times() } else { Vec::new() }
    }

    /// Which server this is.
    pub fn role(&self) -> Role {
        self.role
    }

    /// What the client announced; at most `limit` bytes.
    pub fn job(&self, limit: usize) -> Result<Vec<u8>> {
        let address = Address::new(reserved::SETUP, reserved::INPUT, 0);
        Ok(self.links.client.recv_bounded(address, limit)?.payload)
    }

    /// The public part of the request of a batch, as the client asks it: at most `limit` bytes; `None` if there are no more.
    pub fn asked(&self, batch: u64, limit: usize) -> Result<Option<Vec<u8>>> {
        let address = Address::new(batch, reserved::REQUEST, 0);
        let asked = self.links.client.recv_bounded(address, limit)?.payload;
        Ok((!asked.is_empty()).then_some(asked))
    }

    /// Tells the client that the weights are loaded.
    pub fn loaded(&self) -> Result<()> {
        self.tell_ready(reserved::SETUP)
    }

    fn tell_ready(&self, batch: u64) -> Result<()> {
        Ok(self.links.client.send(Message::new(Address::new(batch, reserved::REPORT, 0), 0, Vec::new()))?)
    }

    /// Tells everybody that this party stops.
    pub fn abort(&self, reason: &str) {
        self.links.peers.iter().flatten().for_each(|l| l.abort(reason));
        self.links.client.abort(reason);
    }

    /// Ends the session in order.
    pub fn close(&self) -> Result<()> {
        for link in self.links.peers.iter().flatten() {
            link.close()?;
        }
        Ok(self.links.client.close()?)
    }

    fn peer(&self, role: Role) -> Result<&Arc<dyn Channel>> {
        self.links.peers[role.index()].as_ref().ok_or(Error::Internal("a party has no link to a peer"))
    }

    fn prg(&self, with: Role, batch: u64, digest: &[u8; 32]) -> Result<Prg> {
        let key =
            self.keys[with.index()].as_ref().ok_or(Error::Internal("a party has no key with a peer"))?;
        Ok(Prg::new(&key.seed("masks", batch, digest)))
    }

    /// Compares program digests with both other parties.
    fn agree(&self, batch: u64, digest: &[u8; 32]) -> Result<()> {
        let address = Address::new(batch, reserved::PROGRAM, 0);
        let links = || self.links.peers.iter().flatten();
        for link in links() {
            link.send(Message::new(address, 0, digest.to_vec()))?;
        }
        let theirs = links().map(|link| Ok((link, link.recv(address, 32)?.payload)));
        let theirs = theirs.collect::<Result<Vec<_>>>()?;
        let Some((other, other_digest)) = theirs.into_iter().find(|(_, theirs)| theirs != digest) else {
            return Ok(());
        };
        // All three have seen two digests that differ. Nobody ends the session before the others have read them, so
        // that everybody gives this reason and not that somebody else has stopped.
        let seen = Address::new(batch, reserved::PROGRAM, 1);
        for link in links() {
            let _ = link.send(Message::new(seen, 0, Vec::new()));
        }
        for link in links() {
            let _ = link.recv(seen, 0);
        }
        let short = |d: &[u8]| d.iter().take(6).map(|b| format!("{b:02x}")).collect();
        Err(Error::Program {
            peer: other.peer().to_string(),
            theirs: short(&other_digest),
            ours: short(digest),
        })
    }

    fn preprocess_engine(&self, batch: u64, digest: &[u8; 32], store: &Arc<Store>) -> Result<Preprocess> {
        let roles = match self.role {
            Role::P0 | Role::P1 => Roles::Evaluator {
                role: self.role,
                prg: self.prg(Role::P2, batch, digest)?,
                helper: self.peer(Role::P2)?.clone(),
                store: store.clone(),
            },
            Role::P2 => Roles::Helper {
                prgs: [self.prg(Role::P0, batch, digest)?, self.prg(Role::P1, batch, digest)?],
                links: [self.peer(Role::P0)?.clone(), self.peer(Role::P1)?.clone()],
            },
        };
        Ok(Preprocess::new(roles, batch))
    }

    /// Lets the online phase start at once, with preprocessing running ahead of it by at most `bytes` of prepared
    /// material in memory, instead of storing all of it before the input is asked for.
    #[must_use]
    pub fn streaming(self, bytes: usize) -> Self {
        Self { ahead: Some(bytes), ..self }
    }

    /// Masks inputs with seeds from the batch's keys instead of the client's, so that preprocessing needs no client: it
    /// can be made and kept before any request comes. The client takes the seeds with [`Client::collect`].
    ///
    /// [`Client::collect`]: super::Client::collect
    #[must_use]
    pub fn clientless(self) -> Self {
        Self { clientless: true, ..self }
    }

    /// Serves one request: preprocesses, tells the client, and computes on its input: at P2 only if it is looked up.
    pub fn serve<M: SecureModel>(
        &self,
        model: &M,
        weights: &Served<M>,
        conversation: &mut Conversation<M>,
        batch: u64,
        request: &M::Request,
    ) -> Result<Report> {
        let Conversation { meter, preprocess: state, online: online_state } = conversation;
        let (program, digest, _) = next_program(model, meter, request)?;
        self.burnt.burn(batch)?;
        self.agree(batch, &digest)?;
        let shape = model.input_shape(request);
        let source = match model.input() {
            Input::Values => {
                let seeds = self.input_seeds(batch, &digest)?;
                Source::Client(input_masks(self.role, M::Input::K, &shape, &seeds)?)
            }
            Input::Lookup(tables) => Source::Tables(tables),
        };
        let store = Arc::new(Store::new(self.ahead.unwrap_or(usize::MAX), self.patience));
        let engine = self.preprocess_engine(batch, &digest, &store)?;
        let request = Prepared { public: request, batch, shape, source, steps: program.steps };

        let mut preprocess = || self.preprocess(model, weights, state, &engine, &request);
        let mut report = match (&weights.online, self.ahead) {
            // P2 sees to the time of its part in a lookup itself.
            (None, _) => preprocess()?,
            (Some(_), None) => {
                let prepared = preprocess()?;
                self.tell_ready(batch)?;
                prepared.and(self.online(model, weights, online_state, &request, &store)?)
            }
            (Some(_), Some(_)) => {
                self.tell_ready(batch)?;
                std::thread::scope(|scope| {
                    let ahead = scope.spawn(|| {
                        let prepared = preprocess();
                        store.end(prepared.as_ref().err().cloned());
                        prepared
                    });
                    let online = self.online(model, weights, online_state, &request, &store);
                    store.abandon();
                    let prepared = ahead.join().map_err(|_| Error::Internal("preprocessing panicked"))?;
                    // If preprocessing failed, the online phase failed for want of it.
                    let online = online?;
                    Ok::<_, Error>(prepared?.and(online))
                })?
            }
        };
        report.peak_rss_bytes = peak_rss_bytes();
        let message = Message::new(Address::new(batch, reserved::REPORT, 1), 0, report.encode());
        self.links.client.send(message)?;
        Ok(report)
    }

    /// Everything before the input at P0 and P1; at P2 also its part in looking the input up, of which its preprocessing
    /// knows nothing.
    fn preprocess<M: SecureModel>(
        &self,
        model: &M,
        weights: &Served<M>,
        state: &mut M::State<Preprocess>,
        engine: &Preprocess,
        request: &Prepared<'_, M::Request, WordOf<M::Input>>,
    ) -> Result<Report> {
        let (started, cpu, before) = (Instant::now(), cpu_micros(), self.sent_to_peers());
        let steps = Steps::follow(request.steps.clone());
        let ctx = Ctx::root(engine, &steps);
        let (mask, assist) = match &request.source {
            Source::Client(mask) => (mask.clone(), None),
            Source::Tables(_) => embedding::offline(&ctx.step(lookup::STEP)?, &request.shape, M::Input::K)?,
        };
        let prepare = || {
            let x = Tensor::new(mask);
            model.forward(&ctx, &weights.preprocess, state, &x, request.public)?;
            let preprocess_cpu_micros = cpu_micros().saturating_sub(cpu);
            let preprocess_micros = started.elapsed().as_micros() as u64;
            let trace = Trace { preprocess: self.times(&steps), ..Trace::default() };
            Ok(Report { preprocess_micros, preprocess_cpu_micros, trace, ..Report::default() })
        };
        if self.role != Role::P2 {
            return prepare();
        }
        let report = match self.ahead {
            None => {
                let prepared = prepare()?;
                self.tell_ready(request.batch)?;
                prepared.and(self.assist(model, weights, assist, request)?)
            }
            // Dealing waits for P1, which may wait for this part of the input.
            Some(_) => std::thread::scope(|scope| {
                self.tell_ready(request.batch)?;
                let beside = scope.spawn(|| self.assist(model, weights, assist, request));
                let prepared = prepare();
                let assisted = beside.join().map_err(|_| Error::Internal("a lookup panicked"))?;
                Ok::<_, Error>(prepared?.and(assisted?))
            })?,
        };
        let offline_bytes = self.sent_to_peers() - before - report.online_bytes;
        Ok(Report { offline_bytes, ..report })
    }

    /// P2's part once the input is there: nothing, unless it is looked up.
    fn assist<M: SecureModel>(
        &self,
        model: &M,
        weights: &Served<M>,
        assist: Option<Assist<WordOf<M::Input>>>,
        request: &Prepared<'_, M::Request, WordOf<M::Input>>,
    ) -> Result<Report> {
        let (Source::Tables(tables), Some(assist)) = (&request.source, assist) else {
            return Ok(Report::default());
        };
        let client = &*self.links.client;
        let keys = receive_keys(self.role, client, request.batch, model, tables, request.public)?;
        let (started, cpu) = (Instant::now(), cpu_micros());
        let part = embedding::part(self.role, M::Input::K, &weights.tables, &keys)?;
        let online_bytes = assist.send([&**self.peer(Role::P0)?, &**self.peer(Role::P1)?], &part)?;
        let online_micros = started.elapsed().as_micros() as u64;
        let online_cpu_micros = cpu_micros().saturating_sub(cpu);
        Ok(Report { online_bytes, online_micros, online_cpu_micros, ..Report::default() })
    }

    /// The seeds of this request's input that this party may know: drawn by the client, or derived from the batch's
    /// keys, in which case each evaluator hands its own to the client.
    fn input_seeds(&self, batch: u64, digest: &[u8; 32]) -> Result<Vec<Seed>> {
        let (address, client) = (Address::new(batch, reserved::INPUT, 0), &self.links.client);
        if !self.clientless {
            let got = client.recv(address, if self.role == Role::P2 { 32 } else { 16 })?;
            return Ok(got.payload.as_chunks().0.iter().map(|s| Seed::new(*s)).collect());
        }
        let derive = |with: Role| {
            let key =
                self.keys[with.index()].as_ref().ok_or(Error::Internal("a party has no key with a peer"))?;
            Ok(key.seed("input", batch, digest))
        };
        if self.role == Role::P2 {
            return [Role::P0, Role::P1].into_iter().map(derive).collect();
        }
        let seed = derive(Role::P2)?;
        client.send(Message::new(address, 0, seed.bytes().to_vec()))?;
        Ok(vec![seed])
    }

    fn sent_to_peers(&self) -> u64 {
        self.links.peers.iter().flatten().map(|l| l.stats().snapshot().sent.total.bytes).sum()
    }

    /// The online phase of P0 and P1.
    fn online<M: SecureModel>(
        &self,
        model: &M,
        weights: &Served<M>,
        state: &mut M::State<Evaluator>,
        request: &Prepared<'_, M::Request, WordOf<M::Input>>,
        store: &Arc<Store>,
    ) -> Result<Report> {
        let (batch, shape, k) = (request.batch, &request.shape, M::Input::K);
        let online =
            weights.online.as_ref().ok_or(Error::Internal("only evaluators have an online phase"))?;
        let client = &*self.links.client;
        let other = if self.role == Role::P0 { Role::P1 } else { Role::P0 };
        let engine = Evaluator::new(self.role, batch, self.peer(other)?.clone(), store.clone());
        let steps = Steps::follow(request.steps.clone());
        let ctx = Ctx::root(&engine, &steps);
        let before = self.peer(other)?.stats().snapshot().sent.total.bytes;
        let (x, started, cpu) = match &request.source {
            Source::Client(mask) => {
                let n = shape.len();
                let got = client.recv(Address::new(batch, reserved::INPUT, 1), packed_len(n, k))?;
                let (started, cpu) = (Instant::now(), cpu_micros());
                let m = unpack(&got.payload, n, k).ok_or(Error::Internal("an input has set padding bits"))?;
                (Masked::from_mask(mask, Array::new(shape.clone(), m)?)?, started, cpu)
            }
            Source::Tables(shapes) => {
                let keys = receive_keys(self.role, client, batch, model, shapes, request.public)?;
                let (started, cpu) = (Instant::now(), cpu_micros());
                let part = embedding::part(self.role, k, &weights.tables, &keys)?;
                let (ctx, helper) = (ctx.step(lookup::STEP)?, &**self.peer(Role::P2)?);
                (embedding::online(&ctx, helper, shape, k, part)?, started, cpu)
            }
        };
        let y = model.forward(&ctx, online, state, &Tensor::new(x), request.public)?;
        let trace = Trace { online: self.times(&steps), ..Trace::default() };
        let mut online_bytes = self.peer(other)?.stats().snapshot().sent.total.bytes - before;

        // Nothing leaves unless both evaluators opened the same values.
        let address = Address::new(batch, reserved::OUTPUT, 0);
        let transcript = engine.transcript();
        self.peer(other)?.send(Message::new(address, 0, transcript.to_vec()))?;
        if self.peer(other)?.recv(address, 32)?.payload != transcript {
            return Err(Error::Transcript);
        }
        let part = pack(&y.repr().output_part(self.role)?, M::Output::K);
        online_bytes += part.len() as u64;
        self.links.client.send(Message::new(Address::new(batch, reserved::OUTPUT, 1), 0, part))?;
        let online_micros = started.elapsed().as_micros() as u64;
        let online_cpu_micros = cpu_micros().saturating_sub(cpu);
        let hops = ctx.depth();
        Ok(Report { online_bytes, hops, online_micros, online_cpu_micros, trace, ..Report::default() })
    }
}

/// The process's resident set at its largest, as Linux tells it.
fn peak_rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kibibytes =
        status.lines().find_map(|l| l.strip_prefix("VmHWM:")?.trim().strip_suffix("kB")?.trim().parse().ok());
    kibibytes.map_or(0, |k: u64| k * 1024)
}

/// Processor time of this process so far, over all threads, in user and system mode, as Linux tells it: fields 14 and 15
/// of `/proc/self/stat`, in hundredths of a second on every architecture.
fn cpu_micros() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The second field, the program's name in parentheses, may hold spaces.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = after_name.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<u64>().ok());
    ticks.sum::<u64>() * 10_000
}
