//! Credit: how far a sender may run ahead of its receiver.

use std::time::Instant;

/// The sender's side: what is outstanding, and whose turn it is.
pub(crate) struct Window {
    size: u64,
    outstanding: u64,
    next_ticket: u64,
    serving: u64,
    /// When credit last came back or the turn last passed on.
    progress: Option<Instant>,
}

impl Window {
    pub(crate) fn new(size: u64) -> Self {
        Self { size, outstanding: 0, next_ticket: 0, serving: 0, progress: None }
    }

    /// Queues up. Without an order, many small messages could keep a large one waiting for ever.
    pub(crate) fn ticket(&mut self) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        ticket
    }

    /// Whether it is the turn of `ticket`.
    pub(crate) fn is_turn(&self, ticket: u64) -> bool {
        self.serving == ticket
    }

    /// Takes credit for a message, if there is enough or nothing is outstanding.
    pub(crate) fn take(&mut self, bytes: u64) -> bool {
        let after = self.outstanding.saturating_add(bytes);
        let fits = self.outstanding == 0 || after <= self.size;
        if fits {
            self.outstanding = after;
        }
        fits
    }

    /// Passes the turn on.
    pub(crate) fn next_turn(&mut self) {
        self.serving += 1;
        self.progress = Some(Instant::now());
    }

    /// Credit came back; false when it is more than was outstanding.
    #[must_use]
    pub(crate) fn give_back(&mut self, bytes: u64) -> bool {
        self.progress = Some(Instant::now());
        match self.outstanding.checked_sub(bytes) {
            Some(left) => {
                self.outstanding = left;
                true
            }
            None => false,
        }
    }

    /// The later of `start` and the last progress: waiting counts from here.
    pub(crate) fn waiting_since(&self, start: Instant) -> Instant {
        self.progress.map_or(start, |progress| progress.max(start))
    }
}

/// The receiver's side: credit that is to go back.
///
/// Credit is collected up to a quarter of the window, so that it costs few frames. A sender that has to wait
/// says so, and then credit goes back at once until its next message comes. So a sender never waits for
/// credit that only sits here, whatever the two windows are.
pub(crate) struct Returns {
    threshold: u64,
    collected: u64,
    wanted: bool,
}

impl Returns {
    pub(crate) fn new(window: u64) -> Self {
        Self { threshold: (window / 4).max(1), collected: 0, wanted: false }
    }

    /// A credited message has come, so its sender no longer waits.
    pub(crate) fn arrived(&mut self) {
        self.wanted = false;
    }

    /// The sender waits; gives the credit to return now.
    pub(crate) fn wanted(&mut self) -> Option<u64> {
        self.wanted = true;
        self.due()
    }

    /// A credited message has been received; gives the credit to return now.
    pub(crate) fn received(&mut self, bytes: u64) -> Option<u64> {
        self.collected = self.collected.saturating_add(bytes);
        self.due()
    }

    fn due(&mut self) -> Option<u64> {
        let due = self.collected > 0 && (self.wanted || self.collected >= self.threshold);
        due.then(|| std::mem::take(&mut self.collected))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_bounds_what_is_outstanding() {
        let mut window = Window::new(100);
        assert!(window.take(60));
        assert!(window.take(40));
        assert!(!window.take(1));
        assert!(window.take(0));
        assert!(window.give_back(60));
        assert!(window.take(60));
        assert!(window.give_back(100));
        assert!(window.take(1000), "a message larger than the window goes when nothing is outstanding");
        assert!(!window.take(1));
        assert!(!window.give_back(1001));
    }

    #[test]
    fn an_unlimited_window_never_waits() {
        let mut window = Window::new(u64::MAX);
        for _ in 0..4 {
            assert!(window.take(u64::MAX / 2));
        }
    }

    #[test]
    fn credit_is_collected_until_it_is_wanted() {
        let mut returns = Returns::new(100);
        assert_eq!(returns.received(10), None);
        assert_eq!(returns.received(14), None);
        assert_eq!(returns.received(1), Some(25));
        assert_eq!(returns.received(3), None);
        assert_eq!(returns.wanted(), Some(3));
        assert_eq!(returns.received(2), Some(2));
        returns.arrived();
        assert_eq!(returns.received(2), None);
        assert_eq!(returns.wanted(), Some(2));
        assert_eq!(returns.wanted(), None);
    }
}
