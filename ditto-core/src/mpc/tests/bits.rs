//! Comparisons, bits and tables.

use super::*;
use crate::cost::Cost;
use crate::mpc::{Lookup, Segments, Signs};
use crate::nn::compose::maximum::{WAYS, cost, tree};
use crate::nn::compose::{Format, argmax};
use crate::tensor::Rows;

case!(Sign[W] {}: W => u32, |c, ctx, x| {
    let s = P::msb(&ctx.step("msb")?, &x[0])?;
    let s = P::open_bits(&ctx.step("open")?, &s)?;
    P::remask(&ctx.step("remask")?, &P::bits_to_arithmetic::<u8, u32>(&ctx.step("b2a")?, &s, 9)?)
});

/// Hops of a comparison: digits of at most 6 bits, up to 4 of them in a hop.
fn comparing(k: u32) -> u32 {
    match (k - 1).div_ceil(6) {
        0..=1 => 0,
        2..=4 => 1,
        _ => 2,
    }
}

#[test]
fn sign_in_every_ring() {
    for k in (2..=32).chain([33, 37, 48, 49, 61, 62, 63, 64]) {
        let x =
            if k <= 8 { (-(1 << (k - 1))..1 << (k - 1)).collect() } else { ring_elements(150, k, k.into()) };
        let out = with_word!(k, W => check(&Sign::<W>::new(), &[Input::new(k, x.clone())], 0));
        assert_eq!(out.values, x.iter().map(|&v| i64::from(v < 0)).collect::<Vec<_>>(), "k = {k}");
        assert_eq!(out.counted.hops, comparing(k) + 2, "k = {k}");
    }
    check(&Sign::<u16>::new(), &[Input::new(10, vec![])], 0);
}

case!(SeveralSigns[W] { spec: Signs }: W => u8, |c, ctx, x| {
    let s = P::open_bits(&ctx.step("open")?, &P::signs(&ctx.step("signs")?, &c.spec, &x[0])?)?;
    P::remask(&ctx.step("remask")?, &P::bits_to_arithmetic::<u8, u8>(&ctx.step("b2a")?, &s, 2)?)
});

#[test]
fn several_signs_from_one_encoding() {
    for k in [2, 5, 8, 10, 14, 25, 26, 32, 48, 64] {
        // Sums must fit the ring.
        let bound = (1i64 << (k - 2)) - 1;
        let mut x = random(96, bound, k.into());
        let add = vec![-bound, bound / 3, 0, bound];
        for (x, a) in x.chunks_exact_mut(2).zip(&add) {
            x.copy_from_slice(&[-a, -a - 1]);
        }
        let input = [Input::shaped(k, &[8, 12], x.clone())];
        let spec = Signs { drop: 0, bits: k, add: add.clone() };
        let out = with_word!(k, W => check(&SeveralSigns::<W>::new(spec.clone()), &input, 0));
        assert_eq!(out.shape.dims(), [4, 96]);
        let want: Vec<_> = add.iter().flat_map(|a| x.iter().map(move |x| i64::from(x + a < 0))).collect();
        assert_eq!(out.values, want, "k = {k}");
        // Where several stand beside other messages anyway, a hop may save bits.
        assert!((comparing(k) + 2..=comparing(k).max(1) + 2).contains(&out.counted.hops));
        if k < 14 {
            continue;
        }
        // Of a quotient: wrong only just below 0.
        let spec = Signs { drop: 4, bits: k - 4, ..spec };
        let out = with_word!(k, W => counted(&SeveralSigns::<W>::new(spec), &input, &[], 3));
        let sums = add.iter().flat_map(|a| x.iter().map(move |x| x + a));
        for (sum, y) in sums.zip(out.values) {
            // At the top of the ring the quotient may be one too large for it.
            let unsure = (-15..0).contains(&sum) || sum >= (i64::MAX >> (64 - k)) - 15;
            assert!(unsure || y == i64::from(sum < 0), "{sum} in {k} bits: {y}");
        }
    }
    let input = [Input::new(8, vec![1])];
    for (drop, bits, add) in [(4, 5, vec![0]), (0, 1, vec![0]), (0, 8, vec![])] {
        assert!(crate::testing::run(&SeveralSigns::<u8>::new(Signs { drop, bits, add }), &input, 1).is_err());
    }
}

#[test]
fn what_signs_cost_in_a_ring_of_64_bits() {
    use crate::mpc::msb::{cost, signs_cost};
    let several = |n| signs_cost(8, &Signs { drop: 0, bits: 64, add: vec![0; n] });
    for (cost, online, offline) in
        [(cost(8, 64), 68, 345), (several(1), 68, 345), (several(2), 136, 441), (several(3), 180, 547)]
    {
        assert_eq!((cost.online, cost.offline, cost.hops), (online, offline, 2));
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
        let words = (0..1u64 << index).map(|i| (i << 3) | (i * 5 % 8)).collect();
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

case!(Maximum[W] { ways: usize, rows: Rows }: W => W, |c, ctx, x| {
    Ok(tree::<P, W, u8>(&ctx.step("max")?, &x[0], None, &c.rows, c.ways)?.0)
});

#[test]
fn maxima_of_rows() {
    for n in [1, 2, 3, 5, 16, 33] {
        for k in [3, 7, 8, 10, 13, 16, 32, 64] {
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
            let want: Vec<i64> = x.chunks(n).map(|r| r.iter().copied().max().unwrap_or(0)).collect();
            for ways in WAYS {
                let input = Input::shaped(k, &[3, 3, n], x.clone());
                let out = with_word!(k, W => check(&Maximum::<W>::new(ways, Rows::whole(n)), &[input], 0));
                assert_eq!(out.values, want, "{n} in {k} bits");
                assert_eq!(out.shape.dims(), [3, 3, 1]);
                let cost = cost(rows, &Rows::whole(n), k, ways);
                assert_eq!(out.counted, Cost { multiply_adds: out.counted.multiply_adds, ..cost });
                let levels = n.next_power_of_two().trailing_zeros();
                let levels = if ways == 2 { levels } else { levels.div_ceil(2) };
                assert_eq!(cost.hops, levels * (comparing(k) + 2));
            }
        }
    }
}

#[test]
fn maxima_of_rows_of_many_lengths() {
    for lengths in
        [vec![1, 2, 3, 4, 5, 6, 7, 8, 9], vec![5], vec![3, 17, 1, 2, 64, 63], vec![1, 1, 1], vec![2, 3]]
    {
        let rows = Rows::of(lengths);
        let x = random(2 * rows.extent(), 250, rows.extent() as u64);
        let each =
            x.chunks(rows.extent()).flat_map(|axis| rows.ranges().map(|row| axis[row].iter().max().copied()));
        let want: Vec<i64> = each.flatten().collect();
        for ways in WAYS {
            let input = Input::shaped(10, &[2, rows.extent()], x.clone());
            let out = check(&Maximum::<u16>::new(ways, rows.clone()), &[input], 0);
            assert_eq!((&out.values, out.shape.dims()), (&want, &[2, rows.count()][..]), "{rows:?}");
            let cost = cost(2, &rows, 10, ways);
            assert_eq!(out.counted, Cost { multiply_adds: out.counted.multiply_adds, ..cost });
            let levels = rows.longest().next_power_of_two().trailing_zeros();
            let levels = if ways == 2 { levels } else { levels.div_ceil(2) };
            assert_eq!(cost.hops, levels * (comparing(10) + 2));
        }
    }
}

case!(Argmax[] { drop: u32, out: Format }: u64 => u64, |c, ctx, x| {
    argmax::<P, u64, u64>(&ctx.step("argmax")?, &P::additive(ctx, &x[0])?, c.drop, c.out)
});

#[test]
fn the_index_of_the_largest() {
    for (k, drop) in [(32, 11), (32, 0), (48, 20), (64, 26)] {
        let case = Argmax::new(drop, Format { fraction: 16, width: 48 });
        for n in [1, 2, 3, 9, 64, 100] {
            let mut x = random(5 * n, 1 << (k - 4), n as u64);
            for (r, row) in x.chunks_mut(n).enumerate() {
                // The largest by two units of what is compared, at the ends and in between.
                let (at, top) = ([0, n - 1, n / 2, n / 3, n / 2][r], row.iter().max().copied().unwrap_or(0));
                row[at] = top + (2 << drop);
            }
            let out = check(&case, &[Input::shaped(k, &[5, n], x)], 0);
            let want = [0, n - 1, n / 2, n / 3, n / 2].map(|at| (at as i64) << 16);
            assert_eq!((out.values, out.shape.dims()), (want.to_vec(), &[5, 1][..]), "{n} in {k} bits");
        }
        // Of equals one is found.
        let out = counted(&case, &[Input::shaped(k, &[1, 7], vec![5 << drop; 7])], &[], 1);
        assert!((0..7).contains(&(out.values[0] >> 16)));
    }
    let too_small = Argmax::new(28, Format { fraction: 16, width: 48 });
    assert!(crate::testing::run(&too_small, &[Input::shaped(32, &[1, 100], vec![0; 100])], 1).is_err());
}

#[test]
fn a_slow_network_gets_the_wider_tree() {
    use crate::net::Link;
    // Rows of BERT's attention over 128 tokens, and four times as many, for which bytes count more.
    for (rows, chosen) in [(12 * 128, [4, 4, 4]), (48 * 128, [2, 2, 4])] {
        let costs = WAYS.map(|ways| cost(rows, &Rows::whole(128), 7, ways));
        assert_eq!(costs.map(|c| c.hops), [14, 8]);
        assert!(costs[1].total_bytes() > costs[0].total_bytes());
        assert_eq!([Link::NONE, Link::LAN, Link::WAN].map(|link| WAYS[link.fastest(&costs)]), chosen);
    }
}

case!(Several[] { d: usize }: u8 => u8, |c, ctx, x| {
    // The signs of the first d numbers, every second one negated, times the last.
    let signs = (0..c.d).map(|i| {
        let ctx = ctx.index("sign", i)?;
        let bit = P::open_bits(&ctx.step("open")?, &P::msb(&ctx.step("msb")?, &x[i])?)?;
        Ok(if i % 2 == 1 { P::not(&bit) } else { bit })
    });
    let signs = signs.collect::<crate::error::Result<Vec<_>>>()?;
    let y = P::select_all(&ctx.step("select")?, &signs.iter().collect::<Vec<_>>(), &x[c.d])?;
    P::remask(&ctx.step("remask")?, &y)
});

#[test]
fn selection_by_several_bits() {
    for d in 1..=4 {
        let signs: Vec<Vec<i64>> = (0..d)
            .map(|i| (0..32i64).map(|e| if e >> i & 1 == 1 { -1 - e % 2 } else { e % 2 }).collect())
            .collect();
        let y = random(32, 15, d as u64);
        let all = signs.iter().chain([&y]).map(|v| Input::new(5, v.clone())).collect::<Vec<_>>();
        let out = check(&Several::new(d), &all, 0);
        for e in 0..32 {
            let set = (0..d).all(|i| (signs[i][e] < 0) != (i % 2 == 1));
            assert_eq!(out.values[e], if set { y[e] } else { 0 }, "{d} bits, element {e}");
        }
    }
    for d in [0, 5] {
        let inputs = vec![Input::new(5, vec![1]); d + 1];
        assert!(crate::testing::simulate(&Several::new(d), &inputs, 1).is_err());
    }
}
