use ditto_core::nn::{downcast, upcast};
use ditto_core::{Fx, Tensor};
use ditto_macros::secure_model;

#[secure_model]
fn larger(x: &Tensor<Fx<32, 8>>) -> Tensor<Fx<64, 8>> {
    downcast(x)
}

#[secure_model]
fn smaller(x: &Tensor<Fx<32, 8>>) -> Tensor<Fx<16, 8>> {
    upcast(x)
}

#[secure_model]
fn no_ring(x: &Tensor<Fx<24, 8>>) -> usize {
    x.shape().len()
}

fn main() {}
