//! What simulation sees of range conditions: how near a run came to each limit, and which weight led there.

use std::sync::Arc;

/// The claim that scores of a softmax row lie near each other; its step's range is the limit's exponent.
pub(crate) const SCORE_SPREAD: &str = "scores below the row's maximum";
/// The claim on the values of attention; its step's range is the limit's exponent.
pub(crate) const VALUES: &str = "values of attention";
/// The claim on the argument of an inverse; its step's range and low are the limits' exponents.
pub(crate) const INVERSE: &str = "inverse";

/// The claim on the argument of a pointwise function; its step's range is the limit's exponent.
pub(crate) const POINTWISE: &str = "pointwise function";

/// The condition of UpCast.
pub(crate) const UPCAST: &str = "upcast";
/// The condition on the argument of a polynomial.
pub(crate) const QUADRATIC: &str = "argument of a polynomial";

/// A weight that numbers came through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its name in the checkpoint.
    pub weight: Arc<str>,
    /// Rows of a matrix as the checkpoint stores it (its outputs), or the length of a vector.
    pub rows: usize,
    /// Whether the numbers are still the weight itself, its products or sums with them: their scale is the weight's.
    pub direct: bool,
}

/// What a run saw of one range condition: `low <= x < high`.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// The step.
    pub step: String,
    /// The operation that has the condition.
    pub op: &'static str,
    /// The least number allowed, in the operation's own unit.
    pub low: f64,
    /// The limit above.
    pub high: f64,
    /// The least number seen.
    pub least: f64,
    /// The greatest number seen.
    pub greatest: f64,
    /// Bits that numbers may still grow by (or shrink by, where `low` is positive); negative where the condition failed.
    pub headroom: f64,
    /// The weight that the worst number came through last.
    pub weight: Option<Arc<str>>,
    /// The row of that weight, where the worst number's place still tells.
    pub row: Option<usize>,
    /// Whether the numbers are that weight's own products, so that their scale moves with the weight's.
    pub direct: bool,
}

impl Observation {
    /// Whether the step's range in the settings sets this condition's limits.
    pub fn has_range(&self) -> bool {
        [SCORE_SPREAD, VALUES, INVERSE, POINTWISE].contains(&self.op)
    }

    /// Takes in what else was seen of the same condition.
    pub fn merge(&mut self, other: Self) {
        let (least, greatest) = (self.least.min(other.least), self.greatest.max(other.greatest));
        if other.headroom < self.headroom {
            *self = other;
        }
        (self.least, self.greatest) = (least, greatest);
    }

    /// Whether the numbers are arguments of a pointwise function, for which their ring must hold the step's range.
    pub fn is_argument(&self) -> bool {
        self.op == POINTWISE
    }

    /// Whether this is the opened sum that a truncation lifts or a polynomial takes: its limit moves with the scale of the factors.
    pub fn is_lift(&self) -> bool {
        [UPCAST, QUADRATIC].contains(&self.op) && self.direct
    }
}

/// Bits beyond a limit at most: so much has a number of the wrong sign.
const WORST: f64 = 64.0;

/// The smaller distance of `least` and `greatest` to their limits in bits, and whether it is the upper one.
pub(crate) fn headroom(least: f64, greatest: f64, low: f64, high: f64) -> (f64, bool) {
    let bits = |ratio: f64| ratio.log2().max(-WORST);
    let above = match greatest {
        _ if greatest <= 0.0 => f64::INFINITY,
        _ if greatest < high => bits(high / greatest),
        // The limit itself is not allowed.
        _ => bits(high / greatest).min(-1.0 / 1024.0),
    };
    let below = match low {
        _ if low > 0.0 => bits((least / low).max(0.0)),
        _ if least >= 0.0 => f64::INFINITY,
        _ => bits(low / least),
    };
    if above <= below { (above, true) } else { (below, false) }
}

#[cfg(test)]
mod tests {
    use super::headroom;

    #[test]
    fn headroom_counts_bits_to_the_nearer_limit() {
        assert_eq!(headroom(-4.0, 16.0, -32.0, 32.0), (1.0, true));
        assert_eq!(headroom(-16.0, 4.0, -32.0, 32.0), (1.0, false));
        assert_eq!(headroom(-16.0, 0.0, -64.0, 1.0), (2.0, false));
        // An argument of an inverse may be too small.
        assert_eq!(headroom(0.5, 4.0, 0.125, 64.0), (2.0, false));
        assert!(headroom(0.0, 4.0, 0.125, 64.0).0 < 0.0 && headroom(0.1, 4.0, 0.125, 64.0).0 < 0.0);
        assert!(headroom(0.0, 32.0, -32.0, 32.0).0 < 0.0 && headroom(0.0, 1.0, -9.0, 1.0).0 < 0.0);
        assert_eq!(headroom(0.0, 0.0, -8.0, 8.0).0, f64::INFINITY);
    }
}
