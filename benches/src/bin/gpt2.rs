//! Measures a private GPT-2: `cargo run --release --bin gpt2 -- --size base --seq 32 --tokens 8 --plan ditto --reps 5`.

use std::process::ExitCode;

use ditto_benches::options::Gpt2Options;

fn main() -> ExitCode {
    ditto_benches::program::main::<Gpt2Options>()
}
