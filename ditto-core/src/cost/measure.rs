//! The base rates of this machine, from short loops over the code that the protocols run.

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use sha2::{Digest, Sha256};

use super::work::Kind;
use crate::error::{Error, Result};
use crate::kernel::{PackedB, matmul_packed, pack, unpack};
use crate::net::{Address, Channel, Limits, Listener, Message, Peer, Runtime, Session, SessionId, connect};
use crate::prg::{Prg, Seed};
use crate::ring::Word;

/// Words of an array that stays in the second-level cache, and below what is worth several threads.
const WORDS: usize = 1 << 14;

/// Seconds that one pass of `f` takes when nothing interrupts it: the least of several.
fn least(times: usize, mut f: impl FnMut()) -> f64 {
    let once = |_| {
        let started = Instant::now();
        f();
        started.elapsed().as_secs_f64()
    };
    (0..times).map(once).fold(f64::INFINITY, f64::min)
}

/// Words of an array that does not stay in it, as those of a run do not from one step to the next.
const MANY: usize = 1 << 18;
/// Bytes that no allocator keeps.
const FRESH: usize = 40 << 20;
/// Words that fit no cache, as the weights of a model.
const WEIGHTS: usize = 1 << 23;

fn words<W: Word>(prg: &Prg, n: usize, k: u32) -> Vec<W> {
    prg.words(0, 0, n, k)
}

/// Seconds per unit of a kind of computing, on one core. Kinds that are not listed are multiples of these.
pub(super) fn seconds(kind: Kind) -> f64 {
    let prg = Prg::new(&Seed::new([0; 16]));
    let per = |units: usize, seconds: f64| seconds / units as f64;
    match kind {
        Kind::Draw => per(WORDS * 4, least(50, || drop(black_box(words::<u32>(&prg, WORDS, 31))))),
        Kind::Pass => {
            let (a, b) = (words::<u64>(&prg, MANY, 47), words::<u64>(&prg, MANY, 47));
            let mut sums = vec![0u64; MANY];
            let pass = || {
                for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(&b)) {
                    *sum = a.wrapping_add(*b).low(48);
                }
                black_box(&sums);
            };
            per(MANY * 24, least(10, pass))
        }
        Kind::Pack => packing::<u32>(&prg, 21),
        Kind::PackWide => packing::<u64>(&prg, 57),
        Kind::Hash => {
            let bytes = words::<u8>(&prg, WORDS * 4, 8);
            per(bytes.len(), least(20, || _ = black_box(Sha256::digest(&bytes))))
        }
        Kind::Step => {
            let table = words::<u64>(&prg, 1 << 16, 40);
            let (at, a) = (words::<u32>(&prg, WORDS, 16), words::<u64>(&prg, WORDS, 40));
            let pass = || {
                let read = |(&i, &a): (&u32, &u64)| table[i as usize & 0xffff].wrapping_mul(a) >> 20;
                let out: Vec<u64> = at.iter().zip(&a).map(read).collect();
                drop(black_box(out));
            };
            per(WORDS, least(50, pass))
        }
        Kind::Multiply64 => product::<u64>(&prg, 64),
        Kind::Multiply52 => product::<u64>(&prg, 48),
        Kind::Multiply32 => product::<u32>(&prg, 32),
        Kind::Stream => {
            let weights = vec![1u64; WEIGHTS];
            per(8 * WEIGHTS, least(3, || _ = black_box(weights.iter().fold(0u64, |s, w| s ^ w))))
        }
        // A lookup reads its table as a pass does.
        Kind::Scan => 8.0 * seconds(Kind::Pass),
        Kind::Wire => 0.0,
    }
}

/// Seconds per byte of memory that the system hands out anew, page by page.
pub(super) fn fresh() -> f64 {
    least(3, || drop(black_box(vec![1u8; FRESH]))) / FRESH as f64
}

/// Seconds to pack or unpack an element.
fn packing<W: Word>(prg: &Prg, k: u32) -> f64 {
    let elements = words::<W>(prg, WORDS, k);
    let both = || {
        let packed = pack(&elements, k);
        drop(black_box(unpack::<W>(&packed, WORDS, k)));
    };
    least(30, both) / (2 * WORDS) as f64
}

/// Seconds of a multiply-add of matrices.
fn product<W: Word>(prg: &Prg, k: u32) -> f64 {
    let (m, inner, n) = (48, 192, 128);
    let b = PackedB::new(k, &words::<W>(prg, inner * n, k), inner, n);
    let a = words::<W>(prg, m * inner, k);
    let mut c = vec![W::zero(); m * n];
    least(30, || matmul_packed(&a, m, &b, black_box(&mut c))) / (m * inner * n) as f64
}

/// What two processes of this machine need to talk over loopback.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loopback {
    /// Seconds until a short message of each side has reached the other.
    pub(super) hop: f64,
    /// Seconds that an end works for a byte.
    pub(super) byte: f64,
}

const ROUNDS: u32 = 200;
const LARGE: (u32, usize) = (24, 1 << 19);

/// Measures with two ends in this process, each with a thread of its own for its sockets.
pub(super) fn loopback() -> Result<Loopback> {
    let session = |local| Session { local, id: SessionId([0; 16]), limits: Limits::default() };
    let here = Runtime::new(1)?;
    let listener = Listener::bind(&here, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let address = listener.address();
    std::thread::scope(|scope| {
        let other = scope.spawn(move || {
            let there = Runtime::new(1)?;
            let link = connect(&there, address, &session(Peer::P1), Peer::P0)?;
            talk(&link, false)?;
            Ok::<_, Error>(link.close()?)
        });
        let link = listener.accept(&session(Peer::P0), &[Peer::P1])?;
        let measured = talk(&link, true)?;
        link.close()?;
        other.join().map_err(|_| Error::Internal("a measurement panicked"))??;
        Ok(measured)
    })
}

/// Both ends in turn: rounds of short messages, some long ones from the first end only.
fn talk(link: &impl Channel, first: bool) -> Result<Loopback> {
    let send = |step, seq, n| link.send(Message::new(Address::new(0, step, seq), 0, vec![0; n]));
    let recv = |step, seq, n| link.recv(Address::new(0, step, seq), n).map(drop);
    let rounds = |step, count: u32| -> Result<f64> {
        let started = Instant::now();
        for seq in 0..count {
            send(step, seq, 64)?;
            recv(step, seq, 64)?;
        }
        Ok(started.elapsed().as_secs_f64() / f64::from(count))
    };
    // Scheduling varies: the quickest of several series.
    let mut hop = f64::INFINITY;
    for step in 0..4 {
        hop = hop.min(rounds(step, ROUNDS / 4)?);
    }
    let one_way = |step: u32, count: u32, n: usize| -> Result<f64> {
        let started = Instant::now();
        for seq in 0..count {
            if first {
                send(step, seq, n)?;
            } else {
                recv(step, seq, n)?;
            }
        }
        // The last message has arrived when its receiver says so.
        if first {
            recv(step, 0, 1)?;
        } else {
            send(step, 0, 1)?;
        }
        Ok(started.elapsed().as_secs_f64())
    };
    let (count, size) = LARGE;
    one_way(5, 2, size)?;
    let byte = one_way(6, count, size)? / (f64::from(count) * size as f64);
    Ok(Loopback { hop, byte })
}
