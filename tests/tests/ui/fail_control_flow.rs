// What depends on a secret.
use ditto_core::nn::{Bits, Linear, greater, linear};
use ditto_core::{Fx, Tensor};
use ditto_macros::secure_model;

type A = Fx<32, 8>;

#[secure_model]
fn decides(w: &Linear<A, A>, x: &Tensor<A>, y: &Tensor<A>, bits: &Bits) -> Tensor<A> {
    let mut z = x.clone();
    if x < y {
        z = y.clone();
    }
    if linear(x, w) {
        z = y.clone();
    }
    if bits {
        z = x.clone();
    }
    let bits = greater(x, y);
    match bits {
        _ => {}
    }
    match x.slice(0, 0, 1) {
        _ => {}
    }
    if !x {}
    z
}

#[secure_model]
fn loops(w: &Linear<A, A>, x: &Tensor<A>) -> Tensor<A> {
    let mut z = x.clone();
    while z == x {
        z = linear(&z, w);
    }
    let n = loop {
        break 3;
    };
    for _ in 0..n {
        break 3;
    }
    for row in x {
        z = row;
    }
    z
}

#[secure_model]
fn side_by_side(w: &Linear<A, A>, x: &Tensor<A>, xs: &[Tensor<A>]) -> Tensor<A> {
    let mut last = x.clone();
    let (a, b): (Tensor<A>, Tensor<A>) = join!(return x.clone(), linear(x, w));
    let c = join!(linear(x, w));
    let (d, e, f, g, h, i, j) = join!(x + x, x + x, x + x, x + x, x + x, x + x, x + x);
    for x in xs {
        let (k, l) = join!(linear(x, w), { if xs.len() > 1 { break; } x.clone() });
        let m = join!(for y in xs { if y.shape().len() > 1 { continue; } y * x });
        let n = join!(for y in xs { last = y.clone(); y * x });
        let o = join!(for y in xs { last += y; y * x });
        join!(for y in xs { linear(y, w); });
    }
    last
}

fn main() {}
