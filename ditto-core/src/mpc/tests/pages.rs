//! The pages of docs/protocols: every protocol has one, each is complete, and its costs are those that the meter reads.
//!
//! With `DITTO_UPDATE_DOCS=1` the tables of costs are written anew.

mod list;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use list::{PAGES, Row};

/// What a page has, in this order.
const HEADINGS: [&str; 9] = [
    "Functionality",
    "Inputs",
    "Protocol",
    "Correctness",
    "Error",
    "What each party sees",
    "Cost",
    "Source",
    "Code",
];

const BEGIN: &str = "<!-- cost: begin -->";
const END: &str = "<!-- cost: end -->";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn pages() -> PathBuf {
    root().join("docs/protocols")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files in a folder and below it that have an ending.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            all.extend(files(&path, ending));
        } else if path.extension().is_some_and(|e| e == ending) {
            all.push(path);
        }
    }
    all
}

/// The text under a heading, up to the next one.
fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let after = text.split_once(&format!("\n## {heading}\n")).map_or("", |(_, after)| after);
    after.split("\n## ").next().unwrap_or_default()
}

/// What is between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// A page's title, and its first paragraph in one line.
fn title(text: &str) -> (&str, String) {
    let mut lines = text.lines();
    let title = lines.next().and_then(|line| line.strip_prefix("# ")).expect("a title");
    let paragraph: Vec<&str> = lines.skip(1).take_while(|line| !line.is_empty()).collect();
    (title, paragraph.join(" "))
}

fn per_unit(amount: u64, row: &Row) -> String {
    let units = row.units as u64;
    if amount.is_multiple_of(units) {
        (amount / units).to_string()
    } else {
        format!("{:.1}", amount as f64 / units as f64)
    }
}

/// Bits online and offline per unit, and hops.
fn costs(row: &Row) -> String {
    let bits = |bytes: u64| per_unit(8 * bytes, row);
    format!("{} | {} | {}", bits(row.cost.online), bits(row.cost.offline), row.cost.hops)
}

/// A page's table.
fn table(rows: &[Row]) -> String {
    let computes = rows.iter().any(|row| row.cost.multiply_adds > 0);
    let mut table = String::from("| parameters | per | online bits | offline bits | hops |");
    table +=
        if computes { " multiply-adds |\n|---|---|---|---|---|---|\n" } else { "\n|---|---|---|---|---|\n" };
    for row in rows {
        table += &format!("| {} | {} | {} |", row.parameters, row.per, costs(row));
        if computes {
            table += &format!(" {} |", per_unit(row.cost.multiply_adds, row));
        }
        table.push('\n');
    }
    table
}

/// The text with another table of costs.
fn with_table(text: &str, table: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{table}{END}{after}"))
}

#[test]
fn pages_say_what_the_code_costs() {
    let update = std::env::var_os("DITTO_UPDATE_DOCS").is_some_and(|v| v == "1");
    let mut stale = Vec::new();
    let mut compare = |name: &str, table: &str| {
        let path = pages().join(name).with_extension("md");
        let text = read(&path);
        let fresh = with_table(&text, table).unwrap_or_else(|| panic!("{name} has no {BEGIN} .. {END}"));
        if fresh != text && update {
            fs::write(&path, fresh).expect("writes");
        } else if fresh != text {
            stale.push(name.to_owned());
        }
    };
    let mut all =
        String::from("| protocol | what it does | at | per | online bits | offline bits | hops |\n");
    all += "|---|---|---|---|---|---|---|\n";
    for page in PAGES {
        let rows = (page.rows)();
        compare(page.name, &table(&rows));
        let typical: Vec<&Row> = rows.iter().filter(|row| row.typical).collect();
        let [row] = typical[..] else { panic!("{} has {} typical rows", page.name, typical.len()) };
        let text = read(&pages().join(page.name).with_extension("md"));
        let (name, summary) = title(&text);
        all += &format!("| [{name}]({}.md) | {summary} ", page.name);
        all += &format!("| {} | {} | {} |\n", row.parameters, row.per, costs(row));
    }
    compare("README", &all);
    assert!(
        stale.is_empty(),
        "other costs than the code's in {stale:?}: DITTO_UPDATE_DOCS=1 writes them anew"
    );
}

#[test]
fn pages_are_complete() {
    for page in PAGES {
        let (name, text) = (page.name, read(&pages().join(page.name).with_extension("md")));
        let found: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        assert_eq!(found, HEADINGS, "the headings of {name}");
        assert!(!title(&text).1.is_empty(), "{name} does not say what it does under its title");
        for heading in HEADINGS {
            assert!(!section(&text, heading).trim().is_empty(), "{name} says nothing under {heading}");
        }
        let first_cells = |line: &str| line.strip_prefix("| ")?.split(" |").next().map(str::to_owned);
        let seen: BTreeSet<String> = section(&text, "What each party sees")
            .lines()
            .filter_map(first_cells)
            .flat_map(|cell| cell.split(", ").map(str::to_owned).collect::<Vec<_>>())
            .collect();
        for party in ["P0", "P1", "P2"] {
            assert!(seen.contains(party), "{name} does not say what {party} sees");
        }
        assert!(section(&text, "Cost").contains(BEGIN), "{name} has its table under another heading");
        for file in quoted(section(&text, "Code")).filter(|code| code.ends_with(".rs")) {
            let path = root().join("ditto-core/src").join(file);
            assert!(path.exists(), "{name} names the code {file}, which is not there");
        }
    }
    let listed = PAGES.iter().map(|page| page.name.to_owned()).chain(["README".to_owned()]).collect();
    let there: BTreeSet<String> = files(&pages(), "md")
        .iter()
        .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
        .collect();
    assert_eq!(there, listed, "the files of docs/protocols, and the list of pages");
}

#[test]
fn every_protocol_has_a_page() {
    let named: BTreeSet<String> = PAGES
        .iter()
        .flat_map(|page| {
            let text = read(&pages().join(page.name).with_extension("md"));
            quoted(section(&text, "Code")).map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    let source = root().join("ditto-core/src");
    let costs = |text: &str| text.lines().any(|l| l.starts_with("pub(crate) fn ") && l.contains("cost("));
    let composes = |text: &str| text.lines().any(|l| l == "/// # Cost");
    let mut protocols = 0;
    for path in files(&source.join("mpc"), "rs").into_iter().chain(files(&source.join("nn/compose"), "rs")) {
        let file = path.strip_prefix(&source).expect("a source").to_string_lossy().replace('\\', "/");
        let text = read(&path);
        if !file.starts_with("mpc/tests") && (costs(&text) || composes(&text)) {
            protocols += 1;
            assert!(named.contains(&file), "{file} has no page in docs/protocols that names it as its code");
        }
    }
    assert!(protocols >= 19, "{protocols} files with protocols found");
}

#[test]
fn links_lead_somewhere() {
    let mut documents = files(&root().join("docs"), "md");
    documents.extend(["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(|name| root().join(name)));
    let mut links = 0;
    for path in documents {
        let text = read(&path);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap_or_default();
            if file.is_empty() || file.contains("://") {
                continue;
            }
            links += 1;
            let target = path.parent().expect("a folder").join(file);
            assert!(target.exists(), "{} links to {link}, which is not there", path.display());
        }
    }
    assert!(links > 30, "{links} links found");
}
