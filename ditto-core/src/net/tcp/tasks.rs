//! The two tasks of a connection.

use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::super::address::Address;
use super::super::endpoint::{Endpoint, Wire};
use super::super::error::{Ending, NetErrorKind};
use super::super::frame::{Frame, FrameKind, HEADER_BYTES, Header};

/// Payloads up to this size are gathered with others for one write; larger ones are written from where they
/// are.
const SMALL: usize = 16 << 10;

/// How much is gathered for one write.
const GATHERED: usize = 64 << 10;

/// How much is read at once; payloads at least as large are read straight to where they belong.
const READ: usize = 64 << 10;

/// How long a channel that has failed reads on. Closing a socket with unread bytes would reset the
/// connection, and the reason for the failure might not reach the peer.
const LINGER: Duration = Duration::from_secs(2);

/// How long a writer that cannot write waits for the reader, which may find a better reason in what the
/// peer sent last.
const SECOND_OPINION: Duration = Duration::from_millis(500);

/// The way out: straight to the socket while that takes what comes, and through the writer's queue otherwise.
pub(super) struct TcpWire(Mutex<Out>);

struct Out {
    /// `None` before the tasks start and once the writer has ended.
    socket: Option<Arc<OwnedWriteHalf>>,
    /// `None` once nothing more is to be sent.
    queue: Option<UnboundedSender<Queued>>,
    /// Frames that the writer has not written yet. Others must not overtake them.
    waiting: usize,
}

/// A frame, and how many of its bytes the socket has taken already.
pub(super) struct Queued(Frame, usize);

impl TcpWire {
    pub(super) fn new() -> (Self, UnboundedReceiver<Queued>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(Mutex::new(Out { socket: None, queue: Some(sender), waiting: 0 })), receiver)
    }

    fn lock(&self) -> MutexGuard<'_, Out> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the writer end once it has written what is queued.
    pub(super) fn hang_up(&self) {
        self.lock().queue.take();
    }

    /// The writer has written so many frames.
    fn written(&self, frames: usize) {
        self.lock().waiting -= frames;
    }
}

impl Wire for TcpWire {
    fn put(&self, frame: Frame) {
        let mut out = self.lock();
        let Some(queue) = &out.queue else { return };
        // Waking the writer takes longer than writing. It alone ends the connection, so control frames are left to it.
        let taken = match &out.socket {
            Some(socket) if out.waiting == 0 && frame.kind.is_message() => {
                let header = frame.header().encode();
                let parts = [IoSlice::new(&header), IoSlice::new(&frame.payload)];
                // If the socket is full, or broken, the writer finds that too.
                socket.try_write_vectored(&parts).unwrap_or(0)
            }
            _ => 0,
        };
        // The writer is gone only when the channel has ended.
        if taken < HEADER_BYTES + frame.payload.len() && queue.send(Queued(frame, taken)).is_ok() {
            out.waiting += 1;
        }
    }
}

/// Starts the tasks of a connection.
pub(super) fn start(
    runtime: &Handle,
    stream: TcpStream,
    endpoint: &Arc<Endpoint<TcpWire>>,
    frames: UnboundedReceiver<Queued>,
) -> [JoinHandle<()>; 2] {
    let (reading, writing) = stream.into_split();
    let writing = Arc::new(writing);
    endpoint.wire().lock().socket = Some(writing.clone());
    // Dropped by the reader when it ends, which wakes the writer.
    let (alive, over) = oneshot::channel::<()>();
    [
        runtime.spawn(read(endpoint.clone(), reading, alive)),
        runtime.spawn(write(endpoint.clone(), writing, frames, over)),
    ]
}

/// How reading came to an end.
pub(super) enum End {
    /// The connection ended after this many bytes of what was to be read.
    Eof(usize),
    Error(io::Error),
}

impl End {
    /// The error it is when `expected` bytes were to be read.
    pub(super) fn kind(self, expected: usize) -> NetErrorKind {
        match self {
            End::Eof(0) => NetErrorKind::Closed { ending: Ending::Lost },
            End::Eof(got) => NetErrorKind::Truncated { expected: expected as u64, got: got as u64 },
            End::Error(error) => NetErrorKind::from_io(&error),
        }
    }
}

/// Reads until `bytes` is full.
pub(super) async fn fill(reader: &mut (impl AsyncRead + Unpin), bytes: &mut [u8]) -> Result<(), End> {
    let mut got = 0;
    while got < bytes.len() {
        match reader.read(&mut bytes[got..]).await {
            Ok(0) => return Err(End::Eof(got)),
            Ok(more) => got += more,
            Err(error) => return Err(End::Error(error)),
        }
    }
    Ok(())
}

async fn read(endpoint: Arc<Endpoint<TcpWire>>, half: OwnedReadHalf, alive: oneshot::Sender<()>) {
    let mut reader = BufReader::with_capacity(READ, half);
    let (kind, address) = read_frames(&endpoint, &mut reader).await;
    endpoint.end(kind, address);
    drop(alive);
}

/// Takes in frames until the connection ends, and says how it ended.
async fn read_frames(
    endpoint: &Endpoint<TcpWire>,
    reader: &mut BufReader<OwnedReadHalf>,
) -> (NetErrorKind, Option<Address>) {
    let lost = NetErrorKind::Closed { ending: Ending::Lost };
    loop {
        let mut bytes = [0; HEADER_BYTES];
        if let Err(end) = fill(reader, &mut bytes).await {
            return (end.kind(HEADER_BYTES), None);
        }
        let header = match Header::decode(&bytes) {
            Ok(header) => header,
            Err(kind) => {
                endpoint.reject(kind);
                drain(reader).await;
                return (lost, None);
            }
        };
        if !endpoint.begin(&header) {
            drain(reader).await;
            return (lost, None);
        }
        let address = header.kind.is_message().then_some(header.address);
        let Ok(length) = usize::try_from(header.length) else {
            // The limits would have to be larger than memory can be.
            let kind = NetErrorKind::TooLarge { limit: usize::MAX as u64, got: header.length };
            return (kind, address);
        };
        let mut payload = vec![0; length];
        if let Err(end) = fill(reader, &mut payload).await {
            let kind = match end {
                End::Eof(got) => NetErrorKind::Truncated { expected: header.length, got: got as u64 },
                end => end.kind(length),
            };
            return (kind, address);
        }
        let Header { kind, session, address, depth, .. } = header;
        if !endpoint.complete(Frame { kind, session, address, depth, payload }) {
            return (lost, None);
        }
    }
}

async fn drain(reader: &mut BufReader<OwnedReadHalf>) {
    let _ = timeout(LINGER, tokio::io::copy_buf(reader, &mut tokio::io::sink())).await;
}

async fn write(
    endpoint: Arc<Endpoint<TcpWire>>,
    socket: Arc<OwnedWriteHalf>,
    mut frames: UnboundedReceiver<Queued>,
    mut over: oneshot::Receiver<()>,
) {
    let result = tokio::select! {
        result = write_frames(endpoint.wire(), &socket, &mut frames) => Some(result),
        // Without a reader the peer is gone, or it has given up and reads no more.
        _ = &mut over => None,
    };
    // Dropping the socket's last handle ends this direction of the connection.
    endpoint.wire().lock().socket = None;
    drop(socket);
    if let Some(Err(error)) = result {
        let _ = timeout(SECOND_OPINION, over).await;
        endpoint.end(NetErrorKind::from_io(&error), None);
    }
    endpoint.written();
}

/// Writes frames until one of them is the last: an abort, or both halves of the goodbye, or the last one
/// queued when the channel is dropped.
async fn write_frames(
    wire: &TcpWire,
    socket: &OwnedWriteHalf,
    frames: &mut UnboundedReceiver<Queued>,
) -> io::Result<()> {
    let mut gathered = Vec::with_capacity(GATHERED + SMALL);
    let (mut closed, mut confirmed, mut last) = (false, false, false);
    while let Some(first) = if last { None } else { frames.recv().await } {
        let (mut next, mut count) = (Some(first), 0);
        while let Some(Queued(frame, taken)) = next {
            let header = frame.header().encode();
            gathered.extend_from_slice(&header[taken.min(HEADER_BYTES)..]);
            let payload = &frame.payload[taken.saturating_sub(HEADER_BYTES)..];
            if payload.len() <= SMALL {
                gathered.extend_from_slice(payload);
            }
            if payload.len() > SMALL || gathered.len() >= GATHERED {
                write_all(socket, &gathered).await?;
                gathered.clear();
            }
            if payload.len() > SMALL {
                write_all(socket, payload).await?;
            }
            closed |= frame.kind == FrameKind::Close;
            confirmed |= frame.kind == FrameKind::Closed;
            last = frame.kind == FrameKind::Abort || (closed && confirmed);
            count += 1;
            next = if last { None } else { frames.try_recv().ok() };
        }
        write_all(socket, &gathered).await?;
        gathered.clear();
        wire.written(count);
    }
    Ok(())
}

/// Writes all of `bytes`, waiting for room as often as it takes.
async fn write_all(socket: &OwnedWriteHalf, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        socket.writable().await?;
        match socket.try_write(bytes) {
            Ok(taken) => bytes = &bytes[taken..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
