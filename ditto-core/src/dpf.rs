//! Distributed point functions: a unit vector in two short keys, of which one alone hides where the 1 is.
//!
//! [`generate`] makes two keys for a position. Each expands to a vector of ring elements; their sum is 1 at the position
//! and 0 elsewhere. So two servers that hold one matrix and a key each obtain additive shares of a row that neither
//! knows. A key grows with the logarithm of the number of positions.
//!
//! # Source
//! Boyle, Gilboa, Ishai, "Function Secret Sharing: Improvements and Extensions" (CCS 2016, ePrint 2018/707), figure 1
//! (keys), with early termination: a leaf block of 128 bits holds 128 / w numbers of w bits, and tree levels below it are
//! saved. The payload is 1 in Z_{2^w}; in rings of fewer bits it is reduced.
//!
//! # Security
//! A key alone is indistinguishable from one for any other position if the generator is pseudo-random. It is
//! G_i(s) = AES_{K_i}(s) xor s, Matyas-Meyer-Oseas compression with three public keys K_i (left child, right child,
//! leaf). Its security assumes that AES under these keys behaves like three independent random permutations (the ideal
//! cipher model, as usual for fixed-key AES: Guo, Katz, Wang, Yu, "Efficient and Secure Multiparty Computation from
//! Fixed-Key Block Ciphers", S&P 2020). Seeds have 127 bits: the lowest bit of a node is its control bit.
//!
//! Keys are not checked for consistency. A client that deviates can make a vector that is no unit vector; the servers
//! are as private as before.

mod domain;
mod key;
mod tree;

#[cfg(test)]
mod tests;

pub use domain::{Domain, MAX_POSITIONS};
pub use key::{Half, Key, evaluate_all, generate};
