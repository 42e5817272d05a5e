use std::sync::Arc;
use std::time::Duration;

use super::tally::Tallies;
use super::{Received, SecureModel};
use crate::ctx::Steps;
use crate::engine::Meter;
use crate::error::{Error, Result};
use crate::fixed::WordOf;
use crate::keys::{Burnt, PairKey, reserved};
use crate::mpc::{Evaluator, Preprocess, Role, Roles, Store, Table};
use crate::net::{Address, Channel, Message, NetError};
use crate::prg::{Prg, Randomness, Seed};

/// A server's links.
pub struct Links {
    /// To P0, P1, P2; its own place is empty.
    pub peers: [Option<Arc<dyn Channel>>; 3],
    /// To the client.
    pub client: Arc<dyn Channel>,
}

/// One of the three servers in a session.
pub struct Party {
    pub(super) role: Role,
    pub(super) links: Links,
    pub(super) keys: [Option<PairKey>; 3],
    pub(super) burnt: Burnt,
    pub(super) patience: Duration,
    /// Most bytes of prepared material in memory, if preprocessing runs beside the online phase.
    pub(super) ahead: Option<usize>,
    /// Whether seeds of inputs come from the batch's keys.
    pub(super) clientless: bool,
    /// Whether reports say when steps were entered.
    pub(super) traced: bool,
}

/// Weights of a model under the engines of one party.
pub struct Served<M: SecureModel> {
    pub(super) preprocess: M::Weights<Preprocess>,
    pub(super) online: Option<M::Weights<Evaluator>>,
    pub(super) tables: Vec<Table<WordOf<M::Input>>>,
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
    pub(super) meter: M::State<Meter>,
    pub(super) preprocess: M::State<Preprocess>,
    pub(super) online: M::State<Evaluator>,
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
    pub(super) fn times(&self, steps: &Steps) -> Vec<u32> {
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

    pub(super) fn tell_ready(&self, batch: u64) -> Result<()> {
        Ok(self.links.client.send(Message::new(Address::new(batch, reserved::REPORT, 0), 0, Vec::new()))?)
    }

    /// Tells everybody that this party stops.
    pub fn abort(&self, reason: &str) {
        self.links.peers.iter().flatten().for_each(|l| l.abort(reason));
        self.links.client.abort(reason);
    }

    /// Tells everybody that this party gives up a request, and that only: others go on. Its batch stays burnt.
    pub fn abandon(&self, batch: u64, reason: &str) {
        self.links.peers.iter().flatten().for_each(|l| l.abandon(batch, reason));
        self.links.client.abandon(batch, reason);
    }

    /// Why the session cannot go on, if a link has failed.
    pub fn failure(&self) -> Option<NetError> {
        self.links.peers.iter().flatten().chain([&self.links.client]).find_map(|l| l.failure())
    }

    /// Ends the session in order.
    pub fn close(&self) -> Result<()> {
        for link in self.links.peers.iter().flatten() {
            link.close()?;
        }
        Ok(self.links.client.close()?)
    }

    pub(super) fn peer(&self, role: Role) -> Result<&Arc<dyn Channel>> {
        self.links.peers[role.index()].as_ref().ok_or(Error::Internal("a party has no link to a peer"))
    }

    fn prg(&self, with: Role, batch: u64, digest: &[u8; 32]) -> Result<Prg> {
        let key =
            self.keys[with.index()].as_ref().ok_or(Error::Internal("a party has no key with a peer"))?;
        Ok(Prg::new(&key.seed("masks", batch, digest)))
    }

    /// Compares program digests with both other parties.
    pub(super) fn agree(&self, batch: u64, digest: &[u8; 32]) -> Result<()> {
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

    pub(super) fn preprocess_engine(
        &self,
        batch: u64,
        digest: &[u8; 32],
        store: &Arc<Store>,
        links: &Tallies,
    ) -> Result<Preprocess> {
        let roles = match self.role {
            Role::P0 | Role::P1 => Roles::Evaluator {
                role: self.role,
                prg: self.prg(Role::P2, batch, digest)?,
                helper: links.to(Role::P2)?.clone(),
                store: store.clone(),
            },
            Role::P2 => Roles::Helper {
                prgs: [self.prg(Role::P0, batch, digest)?, self.prg(Role::P1, batch, digest)?],
                links: [links.to(Role::P0)?.clone(), links.to(Role::P1)?.clone()],
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

    /// The seeds of this request's input that this party may know: drawn by the client, or derived from the batch's
    /// keys, in which case each evaluator hands its own to the client.
    pub(super) fn input_seeds(&self, batch: u64, digest: &[u8; 32]) -> Result<Vec<Seed>> {
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
}
