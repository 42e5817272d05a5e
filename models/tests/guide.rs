//! docs/guide.md: its code is the example's, and its commands say what it says they do.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap()
}

/// The blocks of a language in the guide.
fn blocks(language: &str) -> Vec<String> {
    let guide = read("docs/guide.md");
    let opened = format!("```{language}\n");
    guide.split(&opened).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn the_guide_shows_the_example() {
    let squeeze = |s: &str| s.split_whitespace().collect::<Vec<_>>().join(" ");
    let files = ["model", "main", "data", "train"];
    let source: String = files.map(|f| read(&format!("models/examples/digits/{f}.rs"))).concat();
    let source = squeeze(&source);
    let code = blocks("rust");
    assert!(code.len() > 5);
    for block in code {
        assert!(source.contains(&squeeze(&block)), "this is not in the example:\n{block}");
    }
}

/// Numbers differ between machines in their last places.
fn without_numbers(text: &str) -> Vec<String> {
    let words = text.split_whitespace();
    words.map(|w| w.replace(|c: char| c.is_ascii_digit() || c == '.' || c == '#', "")).collect()
}

/// The example's program, which `cargo test` builds beside `ditto`; built here where this test runs alone.
fn program() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_ditto")).with_file_name("examples").join("digits");
    if !path.exists() {
        let build = ["build", "-p", "ditto-models", "--example", "digits"];
        assert!(Command::new(env!("CARGO")).args(build).current_dir(root()).status().unwrap().success());
    }
    path
}

#[test]
fn the_guides_commands_do_what_it_says() {
    let dir = tempfile::tempdir().unwrap();
    let commands = blocks("console");
    assert!(commands.len() >= 5);
    for block in commands {
        let (command, said) = block.split_once('\n').unwrap();
        let args = command.strip_prefix("$ cargo run --release -p ditto-models --example digits -- ");
        let args = args.unwrap_or_else(|| panic!("not a command of the example: {command}"));
        let out =
            Command::new(program()).arg("--model").arg(dir.path()).args(args.split(' ')).output().unwrap();
        let text = [out.stdout, out.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        let text = text.replace(&dir.path().display().to_string(), "checkpoints/digits");
        assert_eq!(without_numbers(&text), without_numbers(said), "{command}\n{text}");
        assert_eq!(out.status.success(), !args.contains("--scale"), "{command}");
    }
}
