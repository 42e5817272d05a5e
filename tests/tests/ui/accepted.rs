// Everything that the language has.
use ditto_core::nn::{Activation, Linear, activation, downcast, linear, matmul, mul, upcast};
use ditto_core::{Ctx, Engine, Error, Fixed, Fx, Product, Result, Tensor, Z};
use ditto_macros::secure_model;

type A = Fx<32, 8>;
type N = Fx<64, 8>;

pub struct Layers<E: Engine, W: Fixed> {
    pub layers: Vec<Linear<E, W, W>>,
    pub head: Option<Linear<E, W, W>>,
}

pub struct Config {
    pub width: usize,
    pub deep: bool,
}

/// Operators, conversions and formats.
#[secure_model]
pub fn formats<P: Fixed<Ring = Z<32>>>(x: &Tensor<P>, y: &Tensor<P>) -> (Tensor<N>, Product<P, P>) {
    let product = x * y + x;
    let mut z: Tensor<P> = product.clone() + (x - y);
    z = &z * y;
    z += x;
    z *= y;
    let wide: Tensor<N> = upcast(&z);
    let back: Tensor<A> = downcast(&(&wide + &upcast::<_, N>(&z)));
    let _: Tensor<N> = upcast(&back);
    (wide, product)
}

/// Public control flow.
#[secure_model(public(Config))]
pub fn control<W: Fixed<Ring = Z<32>>>(
    w: &Layers<W>,
    config: &Config,
    #[public] names: &[(&str, usize)],
    x: &Tensor<W>,
    depth: usize,
) -> Tensor<W> {
    assert!(depth > 0, "a model has layers");
    const FIRST: usize = 0;
    let mut kept: Vec<Tensor<W>> = Vec::with_capacity(2 * depth + 1);
    let mut x = x.reshape(&[x.shape().rows(), config.width]);
    let mut seen = FIRST;
    'layers: for (i, layer) in w.layers.iter().enumerate() {
        if i + 1 > depth {
            break 'layers;
        }
        x = linear(&x, layer);
        kept.push(x.clone());
        seen += 1;
    }
    for j in 0..depth {
        for (_, width) in names {
            seen = seen + j * *width;
        }
    }
    let last = &kept[kept.len() - 1];
    let function = match public!(names.iter().map(|n| n.1).sum::<usize>()) {
        0 => Activation::Tanh,
        _ => Activation::Quad,
    };
    let Some(head) = &w.head else { return x };
    if seen > 3 && config.deep {
        linear(last, head)
    } else {
        let y: Tensor<W> = activation(function, &linear(last, head));
        y
    }
}

/// Operations side by side, and calls by hand.
#[secure_model]
pub fn beside<W: Fixed<Ring = Z<32>>>(w: &Linear<W, W>, x: &Tensor<W>) -> Tensor<W> {
    let (a, b) = join!(linear(x, w), linear(x, w));
    let (c, d, e, f): (Tensor<W>, Tensor<W>, Product<W, W>, Tensor<W>) =
        join!(a + b, linear(x, w), mul(x, x), protocol!(|ctx| activation(ctx, Activation::Quad, x)));
    let g: Tensor<W> = e + (c + d);
    matmul(&g, &f)
}

pub struct Block<E: Engine, W: Fixed> {
    pub inner: Linear<E, W, W>,
}

#[secure_model]
impl<W: Fixed<Ring = Z<32>>> Block<W> {
    /// A step.
    pub fn forward(&self, x: &Tensor<W>) -> Tensor<W> {
        linear(x, &self.inner)
    }

    /// Two steps.
    pub fn twice(&self, x: &Tensor<W>) -> Tensor<W> {
        let x = self.forward(x);
        self.forward(&x)
    }
}

/// Checks something public only.
#[secure_model]
fn checks(x: &Tensor<A>) {
    assert_eq!(x.shape().rank(), 2);
}

/// An engine that the author names.
#[secure_model]
fn explicit<E>(x: &Tensor<A>) -> Tensor<E, A>
where
    E: Engine,
{
    protocol!(|ctx| helper::<E>(ctx, x))
}

fn helper<E: Engine>(ctx: &Ctx<'_, E>, x: &Tensor<E, A>) -> Result<Tensor<E, A>> {
    if ctx.path().is_empty() { Err(Error::Unsupported("the root")) } else { Ok(x.clone()) }
}

fn main() {
    let steps = ditto_core::engine::Clear::run(|ctx| {
        let x = Tensor::new(ditto_core::tensor::Array::new([1, 1], vec![1.0])?);
        checks(ctx, &x)?;
        explicit(ctx, &x)?;
        formats::<_, A>(&ctx.step("formats")?, &x, &x)
    });
    assert!(steps.is_ok(), "{steps:?}");
}
