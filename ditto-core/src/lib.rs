//! Typed secret shares and three-party protocols.

pub mod kernel;
pub mod ring;
