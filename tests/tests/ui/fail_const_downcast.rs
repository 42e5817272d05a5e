// Found when code is generated: K2 + (F - F2) > K.
use ditto_core::engine::Clear;
use ditto_core::nn::downcast;
use ditto_core::{Fx, Tensor};
use ditto_macros::secure_model;

#[secure_model]
fn spare(x: &Tensor<Fx<32, 30>>) -> Tensor<Fx<16, 8>> {
    downcast(x)
}

fn main() {
    let _ = Clear::run(|ctx| {
        let x = Tensor::new(ditto_core::tensor::Array::new([1], vec![1.0])?);
        spare(ctx, &x)
    });
}
