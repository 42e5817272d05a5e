//! A convolutional network for sentences (Kim, 2014): windows of several widths, ReLU, the maximum over time, a
//! classifier. It consists of plain functions and loops.

use ditto_core::nn::{
    Engine, Linear, LinearShape, Scope, Tensor, WeightSource, Weights, concat, linear, max_rows, relu,
};
use ditto_core::session::SecureModel;
use ditto_core::tensor::Shape;
use ditto_core::{Ctx, Result};
use ditto_macros::{Weights, secure_model};

use crate::{Plan, Small};

#[derive(Clone, Debug)]
pub(crate) struct TextCnn {
    /// Width of an embedding.
    pub(crate) width: usize,
    pub(crate) filters: usize,
    /// Words under a filter.
    pub(crate) widths: Vec<usize>,
    pub(crate) classes: usize,
}

#[derive(Weights)]
#[weights(config = TextCnn)]
pub(crate) struct Network<E: Engine, P: Plan> {
    #[weights(count = config.widths.len(), with = LinearShape::new(config.widths[index] * config.width, config.filters))]
    convolutions: Vec<Linear<E, P::Weight, P::Act>>,
    #[weights(with = LinearShape::new(config.widths.len() * config.filters, config.classes))]
    classifier: Linear<E, P::Weight, P::Act>,
    #[weights(value = config.widths.clone())]
    widths: Vec<usize>,
}

/// All windows of `width` rows, one after the other in a row of its own: [n, d] to [n - width + 1, width * d].
#[secure_model]
fn windows<P: Plan>(x: &Tensor<P::Act>, width: usize) -> Tensor<P::Act> {
    let last = x.shape().rows() - width + 1;
    let mut shifted: Vec<Tensor<P::Act>> = Vec::with_capacity(width);
    for offset in 0..width {
        shifted.push(x.slice(0, offset, offset + last));
    }
    concat(&shifted, 1)
}

#[secure_model]
fn convolution<P: Plan>(w: &Linear<P::Weight, P::Act>, x: &Tensor<P::Act>, width: usize) -> Tensor<P::Act> {
    let features: Tensor<P::Act> = relu(&linear(&windows::<P>(x, width), w));
    max_rows(&features)
}

#[secure_model]
fn text_cnn<P: Plan>(w: &Network<P>, x: &Tensor<P::Act>) -> Tensor<P::Act> {
    let pooled: Vec<Tensor<P::Act>> =
        join!(for (convolution_weights, width) in w.convolutions.iter().zip(&w.widths) {
            convolution::<P>(convolution_weights, x, *width)
        });
    linear(&concat(&pooled, 1), &w.classifier)
}

impl SecureModel for TextCnn {
    type Weights<E: Engine> = Network<E, Small>;
    type State<E: Engine> = ();
    type Input = <Small as Plan>::Act;
    type Output = <Small as Plan>::Act;
    type Request = usize;

    fn description(&self) -> Vec<u8> {
        format!("{self:?}").into_bytes()
    }
    fn input_shape(&self, &words: &usize) -> Shape {
        Shape::new(&[words, self.width])
    }
    fn load<E: Engine, S: WeightSource<E>>(&self, source: &S) -> Result<Network<E, Small>> {
        Network::load(&Scope::new(source), self)
    }
    fn forward<E: Engine>(
        &self,
        ctx: &Ctx<'_, E>,
        w: &Network<E, Small>,
        (): &mut (),
        x: &Tensor<E, Self::Input>,
        _: &usize,
    ) -> Result<Tensor<E, Self::Output>> {
        text_cnn(ctx, w, x)
    }
}
