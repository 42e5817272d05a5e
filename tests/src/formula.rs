//! Checkpoints whose numbers follow from their names.

use ditto_core::Result;
use ditto_core::session::Floats;

/// Numbers between -`scale` and `scale` that look random and are always the same for a name.
#[derive(Clone, Copy, Debug)]
pub struct Formula {
    /// The largest magnitude.
    pub scale: f32,
}

impl Formula {
    /// The first `n` numbers of `name`.
    pub fn numbers(&self, name: &str, n: usize) -> Vec<f32> {
        let mut state = name.bytes().fold(7u64, |s, b| s.wrapping_mul(31).wrapping_add(u64::from(b)));
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 40) as f32 / 8_388_608.0 - 1.0) * self.scale
        };
        (0..n).map(|_| next()).collect()
    }
}

impl Floats for Formula {
    fn floats(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        Ok(self.numbers(name, shape.iter().product()))
    }
}
