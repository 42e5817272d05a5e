use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Who chooses the next token, and how.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Choice {
    /// The servers find the most likely token, and the client receives nothing but its number.
    Argmax,
    /// The client draws it from what is opened to it, beginning with a seed.
    Client(Sampling, u64),
}

/// How a client draws tokens, as the transformers library does: temperature first, then the most likely `top_k`, then of
/// these the fewest that have probability `top_p` together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// What logits are divided by; 0 takes the most likely token.
    pub temperature: f32,
    /// How many tokens may be drawn at most; all if absent.
    pub top_k: Option<usize>,
    /// The probability that those drawn from have together, above 0 and at most 1.
    pub top_p: f32,
}

impl Sampling {
    /// The most likely token.
    pub const GREEDY: Self = Self { temperature: 0.0, top_k: None, top_p: 1.0 };
}

/// Draws tokens. Two samplers of one seed draw alike from logits that are nearly alike.
#[derive(Debug)]
pub struct Sampler {
    sampling: Sampling,
    random: StdRng,
}

impl Sampler {
    /// At the beginning of a text.
    pub fn new(sampling: Sampling, seed: u64) -> Self {
        Self { sampling, random: StdRng::seed_from_u64(seed) }
    }

    /// The next token; `None` if there are no logits.
    pub fn draw(&mut self, logits: &[f32]) -> Option<usize> {
        let Sampling { temperature, top_k, top_p } = self.sampling;
        let mut best: Vec<usize> = (0..logits.len()).collect();
        // Stable: of equals the first.
        best.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
        let &first = best.first()?;
        // One number for every token, whatever becomes of it.
        let at = f64::from(self.random.random::<f32>());
        if temperature <= 0.0 {
            return Some(first);
        }
        best.truncate(top_k.unwrap_or(usize::MAX).max(1));
        let top = logits[first];
        let weight = |&i: &usize| f64::from((logits[i] - top) / temperature).exp();
        let all: f64 = best.iter().map(weight).sum();
        let (mut kept, mut sum) = (0, 0.0);
        while kept < best.len() && (kept == 0 || sum < f64::from(top_p) * all) {
            sum += weight(&best[kept]);
            kept += 1;
        }
        best.truncate(kept);
        // In the order of their numbers, so that two nearly equal logits may swap without consequence.
        best.sort_unstable();
        let mut rest = at * sum;
        let drawn = best.iter().find(|i| {
            rest -= weight(i);
            rest < 0.0
        });
        drawn.or(best.last()).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGITS: [f32; 5] = [0.0, 3.0, 1.0, 3.0, -2.0];

    fn draws(sampling: Sampling, n: usize) -> [usize; 5] {
        let mut sampler = Sampler::new(sampling, 7);
        let mut counts = [0; 5];
        (0..n).for_each(|_| counts[sampler.draw(&LOGITS).unwrap()] += 1);
        counts
    }

    #[test]
    fn temperature_0_takes_the_first_of_the_largest() {
        assert_eq!(draws(Sampling::GREEDY, 10), [0, 10, 0, 0, 0]);
        assert_eq!(Sampler::new(Sampling::GREEDY, 1).draw(&[]), None);
        assert_eq!(Sampler::new(Sampling::GREEDY, 1).draw(&[f32::NAN, 1.0]), Some(0));
    }

    #[test]
    fn tokens_come_as_often_as_their_probability_says() {
        let n = 20_000;
        for temperature in [0.5, 1.0, 3.0] {
            let sampling = Sampling { temperature, top_k: None, top_p: 1.0 };
            let weights = LOGITS.map(|l| f64::from(l / temperature).exp());
            let sum: f64 = weights.iter().sum();
            for (count, weight) in draws(sampling, n).into_iter().zip(weights) {
                let expected = n as f64 * weight / sum;
                assert!(
                    (count as f64 - expected).abs() < 5.0 * expected.sqrt() + 1.0,
                    "{count} for {expected}"
                );
            }
        }
    }

    #[test]
    fn top_k_and_top_p_leave_out_the_rest() {
        let warm = Sampling { temperature: 10.0, top_k: Some(3), top_p: 1.0 };
        assert_eq!(draws(warm, 500).map(|n| n > 0), [false, true, true, true, false]);
        let nucleus = Sampling { temperature: 1.0, top_k: None, top_p: 0.9 };
        assert_eq!(draws(nucleus, 500).map(|n| n > 0), [false, true, false, true, false]);
        let one = Sampling { temperature: 1.0, top_k: Some(0), top_p: 1e-9 };
        assert_eq!(draws(one, 50), [0, 50, 0, 0, 0]);
    }

    #[test]
    fn one_seed_draws_alike() {
        let sampling = Sampling { temperature: 1.0, top_k: None, top_p: 1.0 };
        let (mut a, mut b) = (Sampler::new(sampling, 3), Sampler::new(sampling, 3));
        let nearly = LOGITS.map(|l| l + 1e-4);
        assert!((0..200).all(|_| a.draw(&LOGITS) == b.draw(&nearly)));
    }
}
