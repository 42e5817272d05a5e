//! Typed conversions: every pair of rings, and public exponents.

use super::*;
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::fixed::{Fixed, Fx};
use crate::mpc::Share;
use crate::primitives::Primitives;
use crate::testing::{Case, Input, Outcome, run};

fn numbers(k: u32) -> Vec<i64> {
    let top = 1i64 << (k - 2);
    let mut v = vec![0, 1, -1, 2, -3, top - 1, -top, top / 2, -top / 2 + 1];
    v.extend((1..40).map(|i| (top / 41 * i) * if i % 2 == 0 { 1 } else { -1 } + i % 5));
    v.retain(|v| (-top..top).contains(v));
    v
}

fn runs<C: Case>(case: &C, k: u32, x: &[i64]) -> Result<Outcome> {
    let out = run(case, &[Input::new(k, x.to_vec())], 9)?;
    assert_eq!((out.counted.online, out.counted.offline), (out.metered.online, out.metered.offline));
    Ok(out)
}

macro_rules! up {
    ($($k:literal . $f:literal => $k2:literal . $f2:literal),*) => {$({
        struct C;
        impl Case for C {
            type In = crate::fixed::WordOf<Fx<$k, $f>>;
            type Out = crate::fixed::WordOf<Fx<$k2, $f2>>;
            fn run<P: Primitives>(&self, ctx: &Ctx<'_, P>, x: &[P::Masked<Self::In>]) -> Result<P::Masked<Self::Out>> {
                let x = Tensor::<P, Fx<$k, $f>>::with_exponent(x[0].clone(), 3);
                let y: Tensor<P, Fx<$k2, $f2>> = upcast(&ctx.step("up")?, &x)?;
                assert_eq!(y.exponent(), 3);
                Ok(y.repr().clone())
            }
        }
        let x = numbers($k);
        let out = runs(&C, $k, &x).expect("runs");
        let want: Vec<i64> = x.iter().map(|v| v << ($f2 - $f)).collect();
        assert_eq!((out.values, out.k, out.counted.hops), (want, $k2, 1), "{} to {}", $k, $k2);
    })*};
}

#[test]
fn upcast_between_all_rings() {
    up!(8 . 2 => 16 . 4, 8 . 0 => 32 . 0, 8 . 4 => 48 . 20, 8 . 4 => 64 . 40, 16 . 8 => 32 . 8, 16 . 3 => 48 . 18,
        16 . 8 => 64 . 18, 32 . 10 => 48 . 12, 32 . 8 => 64 . 18, 48 . 12 => 64 . 20);
}

macro_rules! down {
    ($($k:literal . $f:literal => $k2:literal . $f2:literal),*) => {$({
        struct C;
        impl Case for C {
            type In = crate::fixed::WordOf<Fx<$k, $f>>;
            type Out = crate::fixed::WordOf<Fx<$k2, $f2>>;
            fn run<P: Primitives>(&self, ctx: &Ctx<'_, P>, x: &[P::Masked<Self::In>]) -> Result<P::Masked<Self::Out>> {
                let x = Tensor::<P, Fx<$k, $f>>::new(x[0].clone());
                let y: Tensor<P, Fx<$k2, $f2>> = downcast(&ctx.step("down")?, &x)?;
                P::remask(&ctx.step("remask")?, &P::additive(ctx, y.repr())?)
            }
        }
        let shift = $f - $f2;
        // What the smaller ring holds.
        let x: Vec<i64> = numbers($k2).iter().map(|v| (v << shift) + (v & ((1 << shift) - 1))).collect();
        let out = runs(&C, $k, &x).expect("runs");
        for (x, y) in x.iter().zip(&out.values) {
            let error = *y as f64 - *x as f64 / f64::from(shift as u32).exp2();
            assert!(error.abs() <= if shift == 0 { 0.0 } else { 1.5 }, "{} to {}: {x} {y}", $k, $k2);
        }
        assert_eq!((out.k, out.counted.hops), ($k2, 1));
    })*};
}

#[test]
fn downcast_between_all_rings() {
    down!(16 . 4 => 8 . 4, 16 . 9 => 8 . 2, 32 . 10 => 8 . 3, 48 . 20 => 8 . 4, 64 . 18 => 8 . 2, 32 . 10 => 16 . 8,
        48 . 12 => 16 . 8, 64 . 18 => 16 . 8, 48 . 18 => 32 . 10, 64 . 18 => 32 . 8, 64 . 18 => 32 . 18, 64 . 18 => 48 . 10);
}

/// A product with public exponents, plus a tensor, rescaled.
struct Scaled {
    x: i32,
    y: i32,
    bias: i32,
}

type A = Fx<32, 8>;
type B = Fx<32, 6>;

impl Case for Scaled {
    type In = u32;
    type Out = u64;
    fn run<P: Primitives>(&self, ctx: &Ctx<'_, P>, x: &[P::Masked<u32>]) -> Result<P::Masked<u64>> {
        let a = Tensor::<P, A>::with_exponent(x[0].clone(), self.x);
        let b = Tensor::<P, B>::with_exponent(x[0].clone(), self.y);
        let bias = Tensor::<P, Fx<32, 10>>::with_exponent(x[0].clone(), self.bias);
        let product = mul(&ctx.step("mul")?, &a, &b)?.plus_tensor(ctx, &bias)?;
        let product = Product::plus(&product, &product)?;
        let y: Tensor<P, Fx<48, 9>> = product.rescale(ctx, "rescale")?;
        assert_eq!((y.exponent(), product_fraction::<A, B>()), (0, 14));
        Ok(y.repr().clone())
    }
}

fn product_fraction<A: Fixed, B: Fixed>() -> u32 {
    A::F + B::F
}

#[test]
fn exponents_that_fit() {
    let ints: Vec<i64> = (-60..60).map(|v| v * 37).collect();
    for (x, y, bias) in
        [(0, 0, 0), (2, -1, 0), (1, 3, 0), (-2, 0, 0), (0, -3, -4), (3, 2, 5), (5, 0, 0), (0, 0, -5)]
    {
        let out = runs(&Scaled { x, y, bias }, 32, &ints).expect("runs");
        for (&v, &got) in ints.iter().zip(&out.values) {
            let number = |f: i32, e: i32| v as f64 * f64::from(e - f).exp2();
            let want = 2.0 * (number(8, x) * number(6, y) + number(10, bias)) * 512.0;
            assert!((got as f64 - want).abs() < 1.0, "{x} {y} {bias}: {got} for {want}");
        }
    }
}

#[test]
fn exponents_that_do_not_fit() {
    let ints = [5];
    for (x, y, bias) in [
        // 6 bits to drop become negative.
        (6, 0, 6),
        (i32::MAX, i32::MAX, 0),
        (i32::MIN, i32::MIN, 0),
        (0, 0, i32::MAX),
        (0, 0, 40),
        (-100, 0, -100),
    ] {
        let error = runs(&Scaled { x, y, bias }, 32, &ints).map(drop).expect_err("does not fit");
        assert!(matches!(error, Error::Exponent { .. } | Error::Unsupported(_)), "{x} {y} {bias}: {error:?}");
    }
}

struct Unequal;
impl Case for Unequal {
    type In = u32;
    type Out = u32;
    fn run<P: Primitives>(&self, ctx: &Ctx<'_, P>, x: &[P::Masked<u32>]) -> Result<P::Masked<u32>> {
        let at = |e| Tensor::<P, A>::with_exponent(x[0].clone(), e);
        let far = sub(ctx, &at(0), &at(31));
        assert!(matches!(far, Err(Error::Exponent { op: "subtract", lhs: 0, rhs: 31 })));
        // x + 8 x - 2 x, at the scale of x.
        let sum = sub(ctx, &add(ctx, &at(-1), &at(2))?, &at(0))?;
        assert_eq!((sum.exponent(), sum.shape()), (-1, x[0].shape()));
        P::remask(&ctx.step("remask")?, &P::additive(ctx, sum.repr())?)
    }
}

#[test]
fn unequal_exponents_add_at_the_finer_scale() {
    let ints = numbers(27);
    let out = runs(&Unequal, 32, &ints).expect("runs");
    assert_eq!(out.values, ints.iter().map(|v| 7 * v).collect::<Vec<_>>());
}

#[test]
fn a_shift_to_a_finer_scale_has_a_range() {
    let too_large = [Input::new(32, vec![1 << 28])];
    let error = crate::testing::simulate(&Unequal, &too_large, 1).expect_err("wraps");
    assert!(matches!(error, Error::Range { op: "shift to a finer scale", .. }), "{error:?}");
}
