//! Channels between processes of one machine, over TCP.
//!
//! Two tasks serve a connection. A sender hands the socket what that takes at once, and the rest to the writer,
//! which has an unbounded queue: sending never waits. The reader always drains the socket into the receive queue,
//! which is why two parties that send each other large messages at once cannot block each other.
//!
//! There is no TLS yet, so only loopback addresses are accepted.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::address::{Address, Message, Peer};
use super::channel::{Channel, Limits};
use super::endpoint::{Endpoint, Expected};
use super::error::{NetError, NetErrorKind};
use super::hello::{HELLO_BYTES, Hello, SessionId};
use super::stats::Stats;

mod tasks;
#[cfg(test)]
mod tests;

use tasks::TcpWire;

/// How long a new connection may take for its greeting. It is short because other peers wait meanwhile.
const GREETING: Duration = Duration::from_secs(10);

/// How long a channel that has failed may take to tell the peer.
const FAREWELL: Duration = Duration::from_secs(1);

/// The threads that drive sockets. A process needs one; clones are the same runtime.
///
/// Connecting, accepting and the calls of a channel block, so they belong on ordinary threads and not in
/// asynchronous code.
#[derive(Clone, Debug)]
pub struct Runtime {
    handle: Handle,
    _threads: Arc<Threads>,
}

/// Ends the threads with the last clone.
#[derive(Debug)]
struct Threads(Option<tokio::runtime::Runtime>);

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // Dropping it would wait, which is not allowed everywhere, and nobody has a channel any more.
            runtime.shutdown_background();
        }
    }
}

impl Runtime {
    /// Starts `threads` threads, at least one. One or two serve a party well.
    pub fn new(threads: usize) -> Result<Self, NetError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads.max(1))
            .thread_name("ditto-net")
            .enable_io()
            .enable_time()
            .build();
        let runtime = runtime.map_err(|error| NetError::new(io_kind(error)))?;
        Ok(Self { handle: runtime.handle().clone(), _threads: Arc::new(Threads(Some(runtime))) })
    }
}

/// What all connections of a party have in common.
#[derive(Clone, Copy, Debug)]
pub struct Session {
    /// The role of this party.
    pub local: Peer,
    /// The session it takes part in.
    pub id: SessionId,
    /// The limits of its channels.
    pub limits: Limits,
}

/// A bound port on which peers connect.
#[derive(Debug)]
pub struct Listener {
    runtime: Runtime,
    socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Binds a loopback address; port 0 lets the system choose one.
    pub fn bind(runtime: &Runtime, address: SocketAddr) -> Result<Self, NetError> {
        loopback(address)?;
        let bound = runtime.handle.block_on(async {
            let socket = TcpListener::bind(address).await.map_err(io_kind)?;
            let address = socket.local_addr().map_err(io_kind)?;
            Ok((socket, address))
        });
        let (socket, address) = bound.map_err(NetError::new)?;
        Ok(Self { runtime: runtime.clone(), socket, address })
    }

    /// The address with the port that peers connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits, at most the time limit, for a connection of one of the `expected` peers.
    /// [`Channel::peer`] tells which it was.
    ///
    /// A connection of anybody else is an error, and the caller may accept again.
    pub fn accept(&self, session: &Session, expected: &[Peer]) -> Result<TcpChannel, NetError> {
        let limit = session.limits.time_limit;
        let opened = self.runtime.handle.block_on(async {
            let (stream, _) = within(limit, async { self.socket.accept().await.map_err(io_kind) }).await?;
            within(limit.min(GREETING), greet(stream, session, expected, Side::Accepts)).await
        });
        let (stream, peer) = opened.map_err(|kind| known(expected, kind))?;
        Ok(TcpChannel::start(&self.runtime, stream, session, peer))
    }
}

/// Connects to the party `expected` at a loopback address, trying again until the time limit while nobody
/// listens there yet.
pub fn connect(
    runtime: &Runtime,
    address: SocketAddr,
    session: &Session,
    expected: Peer,
) -> Result<TcpChannel, NetError> {
    loopback(address).map_err(|error| error.with_peer(expected))?;
    let limit = session.limits.time_limit;
    let opened = runtime.handle.block_on(async {
        let stream = reach(address, limit).await?;
        // The other end may be busy with other peers before it answers, so this waits the whole limit.
        within(limit, greet(stream, session, &[expected], Side::Connects)).await
    });
    let (stream, peer) = opened.map_err(|kind| NetError::new(kind).with_peer(expected))?;
    Ok(TcpChannel::start(runtime, stream, session, peer))
}

async fn reach(address: SocketAddr, limit: Duration) -> Result<TcpStream, NetErrorKind> {
    let start = Instant::now();
    let mut pause = Duration::from_millis(5);
    loop {
        let left = limit.saturating_sub(start.elapsed());
        match within(left, async { Ok(TcpStream::connect(address).await) }).await? {
            Ok(stream) => return Ok(stream),
            Err(error) if start.elapsed() + pause >= limit => return Err(io_kind(error)),
            Err(error) => match error.kind() {
                io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => {}
                _ => return Err(io_kind(error)),
            },
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(200));
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Connects,
    Accepts,
}

/// Exchanges greetings and gives the peer at the other end.
///
/// The side that accepts speaks second, because only then does it know which of its peers came. It answers
/// in any case, so that both ends can report a disagreement.
async fn greet(
    mut stream: TcpStream,
    session: &Session,
    expected: &[Peer],
    side: Side,
) -> Result<(TcpStream, Peer), NetErrorKind> {
    stream.set_nodelay(true).map_err(io_kind)?;
    let mine = |wants| Hello { role: session.local, wants, session: session.id }.encode();
    let first = expected.first().copied().unwrap_or(session.local);
    if side == Side::Connects {
        stream.write_all(&mine(first)).await.map_err(io_kind)?;
    }
    let mut bytes = [0; HELLO_BYTES];
    tasks::fill(&mut stream, &mut bytes).await.map_err(|end| end.kind(HELLO_BYTES))?;
    let theirs = Hello::decode(&bytes);
    if side == Side::Accepts {
        let role = theirs.as_ref().map_or(first, |hello| hello.role);
        let wants = if expected.contains(&role) { role } else { first };
        stream.write_all(&mine(wants)).await.map_err(io_kind)?;
    }
    let theirs = theirs?;
    theirs.check(session.local, expected, &session.id)?;
    Ok((stream, theirs.role))
}

/// One end of a TCP connection.
///
/// Dropping a channel that has not been closed still sends what is queued, as long as the process and its
/// [`Runtime`] live, and then ends the connection without a goodbye; for the peer that is an error.
pub struct TcpChannel {
    endpoint: Arc<Endpoint<TcpWire>>,
    tasks: [JoinHandle<()>; 2],
    /// The tasks need it.
    _runtime: Runtime,
}

impl TcpChannel {
    fn start(runtime: &Runtime, stream: TcpStream, session: &Session, peer: Peer) -> Self {
        let (wire, frames) = TcpWire::new();
        let endpoint = Endpoint::new(session.local, peer, session.id.tag(), session.limits, wire);
        let endpoint = Arc::new(endpoint);
        endpoint.stats().sent_overhead(HELLO_BYTES as u64);
        endpoint.stats().received_overhead(HELLO_BYTES as u64);
        let tasks = tasks::start(&runtime.handle, stream, &endpoint, frames);
        Self { endpoint, tasks, _runtime: runtime.clone() }
    }
}

impl Channel for TcpChannel {
    fn local(&self) -> Peer {
        self.endpoint.local()
    }

    fn peer(&self) -> Peer {
        self.endpoint.peer()
    }

    fn send(&self, message: Message) -> Result<(), NetError> {
        self.endpoint.send(message)
    }

    fn send_credited(&self, message: Message) -> Result<(), NetError> {
        self.endpoint.send_credited(message)
    }

    fn recv(&self, address: Address, bytes: usize) -> Result<Message, NetError> {
        self.endpoint.recv(address, Expected::Exactly(bytes))
    }

    fn recv_bounded(&self, address: Address, limit: usize) -> Result<Message, NetError> {
        self.endpoint.recv(address, Expected::AtMost(limit))
    }

    fn abort(&self, reason: &str) {
        if self.endpoint.abort(reason) {
            // Who aborts often exits next, and then the reason would be lost.
            self.endpoint.wait_quiet(FAREWELL);
        }
    }

    fn abandon(&self, batch: u64, reason: &str) {
        self.endpoint.abandon(batch, reason);
    }

    fn close(&self) -> Result<(), NetError> {
        self.endpoint.close()
    }

    fn failure(&self) -> Option<NetError> {
        self.endpoint.failure()
    }

    fn stats(&self) -> &Arc<Stats> {
        self.endpoint.stats()
    }
}

impl Drop for TcpChannel {
    fn drop(&mut self) {
        if self.endpoint.failure().is_none() {
            self.endpoint.wire().hang_up();
            return;
        }
        // Another thread may be just about to queue the reason, so the queue stays open. The writer ends
        // after the reason, or with the reader.
        self.endpoint.wait_quiet(FAREWELL);
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl fmt::Debug for TcpChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TcpChannel({} to {})", self.local(), self.peer())
    }
}

/// Runs a future for at most `limit`.
async fn within<T>(
    limit: Duration,
    future: impl Future<Output = Result<T, NetErrorKind>>,
) -> Result<T, NetErrorKind> {
    timeout(limit, future).await.unwrap_or(Err(NetErrorKind::TimedOut { after: limit }))
}

fn loopback(address: SocketAddr) -> Result<(), NetError> {
    match address.ip().is_loopback() {
        true => Ok(()),
        false => Err(NetError::new(NetErrorKind::NotLoopback { address })),
    }
}

/// Names the peer in an error when it can only be one.
fn known(expected: &[Peer], kind: NetErrorKind) -> NetError {
    match expected {
        [peer] => NetError::new(kind).with_peer(*peer),
        _ => NetError::new(kind),
    }
}

fn io_kind(error: io::Error) -> NetErrorKind {
    NetErrorKind::from_io(&error)
}
