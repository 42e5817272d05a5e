//! The three-party protocols.
//!
//! A value x in Z_{2^k} is *masked replicated shared*: `x = m - l0 - l1 mod 2^k`. The evaluators P0 and P1 hold
//! (m, l0) and (m, l1), the helper P2 holds (l0, l1). Any two parties reconstruct, one learns nothing. Masks come
//! from generators that P2 shares with each evaluator, so they cost no bytes.
//!
//! Each protocol is a file with four functions: `cost`, what it sends; `work`, what it computes; `offline`, all that
//! depends on masks only and runs at all three parties before the input is there; `online`, what the evaluators do with
//! the result.
//! This is the only place that sees the inside of shares. In `embedding` alone P2 takes part online.

mod dealer;
mod local;
mod online;
mod role;
mod share;
mod store;

pub(crate) mod b2a;
pub(crate) mod bilinear;
pub(crate) mod embedding;
pub(crate) mod exp;
pub(crate) mod linear;
pub(crate) mod lookup;
pub(crate) mod msb;
pub(crate) mod newton;
pub(crate) mod open_bits;
pub(crate) mod quadratic;
pub(crate) mod remask;
pub(crate) mod rest;
pub(crate) mod segments;
pub(crate) mod select;
pub(crate) mod series;
pub(crate) mod upcast;

pub use bilinear::Bilinear;
pub use dealer::{Preprocess, Roles};
pub use embedding::Table;
pub use exp::ExpSpec;
pub use lookup::{Lookup, MAX_INDEX_BITS};
pub use msb::Signs;
pub use online::Evaluator;
pub use role::Role;
pub use segments::Segments;
pub use series::{SeriesSpec, Wave};
pub use share::{Additive, Dealt, Mask, Masked, OpenedBits, OpenedMask, Share, Weight, Xor};
pub use store::{Store, Stored};

#[cfg(test)]
mod tests;
