//! Shared fixtures of the integration tests.

pub mod formula;
pub mod weights;
