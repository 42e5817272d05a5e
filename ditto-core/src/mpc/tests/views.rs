//! What each evaluator sees, for every outcome of the generators: the same for all secrets.
//!
//! An evaluator sees the masked inputs, what its two generators say, and what it receives. A run over a tensor with an
//! element for every secret and every word of the generators gives the distribution of all that exactly. Outputs are
//! checked for every outcome on the way.

use std::sync::Arc;

use super::*;
use crate::ctx::Ctx;
use crate::engine::{Meter, Program};
use crate::error::Result;
use crate::mpc::{
    Additive, Bilinear, Evaluator, ExpSpec, Lookup, Mask, Masked, Preprocess, Share, Signs, Weight, msb,
};
use crate::nn::compose::truncate;
use crate::testing::{Generators, Parties, Script, View, run_with};

/// The most elements of a tensor here.
const LARGEST: usize = 1 << 23;

/// `n` bits of a payload from bit `from`.
pub(super) fn bits(payload: &[u8], from: usize, n: usize) -> u128 {
    (0..n).fold(0, |v, i| v | u128::from(payload[(from + i) / 8] >> ((from + i) % 8) & 1) << i)
}

/// The part of a view that belongs to each element, with what the generators said to this evaluator.
fn by_element(view: &View, elements: usize, told: u64, drawn: u32) -> Vec<u128> {
    let drawn_bits = |i: usize| (i as u64 & told & ((1 << drawn) - 1)) as u128;
    let mut all: Vec<u128> = (0..elements).map(drawn_bits).collect();
    let mut width = drawn as usize;
    for payload in &view.0 {
        let per = payload.len() * 8 / elements;
        assert_eq!(per * elements, payload.len() * 8, "a payload that is not the same for every element");
        width += per;
        assert!(width <= 128, "views of more than 128 bits");
        for (i, v) in all.iter_mut().enumerate() {
            *v = *v << per | bits(payload, i * per, per);
        }
    }
    all
}

/// Runs `case` for all secrets (one number per input, in Z_{2^k} for `rings`) and all outcomes of the generators.
/// Returns whether the views of both evaluators are distributed alike, whichever of them receives what is dealt.
fn alike<C: Parties>(
    case: &C,
    rings: &[u32],
    secrets: &[Vec<i64>],
    valid: impl Fn(&[i64], i64) -> bool,
) -> [bool; 2] {
    let [near, far] = [false, true].map(|mirrored| alike_in(case, rings, secrets, &valid, mirrored));
    [0, 1].map(|p| near[p] && far[p])
}

fn alike_in<C: Parties>(
    case: &C,
    rings: &[u32],
    secrets: &[Vec<i64>],
    valid: &impl Fn(&[i64], i64) -> bool,
    mirrored: bool,
) -> [bool; 2] {
    let run = |elements: usize, value: &dyn Fn(usize, usize) -> i64| {
        let script = Arc::new(Script::new(elements));
        let input = |(j, &k): (usize, &u32)| Input::new(k, (0..elements).map(|i| value(i, j)).collect());
        let inputs: Vec<_> = rings.iter().enumerate().map(input).collect();
        let generators = Generators { mirrored, ..Generators::scripted(&script) };
        let (outcome, views) = run_with(case, &inputs, &[], &generators).expect("runs");
        assert_eq!(outcome.to_helper, 0);
        (outcome, views, script)
    };
    // Once to find out how many bits an element draws.
    let drawn = run(1, &|_, j| secrets[0][j]).2.bits();
    let elements = secrets.len() << drawn;
    assert!((3..30).contains(&drawn) && elements <= LARGEST, "{drawn} bits for {} secrets", secrets.len());
    let (outcome, views, script) = run(elements, &|i, j| secrets[i >> drawn][j]);
    assert_eq!(script.bits(), drawn);
    for (i, &y) in outcome.values.iter().enumerate() {
        assert!(valid(&secrets[i >> drawn], y), "{:?} gave {y}", secrets[i >> drawn]);
    }
    [0, 1].map(|p| {
        let mut seen = by_element(&views[p], elements, script.told(&[p as u8, p as u8 + 2]), drawn);
        let mut of_secret = seen.chunks_mut(1 << drawn);
        of_secret.by_ref().for_each(<[u128]>::sort_unstable);
        let mut of_secret = seen.chunks(1 << drawn);
        let first = of_secret.next().expect("a secret");
        of_secret.all(|other| other == first)
    })
}

fn hides<C: Parties>(case: &C, rings: &[u32], secrets: &[Vec<i64>], valid: impl Fn(&[i64], i64) -> bool) {
    assert_eq!(alike(case, rings, secrets, valid), [true; 2], "views of P0 and P1 do not depend on secrets");
}

/// Every element of Z_{2^k}.
fn all(k: u32) -> Vec<Vec<i64>> {
    (-(1i64 << (k - 1))..1 << (k - 1)).map(|v| vec![v]).collect()
}

/// Every combination of an element of each list.
fn times(a: &[Vec<i64>], b: &[Vec<i64>]) -> Vec<Vec<i64>> {
    a.iter().flat_map(|a| b.iter().map(move |b| [&a[..], &b[..]].concat())).collect()
}

/// Within one unit of `exact / 2^drop` modulo 2^k.
fn rounds(y: i64, exact: i64, drop: u32, k: u32) -> bool {
    let floor = exact.div_euclid(1 << drop);
    apart(y, floor, k) == 0 || (exact.rem_euclid(1 << drop) != 0 && apart(y, floor + 1, k) == 0)
}

case!(Remask[] {}: u8 => u8, |c, ctx, x| P::remask(&ctx.step("remask")?, &P::additive(ctx, &x[0])?));

#[test]
fn remask_hides() {
    for k in 2..=4 {
        hides(&Remask::new(), &[k], &all(k), |x, y| y == x[0]);
    }
    hides(&Remask::new(), &[5], &[vec![0], vec![-1], vec![15], vec![-16]], |x, y| y == x[0]);
}

case!(Product[] {}: u8 => u8, |c, ctx, x| {
    let z = P::product(&ctx.step("product")?, Bilinear::Elementwise, &x[0], &x[x.len() - 1])?;
    P::remask(&ctx.step("remask")?, &z)
});

#[test]
fn product_hides() {
    hides(&Product::new(), &[2, 2], &times(&all(2), &all(2)), |x, y| y == wrap(x[0] * x[1], 2));
    // The square of one masked value.
    hides(&Product::new(), &[3], &all(3), |x, y| y == wrap(x[0] * x[0], 3));
    hides(&Product::new(), &[4], &[vec![0], vec![1], vec![-8], vec![7]], |x, y| y == wrap(x[0] * x[0], 4));
}

case!(TwoRequests[] {}: u8 => u8, |c, ctx, x| {
    // Two inputs against one weight, which stays masked alike.
    let product = |name: &str, i: usize| {
        let z = P::product(&ctx.step(name)?, Bilinear::Elementwise, &x[i], &x[2])?;
        P::remask(&ctx.index(name, 1)?, &z)
    };
    P::add(&product("a", 0)?, &product("b", 1)?)
});

#[test]
fn two_products_with_one_weight_hide() {
    let secrets = times(&times(&all(1), &all(1)), &all(1));
    hides(&TwoRequests::new(), &[1, 1, 1], &secrets, |x, y| y == wrap(x[0] * x[2] + x[1] * x[2], 1));
}

case!(Upcast[] { k2: u32 }: u8 => u16, |c, ctx, x| P::upcast(&ctx.step("lift")?, &x[0], c.k2));

#[test]
fn upcast_hides() {
    for (k, k2) in [(2, 3), (2, 5), (3, 4), (3, 6), (4, 5), (4, 6), (5, 6)] {
        let top = 1i64 << (k - 2);
        let secrets: Vec<_> = (-top..top).map(|v| vec![v]).collect();
        hides(&Upcast::new(k2), &[k], &secrets, |x, y| y == x[0]);
    }
    // Outside its range the result is wrong, but nothing is told.
    let off = |x: &[i64], y: i64| (y - x[0]).rem_euclid(8) == 0;
    assert_eq!(alike(&Upcast::new(5), &[3], &all(3), off), [true; 2]);
}

case!(Truncate[] { drop: u32, k2: u32 }: u8 => u8, |c, ctx, x| {
    truncate(&ctx.step("truncate")?, &P::additive(ctx, &x[0])?, c.drop, c.k2)
});

#[test]
fn truncation_hides() {
    for (k, drop, k2) in [(3, 1, 3), (3, 1, 4), (4, 1, 4), (4, 2, 3)] {
        let top = (1i64 << (k - 2)) - (1i64 << drop);
        let secrets: Vec<_> = (-top.max(1)..top.max(1)).map(|v| vec![v]).collect();
        if top > 0 {
            hides(&Truncate::new(drop, k2), &[k], &secrets, |x, y| rounds(y, x[0], drop, k2));
        } else {
            // No value is in the range: the result may be anything, the views may not.
            hides(&Truncate::new(drop, k2), &[k], &all(k), |_, _| true);
        }
    }
    for (k, drop, k2) in [(3, 1, 2), (4, 2, 2), (5, 2, 2)] {
        hides(&Truncate::new(drop, k2), &[k], &all(k), |x, y| rounds(y, x[0], drop, k2));
    }
}

case!(TruncateThenLift[] {}: u8 => u8, |c, ctx, x| {
    let y: P::Masked<u8> = truncate(&ctx.step("truncate")?, &P::additive(ctx, &x[0])?, 1, 3)?;
    P::upcast(&ctx.step("lift")?, &y, 4)
});

#[test]
fn truncation_then_upcast_hides() {
    let secrets: Vec<_> = (-3..=3).map(|v| vec![v]).collect();
    hides(&TruncateThenLift::new(), &[4], &secrets, |x, y| rounds(y, x[0], 1, 4));
}

case!(Sign[] {}: u8 => u8, |c, ctx, x| {
    let s = P::msb(&ctx.step("msb")?, &x[0])?;
    let s = P::open_bits(&ctx.step("open")?, &s)?;
    P::remask(&ctx.step("remask")?, &P::bits_to_arithmetic::<u8, u8>(&ctx.step("b2a")?, &s, 1)?)
});

#[test]
fn sign_hides() {
    for k in 2..=3 {
        hides(&Sign::new(), &[k], &all(k), |x, y| (y != 0) == (x[0] < 0));
    }
    hides(&Sign::new(), &[4], &[vec![0], vec![-8]], |x, y| (y != 0) == (x[0] < 0));
}

/// Signs in Z_8 with digits of one bit, so that the ANDs between digits are met too.
struct SignsByBits {
    add: Vec<u8>,
}
impl Parties for SignsByBits {
    type In = u8;
    type Out = u8;
    fn meter(&self, _: &[crate::mpc::Dealt<u8>], _: &[crate::tensor::Shape]) -> Result<Program> {
        Meter::read(Arc::default(), |ctx| ctx.step("msb").map(drop))
    }
    fn offline(&self, ctx: &Ctx<'_, Preprocess>, x: &[Mask<u8>], _: &[Weight<u8>]) -> Result<()> {
        msb::offline_by(&ctx.step("msb")?, &x[0], (0, 3), self.add.len(), &[1, 1])
    }
    fn online(&self, ctx: &Ctx<'_, Evaluator>, x: &[Masked<u8>], _: &[Weight<u8>]) -> Result<Masked<u8>> {
        let shifted = |m: &u8| self.add.iter().map(|a| (m + a) & 7).collect::<Vec<_>>();
        let m: Vec<u8> = x[0].m.data().iter().flat_map(shifted).collect();
        let signs = msb::online_by(&ctx.step("msb")?, &m, self.add.len(), 3, &[1, 1])?;
        // The first of each element is the output.
        let signs: Vec<u8> = signs.into_iter().step_by(self.add.len()).collect();
        Ok(as_output(ctx, &crate::tensor::Array::new([signs.len()], signs)?))
    }
}

/// XOR-shared bits as an output: P0's share less the negative of P1's, modulo 2.
fn as_output(ctx: &Ctx<'_, Evaluator>, bits: &crate::tensor::Array<u8>) -> Masked<u8> {
    let own = if ctx.engine().role() == crate::mpc::Role::P0 { bits.map(|_| 0) } else { bits.clone() };
    Masked::new(1, bits.clone(), own)
}

#[test]
fn sign_of_several_digits_hides() {
    hides(&SignsByBits { add: vec![0] }, &[3], &all(3), |x, y| (y != 0) == (x[0] < 0));
    // Two shifts read one encoding.
    let secrets = [vec![0], vec![-2], vec![1]];
    hides(&SignsByBits { add: vec![0, 3] }, &[3], &secrets, |x, y| (y != 0) == (x[0] < 0));
}

/// Three digits of a comparison, given as shared bits, combined in one hop.
struct Combined;
impl Parties for Combined {
    type In = u8;
    type Out = u8;
    fn meter(&self, _: &[crate::mpc::Dealt<u8>], _: &[crate::tensor::Shape]) -> Result<Program> {
        Meter::read(Arc::default(), |ctx| ctx.step("combine").map(drop))
    }
    fn offline(&self, ctx: &Ctx<'_, Preprocess>, x: &[Mask<u8>], _: &[Weight<u8>]) -> Result<()> {
        msb::deal_levels(&ctx.step("combine")?, 3, x[0].shape.len())
    }
    fn online(&self, ctx: &Ctx<'_, Evaluator>, x: &[Masked<u8>], _: &[Weight<u8>]) -> Result<Masked<u8>> {
        // [less, equal] of each digit; the lowest has no equal, and the highest no less.
        let shares = x.iter().map(|x| x.additive(ctx.first())).collect::<Result<Vec<_>>>()?;
        let [less0, less1, equal1, equal2] = [0, 1, 2, 3].map(|i: usize| shares[i].a.data());
        let digits = |j: usize| [less0[j], less1[j] | equal1[j] << 1, equal2[j] << 1];
        let items = (0..less0.len()).flat_map(digits).collect();
        let out = msb::combine_levels(&ctx.step("combine")?, 3, items)?;
        let less = out.iter().map(|item| item & 1).collect();
        Ok(as_output(ctx, &crate::tensor::Array::new(x[0].m.shape().clone(), less)?))
    }
}

#[test]
fn three_digits_in_one_hop_hide() {
    let want = |x: &[i64], y: i64| {
        let [less0, less1, equal1, equal2] = [x[0], x[1], x[2], x[3]].map(|b| b != 0);
        (y != 0) == ((less1 && equal2) ^ (less0 && equal1 && equal2))
    };
    let secrets = [[0, 0, 0, 0], [-1, 0, -1, -1], [0, -1, 0, -1]].map(|s| s.to_vec()).to_vec();
    hides(&Combined, &[1, 1, 1, 1], &secrets, want);
}

case!(Select[] {}: u8 => u8, |c, ctx, x| {
    let bit = P::lookup(&ctx.step("bit")?, &P::reduce::<u8, u8>(&x[0], 1)?, &Lookup::new(0, 1, vec![0, 1])?)?;
    let bit = P::open_bits(&ctx.step("open")?, &bit)?;
    let y = P::bits_to_arithmetic::<u64, u8>(&ctx.step("number")?, &bit, 1)?;
    P::remask(&ctx.step("remask")?, &y)
});

#[test]
fn opened_bits_as_numbers_hide() {
    hides(&Select::new(), &[1], &all(1), |x, y| y == x[0]);
    hides(&Select::new(), &[2], &all(2), |x, y| (x[0] - y) % 2 == 0);
}

case!(Chosen[] {}: u8 => u8, |c, ctx, x| {
    // The sign of one number chooses another.
    let sign = P::msb(&ctx.step("msb")?, &x[0])?;
    let sign = P::open_bits(&ctx.step("open")?, &sign)?;
    P::remask(&ctx.step("remask")?, &P::select(&ctx.step("select")?, &sign, &x[1])?)
});

#[test]
fn select_hides() {
    let secrets = times(&[vec![0], vec![-1], vec![1], vec![-2]], &all(1));
    let want = |x: &[i64], y: i64| y == if x[0] < 0 { x[1] } else { 0 };
    hides(&Chosen::new(), &[2, 1], &secrets, want);
    hides(&Chosen::new(), &[2, 2], &[vec![0, 1], vec![-2, 1], vec![-1, -2]], want);
}

case!(Both[] {}: u8 => u8, |c, ctx, x| {
    let sign = |i: usize| {
        let ctx = ctx.index("sign", i)?;
        P::open_bits(&ctx.step("open")?, &P::msb(&ctx.step("msb")?, &x[i])?)
    };
    let bits = [sign(0)?, P::not(&sign(1)?)];
    P::remask(&ctx.step("remask")?, &P::select_all(&ctx.step("select")?, &[&bits[0], &bits[1]], &x[2])?)
});

#[test]
fn selection_by_two_bits_hides() {
    let secrets: Vec<Vec<i64>> = (0..8).map(|i| vec![-(i & 1), -(i >> 1 & 1), -(i >> 2)]).collect();
    let want = |x: &[i64], y: i64| y == if x[0] < 0 && x[1] >= 0 { x[2] } else { 0 };
    hides(&Both::new(), &[1, 1, 1], &secrets, want);
}

case!(Gain[] {}: u8 => u8, |c, ctx, x| {
    // The sign of a number chooses the number itself: one masked value feeds both.
    let sign = P::open_bits(&ctx.step("open")?, &P::msb(&ctx.step("msb")?, &x[0])?)?;
    P::remask(&ctx.step("remask")?, &P::select(&ctx.step("select")?, &sign, &x[0])?)
});

#[test]
fn one_masked_value_may_feed_two_protocols() {
    hides(&Gain::new(), &[2], &all(2), |x, y| y == x[0].min(0));
}

case!(Table[] { table: Lookup, k2: u32 }: u8 => u8, |c, ctx, x| {
    let word = P::lookup(&ctx.step("lookup")?, &x[0], &c.table)?;
    let word = P::open_bits(&ctx.step("open")?, &word)?;
    P::remask(&ctx.step("remask")?, &P::bits_to_arithmetic::<u64, u8>(&ctx.step("b2a")?, &word, c.k2)?)
});

#[test]
fn lookup_and_bits_to_arithmetic_hide() {
    let table = Lookup::new(0, 1, vec![1, 0, 0, 1, 1, 1, 0, 0]).expect("a table");
    hides(&Table::new(table.clone(), 1), &[3], &all(3), |x, y| y & 1 == table.read(x[0] as u64) as i64);
    let words = Lookup::new(0, 2, vec![3, 0, 2, 1]).expect("a table");
    hides(&Table::new(words.clone(), 2), &[2], &all(2), |x, y| y & 3 == words.read(x[0] as u64) as i64);
    // One bit of the value does not count, and may carry.
    let high = Lookup::new(1, 1, vec![0, 1, 1, 0]).expect("a table");
    let read = |v: i64| high.read((v >> 1) as u64) as i64;
    hides(&Table::new(high.clone(), 1), &[3], &all(3), |x, y| {
        [read(x[0]), read(x[0] + 2)].contains(&(y & 1))
    });
}

case!(ShiftThenCompare[] { k2: u32, centred: bool }: u8 => u8, |c, ctx, x| {
    let y: P::Masked<u8> = P::floor_shift(&x[0], 1, c.k2, c.centred)?;
    let s = P::open_bits(&ctx.step("open")?, &P::msb(&ctx.step("msb")?, &y)?)?;
    P::remask(&ctx.step("remask")?, &P::bits_to_arithmetic::<u8, u8>(&ctx.step("b2a")?, &s, 1)?)
});

#[test]
fn downcast_then_compare_hides() {
    for (k, k2) in [(3, 2), (4, 2), (4, 3)] {
        for centred in [false, true] {
            let secrets: Vec<_> = if k2 == 3 { vec![vec![0], vec![-1], vec![-8], vec![5]] } else { all(k) };
            hides(&ShiftThenCompare::new(k2, centred), &[k], &secrets, |_, _| true);
        }
    }
}

case!(ShiftThenRemask[] {}: u8 => u8, |c, ctx, x| {
    let y: P::Masked<u8> = P::floor_shift(&x[0], 1, 2, true)?;
    P::remask(&ctx.step("remask")?, &P::additive(ctx, &y)?)
});

#[test]
fn downcast_then_remask_hides() {
    hides(&ShiftThenRemask::new(), &[3], &all(3), |_, _| true);
    hides(&ShiftThenRemask::new(), &[4], &all(4), |_, _| true);
}

case!(Newton[] { k: u32 }: u128 => u8, |c, ctx, x| {
    let z = P::newton(&ctx.step("newton")?, &x[0], &x[1], 2, 2)?;
    P::remask(&ctx.step("remask")?, &P::reduce_additive::<u128, u8>(&z, c.k)?)
});

#[test]
fn newton_hides() {
    let want = |k| move |x: &[i64], y| y == wrap(2 * x[1] - x[0] * x[1] * x[1], k);
    hides(&Newton::new(1), &[1, 1], &times(&all(1), &all(1)), want(1));
    hides(&Newton::new(2), &[2, 2], &[vec![0, 0], vec![-1, 1], vec![1, -2], vec![-2, 1]], want(2));
}

case!(Quadratic[] { k: u32 }: u8 => u8, |c, ctx, x| {
    let z = P::quadratic(&ctx.step("polynomial")?, &x[0], 1, c.k)?;
    P::remask(&ctx.step("remask")?, &P::reduce_additive::<u64, u8>(&z, 2)?)
});

#[test]
fn polynomial_hides() {
    let inside = |h: u32| move |x: &[i64], y| x[0].abs() >= 1 << (h - 2) || y == wrap(x[0] * (x[0] + 1), 2);
    hides(&Quadratic::new(4), &[2], &all(2), inside(2));
    hides(&Quadratic::new(5), &[3], &[vec![-1], vec![1], vec![3]], inside(3));
}

case!(Exponential[] { spec: ExpSpec }: u8 => u8, |c, ctx, x| {
    let e = P::exp(&ctx.step("exp")?, &c.spec, &x[0], None)?;
    P::remask(&ctx.step("remask")?, &P::reduce_additive::<u64, u8>(&e, 2)?)
});

#[test]
fn exponential_hides() {
    let spec = ExpSpec { fraction: 0, log_range: 0, out_fraction: 0, out_width: 2 };
    // e^0, but for 1.5 ulp; -1 is outside of the range.
    hides(&Exponential::new(spec), &[1], &all(1), |x, y| x[0] != 0 || apart(y, 1, 2) <= 1);
}

/// The two ways to go wrong that these tests exist for.
struct Leaky {
    reuse: bool,
}
impl Parties for Leaky {
    type In = u8;
    type Out = u8;
    fn meter(&self, _: &[crate::mpc::Dealt<u8>], _: &[crate::tensor::Shape]) -> Result<Program> {
        Meter::read(Arc::default(), |ctx| {
            ctx.step("a")?;
            ctx.step("b").map(drop)
        })
    }
    fn offline(&self, ctx: &Ctx<'_, Preprocess>, x: &[Mask<u8>], _: &[Weight<u8>]) -> Result<()> {
        let mask = ctx.step("a")?.mask::<u8>(&x[0].shape, 2)?;
        let second = ctx.step("b")?;
        let other = second.mask::<u8>(&x[0].shape, 2)?;
        let kept = if self.reuse { &mask } else { &other };
        second.keep_mask(&mask)?;
        second.keep_mask(kept)
    }
    fn online(&self, ctx: &Ctx<'_, Evaluator>, x: &[Masked<u8>], _: &[Weight<u8>]) -> Result<Masked<u8>> {
        ctx.step("a")?;
        let ctx = ctx.step("b")?;
        let mut opened = x[0].clone();
        for _ in 0..2 {
            let own = ctx.take_array::<u8>(x[0].m.shape())?;
            // Opens x, then 2 x.
            let a: Additive<u8> = opened.additive(ctx.first())?;
            let mine = a.a.zip(&own, "remask", |a, l| (a.wrapping_add(l)) & 3)?;
            let _ = ctx.open_sum(mine.into_vec(), 2)?;
            opened = opened.times_public(2);
        }
        Ok(x[0].clone())
    }
}

#[test]
fn a_mask_used_twice_would_be_found() {
    assert_eq!(alike(&Leaky { reuse: false }, &[2], &all(2), |_, _| true), [true; 2]);
    assert_eq!(alike(&Leaky { reuse: true }, &[2], &all(2), |_, _| true), [false; 2]);
}

case!(TwoSigns[] {}: u8 => u8, |c, ctx, x| {
    let signs = P::signs(&ctx.step("signs")?, &Signs { drop: 1, bits: 2, add: vec![0, 1] }, &x[0])?;
    let open = |i: usize| {
        let row = signs.restructure(&crate::tensor::Slice { axis: 0, start: i, end: i + 1 })?;
        P::open_bits(&ctx.index("open", i)?, &row.restructure(&crate::tensor::Reshape(x[0].shape()))?)
    };
    let number = |i: usize| P::bits_to_arithmetic::<u8, u8>(&ctx.index("number", i)?, &open(i)?, 1);
    P::remask(&ctx.step("remask")?, &P::add_additive(&number(0)?, &number(1)?)?)
});

#[test]
fn several_signs_of_a_value_hide() {
    hides(&TwoSigns::new(), &[3], &all(3), |_, y| (-1..=0).contains(&y));
}

case!(ReadAndRest[] {}: u8 => u8, |c, ctx, x| {
    let table = Lookup::new(1, 1, vec![0, 1])?;
    let (word, rest) = P::lookup_with_rest::<u8, u8>(&ctx.step("look")?, &x[0], &table, 1)?;
    let word = P::open_bits(&ctx.step("open")?, &word)?;
    let slope = P::bits_to_arithmetic::<u64, u8>(&ctx.step("number")?, &word, 1)?;
    let slope = P::remask(&ctx.step("slope")?, &slope)?;
    let product = P::product(&ctx.step("product")?, Bilinear::Elementwise, &slope, &rest)?;
    P::remask(&ctx.step("remask")?, &product)
});

#[test]
fn a_lookup_with_its_rest_hides() {
    // The rest is x modulo 2, and the word the index, which may be one higher where the rest is not 0.
    hides(&ReadAndRest::new(), &[2], &all(2), |x, y| match x[0] {
        1 | -1 => (-1..=0).contains(&y),
        _ => y == 0,
    });
}
