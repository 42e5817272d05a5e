//! Changes of scale and of ring.

use super::*;
use crate::nn::compose::truncate as compose_truncate;

case!(Shrink[W] { drop: u32 }: W => W, |c, ctx, x| {
    let a = P::shrink(ctx, &P::additive(ctx, &x[0])?, c.drop)?;
    P::remask(&ctx.step("remask")?, &a)
});

/// Errors of `got` as `x / 2^drop` modulo 2^k: the largest and the mean.
fn errors(x: &[i64], got: &[i64], drop: u32, k: u32) -> (f64, f64) {
    let scale = (drop as f64).exp2();
    let error = |(&x, &y): (&i64, &i64)| {
        // In units of 2^-drop, exactly: the quotient and what is left.
        let (quotient, rest) = (x.div_euclid(1 << drop), x.rem_euclid(1 << drop));
        apart(y, quotient, k) as f64 - rest as f64 / scale
    };
    let all: Vec<f64> = x.iter().zip(got).map(error).collect();
    (all.iter().fold(0.0, |w, e| w.max(e.abs())), all.iter().sum::<f64>() / all.len().max(1) as f64)
}

#[test]
fn shrink_errs_by_less_than_an_ulp_and_is_unbiased() {
    for (k, drop) in [(4, 1), (8, 7), (13, 5), (16, 8), (32, 12), (32, 31), (48, 20), (64, 18), (64, 60)] {
        let x = ring_elements(4000, k, 11);
        let inputs = [Input::new(k, x.clone())];
        let out = with_word!(k, W => check(&Shrink::<W>::new(drop), &inputs, 1));
        assert_eq!(out.k, k - drop);
        let (worst, mean) = errors(&x, &out.values, drop, k - drop);
        // Uniform fractions give a standard deviation of at most 0.5 per element: 5 sigma of the mean.
        if k - drop >= 3 {
            assert!(worst < 1.0 && mean.abs() < 0.04, "{k} {drop}: {worst} {mean}");
        }
    }
}

case!(Truncate[W, V] { drop: u32, k2: u32 }: W => V, |c, ctx, x| {
    compose_truncate(&ctx.step("truncate")?, &P::additive(ctx, &x[0])?, c.drop, c.k2)
});

#[test]
fn truncation_into_any_ring() {
    let cases = [
        (32, 8, 32),
        (32, 12, 48),
        (32, 12, 21),
        (32, 12, 20),
        (32, 12, 19),
        (32, 0, 40),
        (32, 0, 32),
        (32, 12, 64),
        (32, 30, 8),
        (8, 3, 8),
        (8, 2, 16),
        (16, 5, 16),
        (16, 5, 64),
        (21, 9, 33),
        (33, 1, 35),
        (48, 20, 32),
        (48, 20, 28),
        (48, 20, 27),
        (64, 18, 64),
        (64, 40, 48),
        (64, 62, 5),
        (64, 18, 100),
    ];
    for (k, drop, k2) in cases {
        let h = k - drop;
        // Within the range where the ring grows again, anything where it does not.
        let x: Vec<i64> = if k2 > h {
            let top = (1i64 << (k - 2)) - (1i64 << drop);
            let mut x = random(2000, top - 1, 3);
            x.extend([0, 1, -1, top - 1, 1 - top, top / 2, -top / 2]);
            x.into_iter().filter(|x| x.abs() < top).collect()
        } else {
            ring_elements(2000, k, 3)
        };
        let inputs = [Input::new(k, x.clone())];
        let out = with_words!(k, W, k2, V => check(&Truncate::<W, V>::new(drop, k2), &inputs, 1));
        assert_eq!(out.k, k2);
        let (worst, mean) = errors(&x, &out.values, drop, k2.min(64));
        if drop == 0 {
            assert_eq!(worst, 0.0);
        } else if k2 >= 3 {
            assert!(worst < 1.0 && mean.abs() < 0.05, "{k} {drop} {k2}: {worst} {mean}");
        }
        let n = x.len() as u64;
        let bytes = |bits: u32| (n * u64::from(bits)).div_ceil(8);
        let want = if k2 > h {
            (2, 2 * (bytes(h) + bytes(k2 - h)), 2 * bytes(k2 - h))
        } else {
            (1, 2 * bytes(k2), 0)
        };
        assert_eq!((out.counted.hops, out.counted.online, out.counted.offline), want);
    }
}

#[test]
fn truncating_nearly_everything_is_an_error() {
    let inputs = [Input::new(8, vec![1])];
    assert!(crate::testing::run(&Truncate::<u8, u8>::new(7, 8), &inputs, 1).is_err());
    assert!(crate::testing::run(&Truncate::<u8, u8>::new(200, 8), &inputs, 1).is_err());
}

case!(FloorShift[W, V] { drop: u32, k2: u32, centred: bool }: W => V, |c, ctx, x| {
    let y: P::Masked<V> = P::floor_shift(&x[0], c.drop, c.k2, c.centred)?;
    P::remask(&ctx.step("remask")?, &P::additive(ctx, &y)?)
});

#[test]
fn floor_shift_stays_within_its_bounds() {
    let (mut low, mut high) = (0f64, 0f64);
    for (k, drop, k2) in [
        (8, 1, 7),
        (8, 4, 4),
        (16, 8, 8),
        (16, 3, 13),
        (21, 11, 10),
        (32, 16, 16),
        (32, 24, 8),
        (32, 2, 17),
        (48, 16, 32),
        (64, 10, 32),
        (64, 16, 48),
        (64, 63, 1),
    ] {
        let x = ring_elements(3000, k, 5);
        let inputs = [Input::new(k, x.clone())];
        for centred in [true, false] {
            let out = with_words!(k, W, k2, V => {
                check(&FloorShift::<W, V>::new(drop, k2, centred), &inputs, 2)
            });
            for (x, &y) in x.iter().zip(&out.values) {
                let floor = x.div_euclid(1 << drop);
                let rest = x.rem_euclid(1 << drop) as f64 / f64::from(drop).exp2();
                let off = apart(y, floor, k2);
                if centred {
                    // Distances modulo the ring mean nothing in rings of two or three bits.
                    let error = off as f64 - rest;
                    assert!(k2 < 4 || error.abs() <= 1.5, "{k} {drop} {k2}: {error}");
                    if k2 >= 4 {
                        (low, high) = (low.min(error), high.max(error));
                    }
                } else {
                    assert!(k2 < 4 || (0..=2).contains(&off), "{k} {drop} {k2}: floor plus {off}");
                }
            }
        }
    }
    println!("centred floor shift errs by {low} to {high}");
}

case!(Upcast[W, V] { k2: u32 }: W => V, |c, ctx, x| P::upcast(&ctx.step("lift")?, &x[0], c.k2));

#[test]
fn upcast_is_exact_in_its_range() {
    for (k, k2) in [
        (2, 3),
        (2, 64),
        (3, 8),
        (5, 9),
        (8, 9),
        (8, 16),
        (8, 128),
        (9, 32),
        (13, 14),
        (16, 48),
        (17, 40),
        (31, 32),
        (32, 48),
        (32, 64),
        (33, 34),
        (48, 64),
        (48, 110),
        (63, 64),
        (64, 128),
    ] {
        let top = 1i64 << (k - 2);
        let mut x = random(300, top - 1, 9);
        x.extend([0, -1, top - 1, -top]);
        let inputs = [Input::new(k, x.clone())];
        let out = with_words!(k, W, k2, V => check(&Upcast::<W, V>::new(k2), &inputs, 0));
        assert_eq!((out.values, out.k), (x, k2), "{k} {k2}");
    }
}

#[test]
fn upcast_outside_its_range_is_off_by_the_ring() {
    let k = 10;
    let x: Vec<i64> = (-512..512).collect();
    let out = counted(&Upcast::<u16, u32>::new(20), &[Input::new(k, x.clone())], &[], 4);
    for (x, y) in x.iter().zip(&out.values) {
        let inside = (-256..256).contains(x);
        assert!(if inside { y == x } else { y == x || (y - x).abs() == 1024 }, "{x} became {y}");
    }
    assert!(simulate_weighted(&Upcast::<u16, u32>::new(20), &[Input::new(k, vec![256])], &[], 1).is_err());
}
