//! How much went over a channel.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Messages and the bytes of their payloads.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct StepStats {
    /// How many messages.
    pub messages: u64,
    /// How many bytes their payloads have in all.
    pub bytes: u64,
}

impl StepStats {
    fn add(&mut self, other: StepStats) {
        self.messages += other.messages;
        self.bytes += other.bytes;
    }

    fn less(self, earlier: StepStats) -> StepStats {
        StepStats {
            messages: self.messages.saturating_sub(earlier.messages),
            bytes: self.bytes.saturating_sub(earlier.bytes),
        }
    }
}

/// What went in one direction.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Traffic {
    /// By step, over all batches.
    pub steps: BTreeMap<u32, StepStats>,
    /// Over all steps.
    pub total: StepStats,
    /// Bytes that are no payload of a message: headers, control frames, and the greeting of a connection.
    pub overhead_bytes: u64,
}

impl Traffic {
    fn since(&self, earlier: &Traffic) -> Traffic {
        let steps = self.steps.iter().filter_map(|(&step, &now)| {
            let less = now.less(earlier.steps.get(&step).copied().unwrap_or_default());
            (less != StepStats::default()).then_some((step, less))
        });
        Traffic {
            steps: steps.collect(),
            total: self.total.less(earlier.total),
            overhead_bytes: self.overhead_bytes.saturating_sub(earlier.overhead_bytes),
        }
    }
}

/// The counters of a channel at one moment.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct StatsSnapshot {
    /// What was sent. A message counts when it is queued for sending.
    pub sent: Traffic,
    /// What came. A message counts when it arrives, not when it is received.
    pub received: Traffic,
}

impl StatsSnapshot {
    /// What was added since an earlier snapshot of the same channel.
    #[must_use]
    pub fn since(&self, earlier: &StatsSnapshot) -> StatsSnapshot {
        StatsSnapshot {
            sent: self.sent.since(&earlier.sent),
            received: self.received.since(&earlier.received),
        }
    }
}

/// The counters of one end of a channel.
#[derive(Default, Debug)]
pub struct Stats(Mutex<StatsSnapshot>);

impl Stats {
    /// The counters now.
    pub fn snapshot(&self) -> StatsSnapshot {
        self.lock().clone()
    }

    pub(crate) fn sent(&self, step: u32, bytes: u64) {
        count(&mut self.lock().sent, step, bytes);
    }

    pub(crate) fn received(&self, step: u32, bytes: u64) {
        count(&mut self.lock().received, step, bytes);
    }

    pub(crate) fn sent_overhead(&self, bytes: u64) {
        self.lock().sent.overhead_bytes += bytes;
    }

    pub(crate) fn received_overhead(&self, bytes: u64) {
        self.lock().received.overhead_bytes += bytes;
    }

    fn lock(&self) -> MutexGuard<'_, StatsSnapshot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count(traffic: &mut Traffic, step: u32, bytes: u64) {
    let one = StepStats { messages: 1, bytes };
    traffic.steps.entry(step).or_default().add(one);
    traffic.total.add(one);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_and_steps_are_apart() {
        let stats = Stats::default();
        stats.sent(3, 10);
        stats.sent(3, 5);
        stats.sent(4, 0);
        stats.received(3, 7);
        stats.sent_overhead(40);
        let all = stats.snapshot();
        assert_eq!(all.sent.steps[&3], StepStats { messages: 2, bytes: 15 });
        assert_eq!(all.sent.steps[&4], StepStats { messages: 1, bytes: 0 });
        assert_eq!(all.sent.total, StepStats { messages: 3, bytes: 15 });
        assert_eq!(all.sent.overhead_bytes, 40);
        assert_eq!(all.received.total, StepStats { messages: 1, bytes: 7 });
        assert_eq!(all.received.overhead_bytes, 0);
    }

    #[test]
    fn a_difference_has_only_what_changed() {
        let stats = Stats::default();
        stats.sent(1, 10);
        let before = stats.snapshot();
        stats.sent(2, 6);
        let less = stats.snapshot().since(&before);
        assert_eq!(less.sent.steps, BTreeMap::from([(2, StepStats { messages: 1, bytes: 6 })]));
        assert_eq!(less.sent.total.bytes, 6);
        assert_eq!(stats.snapshot().since(&stats.snapshot()), StatsSnapshot::default());
    }
}
