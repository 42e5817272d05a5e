// What is not part of the language.
use ditto_core::nn::{Linear, linear};
use ditto_core::{Fx, Tensor};
use ditto_macros::secure_model;

type A = Fx<32, 8>;

#[secure_model]
fn outside(w: &Linear<A, A>, x: &Tensor<A>, layers: &[Linear<A, A>]) -> Tensor<A> {
    let a = layers.iter().map(|w| linear(x, w));
    let b = unsafe { linear(x, w) };
    let c = async { linear(x, w) };
    let d = linear(x, w)?;
    let e = dbg!(linear(x, w));
    let f = x.relu();
    let g = x.max(x);
    let h = (layers.first())(x);
    let i = protocol!(linear(x, w));
    let j = const { 3 };
    let k = public!(let);
    let l = vec![x x];
    let (m, n) = join!(linear(x, w), x +);
    linear(&d, layers[j])
}

fn main() {}
