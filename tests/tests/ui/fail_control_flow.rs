use ditto_core::nn::{Linear, linear};
use ditto_core::{Fx, Tensor};
use ditto_macros::secure_model;

type A = Fx<32, 8>;

#[secure_model]
fn decides(w: &Linear<A, A>, x: &Tensor<A>, y: &Tensor<A>) -> Tensor<A> {
    let mut z = x.clone();
    if x < y {
        z = y.clone();
    }
    if linear(x, w) {
        z = y.clone();
    }
    match x.slice(0, 0, 1) {
        _ => {}
    }
    while z == y {
        z = linear(&z, w);
    }
    loop {
        break;
    }
    for row in linear(x, w) {
        z = row;
    }
    z
}

fn main() {}
