use ditto_core::{Fx, Tensor};
use ditto_macros::secure_model;

type A = Fx<32, 8>;

#[secure_model]
fn tensors(x: &Tensor<A>, table: &[usize]) -> Tensor<A> {
    let a = x[0];
    let b = table[x];
    let c = x / x;
    let d = x * 0.5;
    let e = -x;
    let f = x & x;
    let g = x - 1;
    let h = x % x;
    a
}

fn main() {}
