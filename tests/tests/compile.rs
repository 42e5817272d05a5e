//! What does not compile, and what the compiler says about it.
//!
//! `TRYBUILD=overwrite cargo test -p ditto-tests --test compile` writes the messages anew.

#[test]
fn messages() {
    let cases = trybuild::TestCases::new();
    // With a case that passes, trybuild builds: assertions on formats are checked when code is generated.
    cases.pass("tests/ui/accepted.rs");
    cases.compile_fail("tests/ui/fail_*.rs");
}
