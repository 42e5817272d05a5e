//! Three parties as threads of this process.

use std::sync::Arc;

use super::{
    Client, Conversation, Floats, Links, Manifest, Party, Received, SecureModel, Served, next_program,
    share_weights,
};
use crate::error::{Error, Result};
use crate::mpc::Role;
use crate::net::{Channel, Limits, Peer, pair};
use crate::prg::Randomness;
use crate::tensor::{Array, Shape};

/// In-memory links between all ends of a session.
pub struct LocalLinks {
    /// The client's, to P0, P1, P2.
    pub client: [Arc<dyn Channel>; 3],
    /// The owner's, to P0, P1, P2.
    pub owner: [Arc<dyn Channel>; 3],
    /// Each party's links, and its link to the owner.
    pub parties: [(Links, Arc<dyn Channel>); 3],
}

impl LocalLinks {
    /// Connects everybody.
    pub fn new(limits: Limits) -> Self {
        let mut peers: [[Option<Arc<dyn Channel>>; 3]; 3] = Default::default();
        for (a, b) in [(0, 1), (0, 2), (1, 2)] {
            let (x, y) = pair(Role::ALL[a].peer(), Role::ALL[b].peer(), limits);
            peers[a][b] = Some(Arc::new(x));
            peers[b][a] = Some(Arc::new(y));
        }
        let ends = |local: Peer| {
            Role::ALL.map(|role| {
                let (here, there) = pair(local, role.peer(), limits);
                (Arc::new(here) as Arc<dyn Channel>, Arc::new(there) as Arc<dyn Channel>)
            })
        };
        let (clients, owners) = (ends(Peer::Client), ends(Peer::Owner));
        let parties = Role::ALL.map(|role| {
            let i = role.index();
            let links = Links { peers: std::mem::take(&mut peers[i]), client: clients[i].1.clone() };
            (links, owners[i].1.clone())
        });
        Self { client: clients.map(|c| c.0), owner: owners.map(|o| o.0), parties }
    }
}

/// Runs a model privately with three parties in this process, on each of `inputs` in one conversation: to try a model of
/// one's own.
///
/// One process protects nothing; what the parties compute and send is the same as on three machines.
pub fn private<M: SecureModel>(
    model: &M,
    floats: &dyn Floats,
    inputs: &[(M::Request, Array<f32>)],
) -> Result<Vec<Array<f32>>> {
    let randomness = Randomness::system();
    converse(model, floats, inputs, &randomness, |client, batch, (_, x), output| {
        let seeds = client.begin(batch, &randomness)?;
        client.ready(batch)?;
        client.finish::<M>(batch, &seeds, x, output)
    })
}

/// The same of a model whose input is [looked up](super::Input::Lookup): `inputs` have a list of ids for each table.
pub fn private_lookup<M: SecureModel>(
    model: &M,
    floats: &dyn Floats,
    inputs: &[(M::Request, Vec<Vec<usize>>)],
) -> Result<Vec<Array<f32>>> {
    let randomness = Randomness::system();
    converse(model, floats, inputs, &randomness, |client, batch, (request, ids), output| {
        client.ready(batch)?;
        client.finish_lookup(model, request, batch, ids, &randomness, output)
    })
}

/// Three parties, the owner and the client of one conversation; `ask` is how the client has a request answered.
fn converse<M: SecureModel, X: Sync>(
    model: &M,
    floats: &dyn Floats,
    inputs: &[(M::Request, X)],
    randomness: &Randomness,
    ask: impl Fn(&Client, u64, &(M::Request, X), &Shape) -> Result<Array<f32>>,
) -> Result<Vec<Array<f32>>> {
    let limits = Limits::default();
    let links = LocalLinks::new(limits);
    let serve = |role: Role, (links, owner): (Links, Arc<dyn Channel>)| {
        let everybody: Vec<_> =
            links.peers.iter().flatten().chain([&links.client, &owner]).cloned().collect();
        let run = || {
            let party = Party::establish(role, links, limits.time_limit, randomness)?;
            let received = Received::receive(role, &*owner, &Manifest::of(model)?)?;
            let weights = Served::new(model, &received, role)?;
            drop(received);
            let mut conversation = Conversation::default();
            for (i, (request, _)) in inputs.iter().enumerate() {
                party.serve(model, &weights, &mut conversation, i as u64 + 1, request)?;
            }
            owner.close()?;
            party.close()
        };
        run().inspect_err(|e| everybody.iter().for_each(|link| link.abort(&e.to_string())))
    };
    std::thread::scope(|scope| {
        let [p0, p1, p2] = links.parties;
        let parties = [(Role::P0, p0), (Role::P1, p1), (Role::P2, p2)]
            .map(|(role, ends)| scope.spawn(move || serve(role, ends)));
        let client = Client::new(links.client);
        let drive = || {
            share_weights(&links.owner, &Manifest::of(model)?, floats, randomness, &|_| ())?;
            let mut state = M::State::default();
            let answers = inputs.iter().enumerate().map(|(i, input)| {
                let batch = i as u64 + 1;
                let (_, _, output) = next_program(model, &mut state, &input.0)?;
                let y = ask(&client, batch, input, &output)?;
                client.reports(batch)?;
                Ok(y)
            });
            let answers = answers.collect::<Result<Vec<_>>>()?;
            client.close()?;
            links.owner.iter().try_for_each(|l| l.close())?;
            Ok(answers)
        };
        let answers = drive().inspect_err(|e: &Error| client.abort(&e.to_string()));
        for party in parties {
            party.join().map_err(|_| Error::Internal("a party panicked"))??;
        }
        answers
    })
}
