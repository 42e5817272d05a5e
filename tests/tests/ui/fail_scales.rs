use ditto_core::nn::{matmul, mul};
use ditto_core::{Fx, Product, Tensor};
use ditto_macros::secure_model;

type A = Fx<32, 8>;
type B = Fx<32, 10>;
type C = Fx<64, 8>;

#[secure_model]
fn adds(x: &Tensor<A>, y: &Tensor<B>) -> Tensor<A> {
    x + y
}

#[secure_model]
fn subtracts(x: &Tensor<A>, y: &Product<A, A>) -> Tensor<A> {
    y - x
}

#[secure_model]
fn multiplies(x: &Tensor<A>, y: &Product<A, A>) -> Tensor<A> {
    y * x
}

#[secure_model]
fn rings(x: &Tensor<A>, y: &Tensor<C>) -> Tensor<A> {
    mul(x, y)
}

#[secure_model]
fn written(x: &Tensor<A>) -> Tensor<A> {
    let y: Tensor<B> = x.clone();
    y * x
}

#[secure_model]
fn unscaled(x: &Tensor<A>) -> Tensor<A> {
    let y = mul(x, x);
    matmul(&y, x)
}

fn main() {}
