//! Fake quantization: numbers as they are served, with the gradients of floats.

use candle_core::{Result, Tensor};

/// `x` in units of 2^-fraction, to the nearest; the gradient passes as if nothing was rounded (Bengio et al., 2013).
pub(super) fn round(x: &Tensor, fraction: i32) -> Result<Tensor> {
    let (unit, units) = (2f64.powi(-fraction), 2f64.powi(fraction));
    let exact = x.detach();
    let rounded = exact.affine(units, 0.0)?.round()?.affine(unit, 0.0)?;
    if !x.track_op() {
        return Ok(rounded);
    }
    x + (rounded - exact)?
}

/// The largest magnitude.
pub(super) fn magnitude(x: &Tensor) -> Result<f64> {
    Ok(f64::from(x.detach().abs()?.flatten_all()?.max(0)?.to_scalar::<f32>()?))
}
