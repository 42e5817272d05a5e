//! The two tasks of a connection.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
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

/// The queue of the writer.
pub(super) struct TcpWire(Mutex<Option<UnboundedSender<Frame>>>);

impl TcpWire {
    pub(super) fn new() -> (Self, UnboundedReceiver<Frame>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(Mutex::new(Some(sender))), receiver)
    }

    /// Lets the writer end once it has written what is queued.
    pub(super) fn hang_up(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Wire for TcpWire {
    fn put(&self, frame: Frame) {
        if let Some(sender) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            // The writer is gone only when the channel has ended.
            let _ = sender.send(frame);
        }
    }
}

/// Starts the tasks of a connection.
pub(super) fn start(
    runtime: &Handle,
    stream: TcpStream,
    endpoint: &Arc<Endpoint<TcpWire>>,
    frames: UnboundedReceiver<Frame>,
) -> [JoinHandle<()>; 2] {
    let (reading, writing) = stream.into_split();
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
    mut half: OwnedWriteHalf,
    mut frames: UnboundedReceiver<Frame>,
    mut over: oneshot::Receiver<()>,
) {
    let result = tokio::select! {
        result = write_frames(&mut half, &mut frames) => result,
        // Without a reader the peer is gone, or it has given up and reads no more.
        _ = &mut over => {
            endpoint.written();
            return;
        }
    };
    if let Err(error) = result {
        let _ = timeout(SECOND_OPINION, over).await;
        endpoint.end(NetErrorKind::from_io(&error), None);
    }
    endpoint.written();
}

/// Writes frames until one of them is the last: an abort, or both halves of the goodbye, or the last one
/// queued when the channel is dropped.
async fn write_frames(half: &mut OwnedWriteHalf, frames: &mut UnboundedReceiver<Frame>) -> io::Result<()> {
    let mut gathered = Vec::with_capacity(GATHERED + SMALL);
    let (mut closed, mut confirmed, mut last) = (false, false, false);
    while let Some(first) = if last { None } else { frames.recv().await } {
        let mut next = Some(first);
        while let Some(frame) = next {
            gathered.extend_from_slice(&frame.header().encode());
            if frame.payload.len() <= SMALL {
                gathered.extend_from_slice(&frame.payload);
            }
            if frame.payload.len() > SMALL || gathered.len() >= GATHERED {
                half.write_all(&gathered).await?;
                gathered.clear();
            }
            if frame.payload.len() > SMALL {
                half.write_all(&frame.payload).await?;
            }
            closed |= frame.kind == FrameKind::Close;
            confirmed |= frame.kind == FrameKind::Closed;
            last = frame.kind == FrameKind::Abort || (closed && confirmed);
            next = if last { None } else { frames.try_recv().ok() };
        }
        half.write_all(&gathered).await?;
        gathered.clear();
    }
    half.shutdown().await
}
