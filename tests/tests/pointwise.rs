//! A pointwise function of the author's own in model code.

use ditto_core::engine::{Clear, Simulate};
use ditto_core::nn::{
    Engine, Linear, LinearShape, Pointwise, Scope, Tensor, WeightSource, Weights as _, linear, pointwise,
};
use ditto_core::{Error, Fx, Result, public_math};
use ditto_macros::{Weights, secure_model};
use ditto_tests::weights::{Floats, Plain};

type Act = Fx<32, 10>;

#[derive(Weights)]
#[weights(config = Pointwise)]
struct Gate<E: Engine> {
    #[weights(with = LinearShape::new(2, 2))]
    up: Linear<E, Fx<32, 10>, Fx<32, 16>>,
    #[weights(value = config.clone())]
    bump: Pointwise,
}

#[secure_model]
fn through(bump: &Pointwise, x: &Tensor<Act>) -> Tensor<Act> {
    pointwise(bump, x)
}

#[secure_model]
fn gate(w: &Gate, x: &Tensor<Act>) -> Tensor<Act> {
    // Of a product, and of a tensor.
    let open: Tensor<Act> = pointwise(&w.bump, &linear(x, &w.up));
    through(&w.bump, &open)
}

fn bump(range: f64) -> Pointwise {
    let f = |x: f64| public_math::exp(-x * x);
    Pointwise::new("bump", f, -range..=range, 1.0 / 256.0).expect("a function")
}

fn read<E: Plain>(ctx: &ditto_core::Ctx<'_, E>, function: &Pointwise) -> Result<Vec<f64>>
where
    Floats: WeightSource<E>,
{
    let mut floats = Floats::default();
    floats.insert("up.weight", vec![1.0, 0.5, -0.5, 2.0]);
    floats.insert("up.bias", vec![0.0, -1.0]);
    let w = Gate::<E>::load(&Scope::new(&floats), function)?;
    let x = E::secret(&[3, 2], &[0.3, -0.2, 1.0, 0.9, -1.5, 0.7])?;
    Ok(E::reveal(&gate(ctx, &w, &x)?))
}

#[test]
fn the_clear_reading_is_the_function_and_the_simulation_is_near() {
    let function = bump(8.0);
    let clear = Clear::run(|ctx| read(ctx, &function)).expect("runs in the clear");
    let by_hand = |x: f64| (-(-x * x).exp().powi(2)).exp();
    assert!((clear[0] - by_hand(0.3 - 0.5 * 0.2)).abs() < 1e-5, "{clear:?}");
    let fixed =
        Simulate::run(Default::default(), [1; 16], |ctx| read(ctx, &function)).expect("in simulation");
    // The first one's error grows by the slope of the second, below 1.
    assert!(clear.iter().zip(&fixed).all(|(a, b)| (a - b).abs() < 2.0 / 256.0), "{clear:?} {fixed:?}");
}

#[test]
fn an_argument_out_of_range_names_its_step() {
    let error =
        Simulate::run(Default::default(), [1; 16], |ctx| read(ctx, &bump(1.0))).expect_err("out of range");
    assert!(matches!(&error, Error::Range { step, .. } if step.contains("pointwise")), "{error}");
}
