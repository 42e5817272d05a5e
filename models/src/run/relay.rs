//! A network between parties on one machine: a relay that forwards what they send late, and no faster than a link.
//!
//! It is for measuring where the kernel cannot shape traffic itself. Each direction of a connection has the link's bandwidth
//! to itself; the relay's copying takes time of the same cores.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Builder;
use std::time::{Duration, Instant};

use ditto_core::net::Link;

/// Bytes read at once.
const CHUNK: usize = 1 << 16;
/// Chunks under way in one direction, at most: 64 MiB, far above what a link holds.
const UNDER_WAY: usize = 1 << 10;

/// Listens on a loopback port and forwards its first connection to `to` over `link`. Returns the port's address. Its threads
/// end with the connection, or when nobody connects within `patience`.
pub(super) fn relay(to: SocketAddr, link: Link, patience: Duration) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let serve = move || -> std::io::Result<()> {
        let near = accept(&listener, patience)?;
        let far = TcpStream::connect(to)?;
        for stream in [&near, &far] {
            stream.set_nodelay(true)?;
        }
        forward(near.try_clone()?, far.try_clone()?, link)?;
        forward(far, near, link)
    };
    // What fails here ends the connection, which both its ends notice.
    Builder::new().name("relay".to_owned()).spawn(move || drop(serve()))?;
    Ok(address)
}

fn accept(listener: &TcpListener, patience: Duration) -> std::io::Result<TcpStream> {
    let deadline = Instant::now() + patience;
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                return Ok(stream);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(error) => return Err(error),
        }
    }
}

/// Forwards one direction on two threads, so that reading never waits for a chunk to be due.
fn forward(from: TcpStream, to: TcpStream, link: Link) -> std::io::Result<()> {
    let (sender, receiver) = sync_channel(UNDER_WAY);
    Builder::new().name("relay-read".to_owned()).spawn(move || read(from, &sender))?;
    Builder::new().name("relay-write".to_owned()).spawn(move || write(to, link, &receiver))?;
    Ok(())
}

/// Chunks with the moment at which they came.
type Chunk = (Instant, Vec<u8>);

fn read(mut from: TcpStream, sender: &SyncSender<Chunk>) {
    let mut buffer = vec![0; CHUNK];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        if sender.send((Instant::now(), buffer[..n].to_vec())).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Read);
}

fn write(mut to: TcpStream, link: Link, receiver: &Receiver<Chunk>) {
    // When the link has carried all that came before.
    let mut free = Instant::now();
    for (came, chunk) in receiver {
        let carry = link.bits_per_second.map_or(0.0, |rate| chunk.len() as f64 * 8.0 / rate);
        free = free.max(came) + Duration::from_secs_f64(carry);
        let due = free + link.round_trip / 2;
        if let Some(wait) = due.checked_duration_since(Instant::now()) {
            std::thread::sleep(wait);
        }
        if to.write_all(&chunk).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_through_arrives_whole_and_late() {
        let target = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let link = Link { bits_per_second: Some(80e6), round_trip: Duration::from_millis(40) };
        let address = relay(target.local_addr().unwrap(), link, Duration::from_secs(20)).unwrap();
        let mut near = TcpStream::connect(address).unwrap();
        let (mut far, _) = target.accept().unwrap();
        // 0.2 MB take 20 ms each way at 80 Mbit/s, and 20 ms to get there.
        let sent: Vec<u8> = (0..200_000u32).map(|i| (i % 251) as u8).collect();
        let begun = Instant::now();
        near.write_all(&sent).unwrap();
        let mut got = vec![0; sent.len()];
        far.read_exact(&mut got).unwrap();
        far.write_all(&got).unwrap();
        far.shutdown(Shutdown::Write).unwrap();
        let mut back = Vec::new();
        near.read_to_end(&mut back).unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(75), "{:?}", begun.elapsed());
        assert_eq!(back, sent);
    }

    #[test]
    fn a_relay_gives_up_and_is_not_a_way_to_nowhere() {
        let patience = Duration::from_millis(1);
        let target = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let address = relay(target, Link::NONE, patience).unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(address).is_ok() {
            assert!(Instant::now() < deadline, "it still listens");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
