//! Fixed point in one process, with every range condition checked.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use crate::ctx::{Ctx, Steps};
use crate::error::{Error, Result};
use crate::kernel::{self, PackedB};
use crate::mpc::{self, Bilinear, ExpSpec, Lookup, Segments, SeriesSpec, Share, Signs};
use crate::observe::{Observation, Origin, QUADRATIC, UPCAST, headroom};
use crate::prg::{Prg, Seed};
use crate::primitives::{Primitives, RingWord};
use crate::public_math;
use crate::ring::Word;
use crate::settings::Settings;
use crate::tensor::{Array, Concat, Shape, Structure, broadcast_zip};

/// Computes what the three parties would, on true integers in one process.
///
/// Integers are kept unwrapped, so a protocol whose range condition does not hold gives an [`Error::Range`] with the
/// step instead of a wrapped value. Coins of probabilistic rounding come from `seed`.
///
/// [`Simulate::observe`] reads on instead, and tells how near each condition's numbers came to its limits.
pub struct Simulate {
    coins: Prg,
    /// What was seen so far, by step and operation; absent where the first violation ends the run.
    seen: Option<Mutex<Seen>>,
}

type Seen = BTreeMap<(u32, &'static str), Observation>;

impl Simulate {
    /// Reads `model` in simulation.
    pub fn run<T>(
        settings: Arc<Settings>,
        seed: [u8; 16],
        model: impl FnOnce(&Ctx<'_, Self>) -> Result<T>,
    ) -> Result<T> {
        let engine = Self { coins: Prg::new(&Seed::new(seed)), seen: None };
        let steps = Steps::record(settings);
        model(&Ctx::root(&engine, &steps))
    }

    /// Reads `model` to its end whatever its numbers are, and returns what was seen of every range condition, in program
    /// order. Where a condition fails, numbers after it are what they would be in wide enough rings.
    pub fn observe<T>(
        settings: Arc<Settings>,
        seed: [u8; 16],
        model: impl FnOnce(&Ctx<'_, Self>) -> Result<T>,
    ) -> Result<(T, Vec<Observation>)> {
        let engine = Self { coins: Prg::new(&Seed::new(seed)), seen: Some(Mutex::default()) };
        let steps = Steps::record(settings);
        let out = model(&Ctx::root(&engine, &steps))?;
        let seen = engine.seen.unwrap_or_default().into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok((out, seen.into_values().collect()))
    }
}

impl std::fmt::Debug for Simulate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Simulate")
    }
}

/// The integers that a sharing in Z_{2^k} stands for.
#[derive(Clone, Debug)]
pub struct Simulated<W> {
    k: u32,
    /// Signed, not reduced modulo 2^k.
    values: Array<i128>,
    /// The weight that these numbers came through last.
    origin: Option<Origin>,
    word: PhantomData<W>,
}

/// The integers of a weight matrix, packed.
#[derive(Clone)]
pub struct SimulatedWeight {
    shape: Shape,
    packed: Arc<PackedB<u64>>,
    /// The largest sum of magnitudes of a column.
    column: u128,
    origin: Option<Origin>,
}

impl SimulatedWeight {
    /// From a row-major [k x n] matrix of integers.
    pub fn new(matrix: &Array<i64>) -> Result<Self> {
        let &[k, n] = matrix.shape().dims() else {
            return Err(Error::shape("weight", matrix.shape(), &Shape::new(&[0, 0])));
        };
        let words: Vec<u64> = matrix.data().iter().map(|&v| v as u64).collect();
        let mut columns = vec![0u128; n];
        for row in matrix.data().chunks(n.max(1)) {
            columns.iter_mut().zip(row).for_each(|(sum, &v)| *sum += u128::from(v.unsigned_abs()));
        }
        let column = columns.into_iter().max().unwrap_or(0);
        let packed = Arc::new(PackedB::new(64, &words, k, n));
        Ok(Self { shape: matrix.shape().clone(), packed, column, origin: None })
    }

    /// The same, with its name in the checkpoint.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self { origin: Some(Origin { weight: name.into(), rows: self.shape.last(), direct: true }), ..self }
    }

    /// `x W`, exactly: x goes in as many pieces as it takes for no product to wrap in a word.
    ///
    /// Columns whose magnitudes add up to 2^62 leave nothing for x: their product is taken modulo 2^64.
    fn product(&self, x: &Array<i128>, shape: &Shape) -> Result<Array<i128>> {
        let magnitude = i128::BITS - largest(x).leading_zeros();
        let piece = match (i128::BITS - self.column.leading_zeros()).min(62) {
            62 => i128::BITS - 1,
            column => 62 - column,
        };
        let mut sum = Array::zeros(shape.clone());
        for from in (0..magnitude.max(1)).step_by(piece as usize) {
            // The highest piece keeps the sign.
            let highest = from + piece >= magnitude;
            let part = x.map(|v| if highest { v >> from } else { v >> from & ((1 << piece) - 1) });
            let mut out = vec![0u64; shape.len()];
            kernel::matmul_packed(to_words(&part).data(), x.shape().rows(), &self.packed, &mut out);
            let part = from_words(&Array::new(shape.clone(), out)?);
            sum = sum.zip(&part, "linear", |s, p| s + (p << from))?;
        }
        Ok(sum)
    }
}

impl<W> Simulated<W> {
    /// Integers as a sharing in Z_{2^k}.
    pub fn new(values: Array<i128>, k: u32) -> Self {
        Self { k, values, origin: None, word: PhantomData }
    }

    /// The same, as a weight of this name in the checkpoint.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        let rows = self.values.len();
        self.from(Some(Origin { weight: name.into(), rows, direct: true }))
    }

    fn from(self, origin: Option<Origin>) -> Self {
        Self { origin, ..self }
    }

    /// The weight of what is computed from these numbers by more than sums and shifts.
    fn beyond(&self) -> Option<Origin> {
        self.origin.clone().map(|o| Origin { direct: false, ..o })
    }

    /// The integers.
    pub fn values(&self) -> &Array<i128> {
        &self.values
    }
}

impl<W: RingWord> Share for Simulated<W> {
    fn shape(&self) -> &Shape {
        self.values.shape()
    }
    fn width(&self) -> u32 {
        self.k
    }
    fn restructure(&self, by: &impl Structure) -> Result<Self> {
        Ok(Self::new(by.apply_to(&self.values)?, self.k).from(self.origin.clone()))
    }
    fn concat(parts: &[&Self], axis: usize) -> Result<Self> {
        let all: Vec<_> = parts.iter().map(|p| &p.values).collect();
        Ok(Self::new(Concat { axis }.join(&all)?, parts[0].k).from(parts[0].origin.clone()))
    }
}

impl Ctx<'_, Simulate> {
    /// Uniform numbers below 2^bits, one per element.
    fn coins(&self, n: usize, bits: u32) -> Vec<u64> {
        let blocks = Prg::blocks(8 * n);
        let counter = self.counters().prg[0].fetch_add(blocks, Ordering::Relaxed);
        self.engine().coins.words(self.id(), counter, n, bits)
    }

    /// Checks `low <= x < high`.
    fn check<W>(&self, op: &'static str, x: &Simulated<W>, low: i128, high: i128) -> Result<()> {
        self.check_in_units(op, x, low, high, 1.0)
    }

    /// The same of numbers that count in `unit`s.
    fn check_in_units<W>(
        &self,
        op: &'static str,
        x: &Simulated<W>,
        low: i128,
        high: i128,
        unit: f64,
    ) -> Result<()> {
        let Some(seen) = &self.engine().seen else {
            let bad = x.values.data().iter().copied().filter(|v| !(low..high).contains(v));
            return match bad.max_by_key(|v| v.unsigned_abs()) {
                None => Ok(()),
                Some(worst) => Err(Error::Range {
                    step: self.path().to_owned(),
                    op,
                    worst: worst.unsigned_abs() as f64,
                    limit: (if worst < low { low } else { high }).unsigned_abs() as f64,
                }),
            };
        };
        let data = x.values.data();
        let Some(&first) = data.first() else { return Ok(()) };
        let (mut least, mut greatest) = ((first, 0), (first, 0));
        for (i, &v) in data.iter().enumerate() {
            if v < least.0 {
                least = (v, i);
            }
            if v > greatest.0 {
                greatest = (v, i);
            }
        }
        let number = |int: i128| int as f64 * unit;
        let (low, high) = (number(low), number(high));
        let (bits, above) = headroom(number(least.0), number(greatest.0), low, high);
        if self.by_construction() && bits >= 0.0 {
            return Ok(());
        }
        let place = if above { greatest.1 } else { least.1 };
        let row = x.origin.as_ref().and_then(|o| row_of(o.rows, x.values.shape(), place));
        let new = Observation {
            step: self.place().to_owned(),
            op,
            low,
            high,
            least: number(least.0),
            greatest: number(greatest.0),
            headroom: bits,
            weight: x.origin.as_ref().map(|o| o.weight.clone()),
            row,
            direct: x.origin.as_ref().is_some_and(|o| o.direct),
        };
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        match seen.entry((self.id(), op)) {
            std::collections::btree_map::Entry::Vacant(v) => {
                v.insert(new);
            }
            std::collections::btree_map::Entry::Occupied(mut o) => o.get_mut().merge(new),
        }
        Ok(())
    }

    fn round(&self, x: &Array<i128>, drop: u32) -> Result<Array<i128>> {
        let coins = Array::new(x.shape().clone(), self.coins(x.len(), drop))?;
        x.zip(&coins, "shrink", |v, c| (v + i128::from(c)) >> drop)
    }
}

/// The row of a weight (its output) that element `place` of a tensor came from, for shapes that still tell: the outputs
/// last, or heads split off them.
fn row_of(rows: usize, shape: &Shape, place: usize) -> Option<usize> {
    match *shape.dims() {
        [.., last] if last == rows => Some(place % last),
        [heads, n, d] if heads * d == rows => Some(place / (n * d) * d + place % d),
        _ => None,
    }
}

fn with<W, V>(x: &Simulated<W>, k: u32, f: impl Fn(i128) -> i128 + Sync) -> Simulated<V> {
    Simulated::new(x.values.map(f), k).from(x.origin.clone())
}

/// Where a result of two operands came through: the first that is known.
fn either<A, B>(x: &Simulated<A>, y: &Simulated<B>) -> Option<Origin> {
    x.origin.clone().or_else(|| y.origin.clone())
}

fn zip<W>(
    x: &Simulated<W>,
    y: &Simulated<W>,
    op: &'static str,
    f: impl Fn(i128, i128) -> i128 + Sync,
) -> Result<Simulated<W>> {
    Ok(Simulated::new(broadcast_zip(&x.values, &y.values, op, f)?, x.k).from(either(x, y)))
}

/// The largest magnitude.
fn largest(x: &Array<i128>) -> u128 {
    x.data().iter().map(|v| v.unsigned_abs()).max().unwrap_or(0)
}

/// Low 64 bits of the integers, and back: exact while results stay below 2^63.
fn to_words(x: &Array<i128>) -> Array<u64> {
    x.map(|v| v as u64)
}
fn from_words(x: &Array<u64>) -> Array<i128> {
    x.map(|v| i128::from(v as i64))
}

impl Primitives for Simulate {
    type Masked<W: RingWord> = Simulated<W>;
    type Additive<W: RingWord> = Simulated<W>;
    type Xor<W: RingWord> = Simulated<W>;
    type OpenedBits<W: RingWord> = Simulated<W>;
    type Weight<W: RingWord> = SimulatedWeight;
    const TALKS: bool = false;

    fn add<W: RingWord>(x: &Simulated<W>, y: &Simulated<W>) -> Result<Simulated<W>> {
        zip(x, y, "add", |a, b| a + b)
    }
    fn sub<W: RingWord>(x: &Simulated<W>, y: &Simulated<W>) -> Result<Simulated<W>> {
        zip(x, y, "subtract", |a, b| a - b)
    }
    fn add_public<W: RingWord>(x: &Simulated<W>, c: &Array<i64>) -> Result<Simulated<W>> {
        let sum = broadcast_zip(&x.values, c, "add", |a, c| a + i128::from(c))?;
        Ok(Simulated::new(sum, x.k).from(x.origin.clone()))
    }
    fn mul_public<W: RingWord>(x: &Simulated<W>, c: i64) -> Result<Simulated<W>> {
        Ok(with(x, x.k, |v| v * i128::from(c)))
    }
    fn reduce<W: RingWord, V: RingWord>(x: &Simulated<W>, k2: u32) -> Result<Simulated<V>> {
        Ok(with(x, k2, |v| v))
    }
    fn shift_up<W: RingWord, V: RingWord>(x: &Simulated<W>, up: u32) -> Result<Simulated<V>> {
        Ok(with(x, x.k + up, |v| v << up))
    }
    fn floor_shift<W: RingWord, V: RingWord>(
        x: &Simulated<W>,
        drop: u32,
        k2: u32,
        centred: bool,
    ) -> Result<Simulated<V>> {
        // Without a context there are no coins: take the middle of the two masks' low parts.
        let carry = if centred { (1i128 << drop) - (1 << (drop - 1)) } else { (1 << drop) - 1 };
        Ok(with(x, k2, |v| (v + carry) >> drop))
    }
    fn additive<W: RingWord>(_: &Ctx<'_, Self>, x: &Simulated<W>) -> Result<Simulated<W>> {
        Ok(x.clone().from(x.beyond()))
    }
    fn add_additive<W: RingWord>(a: &Simulated<W>, b: &Simulated<W>) -> Result<Simulated<W>> {
        zip(a, b, "add", |a, b| a + b)
    }
    fn add_public_additive<W: RingWord>(_: &Ctx<'_, Self>, a: &Simulated<W>, c: i64) -> Result<Simulated<W>> {
        Ok(with(a, a.k, |v| v + i128::from(c)))
    }
    fn mul_public_additive<W: RingWord>(a: &Simulated<W>, c: i64) -> Result<Simulated<W>> {
        Ok(with(a, a.k, |v| v * i128::from(c)))
    }
    fn reduce_additive<W: RingWord, V: RingWord>(a: &Simulated<W>, k2: u32) -> Result<Simulated<V>> {
        Ok(with(a, k2, |v| v))
    }
    fn shift_up_additive<W: RingWord>(a: &Simulated<W>, up: u32) -> Result<Simulated<W>> {
        Ok(with(a, a.k + up, |v| v << up))
    }
    fn shrink<W: RingWord>(ctx: &Ctx<'_, Self>, a: &Simulated<W>, drop: u32) -> Result<Simulated<W>> {
        Ok(Simulated::new(ctx.round(&a.values, drop)?, a.k - drop).from(a.origin.clone()))
    }
    fn product<W: RingWord>(
        _: &Ctx<'_, Self>,
        op: Bilinear,
        x: &Simulated<W>,
        y: &Simulated<W>,
    ) -> Result<Simulated<W>> {
        let terms = if op == Bilinear::Elementwise { 1 } else { x.shape().last() };
        let bound = largest(&x.values) as f64 * largest(&y.values) as f64 * terms as f64;
        let z = if bound < public_math::power_of_two(63) {
            from_words(&op.apply(64, &to_words(&x.values), &to_words(&y.values))?)
        } else {
            // Nothing may wrap, for the checks after it would not see that.
            let wide = |a: &Array<i128>| a.map(|v| v as u128);
            op.apply(128, &wide(&x.values), &wide(&y.values))?.map(|v| v as i128)
        };
        // Of rows and a gain, the gain tells more; of exponentials and values, the values. A sum of products comes from no
        // single row.
        let own = |o: &Simulated<W>| o.origin.as_ref().is_some_and(|o| o.direct);
        let sum = |origin: Option<Origin>| origin.map(|o| Origin { rows: 0, direct: false, ..o });
        let origin = match op {
            Bilinear::Elementwise if own(y) && !own(x) => y.origin.clone(),
            Bilinear::Elementwise => either(x, y),
            Bilinear::MatMul | Bilinear::CausalMix { .. } => sum(either(y, x)),
            Bilinear::MatMulTransposed | Bilinear::CausalScores | Bilinear::RowDot => sum(either(x, y)),
        };
        Ok(Simulated::new(z, x.k).from(origin))
    }
    fn linear<W: RingWord>(_: &Ctx<'_, Self>, x: &Simulated<W>, w: &SimulatedWeight) -> Result<Simulated<W>> {
        let shape = mpc::linear::shape(x.shape(), &w.shape)?;
        Ok(Simulated::new(w.product(&x.values, &shape)?, x.k).from(w.origin.clone()))
    }
    fn quadratic<W: RingWord>(
        ctx: &Ctx<'_, Self>,
        x: &Simulated<W>,
        a: i64,
        k: u32,
    ) -> Result<Simulated<u64>> {
        mpc::quadratic::check(x.k, k)?;
        let limit = 1i128 << (x.k - 2);
        ctx.check(QUADRATIC, x, -limit, limit)?;
        let z = x.values.map(|v| v.saturating_mul(v.saturating_add(a.into())));
        let z = Simulated::<u64>::new(z, k).from(x.beyond());
        let limit = 1i128 << (k - 1);
        ctx.check("polynomial", &z, -limit, limit)?;
        Ok(z)
    }
    fn remask<W: RingWord>(_: &Ctx<'_, Self>, a: &Simulated<W>) -> Result<Simulated<W>> {
        Ok(a.clone())
    }
    fn upcast<W: RingWord, V: RingWord>(
        ctx: &Ctx<'_, Self>,
        x: &Simulated<W>,
        k2: u32,
    ) -> Result<Simulated<V>> {
        let limit = 1i128 << (x.k - 2);
        ctx.check(UPCAST, x, -limit, limit)?;
        Ok(with(x, k2, |v| v).from(x.beyond()))
    }
    fn msb<W: RingWord>(ctx: &Ctx<'_, Self>, x: &Simulated<W>) -> Result<Simulated<u8>> {
        let limit = 1i128 << (x.k - 1);
        ctx.check("comparison", x, -limit, limit)?;
        Ok(with(x, 1, |v| i128::from(v < 0)))
    }
    fn signs<W: RingWord>(ctx: &Ctx<'_, Self>, spec: &Signs, x: &Simulated<W>) -> Result<Simulated<u8>> {
        let limit = 1i128 << (spec.bits - 1);
        let coins = Array::new(x.shape().clone(), ctx.coins(x.values.len(), spec.drop))?;
        let mut signs = Vec::with_capacity(x.values.len() * spec.add.len());
        for &a in &spec.add {
            // The dropped bits of the mask carry or not, alike for all shifts.
            let quotient = x
                .values
                .zip(&coins, "comparison", |v, c| (v + i128::from(a) + i128::from(c)) >> spec.drop)?;
            let quotient = Simulated::<W>::new(quotient, spec.bits).from(x.origin.clone());
            ctx.check("comparison", &quotient, -limit, limit)?;
            signs.extend(quotient.values.data().iter().map(|&v| i128::from(v < 0)));
        }
        Ok(Simulated::new(Array::new(spec.shape(x.shape()), signs)?, 1))
    }
    fn xor<W: RingWord>(a: &Simulated<W>, b: &Simulated<W>) -> Result<Simulated<W>> {
        zip(a, b, "xor", |a, b| a ^ b)
    }
    fn lookup<W: RingWord>(ctx: &Ctx<'_, Self>, x: &Simulated<W>, table: &Lookup) -> Result<Simulated<u64>> {
        let words = ctx.round(&x.values, table.dropped())?.map(|i| i128::from(table.read(i as u64)));
        Ok(Simulated::new(words, table.word_bits()).from(x.beyond()))
    }
    fn lookup_with_rest<W: RingWord, V: RingWord>(
        ctx: &Ctx<'_, Self>,
        x: &Simulated<W>,
        table: &Lookup,
        k: u32,
    ) -> Result<(Simulated<u64>, Simulated<V>)> {
        let index = ctx.round(&x.values, table.dropped())?;
        let rest = x.values.zip(&index, "lookup", |v, i| v - (i << table.dropped()))?;
        let words = index.map(|i| i128::from(table.read(i as u64)));
        let word = Simulated::new(words, table.word_bits()).from(x.beyond());
        Ok((word, Simulated::new(rest, k).from(x.beyond())))
    }
    fn part_of_bits<W: RingWord>(x: &Simulated<W>, from: u32, bits: u32) -> Result<Simulated<W>> {
        Ok(with(x, bits, |v| (v >> from) & ((1 << bits) - 1)))
    }
    fn open_bits<W: RingWord>(_: &Ctx<'_, Self>, x: &Simulated<W>) -> Result<Simulated<W>> {
        Ok(x.clone())
    }
    fn not(bit: &Simulated<u8>) -> Simulated<u8> {
        with(bit, 1, |b| 1 - b)
    }
    fn select_all<W: RingWord>(
        _: &Ctx<'_, Self>,
        bits: &[&Simulated<u8>],
        y: &Simulated<W>,
    ) -> Result<Simulated<W>> {
        mpc::select::check(bits.iter().map(|b| b.values.shape()), y.values.shape())?;
        let all = bits.iter().try_fold(y.values.clone(), |v, b| v.zip(&b.values, "select", |v, b| v * b));
        Ok(Simulated::new(all?, y.k).from(y.beyond()))
    }
    fn bits_to_arithmetic<W: RingWord, V: RingWord>(
        _: &Ctx<'_, Self>,
        x: &Simulated<W>,
        k: u32,
    ) -> Result<Simulated<V>> {
        Ok(with(x, k, |v| v))
    }
    fn exp<W: RingWord>(
        ctx: &Ctx<'_, Self>,
        spec: &ExpSpec,
        x: &Simulated<W>,
        zero: Option<&Simulated<u8>>,
    ) -> Result<Simulated<u64>> {
        // Where the bit is set, an argument in range counts for the checks and its exponential for nothing.
        let kept = match zero {
            Some(zero) => x.values.zip(&zero.values, "exponential", |v, z| if z == 1 { 0 } else { v })?,
            None => x.values.clone(),
        };
        let kept = Simulated::<W>::new(kept, x.k).from(x.origin.clone());
        ctx.check("exponential", &kept, 1 - (1i128 << (spec.argument() - 1)), 1)?;
        let unit = public_math::power_of_two(-(spec.fraction as i32));
        let scale = public_math::power_of_two(spec.out_fraction as i32 + 16);
        // An argument above 0 was a violation; observed on, it is the row's maximum after all.
        let exact = kept.values.map(|v| (public_math::exp(v.min(0) as f64 * unit) * scale) as i128);
        let exact = match zero {
            Some(zero) => exact.zip(&zero.values, "exponential", |e, z| if z == 1 { 0 } else { e })?,
            None => exact,
        };
        Ok(Simulated::new(ctx.round(&exact, 16)?, spec.out_width).from(x.beyond()))
    }
    fn series<W: RingWord>(
        ctx: &Ctx<'_, Self>,
        spec: &SeriesSpec,
        x: &Simulated<W>,
    ) -> Result<Simulated<u32>> {
        let fine = spec.scale().max(spec.out_fraction + 1);
        let unit = public_math::power_of_two(fine as i32);
        let scaled = x.values.map(|v| (spec.value(v as i64) * unit).round_ties_even() as i128);
        let out = ctx.round(&scaled, fine - spec.out_fraction)?;
        Ok(Simulated::new(out, spec.out_width).from(x.beyond()))
    }
    fn segments(_: &Ctx<'_, Self>, spec: &Segments, word: &Simulated<u64>) -> Result<Simulated<u128>> {
        Ok(with(word, spec.width, |w| spec.value(w as u64) as i128))
    }
    fn newton(
        ctx: &Ctx<'_, Self>,
        x: &Simulated<u128>,
        r: &Simulated<u128>,
        power: u32,
        lead: u128,
    ) -> Result<Simulated<u128>> {
        let k = r.k;
        if ctx.engine().seen.is_some() {
            let z = x.values.zip(&r.values, "newton step", |x, r| newton_without_ring(x, r, power, lead))?;
            return Ok(Simulated::new(z, k).from(x.beyond()));
        }
        let modular = |v: i128| (v as u128).low(k);
        let signed = |v: u128| ((v << (128 - k)) as i128) >> (128 - k);
        let z = x.values.zip(&r.values, "newton step", |x, r| {
            let (x, r) = (modular(x), modular(r));
            signed(lead.wrapping_mul(r).wrapping_sub(x.wrapping_mul(r.wrapping_pow(power))).low(k))
        })?;
        // The terms must not wrap: compare with floats.
        for ((&x, &r), &z) in x.values.data().iter().zip(r.values.data()).zip(z.data()) {
            let exact = lead as f64 * r as f64 - x as f64 * (r as f64).powi(power as i32);
            let limit = public_math::power_of_two(k as i32 - 1);
            if exact.abs() >= limit || (exact - z as f64).abs() > 1e-6 * limit {
                return Err(Error::Range {
                    step: ctx.path().to_owned(),
                    op: "newton step",
                    worst: exact.abs(),
                    limit,
                });
            }
        }
        Ok(Simulated::new(z, k))
    }
    fn claim<W: RingWord>(
        ctx: &Ctx<'_, Self>,
        op: &'static str,
        x: &Simulated<W>,
        fraction: i32,
        low: f64,
        high: f64,
    ) -> Result<()> {
        let scale = public_math::power_of_two(fraction);
        let unit = public_math::power_of_two(-fraction);
        ctx.check_in_units(op, x, (low * scale) as i128, (high * scale) as i128, unit)
    }
    fn disregard_outside<W: RingWord>(
        ctx: &Ctx<'_, Self>,
        x: &Simulated<W>,
        low: i64,
        high: i64,
    ) -> Result<Simulated<W>> {
        let (low, high) = (i128::from(low), i128::from(high));
        let coins = Array::new(x.shape().clone(), ctx.coins(x.values.len(), 64))?;
        let inside = |v: i128, c: u64| {
            if (low..high).contains(&v) { v } else { low + i128::from(c) % (high - low).max(1) }
        };
        let values = x.values.zip(&coins, "values that do not count", inside)?;
        Ok(Simulated::new(values, x.k).from(x.origin.clone()))
    }
}

/// A Newton step in floats. A guess that is far off comes of an argument outside its range, which was seen before: then
/// the inverse itself, so that what follows is judged by its own conditions.
fn newton_without_ring(x: i128, r: i128, power: u32, lead: u128) -> i128 {
    let (x, lead) = (x.max(1) as f64, lead as f64);
    // Where the step stands still: x r^(p-1) = lead / p.
    let inverse = (lead / f64::from(power) / x).powf(1.0 / f64::from(power - 1));
    let guess = r as f64;
    let exact = (guess - inverse).abs() < 0.25 * inverse;
    let guess = if exact { guess } else { inverse };
    (lead * guess - x * guess.powi(power as i32)) as i128
}
