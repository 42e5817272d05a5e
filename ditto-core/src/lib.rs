//! Typed secret shares and three-party protocols.

pub mod ring;
