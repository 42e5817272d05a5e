//! Functions of single numbers on a processor: one pass over a tensor with all cores, where the library's operations would
//! take several, most of them with one.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, InplaceOp2, InplaceOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

/// Numbers that a thread takes at a time.
const CHUNK: usize = 1 << 14;

/// The numbers of a contiguous tensor.
fn numbers<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let Some((start, end)) = layout.contiguous_offsets() else {
        candle_core::bail!("numbers are not contiguous")
    };
    Ok(&storage.as_slice::<f32>()?[start..end])
}

fn numbers_mut<'a>(storage: &'a mut CpuStorage, layout: &Layout) -> Result<&'a mut [f32]> {
    let (CpuStorage::F32(numbers), Some((start, end))) = (storage, layout.contiguous_offsets()) else {
        candle_core::bail!("numbers are not contiguous, or no f32")
    };
    Ok(&mut numbers[start..end])
}

/// `f` of every number of an operation's argument.
pub(super) fn map(
    storage: &CpuStorage,
    layout: &Layout,
    f: impl Fn(f32) -> f32 + Sync,
) -> Result<(CpuStorage, Shape)> {
    let from = numbers(storage, layout)?;
    let mut to = vec![0.0; from.len()];
    let chunks = to.par_chunks_mut(CHUNK).zip(from.par_chunks(CHUNK));
    chunks.for_each(|(to, from)| to.iter_mut().zip(from).for_each(|(y, &x)| *y = f(x)));
    Ok((CpuStorage::F32(to), layout.shape().clone()))
}

/// A function with its slope, which gradients are multiplied by.
#[derive(Clone, Copy)]
pub(super) struct Curve {
    pub(super) name: &'static str,
    pub(super) value: fn(f32) -> f32,
    pub(super) slope: fn(f32) -> f32,
}

impl Curve {
    /// The function of every number.
    pub(super) fn of(self, x: &Tensor) -> Result<Tensor> {
        x.contiguous()?.apply_op1(self)
    }
}

impl CustomOp1 for Curve {
    fn name(&self) -> &'static str {
        self.name
    }
    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        map(storage, layout, self.value)
    }
    fn bwd(&self, x: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        x.detach().apply_op2_no_bwd(&gradient.contiguous()?, self).map(Some)
    }
}

/// Its slope times a gradient.
impl CustomOp2 for Curve {
    fn name(&self) -> &'static str {
        self.name
    }
    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        gradient: &CpuStorage,
        layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, gradient) = (numbers(x, x_layout)?, numbers(gradient, layout)?);
        let mut to = vec![0.0; x.len()];
        let chunks = to.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).zip(gradient.par_chunks(CHUNK));
        chunks.for_each(|((to, x), gradient)| {
            to.iter_mut().zip(x).zip(gradient).for_each(|((y, &x), &g)| *y = (self.slope)(x) * g);
        });
        Ok((CpuStorage::F32(to), layout.shape().clone()))
    }
}

/// Changes a tensor's numbers in place: each becomes `f` of itself and that of `x`.
pub(super) fn update(tensor: &Tensor, x: &Tensor, f: impl Fn(f32, f32) -> f32 + Sync) -> Result<()> {
    tensor.inplace_op2(&x.contiguous()?, &Update(f))
}

/// Changes a tensor's numbers in place: each becomes `f` of itself and those of `x` and `y`.
pub(super) fn update_by_two(
    tensor: &Tensor,
    x: &Tensor,
    y: &Tensor,
    f: impl Fn(f32, f32, f32) -> f32 + Sync,
) -> Result<()> {
    tensor.inplace_op3(&x.contiguous()?, &y.contiguous()?, &Update(f))
}

struct Update<F>(F);

impl<F: Fn(f32, f32) -> f32 + Sync> InplaceOp2 for Update<F> {
    fn name(&self) -> &'static str {
        "update"
    }
    fn cpu_fwd(&self, to: &mut CpuStorage, layout: &Layout, x: &CpuStorage, x_layout: &Layout) -> Result<()> {
        let (to, x) = (numbers_mut(to, layout)?, numbers(x, x_layout)?);
        let chunks = to.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK));
        chunks.for_each(|(to, x)| to.iter_mut().zip(x).for_each(|(to, &x)| *to = (self.0)(*to, x)));
        Ok(())
    }
}

impl<F: Fn(f32, f32, f32) -> f32 + Sync> InplaceOp3 for Update<F> {
    fn name(&self) -> &'static str {
        "update by two"
    }
    fn cpu_fwd(
        &self,
        to: &mut CpuStorage,
        layout: &Layout,
        x: &CpuStorage,
        x_layout: &Layout,
        y: &CpuStorage,
        y_layout: &Layout,
    ) -> Result<()> {
        let (to, x, y) = (numbers_mut(to, layout)?, numbers(x, x_layout)?, numbers(y, y_layout)?);
        let chunks = to.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).zip(y.par_chunks(CHUNK));
        chunks.for_each(|((to, x), y)| {
            to.iter_mut().zip(x).zip(y).for_each(|((to, &x), &y)| *to = (self.0)(*to, x, y));
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    #[test]
    fn curves_pass_gradients_by_their_slopes() -> Result<()> {
        let square = Curve { name: "square", value: |x| x * x, slope: |x| 2.0 * x };
        let x = Var::new(&[[1.0_f32, -2.0], [0.5, 3.0]], &Device::Cpu)?;
        let y = square.of(&x.t()?)?;
        assert_eq!(y.to_vec2::<f32>()?, [[1.0, 0.25], [4.0, 9.0]]);
        let gradients = (y * 3.0)?.t()?.sum_all()?.backward()?;
        let of_x = gradients.get(&x).map(|g| g.to_vec2::<f32>()).transpose()?;
        assert_eq!(of_x, Some(vec![vec![6.0, -12.0], vec![3.0, 18.0]]));
        Ok(())
    }

    #[test]
    fn tensors_are_changed_in_place() -> Result<()> {
        let x = Tensor::arange(0.0_f32, 40_000.0, &Device::Cpu)?;
        let same = x.clone();
        let y = Tensor::full(2.0_f32, 40_000, &Device::Cpu)?;
        update(&x, &y, |x, y| x * y)?;
        assert_eq!(same.narrow(0, 39_999, 1)?.to_vec1::<f32>()?, [79_998.0]);
        // A part of a tensor, and what is not contiguous.
        let ones = Tensor::full(1.0_f32, (2, 2), &Device::Cpu)?;
        let part = x.narrow(0, 4, 4)?.reshape((2, 2))?;
        let steps = Tensor::new(&[[1.0_f32, 2.0], [3.0, 4.0]], &Device::Cpu)?;
        update_by_two(&part, &ones, &steps.t()?, |x, y, z| x + y + 10.0 * z)?;
        assert_eq!(same.narrow(0, 3, 6)?.to_vec1::<f32>()?, [6.0, 19.0, 41.0, 33.0, 55.0, 16.0]);
        Ok(())
    }
}
