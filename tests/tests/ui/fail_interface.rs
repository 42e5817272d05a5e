// Attributes, signatures and items.
use ditto_core::nn::{Linear, linear};
use ditto_core::{Fx, Result, Tensor};
use ditto_macros::secure_model;

type A = Fx<32, 8>;

#[secure_model]
async fn waits(ctx: usize, w: &Linear<A, A>, x: &Tensor<A>) -> Result<Tensor<A>> {
    linear(x, w)
}

#[secure_model]
unsafe extern "C" fn trusts(x: &Tensor<A>, scale: impl Into<f64>) -> Tensor<A> {
    x.clone()
}

#[secure_model]
const fn constant(xs: &[Result<usize>], f: fn(usize) -> usize) -> usize {
    xs.len()
}

#[secure_model]
struct Model;

#[secure_model]
impl Clone for Model {
    fn clone(&self) -> Self {
        Model
    }
}

#[secure_model(fast)]
fn options(x: &Tensor<A>) -> Tensor<A> {
    x.clone()
}

fn main() {}
