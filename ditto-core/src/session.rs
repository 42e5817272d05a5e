//! A model, its owner, its client and three parties.
//!
//! [`SecureModel`] says what runs. The owner shares weights ([`share_weights`]), each server is a [`Party`] that loads
//! them and serves requests, the client ([`Client`]) shares an input and receives the output. An [`Input`] is a tensor of
//! the client's, or rows of tables that the client does not see and the servers do not see it choose.

mod client;
mod lane;
mod local;
mod lookup;
mod manifest;
mod model;
mod owner;
mod party;
mod plain;
mod received;
mod report;
mod request;
mod tally;

#[cfg(test)]
mod tests;

pub use client::Client;
pub use lane::{Lane, Turn};
pub use local::{LocalLinks, private, private_lookup};
pub use lookup::{Input, Table};
pub use manifest::{Entry, Manifest, Use};
pub use model::{
    Operation, SecureModel, input_bytes, next_operations, next_program, operations, program, request_cost,
};
pub use owner::share_weights;
pub use party::{Conversation, Links, Party, Served};
pub use plain::{ClearModel, Floats, SimulatedModel, clear, simulate};
pub use received::Received;
pub use report::{Report, Trace};
