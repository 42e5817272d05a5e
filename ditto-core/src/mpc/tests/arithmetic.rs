//! What is exact modulo 2^k: local operations, products, remasking.

use proptest::prelude::*;

use super::*;
use crate::ctx::Ctx;
use crate::error::Result;
use crate::mpc::{Bilinear, Share};
use crate::primitives::{Primitives, RingWord};
use crate::tensor::{Array, Permute, Rows, Shape, SumLast};

case!(Remask[W] {}: W => W, |c, ctx, x| P::remask(&ctx.step("remask")?, &P::additive(ctx, &x[0])?));

#[test]
fn remask_keeps_the_number_in_every_ring() {
    for k in 1..=64 {
        let v = ring_elements(20, k, 1);
        let out = with_word!(k, W => check(&Remask::<W>::new(), &[Input::new(k, v.clone())], 0));
        assert_eq!((out.values, out.k), (v, k));
    }
    for k in [65, 100, 127, 128] {
        let v = ring_elements(20, 64, 2);
        assert_eq!(check(&Remask::<u128>::new(), &[Input::new(k, v.clone())], 0).values, v);
    }
}

#[test]
fn empty_and_single_elements() {
    let out = check(&Remask::<u32>::new(), &[Input::new(20, vec![])], 0);
    assert_eq!((out.values.len(), out.counted.hops, out.counted.online), (0, 1, 0));
    let out = check(&Remask::<u32>::new(), &[Input::shaped(20, &[], vec![-5])], 0);
    assert_eq!((out.values, out.counted.online), (vec![-5], 6));
}

case!(Local[W, V] { k2: u32 }: W => V, |c, ctx, x| {
    // 3 (x + y) - x + 5, and 7 a - 11 with a = that, in the smaller ring.
    let five = Array::new([1], vec![5])?;
    let sum = P::mul_public(&P::add(&x[0], &x[1])?, 3)?;
    let sum = P::add_public(&P::sub(&sum, &x[0])?, &five)?;
    let a = P::mul_public_additive(&P::additive(ctx, &sum)?, 7)?;
    let a = P::add_public_additive(ctx, &P::add_additive(&a, &P::additive(ctx, &x[1])?)?, -11)?;
    let a: P::Additive<V> = P::reduce_additive(&a, c.k2)?;
    P::remask(&ctx.step("remask")?, &a)
});

case!(Reduce[W, V] { k2: u32, up: u32 }: W => V, |c, ctx, x| {
    let small: P::Masked<V> = P::reduce(&x[0], c.k2)?;
    let up: P::Masked<V> = P::shift_up(&small, c.up)?;
    P::remask(&ctx.step("remask")?, &P::additive(ctx, &up)?)
});

#[test]
fn local_operations() {
    for (k, k2) in [(1, 1), (5, 3), (8, 8), (9, 4), (16, 16), (32, 17), (33, 8), (48, 48), (64, 32), (64, 64)]
    {
        let (x, y) = (ring_elements(60, k, 3), ring_elements(60, k, 4));
        let inputs = [Input::new(k, x.clone()), Input::new(k, y.clone())];
        let out = with_words!(k, W, k2, V => {
            // The wrapped integers are too large for simulation in rings of 64 bits.
            if k < 56 { check(&Local::<W, V>::new(k2), &inputs, 0) } else { counted(&Local::<W, V>::new(k2), &inputs, &[], 1) }
        });
        for (i, v) in out.values.iter().enumerate() {
            let sum = x[i].wrapping_add(y[i]).wrapping_mul(3).wrapping_sub(x[i]).wrapping_add(5);
            let want = sum.wrapping_mul(7).wrapping_add(y[i]).wrapping_sub(11);
            assert_eq!(*v, wrap(want, k2), "{k} {k2}");
        }
    }
}

#[test]
fn reducing_and_shifting_up() {
    for (k, k2, up) in
        [(8, 3, 5), (16, 16, 0), (16, 10, 6), (32, 12, 4), (48, 33, 31), (64, 20, 12), (64, 1, 0)]
    {
        let x = ring_elements(60, k, 5);
        let inputs = [Input::new(k, x.clone())];
        let out = with_words!(k, W, k2 + up, V => check(&Reduce::<W, V>::new(k2, up), &inputs, 0));
        let want: Vec<_> = x.iter().map(|v| wrap(v.wrapping_shl(up), k2 + up)).collect();
        assert_eq!((out.values, out.k), (want, k2 + up), "{k} {k2} {up}");
    }
}

case!(Layout[W] {}: W => W, |c, ctx, x| {
    // Sum over the first axis of the two tensors joined along the last.
    let both = Share::concat(&[&x[0], &x[1]], 1)?;
    let sum = both.restructure(&Permute(&[1, 0]))?.restructure(&SumLast)?;
    P::remask(&ctx.step("remask")?, &P::additive(ctx, &sum)?)
});

#[test]
fn structure_moves_masks_and_masked_values_alike() {
    let (x, y) = (ring_elements(8, 13, 1), ring_elements(8, 13, 2));
    let (x, y) = (&x[..12], &y[..8]);
    let inputs = [Input::shaped(13, &[4, 3], x.to_vec()), Input::shaped(13, &[4, 2], y.to_vec())];
    let out = check(&Layout::<u16>::new(), &inputs, 0);
    let column = |v: &[i64], n: usize, j: usize| (0..4).map(|i| v[i * n + j]).sum::<i64>();
    let want = (0..3).map(|j| column(x, 3, j)).chain((0..2).map(|j| column(y, 2, j)));
    assert_eq!(out.values, want.map(|v| wrap(v, 13)).collect::<Vec<_>>());
}

case!(Product[W] { op: Bilinear }: W => W, |c, ctx, x| {
    let z = P::product(&ctx.step("product")?, c.op, &x[0], &x[1])?;
    P::remask(&ctx.step("remask")?, &z)
});

/// The element of a tensor at the coordinates of a larger one.
fn broadcast_at(dims: &[usize], out: &[usize], mut index: usize) -> usize {
    let (mut at, mut stride) = (0, 1);
    for (i, &extent) in out.iter().enumerate().rev() {
        let coordinate = index % extent;
        index /= extent;
        if let Some(j) = (i + dims.len()).checked_sub(out.len()) {
            at += stride * if dims[j] == 1 { 0 } else { coordinate };
            stride *= dims[j];
        }
    }
    at
}

/// The product by its definition.
fn plain(op: Bilinear, a: &Input, b: &Input) -> Vec<i64> {
    let (x, y, k) = (&a.values, &b.values, a.k);
    let mul = |i: usize, j: usize| x[i].wrapping_mul(y[j]);
    let sum = |terms: &mut dyn Iterator<Item = i64>| wrap(terms.fold(0, i64::wrapping_add), k);
    match op {
        Bilinear::Elementwise => {
            let out = a.shape.broadcast(&b.shape, "test").expect("fits");
            let at = |s: &Shape, i| broadcast_at(s.dims(), out.dims(), i);
            (0..out.len()).map(|i| wrap(mul(at(&a.shape, i), at(&b.shape, i)), k)).collect()
        }
        Bilinear::RowDot => {
            let n = a.shape.last();
            (0..a.shape.rows()).map(|r| sum(&mut (0..n).map(|j| mul(r * n + j, r * n + j)))).collect()
        }
        Bilinear::CausalScores => {
            let (&[.., q, d], &[.., n, _]) = (a.shape.dims(), b.shape.dims()) else { unreachable!() };
            let dot = |head: usize, i: usize, j: usize| {
                sum(&mut (0..d).map(|l| mul((head * q + i) * d + l, (head * n + j) * d + l)))
            };
            let each = (0..x.len() / (q * d)).flat_map(|head| (0..q).map(move |i| (head, i)));
            each.flat_map(|(head, i)| (0..=n - q + i).map(move |j| dot(head, i, j))).collect()
        }
        Bilinear::CausalMix { queries } => {
            let &[.., n, d] = b.shape.dims() else { unreachable!() };
            let rows: Vec<_> = Rows::causal(n - queries, queries).ranges().collect();
            let extent = a.shape.last();
            let mix = |head: usize, row: &std::ops::Range<usize>, c: usize| {
                let term = |(j, w): (usize, usize)| mul(head * extent + w, (head * n + j) * d + c);
                sum(&mut row.clone().enumerate().map(term))
            };
            let each = (0..x.len() / extent).flat_map(|head| rows.iter().map(move |row| (head, row)));
            each.flat_map(|(head, row)| (0..d).map(move |c| mix(head, row, c))).collect()
        }
        Bilinear::MatMul | Bilinear::MatMulTransposed => {
            let &[.., m, inner] = a.shape.dims() else { unreachable!() };
            let n = b.values.len() / (a.values.len() / m.max(1)).max(1);
            let batch = a.values.len() / (m * inner);
            let mut out = Vec::new();
            for c in 0..batch {
                for i in 0..m {
                    for j in 0..n {
                        let right = |l: usize| match op {
                            Bilinear::MatMul => (c * inner + l) * n + j,
                            _ => (c * n + j) * inner + l,
                        };
                        out.push(sum(&mut (0..inner).map(|l| mul((c * m + i) * inner + l, right(l)))));
                    }
                }
            }
            out
        }
    }
}

fn check_product(op: Bilinear, k: u32, dx: &[usize], dy: &[usize], seed: u64) {
    let fill = |dims: &[usize], seed| {
        let n = Shape::new(dims).len();
        let mut v = ring_elements(n, k, seed);
        let by = seed as usize % v.len();
        v.rotate_left(by);
        v.truncate(n);
        Input::shaped(k, dims, v)
    };
    let inputs = [fill(dx, seed), fill(dy, seed + 1)];
    let out = with_word!(k, W => check(&Product::<W>::new(op), &inputs, 0));
    assert_eq!(out.values, plain(op, &inputs[0], &inputs[1]), "{op:?} {k} {dx:?} {dy:?}");
    assert_eq!(out.shape, op.shape(&inputs[0].shape, &inputs[1].shape).expect("fits"));
    assert_eq!(out.counted.hops, 1);
}

#[test]
fn elementwise_products_broadcast() {
    let shapes: [(&[usize], &[usize]); 8] = [
        (&[7], &[7]),
        (&[2, 3], &[3]),
        (&[2, 1], &[1, 3]),
        (&[4, 2, 3], &[2, 1]),
        (&[], &[5]),
        (&[1], &[1]),
        (&[0], &[1]),
        (&[0, 3], &[3]),
    ];
    for (dx, dy) in shapes {
        for k in [1, 2, 7, 8, 16, 21, 32, 48, 64] {
            check_product(Bilinear::Elementwise, k, dx, dy, u64::from(k));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn matrix_products(k in 1u32..=64, b in 1usize..3, m in 1usize..5, n in 1usize..6, inner in 1usize..9, seed: u8) {
        check_product(Bilinear::MatMul, k, &[b, m, inner], &[b, inner, n], seed.into());
        check_product(Bilinear::MatMulTransposed, k, &[b, m, inner], &[b, n, inner], seed.into());
        check_product(Bilinear::MatMul, k, &[m, inner], &[inner, n], seed.into());
        check_product(Bilinear::RowDot, k, &[b, m, inner], &[b, m, inner], seed.into());
    }

    #[test]
    fn causal_products(k in 1u32..=64, h in 1usize..3, past in 0usize..6, q in 1usize..70, d in 1usize..5, seed: u8) {
        let (n, extent) = (past + q, Rows::causal(past, q).extent());
        check_product(Bilinear::CausalScores, k, &[h, q, d], &[h, n, d], seed.into());
        check_product(Bilinear::CausalMix { queries: q }, k, &[h, extent], &[h, n, d], seed.into());
    }
}

#[test]
fn causal_products_of_other_shapes_are_refused() {
    let shape = |op: Bilinear, x: &[usize], y: &[usize]| op.shape(&Shape::new(x), &Shape::new(y));
    let (scores, mix) = (Bilinear::CausalScores, Bilinear::CausalMix { queries: 2 });
    assert_eq!(shape(scores, &[3, 2, 4], &[3, 5, 4]).expect("fits").dims(), [3, 9]);
    assert_eq!(shape(mix, &[3, 9], &[3, 5, 4]).expect("fits").dims(), [3, 2, 4]);
    for (x, y) in [
        (&[2, 4][..], &[1, 4][..]),
        (&[2, 4], &[5, 3]),
        (&[1, 2, 4], &[2, 5, 4]),
        (&[0, 4], &[5, 4]),
        (&[4], &[4]),
    ] {
        assert!(shape(scores, x, y).is_err(), "{x:?} {y:?}");
    }
    for (x, y) in [(&[8][..], &[5, 4][..]), (&[1, 9], &[2, 5, 4]), (&[3], &[1, 4])] {
        assert!(shape(mix, x, y).is_err(), "{x:?} {y:?}");
    }
}

#[test]
fn products_of_128_bits() {
    let x = ring_elements(30, 40, 1);
    let inputs = [Input::new(128, x.clone()), Input::new(128, x.clone())];
    let out = counted(&Product::<u128>::new(Bilinear::Elementwise), &inputs, &[], 1);
    assert_eq!(out.values, x.iter().map(|v| v.wrapping_mul(*v)).collect::<Vec<_>>());
}

/// Two inputs times one weight.
struct Linear<W>(std::marker::PhantomData<fn() -> W>);
impl<W: RingWord> Weighted for Linear<W> {
    type In = W;
    type Out = W;
    fn run_weighted<P: Primitives>(
        &self,
        ctx: &Ctx<'_, P>,
        x: &[P::Masked<W>],
        w: &[P::Weight<W>],
    ) -> Result<P::Masked<W>> {
        let a = P::linear(&ctx.step("a")?, &x[0], &w[0])?;
        let b = P::linear(&ctx.step("b")?, &x[1], &w[0])?;
        P::remask(&ctx.step("remask")?, &P::add_additive(&a, &P::mul_public_additive(&b, -1)?)?)
    }
}

#[test]
fn linear_layers_share_a_weight() {
    for (k, m, inner, n) in
        [(8, 3, 5, 4), (16, 1, 9, 17), (32, 6, 33, 10), (32, 5, 1, 1), (48, 2, 8, 3), (64, 4, 16, 16)]
    {
        let take =
            |len: usize, seed| random(len, i64::MAX, seed).iter().map(|&v| wrap(v, k)).collect::<Vec<_>>();
        let inputs = [
            Input::shaped(k, &[m, inner], take(m * inner, 1)),
            Input::shaped(k, &[m, inner], take(m * inner, 2)),
        ];
        let weight = Input::shaped(k, &[inner, n], take(inner * n, 3));
        let weights = std::slice::from_ref(&weight);
        let out =
            with_word!(k, W => check_weighted(&Linear::<W>(std::marker::PhantomData), &inputs, weights, 0));
        let part = |x: &Input| plain(Bilinear::MatMul, x, &weight);
        let want = part(&inputs[0]).into_iter().zip(part(&inputs[1])).map(|(a, b)| apart(a, b, k));
        assert_eq!(out.values, want.collect::<Vec<_>>(), "k = {k}");
        let elements = (m * n) as u64;
        assert_eq!(out.counted.offline, 2 * (elements * u64::from(k)).div_ceil(8));
    }
}
