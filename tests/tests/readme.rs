//! The README's model: the text there is the text here, and it runs.

use ditto_core::Fx;
use ditto_core::nn::{Activation, Engine, LayerNorm, Linear, LinearShape, activation, layer_norm, linear};
use ditto_macros::{Weights, secure_model};

type Act = Fx<32, 10>; // the ring of 32 bits, 10 of them fractional

#[derive(Weights)]
#[weights(config = usize)]
struct Mlp<E: Engine> {
    #[weights(with = LinearShape::new(*config, *config))]
    up: Linear<E, Fx<32, 10>, Fx<32, 16>>,
    #[weights(with = (*config, 1e-12))]
    norm: LayerNorm<E, Fx<32, 10>, Fx<32, 16>>,
}

#[secure_model]
fn mlp(w: &Mlp, x: &Tensor<Act>) -> Tensor<Act> {
    let hidden: Tensor<Act> = activation(Activation::Gelu, &linear(x, &w.up));
    layer_norm(&(hidden + x), &w.norm)
}

// What the README leaves out: the function as a model that parties run, and its weights.

use ditto_core::nn::{Scope, Tensor, WeightSource, Weights as _};
use ditto_core::session::{Floats, SecureModel, clear, private, simulate};
use ditto_core::tensor::{Array, Shape};
use ditto_core::{Ctx, Result};

/// The function at one width.
struct Model {
    width: usize,
}

impl SecureModel for Model {
    type Weights<E: Engine> = Mlp<E>;
    type State<E: Engine> = ();
    type Input = Act;
    type Output = Act;
    type Request = usize; // rows

    fn description(&self) -> Vec<u8> {
        format!("mlp of width {}", self.width).into_bytes()
    }
    fn input_shape(&self, rows: &usize) -> Shape {
        Shape::new(&[*rows, self.width])
    }
    fn load<E: Engine, S: WeightSource<E>>(&self, source: &S) -> Result<Mlp<E>> {
        Mlp::load(&Scope::new(source), &self.width)
    }
    fn forward<E: Engine>(
        &self,
        ctx: &Ctx<'_, E>,
        w: &Mlp<E>,
        (): &mut (),
        x: &Tensor<E, Act>,
        _: &usize,
    ) -> Result<Tensor<E, Act>> {
        mlp(ctx, w, x)
    }
}

/// Weights from a formula; a checkpoint in real life.
struct Formula;

impl Floats for Formula {
    fn floats(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let number = |i: usize| ((i * 37 + name.len()) % 17) as f32 / 17.0 - 0.4;
        Ok((0..shape.iter().product()).map(number).collect())
    }
}

#[test]
fn the_readings_agree() -> Result<()> {
    let (model, weights) = (Model { width: 8 }, Formula);
    let x = Array::new([3, 8], (0..24).map(|i| (i as f32 * 0.7).sin()).collect())?;

    let float = clear(&model, &weights)?(&3, x.clone())?; // ordinary floats: the reference
    let fixed = simulate(&model, &weights)?([0; 16], &3, &x)?; // fixed point in one process, every range checked
    let shared = private(&model, &weights, &[(3, x)])?; // three parties

    for ((a, b), c) in float.data().iter().zip(fixed.data()).zip(shared[0].data()) {
        assert!((a - b).abs() < 0.05 && (a - c).abs() < 0.05, "{a} {b} {c}");
    }
    Ok(())
}

#[test]
fn the_readme_has_this_text() {
    let squeeze = |s: &str| s.split_whitespace().collect::<Vec<_>>().join(" ");
    let source = squeeze(include_str!("readme.rs"));
    let blocks = include_str!("../../README.md").split("```rust").skip(1);
    let blocks: Vec<String> = blocks.filter_map(|b| b.split("```").next()).map(squeeze).collect();
    assert_eq!(blocks.len(), 2);
    for block in blocks {
        assert!(source.contains(&block), "the README's code is not what is tested:\n{block}");
    }
}
