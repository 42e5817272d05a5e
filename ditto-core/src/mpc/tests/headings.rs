//! The contracts of protocols are written down: every function that talks says how it errs, what it costs, what it
//! opens and where it comes from.

/// The functions of a source file with the doc comments above them.
fn functions<'a>(source: &'a str, keyword: &'a str) -> impl Iterator<Item = (&'a str, String)> {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let at: Vec<usize> =
        lines.iter().enumerate().filter(|(_, l)| l.starts_with(keyword)).map(|(i, _)| i).collect();
    at.into_iter().map(move |i| {
        let above = lines[..i].iter().rev().take_while(|l| l.starts_with("///") || l.starts_with("#["));
        let docs: Vec<&str> = above.copied().collect();
        (lines[i], docs.join("\n"))
    })
}

const HEADINGS: [&str; 4] = ["/// # Error", "/// # Cost", "/// # Security", "/// # Source"];

fn missing(docs: &str) -> Vec<&'static str> {
    HEADINGS.into_iter().filter(|h| !docs.lines().any(|l| l == *h)).collect()
}

#[test]
fn primitives_say_what_they_do() {
    let source = include_str!("../../primitives.rs");
    let body = source.split("pub trait Primitives").nth(1).expect("the trait");
    let body = body.split("\n}").next().expect("its end");
    let mut talking = 0;
    for (line, docs) in functions(body, "fn ") {
        assert!(!docs.is_empty(), "`{line}` has no documentation");
        // What is local in one sentence, and claims, need no more.
        if docs.contains("Local") || line.starts_with("fn claim") {
            continue;
        }
        talking += 1;
        assert_eq!(missing(&docs), [""; 0], "headings missing at `{line}`");
    }
    assert!(talking >= 12, "{talking} functions found");
}

#[test]
fn compositions_say_what_they_do() {
    let files = [
        include_str!("../../nn/compose/argmax.rs"),
        include_str!("../../nn/compose/attention.rs"),
        include_str!("../../nn/compose/attention/clipped.rs"),
        include_str!("../../nn/compose/attention/exact.rs"),
        include_str!("../../nn/compose/attention/two_quad.rs"),
        include_str!("../../nn/compose/choice.rs"),
        include_str!("../../nn/compose/inverse.rs"),
        include_str!("../../nn/compose/maximum.rs"),
        include_str!("../../nn/compose/norm.rs"),
        include_str!("../../nn/compose/pointwise.rs"),
        include_str!("../../nn/compose/puma_gelu.rs"),
        include_str!("../../nn/compose/truncate.rs"),
    ];
    let mut found = 0;
    for source in files {
        // Costs, choices made by them, and sums with a public integer send nothing.
        let local = ["fn cost", "fn fastest", "fn add_scalar"];
        let talks = |line: &str, _: &str| !local.iter().any(|f| line.contains(f));
        let all = functions(source, "pub(crate) fn ").chain(functions(source, "pub(super) fn "));
        for (line, docs) in all.filter(|(line, docs)| talks(line, docs)) {
            found += 1;
            assert_eq!(missing(&docs), [""; 0], "headings missing at `{line}`");
        }
    }
    assert_eq!(found, 19, "a new function of the compositions: its file belongs into this test");
}
