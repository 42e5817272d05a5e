// A statement that the compiler reads and the macro does not: the rest of the function is checked all the same.
use ditto_core::nn::{Linear, linear};
use ditto_core::{Fx, Tensor};
use ditto_macros::secure_model;

type A = Fx<32, 8>;

#[secure_model]
fn typing(w: &Linear<A, A>, x: &Tensor<A>) -> Tensor<A> {
    let y: Tensor<A> = linear(x, w);
    do yeet 3;
    for _ in 0..2 {}
    missing(&y)
}

fn main() {}
