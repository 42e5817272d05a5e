//! Contexts: where in the program a protocol call stands.
//!
//! Every call that talks or draws randomness gets a context of its own, narrowed from its caller's by a name. The
//! path of names is looked up in the step table that the parties agreed on; the index found addresses messages,
//! randomness and stored preprocessing. Narrowing to one path twice is an error in every build, because it would
//! use a mask twice.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, Result};
use crate::settings::{Settings, StepScale};

/// The ordered list of a program's steps, and the settings that they follow.
#[derive(Debug, Default)]
pub struct StepTable {
    settings: Arc<Settings>,
    names: Vec<String>,
    index: HashMap<String, u32>,
}

impl StepTable {
    /// The names, in program order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The name of a step, for messages to people.
    pub fn name(&self, step: u32) -> Option<&str> {
        self.names.get(step as usize).map(String::as_str)
    }

    /// The settings of the program.
    pub fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    fn insert(&mut self, path: &str) -> Result<u32> {
        let id = self.names.len() as u32;
        if self.index.insert(path.to_owned(), id).is_some() {
            return Err(Error::StepReused(path.to_owned()));
        }
        self.names.push(path.to_owned());
        Ok(id)
    }
}

/// The steps of one run: either found out while it runs, or fixed beforehand and ticked off.
#[derive(Debug)]
pub(crate) enum Steps {
    /// First reading (metering, simulation): steps are numbered as they come.
    Record { table: Mutex<StepTable>, settings: Arc<Settings> },
    /// A reading of an agreed program.
    Follow { table: Arc<StepTable>, entered: Vec<AtomicBool> },
}

impl Steps {
    pub(crate) fn record(settings: Arc<Settings>) -> Self {
        Self::Record { table: Mutex::default(), settings }
    }

    pub(crate) fn follow(table: Arc<StepTable>) -> Self {
        let entered = table.names.iter().map(|_| AtomicBool::new(false)).collect();
        Self::Follow { table, entered }
    }

    /// The table recorded so far, leaving an empty one.
    pub(crate) fn take_table(&self) -> StepTable {
        match self {
            Self::Record { table, settings } => {
                let table = std::mem::take(&mut *table.lock().unwrap_or_else(PoisonError::into_inner));
                StepTable { settings: settings.clone(), ..table }
            }
            Self::Follow { .. } => StepTable::default(),
        }
    }

    fn settings(&self) -> &Settings {
        match self {
            Self::Record { settings, .. } => settings,
            Self::Follow { table, .. } => &table.settings,
        }
    }

    fn enter(&self, path: &str) -> Result<u32> {
        match self {
            Self::Record { table, .. } => table.lock().unwrap_or_else(PoisonError::into_inner).insert(path),
            Self::Follow { table, entered } => {
                let id = *table.index.get(path).ok_or_else(|| Error::StepUnknown(path.to_owned()))?;
                if entered[id as usize].swap(true, Ordering::Relaxed) {
                    return Err(Error::StepReused(path.to_owned()));
                }
                Ok(id)
            }
        }
    }
}

/// Independent number streams of one step.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Next block of the generator shared by P0 and P2.
    pub(crate) prg0: AtomicU64,
    /// Next block of the generator shared by P1 and P2.
    pub(crate) prg1: AtomicU64,
    /// Next message between the evaluators.
    pub(crate) online: AtomicU32,
    /// Next message from the helper.
    pub(crate) offline: AtomicU32,
}

/// Where in the program a call stands, under engine `E`.
#[derive(Debug)]
pub struct Ctx<'e, E> {
    engine: &'e E,
    steps: &'e Steps,
    path: String,
    id: u32,
    /// Lamport depth of this line of control: the longest chain of messages seen so far.
    depth: Arc<AtomicU32>,
    counters: Counters,
    /// Whether range conditions here and below hold for every input.
    by_construction: AtomicBool,
}

impl<'e, E> Ctx<'e, E> {
    pub(crate) fn root(engine: &'e E, steps: &'e Steps) -> Self {
        Self {
            engine,
            steps,
            path: String::new(),
            id: u32::MAX,
            depth: Arc::default(),
            counters: Counters::default(),
            by_construction: AtomicBool::new(false),
        }
    }

    /// The engine that reads the program.
    pub fn engine(&self) -> &'e E {
        self.engine
    }

    /// What the program depends on beside its code and its shapes.
    pub fn settings(&self) -> &'e Settings {
        self.steps.settings()
    }

    /// Scale and range of this step.
    pub fn scale(&self) -> StepScale {
        self.settings().quantization.step(&self.path)
    }

    /// Scale and range of a step below this one.
    pub(crate) fn scale_of(&self, step: &str) -> StepScale {
        self.settings().quantization.step(&format!("{}/{step}", self.path))
    }

    /// Says that range conditions of this step and of those below it hold for every input that kept the conditions
    /// before them: their distance from the limit is no headroom that data could use up.
    pub(crate) fn holds_by_construction(&self) {
        self.by_construction.store(true, Ordering::Relaxed);
    }

    pub(crate) fn by_construction(&self) -> bool {
        self.by_construction.load(Ordering::Relaxed)
    }

    /// The path of names from the root.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Index of this step in the step table.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Narrows to a sub-step. Each name may be used once in a scope.
    pub fn step(&self, name: &str) -> Result<Self> {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}/{name}", self.path) };
        let id = self.steps.enter(&path)?;
        Ok(Self {
            engine: self.engine,
            steps: self.steps,
            path,
            id,
            depth: self.depth.clone(),
            counters: Counters::default(),
            by_construction: AtomicBool::new(self.by_construction()),
        })
    }

    /// Narrows to the `i`-th pass of a loop.
    pub fn index(&self, name: &str, i: usize) -> Result<Self> {
        self.step(&format!("{name}.{i}"))
    }

    /// The same place on a line of control of its own, to run beside another.
    fn branch(&self, name: &str) -> Result<Self> {
        let mut branch = self.step(name)?;
        branch.depth = Arc::new(AtomicU32::new(self.depth()));
        Ok(branch)
    }

    /// Longest chain of messages so far on this line of control.
    pub fn depth(&self) -> u32 {
        self.depth.load(Ordering::Relaxed)
    }

    /// A message that was sent at depth `sent` has arrived.
    pub(crate) fn received(&self, sent: u32) {
        self.depth.fetch_max(sent.saturating_add(1), Ordering::Relaxed);
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }
}

impl<E: Sync> Ctx<'_, E> {
    /// Runs two independent operations side by side; the hops of one hide behind the other's.
    ///
    /// Each closure gets a context narrowed to its name. Under engines that talk the two run on threads of their
    /// own (`parallel`), under the others one after the other.
    pub(crate) fn join_with<A: Send, B: Send>(
        &self,
        parallel: bool,
        a: (&str, impl FnOnce(&Ctx<'_, E>) -> Result<A> + Send),
        b: (&str, impl FnOnce(&Ctx<'_, E>) -> Result<B> + Send),
    ) -> Result<(A, B)> {
        let (ctx_a, ctx_b) = (self.branch(a.0)?, self.branch(b.0)?);
        let (x, y) = if parallel {
            std::thread::scope(|scope| {
                let other = scope.spawn(|| b.1(&ctx_b));
                let x = a.1(&ctx_a);
                let y = other.join().unwrap_or(Err(Error::Internal("a joined branch panicked")));
                (x, y)
            })
        } else {
            (a.1(&ctx_a), b.1(&ctx_b))
        };
        let depth = ctx_a.depth().max(ctx_b.depth());
        self.depth.fetch_max(depth, Ordering::Relaxed);
        Ok((x?, y?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_cannot_be_entered_twice() {
        for steps in [Steps::record(Arc::default()), {
            let mut table = StepTable::default();
            table.insert("a").expect("new");
            table.insert("a/x").expect("new");
            Steps::follow(Arc::new(table))
        }] {
            let ctx = Ctx::root(&(), &steps);
            let a = ctx.step("a").expect("first time");
            assert!(matches!(ctx.step("a"), Err(Error::StepReused(p)) if p == "a"));
            a.step("x").expect("first time");
            assert!(matches!(a.step("x"), Err(Error::StepReused(p)) if p == "a/x"));
        }
    }

    #[test]
    fn a_step_outside_the_program_is_refused() {
        let steps = Steps::follow(Arc::default());
        assert!(matches!(Ctx::root(&(), &steps).step("b"), Err(Error::StepUnknown(_))));
    }

    #[test]
    fn branches_share_hops() {
        let steps = Steps::record(Arc::default());
        let ctx = Ctx::root(&(), &steps);
        ctx.received(4);
        ctx.join_with(
            true,
            ("l", |c| {
                c.received(c.depth());
                c.received(c.depth());
                Ok(())
            }),
            ("r", |c| {
                c.received(c.depth());
                Ok(())
            }),
        )
        .expect("both succeed");
        assert_eq!(ctx.depth(), 7);
    }
}
