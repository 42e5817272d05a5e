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
    let e = vec![linear(x, w)];
    let f = x.relu();
    let g = (layers.first())(x);
    let (h, i) = join!(return x.clone(), linear(x, w));
    let j = join!(linear(x, w));
    let k = protocol!(linear(x, w));
    d
}

#[secure_model]
async unsafe fn interface(ctx: usize, x: impl Sized) -> Result<Tensor<A>> {
    x
}

#[secure_model]
struct Model;

#[secure_model(fast)]
fn options(x: &Tensor<A>) -> Tensor<A> {
    x.clone()
}

fn main() {}
