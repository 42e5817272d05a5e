//! Readings of a model that hold no shares: the float reference, the simulation, the meter.

mod clear;
mod meter;
mod simulate;

pub use clear::Clear;
pub use meter::{Charge, Meter, Program};
pub use simulate::{Simulate, Simulated, SimulatedWeight};
