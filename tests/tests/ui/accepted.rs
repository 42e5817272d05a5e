// With a case that compiles, trybuild builds the others too: assertions on formats are checked when code is generated.
// What the language accepts is run in tests/language.rs.
use ditto_core::{Fx, Tensor};
use ditto_macros::secure_model;

#[secure_model]
fn doubled(x: &Tensor<Fx<32, 8>>) -> Tensor<Fx<32, 8>> {
    x + x
}

fn main() {
    let sum = ditto_core::engine::Clear::run(|ctx| {
        let x = Tensor::new(ditto_core::tensor::Array::new([1], vec![1.0])?);
        Ok(doubled(ctx, &x)?.repr().data().to_vec())
    });
    assert_eq!(sum.expect("runs"), [2.0]);
}
