//! Counts what a program sends, without any data.

use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use crate::cost::Cost;
use crate::ctx::{Ctx, StepTable, Steps};
use crate::error::{Error, Result};
use crate::mpc::{self, Bilinear, Dealt, ExpSpec, Lookup, Segments, SeriesSpec, Share, Signs};
use crate::primitives::{Primitives, RingWord};
use crate::ring::Word;
use crate::settings::Settings;
use crate::tensor::{Array, Shape};

/// Reads a program for its shapes only: the steps, and the exact bytes and hops of each.
#[derive(Debug, Default)]
pub struct Meter {
    costs: Mutex<Vec<(u32, Cost)>>,
    /// Hash of every public table, or of the numbers it is computed from, in program order.
    tables: Mutex<Sha256>,
}

/// What the parties agree on before the first message: the ordered steps and what each costs.
#[derive(Debug)]
pub struct Program {
    /// The steps.
    pub steps: Arc<StepTable>,
    /// Cost of each step that communicates or computes, by its index in `steps`.
    pub costs: Vec<(u32, Cost)>,
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
        let costs = meter.costs.into_inner().unwrap_or_else(PoisonError::into_inner);
        let sum = costs.iter().fold(Cost::default(), |sum, (_, c)| sum + *c);
        Ok(Program { steps: Arc::new(steps.take_table()), costs, total: Cost { hops, ..sum }, tables })
    }
}

impl Program {
    /// Digest of the ordered steps and their costs, of the settings and public tables, and of `public`: whatever else the parties
    /// must agree on (the model's configuration, the plan, shapes).
    pub fn digest(&self, public: &[&[u8]]) -> [u8; 32] {
        let mut hash = Sha256::new();
        let mut field = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        field(b"ditto program 1");
        field(&self.tables);
        field(format!("{:?}", self.steps.settings()).as_bytes());
        public.iter().for_each(|p| field(p));
        self.steps.names().iter().for_each(|name| field(name.as_bytes()));
        for (step, cost) in &self.costs {
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

    fn charge(&self, cost: Cost) {
        self.engine().costs.lock().unwrap_or_else(PoisonError::into_inner).push((self.id(), cost));
        if cost.hops > 0 {
            self.received(self.depth() + cost.hops - 1);
        }
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
        ctx.charge(mpc::bilinear::cost(op, x.shape(), y.shape(), x.width())?);
        Ok(Dealt::new(op.shape(x.shape(), y.shape())?, x.width()))
    }
    fn linear<W: RingWord>(ctx: &Ctx<'_, Self>, x: &Dealt<W>, w: &Shape) -> Result<Dealt<W>> {
        ctx.charge(mpc::linear::cost(x.shape(), w, x.width())?);
        Ok(Dealt::new(mpc::linear::shape(x.shape(), w)?, x.width()))
    }
    fn remask<W: RingWord>(ctx: &Ctx<'_, Self>, a: &Dealt<W>) -> Result<Dealt<W>> {
        ctx.charge(mpc::remask::cost(a.shape().len(), a.width()));
        Ok(a.clone())
    }
    fn upcast<W: RingWord, V: RingWord>(ctx: &Ctx<'_, Self>, x: &Dealt<W>, k2: u32) -> Result<Dealt<V>> {
        allowed(x.width() >= 2 && k2 > x.width() && k2 <= V::BITS, "an UpCast to a ring that is not larger")?;
        ctx.charge(mpc::upcast::cost(x.shape().len(), x.width(), k2));
        Ok(like(x, k2))
    }
    fn msb<W: RingWord>(ctx: &Ctx<'_, Self>, x: &Dealt<W>) -> Result<Dealt<u8>> {
        ctx.charge(mpc::msb::cost(x.shape().len(), x.width()));
        Ok(like(x, 1))
    }
    fn signs<W: RingWord>(ctx: &Ctx<'_, Self>, spec: &Signs, x: &Dealt<W>) -> Result<Dealt<u8>> {
        spec.check(x.width())?;
        ctx.note(format!("{spec:?}").as_bytes());
        ctx.charge(mpc::msb::signs_cost(x.shape().len(), spec));
        Ok(Dealt::new(spec.shape(x.shape()), 1))
    }
    fn xor<W: RingWord>(a: &Dealt<W>, b: &Dealt<W>) -> Result<Dealt<W>> {
        zip(a, b, "xor")
    }
    fn lookup<W: RingWord>(ctx: &Ctx<'_, Self>, x: &Dealt<W>, table: &Lookup) -> Result<Dealt<u64>> {
        ctx.note(format!("lookup {} {}", table.dropped(), table.word_bits()).as_bytes());
        ctx.note(bytemuck::cast_slice(table.words()));
        ctx.charge(mpc::lookup::cost(x.shape().len(), table.index_bits()));
        Ok(like(x, table.word_bits()))
    }
    fn open_bits<W: RingWord>(ctx: &Ctx<'_, Self>, x: &Dealt<W>) -> Result<Dealt<W>> {
        ctx.charge(mpc::open_bits::cost(x.shape().len(), x.width()));
        Ok(x.clone())
    }
    fn select<W: RingWord>(ctx: &Ctx<'_, Self>, bit: &Dealt<u8>, y: &Dealt<W>) -> Result<Dealt<W>> {
        if bit.shape() != y.shape() {
            return Err(Error::shape("select", bit.shape(), y.shape()));
        }
        ctx.charge(mpc::select::cost(y.shape().len(), y.width()));
        Ok(y.clone())
    }
    fn bits_to_arithmetic<W: RingWord, V: RingWord>(
        ctx: &Ctx<'_, Self>,
        x: &Dealt<W>,
        k: u32,
    ) -> Result<Dealt<V>> {
        ctx.charge(mpc::b2a::cost(x.shape().len(), x.width(), k));
        Ok(like(x, k))
    }
    fn exp<W: RingWord>(
        ctx: &Ctx<'_, Self>,
        spec: &ExpSpec,
        x: &Dealt<W>,
        zero: &Dealt<u8>,
    ) -> Result<Dealt<u32>> {
        if zero.shape() != x.shape() {
            return Err(Error::shape("exponential", x.shape(), zero.shape()));
        }
        ctx.note(format!("{spec:?}").as_bytes());
        ctx.charge(mpc::exp::cost(x.shape().len(), spec));
        Ok(like(x, spec.out_width))
    }
    fn series<W: RingWord>(ctx: &Ctx<'_, Self>, spec: &SeriesSpec, x: &Dealt<W>) -> Result<Dealt<u32>> {
        ctx.note(format!("{spec:?}").as_bytes());
        ctx.charge(mpc::series::cost(x.shape().len(), spec));
        Ok(like(x, spec.out_width))
    }
    fn segments(ctx: &Ctx<'_, Self>, spec: &Segments, word: &Dealt<u64>) -> Result<Dealt<u128>> {
        ctx.note(format!("{spec:?}").as_bytes());
        ctx.charge(mpc::segments::cost(word.shape().len(), spec));
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
        ctx.charge(mpc::newton::cost(r.shape().len(), r.width(), power));
        Ok(r.clone())
    }
}
