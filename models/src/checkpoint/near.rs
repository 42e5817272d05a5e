//! Names that are most like a missing one.

/// How many names an error lists.
const LISTED: usize = 3;

/// The names most like `wanted`: those that share most of their last parts (between dots) with it,
/// then most of their parts at all. Names that share no part are left out.
pub(super) fn near<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut scored: Vec<_> =
        names.map(|name| (score(wanted, name), name)).filter(|((_, common), _)| *common > 0).collect();
    scored.sort_by(|(a, a_name), (b, b_name)| b.cmp(a).then(a_name.cmp(b_name)));
    scored.into_iter().take(LISTED).map(|(_, name)| name.to_owned()).collect()
}

fn score(wanted: &str, name: &str) -> (usize, usize) {
    let suffix = wanted.rsplit('.').zip(name.rsplit('.')).take_while(|(a, b)| a == b).count();
    let common = wanted.split('.').filter(|part| name.split('.').any(|other| other == *part)).count();
    (suffix, common)
}

#[cfg(test)]
mod tests {
    use super::near;

    #[test]
    fn prefers_the_longest_common_suffix() {
        let names = [
            "bert.pooler.dense.weight",
            "bert.encoder.layer.1.output.dense.weight",
            "x.y",
            "classifier.bias",
        ];
        let found = near("model.pooler.dense.weight", names.into_iter());
        assert_eq!(found, ["bert.pooler.dense.weight", "bert.encoder.layer.1.output.dense.weight"]);
    }
}
