//! Comparisons, choices, ReLU.

use super::*;
use crate::mpc::Share;
use crate::mpc::msb;
use crate::nn::compose::{greater, relu, select};
use crate::tensor::Slice;

case!(Larger[W] {}: W => W, |c, ctx, x| {
    let bits = greater::<P, W>(&ctx.step("greater")?, &x[0], &x[1])?;
    select::<P, W>(&ctx.step("select")?, &bits, &x[0], &x[1])
});

#[test]
fn the_larger_of_two_in_every_ring() {
    for k in [2, 8, 9, 13, 16, 31, 32, 48, 64] {
        // Differences stay below 2^(k-1).
        let bound = (1i64 << (k - 2)) - 1;
        let (mut a, mut b) = (random(58, bound, 1), random(58, bound, 2));
        a.extend([0, bound, -bound, bound, -bound, 0]);
        b.extend([0, -bound, bound, bound, -bound, -1.max(-bound)]);
        let inputs = [Input::new(k, a.clone()), Input::new(k, b.clone())];
        let out = with_word!(k, W => check(&Larger::<W>::new(), &inputs, 0));
        let want: Vec<i64> = a.iter().zip(&b).map(|(a, b)| *a.max(b)).collect();
        assert_eq!((out.values, out.k), (want, k));
        let sign = msb::cost(64, k);
        let online = sign.online + 64 * u64::from(2 + 2 * k) / 8;
        assert_eq!((out.counted.hops, out.counted.online), (sign.hops + 2, online), "{k} bits");
    }
}

case!(Broadcast[W] {}: W => W, |c, ctx, x| {
    // Bits [2, 1] choose between [3] and [2, 3].
    let column = x[0].restructure(&Slice { axis: 1, start: 0, end: 1 })?;
    let bits = greater::<P, W>(&ctx.step("greater")?, &column, &P::mul_public(&column, 0)?)?;
    select::<P, W>(&ctx.step("select")?, &bits, &x[1], &x[0])
});

#[test]
fn bits_are_broadcast() {
    let inputs = [Input::shaped(16, &[2, 3], vec![5, 6, 7, -5, -6, -7]), Input::new(16, vec![1, 2, 3])];
    let out = check(&Broadcast::<u16>::new(), &inputs, 0);
    assert_eq!((out.shape.dims(), out.values), (&[2, 3][..], vec![1, 2, 3, -5, -6, -7]));
}

case!(Relu[W, V] { drop: u32, k2: u32 }: W => V, |c, ctx, x| {
    relu::<P, W, V>(&ctx.step("relu")?, &P::additive(ctx, &x[0])?, c.drop, c.k2)
});

#[test]
fn relu_between_rings() {
    for (k, drop, k2) in [(32, 10, 32), (32, 0, 32), (32, 20, 16), (32, 10, 8), (64, 18, 64), (64, 30, 32)] {
        // What the input's and the result's ring hold.
        let bound = ((1i64 << (k - 2)) - (1 << drop)).min((1i64 << (k2 - 1 + drop).min(62)) - (2 << drop));
        let mut x = random(57, bound, 3);
        x.extend([0, 1, -1, 1 << drop, -(1 << drop), bound, -bound]);
        let out =
            with_words!(k, W, k2, V => check(&Relu::<W, V>::new(drop, k2), &[Input::new(k, x.clone())], 1));
        let scale = f64::from(drop).exp2();
        for (x, y) in x.iter().zip(&out.values) {
            let error = *y as f64 - (*x as f64 / scale).max(0.0);
            assert!(error.abs() < 1.0 && (drop > 0 || error == 0.0), "{k} {drop} {k2}: {x} {y}");
        }
        let sign = msb::cost(64, (k - drop).min(k2));
        assert_eq!(out.counted.hops, sign.hops + 3, "{k} {drop} {k2}");
        assert_eq!(out.counted.online, sign.online + 64 * u64::from(4 * k2 + 2) / 8, "{k} {drop} {k2}");
    }
    // Two numbers that the result's ring does not hold, and nearly all bits dropped.
    let simulated = crate::testing::simulate(&Relu::<u32, u8>::new(0, 8), &[Input::new(32, vec![128])], 1);
    assert!(matches!(simulated, Err(crate::error::Error::Range { .. })), "{simulated:?}");
    assert!(crate::testing::run(&Relu::<u32, u8>::new(31, 8), &[Input::new(32, vec![1])], 1).is_err());
}
