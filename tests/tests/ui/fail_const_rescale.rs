// Found when code is generated: a product of 8 + 8 fractional bits as one of 20.
use ditto_core::engine::Clear;
use ditto_core::{Fx, Tensor};
use ditto_macros::secure_model;

#[secure_model]
fn finer(x: &Tensor<Fx<32, 8>>) -> Tensor<Fx<32, 20>> {
    x * x
}

fn main() {
    let _ = Clear::run(|ctx| {
        let x = Tensor::new(ditto_core::tensor::Array::new([1], vec![1.0])?);
        finer(ctx, &x)
    });
}
