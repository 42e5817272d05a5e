//! What a network would add to a run on one machine: modelled, never measured.

use ditto_core::cost::{Cost, PhaseSeconds};
use ditto_core::net::Link;
use ditto_models::run::Network;
use serde::Serialize;

/// Seconds that a network adds to a request, modelled as [`Link`] says.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Modelled {
    /// Each pair of parties has a link of its own, which carries both directions at once.
    pub link_per_pair: PhaseSeconds,
    /// Whatever anybody sends goes through one pipe of that bandwidth.
    pub one_shared_pipe: PhaseSeconds,
}

impl Modelled {
    /// Of what a request sends.
    pub fn new(network: Network, cost: &Cost) -> Self {
        let link: Link = network.link();
        Self {
            link_per_pair: PhaseSeconds::on(&link, cost),
            one_shared_pipe: PhaseSeconds::on_shared(&link, cost),
        }
    }
}

/// The networks that are modelled.
pub const NETWORKS: [Network; 3] = [Network::None, Network::Lan, Network::Wan];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_pipe_carries_both_directions_one_after_the_other() {
        let cost = Cost { online: 100_000_000, offline: 50_000_000, hops: 10, multiply_adds: 0 };
        let wan = Modelled::new(Network::Wan, &cost);
        // 50 MB are a second at 400 Mbit/s, a hop is 20 ms.
        let close = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(close(wan.link_per_pair.online, 1.2) && close(wan.one_shared_pipe.online, 2.2), "{wan:?}");
        // The helper has a link to each evaluator.
        assert!(close(wan.link_per_pair.preprocess, 0.52) && close(wan.one_shared_pipe.preprocess, 1.02));
        assert_eq!(Modelled::new(Network::None, &cost).one_shared_pipe, PhaseSeconds::default());
    }
}
