//! Counts what a program sends, without any data.

use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use crate::cost::{Cost, Work};
use crate::ctx::{Ctx, StepTable, Steps};
use crate::error::{Error, Result};
use crate::mpc::{self, Bilinear, Dealt, ExpSpec, Lookup, Segments, SeriesSpec, Share, Signs};
use crate::net::Peer;
use crate::primitives::{Primitives, RingWord};
use crate::ring::Word;
use crate::settings::Settings;
use crate::tensor::{Array, Shape};

/// Reads a program for its shapes only: the steps, and the exact bytes and hops of each.
#[derive(Debug, Default)]
pub struct Meter {
    charges: Mutex<Vec<Charge>>,
    /// Hash of every public table, or of the numbers it is computed from, in program order.
    tables: Mutex<Sha256>,
}

/// A call of a protocol.
#[derive(Clone, Copy, Debug)]
pub struct Charge {
    /// Index of its step in the program's steps.
    pub step: u32,
    /// What it sends.
    pub cost: Cost,
    /// What it computes.
    pub work: Work,
    /// Longest chain of messages once it is done.
    pub depth: u32,
}

/// What the parties agree on before the first message: the ordered steps and what each costs.
#[derive(Debug)]
pub struct Program {
    /// The steps.
    pub steps: Arc<StepTable>,
    /// Every call of a protocol that communicates or computes, in program order.
    pub charges: Vec<Charge>,
    /// Sum of all, with hops along the longest chain.
    pub total: Cost,
    /// Hash of the public tables that the evaluators must have in common.
    pub tables: [u8; 32],
}

impl Meter {
    /// Reads `model`, which gets a root context, and returns its program.
    pub fn read<T>(
        settings: Arc<Settings>,
        model: impl FnOnce(&Ctx<'_, Self>) -> Result<T>,
    ) -> Result<Program> {
        let (meter, steps) = (Self::default(), Steps::record(settings));
        let ctx = Ctx::root(&meter, &steps);
        model(&ctx)?;
        let hops = ctx.depth();
        drop(ctx);
        let tables = meter.tables.into_inner().unwrap_or_else(PoisonError::into_inner).finalize().into();
        let charges = meter.charges.into_inner().unwrap_or_else(PoisonError::into_inner);
        let sum = charges.iter().fold(Cost::default(), |sum, c| sum + c.cost);
        let table = steps.take_table().balanced(charges.iter().map(|c| (c.step, c.cost.offline)));
        Ok(Program { steps: Arc::new(table), charges, total: Cost { hops, ..sum }, tables })
    }
}

impl Program {
    /// Bytes that the helper sends to P0 and to P1 before the input is there.
    pub fn dealt(&self) -> [u64; 2] {
        let to = |peer| {
            let charges = self.charges.iter().filter(|c| self.steps.receiver(c.step) == peer);
            charges.map(|c| c.cost.offline).sum()
        };
        [Peer::P0, Peer::P1].map(to)
    }

    /// Digest of the ordered steps and their costs, of the settings and public tables, and of `public`: whatever else the parties
    /// must agree on (the model's configuration, the plan, shapes).
    pub fn digest(&self, public: &[&[u8]]) -> [u8; 32] {
        let mut hash = Sha256::new();
        let mut field = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        field(b"ditto program 2");
        field(&self.tables);
        field(format!("{:?}", self.steps.settings()).as_bytes());
        public.iter().for_each(|p| field(p));
        self.steps.names().iter().for_each(|name| field(name.as_bytes()));
        for Charge { step, cost, .. } in &self.charges {
            field(&step.to_le_bytes());
            field(&cost.online.to_le_bytes());
            field(&cost.offline.to_le_bytes());
        }
        hash.finalize().into()
    }
}

impl Ctx<'_, Meter> {
    /// Makes a public table part of the program.
    fn note(&self, table: &[u8]) {
        let mut tables = self.engine().tables.lock().unwrap_or_else(PoisonError::into_inner);
        tables.update(self.id().to_le_bytes());
        tables.update((table.len() as u64).to_le_bytes());
        tables.update(table);
    }

    pub(crate) fn charge(&self, cost: Cost, work: Work) {
        let mut charges = self.engine().charges.lock().unwrap_or_else(PoisonError::into_inner);
        if cost.hops > 0 {
            self.received(self.depth() + cost.hops - 1);
        }
        charges.push(Charge { step: self.id(), cost, work, depth: self.depth() });
    }
}

fn like<W: Word, V: Word>(x: &Dealt<W>, k: u32) -> Dealt<V>
where
    Dealt<W>: Share,
{
    Dealt::new(x.shape().clone(), k)
}

/// A change of ring that the protocols cannot do is found here, before any party starts.
fn allowed(possible: bool, what: &'static str) -> Result<()> {
    if possible { Ok(()) } else { Err(Error::Unsupported(what)) }
}

fn zip<W: RingWord>(x: &Dealt<W>, y: &Dealt<W>, op: &'static str) -> Result<Dealt<W>> {
    if x.width() != y.width() {
        return Err(Error::Unsupported("an operation on two ring widths"));
    }
    Ok(Dealt::new(x.shape().broadcast(y.shape(), op)?, x.width()))
}

impl Primitives for Meter {
    type Masked<W: RingWord> = Dealt<W>;
    type Additive<W: RingWord> = Dealt<W>;
    type Xor<W: RingWord> = Dealt<W>;
    type OpenedBits<W: RingWord> = Dealt<W>;
    type Weight<W: RingWord> = Shape;
    const TALKS: bool = false;

    fn add<W: RingWord>(x: &Dealt<W>, y: &Dealt<W>) -> Result<Dealt<W>> {
        zip(x, y, "add")
    }
    fn sub<W: RingWord>(x: &Dealt<W>, y: &Dealt<W>) -> Result<Dealt<W>> {
        zip(x, y, "subtract")
    }
    fn add_public<W: RingWord>(x: &Dealt<W>, c: &Array<i64>) -> Result<Dealt<W>> {
        Ok(Dealt::new(x.shape().broadcast(c.shape(), "add")?, x.width()))
    }
    fn mul_public<W: RingWord>(x: &Dealt<W>, _: i64) -> Result<Dealt<W>> {
        Ok(x.clone())
    }
    fn reduce<W: RingWord, V: RingWord>(x: &Dealt<W>, k2: u32) -> Result<Dealt<V>> {
        allowed(k2 <= x.width() && k2 <= V::BITS, "reducing to a larger ring")?;
        Ok(like(x, k2))
    }
    fn shift_up<W: RingWord, V: RingWord>(x: &Dealt<W>, up: u32) -> Result<Dealt<V>> {
        allowed(x.width() + up <= V::BITS, "shifting out of a word")?;
        Ok(like(x, x.width() + up))
    }
    fn floor_shift<W: RingWord, V: RingWord>(x: &Dealt<W>, drop: u32, k2: u32, _: bool) -> Result<Dealt<V>> {
        allowed(
            drop > 0 && drop + k2 <= x.width() && k2 <= V::BITS,
            "a DownCast that drops no bits or too many",
        )?;
        Ok(like(x, k2))
    }
    fn additive<W: RingWord>(_: &Ctx<'_, Self>, x: &Dealt<W>) -> Result<Dealt<W>> {
        Ok(x.clone())
    }
    fn add_additive<W: RingWord>(a: &Dealt<W>, b: &Dealt<W>) -> Result<Dealt<W>> {
        zip(a, b, "add")
    }
    fn add_public_additive<W: RingWord>(_: &Ctx<'_, Self>, a: &Dealt<W>, _: i64) -> Result<Dealt<W>> {
        Ok(a.clone())
    }
    fn mul_public_additive<W: RingWord>(a: &Dealt<W>, _: i64) -> Result<Dealt<W>> {
        Ok(a.clone())
    }
    fn reduce_additive<W: RingWord, V: RingWord>(a: &Dealt<W>, k2: u32) -> Result<Dealt<V>> {
        allowed(k2 <= a.width() && k2 <= V::BITS, "reducing to a larger ring")?;
        Ok(like(a, k2))
    }
    fn shift_up_additive<W: RingWord>(a: &Dealt<W>, up: u32) -> Result<Dealt<W>> {
        allowed(a.width() + up <= W::BITS, "shifting out of a word")?;
        Ok(like(a, a.width() + up))
    }
    fn shrink<W: RingWord>(_: &Ctx<'_, Self>, a: &Dealt<W>, drop: u32) -> Result<Dealt<W>> {
        allowed(drop < a.width(), "dropping all bits of a ring")?;
        Ok(like(a, a.width() - drop))
    }
    fn product<W: RingWord>(
        ctx: &Ctx<'_, Self>,
        op: Bilinear,
        x: &Dealt<W>,
        y: &Dealt<W>,
    ) -> Result<Dealt<W>> {
        if x.width() != y.width() {
            return Err(Error::Unsupported("a product of two ring widths"));
        }
        let (a, b, k) = (x.shape(), y.shape(), x.width());
        ctx.charge(mpc::bilinear::cost(op, a, b, k)?, mpc::bilinear::work::<W>(op, a, b, k)?);
        Ok(Dealt::new(op.shape(x.shape(), y.shape())?, x.width()))
    }
    fn linear<W: RingWord>(ctx: &Ctx<'_, Self>, x: &Dealt<W>, w: &Shape) -> Result<Dealt<W>> {
        let (a, k) = (x.shape(), x.width());
        ctx.charge(mpc::linear::cost(a, w, k)?, mpc::linear::work::<W>(a, w, k)?);
        Ok(Dealt::new(mpc::linear::shape(x.shape(), w)?, x.width()))
    }
    fn quadratic<W: RingWord>(ctx: &Ctx<'_, Self>, x: &Dealt<W>, _: i64, k: u32) -> Result<Dealt<u64>> {
        let (n, h) = (x.shape().len(), x.width());
        mpc::quadratic::check(h, k)?;
        ctx.charge(mpc::quadratic::cost(n, h, k), mpc::quadratic::work::<W>(n, h, k));
        Ok(like(x, k))
    }
    fn remask<W: RingWord>(ctx: &Ctx<'_, Self>, a: &Dealt<W>) -> Result<Dealt<W>> {
        let (n, k) = (a.shape().len(), a.width());
        ctx.charge(mpc::remask::cost(n, k), mpc::remask::work::<W>(n, k));
        Ok(a.clone())
    }
    fn upcast<W: RingWord, V: RingWord>(ctx: &Ctx<'_, Self>, x: &Dealt<W>, k2: u32) -> Result<Dealt<V>> {
        allowed(x.width() >= 2 && k2 > x.width() && k2 <= V::BITS, "an UpCast to a ring that is not larger")?;
        let (n, k) = (x.shape().len(), x.width());
        ctx.charge(mpc::upcast::cost(n, k, k2), mpc::upcast::work::<W, V>(n, k, k2));
        Ok(like(x, k2))
    }
    fn msb<W: RingWord>(ctx: &Ctx<'_, Self>, x: &Dealt<W>) -> Result<Dealt<u8>> {
        let (n, k) = (x.shape().len(), x.width());
        ctx.charge(mpc::msb::cost(n, k), mpc::msb::work::<W>(n, k));
        Ok(like(x, 1))
    }
    fn signs<W: RingWord>(ctx: &Ctx<'_, Self>, spec: &Signs, x: &Dealt<W>) -> Result<Dealt<u8>> {
        spec.check(x.width())?;
        ctx.note(format!("{spec:?}").as_bytes());
        let n = x.shape().len();
        ctx.charge(mpc::msb::signs_cost(n, spec), mpc::msb::signs_work::<W>(n, spec));
        Ok(Dealt::new(spec.shape(x.shape()), 1))
    }
    fn xor<W: RingWord>(a: &Dealt<W>, b: &Dealt<W>) -> Result<Dealt<W>> {
        zip(a, b, "xor")
    }
    fn lookup<W: RingWord>(ctx: &Ctx<'_, Self>, x: &Dealt<W>, table: &Lookup) -> Result<Dealt<u64>> {
        ctx.note(format!("lookup {} {}", table.dropped(), table.word_bits()).as_bytes());
        ctx.note(bytemuck::cast_slice(table.words()));
        let (n, bits) = (x.shape().len(), table.index_bits());
        ctx.charge(mpc::lookup::cost(n, bits), mpc::lookup::work::<W>(n, bits));
        Ok(like(x, table.word_bits()))
    }
    fn lookup_with_rest<W: RingWord, V: RingWord>(
        ctx: &Ctx<'_, Self>,
        x: &Dealt<W>,
        table: &Lookup,
        k: u32,
    ) -> Result<(Dealt<u64>, Dealt<V>)> {
        allowed(k <= V::BITS, "a rest that its word does not hold")?;
        let word = Self::lookup(ctx, x, table)?;
        let n = x.shape().len();
        ctx.charge(mpc::rest::cost(n, k), mpc::rest::work::<V>(n, k));
        Ok((word, like(x, k)))
    }
    fn part_of_bits<W: RingWord>(x: &Dealt<W>, from: u32, bits: u32) -> Result<Dealt<W>> {
        allowed(from + bits <= x.width(), "a part of bits that are not there")?;
        Ok(like(x, bits))
    }
    fn open_bits<W: RingWord>(ctx: &Ctx<'_, Self>, x: &Dealt<W>) -> Result<Dealt<W>> {
        let (n, bits) = (x.shape().len(), x.width());
        ctx.charge(mpc::open_bits::cost(n, bits), mpc::open_bits::work::<W>(n, bits));
        Ok(x.clone())
    }
    fn not(bit: &Dealt<u8>) -> Dealt<u8> {
        bit.clone()
    }
    fn select_all<W: RingWord>(ctx: &Ctx<'_, Self>, bits: &[&Dealt<u8>], y: &Dealt<W>) -> Result<Dealt<W>> {
        mpc::select::check(bits.iter().map(|b| b.shape()), y.shape())?;
        let (n, k) = (y.shape().len(), y.width());
        ctx.charge(mpc::select::cost(n, bits.len(), k), mpc::select::work::<W>(n, bits.len(), k));
        Ok(y.clone())
    }
    fn bits_to_arithmetic<W: RingWord, V: RingWord>(
        ctx: &Ctx<'_, Self>,
        x: &Dealt<W>,
        k: u32,
    ) -> Result<Dealt<V>> {
        let (n, bits) = (x.shape().len(), x.width());
        ctx.charge(mpc::b2a::cost(n, bits, k), mpc::b2a::work::<V>(n, bits, k));
        Ok(like(x, k))
    }
    fn exp<W: RingWord>(
        ctx: &Ctx<'_, Self>,
        spec: &ExpSpec,
        x: &Dealt<W>,
        zero: Option<&Dealt<u8>>,
    ) -> Result<Dealt<u64>> {
        ctx.note(format!("{spec:?}").as_bytes());
        let (n, by_bit) = (x.shape().len(), zero.is_some());
        spec.check(x.width())?;
        mpc::exp::check_shapes(x.shape(), zero.map(Share::shape))?;
        ctx.charge(mpc::exp::cost(n, spec, by_bit), mpc::exp::work::<W>(n, spec, by_bit));
        Ok(like(x, spec.out_width))
    }
    fn series<W: RingWord>(ctx: &Ctx<'_, Self>, spec: &SeriesSpec, x: &Dealt<W>) -> Result<Dealt<u32>> {
        ctx.note(spec.noted().as_bytes());
        let n = x.shape().len();
        ctx.charge(mpc::series::cost(n, spec), mpc::series::work::<W>(n, spec));
        Ok(like(x, spec.out_width))
    }
    fn segments(ctx: &Ctx<'_, Self>, spec: &Segments, word: &Dealt<u64>) -> Result<Dealt<u128>> {
        ctx.note(format!("{spec:?}").as_bytes());
        let n = word.shape().len();
        ctx.charge(mpc::segments::cost(n, spec), mpc::segments::work(n, spec));
        Ok(like(word, spec.width))
    }
    fn newton(
        ctx: &Ctx<'_, Self>,
        x: &Dealt<u128>,
        r: &Dealt<u128>,
        power: u32,
        _: u128,
    ) -> Result<Dealt<u128>> {
        zip(x, r, "newton step")?;
        let (n, k) = (r.shape().len(), r.width());
        ctx.charge(mpc::newton::cost(n, k, power), mpc::newton::work(n, k, power));
        Ok(r.clone())
    }
}
