use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;

use clap::ValueEnum;
use ditto_core::error::Error;
use ditto_core::mpc::Role;
use ditto_core::net::tcp::{Runtime, Session};
use ditto_core::net::{Channel, Limits, Link, Peer, SessionId, connect};
use ditto_core::prg::Randomness;
use ditto_core::session::LocalLinks;
use serde::Serialize;

use super::party::serve;
use super::relay::relay;
use super::{Phase, RunError};

/// Which network a run's time is modelled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// This machine's loopback, nothing added
    None,
    /// 5 Gbit/s, 0.4 ms round trip (modelled)
    Lan,
    /// 400 Mbit/s, 40 ms round trip (modelled)
    Wan,
}

impl Network {
    /// Its link.
    pub fn link(self) -> Link {
        match self {
            Self::None => Link::NONE,
            Self::Lan => Link::LAN,
            Self::Wan => Link::WAN,
        }
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Lan => "lan",
            Self::Wan => "wan",
        })
    }
}

/// How the three parties exist.
#[derive(Clone, Debug, PartialEq)]
pub enum Launch {
    /// Three processes that talk over loopback TCP, each started as `program party ..`.
    Processes {
        /// The `ditto` program.
        program: PathBuf,
    },
    /// The same with relays between them that imitate a network: to measure. Client and owner are not behind one.
    Relayed {
        /// The `ditto` program.
        program: PathBuf,
        /// The link of each pair of parties.
        link: Link,
    },
    /// Threads of this process.
    Threads,
}

/// Running parties and the links to them.
pub(crate) struct Parties {
    pub(super) client: [Arc<dyn Channel>; 3],
    pub(super) owner: [Arc<dyn Channel>; 3],
    running: Running,
    // Keeps the sockets' threads alive.
    _runtime: Option<Runtime>,
}

enum Running {
    Processes(Vec<(Role, Child)>),
    Threads(Vec<(Role, JoinHandle<Result<(), RunError>>)>),
}

impl Launch {
    /// Processes of the running program, which must be `ditto`.
    pub fn processes() -> Result<Self, RunError> {
        let program = std::env::current_exe().map_err(|e| failed(Role::P0, &e))?;
        Ok(Self::Processes { program })
    }

    /// Starts parties for `drive`, and waits for them to end; if it fails, they are told to stop.
    pub(crate) fn with_parties<T>(
        &self,
        limits: Limits,
        randomness: Randomness,
        progress: &(dyn Fn(Phase) + Sync),
        drive: impl FnOnce(&Parties) -> Result<T, RunError>,
    ) -> Result<T, RunError> {
        let mut parties = self.start(limits, randomness)?;
        if let &[p0, p1, p2] = &parties.pids()[..] {
            progress(Phase::Started([p0, p1, p2]));
        }
        match drive(&parties) {
            Ok(out) => parties.join().map(|()| out),
            Err(error) => {
                parties.abort("the client stopped");
                Err(error)
            }
        }
    }

    fn start(&self, limits: Limits, randomness: Randomness) -> Result<Parties, RunError> {
        match self {
            Self::Processes { program } => processes(program, limits, randomness, None),
            Self::Relayed { program, link } => processes(program, limits, randomness, Some(*link)),
            Self::Threads => threads(limits, randomness),
        }
    }
}

fn threads(limits: Limits, randomness: Randomness) -> Result<Parties, RunError> {
    let links = LocalLinks::new(limits);
    let mut running = Vec::new();
    for (role, (links, owner)) in Role::ALL.into_iter().zip(links.parties) {
        let thread = std::thread::Builder::new().name(format!("ditto-{role}"));
        let body = move || serve(role, links, &owner, limits.time_limit, randomness, false);
        running.push((role, thread.spawn(body).map_err(|e| failed(role, &e))?));
    }
    Ok(Parties {
        client: links.client,
        owner: links.owner,
        running: Running::Threads(running),
        _runtime: None,
    })
}

fn failed(role: Role, what: &dyn ToString) -> RunError {
    RunError::Process { role: role.to_string(), what: what.to_string() }
}

fn three(links: Vec<Arc<dyn Channel>>) -> Result<[Arc<dyn Channel>; 3], RunError> {
    links.try_into().map_err(|_| RunError::Core(Error::Internal("three links are needed")))
}

fn processes(
    program: &Path,
    limits: Limits,
    randomness: Randomness,
    between: Option<Link>,
) -> Result<Parties, RunError> {
    let id: [u8; 16] = rand::random();
    let hex: String = id.iter().map(|b| format!("{b:02x}")).collect();
    let mut children = Children(Vec::new());
    let mut addresses = Vec::new();
    for role in Role::ALL {
        let child = Command::new(program)
            .args(["party", "--role", &role.to_string(), "--session", &hex])
            .args(["--time-limit", &limits.time_limit.as_secs().to_string()])
            .args(randomness.arguments())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| failed(role, &e))?;
        children.0.push((role, child));
        let child = &mut children.0[role.index()].1;
        let stdout = child.stdout.take().ok_or_else(|| failed(role, &"it has no standard output"))?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).map_err(|e| failed(role, &e))?;
        let address: SocketAddr =
            line.trim().parse().map_err(|_| failed(role, &"it did not say on which port it listens"))?;
        addresses.push(address);
    }
    for (role, child) in &mut children.0 {
        // A party connects to those before it, and to nobody else.
        let reached = addresses.iter().enumerate().map(|(other, &address)| match between {
            Some(link) if other < role.index() => relay(address, link, limits.time_limit),
            _ => Ok(address),
        });
        let reached = reached.collect::<std::io::Result<Vec<_>>>().map_err(|e| failed(*role, &e))?;
        let line = reached.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let mut stdin = child.stdin.take().ok_or_else(|| failed(*role, &"it has no standard input"))?;
        writeln!(stdin, "{line}").map_err(|e| failed(*role, &e))?;
    }
    let runtime = Runtime::new(1).map_err(Error::from)?;
    let link = |local: Peer| -> Result<[Arc<dyn Channel>; 3], RunError> {
        let session = Session { local, id: SessionId(id), limits };
        let links = Role::ALL.into_iter().map(|role| {
            let link =
                connect(&runtime, addresses[role.index()], &session, role.peer()).map_err(Error::from)?;
            Ok(Arc::new(link) as Arc<dyn Channel>)
        });
        three(links.collect::<Result<_, RunError>>()?)
    };
    let (client, owner) = (link(Peer::Client)?, link(Peer::Owner)?);
    let running = Running::Processes(std::mem::take(&mut children.0));
    Ok(Parties { client, owner, running, _runtime: Some(runtime) })
}

/// Kills what is left when starting fails half-way.
struct Children(Vec<(Role, Child)>);

impl Drop for Children {
    fn drop(&mut self) {
        for (_, child) in &mut self.0 {
            // It may have ended by itself; either way it must not stay.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Parties {
    /// Tells all parties to stop, then waits for them.
    fn abort(&self, reason: &str) {
        self.client.iter().chain(&self.owner).for_each(|link| link.abort(reason));
    }

    /// Waits for the parties to end; the first failure counts.
    fn join(&mut self) -> Result<(), RunError> {
        match &mut self.running {
            Running::Threads(threads) => {
                let ended = threads.drain(..).map(|(role, thread)| match thread.join() {
                    Ok(result) => result,
                    Err(_) => Err(failed(role, &"its thread panicked")),
                });
                ended.collect::<Vec<_>>().into_iter().collect()
            }
            Running::Processes(children) => {
                let mut result = Ok(());
                for (role, mut child) in children.drain(..) {
                    let status = child.wait().map_err(|e| failed(role, &e))?;
                    if !status.success() && result.is_ok() {
                        result = Err(failed(role, &format!("ended with {status}")));
                    }
                }
                result
            }
        }
    }

    /// Process identifiers of the parties; empty for threads.
    fn pids(&self) -> Vec<u32> {
        match &self.running {
            Running::Threads(_) => Vec::new(),
            Running::Processes(children) => children.iter().map(|(_, c)| c.id()).collect(),
        }
    }
}

impl Drop for Parties {
    fn drop(&mut self) {
        if let Running::Processes(children) = &mut self.running {
            drop(Children(std::mem::take(children)));
        }
    }
}
