//! Typed secret shares and three-party protocols.

pub mod net;
pub mod ring;
