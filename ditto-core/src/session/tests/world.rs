//! Links and threads of a session.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use super::*;
use crate::ctx::Ctx;
use crate::fixed::Fx;
use crate::net::tcp::{Listener, Runtime, Session, connect};
use crate::net::{Address, Channel, Limits, Message, NetError, NetErrorKind, SessionId, Stats, pair};
use crate::nn::{
    Activation, Engine, LayerNorm, Linear, LinearShape, Rescale, Scope, Tensor, WeightSource, Weights,
    activation, layer_norm, linear,
};
use crate::prg::Randomness;
use crate::prg::{Prg, Seed};
use crate::tensor::Shape;

/// Rows of an input.
pub(super) const LENGTH: usize = 3;
const WIDTHS: [usize; 3] = [8, 12, 5];

type F = Fx<32, 10>;

/// Two linear layers with a GeLU and a normalisation between them.
#[derive(Clone, Copy)]
pub(super) struct Tiny {
    pub(super) version: u8,
    /// Whether its input is looked up in [`TABLES`].
    pub(super) looks_up: bool,
    /// In the online phase of a request of this length this party has an error.
    pub(super) fails_at: Option<usize>,
}

/// Names and rows of the tables.
pub(super) const TABLES: [(&str, usize); 2] = [("words", 41), ("kinds", 2)];

pub(super) struct TinyWeights<E: Engine> {
    first: Linear<E, F, Fx<32, 20>>,
    norm: LayerNorm<E, F, F>,
    second: Linear<E, F, Fx<32, 20>>,
}

impl SecureModel for Tiny {
    type Weights<E: Engine> = TinyWeights<E>;
    type State<E: Engine> = ();
    type Input = F;
    type Output = F;
    type Request = usize;

    fn description(&self) -> Vec<u8> {
        vec![self.version]
    }
    fn input(&self) -> Input {
        let table = |(name, rows): (&str, usize)| Table { name: name.to_owned(), rows, columns: WIDTHS[0] };
        if self.looks_up { Input::Lookup(TABLES.map(table).to_vec()) } else { Input::Values }
    }
    fn input_shape(&self, length: &usize) -> Shape {
        Shape::new(&[*length, WIDTHS[0]])
    }
    fn load<E: Engine, S: WeightSource<E>>(&self, source: &S) -> Result<TinyWeights<E>> {
        let root = Scope::new(source);
        Ok(TinyWeights {
            first: Weights::load(&root.pp("first"), &LinearShape::new(WIDTHS[0], WIDTHS[1]))?,
            norm: Weights::load(&root.pp("norm"), &(WIDTHS[1], 1e-5))?,
            second: Weights::load(&root.pp("second"), &LinearShape::new(WIDTHS[1], WIDTHS[2]).scaled(0.5))?,
        })
    }
    fn forward<E: Engine>(
        &self,
        ctx: &Ctx<'_, E>,
        w: &TinyWeights<E>,
        (): &mut (),
        x: &Tensor<E, F>,
        length: &usize,
    ) -> Result<Tensor<E, F>> {
        let h = linear(&ctx.step("first")?, x, &w.first)?;
        let h: Tensor<E, F> = activation(&ctx.step("gelu")?, Activation::Gelu, &h)?;
        if E::PARALLEL && self.fails_at == Some(*length) {
            return Err(Error::Unsupported("what this party was told to fail at"));
        }
        let h: Tensor<E, F> = layer_norm(&ctx.step("norm")?, &h, &w.norm)?;
        linear(&ctx.step("second")?, &h, &w.second)?.rescale(ctx, "rescale")
    }
}

/// Weights that depend on the name only.
pub(super) struct Checkpoint;

impl Floats for Checkpoint {
    fn floats(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let seed = name.bytes().fold(7u8, |s, b| s.wrapping_mul(31).wrapping_add(b));
        let words: Vec<u32> = Prg::new(&Seed::new([seed; 16])).words(0, 0, shape.iter().product(), 16);
        Ok(words.iter().map(|&w| (w as f32 / 32768.0 - 1.0) * 0.8).collect())
    }
}

/// The `i`-th input.
pub(super) fn input(i: u64) -> Array<f32> {
    input_of(i, LENGTH)
}

/// The same with another number of rows.
pub(super) fn input_of(i: u64, length: usize) -> Array<f32> {
    let words: Vec<u32> = Prg::new(&Seed::new([90; 16])).words(i as u32, 0, length * WIDTHS[0], 12);
    let values = words.iter().map(|&w| w as f32 / 512.0 - 4.0).collect();
    Array::new([length, WIDTHS[0]], values).expect("fills the shape")
}

type Link = Arc<dyn Channel>;

/// All ends of all links.
pub(super) struct World {
    parties: [Links; 3],
    /// The parties' ends towards the owner.
    to_owner: [Link; 3],
    client: [Link; 3],
    owner: [Link; 3],
    patience: Duration,
    fixed: Option<u8>,
    ahead: Option<usize>,
    clientless: bool,
    lanes: Option<Lanes>,
    _runtime: Option<Runtime>,
}

/// Requests in flight.
#[derive(Clone, Copy)]
pub(super) struct Lanes {
    pub(super) count: usize,
    /// Whether the next request is asked when one is prepared.
    pub(super) ahead: bool,
}

/// The client, with its seeds fixed where the world's are.
pub(super) struct TestClient {
    client: Client,
    fixed: Option<u8>,
    clientless: bool,
}

impl std::ops::Deref for TestClient {
    type Target = Client;
    fn deref(&self) -> &Client {
        &self.client
    }
}

impl TestClient {
    pub(super) fn begin(&self, batch: u64) -> Result<[Seed; 2]> {
        if self.clientless {
            return self.client.collect(batch);
        }
        self.client.begin(batch, &randomness(self.fixed))
    }
}

pub(super) struct Owner {
    links: [Link; 3],
    fixed: Option<u8>,
}

impl Owner {
    pub(super) fn share(&self, model: &Tiny) -> Result<()> {
        let manifest = Manifest::of(model)?;
        share_weights(&self.links, &manifest, &Checkpoint, &randomness(self.fixed), &|_| ())
    }
}

fn randomness(fixed: Option<u8>) -> Randomness {
    fixed.map_or(Randomness::system(), Randomness::fixed)
}

impl World {
    fn new(mut link: impl FnMut(Peer, Peer) -> Link, patience: Duration, runtime: Option<Runtime>) -> Self {
        let mut party = |role: Role| {
            let peers = Role::ALL.map(|other| (other != role).then(|| link(role.peer(), other.peer())));
            (Links { peers, client: link(role.peer(), Peer::Client) }, link(role.peer(), Peer::Owner))
        };
        let [(p0, o0), (p1, o1), (p2, o2)] = Role::ALL.map(&mut party);
        let mut outside = |peer| Role::ALL.map(|role| link(peer, role.peer()));
        Self {
            parties: [p0, p1, p2],
            to_owner: [o0, o1, o2],
            client: outside(Peer::Client),
            owner: outside(Peer::Owner),
            patience,
            fixed: None,
            ahead: None,
            clientless: false,
            lanes: None,
            _runtime: runtime,
        }
    }

    pub(super) fn memory(patience: Duration) -> Self {
        let limits = Limits { time_limit: patience, ..Limits::default() };
        // Ends that were made together with the one asked for first.
        let mut waiting: Vec<(Peer, Peer, Link)> = Vec::new();
        let link = |from: Peer, to: Peer| {
            if let Some(i) = waiting.iter().position(|(a, b, _)| (*a, *b) == (from, to)) {
                return waiting.swap_remove(i).2;
            }
            let (mine, theirs) = pair(from, to, limits);
            waiting.push((to, from, Arc::new(theirs)));
            Arc::new(mine) as Link
        };
        Self::new(link, patience, None)
    }

    pub(super) fn tcp(patience: Duration) -> Self {
        let runtime = Runtime::new(2).expect("starts");
        let session = |local| Session {
            local,
            id: SessionId([5; 16]),
            limits: Limits { time_limit: patience, ..Limits::default() },
        };
        let listeners = Role::ALL
            .map(|_| Listener::bind(&runtime, "127.0.0.1:0".parse().expect("an address")).expect("binds"));
        let addresses = [0, 1, 2].map(|i| listeners[i].address());
        // Whoever comes later in `Peer::ALL` connects, and whoever comes earlier accepts.
        let mut ends: Vec<(Peer, Peer, Link)> = thread::scope(|s| {
            let all = Peer::ALL.iter().enumerate().map(|(i, &local)| {
                let (runtime, listeners, session) = (&runtime, &listeners, &session);
                s.spawn(move || {
                    let mut ends: Vec<(Peer, Peer, Link)> = Vec::new();
                    for (j, &address) in addresses.iter().enumerate().take(i) {
                        let to = Peer::ALL[j];
                        let end = connect(runtime, address, &session(local), to).expect("connects");
                        ends.push((local, to, Arc::new(end)));
                    }
                    if let Some(listener) = listeners.get(i) {
                        for _ in i + 1..5 {
                            let end = listener.accept(&session(local), &Peer::ALL[i + 1..]).expect("accepts");
                            ends.push((local, end.peer(), Arc::new(end)));
                        }
                    }
                    ends
                })
            });
            let all: Vec<_> = all.collect();
            all.into_iter().flat_map(|h| h.join().expect("no panic")).collect()
        });
        let link = |from: Peer, to: Peer| {
            let i = ends.iter().position(|(a, b, _)| (*a, *b) == (from, to)).expect("an end");
            ends.swap_remove(i).2
        };
        Self::new(link, patience, Some(runtime.clone()))
    }

    /// Fixes every key and seed.
    /// Inputs are masked with seeds from the batch's keys.
    pub(super) fn clientless(self) -> Self {
        Self { clientless: true, ..self }
    }

    /// Preprocessing runs beside the online phase, with at most this many bytes in store.
    pub(super) fn streaming(self, bytes: usize) -> Self {
        Self { ahead: Some(bytes), ..self }
    }

    /// Requests are served as the client asks them, in lanes.
    pub(super) fn in_lanes(self, lanes: Lanes) -> Self {
        Self { lanes: Some(lanes), ..self }
    }

    pub(super) fn with_fixed_seeds(self, seed: u8) -> Self {
        Self { fixed: Some(seed), ..self }
    }

    /// P1 ends, without a word, or hangs when it is about to send its `nth` message to P0.
    pub(super) fn with_p1_ending_at(mut self, nth: u32, hangs: bool) -> Self {
        let place = &mut self.parties[1].peers[0];
        let inner = place.take().expect("a link");
        *place = Some(Arc::new(Mortal { inner, left: AtomicU32::new(nth), hangs }));
        self
    }

    /// Runs the parties, which serve `batches`, beside `outside`, which is client and owner.
    pub(super) fn run<T>(
        self,
        models: &[Tiny; 3],
        batches: &[u64],
        outside: impl FnOnce(&TestClient, &Owner) -> Result<T>,
    ) -> (Result<T>, [Result<()>; 3]) {
        let (patience, fixed, ahead) = (self.patience, self.fixed, self.ahead);
        let (clientless, lanes) = (self.clientless, self.lanes);
        let client = TestClient { client: Client::new(self.client), fixed, clientless };
        let owner = Owner { links: self.owner, fixed };
        thread::scope(|s| {
            let parts = Role::ALL.into_iter().zip(self.parties).zip(self.to_owner).zip(models);
            let parties: Vec<_> = parts
                .map(|(((role, links), owner), model)| {
                    s.spawn(move || {
                        let how = (fixed, ahead, clientless, lanes);
                        party(role, links, &*owner, model, batches, patience, how)
                    })
                })
                .collect();
            let outcome = outside(&client, &owner);
            match &outcome {
                Ok(_) => client.close().expect("closes"),
                Err(_) => client.abort("the client gives up"),
            }
            let mut parties = parties.into_iter().map(|p| p.join().expect("no panic"));
            let mut next = || parties.next().expect("three parties");
            let ended = [next(), next(), next()];
            (outcome, ended)
        })
    }
}

fn party(
    role: Role,
    links: Links,
    owner: &dyn Channel,
    model: &Tiny,
    batches: &[u64],
    patience: Duration,
    (fixed, ahead, clientless, lanes): (Option<u8>, Option<usize>, bool, Option<Lanes>),
) -> Result<()> {
    let party = Party::establish(role, links, patience, &randomness(fixed))?;
    let party = match ahead {
        Some(bytes) => party.streaming(bytes),
        None => party,
    };
    let party = if clientless { party.clientless() } else { party };
    let received = Received::receive(role, owner, &Manifest::of(model)?)?;
    let served = Served::new(model, &received, role)?;
    let serve =
        |&batch: &u64| party.serve(model, &served, &mut Conversation::default(), batch, &LENGTH).map(drop);
    let outcome = match lanes {
        Some(lanes) => in_lanes(&party, model, &served, lanes),
        None => batches.iter().try_for_each(serve),
    };
    match &outcome {
        // A process that is gone says nothing.
        Err(Error::Net { source, .. }) if source.to_string().contains("power") => (),
        Err(error) => party.abort(&error.to_string()),
        // Ends that are just dropped look like a crash, also to peers that have not read everything.
        Ok(()) => party.close()?,
    }
    outcome
}

/// Serves requests of two bytes: a length, which must not be 0, and whether they go on with a conversation.
fn in_lanes(party: &Party, model: &Tiny, served: &Served<Tiny>, lanes: Lanes) -> Result<()> {
    let lane = |first: usize| {
        let asked = |batch: u64| {
            let Some(asked) = party.asked(batch, 2)? else { return Ok(Turn::End) };
            Ok(match asked[..] {
                [0, _] => Turn::Refuse("a text without a word".to_owned()),
                [length, 0] => Turn::Begin(usize::from(length)),
                [length, _] => Turn::Continue(usize::from(length)),
                _ => Turn::Refuse("a request of another length".to_owned()),
            })
        };
        let batches = &mut (first as u64..).step_by(lanes.count);
        let explain = |error: &Error| error.to_string();
        party.serve_lane(model, served, Lane { batches, asked, ahead: lanes.ahead, explain })
    };
    thread::scope(|s| {
        let running: Vec<_> = (1..=lanes.count).map(|first| s.spawn(move || lane(first))).collect();
        let ended: Vec<Result<()>> = running.into_iter().map(|l| l.join().expect("no panic")).collect();
        ended.into_iter().collect()
    })
}

/// A link of a party that ends in the middle of a request.
struct Mortal {
    inner: Link,
    left: AtomicU32,
    hangs: bool,
}

impl Channel for Mortal {
    fn local(&self) -> Peer {
        self.inner.local()
    }
    fn peer(&self) -> Peer {
        self.inner.peer()
    }
    fn send(&self, message: Message) -> Result<(), NetError> {
        if self.left.fetch_sub(1, Ordering::Relaxed) > 1 {
            return self.inner.send(message);
        }
        if self.hangs {
            thread::sleep(Duration::from_secs(4));
        }
        let reason = "a power cut";
        Err(NetError::new(NetErrorKind::Aborted { by: Peer::P1, reason: reason.into() }))
    }
    fn send_credited(&self, message: Message) -> Result<(), NetError> {
        self.inner.send_credited(message)
    }
    fn recv(&self, address: Address, bytes: usize) -> Result<Message, NetError> {
        self.inner.recv(address, bytes)
    }
    fn recv_bounded(&self, address: Address, limit: usize) -> Result<Message, NetError> {
        self.inner.recv_bounded(address, limit)
    }
    fn abort(&self, reason: &str) {
        self.inner.abort(reason);
    }
    fn abandon(&self, batch: u64, reason: &str) {
        self.inner.abandon(batch, reason);
    }
    fn close(&self) -> Result<(), NetError> {
        self.inner.close()
    }
    fn failure(&self) -> Option<NetError> {
        self.inner.failure()
    }
    fn stats(&self) -> &Arc<Stats> {
        self.inner.stats()
    }
}
