//! Procedural macros of Ditto.
