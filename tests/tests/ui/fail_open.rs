// Where the macro cannot see that a value is secret, its type does not have the operation.
use ditto_core::{Engine, Fx, Tensor};
use ditto_macros::secure_model;

type A = Fx<32, 8>;

struct Pair<E: Engine> {
    a: Tensor<E, A>,
    b: Vec<Tensor<E, A>>,
}

#[secure_model]
fn compares(w: &Pair) -> Tensor<A> {
    if w.a == w.b[0] { w.a.clone() } else { w.b[1].clone() }
}

#[secure_model]
fn indexes(w: &Pair) -> Tensor<A> {
    w.b[0][1].clone()
}

#[secure_model]
fn depends(w: &Pair, x: &Tensor<A>) -> Tensor<A> {
    if w.a { x.clone() } else { w.a.clone() }
}

#[secure_model]
fn mixes(w: &Pair, scale: f64) -> Tensor<A> {
    &w.a * scale
}

fn main() {}
