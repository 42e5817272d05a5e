use std::sync::Arc;

use super::SecureModel;
use super::lookup::make_keys;
use super::plain::words;
use super::report::Report;
use crate::error::{Error, Result};
use crate::fixed::{Fixed, WordOf, decode};
use crate::kernel::{pack, packed_len, unpack};
use crate::keys::reserved;
use crate::net::{Address, Channel, Message, NetError, Peer};
use crate::prg::{Prg, Randomness, Seed};
use crate::ring::Word;
use crate::tensor::{Array, Shape};
use num_traits::{WrappingAdd, WrappingSub};

/// The client's end: shares an input, receives the output.
pub struct Client {
    links: [Arc<dyn Channel>; 3],
}

/// Longest report of a party, in bytes: two numbers for each of a million steps.
const REPORT_LIMIT: usize = 1 << 23;

impl Client {
    /// A client with links to P0, P1 and P2.
    pub fn new(links: [Arc<dyn Channel>; 3]) -> Self {
        Self { links }
    }

    /// Tells the parties what they will run: bytes that the caller's [`Party`](super::Party) code understands.
    pub fn announce(&self, job: &[u8]) -> Result<()> {
        self.tell(Address::new(reserved::SETUP, reserved::INPUT, 0), job)
    }

    /// Asks a request: its public part, in bytes that the caller's [`Party`](super::Party) code understands and that are
    /// not none.
    pub fn ask(&self, batch: u64, request: &[u8]) -> Result<()> {
        self.tell(Address::new(batch, reserved::REQUEST, 0), request)
    }

    /// Tells the parties that there is no request in this batch, nor after it.
    pub fn end(&self, batch: u64) -> Result<()> {
        self.ask(batch, &[])
    }

    fn tell(&self, address: Address, what: &[u8]) -> Result<()> {
        let mut links = self.links.iter();
        links.try_for_each(|l| l.send(Message::new(address, 0, what.to_vec()))).map_err(Error::from)
    }

    /// Waits until all parties have loaded the weights.
    pub fn loaded(&self) -> Result<()> {
        self.ready(reserved::SETUP)
    }

    /// Begins a request: sends fresh input seeds, seed 0 to P0 and P2, seed 1 to P1 and P2. The parties preprocess.
    pub fn begin(&self, batch: u64, randomness: &Randomness) -> Result<[Seed; 2]> {
        let seeds = randomness.seeds(batch);
        let address = Address::new(batch, reserved::INPUT, 0);
        self.links[0].send(Message::new(address, 0, seeds[0].bytes().to_vec()))?;
        self.links[1].send(Message::new(address, 0, seeds[1].bytes().to_vec()))?;
        self.links[2].send(Message::new(address, 0, [seeds[0].bytes(), seeds[1].bytes()].concat()))?;
        Ok(seeds)
    }

    /// Begins a request whose preprocessing was made without the client: takes each evaluator's seed of the input.
    pub fn collect(&self, batch: u64) -> Result<[Seed; 2]> {
        let seed = |link: &Arc<dyn Channel>| -> Result<Seed> {
            let got = link.recv(Address::new(batch, reserved::INPUT, 0), 16)?;
            let bytes = got.payload.try_into().map_err(|_| Error::Internal("length of a seed"))?;
            Ok(Seed::new(bytes))
        };
        Ok([seed(&self.links[0])?, seed(&self.links[1])?])
    }

    /// Waits until all parties have preprocessed.
    pub fn ready(&self, batch: u64) -> Result<()> {
        let address = Address::new(batch, reserved::REPORT, 0);
        self.links.iter().try_for_each(|link| link.recv(address, 0).map(drop)).map_err(Error::from)
    }

    /// Sends the masked input and receives the output.
    pub fn finish<M: SecureModel>(
        &self,
        batch: u64,
        seeds: &[Seed; 2],
        x: &Array<f32>,
        output: &Shape,
    ) -> Result<Array<f32>> {
        let k = M::Input::K;
        let mut m = words::<WordOf<M::Input>>("the input", x, k, M::Input::F as i32)?.into_vec();
        for seed in seeds {
            let mask: Vec<WordOf<M::Input>> = Prg::new(seed).words(reserved::INPUT, 0, m.len(), k);
            m.iter_mut().zip(mask).for_each(|(m, l)| *m = m.wrapping_add(&l).low(k));
        }
        let payload = pack(&m, k);
        let address = Address::new(batch, reserved::INPUT, 1);
        self.links[0].send(Message::new(address, 0, payload.clone()))?;
        self.links[1].send(Message::new(address, 0, payload))?;
        self.output::<M>(batch, output)
    }

    /// Sends keys that look up rows of the model's tables, and receives the output. `ids` has a list for each of
    /// [`Input::Lookup`]'s tables. Such a request has no seeds: it does not [begin](Self::begin).
    ///
    /// [`Input::Lookup`]: super::Input::Lookup
    pub fn finish_lookup<M: SecureModel>(
        &self,
        model: &M,
        request: &M::Request,
        batch: u64,
        ids: &[Vec<usize>],
        randomness: &Randomness,
        output: &Shape,
    ) -> Result<Array<f32>> {
        let [seed, _] = randomness.seeds(batch);
        let keys = make_keys(model, request, ids, &seed)?;
        let address = Address::new(batch, reserved::INPUT, 1);
        for (link, keys) in self.links.iter().zip(keys) {
            link.send(Message::new(address, 0, keys))?;
        }
        self.output::<M>(batch, output)
    }

    /// The output of a request whose input is on its way.
    fn output<M: SecureModel>(&self, batch: u64, output: &Shape) -> Result<Array<f32>> {
        let (n, k) = (output.len(), M::Output::K);
        let part = |link: &Arc<dyn Channel>| -> Result<Vec<WordOf<M::Output>>> {
            let got = link.recv(Address::new(batch, reserved::OUTPUT, 1), packed_len(n, k))?;
            unpack(&got.payload, n, k).ok_or(Error::Internal("an output share has set padding bits"))
        };
        let (a, b) = (part(&self.links[0])?, part(&self.links[1])?);
        let values =
            a.iter().zip(&b).map(|(a, b)| decode(a.wrapping_sub(b).low(k).signed(k), M::Output::F) as f32);
        Array::new(output.clone(), values.collect())
    }

    /// What each party counted and used in a request that has ended.
    pub fn reports(&self, batch: u64) -> Result<[Report; 3]> {
        let report = |link: &Arc<dyn Channel>| {
            let got = link.recv_bounded(Address::new(batch, reserved::REPORT, 1), REPORT_LIMIT)?;
            Report::decode(&got.payload).ok_or(Error::Internal("a party's report cannot be read"))
        };
        Ok([report(&self.links[0])?, report(&self.links[1])?, report(&self.links[2])?])
    }

    /// Ends the session in order.
    pub fn close(&self) -> Result<()> {
        self.links.iter().try_for_each(|l| l.close()).map_err(Error::from)
    }

    /// Tells all parties to stop.
    pub fn abort(&self, reason: &str) {
        self.links.iter().for_each(|l| l.abort(reason));
    }

    /// Tells all parties that the client gives up a request, and that only: others go on.
    pub fn abandon(&self, batch: u64, reason: &str) {
        self.links.iter().for_each(|l| l.abandon(batch, reason));
    }

    /// Why the session cannot go on, if a link has failed.
    pub fn failure(&self) -> Option<NetError> {
        self.links.iter().find_map(|l| l.failure())
    }

    /// The link to a party, for control messages.
    pub fn link(&self, peer: Peer) -> Option<&Arc<dyn Channel>> {
        self.links.iter().find(|l| l.peer() == peer)
    }
}
