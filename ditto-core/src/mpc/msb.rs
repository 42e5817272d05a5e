//! The sign bit: one-hot digits of the mask, compared with the opened value.
//!
//! x = m - lambda, so `msb(x) = msb(m) ^ msb(lambda) ^ [m_low < lambda_low]` over the low k-1 bits. P2 deals one-hot
//! encodings of lambda's digits; the evaluators read `[c < d]` and `[c = d]` of each digit locally, and combine up to four
//! neighbouring digits in one hop.
//!
//! The signs of x + a for several public a are read off the same one-hot digits: only m moves.

use std::convert::Infallible;
use std::sync::Arc;

use super::dealer::Preprocess;
use super::online::Evaluator;
use super::share::{Dealt, Mask, Masked, Xor};
use super::store::Stored;
use crate::cost::{Cost, Kind, Work};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::recent::Recent;
use crate::ring::Word;
use crate::tensor::{Array, Elem, Permute, Shape, Structure};

/// Widest digit; its one-hot encoding fills one 64-bit word.
const MAX_DIGIT: u32 = 6;
/// Digits that are combined in one hop; each more would double the dealt products.
const FAN: usize = 4;

/// Digit widths of the low k-1 bits, low digit first, for `copies` comparisons with one mask: of those with the fewest
/// hops, or with no more than `hidden`, the ones with the fewest bits.
fn digits(k: u32, copies: usize, hidden: u32) -> Arc<Vec<u32>> {
    static CHOSEN: Recent<(u32, usize, u32), Vec<u32>> = Recent::new(128);
    let Ok(digits) =
        CHOSEN.get((k, copies, hidden), |_| Ok::<_, Infallible>(choose_digits(k, copies, hidden)));
    digits
}

fn choose_digits(k: u32, copies: usize, hidden: u32) -> Vec<u32> {
    let low = k - 1;
    let split = |n: u32| (0..n).map(|i| low / n + u32::from(i < low % n)).collect::<Vec<_>>();
    let sent = |digits: &Vec<u32>| {
        let cost = cost_of(8, copies, digits);
        (cost.hops.max(hidden), cost.total_bytes())
    };
    (low.div_ceil(MAX_DIGIT)..=low).map(split).min_by_key(sent).unwrap_or_default()
}

/// Signs of several shifts of one value: bit `i` is the sign of `(x + add[i]) / 2^drop` in Z_{2^bits}.
///
/// The quotient is the floor or one above it, alike for all shifts: the sign is surely set where x + add <= -2^drop,
/// and surely clear where x + add >= 0. Without dropped bits it is exact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signs {
    /// Low bits that do not count.
    pub drop: u32,
    /// Ring of the comparison.
    pub bits: u32,
    /// The shifts.
    pub add: Vec<i64>,
}

impl Signs {
    /// Such comparisons stand beside other messages, so one hop is no matter.
    fn digits(&self) -> Arc<Vec<u32>> {
        digits(self.bits, self.add.len(), 1)
    }

    pub(crate) fn check(&self, k: u32) -> Result<()> {
        if (2..=64).contains(&self.bits) && self.drop + self.bits <= k && !self.add.is_empty() {
            Ok(())
        } else {
            Err(Error::Unsupported("a comparison with these widths"))
        }
    }

    /// Shape of the result: the shifts, then the elements.
    pub(crate) fn shape(&self, x: &Shape) -> Shape {
        Shape::new(&[self.add.len(), x.len()])
    }
}

/// Neighbouring digits, low to high, that become one: is the whole smaller, and is it equal.
///
/// `less = XOR_i less_i AND (AND_(j>i) equal_j)`, where at most one term is 1, and `equal = AND_j equal_j`. All of these
/// bits but the highest `less`, which no AND meets, are opened under masks, as one word: `less_i` from bit 0, then
/// `equal_j` from j = 1, then `equal_0`. A product of opened bits is a sum of products of masks, which P2 deals.
#[derive(Clone, Copy, Debug)]
struct Node {
    digits: usize,
    /// Whether `equal` is asked for; the lowest node of a level is never asked.
    equal: bool,
}

impl Node {
    /// Bits of the opened word.
    fn bits(&self) -> u32 {
        2 * (self.digits as u32 - 1) + u32::from(self.equal)
    }

    /// The opened bits whose products add up to `less`.
    fn less(&self) -> Vec<u32> {
        let pairs = self.digits as u32 - 1;
        (0..pairs).map(|i| 1 << i | ((1 << (pairs - i)) - 1) << (pairs + i)).collect()
    }

    /// The opened bits whose product is `equal`.
    fn equal(&self) -> Vec<u32> {
        let pairs = self.digits as u32 - 1;
        if self.equal { vec![((1 << (pairs + 1)) - 1) << pairs] } else { Vec::new() }
    }

    /// Products of two or more mask bits that occur, as sets of bits.
    fn products(&self) -> Vec<u32> {
        let asked: Vec<u32> = self.less().into_iter().chain(self.equal()).collect();
        let occurs = |set: &u32| set.count_ones() > 1 && asked.iter().any(|a| set & !a == 0);
        (0..1 << self.bits()).filter(occurs).collect()
    }

    /// What an evaluator holds: its mask bits, its shares of the products, and whether it is the first, as one word.
    fn share_bits(&self) -> u32 {
        self.bits() + self.products().len() as u32 + 1
    }

    /// Per word of mask bits, all products.
    fn product_table(&self) -> Vec<u64> {
        let products = self.products();
        let word = |t: u32| products.iter().rev().fold(0, |w, p| w << 1 | u64::from(t & p == *p));
        (0..1 << self.bits()).map(word).collect()
    }

    /// Per opened word u, which bits of the share make up the sum of the given products: of the bits S it is
    /// `AND_S (u ^ t) = XOR over subsets T of S (AND_(S - T) u) (AND_T t)`.
    fn readings(&self, sum: &[u32]) -> Vec<u32> {
        let singles = (0..self.bits()).map(|b| 1 << b);
        // In the order of `share_bits`; the empty product is 1, at the first evaluator.
        let sets: Vec<u32> = singles.chain(self.products()).chain([0]).collect();
        let counts =
            |u: u32, set: u32| sum.iter().filter(|&s| set & !s == 0 && s & !set & !u == 0).count() % 2 == 1;
        let reading = |u| sets.iter().rev().fold(0, |w, &set| w << 1 | u32::from(counts(u, set)));
        (0..1 << self.bits()).map(reading).collect()
    }

    /// The word to open, from `[less, equal]` of each digit in bits 0 and 1.
    #[inline(always)]
    fn word(&self, digits: &[u8]) -> u8 {
        let pairs = self.digits - 1;
        let mut word = 0;
        for (i, digit) in digits.iter().enumerate() {
            if i < pairs {
                word |= (digit & 1) << i;
            }
            if i > 0 {
                word |= (digit >> 1) << (pairs + i - 1);
            }
        }
        if self.equal { word | (digits[0] >> 1) << (2 * pairs) } else { word }
    }
}

/// The nodes that combine `count` digits, one list per hop.
fn levels(mut count: usize) -> Vec<Vec<Node>> {
    let mut levels = Vec::new();
    while count > 1 {
        let nodes = count.div_ceil(FAN);
        let node = |i| Node { digits: count / nodes + usize::from(i < count % nodes), equal: i > 0 };
        levels.push((0..nodes).map(node).collect());
        count = nodes;
    }
    levels
}

/// Bits of the words that a level opens; shorter ones are filled up.
fn opened_bits(level: &[Node]) -> u32 {
    level.iter().map(Node::bits).max().unwrap_or(0)
}

/// Cost for `n` signs in Z_{2^k}.
pub(crate) fn cost(n: usize, k: u32) -> Cost {
    cost_of(n, 1, &digits(k, 1, 0))
}

/// Cost of [`Signs`] of `n` values.
pub(crate) fn signs_cost(n: usize, spec: &Signs) -> Cost {
    cost_of(n, spec.add.len(), &spec.digits())
}

fn cost_of(n: usize, copies: usize, digits: &[u32]) -> Cost {
    let hot = digits.iter().map(|&w| Cost::deal(n, 1 << w)).fold(Cost::deal(n, 1), Cost::then);
    let signs = n * copies;
    levels(digits.len()).iter().fold(hot, |cost, level| {
        let products = level.iter().map(|node| Cost::deal(signs, node.products().len() as u32));
        products.fold(cost, Cost::then) + Cost::exchange(signs * level.len(), opened_bits(level))
    })
}

/// Runs `$body` with `$word` a word that holds `$bits` bits of an evaluator's share.
macro_rules! with_word {
    ($bits:expr, $word:ident => $body:expr) => {
        match $bits {
            ..=8 => {
                type $word = u8;
                $body
            }
            9..=16 => {
                type $word = u16;
                $body
            }
            _ => {
                type $word = u32;
                $body
            }
        }
    };
}

/// What the parties compute for a sign.
pub(crate) fn work<W: Word>(n: usize, k: u32) -> Work {
    work_of::<W>(n, 1, &digits(k, 1, 0))
}

/// What the parties compute for [`Signs`] of `n` values.
pub(crate) fn signs_work<W: Word>(n: usize, spec: &Signs) -> Work {
    work_of::<W>(n, spec.add.len(), &spec.digits())
}

fn work_of<W: Word>(n: usize, copies: usize, digits: &[u32]) -> Work {
    let signs = n * copies;
    let top = Work::deal::<u8>(n, 1)
        .helper_passes::<W>(1, n)
        .helper(Kind::Step, n)
        .online_passes::<W>(1, signs)
        .online(Kind::Step, signs);
    let digit = |&width: &u32| {
        let hot = match width {
            1..=3 => Work::deal::<u8>(n, 1 << width),
            4 => Work::deal::<u16>(n, 1 << width),
            5 => Work::deal::<u32>(n, 1 << width),
            _ => Work::deal::<u64>(n, 1 << width),
        };
        hot.helper(Kind::Step, n).online(Kind::Step, signs)
    };
    let node = |node: &Node| {
        let products = node.products().len() as u32;
        let dealt = with_word!(node.share_bits(), S => {
            Work::deal::<S>(signs, products).prepare_passes::<S>(1, signs).online_passes::<S>(1, signs)
        });
        let drawn = dealt + Work::mask::<u8>(signs);
        drawn.helper(Kind::Step, signs).online(Kind::Step, (node.digits + 2) * signs)
    };
    let level = |level: &Vec<Node>| {
        let opened = Work::exchange::<u8>(signs * level.len(), opened_bits(level));
        opened + level.iter().map(node).sum()
    };
    top + digits.iter().map(digit).sum() + levels(digits.len()).iter().map(level).sum()
}

pub(crate) fn offline<W: Stored + Elem>(ctx: &Ctx<'_, Preprocess>, x: &Mask<W>) -> Result<Dealt<u8>> {
    offline_by(ctx, x, (0, x.k), 1, &digits(x.k, 1, 0))?;
    Ok(Dealt::new(x.shape.clone(), 1))
}

pub(crate) fn signs_offline<W: Stored + Elem>(
    ctx: &Ctx<'_, Preprocess>,
    spec: &Signs,
    x: &Mask<W>,
) -> Result<Dealt<u8>> {
    spec.check(x.k)?;
    offline_by(ctx, x, (spec.drop, spec.bits), spec.add.len(), &spec.digits())?;
    Ok(Dealt::new(spec.shape(&x.shape), 1))
}

/// Deals what `copies` comparisons of the `k` bits of a mask from bit `drop` need, with digits of given widths: tests
/// of views need tiny ones.
pub(in crate::mpc) fn offline_by<W: Stored + Elem>(
    ctx: &Ctx<'_, Preprocess>,
    x: &Mask<W>,
    (drop, k): (u32, u32),
    copies: usize,
    digits: &[u32],
) -> Result<()> {
    let n = x.shape.len();
    let lambda = x.lambda();
    let top = lambda.as_ref().map(|l| l.data().iter().map(|l| l.bit(drop + k - 1)).collect());
    let share = ctx.deal_xor::<u8>(n, 1, top)?;
    ctx.keep(share)?;
    let mut position = drop;
    for &width in digits {
        let digit = |l: &W| (*l >> position).low(width).to_u64() as u32;
        let all = lambda.as_ref().map(|l| l.data().iter().map(digit));
        match width {
            1..=3 => deal_digit::<u8>(ctx, n, width, all)?,
            4 => deal_digit::<u16>(ctx, n, width, all)?,
            5 => deal_digit::<u32>(ctx, n, width, all)?,
            _ => deal_digit::<u64>(ctx, n, width, all)?,
        }
        position += width;
    }
    deal_levels(ctx, digits.len(), n * copies)
}

fn deal_digit<D: Stored>(
    ctx: &Ctx<'_, Preprocess>,
    n: usize,
    width: u32,
    digits: Option<impl Iterator<Item = u32>>,
) -> Result<()> {
    let hot = digits.map(|d| d.map(|d| D::one() << d).collect());
    let share = ctx.deal_xor::<D>(n, 1 << width, hot)?;
    ctx.keep(share)
}

/// The preprocessing of [`combine_levels`] for `n` comparisons.
pub(in crate::mpc) fn deal_levels(ctx: &Ctx<'_, Preprocess>, digits: usize, n: usize) -> Result<()> {
    levels(digits)
        .iter()
        .flatten()
        .try_for_each(|node| with_word!(node.share_bits(), S => deal_node::<S>(ctx, node, n)))
}

fn deal_node<S: Stored>(ctx: &Ctx<'_, Preprocess>, node: &Node, n: usize) -> Result<()> {
    let bits = node.bits();
    let (r0, r1) = (ctx.draw0::<u8>(n, bits), ctx.draw1::<u8>(n, bits));
    let products = match (&r0, &r1) {
        (Some(a), Some(b)) => {
            let table = node.product_table();
            Some(a.iter().zip(b).map(|(a, b)| S::from_u64(table[usize::from(a ^ b)])).collect())
        }
        _ => None,
    };
    let dealt = ctx.deal_xor::<S>(n, node.products().len() as u32, products)?;
    if let (Some(dealt), Some(own)) = (dealt, r0.or(r1)) {
        let share = own.iter().zip(dealt.iter()).map(|(&r, &d)| S::from_u64(r.into()) | d << bits);
        ctx.keep(Some(Arc::new(share.collect::<Vec<S>>())))?;
    }
    Ok(())
}

pub(crate) fn online<W: Stored + Elem>(ctx: &Ctx<'_, Evaluator>, x: &Masked<W>) -> Result<Xor<u8>> {
    let out = online_by(ctx, x.m.data(), 1, x.k, &digits(x.k, 1, 0))?;
    Ok(Xor { bits: 1, x: Array::new(x.m.shape().clone(), out)? })
}

pub(crate) fn signs_online<W: Stored + Elem>(
    ctx: &Ctx<'_, Evaluator>,
    spec: &Signs,
    x: &Masked<W>,
) -> Result<Xor<u8>> {
    spec.check(x.k)?;
    let add: Vec<W> = spec.add.iter().map(|&a| W::from_i64(a)).collect();
    let shifted = |m: &W, a: &W| (m.wrapping_add(a).low(x.k) >> spec.drop).low(spec.bits);
    let mut all = Vec::with_capacity(x.m.len() * add.len());
    for m in x.m.data() {
        all.extend(add.iter().map(|a| shifted(m, a)));
    }
    let out = online_by(ctx, &all, add.len(), spec.bits, &spec.digits())?;
    let by_element = Array::new([x.m.len(), add.len()], out)?;
    Ok(Xor { bits: 1, x: Permute(&[1, 0]).apply_to(&by_element)? })
}

/// Signs of opened values in Z_{2^k}, `copies` in a row with one mask.
pub(in crate::mpc) fn online_by<W: Word>(
    ctx: &Ctx<'_, Evaluator>,
    m: &[W],
    copies: usize,
    k: u32,
    digits: &[u32],
) -> Result<Vec<u8>> {
    let n = m.len() / copies;
    let top = ctx.take::<u8>(n)?;
    let mut items = vec![0u8; m.len() * digits.len()];
    let mut position = 0;
    for (i, &width) in digits.iter().enumerate() {
        let place = Place { first: i, step: digits.len(), position, width };
        match width {
            1..=3 => read_digit::<W, u8>(ctx, m, n, place, &mut items)?,
            4 => read_digit::<W, u16>(ctx, m, n, place, &mut items)?,
            5 => read_digit::<W, u32>(ctx, m, n, place, &mut items)?,
            _ => read_digit::<W, u64>(ctx, m, n, place, &mut items)?,
        }
        position += width;
    }
    let items = combine_levels(ctx, digits.len(), items)?;
    let first = ctx.first();
    let sign = |(i, m): (usize, &W)| {
        let less = items.get(i).map_or(0, |item| item & 1);
        less ^ top[i / copies] ^ if first { m.bit(k - 1) } else { 0 }
    };
    Ok(m.iter().enumerate().map(sign).collect())
}

/// Where a digit stands: in the number, and in the list of all digits.
struct Place {
    first: usize,
    step: usize,
    position: u32,
    width: u32,
}

/// Bit 0: `[c < d]`, bit 1: `[c = d]`, c the digit of an opened value and d that of its mask.
fn read_digit<W: Word, D: Stored>(
    ctx: &Ctx<'_, Evaluator>,
    m: &[W],
    n: usize,
    place: Place,
    items: &mut [u8],
) -> Result<()> {
    let hot = ctx.take::<D>(n)?;
    let copies = m.len() / n.max(1);
    let places = items.iter_mut().skip(place.first).step_by(place.step);
    for ((item, m), i) in places.zip(m).zip(0..) {
        let from = hot[i / copies].to_u64() >> (*m >> place.position).low(place.width).to_u64();
        let above = (from >> 1).count_ones() as u8 & 1;
        *item = above | ((from as u8 & 1) << 1);
    }
    Ok(())
}

/// Combines `digits` items per comparison into one.
pub(in crate::mpc) fn combine_levels(
    ctx: &Ctx<'_, Evaluator>,
    digits: usize,
    items: Vec<u8>,
) -> Result<Vec<u8>> {
    levels(digits).iter().try_fold(items, |items, level| combine(ctx, level, &items))
}

/// One hop of [`combine_levels`].
fn combine(ctx: &Ctx<'_, Evaluator>, level: &[Node], items: &[u8]) -> Result<Vec<u8>> {
    let per: usize = level.iter().map(|node| node.digits).sum();
    let n = items.len() / per;
    let start = |next: &mut usize, node: &Node| Some(std::mem::replace(next, *next + node.digits));
    let starts: Vec<usize> = level.iter().scan(0, start).collect();
    let mut shares = Vec::with_capacity(level.len());
    for node in level {
        let share: Vec<u32> = with_word!(node.share_bits(), S => {
            ctx.take::<S>(n)?.iter().map(|s| s.to_u64() as u32).collect()
        });
        shares.push(share);
    }
    let mut words = vec![0u8; n * level.len()];
    for (i, (words, items)) in words.chunks_exact_mut(level.len()).zip(items.chunks_exact(per)).enumerate() {
        for (g, node) in level.iter().enumerate() {
            let digits = &items[starts[g]..starts[g] + node.digits];
            words[g] = node.word(digits) ^ (shares[g][i] as u8).low(node.bits());
        }
    }
    let mut out = ctx.open(words, opened_bits(level), |x, y| x ^ y)?;
    let first = u32::from(ctx.first());
    let table = |node: &Node| {
        let one = first << (node.share_bits() - 1);
        (node.readings(&node.less()), node.readings(&node.equal()), one)
    };
    let tables: Vec<_> = level.iter().map(table).collect();
    for (i, (out, items)) in out.chunks_exact_mut(level.len()).zip(items.chunks_exact(per)).enumerate() {
        for (g, node) in level.iter().enumerate() {
            let (less, equal, one) = &tables[g];
            let share = shares[g][i] | one;
            let read = |table: &[u32]| (share & table[usize::from(out[g])]).count_ones() as u8 & 1;
            let highest = items[starts[g] + node.digits - 1] & 1;
            let (less, equal) = (read(less) ^ highest, read(equal));
            out[g] = less | equal << 1;
        }
    }
    Ok(out)
}
