use std::io::{BufRead, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ditto_core::error::Error;
use ditto_core::mpc::Role;
use ditto_core::net::tcp::{Listener, Runtime, Session};
use ditto_core::net::{Channel, Limits, Peer, SessionId, connect};
use ditto_core::prg::Randomness;
use ditto_core::session::{Lane, Links, Manifest, Party, Received, SecureModel, Served, Turn, program};

use super::RunError;
use super::job::{Announcement, Serving};
use crate::architecture::Architecture;
use crate::model::{Request, Visit};
use crate::report::chain;

/// A party for one session: agrees on keys, takes in the job and the weights, serves every request.
///
/// After an error the other parties, the client and the owner are told before this returns.
pub(super) fn serve(
    role: Role,
    links: Links,
    owner: &Arc<dyn Channel>,
    patience: Duration,
    randomness: Randomness,
    traced: bool,
) -> Result<(), RunError> {
    let everybody: Vec<Arc<dyn Channel>> =
        links.peers.iter().flatten().chain([&links.client, owner]).cloned().collect();
    let result = session(role, links, owner, patience, randomness, traced);
    if let Err(error) = &result {
        let reason = chain(error);
        everybody.iter().for_each(|link| link.abort(&reason));
    }
    result
}

fn session(
    role: Role,
    links: Links,
    owner: &Arc<dyn Channel>,
    patience: Duration,
    randomness: Randomness,
    traced: bool,
) -> Result<(), RunError> {
    let party = Party::establish(role, links, patience, &randomness)?;
    let party = if traced { party.traced() } else { party };
    let Announcement { model, serving } = Announcement::decode(&party.job(Announcement::LIMIT)?)?;
    let party = match serving.share() {
        Some(bytes) => party.streaming(bytes),
        None => party,
    };
    model.with_model(Serve { party: &party, owner, serving, architecture: &model.architecture })?;
    owner.close().map_err(Error::from)?;
    Ok(party.close()?)
}

struct Serve<'a> {
    party: &'a Party,
    owner: &'a Arc<dyn Channel>,
    serving: Serving,
    architecture: &'a Architecture,
}

impl Visit for Serve<'_> {
    type Out = Result<(), RunError>;
    fn visit<M: SecureModel<Request = Request>>(self, model: &M) -> Self::Out {
        let role = self.party.role();
        let weights = std::thread::scope(|scope| {
            // Functions are fitted when a program is first read: while the weights come, and not in the first request. What
            // fails here fails there, with the request's own shapes.
            scope.spawn(|| program(model, &Request::new(&[1], &self.architecture.head)));
            let received = Received::receive(role, &**self.owner, &Manifest::of(model)?)?;
            Served::new(model, &received, role)
        })?;
        self.party.loaded()?;
        let lanes = u64::from(self.serving.in_flight);
        std::thread::scope(|scope| {
            let running: Vec<_> = (1..=lanes)
                .map(|first| {
                    let (this, weights) = (&self, &weights);
                    scope.spawn(move || this.lane(model, weights, &mut (first..).step_by(lanes as usize)))
                })
                .collect();
            let ended = running.into_iter().map(|lane| {
                lane.join()
                    .map_err(|_| RunError::Core(Error::Internal("a lane panicked")))?
                    .map_err(RunError::Core)
            });
            ended.collect::<Vec<_>>().into_iter().collect()
        })
    }
}

impl Serve<'_> {
    /// Every so manieth request, one after the other.
    fn lane<M: SecureModel<Request = Request>>(
        &self,
        model: &M,
        weights: &Served<M>,
        batches: &mut (dyn Iterator<Item = u64> + Send),
    ) -> Result<(), Error> {
        // Of the text that is being continued: its tokens so far.
        let mut tokens = 0;
        let asked = |batch: u64| {
            let Some(asked) = self.party.asked(batch, Request::LIMIT)? else { return Ok(Turn::End) };
            let request = match Request::decode(&asked, self.architecture) {
                Ok(request) => request,
                Err(error) => return Ok(Turn::Refuse(chain(&error))),
            };
            let begins = request.past == 0;
            if begins {
                tokens = 0;
            }
            if request.past != tokens {
                let what = format!("it continues {} tokens, but there were {tokens}", request.past);
                return Ok(Turn::Refuse(chain(&RunError::Job(what))));
            }
            tokens += request.rows();
            Ok(if begins { Turn::Begin(request) } else { Turn::Continue(request) })
        };
        let ahead = self.serving.ahead;
        self.party.serve_lane(model, weights, Lane { batches, asked, ahead, explain: |error| chain(error) })
    }
}

/// One party as a process of its own: binds a loopback port, says which on standard output, reads the three parties'
/// addresses from standard input, connects, serves. If `traced`, its reports say when steps were entered.
pub(super) fn party_process(
    role: Role,
    session: SessionId,
    limits: Limits,
    randomness: Randomness,
    traced: bool,
) -> Result<(), RunError> {
    let failed = |what: String| RunError::Process { role: role.to_string(), what };
    let runtime = Runtime::new(1).map_err(Error::from)?;
    let listener =
        Listener::bind(&runtime, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).map_err(Error::from)?;
    let mut out = std::io::stdout();
    writeln!(out, "{}", listener.address()).and_then(|()| out.flush()).map_err(|e| failed(e.to_string()))?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(|e| failed(e.to_string()))?;
    let addresses: Vec<SocketAddr> = line
        .split_whitespace()
        .map(|a| a.parse().map_err(|_| failed(format!("`{a}` is not an address"))))
        .collect::<Result<_, _>>()?;
    if addresses.len() != 3 {
        return Err(failed("three addresses are needed on standard input".to_owned()));
    }

    let session = Session { local: role.peer(), id: session, limits };
    let mut peers: [Option<Arc<dyn Channel>>; 3] = [None, None, None];
    for lower in Role::ALL.into_iter().filter(|&r| r < role) {
        let link =
            connect(&runtime, addresses[lower.index()], &session, lower.peer()).map_err(Error::from)?;
        peers[lower.index()] = Some(Arc::new(link));
    }
    let mut expected: Vec<Peer> = Role::ALL.into_iter().filter(|&r| r > role).map(Role::peer).collect();
    expected.extend([Peer::Client, Peer::Owner]);
    let (mut client, mut owner) = (None, None);
    while !expected.is_empty() {
        let link = listener.accept(&session, &expected).map_err(Error::from)?;
        let peer = link.peer();
        expected.retain(|&p| p != peer);
        let link: Arc<dyn Channel> = Arc::new(link);
        match peer {
            Peer::P0 => peers[0] = Some(link),
            Peer::P1 => peers[1] = Some(link),
            Peer::P2 => peers[2] = Some(link),
            Peer::Client => client = Some(link),
            Peer::Owner => owner = Some(link),
        }
    }
    let (Some(client), Some(owner)) = (client, owner) else {
        return Err(failed("client or owner did not connect".to_owned()));
    };
    serve(role, Links { peers, client }, &owner, limits.time_limit, randomness, traced)
}
