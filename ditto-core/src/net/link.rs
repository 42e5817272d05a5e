//! A model of network links.
//!
//! Parties that run on one machine have a link that is faster than any network. From what they counted, a
//! [`Link`] says how long a network of given bandwidth and round trip would have taken. That is a modelled
//! time: nothing was sent over such a network, and whoever reports it says so.

use std::time::Duration;

use crate::cost::{Cost, PhaseSeconds};

/// A link's bandwidth and round trip.
/// The default is no network at all.
#[derive(Clone, Copy, PartialEq, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Bandwidth in each direction, with `None` for a link that transfers in no time.
    pub bits_per_second: Option<f64>,
    /// The time to the peer and back.
    pub round_trip: Duration,
}

impl Link {
    /// No network at all.
    pub const NONE: Link = Link { bits_per_second: None, round_trip: Duration::ZERO };
    /// A local network: 5 Gbit/s and 0.4 ms.
    pub const LAN: Link = Link { bits_per_second: Some(5e9), round_trip: Duration::from_micros(400) };
    /// A wide network: 400 Mbit/s and 40 ms.
    pub const WAN: Link = Link { bits_per_second: Some(400e6), round_trip: Duration::from_millis(40) };

    /// The *modelled* time on the network in seconds.
    ///
    /// `hops` is the length of the longest chain of messages, each of which takes half a round trip.
    /// `bytes_each_way` is what goes in the two directions. A link carries both at once, so the larger of
    /// the two counts.
    ///
    /// The model is the plain sum of latency and transfer. It knows neither overlap of transfer with
    /// latency or computation, which would lower the time, nor slow start and loss, which would raise it.
    pub fn modelled_seconds(&self, hops: u64, bytes_each_way: [u64; 2]) -> f64 {
        let latency = hops as f64 * self.round_trip.as_secs_f64() / 2.0;
        let bytes = bytes_each_way[0].max(bytes_each_way[1]);
        let transfer = self.bits_per_second.map_or(0.0, |rate| bytes as f64 * 8.0 / rate);
        latency + transfer
    }

    /// The *modelled* time that a program of this cost spends on the network: the helper's two links carry the
    /// preprocessing, then the evaluators' link both ways the rest.
    pub fn seconds(&self, cost: &Cost) -> f64 {
        PhaseSeconds::on(self, cost).total()
    }

    /// Of several ways to compute one thing, the index of the fastest by [`Self::seconds`] and by what parties take beside
    /// the network: 350 us for a hop, 1 ns for a byte. The first of equals.
    pub fn fastest(&self, ways: &[Cost]) -> usize {
        let beside =
            |cost: &Cost| f64::from(cost.hops) * HOP_SECONDS + cost.total_bytes() as f64 * BYTE_SECONDS;
        let key = |cost: &Cost| (self.seconds(cost) + beside(cost), cost.total_bytes());
        let better = |a: &Cost, b: &Cost| {
            let ((s, m), (t, n)) = (key(a), key(b));
            s.total_cmp(&t).then(m.cmp(&n)).is_lt()
        };
        (1..ways.len()).fold(0, |best, i| if better(&ways[i], &ways[best]) { i } else { best })
    }
}

/// What a hop takes with all that goes with it when the parties are busy: waking, switching threads, small arrays. Seen on
/// two cores, in a small layer.
const HOP_SECONDS: f64 = 350e-6;
/// What a byte takes to be drawn, packed, sent and unpacked.
const BYTE_SECONDS: f64 = 1e-9;

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-12 * b.abs().max(1.0)
    }

    #[test]
    fn no_network_takes_no_time() {
        assert_eq!(Link::NONE.modelled_seconds(1000, [u64::MAX, 5]), 0.0);
    }

    #[test]
    fn latency_and_transfer_add_up() {
        // Ten hops are five round trips; 625 MB at 5 Gbit/s take one second.
        assert!(close(Link::LAN.modelled_seconds(10, [625_000_000, 1]), 1.002));
        // 50 MB at 400 Mbit/s take one second.
        assert!(close(Link::WAN.modelled_seconds(2, [3, 50_000_000]), 1.04));
        assert!(close(Link::WAN.modelled_seconds(0, [0, 0]), 0.0));
    }
}
