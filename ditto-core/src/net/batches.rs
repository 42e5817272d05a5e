//! What a channel keeps of each batch: how far its sender may run ahead, and whether it was given up.

use std::collections::BTreeMap;

use super::credit::{Returns, Window};
use super::error::NetError;

/// How many batches are kept.
const BATCHES: usize = 1 << 12;

/// A batch's credit in both directions, and its end.
pub(crate) struct Batch {
    pub(crate) window: Window,
    pub(crate) returns: Returns,
    /// Why it was abandoned, if it was.
    pub(crate) abandoned: Option<NetError>,
}

/// The batches of a channel, in bounded memory.
///
/// Each has a window of its own, so that one whose receiver does not read holds up no other. When there are too many, the
/// lowest is forgotten; by then it is long over.
pub(crate) struct Batches {
    kept: BTreeMap<u64, Batch>,
    window: u64,
}

impl Batches {
    pub(crate) fn new(window: u64) -> Self {
        Self { kept: BTreeMap::new(), window }
    }

    /// What is kept of a batch, from now on.
    pub(crate) fn of(&mut self, batch: u64) -> &mut Batch {
        if self.kept.len() >= BATCHES && !self.kept.contains_key(&batch) {
            self.kept.pop_first();
        }
        let window = self.window;
        self.kept.entry(batch).or_insert_with(|| Batch {
            window: Window::new(window),
            returns: Returns::new(window),
            abandoned: None,
        })
    }

    /// Why a batch was abandoned, if it was.
    pub(crate) fn abandoned(&self, batch: u64) -> Option<&NetError> {
        self.kept.get(&batch)?.abandoned.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::super::error::NetErrorKind;
    use super::*;

    #[test]
    fn the_lowest_batch_is_forgotten() {
        let mut batches = Batches::new(10);
        for batch in 1..=BATCHES as u64 + 1 {
            batches.of(batch).abandoned = Some(NetError::new(NetErrorKind::Duplicate));
        }
        assert!(batches.abandoned(1).is_none() && batches.abandoned(2).is_some());
        assert_eq!(batches.kept.len(), BATCHES);
    }

    #[test]
    fn windows_are_apart() {
        let mut batches = Batches::new(10);
        assert!(batches.of(1).window.take(10));
        assert!(!batches.of(1).window.take(1));
        assert!(batches.of(2).window.take(10));
    }
}
