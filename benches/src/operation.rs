//! What each part of a model sends and takes: steps of a program, summed under names that readers of a paper know.

use std::collections::HashMap;

use ditto_core::cost::Cost;
use ditto_core::session::{Operation, Trace};

use crate::error::{BenchError, Result};
use crate::statistics::median;

/// The part of a model that a step belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// What goes to and from the client.
    Client,
    /// The linear layers that make queries, keys and values.
    QueryKeyValue,
    /// Scores, softmax, and the values that it weighs.
    Attention,
    /// The linear layer after attention.
    AttentionOutput,
    /// All normalisations.
    LayerNorm,
    /// The first linear layer of the feed-forward part, and its activation.
    FeedForwardIn,
    /// The second.
    FeedForwardOut,
    /// What is on top of the layers.
    Head,
}

impl Part {
    /// As tables call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Client => "input, output",
            Self::QueryKeyValue => "QKV",
            Self::Attention => "scores, softmax, values",
            Self::AttentionOutput => "attention output",
            Self::LayerNorm => "LayerNorm",
            Self::FeedForwardIn => "FF1, activation",
            Self::FeedForwardOut => "FF2",
            Self::Head => "head",
        }
    }
}

/// Where in a model a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The layer, from 0; none for what is before and after the layers.
    pub layer: Option<usize>,
    /// The part.
    pub part: Part,
}

impl Place {
    /// Of a step's path. Model code names steps by what is called, the value it is bound to before it (`inner.linear`), a
    /// number after it (`layer_norm.2`); passes over the weights of layers are `weights.0`, `weights.1`, ..
    pub fn of(step: &str) -> Self {
        let mut components = step.split('/');
        let layer = components
            .by_ref()
            .find_map(|component| component.strip_prefix("weights.").and_then(|number| number.parse().ok()));
        let rest: Vec<&str> = match layer {
            Some(_) => components.collect(),
            None => step.split('/').collect(),
        };
        let has = |word: &str| rest.iter().any(|component| component.split('.').any(|part| part == word));
        let any = |words: &[&str]| words.iter().any(|word| has(word));
        let part = if layer.is_none() && matches!(step, "input" | "output") {
            Part::Client
        } else if has("layer_norm") || has("layer_norm_product") {
            Part::LayerNorm
        } else if layer.is_none() {
            Part::Head
        } else if has("attention") {
            if any(&["text", "softmax_attend", "causal_attend"]) {
                Part::Attention
            } else if any(&["q", "k", "v", "qkv"]) {
                Part::QueryKeyValue
            } else {
                Part::AttentionOutput
            }
        } else if any(&["inner", "active", "activation"]) {
            Part::FeedForwardIn
        } else {
            Part::FeedForwardOut
        };
        Self { layer, part }
    }
}

/// What the steps of one place send, and the seconds they took in every repetition.
#[derive(Clone, Debug)]
pub struct Share {
    /// The place.
    pub place: Place,
    /// What they send. Hops are those by which they made the longest chain longer, so that they add up.
    pub cost: Cost,
    /// Seconds of each repetition in preprocessing and online, as one party has them.
    pub seconds: Vec<[f64; 2]>,
}

/// The places of a program in its order, with what they send.
pub fn shares(operations: &[Operation]) -> Vec<Share> {
    let (mut shares, mut at): (Vec<Share>, HashMap<Place, usize>) = (Vec::new(), HashMap::new());
    let mut deepest = 0;
    for operation in operations {
        let place = Place::of(&operation.step);
        let at = *at.entry(place).or_insert_with(|| {
            shares.push(Share { place, cost: Cost::default(), seconds: Vec::new() });
            shares.len() - 1
        });
        let hops = operation.depth.saturating_sub(deepest);
        deepest = deepest.max(operation.depth);
        shares[at].cost += Cost { hops, ..operation.cost };
    }
    shares
}

/// Adds a repetition's seconds to the places of a program with these steps. A moment belongs to the step entered last: what
/// runs side by side in two places is told apart only as well as that. The time of steps that send nothing and stand in no
/// place of their own goes to the place before them.
pub fn add_times(shares: &mut [Share], steps: &[String], trace: &Trace, party: usize) -> Result<()> {
    let places: HashMap<Place, usize> =
        shares.iter().enumerate().map(|(i, share)| (share.place, i)).collect();
    shares.iter_mut().for_each(|share| share.seconds.push([0.0; 2]));
    for (phase, times) in [&trace.preprocess, &trace.online].into_iter().enumerate() {
        if times.len() != steps.len() + 1 {
            return Err(BenchError::Trace { party, found: times.len(), wanted: steps.len() + 1 });
        }
        let mut order: Vec<usize> = (0..times.len()).collect();
        order.sort_by_key(|&i| times[i]);
        let mut place = None;
        for pair in order.windows(2) {
            let [this, next] = [pair[0], pair[1]];
            place = steps.get(this).and_then(|step| places.get(&Place::of(step)).copied()).or(place);
            let last = place.and_then(|place| shares[place].seconds.last_mut());
            if let Some(seconds) = last {
                seconds[phase] += f64::from(times[next] - times[this]) / 1e6;
            }
        }
    }
    Ok(())
}

/// Several places together.
#[derive(Clone, Debug)]
pub struct Row {
    /// What they have in common.
    pub name: String,
    /// How many layers they are of, or 1.
    pub times: usize,
    /// Sum of what they send.
    pub cost: Cost,
    /// Medians of their seconds over the repetitions, in preprocessing and online.
    pub seconds: [f64; 2],
}

/// Places that have the same part, in the order in which parts appear; with the layers that they are of.
pub fn by_part(shares: &[Share]) -> Vec<Row> {
    gather(shares, |i| shares[i].place.part.name().to_owned())
}

/// Places that are of the same layer; what is before the layers and after them apart.
pub fn by_layer(shares: &[Share]) -> Vec<Row> {
    let mut seen_layer = false;
    let mut outside = Vec::new();
    for share in shares {
        seen_layer |= share.place.layer.is_some();
        outside.push(seen_layer);
    }
    let name = |i: usize| match (shares[i].place.layer, outside[i]) {
        (Some(layer), _) => format!("layer {layer}"),
        (None, false) => "before".to_owned(),
        (None, true) => "after".to_owned(),
    };
    gather(shares, name)
}

fn gather(shares: &[Share], name: impl Fn(usize) -> String) -> Vec<Row> {
    let mut groups: Vec<(String, Vec<&Share>)> = Vec::new();
    for (i, share) in shares.iter().enumerate() {
        let name = name(i);
        match groups.iter_mut().find(|(other, _)| *other == name) {
            Some((_, group)) => group.push(share),
            None => groups.push((name, vec![share])),
        }
    }
    let row = |(name, group): (String, Vec<&Share>)| {
        let repetitions = group.iter().map(|share| share.seconds.len()).min().unwrap_or_default();
        let seconds = [0, 1].map(|phase| {
            let sums = (0..repetitions).map(|i| group.iter().map(|share| share.seconds[i][phase]).sum());
            median(&sums.collect::<Vec<f64>>())
        });
        let cost = group.iter().fold(Cost::default(), |sum, share| sum + share.cost);
        Row { name, times: group.len(), cost, seconds }
    };
    groups.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(step: &str, online: u64, depth: u32) -> Operation {
        let cost = Cost { online, hops: 1, ..Cost::default() };
        Operation { step: step.to_owned(), cost, work: Default::default(), depth }
    }

    #[test]
    fn steps_of_both_families_find_their_part() {
        for (step, layer, part) in [
            ("input", None, Part::Client),
            ("x.encoder/x.layer_norm/standardize/squares", None, Part::LayerNorm),
            ("x.encoder/weights.0/x.layer/attended.attention/q/linear", Some(0), Part::QueryKeyValue),
            (
                "x.encoder/weights.11/x.layer/attended.attention/text.0/context.softmax_attend/max",
                Some(11),
                Part::Attention,
            ),
            (
                "x.encoder/weights.2/x.layer/attended.attention/text.0/scores.matmul_t",
                Some(2),
                Part::Attention,
            ),
            ("weights.3/x.block/attended.attention/context.causal_attend/qk", Some(3), Part::Attention),
            ("x.encoder/weights.1/x.layer/attended.attention/linear", Some(1), Part::AttentionOutput),
            ("x.encoder/weights.1/x.layer/attended.layer_norm/gain", Some(1), Part::LayerNorm),
            ("weights.0/x.block/normal.layer_norm.2/rescale/open", Some(0), Part::LayerNorm),
            ("weights.0/x.block/feed_forward/inner.linear", Some(0), Part::FeedForwardIn),
            ("x.encoder/weights.1/x.layer/inner.activation/polynomial", Some(1), Part::FeedForwardIn),
            ("x.encoder/weights.1/x.layer/linear", Some(1), Part::FeedForwardOut),
            ("weights.0/x.block/feed_forward/rescale/lift", Some(0), Part::FeedForwardOut),
            ("hidden.layer_norm/gain", None, Part::LayerNorm),
            ("sentence_embedding/normalize/length", None, Part::Head),
            ("argmax/level.0/less", None, Part::Head),
        ] {
            assert_eq!(Place::of(step), Place { layer, part }, "{step}");
        }
    }

    #[test]
    fn hops_side_by_side_count_once() {
        let steps = [
            operation("weights.0/attention/q/open", 5, 1),
            operation("weights.0/attention/k/open", 5, 1),
            operation("weights.0/attention/v/open", 5, 2),
            operation("weights.0/attention/text.0/softmax_attend/open", 7, 4),
            operation("weights.0/linear", 1, 3),
        ];
        let shares = shares(&steps);
        let found: Vec<_> = shares.iter().map(|s| (s.place.part, s.cost.online, s.cost.hops)).collect();
        let wanted = [(Part::QueryKeyValue, 15, 2), (Part::Attention, 7, 2), (Part::FeedForwardOut, 1, 0)];
        assert_eq!(found, wanted);
    }

    #[test]
    fn a_moment_belongs_to_the_step_entered_last() {
        let steps: Vec<String> =
            ["weights.0", "weights.0/linear", "weights.1", "weights.1/linear"].map(str::to_owned).into();
        let operations = [operation("weights.0/linear", 1, 1), operation("weights.1/linear", 2, 2)];
        let mut shares = shares(&operations);
        // The second layer's steps were entered before the first layer's second.
        let trace = Trace { preprocess: vec![0, 10, 20, 30, 100], online: vec![5, 40, 20, 30, 50] };
        add_times(&mut shares, &steps, &trace, 0).unwrap();
        let close = |a: [f64; 2], b: [f64; 2]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12);
        assert!(close(shares[0].seconds[0], [20e-6, 25e-6]), "{:?}", shares[0].seconds);
        assert!(close(shares[1].seconds[0], [80e-6, 20e-6]), "{:?}", shares[1].seconds);
        let row = &by_part(&shares)[0];
        assert_eq!((row.name.as_str(), row.times, row.cost.online, row.cost.hops), ("FF2", 2, 3, 2));
        assert!(close(row.seconds, [100e-6, 45e-6]));
        assert_eq!(by_layer(&shares).len(), 2);
        let short = Trace { preprocess: vec![0; 4], online: vec![0; 4] };
        let error = add_times(&mut shares, &steps, &short, 1).unwrap_err().to_string();
        assert!(error.contains("party 1") && error.contains('5'), "{error}");
    }
}
