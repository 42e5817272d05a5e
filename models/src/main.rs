//! The `ditto` program.
fn main() {}
