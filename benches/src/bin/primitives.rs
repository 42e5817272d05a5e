//! Measures single protocols and kernels: `cargo run --release --bin primitives`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ditto_benches::primitives::main()
}
