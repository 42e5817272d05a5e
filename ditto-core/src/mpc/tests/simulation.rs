//! Simulation computes true integers, also where those outgrow a word.

use super::*;
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::mpc::Bilinear;
use crate::nn::compose::truncate;
use crate::primitives::Primitives;

case!(Multiplied[] { op: Bilinear, drop: u32 }: u64 => u64, |c, ctx, x| {
    let z = P::product(&ctx.step("product")?, c.op, &x[0], &x[1])?;
    truncate(&ctx.step("truncate")?, &z, c.drop, 64)
});

#[test]
fn products_in_a_ring_of_64_bits() {
    // Up to 2^62 the product is right; beyond it is found out of range, also where 64 bits hide that.
    for op in [Bilinear::Elementwise, Bilinear::MatMul, Bilinear::MatMulTransposed, Bilinear::RowDot] {
        let inputs =
            |v: i64| [Input::shaped(64, &[2, 2], vec![v; 4]), Input::shaped(64, &[2, 2], vec![-v; 4])];
        check(&Multiplied::new(op, 18), &inputs(1 << 29), 1);
        for too_large in [3i64 << 30, 1 << 32, 1 << 34, 1 << 40] {
            let result = crate::testing::simulate(&Multiplied::new(op, 18), &inputs(too_large), 1);
            assert!(matches!(result, Err(Error::Range { .. })), "{op:?} of {too_large}");
        }
    }
}

/// An input times a weight, rescaled.
struct Weighed;
impl Weighted for Weighed {
    type In = u64;
    type Out = u64;
    fn run_weighted<P: Primitives>(
        &self,
        ctx: &Ctx<'_, P>,
        x: &[P::Masked<u64>],
        w: &[P::Weight<u64>],
    ) -> Result<P::Masked<u64>> {
        truncate(&ctx.step("truncate")?, &P::linear(&ctx.step("linear")?, &x[0], &w[0])?, 18, 64)
    }
}

#[test]
fn linear_layers_in_a_ring_of_64_bits() {
    // BERT's largest: outputs of 200 from rows of 3072, at 18 fractional bits.
    let (rows, inner) = (3, 3072);
    let x = Input::shaped(64, &[rows, inner], random(rows * inner, 20 << 18, 1));
    let w = Input::shaped(64, &[inner, 4], random(inner * 4, 1 << 17, 2));
    let out = check_weighted(&Weighed, std::slice::from_ref(&x), std::slice::from_ref(&w), 1);
    let scale = f64::from(36).exp2();
    for (i, &y) in out.values.iter().enumerate() {
        let row = &x.values[i / 4 * inner..][..inner];
        let want: f64 = row.iter().enumerate().map(|(j, &v)| v as f64 * w.values[j * 4 + i % 4] as f64).sum();
        assert!((y as f64 / f64::from(18).exp2() - want / scale).abs() < 1e-5);
    }
    // What cancels is right however large its parts are, and what does not is out of range.
    let big = 1i64 << 45;
    let x = |a: i64, b: i64| [Input::shaped(64, &[1, 2], vec![a, b])];
    let w = [Input::shaped(64, &[2, 1], vec![1 << 30, 1 << 30])];
    let got = simulate_weighted(&Weighed, &x(big + 1, -big), &w, 1).expect("cancels");
    assert_eq!(got, [1 << 12]);
    for a in [1i64 << 33, big, -big, i64::MAX] {
        let result = simulate_weighted(&Weighed, &x(a, a), &w, 1);
        assert!(matches!(result, Err(Error::Range { .. })), "{a}");
    }
}
