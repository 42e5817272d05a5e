//! Measures a private BERT: `cargo run --release --bin bert -- --size base --seq 128 --plan ditto --reps 5`.

use std::process::ExitCode;

use ditto_benches::options::BertOptions;

fn main() -> ExitCode {
    ditto_benches::program::main::<BertOptions>()
}
