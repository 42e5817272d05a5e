//! What the program does without arguments.

use std::path::Path;

use clap::Parser;
use ditto_models::run::RunError;

use super::Cli;

/// The files of a checkpoint that the program carries.
struct Carried {
    name: &'static str,
    files: [(&'static str, &'static [u8]); 4],
}

/// A carried checkpoint's files.
macro_rules! carried {
    ($name:literal) => {
        Carried {
            name: $name,
            files: [
                ("config.json", include_bytes!(concat!("../../checkpoints/", $name, "/config.json"))),
                ("tokenizer.json", include_bytes!(concat!("../../checkpoints/", $name, "/tokenizer.json"))),
                (
                    "model.safetensors",
                    include_bytes!(concat!("../../checkpoints/", $name, "/model.safetensors")),
                ),
                (
                    "quantization.ditto.json",
                    include_bytes!(concat!("../../checkpoints/", $name, "/quantization.ditto.json")),
                ),
            ],
        }
    };
}

/// A classifier of definitions, and a language model of them.
const CARRIED: [Carried; 2] = [carried!("kinds"), carried!("dictionary")];

/// What is asked of each, and what to call it.
const ASKED: [(&str, &str, &[&str]); 2] = [
    (
        "What kind of thing is defined here? A small BERT tells, privately.",
        "kinds",
        &[
            "run",
            "--batch",
            "3",
            "--text",
            "a small bird with bright feathers",
            "--text",
            "a sweet cake with fruit",
            "--text",
            "someone who repairs shoes",
        ],
    ),
    (
        "How does a definition go on? A small GPT-2 writes, privately.",
        "dictionary",
        &[
            "generate",
            "--tokens",
            "24",
            "--sample",
            "client",
            "--temperature",
            "0.7",
            "--top-k",
            "20",
            "--prompt",
            "lighthouse:",
        ],
    ),
];

/// Runs the small checkpoints that the program carries.
pub(super) fn demo() -> Result<(), RunError> {
    let file = |path: &Path| {
        let file = path.display().to_string();
        move |source| RunError::File { file, source }
    };
    let dir = tempfile::tempdir().map_err(file(&std::env::temp_dir()))?;
    for carried in &CARRIED {
        let dir = dir.path().join(carried.name);
        std::fs::create_dir(&dir).map_err(file(&dir))?;
        for (name, content) in carried.files {
            let path = dir.join(name);
            std::fs::write(&path, content).map_err(file(&path))?;
        }
    }
    for (question, name, arguments) in ASKED {
        println!("\n{question}\n");
        let model = dir.path().join(name);
        let model = model.to_string_lossy();
        let own = [["ditto"].as_slice(), arguments, &["--plan", "ditto", "--model", &model]].concat();
        Cli::parse_from(own).run()?;
    }
    println!("\nThese checkpoints come with the program. `ditto --help` tells what else it does.");
    Ok(())
}
