//! Typed secret shares and three-party protocols for private Transformer inference.
//!
//! From the bottom up: [`ring`], [`fixed`] and [`tensor`] are arithmetic; [`kernel`] computes; [`net`] links parties;
//! [`mpc`] holds the protocols, [`primitives`] their interface; [`nn`] builds what models are made of; [`engine`] has
//! the readings of a model; [`observe`] what simulation sees of range conditions; [`session`] lets three parties run one.

pub mod cost;
pub mod ctx;
pub mod dpf;
pub mod engine;
pub mod error;
pub mod fixed;
pub mod kernel;
pub mod keys;
pub mod mpc;
pub mod net;
pub mod nn;
pub mod observe;
pub mod prg;
pub mod primitives;
pub mod public_math;
mod recent;
pub mod ring;
pub mod session;
pub mod settings;
pub mod tensor;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use ctx::Ctx;
pub use error::{Error, Result};
pub use fixed::{Fixed, Fx, Z};
pub use nn::{Engine, Product, Tensor};
pub use settings::Settings;

/// What the expansions of `ditto-macros` name. Not an interface.
#[doc(hidden)]
pub mod __macro {
    pub use crate::ctx::Ctx;
    pub use crate::error::Result;
    pub use crate::nn::{Engine, Minus, Plus, Rescale, Scope, Times, WeightSource, Weights};

    /// Protocol calls written by hand.
    pub fn by_hand<E, T>(ctx: &Ctx<'_, E>, calls: impl FnOnce(&Ctx<'_, E>) -> Result<T>) -> Result<T> {
        calls(ctx)
    }
}
