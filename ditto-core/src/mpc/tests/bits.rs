//! Comparisons, bits and tables.

use super::*;
use crate::mpc::{Lookup, Segments, Signs};
use crate::nn::compose::maximum::row_max;

case!(Sign[W] {}: W => u32, |c, ctx, x| {
    let s = P::msb(&ctx.step("msb")?, &x[0])?;
    let s = P::open_bits(&ctx.step("open")?, &s)?;
    P::remask(&ctx.step("remask")?, &P::bits_to_arithmetic::<u8, u32>(&ctx.step("b2a")?, &s, 9)?)
});

#[test]
fn sign_in_every_ring() {
    for k in (2..=32).chain([33, 37, 48, 49, 61, 62, 63, 64]) {
        let x =
            if k <= 8 { (-(1 << (k - 1))..1 << (k - 1)).collect() } else { ring_elements(150, k, k.into()) };
        let out = with_word!(k, W => check(&Sign::<W>::new(), &[Input::new(k, x.clone())], 0));
        assert_eq!(out.values, x.iter().map(|&v| i64::from(v < 0)).collect::<Vec<_>>(), "k = {k}");
        let digits = (k - 1).div_ceil(6);
        assert_eq!(out.counted.hops, digits - 1 + 2, "k = {k}");
    }
    check(&Sign::<u16>::new(), &[Input::new(10, vec![])], 0);
}

case!(ManySigns[W] { spec: Signs }: W => u32, |c, ctx, x| {
    let s = P::open_bits(&ctx.step("open")?, &P::signs(&ctx.step("signs")?, &c.spec, &x[0])?)?;
    P::remask(&ctx.step("remask")?, &P::bits_to_arithmetic::<u8, u32>(&ctx.step("b2a")?, &s, 9)?)
});

#[test]
fn several_signs_from_one_encoding() {
    for (k, drop, bits) in
        [(8, 0, 8), (8, 3, 5), (6, 4, 2), (20, 10, 10), (20, 12, 7), (31, 5, 13), (40, 0, 13)]
    {
        // Numbers and shifts whose sum, with a unit of the quotient to spare, stays in the ring.
        let half = 1i64 << (bits + drop - 1);
        let add: Vec<i64> = vec![0, 1, -1, half / 4, 1 - half / 4];
        let mut x = random(200, half - half / 4 - (1 << drop) - 1, 9);
        x.extend([0, 1, -1]);
        let spec = Signs { drop, bits, add: add.clone() };
        let out =
            with_word!(k, W => counted(&ManySigns::<W>::new(spec), &[Input::new(k, x.clone())], &[], 2));
        let digits = (bits - 1).div_ceil((bits - 1).div_ceil(2).clamp(1, 6));
        assert_eq!(out.counted.hops, digits - 1 + 2);
        for (i, &y) in out.values.iter().enumerate() {
            let z = x[i % x.len()] + add[i / x.len()];
            // The quotient may be one too large.
            let may = [i64::from(z < 0), i64::from(z + (1 << drop) - 1 < 0)];
            assert!(may.contains(&y), "{k} {drop} {bits}: {z} gave {y}");
        }
    }
    for spec in [
        Signs { drop: 3, bits: 6, add: vec![0] },
        Signs { drop: 0, bits: 1, add: vec![0] },
        Signs { drop: 0, bits: 4, add: vec![] },
    ] {
        assert!(crate::testing::run(&ManySigns::<u8>::new(spec), &[Input::new(8, vec![1])], 1).is_err());
    }
}

case!(Rest[W] { table: Lookup }: W => u32, |c, ctx, x| {
    let (word, rest) = P::lookup_with_rest::<W, u32>(&ctx.step("look")?, &x[0], &c.table, 30)?;
    let word = P::open_bits(&ctx.step("open")?, &word)?;
    let index = P::part_of_bits(&word, 3, c.table.index_bits())?;
    let index = P::bits_to_arithmetic::<u64, u32>(&ctx.step("index")?, &index, 30 - c.table.dropped())?;
    let index = P::shift_up_additive(&index, c.table.dropped())?;
    P::remask(&ctx.step("remask")?, &P::add_additive(&index, &P::additive(ctx, &rest)?)?)
});

#[test]
fn index_and_rest_make_the_value() {
    for (drop, index) in [(1, 1), (3, 4), (9, 5), (1, 12)] {
        // The word tells the index, above three bits of something else.
        let words = (0..1u64 << index).map(|i| i << 3 | i * 5 % 8).collect();
        let table = Lookup::new(drop, index + 3, words).expect("a table");
        let k = drop + index + 2;
        // The highest index has none above it.
        let x: Vec<i64> = (0..(1 << (drop + index)) - (1 << drop)).step_by(3).collect();
        let out = with_word!(k, W => check(&Rest::<W>::new(table), &[Input::new(k, x.clone())], 0));
        assert_eq!(out.values, x, "drop {drop} index {index}");
    }
}

case!(Select[W] {}: W => W, |c, ctx, x| {
    let s = P::msb(&ctx.step("msb")?, &x[0])?;
    let s = P::open_bits(&ctx.step("open")?, &s)?;
    P::remask(&ctx.step("remask")?, &P::select(&ctx.step("select")?, &s, &x[1])?)
});

#[test]
fn select_takes_or_leaves() {
    for k in [2, 3, 8, 10, 16, 17, 32, 48, 64] {
        let (mut x, y) = (ring_elements(100, k, 3), ring_elements(100, k, 4));
        x.rotate_left(3);
        let out = with_word!(k, W => {
            check(&Select::<W>::new(), &[Input::new(k, x.clone()), Input::new(k, y.clone())], 0)
        });
        let want: Vec<_> = x.iter().zip(&y).map(|(&x, &y)| if x < 0 { y } else { 0 }).collect();
        assert_eq!(out.values, want, "k = {k}");
    }
}

case!(Table[W, V] { table: Lookup, k2: u32 }: W => V, |c, ctx, x| {
    let word = P::lookup(&ctx.step("lookup")?, &x[0], &c.table)?;
    let word = P::xor(&word, &P::lookup(&ctx.step("again")?, &x[1], &c.table)?)?;
    let word = P::open_bits(&ctx.step("open")?, &word)?;
    P::remask(&ctx.step("remask")?, &P::bits_to_arithmetic::<u64, V>(&ctx.step("b2a")?, &word, c.k2)?)
});

#[test]
fn tables_of_every_width() {
    for index in 0..=13u32 {
        let bits = [1, 5, 13, 20, 33, 62][index as usize % 6];
        let entries = random(1 << index, i64::MAX, index.into());
        let entries: Vec<u64> = entries.iter().map(|&e| e as u64 & ((1 << bits) - 1)).collect();
        for (drop, spare) in [(0, 0), (0, 3), (1, 0), (5, 2), (9, 20)] {
            let k = index + drop + spare;
            if k == 0 {
                continue;
            }
            let table = Lookup::new(drop, bits, entries.clone()).expect("a table");
            let x = if spare == 0 && drop == 0 { (0..1 << index).collect() } else { ring_elements(60, k, 5) };
            let zero = vec![0; x.len()];
            let inputs = [Input::new(k, x.clone()), Input::new(k, zero)];
            let k2 = bits + 1;
            let out = with_words!(k, W, k2, V => {
                // Simulation flips coins of its own where bits are dropped.
                counted(&Table::<W, V>::new(table.clone(), k2), &inputs, &[], 1)
            });
            let read = |v: i64| table.read((v >> drop) as u64);
            for (&x, &y) in x.iter().zip(&out.values) {
                let near =
                    |x: i64| if drop == 0 { vec![read(x)] } else { vec![read(x), read(x + (1 << drop))] };
                let fits = near(x).iter().any(|a| near(0).iter().any(|b| a ^ b == y as u64));
                assert!(fits, "index {index} drop {drop}: {x} gave {y}");
            }
        }
    }
}

#[test]
fn tables_and_simulation_agree() {
    let table = Lookup::new(0, 12, (0..1 << 10).map(|i| i * 3 % 4096).collect()).expect("a table");
    let inputs = [Input::new(12, ring_elements(100, 12, 1)), Input::new(12, ring_elements(100, 12, 2))];
    check(&Table::<u16, u16>::new(table, 16), &inputs, 0);
}

#[test]
fn tables_that_cannot_be() {
    assert!(Lookup::new(0, 4, vec![0; 3]).is_err());
    assert!(Lookup::new(0, 4, vec![16, 0]).is_err());
    assert!(Lookup::new(0, 0, vec![0, 0]).is_err());
    assert!(Lookup::new(0, 65, vec![0, 0]).is_err());
    assert!(Lookup::new(0, 4, vec![0; 1 << 14]).is_err());
    assert!(Lookup::new(0, 4, vec![]).is_err());
    let wide = Lookup::new(2, 4, vec![0; 8]).expect("a table");
    let inputs = [Input::new(4, vec![1]), Input::new(4, vec![1])];
    assert!(crate::testing::run(&Table::<u8, u8>::new(wide, 5), &inputs, 1).is_err());
}

case!(ReadSegments[] { spec: Segments }: u16 => u128, |c, ctx, x| {
    let bits = c.spec.word_bits();
    let table = Lookup::new(0, bits, (0..1 << bits).collect())?;
    let word = P::lookup(&ctx.step("lookup")?, &x[0], &table)?;
    let word = P::open_bits(&ctx.step("open")?, &word)?;
    P::remask(&ctx.step("remask")?, &P::segments(&ctx.step("segments")?, &c.spec, &word)?)
});

#[test]
fn segments_for_every_word() {
    for (shifts, width) in [([40, 20, 0], 64), ([0, 0, 0], 20), ([3, 50, 9], 128), ([90, 50, 2], 128)] {
        let spec = Segments { mantissa: 3, shifts, width };
        // A segment without its flag has mantissa 0.
        let lawful = |x: &i64| (x >> 6 & 1 == 1 || x >> 3 & 7 == 0) && (x >> 10 & 1 == 1 || x >> 7 & 7 == 0);
        let x: Vec<i64> = (0..1 << 11).filter(lawful).collect();
        let out = check(&ReadSegments::new(spec), &[Input::new(11, x.clone())], 0);
        for (x, &y) in x.iter().zip(&out.values) {
            // Mantissa 0, mantissa 1, flag 1, mantissa 2, flag 2.
            let g = if x >> 10 & 1 == 1 { 2 } else { x >> 6 & 1 };
            let mantissa = x >> [0, 3, 7][g as usize] & 7;
            let want = (i128::from(mantissa) << shifts[g as usize]) as i64;
            assert_eq!(y, wrap(want, width.min(64)), "word {x:b}");
        }
    }
}

case!(Maximum[W] {}: W => W, |c, ctx, x| row_max(&ctx.step("max")?, &x[0]));

#[test]
fn maxima_of_rows() {
    for n in [1, 2, 3, 5, 16, 33] {
        for k in [3, 7, 8, 10, 13, 16, 32] {
            // Any two elements differ by less than half the ring, wherever it is cut.
            let spread = (1i64 << (k - 2)) - 1;
            let rows = 9;
            let mut x = random(rows * n, spread, (n + k as usize) as u64);
            for (r, row) in x.chunks_mut(n).enumerate() {
                match r {
                    0 => row.fill(spread),
                    1 => row
                        .iter_mut()
                        .enumerate()
                        .for_each(|(i, v)| *v = if i == n / 2 { spread } else { -spread }),
                    _ => (),
                }
            }
            let out = with_word!(k, W => check(&Maximum::<W>::new(), &[Input::shaped(k, &[3, 3, n], x.clone())], 0));
            let want: Vec<i64> = x.chunks(n).map(|r| r.iter().copied().max().unwrap_or(0)).collect();
            assert_eq!(out.values, want, "{n} in {k} bits");
            assert_eq!(out.shape.dims(), [3, 3, 1]);
            let levels = n.next_power_of_two().trailing_zeros();
            assert_eq!(out.counted.hops, levels * ((k - 1).div_ceil(6) + 1));
        }
    }
}
