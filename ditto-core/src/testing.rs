//! A world of three parties in one process, for tests of protocols.
//!
//! A [`Case`] is code over any [`Primitives`]. [`run`] shares its inputs, lets three parties preprocess and two of them
//! compute over in-memory channels, reconstructs the output, and reports what was counted beside what was metered.

use std::sync::Arc;
use std::time::Duration;

use crate::cost::Cost;
use crate::ctx::{Ctx, Steps};
use crate::engine::{Meter, Simulate, Simulated};
use crate::error::{Error, Result};
use crate::mpc::{Dealt, Evaluator, Mask, Masked, Preprocess, Role, Roles, Share, Store};
use crate::net::{Channel, Limits, MemoryChannel, Peer, pair};
use crate::prg::{Prg, Seed};
use crate::primitives::{Primitives, RingWord};
use crate::ring::Word;
use crate::tensor::{Array, Shape};
use num_traits::{WrappingAdd, WrappingSub};

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
    /// The output as signed integers (rings of up to 64 bits).
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
        Self { pair: Box::new(move |i| prg(1, i)), input: Box::new(move |i| prg(2, i)) }
    }
}

/// Runs a case with three parties under a seed.
pub fn run<C: Case>(case: &C, inputs: &[Input], seed: u64) -> Result<Outcome> {
    run_with(case, inputs, &Generators::seeded(seed)).map(|(outcome, _)| outcome)
}

/// What one evaluator sees: everything it received and drew.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct View(pub Vec<u8>);

/// Runs a case under given generators; also returns the views of P0 and P1 (masked inputs, what they received from the
/// helper and from each other). Their own masks follow from the generators.
pub fn run_with<C: Case>(
    case: &C,
    inputs: &[Input],
    generators: &Generators,
) -> Result<(Outcome, [View; 2])> {
    let metered = Meter::read(|ctx| {
        let x: Vec<_> = inputs.iter().map(|i| Dealt::new(i.shape.clone(), i.k)).collect();
        case.run(ctx, &x)
    })?;
    let mut masks: [Vec<Mask<C::In>>; 3] = Default::default();
    let mut masked = Vec::new();
    for (i, input) in inputs.iter().enumerate() {
        let draw = |which: usize| -> Result<Array<C::In>> {
            let words = (generators.input)(which).words(i as u32, 0, input.values.len(), input.k);
            Array::new(input.shape.clone(), words)
        };
        let (l0, l1) = (draw(0)?, draw(1)?);
        let m = input.values.iter().zip(l0.data().iter().zip(l1.data()));
        let m =
            m.map(|(&v, (a, b))| C::In::from_i64(v).wrapping_add(a).wrapping_add(b).low(input.k)).collect();
        masked.push(Array::new(input.shape.clone(), m)?);
        masks[0].push(Mask::own_part(Role::P0, input.k, l0.clone()));
        masks[1].push(Mask::own_part(Role::P1, input.k, l1.clone()));
        masks[2].push(Mask::both(input.k, l0, l1));
    }
    let (a, b) = pair(Peer::P0, Peer::P1, deadline());
    let (helper, from_helper) = pair(Peer::P2, Peer::P1, deadline());
    let ends: [Arc<MemoryChannel>; 4] = [a, b, helper, from_helper].map(Arc::new);
    let stores = [0, 1].map(|_| Arc::new(Store::new(usize::MAX, Duration::from_secs(20))));
    let roles = [
        Roles::P0 { prg: (generators.pair)(0), store: stores[0].clone() },
        Roles::P1 { prg: (generators.pair)(1), helper: ends[3].clone(), store: stores[1].clone() },
        Roles::P2 { prg0: (generators.pair)(0), prg1: (generators.pair)(1), link: ends[2].clone() },
    ];
    let offline = |roles: Roles, masks: &[Mask<C::In>]| {
        let engine = Preprocess::new(roles, 1);
        let steps = Steps::follow(metered.steps.clone());
        case.run(&Ctx::root(&engine, &steps), masks)
    };
    let online = |role: Role, masks: &[Mask<C::In>]| {
        let engine = Evaluator::new(role, 1, ends[role.index()].clone(), stores[role.index()].clone());
        let steps = Steps::follow(metered.steps.clone());
        let x = masks.iter().zip(&masked).map(|(l, m)| Masked::from_mask(l, m.clone()));
        let x = x.collect::<Result<Vec<_>>>()?;
        let ctx = Ctx::root(&engine, &steps);
        let y = case.run(&ctx, &x)?;
        Ok::<_, Error>((y, ctx.depth(), engine.transcript(), engine.received()))
    };
    let died = |_| Error::Internal("a party panicked");
    let [p0, p1, p2] = roles;
    let (y0, y1) = std::thread::scope(|s| {
        let h2 = s.spawn(|| offline(p2, &masks[2]));
        let h1 = s.spawn(|| offline(p1, &masks[1]));
        offline(p0, &masks[0])?;
        h1.join().map_err(died)??;
        h2.join().map_err(died)??;
        let h1 = s.spawn(|| online(Role::P1, &masks[1]));
        let y0 = online(Role::P0, &masks[0]);
        let y1 = h1.join().map_err(died)?;
        Ok::<_, Error>((y0?, y1?))
    })?;
    if y0.2 != y1.2 {
        return Err(Error::Transcript);
    }
    let sent = |i: usize| ends[i].stats().snapshot().sent.total.bytes;
    let hops = y0.1.max(y1.1);
    let (x0, x1) = (y0.0.output_part(Role::P0)?, y1.0.output_part(Role::P1)?);
    let k = y0.0.width();
    let values = x0.iter().zip(&x1).map(|(a, b)| a.wrapping_sub(b).low(k).signed(k.min(64))).collect();
    let dealt = ends[3].stats().snapshot().received.total.bytes;
    let outcome = Outcome {
        shape: y0.0.shape().clone(),
        k,
        values,
        counted: Cost { online: sent(0) + sent(1), offline: sent(2), hops, multiply_adds: 0 },
        metered: metered.total,
        to_helper: sent(3),
    };
    debug_assert_eq!(dealt, outcome.counted.offline);
    Ok((outcome, [View(y0.3), View(y1.3)]))
}

/// Runs a case in simulation.
pub fn simulate<C: Case>(case: &C, inputs: &[Input], seed: u8) -> Result<Vec<i64>> {
    let x = inputs.iter().map(|i| {
        let values = Array::new(i.shape.clone(), i.values.iter().map(|&v| i128::from(v)).collect())?;
        Ok(Simulated::new(values, i.k))
    });
    let x = x.collect::<Result<Vec<_>>>()?;
    let y = Simulate::run([seed; 16], |ctx| case.run(ctx, &x))?;
    Ok(y.values().data().iter().map(|&v| v as i64).collect())
}
