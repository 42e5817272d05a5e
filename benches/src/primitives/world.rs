//! Three parties, an owner and a client in one process, for a model of one protocol.

use std::sync::Arc;

use ditto_core::Error;
use ditto_core::error::Result;
use ditto_core::mpc::Role;
use ditto_core::net::{Channel, Limits};
use ditto_core::prg::Randomness;
use ditto_core::session::{
    Client, Conversation, Floats, Links, LocalLinks, Manifest, Party, Received, Report, SecureModel, Served,
    share_weights,
};
use ditto_core::tensor::{Array, Shape};

/// What the parties report of `times` requests with the same input.
pub(super) fn reports<M: SecureModel<Request = ()>>(
    model: &M,
    floats: &dyn Floats,
    x: &Array<f32>,
    output: &Shape,
    times: u64,
) -> Result<Vec<[Report; 3]>> {
    let (limits, randomness) = (Limits::default(), Randomness::system());
    let links = LocalLinks::new(limits);
    let serve = |role: Role, (links, owner): (Links, Arc<dyn Channel>)| {
        let everybody: Vec<_> =
            links.peers.iter().flatten().chain([&links.client, &owner]).cloned().collect();
        let run = || {
            let party = Party::establish(role, links, limits.time_limit, &randomness)?.traced();
            let received = Received::receive(role, &*owner, &Manifest::of(model)?)?;
            let weights = Served::new(model, &received, role)?;
            drop(received);
            for batch in 1..=times {
                party.serve(model, &weights, &mut Conversation::default(), batch, &())?;
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
            share_weights(&links.owner, &Manifest::of(model)?, floats, &randomness, &|_| ())?;
            let ask = |batch| {
                let seeds = client.begin(batch, &randomness)?;
                client.ready(batch)?;
                client.finish::<M>(batch, &seeds, x, output)?;
                client.reports(batch)
            };
            let reports = (1..=times).map(ask).collect::<Result<_>>()?;
            client.close()?;
            links.owner.iter().try_for_each(|l| l.close())?;
            Ok(reports)
        };
        let reports = drive().inspect_err(|e: &Error| client.abort(&e.to_string()));
        for party in parties {
            party.join().map_err(|_| Error::Internal("a party panicked"))??;
        }
        reports
    })
}
