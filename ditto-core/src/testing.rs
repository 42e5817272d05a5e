//! A world of three parties in one process, for tests of protocols.
//!
//! A [`Case`] is code over any [`Primitives`]. [`run`] shares its inputs, lets three parties preprocess and two of them
//! compute over in-memory channels, reconstructs the output, and reports what was counted beside what was metered.

mod script;
pub(crate) mod watch;

use std::sync::Arc;
use std::time::Duration;

use crate::cost::Cost;
use crate::ctx::{Ctx, Steps};
use crate::engine::{Meter, Program, Simulate, Simulated, SimulatedWeight};
use crate::error::{Error, Result};
use crate::kernel::{PackedB, pack};
use crate::mpc::{Dealt, Evaluator, Mask, Masked, Preprocess, Role, Roles, Share, Store, Weight};
use crate::net::{Channel, Limits, Peer, pair};
use crate::prg::{Prg, Seed};
use crate::primitives::{Primitives, RingWord};
use crate::ring::Word;
use crate::tensor::{Array, Shape};
use num_traits::WrappingSub;

pub use script::Script;
use watch::Watched;

/// Code over shares under test.
pub trait Case: Sync {
    /// Word of the inputs.
    type In: RingWord;
    /// Word of the output.
    type Out: RingWord;
    /// The code.
    fn run<P: Primitives>(&self, ctx: &Ctx<'_, P>, x: &[P::Masked<Self::In>])
    -> Result<P::Masked<Self::Out>>;
}

/// Code that also multiplies with weights.
pub trait Weighted: Sync {
    /// Word of inputs and weights.
    type In: RingWord;
    /// Word of the output.
    type Out: RingWord;
    /// The code.
    fn run_weighted<P: Primitives>(
        &self,
        ctx: &Ctx<'_, P>,
        x: &[P::Masked<Self::In>],
        weights: &[P::Weight<Self::In>],
    ) -> Result<P::Masked<Self::Out>>;
}

impl<C: Case> Weighted for C {
    type In = C::In;
    type Out = C::Out;
    fn run_weighted<P: Primitives>(
        &self,
        ctx: &Ctx<'_, P>,
        x: &[P::Masked<C::In>],
        _: &[P::Weight<C::In>],
    ) -> Result<P::Masked<C::Out>> {
        self.run(ctx, x)
    }
}

/// What the three parties run: the same code under their two engines. Every [`Weighted`] is one; parts of protocols
/// that are no [`Primitives`] of their own can be tested by implementing this.
pub(crate) trait Parties: Sync {
    type In: RingWord;
    type Out: RingWord;
    fn meter(&self, x: &[Dealt<Self::In>], weights: &[Shape]) -> Result<Program>;
    fn offline(
        &self,
        ctx: &Ctx<'_, Preprocess>,
        x: &[Mask<Self::In>],
        weights: &[Weight<Self::In>],
    ) -> Result<()>;
    fn online(
        &self,
        ctx: &Ctx<'_, Evaluator>,
        x: &[Masked<Self::In>],
        weights: &[Weight<Self::In>],
    ) -> Result<Masked<Self::Out>>;
}

impl<C: Weighted> Parties for C {
    type In = C::In;
    type Out = C::Out;
    fn meter(&self, x: &[Dealt<C::In>], weights: &[Shape]) -> Result<Program> {
        Meter::read(Arc::default(), |ctx| self.run_weighted(ctx, x, weights))
    }
    fn offline(&self, ctx: &Ctx<'_, Preprocess>, x: &[Mask<C::In>], weights: &[Weight<C::In>]) -> Result<()> {
        self.run_weighted(ctx, x, weights).map(drop)
    }
    fn online(
        &self,
        ctx: &Ctx<'_, Evaluator>,
        x: &[Masked<C::In>],
        weights: &[Weight<C::In>],
    ) -> Result<Masked<C::Out>> {
        self.run_weighted(ctx, x, weights)
    }
}

/// Signed integers to share in Z_{2^k}.
#[derive(Clone, Debug)]
pub struct Input {
    /// Shape of the tensor.
    pub shape: Shape,
    /// Ring width.
    pub k: u32,
    /// Values; taken modulo 2^k.
    pub values: Vec<i64>,
}

impl Input {
    /// A vector.
    pub fn new(k: u32, values: Vec<i64>) -> Self {
        Self { shape: Shape::new(&[values.len()]), k, values }
    }

    /// A tensor of another shape.
    pub fn shaped(k: u32, dims: &[usize], values: Vec<i64>) -> Self {
        Self { shape: Shape::new(dims), k, values }
    }
}

/// What came of a case.
#[derive(Debug)]
pub struct Outcome {
    /// Shape of the output.
    pub shape: Shape,
    /// Width of the output's ring.
    pub k: u32,
    /// The output as signed integers; of rings above 64 bits the low 64 bits.
    pub values: Vec<i64>,
    /// What the channels counted.
    pub counted: Cost,
    /// What the meter said beforehand. `multiply_adds` is metered only.
    pub metered: Cost,
    /// Bytes that P0 or P1 sent to P2 while the case ran: 0 if the helper learns nothing.
    pub to_helper: u64,
}

fn deadline() -> Limits {
    Limits { time_limit: Duration::from_secs(20), ..Limits::default() }
}

/// Generators of one run: between P0 and P2, between P1 and P2, and for the inputs' masks.
pub struct Generators {
    /// A fresh copy of the generator shared by P0 (0) or P1 (1) and P2.
    pub pair: Box<dyn Fn(usize) -> Prg + Sync>,
    /// The generator of the inputs' masks l0 (0) and l1 (1).
    pub input: Box<dyn Fn(usize) -> Prg + Sync>,
    /// Whether P0 and P1 change places in all that is dealt: who draws a share, and who receives one.
    pub mirrored: bool,
}

impl Generators {
    /// AES keyed by a number.
    pub fn seeded(seed: u64) -> Self {
        let prg = move |tag: u8, which: usize| {
            let mut key = [tag; 16];
            key[..8].copy_from_slice(&seed.to_le_bytes());
            key[8] = which as u8;
            Prg::new(&Seed::new(key))
        };
        Self { pair: Box::new(move |i| prg(1, i)), input: Box::new(move |i| prg(2, i)), mirrored: false }
    }

    /// A script: streams 0 and 2 are what P0 draws from, 1 and 3 what P1 draws from.
    pub fn scripted(script: &Arc<Script>) -> Self {
        let (pairs, inputs) = (script.clone(), script.clone());
        Self {
            pair: Box::new(move |i| Prg::scripted(i as u8, pairs.clone())),
            input: Box::new(move |i| Prg::scripted(2 + i as u8, inputs.clone())),
            mirrored: false,
        }
    }
}

/// Runs a case with three parties under a seed.
pub fn run<C: Case>(case: &C, inputs: &[Input], seed: u64) -> Result<Outcome> {
    run_weighted(case, inputs, &[], seed)
}

/// Runs a case with weights; these are matrices.
pub fn run_weighted<C: Weighted>(
    case: &C,
    inputs: &[Input],
    weights: &[Input],
    seed: u64,
) -> Result<Outcome> {
    run_with(case, inputs, weights, &Generators::seeded(seed)).map(|(outcome, _)| outcome)
}

/// What one evaluator was told: the masked inputs, then every payload that it received from the helper and from the
/// other evaluator. With what its generators said, this is all that it sees.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct View(pub Vec<Vec<u8>>);

/// A tensor shared with three parties: each one's masks, their sum, and the masked words.
struct Shared<W> {
    masks: [Mask<W>; 3],
    lambda: Array<W>,
    masked: Array<W>,
}

impl<W: RingWord> Shared<W> {
    fn new(input: &Input, index: usize, generators: &Generators) -> Result<Self> {
        let k = input.k;
        let draw = |which: usize| -> Result<Array<W>> {
            let words = (generators.input)(which).words(index as u32, 0, input.values.len(), k);
            Array::new(input.shape.clone(), words)
        };
        let (l0, l1) = (draw(0)?, draw(1)?);
        let lambda = l0.zip(&l1, "mask", |a, b| a.wrapping_add(&b).low(k))?;
        let m = input.values.iter().zip(lambda.data());
        let m = m.map(|(&v, l)| W::from_i64(v).wrapping_add(l).low(k)).collect();
        Ok(Self {
            masked: Array::new(input.shape.clone(), m)?,
            lambda,
            masks: [
                Mask::own_part(Role::P0, k, l0.clone()),
                Mask::own_part(Role::P1, k, l1.clone()),
                Mask::both(k, l0, l1),
            ],
        })
    }

    /// A party's packed matrix before the input is there, and with it.
    fn weight(&self, role: Role) -> Result<[Weight<W>; 2]> {
        let &[rows, columns] = self.masked.shape().dims() else {
            return Err(Error::Internal("a weight is a matrix"));
        };
        let k = self.masks[0].width();
        let packed = |w: &Array<W>| Weight::new(Arc::new(PackedB::new(k, w.data(), rows, columns)));
        if role == Role::P2 {
            let lambda = packed(&self.lambda);
            return Ok([lambda.clone(), lambda]);
        }
        // P0's output part is m - l0, P1's is l1: what they multiply with.
        let own = Masked::from_mask(&self.masks[role.index()], self.masked.clone())?;
        let part = Array::new(self.masked.shape().clone(), own.output_part(role)?)?;
        Ok([packed(&self.masked), packed(&part)])
    }
}

/// Runs a case under given generators; also returns what P0 and P1 were told.
pub(crate) fn run_with<C: Parties>(
    case: &C,
    inputs: &[Input],
    weights: &[Input],
    generators: &Generators,
) -> Result<(Outcome, [View; 2])> {
    let x: Vec<_> = inputs.iter().map(|i| Dealt::new(i.shape.clone(), i.k)).collect();
    let shapes: Vec<_> = weights.iter().map(|i| i.shape.clone()).collect();
    let metered = case.meter(&x, &shapes)?;
    let share = |(i, input): (usize, &Input)| Shared::<C::In>::new(input, i, generators);
    let all = inputs.iter().chain(weights).enumerate().map(share).collect::<Result<Vec<_>>>()?;
    let (x, w) = all.split_at(inputs.len());
    let masks = Role::ALL.map(|role| x.iter().map(|x| x.masks[role.index()].clone()).collect::<Vec<_>>());
    let mut matrices: [[Vec<_>; 2]; 3] = Default::default();
    for (role, [before, with]) in Role::ALL.iter().zip(&mut matrices) {
        for weight in w {
            let [a, b] = weight.weight(*role)?;
            before.push(a);
            with.push(b);
        }
    }
    let watched = |(x, y)| [x, y].map(|end| Arc::new(Watched::new(end)));
    let ends = watched(pair(Peer::P0, Peer::P1, deadline()));
    let [[to0, from_helper0], [to1, from_helper1]] =
        [Peer::P0, Peer::P1].map(|peer| watched(pair(Peer::P2, peer, deadline())));
    let from_helper = [from_helper0, from_helper1];
    let stores = [0, 1].map(|_| Arc::new(Store::new(usize::MAX, Duration::from_secs(20))));
    let evaluator = |role: Role| {
        let (i, prg) = (role.index(), (generators.pair)(role.index()));
        Roles::Evaluator { role, prg, helper: from_helper[i].clone(), store: stores[i].clone() }
    };
    let roles = [
        evaluator(Role::P0),
        evaluator(Role::P1),
        Roles::Helper { prgs: [0, 1].map(|i| (generators.pair)(i)), links: [to0.clone(), to1.clone()] },
    ];
    let table = if generators.mirrored { Arc::new(metered.steps.mirrored()) } else { metered.steps };
    let offline = |roles: Roles| {
        let engine = Preprocess::new(roles, 1);
        let (steps, i) = (Steps::follow(table.clone()), engine.role().index());
        case.offline(&Ctx::root(&engine, &steps), &masks[i], &matrices[i][0])
    };
    let online = |role: Role| {
        let i = role.index();
        let engine = Evaluator::new(role, 1, ends[i].clone(), stores[i].clone());
        let steps = Steps::follow(table.clone());
        let x = x.iter().map(|x| Masked::from_mask(&x.masks[i], x.masked.clone()));
        let x = x.collect::<Result<Vec<_>>>()?;
        let ctx = Ctx::root(&engine, &steps);
        let y = case.online(&ctx, &x, &matrices[i][1])?;
        Ok::<_, Error>((y, ctx.depth(), engine.transcript()))
    };
    let died = |_| Error::Internal("a party panicked");
    let [p0, p1, p2] = roles;
    let (y0, y1) = std::thread::scope(|s| {
        let h2 = s.spawn(|| offline(p2));
        let h1 = s.spawn(|| offline(p1));
        offline(p0)?;
        // The helper first: if it failed, P1 waits in vain and its error says less.
        h2.join().map_err(died)??;
        h1.join().map_err(died)??;
        let h1 = s.spawn(|| online(Role::P1));
        let y0 = online(Role::P0);
        let y1 = h1.join().map_err(died)?;
        Ok::<_, Error>((y0?, y1?))
    })?;
    if y0.2 != y1.2 {
        return Err(Error::Transcript);
    }
    let sent = |end: &Arc<Watched<_>>| end.stats().snapshot().sent.total.bytes;
    let both = |ends: [&Arc<Watched<_>>; 2]| ends.map(sent).iter().sum::<u64>();
    let hops = y0.1.max(y1.1);
    let (x0, x1) = (y0.0.output_part(Role::P0)?, y1.0.output_part(Role::P1)?);
    let k = y0.0.width();
    let values = x0.iter().zip(&x1).map(|(a, b)| a.wrapping_sub(b).low(k).signed(k.min(64))).collect();
    let outcome = Outcome {
        shape: y0.0.shape().clone(),
        k,
        values,
        counted: Cost {
            online: both([&ends[0], &ends[1]]),
            offline: both([&to0, &to1]),
            hops,
            multiply_adds: 0,
        },
        metered: metered.total,
        to_helper: both([&from_helper[0], &from_helper[1]]),
    };
    let told: Vec<_> =
        inputs.iter().chain(weights).zip(&all).map(|(i, s)| pack(s.masked.data(), i.k)).collect();
    let view = |i: usize| {
        let received = from_helper[i].received().into_iter().chain(ends[i].received());
        View(told.iter().cloned().chain(received).collect())
    };
    Ok((outcome, [view(0), view(1)]))
}

/// Runs a case in simulation.
pub fn simulate<C: Case>(case: &C, inputs: &[Input], seed: u8) -> Result<Vec<i64>> {
    simulate_weighted(case, inputs, &[], seed)
}

/// Runs a case with weights in simulation.
pub fn simulate_weighted<C: Weighted>(
    case: &C,
    inputs: &[Input],
    weights: &[Input],
    seed: u8,
) -> Result<Vec<i64>> {
    let x = inputs.iter().map(|i| {
        let values = Array::new(i.shape.clone(), i.values.iter().map(|&v| i128::from(v)).collect())?;
        Ok(Simulated::new(values, i.k))
    });
    let w = weights.iter().map(|i| SimulatedWeight::new(&Array::new(i.shape.clone(), i.values.clone())?));
    let (x, w) = (x.collect::<Result<Vec<_>>>()?, w.collect::<Result<Vec<_>>>()?);
    let y = Simulate::run(Arc::default(), [seed; 16], |ctx| case.run_weighted(ctx, &x, &w))?;
    Ok(y.values().data().iter().map(|&v| v as i64).collect())
}
