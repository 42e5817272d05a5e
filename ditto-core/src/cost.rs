//! What a protocol costs, as code: bytes and hops exactly, computing as counts that a machine's speed turns into time.

mod machine;
mod measure;
mod work;

pub use machine::{Machine, Observed, PhaseSeconds};
pub use work::{Kind, Load, Work};

use std::ops::{Add, AddAssign};

use crate::kernel::packed_len;

/// Communication of one step or of a whole program.
///
/// Bytes are payload, packed: a message of n elements of k bits has `ceil(n k / 8)` bytes. `online` counts what P0
/// and P1 send each other, both directions together, and what P2 sends them in the lookup of a private embedding;
/// `offline` what the helper P2 sends to the two otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Cost {
    /// Bytes between the evaluators, both directions.
    pub online: u64,
    /// Bytes from the helper.
    pub offline: u64,
    /// Longest chain of dependent messages between the evaluators.
    pub hops: u32,
    /// Multiply-adds of matrix and element products over the three parties.
    pub multiply_adds: u64,
}

impl Cost {
    /// Both evaluators send `n` elements of `k` bits: one hop.
    pub fn exchange(n: usize, k: u32) -> Self {
        Self { online: 2 * packed_len(n, k) as u64, hops: 1, ..Self::default() }
    }

    /// The helper sends `n` elements of `k` bits to an evaluator.
    pub fn deal(n: usize, k: u32) -> Self {
        Self { offline: packed_len(n, k) as u64, ..Self::default() }
    }

    /// One after the other.
    pub fn then(self, next: Self) -> Self {
        Self {
            online: self.online + next.online,
            offline: self.offline + next.offline,
            hops: self.hops + next.hops,
            multiply_adds: self.multiply_adds + next.multiply_adds,
        }
    }

    /// Side by side: hops are shared.
    pub fn beside(self, other: Self) -> Self {
        Self { hops: self.hops.max(other.hops), ..self.then(other) }
    }

    /// Bytes of all senders.
    pub fn total_bytes(&self) -> u64 {
        self.online + self.offline
    }
}

impl Add for Cost {
    type Output = Self;
    fn add(self, next: Self) -> Self {
        self.then(next)
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, next: Self) {
        *self = self.then(next);
    }
}
