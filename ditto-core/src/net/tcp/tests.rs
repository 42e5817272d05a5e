//! What only sockets can get wrong.

#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::Shutdown;
use std::thread;

use super::super::error::{Ending, Flaw};
use super::super::frame::{Frame, FrameKind, HEADER_BYTES, Header};
use super::*;

const ID: SessionId = SessionId([7; 16]);

fn session(local: Peer, limits: Limits) -> Session {
    Session { local, id: ID, limits }
}

fn limits() -> Limits {
    Limits { time_limit: Duration::from_secs(10), ..Limits::default() }
}

fn listener() -> (Runtime, Listener) {
    let runtime = Runtime::new(1).unwrap();
    let listener = Listener::bind(&runtime, "127.0.0.1:0".parse().unwrap()).unwrap();
    (runtime, listener)
}

/// P0's channel to a P1 that is only a socket under the test's control.
fn with_raw_peer(limits: Limits) -> (TcpChannel, std::net::TcpStream) {
    let (_, listener) = listener();
    let address = listener.address();
    let raw = thread::spawn(move || {
        let mut raw = std::net::TcpStream::connect(address).unwrap();
        raw.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        raw.write_all(&Hello { role: Peer::P1, wants: Peer::P0, session: ID }.encode()).unwrap();
        let mut hello = [0; HELLO_BYTES];
        raw.read_exact(&mut hello).unwrap();
        let expected = Hello { role: Peer::P0, wants: Peer::P1, session: ID };
        assert_eq!(Hello::decode(&hello), Ok(expected));
        raw
    });
    let channel = listener.accept(&session(Peer::P0, limits), &[Peer::P1, Peer::P2]).unwrap();
    assert_eq!(channel.peer(), Peer::P1);
    (channel, raw.join().unwrap())
}

fn place() -> Address {
    Address::new(1, 2, 3)
}

fn data(payload: &[u8]) -> Vec<u8> {
    let message = Message::new(place(), 0, payload.to_vec());
    let frame = Frame::message(ID.tag(), FrameKind::Data, message);
    [&frame.header().encode()[..], payload].concat()
}

/// Reads one frame.
fn read_frame(raw: &mut std::net::TcpStream) -> (Header, Vec<u8>) {
    let mut bytes = [0; HEADER_BYTES];
    raw.read_exact(&mut bytes).unwrap();
    let header = Header::decode(&bytes).unwrap();
    let mut payload = vec![0; header.length as usize];
    raw.read_exact(&mut payload).unwrap();
    (header, payload)
}

/// What a waiter gets when the peer writes `bytes` and, perhaps, shuts its side down. The socket comes last
/// so that it is dropped first, for a channel that has failed waits for its peer to go.
fn outcome(bytes: &[u8], shutdown: bool) -> (NetError, TcpChannel, std::net::TcpStream) {
    let (channel, mut raw) = with_raw_peer(Limits { frame_bytes: 1000, ..limits() });
    let error = thread::scope(|scope| {
        let waiter = scope.spawn(|| channel.recv(place(), 5));
        thread::sleep(Duration::from_millis(10));
        raw.write_all(bytes).unwrap();
        if shutdown {
            raw.shutdown(Shutdown::Write).unwrap();
        }
        waiter.join().unwrap().unwrap_err()
    });
    assert_eq!(error.peer(), Some(Peer::P1));
    assert_eq!(error.address(), Some(place()));
    (error, channel, raw)
}

/// The same when the peer is to be told why.
fn rejected(bytes: &[u8]) -> NetErrorKind {
    let (error, _channel, mut raw) = outcome(bytes, false);
    let (header, reason) = read_frame(&mut raw);
    assert_eq!(header.kind, FrameKind::Abort);
    assert!(String::from_utf8(reason).unwrap().ends_with(&error.kind().to_string()));
    error.kind().clone()
}

#[test]
fn end_without_goodbye() {
    let (error, _channel, _raw) = outcome(&[], true);
    assert_eq!(error.kind(), &NetErrorKind::Closed { ending: Ending::Lost });
}

#[test]
fn truncated_header() {
    let (error, _channel, _raw) = outcome(&data(b"hello")[..17], true);
    assert_eq!(error.kind(), &NetErrorKind::Truncated { expected: HEADER_BYTES as u64, got: 17 });
}

#[test]
fn truncated_payload() {
    let (error, _channel, _raw) = outcome(&data(b"hello")[..HEADER_BYTES + 2], true);
    assert_eq!(error.kind(), &NetErrorKind::Truncated { expected: 5, got: 2 });
}

#[test]
fn bytes_in_small_pieces_are_one_frame() {
    let (channel, mut raw) = with_raw_peer(limits());
    for byte in data(b"hello") {
        raw.set_nodelay(true).unwrap();
        raw.write_all(&[byte]).unwrap();
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(channel.recv(place(), 5).unwrap().payload, b"hello");
}

/// The length is refused before memory is set aside: nothing has so much.
#[test]
fn oversize_length() {
    let mut bytes = data(b"hello");
    bytes[32..40].copy_from_slice(&u64::MAX.to_le_bytes());
    assert_eq!(rejected(&bytes), NetErrorKind::TooLarge { limit: 1000, got: u64::MAX });
    bytes[32..40].copy_from_slice(&1001u64.to_le_bytes());
    assert_eq!(rejected(&bytes), NetErrorKind::TooLarge { limit: 1000, got: 1001 });
}

#[test]
fn wrong_session_in_a_frame() {
    let mut bytes = data(b"hello");
    bytes[8] ^= 1;
    let kind = NetErrorKind::WrongSession { expected: ID.tag(), got: ID.tag() ^ 1 };
    assert_eq!(rejected(&bytes), kind);
}

#[test]
fn wrong_version_in_a_frame() {
    let mut bytes = data(b"hello");
    bytes[2] = 9;
    assert_eq!(
        rejected(&bytes),
        NetErrorKind::Version { expected: super::super::frame::VERSION.into(), got: 9 }
    );
}

#[test]
fn malformed_frames() {
    assert_eq!(rejected(&[0x41; 200]), NetErrorKind::Malformed(Flaw::Mark));
    let mut kind = data(b"hello");
    kind[3] = 99;
    assert_eq!(rejected(&kind), NetErrorKind::Malformed(Flaw::Kind(99)));
    // Credit that was never given out.
    let credit = Frame::control(ID.tag(), FrameKind::Credit, 1u64.to_le_bytes().to_vec());
    let bytes = [&credit.header().encode()[..], &credit.payload].concat();
    assert_eq!(rejected(&bytes), NetErrorKind::Malformed(Flaw::Credit));
}

#[test]
fn reset_is_a_lost_connection() {
    let (channel, raw) = with_raw_peer(limits());
    channel.send(Message::new(place(), 0, vec![0; 1 << 20])).unwrap();
    // Closing with unread bytes resets the connection.
    thread::sleep(Duration::from_millis(50));
    drop(raw);
    let error = channel.recv(place(), 1).unwrap_err();
    assert_eq!(error.kind(), &NetErrorKind::Closed { ending: Ending::Lost });
}

/// A peer that is alive but does not read holds up neither `send` nor, for long, `abort`.
#[test]
fn a_hung_peer_costs_no_more_than_the_limits() {
    let (channel, _raw) = with_raw_peer(Limits { time_limit: Duration::from_millis(200), ..limits() });
    let start = Instant::now();
    for seq in 0..8 {
        channel.send(Message::new(Address::new(1, 1, seq), 0, vec![0; 8 << 20])).unwrap();
    }
    let kind = NetErrorKind::TimedOut { after: Duration::from_millis(200) };
    assert_eq!(channel.recv(place(), 1).unwrap_err().kind(), &kind);
    drop(channel);
    assert!(start.elapsed() < Duration::from_secs(5));

    let (channel, _raw) = with_raw_peer(Limits { time_limit: Duration::from_millis(200), ..limits() });
    channel.send(Message::new(Address::new(1, 1, 0), 0, vec![0; 32 << 20])).unwrap();
    assert_eq!(channel.close().unwrap_err().kind(), &kind);
}

/// Who aborts may exit right after, so the reason has gone out when the call returns.
#[test]
fn abort_returns_when_the_reason_is_out() {
    let (channel, mut raw) = with_raw_peer(limits());
    channel.send(Message::new(place(), 0, vec![7; 100_000])).unwrap();
    channel.abort("no");
    raw.set_nonblocking(true).unwrap();
    assert_eq!(read_frame(&mut raw).1, [7; 100_000]);
    assert_eq!(read_frame(&mut raw).1, b"no");
    assert_eq!(raw.read(&mut [0]).unwrap(), 0);
}

/// The reason arrives although the aborting end has unread bytes and goes at once.
#[test]
fn the_reason_survives_an_immediate_exit() {
    for _ in 0..20 {
        let (_, listener) = listener();
        let address = listener.address();
        let aborting = thread::spawn(move || {
            let runtime = Runtime::new(1).unwrap();
            let channel = connect(&runtime, address, &session(Peer::P1, limits()), Peer::P0).unwrap();
            channel.send(Message::new(place(), 0, vec![0; 1 << 20])).unwrap();
            channel.abort("no");
        });
        let channel = listener.accept(&session(Peer::P0, limits()), &[Peer::P1]).unwrap();
        let _ = channel.send(Message::new(place(), 0, vec![0; 8 << 20]));
        let error = channel.recv(Address::new(9, 9, 9), 1).unwrap_err();
        assert_eq!(error.kind(), &NetErrorKind::Aborted { by: Peer::P1, reason: "no".into() });
        aborting.join().unwrap();
    }
}

// Opening a connection.

/// What both ends get when they open a connection with these greetings.
fn open(
    accepts: (Session, &[Peer]),
    connects: (Session, Peer),
) -> (Result<TcpChannel, NetError>, Result<TcpChannel, NetError>) {
    let (runtime, listener) = listener();
    let address = listener.address();
    let connecting = thread::spawn(move || connect(&runtime, address, &connects.0, connects.1));
    let accepted = listener.accept(&accepts.0, accepts.1);
    (accepted, connecting.join().unwrap())
}

fn kind(result: Result<TcpChannel, NetError>) -> NetErrorKind {
    result.err().unwrap().kind().clone()
}

#[test]
fn any_of_several_peers_may_come() {
    let (a, b) = open(
        (session(Peer::P0, limits()), &[Peer::P1, Peer::P2, Peer::Client]),
        (session(Peer::P2, limits()), Peer::P0),
    );
    assert_eq!(a.unwrap().peer(), Peer::P2);
    assert_eq!(b.unwrap().peer(), Peer::P0);
}

#[test]
fn an_unexpected_role_is_refused_at_both_ends() {
    let (a, b) =
        open((session(Peer::P0, limits()), &[Peer::P1]), (session(Peer::Client, limits()), Peer::P0));
    let (accepts, connects) = (kind(a), kind(b));
    let expected = vec![Peer::P1];
    assert_eq!(
        accepts,
        NetErrorKind::Handshake { local: Peer::P0, expected, claimed: Peer::Client, wants: Peer::P0 }
    );
    let expected = vec![Peer::P0];
    assert_eq!(
        connects,
        NetErrorKind::Handshake { local: Peer::Client, expected, claimed: Peer::P0, wants: Peer::P1 }
    );
}

#[test]
fn a_party_taken_for_another_is_refused() {
    let (a, b) = open((session(Peer::P0, limits()), &[Peer::P1]), (session(Peer::P1, limits()), Peer::P2));
    assert!(matches!(kind(a), NetErrorKind::Handshake { wants: Peer::P2, .. }));
    assert!(matches!(kind(b), NetErrorKind::Handshake { claimed: Peer::P0, .. }));
}

#[test]
fn another_session_is_refused_at_both_ends() {
    let other = SessionId([8; 16]);
    let stranger = Session { id: other, ..session(Peer::P1, limits()) };
    let (a, b) = open((session(Peer::P0, limits()), &[Peer::P1]), (stranger, Peer::P0));
    assert_eq!(kind(a), NetErrorKind::WrongSession { expected: ID.tag(), got: other.tag() });
    assert_eq!(kind(b), NetErrorKind::WrongSession { expected: other.tag(), got: ID.tag() });
}

#[test]
fn noise_instead_of_a_greeting() {
    let (_, listener) = listener();
    let address = listener.address();
    let raw = thread::spawn(move || {
        let mut raw = std::net::TcpStream::connect(address).unwrap();
        raw.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        raw
    });
    let got = kind(listener.accept(&session(Peer::P0, limits()), &[Peer::P1]));
    assert_eq!(got, NetErrorKind::Malformed(Flaw::Mark));
    raw.join().unwrap();
}

#[test]
fn a_cut_greeting() {
    let (_, listener) = listener();
    let mut raw = std::net::TcpStream::connect(listener.address()).unwrap();
    raw.write_all(&Hello { role: Peer::P1, wants: Peer::P0, session: ID }.encode()[..9]).unwrap();
    drop(raw);
    let got = kind(listener.accept(&session(Peer::P0, limits()), &[Peer::P1]));
    assert_eq!(got, NetErrorKind::Truncated { expected: HELLO_BYTES as u64, got: 9 });
}

#[test]
fn nobody_comes() {
    let limits = Limits { time_limit: Duration::from_millis(100), ..limits() };
    let (runtime, listener) = listener();
    let error = listener.accept(&session(Peer::P0, limits), &[Peer::P1]).err().unwrap();
    assert_eq!(error.kind(), &NetErrorKind::TimedOut { after: limits.time_limit });
    assert_eq!(error.peer(), Some(Peer::P1));
    // Somebody listens, but does not answer.
    let session = session(Peer::P1, limits);
    let error = connect(&runtime, listener.address(), &session, Peer::P0).err().unwrap();
    assert_eq!(error.kind(), &NetErrorKind::TimedOut { after: limits.time_limit });
    // Nobody listens.
    let address = listener.address();
    drop(listener);
    let error = connect(&runtime, address, &session, Peer::P0).err().unwrap();
    let refused = matches!(error.kind(), NetErrorKind::Io { kind: io::ErrorKind::ConnectionRefused, .. });
    assert!(refused || matches!(error.kind(), NetErrorKind::TimedOut { .. }), "{error}");
}

#[test]
fn connecting_waits_for_the_listener() {
    let (runtime, first) = listener();
    let address = first.address();
    drop(first);
    let connecting = {
        let runtime = runtime.clone();
        thread::spawn(move || connect(&runtime, address, &session(Peer::P1, limits()), Peer::P0))
    };
    thread::sleep(Duration::from_millis(100));
    let listener = Listener::bind(&runtime, address).unwrap();
    listener.accept(&session(Peer::P0, limits()), &[Peer::P1]).unwrap();
    connecting.join().unwrap().unwrap();
}

#[test]
fn only_loopback() {
    let runtime = Runtime::new(1).unwrap();
    for address in ["0.0.0.0:0", "192.0.2.1:80", "[::]:0", "[2001:db8::1]:80", "[::ffff:127.0.0.1]:0"] {
        let address: SocketAddr = address.parse().unwrap();
        let error = Listener::bind(&runtime, address).err().unwrap();
        assert_eq!(error.kind(), &NetErrorKind::NotLoopback { address });
        assert!(error.to_string().contains("no TLS"), "{error}");
        let error = connect(&runtime, address, &session(Peer::P0, limits()), Peer::P1).err().unwrap();
        assert_eq!(error.kind(), &NetErrorKind::NotLoopback { address });
    }
    assert!(Listener::bind(&runtime, "127.8.9.10:0".parse().unwrap()).is_ok());
}
