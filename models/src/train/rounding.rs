//! Fake quantization: numbers as they are served, with the gradients of floats.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::elementwise::map;

/// `x` in units of 2^-fraction, to the nearest; the gradient passes as if nothing was rounded (Bengio et al., 2013).
pub(super) fn round(x: &Tensor, fraction: i32) -> Result<Tensor> {
    if x.device().is_cpu() {
        return x.contiguous()?.apply_op1(Rounding { fraction });
    }
    let (unit, units) = (2f64.powi(-fraction), 2f64.powi(fraction));
    let exact = x.detach();
    let rounded = exact.affine(units, 0.0)?.round()?.affine(unit, 0.0)?;
    if !x.track_op() {
        return Ok(rounded);
    }
    x + (rounded - exact)?
}

/// One pass on a processor, where the library's operations would take five.
struct Rounding {
    fraction: i32,
}

impl CustomOp1 for Rounding {
    fn name(&self) -> &'static str {
        "round"
    }
    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (unit, units) = (2f32.powi(-self.fraction), 2f32.powi(self.fraction));
        map(storage, layout, |v| nearest(v * units) * unit)
    }
    fn bwd(&self, _: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(gradient.clone()))
    }
}

/// The nearest integer, of two the even one. Numbers of 2^22 and more stay: a float has no place for half of them to differ.
fn nearest(v: f32) -> f32 {
    // Added to a small number, it leaves no place for a fraction.
    const INTEGERS: f32 = 12_582_912.0;
    if v.abs() < 4_194_304.0 { (v + INTEGERS) - INTEGERS } else { v }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    #[test]
    fn integers_are_nearest() {
        let some = [0.0, 0.4, -0.4, 0.5, 1.5, -2.5, 7.49, -7.51, 4_194_303.5, -1e9, 1e-30];
        some.iter().for_each(|&v: &f32| assert_eq!(nearest(v), v.round_ties_even(), "{v}"));
        assert!(nearest(f32::NAN).is_nan() && nearest(f32::INFINITY).is_infinite());
    }

    #[test]
    fn rounded_numbers_pass_gradients() -> Result<()> {
        let x = Var::new(&[[0.3_f32, -1.26], [2.0, 0.124]], &Device::Cpu)?;
        let y = round(&x.t()?, 2)?;
        assert_eq!(y.to_vec2::<f32>()?, [[0.25, 2.0], [-1.25, 0.0]]);
        let gradients = y.sqr()?.sum_all()?.backward()?;
        let of_x = gradients.get(&x).map(|g| g.to_vec2::<f32>()).transpose()?;
        assert_eq!(of_x, Some(vec![vec![0.5, -2.5], vec![4.0, 0.0]]));
        Ok(())
    }
}
