//! Computing, as counts: what each role of a step does, in units whose speed a machine has.

use std::ops::{Add, AddAssign, Index};

use crate::kernel::packed_len;
use crate::ring::Word;

/// A kind of computing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Bytes drawn from the AES generator.
    Draw,
    /// Bytes read or written by loops over whole arrays.
    Pass,
    /// Elements of at most 56 bits packed for the wire or unpacked.
    Pack,
    /// The same of wider elements.
    PackWide,
    /// Bytes hashed: all that is opened goes into the transcript.
    Hash,
    /// Elements that go through a table, a branch or bit operations one at a time.
    Step,
    /// Entries of one-hot vectors and tables that a lookup goes through.
    Scan,
    /// Multiply-adds of matrices in rings of up to 32 bits.
    Multiply32,
    /// The same in rings of 33 to 52 bits.
    Multiply52,
    /// The same in larger rings.
    Multiply64,
    /// Bytes of packed weights that a product reads.
    Stream,
    /// Bytes through a socket, counted at each end.
    Wire,
}

impl Kind {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 12] = [
        Self::Draw,
        Self::Pass,
        Self::Pack,
        Self::PackWide,
        Self::Hash,
        Self::Step,
        Self::Scan,
        Self::Multiply32,
        Self::Multiply52,
        Self::Multiply64,
        Self::Stream,
        Self::Wire,
    ];

    /// Whether several cores share it: large arrays and matrices go through rayon, the rest runs on one thread.
    pub fn is_parallel(self) -> bool {
        matches!(
            self,
            Self::Draw | Self::Pass | Self::Scan | Self::Multiply32 | Self::Multiply52 | Self::Multiply64
        )
    }

    /// Whether it is done inside products of matrices, whose kernels keep to the cache.
    pub fn is_kernel(self) -> bool {
        matches!(self, Self::Multiply32 | Self::Multiply52 | Self::Multiply64 | Self::Stream)
    }

    /// Multiply-adds of matrices modulo 2^k.
    pub(crate) fn multiply(k: u32) -> Self {
        match k {
            ..=32 => Self::Multiply32,
            33..=52 => Self::Multiply52,
            _ => Self::Multiply64,
        }
    }
}

/// Amounts of each [`Kind`] that one party computes in one phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load([u64; Kind::ALL.len()]);

impl Load {
    /// `amount` of one kind.
    pub fn of(kind: Kind, amount: u64) -> Self {
        let mut load = Self::default();
        load.0[kind as usize] = amount;
        load
    }

    /// A loop over two arrays of `n` words, giving a third.
    fn pass<W: Word>(n: usize) -> Self {
        Self::of(Kind::Pass, 3 * (n * size_of::<W>()) as u64)
    }

    /// `n` words drawn.
    fn draw<W: Word>(n: usize) -> Self {
        Self::of(Kind::Draw, (n * size_of::<W>()) as u64)
    }

    /// One end of a message of `n` elements of `k` bits, which are packed or unpacked.
    fn message<W: Word>(n: usize, k: u32) -> Self {
        let pack = match k {
            // A copy.
            k if k == W::BITS => Self::of(Kind::Pass, 2 * (n * size_of::<W>()) as u64),
            ..=56 => Self::of(Kind::Pack, n as u64),
            _ => Self::of(Kind::PackWide, n as u64),
        };
        pack + Self::of(Kind::Wire, packed_len(n, k) as u64)
    }
}

impl Load {
    fn times(self, times: usize) -> Self {
        Self(self.0.map(|amount| amount * times as u64))
    }
}

impl Index<Kind> for Load {
    type Output = u64;
    fn index(&self, kind: Kind) -> &u64 {
        &self.0[kind as usize]
    }
}

impl Add for Load {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] + other.0[i]))
    }
}

/// What each party computes in a step or a program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// P2, dealing.
    pub helper: Load,
    /// The evaluators, preparing: the one that draws its share of what is dealt in a step, and the one that receives it.
    /// They change places from step to step, so each has about half of both.
    pub prepare: [Load; 2],
    /// Each of P0 and P1, once the input is there.
    pub online: Load,
    /// P2, once the input is there: in the lookup of a private embedding only.
    pub assist: Load,
}

impl Work {
    /// `n` words that P0 and P2, and as many that P1 and P2, have in common.
    pub(crate) fn mask<W: Word>(n: usize) -> Self {
        let draw = Load::draw::<W>(n);
        Self { helper: draw + draw, prepare: [draw; 2], ..Self::default() }
    }

    /// The helper deals `n` numbers of `k` bits: one evaluator's share is drawn, the other's sent.
    pub(crate) fn deal<W: Word>(n: usize, k: u32) -> Self {
        let draw = Load::draw::<W>(n);
        let message = Load::message::<W>(n, k);
        // The helper's difference overwrites what it deals.
        let subtract = Load::of(Kind::Pass, (3 * n * size_of::<W>()) as u64);
        Self { helper: draw + subtract + message, prepare: [draw, message], ..Self::default() }
    }

    /// The evaluators open `n` numbers of `k` bits.
    pub(crate) fn exchange<W: Word>(n: usize, k: u32) -> Self {
        let message = Load::message::<W>(n, k);
        let bytes = (n * size_of::<W>()) as u64;
        let combine = Load::of(Kind::Pass, 3 * bytes) + Load::of(Kind::Hash, bytes);
        Self { online: message + message + combine, ..Self::default() }
    }

    /// The helper sends `n` numbers of `k` bits to each evaluator once the input is there.
    pub(crate) fn assist<W: Word>(n: usize, k: u32) -> Self {
        let message = Load::message::<W>(n, k);
        Self { online: message, assist: (message + Load::pass::<W>(n)).times(2), ..Self::default() }
    }

    /// The evaluators receive `n` numbers of `k` bits that a client has masked.
    pub(crate) fn receive<W: Word>(n: usize, k: u32) -> Self {
        Self::mask::<W>(n) + Self { online: Load::message::<W>(n, k), ..Self::default() }
    }

    /// The evaluators send a client their parts of `n` numbers of `k` bits.
    pub(crate) fn reveal<W: Word>(n: usize, k: u32) -> Self {
        Self { online: Load::message::<W>(n, k), ..Self::default() }
    }

    /// The helper combines two arrays of `n` words into a third, `times` times.
    #[must_use]
    pub(crate) fn helper_passes<W: Word>(self, times: usize, n: usize) -> Self {
        Self { helper: self.helper + Load::pass::<W>(n).times(times), ..self }
    }

    /// The same at both evaluators before the input is there.
    #[must_use]
    pub(crate) fn prepare_passes<W: Word>(self, times: usize, n: usize) -> Self {
        Self { prepare: self.prepare.map(|p| p + Load::pass::<W>(n).times(times)), ..self }
    }

    /// The same at both evaluators online.
    #[must_use]
    pub(crate) fn online_passes<W: Word>(self, times: usize, n: usize) -> Self {
        Self { online: self.online + Load::pass::<W>(n).times(times), ..self }
    }

    /// More at the helper.
    #[must_use]
    pub(crate) fn helper(self, kind: Kind, amount: usize) -> Self {
        Self { helper: self.helper + Load::of(kind, amount as u64), ..self }
    }

    /// More at both evaluators before the input is there.
    #[must_use]
    pub(crate) fn prepare(self, kind: Kind, amount: usize) -> Self {
        Self { prepare: self.prepare.map(|p| p + Load::of(kind, amount as u64)), ..self }
    }

    /// More at each of the three parties once the input is there.
    #[must_use]
    pub(crate) fn each_online(self, kind: Kind, amount: usize) -> Self {
        Self { assist: self.assist + Load::of(kind, amount as u64), ..self.online(kind, amount) }
    }

    /// More at both evaluators online.
    #[must_use]
    pub(crate) fn online(self, kind: Kind, amount: usize) -> Self {
        Self { online: self.online + Load::of(kind, amount as u64), ..self }
    }
}

impl Add for Work {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            helper: self.helper + other.helper,
            prepare: [self.prepare[0] + other.prepare[0], self.prepare[1] + other.prepare[1]],
            online: self.online + other.online,
            assist: self.assist + other.assist,
        }
    }
}

impl AddAssign for Work {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl std::iter::Sum for Work {
    fn sum<I: Iterator<Item = Self>>(works: I) -> Self {
        works.fold(Self::default(), Add::add)
    }
}
