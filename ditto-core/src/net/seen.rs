//! The record of addresses that have been used.

use std::collections::BTreeMap;

use super::address::Address;
use super::error::{Flaw, NetErrorKind};

/// How many runs of consecutive addresses are kept.
const RUNS: usize = 1 << 20;

/// Which addresses have been used, in bounded memory.
///
/// The addresses of a step are kept as runs of consecutive message numbers. A step that numbers its
/// messages without gaps is one run however many messages it has and in whatever order they come. When
/// there are too many runs, the lowest batch is forgotten as a whole, and from then on that batch and all
/// below it are refused. So no address is ever accepted twice; what the bound costs is that a very old
/// batch can no longer get new messages.
///
/// Requiring increasing numbers within a step instead would need less memory, but several threads may work
/// on one step, and then their messages reach the link in any order.
pub(crate) struct Seen {
    /// From the first address of a run to the last message number of that run.
    runs: BTreeMap<(u64, u32, u32), u32>,
    /// The lowest batch still taken.
    oldest: u64,
    capacity: usize,
}

impl Seen {
    pub(crate) fn new() -> Self {
        Self::with_capacity(RUNS)
    }

    fn with_capacity(capacity: usize) -> Self {
        Self { runs: BTreeMap::new(), oldest: 0, capacity }
    }

    /// Whether the address has been used, or may have been.
    pub(crate) fn contains(&self, address: Address) -> bool {
        address.batch < self.oldest || self.run(address).is_some_and(|(_, last)| address.seq <= last)
    }

    /// Records that the address is used now; an error when it has been used before.
    pub(crate) fn insert(&mut self, address: Address) -> Result<(), NetErrorKind> {
        let Address { batch, step, seq } = address;
        if batch < self.oldest {
            return Err(NetErrorKind::Stale { oldest: self.oldest });
        }
        let before = self.run(address);
        if before.is_some_and(|(_, last)| seq <= last) {
            return Err(NetErrorKind::Duplicate);
        }
        // The run that begins right after this address joins on, and so does the one that ends before it.
        let next = seq.checked_add(1).and_then(|next| self.runs.remove(&(batch, step, next)));
        let last = next.unwrap_or(seq);
        let first = match before {
            Some((first, last)) if last + 1 == seq => first,
            _ => seq,
        };
        self.runs.insert((batch, step, first), last);
        self.shrink()
    }

    /// The run of the address's step that begins at or below the address.
    fn run(&self, address: Address) -> Option<(u32, u32)> {
        let Address { batch, step, seq } = address;
        let (key, last) = self.runs.range((batch, step, 0)..=(batch, step, seq)).next_back()?;
        Some((key.2, *last))
    }

    fn shrink(&mut self) -> Result<(), NetErrorKind> {
        while self.runs.len() > self.capacity {
            let (Some((lowest, _)), Some((highest, _))) =
                (self.runs.first_key_value(), self.runs.last_key_value())
            else {
                return Ok(());
            };
            if lowest.0 == highest.0 {
                return Err(NetErrorKind::Malformed(Flaw::Gaps));
            }
            self.oldest = lowest.0 + 1;
            self.runs = self.runs.split_off(&(self.oldest, 0, 0));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn any_address() -> impl Strategy<Value = Address> {
        let seq = prop_oneof![0u32..20, (u32::MAX - 4)..=u32::MAX];
        let batch = prop_oneof![0u64..3, Just(u64::MAX)];
        (batch, 0u32..3, seq).prop_map(|(batch, step, seq)| Address { batch, step, seq })
    }

    proptest! {
        #[test]
        fn agrees_with_a_plain_set(addresses in proptest::collection::vec(any_address(), 0..200)) {
            let (mut seen, mut plain) = (Seen::new(), BTreeSet::new());
            for address in addresses {
                prop_assert_eq!(seen.contains(address), plain.contains(&address));
                let expected = if plain.insert(address) { Ok(()) } else { Err(NetErrorKind::Duplicate) };
                prop_assert_eq!(seen.insert(address), expected);
                prop_assert!(seen.contains(address));
            }
        }

        /// However small the memory is, no address is taken twice.
        #[test]
        fn never_twice(addresses in proptest::collection::vec(any_address(), 0..200)) {
            let (mut seen, mut plain) = (Seen::with_capacity(4), BTreeSet::new());
            for address in addresses {
                if seen.insert(address).is_ok() {
                    prop_assert!(plain.insert(address));
                }
            }
        }

        #[test]
        fn a_step_without_gaps_is_one_run(order in Just((0u32..300).collect::<Vec<_>>()).prop_shuffle()) {
            let mut seen = Seen::new();
            for seq in order {
                seen.insert(Address::new(5, 6, seq)).unwrap();
            }
            prop_assert_eq!(seen.runs.len(), 1);
        }
    }

    #[test]
    fn the_lowest_batch_is_forgotten_and_refused() {
        let mut seen = Seen::with_capacity(3);
        for batch in 0..3 {
            seen.insert(Address::new(batch, 0, 0)).unwrap();
        }
        seen.insert(Address::new(0, 0, 1)).unwrap();
        seen.insert(Address::new(3, 0, 0)).unwrap();
        assert_eq!(seen.insert(Address::new(0, 7, 7)), Err(NetErrorKind::Stale { oldest: 1 }));
        assert!(seen.contains(Address::new(0, 0, 0)));
        assert_eq!(seen.insert(Address::new(1, 0, 0)), Err(NetErrorKind::Duplicate));
        seen.insert(Address::new(1, 0, 1)).unwrap();
    }

    #[test]
    fn one_batch_cannot_have_endless_gaps() {
        let mut seen = Seen::with_capacity(3);
        for seq in 0..3 {
            seen.insert(Address::new(0, 0, 2 * seq)).unwrap();
        }
        assert_eq!(seen.insert(Address::new(0, 0, 6)), Err(NetErrorKind::Malformed(Flaw::Gaps)));
    }
}
