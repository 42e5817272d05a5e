//! Contexts: where in the program a protocol call stands.
//!
//! Every call that talks or draws randomness gets a context of its own, narrowed from its caller's by a name. The
//! path of names is looked up in the step table that the parties agreed on; the index found addresses messages,
//! randomness and stored preprocessing. Narrowing to one path twice is an error in every build, because it would
//! use a mask twice.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::error::{Error, Result};
use crate::net::Peer;
use crate::settings::{Settings, StepScale};

/// The ordered list of a program's steps, and the settings that they follow.
#[derive(Debug, Default)]
pub struct StepTable {
    settings: Arc<Settings>,
    names: Vec<String>,
    index: HashMap<String, u32>,
    /// For each step, the evaluator that receives what is dealt in it; P1 where this is too short.
    receivers: Vec<Peer>,
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

    /// The evaluator to which the helper sends what it deals in a step; the other draws its share.
    pub fn receiver(&self, step: u32) -> Peer {
        self.receivers.get(step as usize).copied().unwrap_or(Peer::P1)
    }

    /// Chooses the receivers of what is dealt, so that both links of the helper carry the same: one step after the other,
    /// the evaluator that has less so far, and P1 of equals. `dealt` are bytes by step.
    #[must_use]
    pub(crate) fn balanced(self, dealt: impl IntoIterator<Item = (u32, u64)>) -> Self {
        let mut bytes = vec![0; self.names.len()];
        for (step, more) in dealt {
            bytes[step as usize] += more;
        }
        let mut so_far = [0, 0];
        let receivers = bytes.iter().map(|bytes| {
            let far = usize::from(so_far[1] <= so_far[0]);
            so_far[far] += bytes;
            [Peer::P0, Peer::P1][far]
        });
        Self { receivers: receivers.collect(), ..self }
    }

    /// The same program with P0 in the place of P1 for all that is dealt.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub(crate) fn mirrored(&self) -> Self {
        let other = |step| if self.receiver(step) == Peer::P1 { Peer::P0 } else { Peer::P1 };
        Self {
            settings: self.settings.clone(),
            names: self.names.clone(),
            index: self.index.clone(),
            receivers: (0..self.names.len() as u32).map(other).collect(),
        }
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
    /// A reading of an agreed program, and when each step was entered: microseconds from the beginning, raised by one; 0
    /// for not yet.
    Follow { table: Arc<StepTable>, begun: Instant, entered: Vec<AtomicU32> },
}

impl Steps {
    pub(crate) fn record(settings: Arc<Settings>) -> Self {
        Self::Record { table: Mutex::default(), settings }
    }

    pub(crate) fn follow(table: Arc<StepTable>) -> Self {
        let entered = table.names.iter().map(|_| AtomicU32::new(0)).collect();
        Self::Follow { table, begun: Instant::now(), entered }
    }

    /// When each step was entered, then the time now, in microseconds from the beginning of this reading; a step that was
    /// not entered has the time now. Of a first reading nothing.
    pub(crate) fn times(&self) -> Vec<u32> {
        let Self::Follow { begun, entered, .. } = self else { return Vec::new() };
        let now = micros(*begun);
        let times = entered.iter().map(|at| at.load(Ordering::Relaxed).checked_sub(1).unwrap_or(now));
        times.chain([now]).collect()
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
            Self::Follow { table, begun, entered } => {
                let id = *table.index.get(path).ok_or_else(|| Error::StepUnknown(path.to_owned()))?;
                if entered[id as usize].swap(micros(*begun).saturating_add(1), Ordering::Relaxed) != 0 {
                    return Err(Error::StepReused(path.to_owned()));
                }
                Ok(id)
            }
        }
    }
}

/// Microseconds since then; an hour and more are the most that there is.
fn micros(since: Instant) -> u32 {
    u32::try_from(since.elapsed().as_micros()).unwrap_or(u32::MAX)
}

/// Independent number streams of one step.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Next blocks of the generators that P2 shares with P0 and with P1.
    pub(crate) prg: [AtomicU64; 2],
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
    /// The path by which settings know this step: of passes side by side, that of the first.
    place: String,
    id: u32,
    /// Lamport depth of this line of control: the longest chain of messages seen so far.
    depth: Arc<AtomicU32>,
    counters: Counters,
    /// Whether range conditions here and below hold for every input.
    by_construction: AtomicBool,
}

/// A name below a path.
fn below(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
}

impl<'e, E> Ctx<'e, E> {
    pub(crate) fn root(engine: &'e E, steps: &'e Steps) -> Self {
        Self {
            engine,
            steps,
            path: String::new(),
            place: String::new(),
            id: u32::MAX,
            depth: Arc::default(),
            counters: Counters::default(),
            by_construction: AtomicBool::new(false),
        }
    }

    /// Reads `model` under an engine that needs no agreed program: steps are numbered as they come.
    pub fn read<T>(
        engine: &E,
        settings: Arc<Settings>,
        model: impl FnOnce(&Ctx<'_, E>) -> Result<T>,
    ) -> Result<T> {
        let steps = Steps::record(settings);
        model(&Ctx::root(engine, &steps))
    }

    /// The engine that reads the program.
    pub fn engine(&self) -> &'e E {
        self.engine
    }

    /// What the program depends on beside its code and its shapes.
    pub fn settings(&self) -> &'e Settings {
        self.steps.settings()
    }

    /// The path by which settings know this step. Passes that run side by side share the settings of the first.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Scale and range of this step.
    pub fn scale(&self) -> StepScale {
        self.settings().quantization.step(&self.place)
    }

    /// Scale and range of a step below this one.
    pub(crate) fn scale_of(&self, step: &str) -> StepScale {
        self.settings().quantization.step(&below(&self.place, step))
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

    /// The evaluator to which the helper sends what it deals in this step: see [`StepTable::receiver`].
    pub(crate) fn receiver(&self) -> Peer {
        match self.steps {
            // Whoever records has nothing dealt.
            Steps::Record { .. } => Peer::P1,
            Steps::Follow { table, .. } => table.receiver(self.id),
        }
    }

    /// Narrows to a sub-step. Each name may be used once in a scope.
    pub fn step(&self, name: &str) -> Result<Self> {
        let path = below(&self.path, name);
        let id = self.steps.enter(&path)?;
        Ok(Self {
            engine: self.engine,
            steps: self.steps,
            path,
            place: below(&self.place, name),
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

/// Most passes of one [`Ctx::join_each_with`] that run at once.
const ABREAST: usize = 64;

/// A branch that did not come back.
const PANICKED: Error = Error::Internal("a joined branch panicked");

impl<'e, E: Sync> Ctx<'e, E> {
    /// Lines of control of their own for operations that run side by side.
    pub(crate) fn branches<const N: usize>(&self, names: [&str; N]) -> Result<[Self; N]> {
        let mut branches = Vec::with_capacity(N);
        for name in names {
            branches.push(self.branch(name)?);
        }
        branches.try_into().map_err(|_| Error::Internal("number of branches"))
    }

    /// Goes on where the last of `branches` has ended.
    pub(crate) fn meet(&self, branches: &[Self]) {
        let depth = branches.iter().map(Self::depth).max().unwrap_or(0);
        self.depth.fetch_max(depth, Ordering::Relaxed);
    }

    /// Runs `f` on every item, side by side, each in a pass `name.0`, `name.1`, .. of its own.
    ///
    /// If `parallel`, up to [`ABREAST`] passes have threads of their own; more run in groups of so many, and a group
    /// starts at the depth at which the one before has ended, so that hops are counted as they pass. It cannot
    /// deadlock: all parties form the same groups, every pass of a group is running, and so whatever a pass waits for
    /// is being computed by the same pass of its peer.
    pub(crate) fn join_each_with<I: Send, T: Send>(
        &self,
        parallel: bool,
        name: &str,
        items: impl IntoIterator<Item = I>,
        f: impl Fn(I, &Self) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        let (mut items, mut out) = (items.into_iter().peekable(), Vec::new());
        while items.peek().is_some() {
            let group = items.by_ref().take(ABREAST);
            let passes = group.enumerate().map(|(i, item)| {
                let mut pass = self.branch(&format!("{name}.{}", out.len() + i))?;
                pass.place = below(&self.place, &format!("{name}.0"));
                Ok((item, pass))
            });
            let (items, passes): (Vec<I>, Vec<Self>) =
                passes.collect::<Result<Vec<_>>>()?.into_iter().unzip();
            let mut results: Vec<Result<T>> = passes.iter().map(|_| Err(PANICKED)).collect();
            let f = &f;
            let each = items.into_iter().zip(&passes).zip(&mut results);
            let tasks = each.map(|((item, pass), to)| -> Task<'_> { Box::new(move || *to = f(item, pass)) });
            run(parallel, tasks.collect());
            self.meet(&passes);
            for result in results {
                out.push(result?);
            }
        }
        Ok(out)
    }
}

/// Runs `a` and `b`; on threads of their own if `parallel`.
pub(crate) fn side_by_side<A: Send, B: Send>(
    parallel: bool,
    a: impl FnOnce() -> Result<A> + Send,
    b: impl FnOnce() -> Result<B> + Send,
) -> (Result<A>, Result<B>) {
    let (mut left, mut right) = (Err(PANICKED), Err(PANICKED));
    run(parallel, vec![Box::new(|| left = a()), Box::new(|| right = b())]);
    (left, right)
}

/// What one line of control does; it leaves its result where it wants it.
type Task<'a> = Box<dyn FnOnce() + Send + 'a>;

/// Runs tasks, all at once if `parallel`. The first has this thread, the others have their own; one that panics has left
/// nothing.
///
/// Trait objects, so that there is one copy of this code however many joins a model has.
fn run(parallel: bool, mut tasks: Vec<Task<'_>>) {
    if !parallel || tasks.len() < 2 {
        return tasks.into_iter().for_each(quietly);
    }
    let others = tasks.split_off(1);
    std::thread::scope(|scope| {
        for task in others {
            scope.spawn(|| quietly(task));
        }
        tasks.into_iter().for_each(quietly);
    });
}

/// Runs a task to its end or to its panic.
fn quietly(task: Task<'_>) {
    // What a panicking task leaves behind is an error in its place, which is all that anyone looks at.
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(task));
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
    fn what_is_dealt_goes_to_both_evaluators() {
        let mut table = StepTable::default();
        for i in 0..6 {
            table.insert(&format!("{i}")).expect("new");
        }
        // Steps may deal several times, or nothing.
        let table = table.balanced([(0, 3), (1, 5), (0, 4), (3, 1), (4, 9), (5, 2)]);
        let far: Vec<_> = (0..7).map(|i| table.receiver(i)).collect();
        use Peer::{P0, P1};
        // 7 to P1, 5 to P0, nothing, 1 to P0, 9 to P0, 2 to P1; a step that is not there.
        assert_eq!(far, [P1, P0, P0, P0, P0, P1, P1]);
        let mirrored = table.mirrored();
        assert!((0..6).all(|i| mirrored.receiver(i) != table.receiver(i)));
    }

    #[test]
    fn a_step_outside_the_program_is_refused() {
        let steps = Steps::follow(Arc::default());
        assert!(matches!(Ctx::root(&(), &steps).step("b"), Err(Error::StepUnknown(_))));
    }

    #[test]
    fn a_reading_of_a_program_knows_when_steps_were_entered() {
        let mut table = StepTable::default();
        for name in ["a", "b", "c"] {
            table.insert(name).expect("new");
        }
        let steps = Steps::follow(Arc::new(table));
        let ctx = Ctx::root(&(), &steps);
        ctx.step("b").expect("first time");
        std::thread::sleep(std::time::Duration::from_millis(2));
        ctx.step("a").expect("first time");
        let times = steps.times();
        let [a, b, c, now] = times[..] else { panic!("{times:?}") };
        assert!(b + 2000 <= a && a <= now && c == now, "{times:?}");
        assert!(Steps::record(Arc::default()).times().is_empty());
    }

    /// What a pass that waits for `n` messages, one after the other, does.
    fn wait(ctx: &Ctx<'_, ()>, n: u32) -> Result<u32> {
        (0..n).for_each(|_| ctx.received(ctx.depth()));
        Ok(ctx.depth())
    }

    #[test]
    fn branches_share_hops() {
        let steps = Steps::record(Arc::default());
        let ctx = Ctx::root(&(), &steps);
        ctx.received(4);
        let branches = ctx.branches(["l", "r"]).expect("new names");
        let (l, r) = side_by_side(true, || wait(&branches[0], 2), || wait(&branches[1], 1));
        ctx.meet(&branches);
        assert_eq!((l.expect("runs"), r.expect("runs"), ctx.depth()), (7, 6, 7));
        assert!(matches!(ctx.branches(["x", "l"]), Err(Error::StepReused(p)) if p == "l"));
    }

    #[test]
    fn passes_share_hops_in_groups() {
        for (parallel, count) in
            [(true, 0), (true, 1), (true, 3), (false, 3), (true, ABREAST), (true, 2 * ABREAST + 1)]
        {
            let steps = Steps::record(Arc::default());
            let ctx = Ctx::root(&(), &steps);
            let pass = |i: u32, ctx: &Ctx<'_, ()>| {
                wait(ctx, i % 2 + 1)?;
                ctx.step("inside")?;
                Ok((i, ctx.path().to_owned()))
            };
            let out = ctx.join_each_with(parallel, "x", 0..count as u32, pass).expect("runs");
            assert_eq!(out, (0..count as u32).map(|i| (i, format!("x.{i}"))).collect::<Vec<_>>());
            // Two hops a group; the first pass alone has one.
            let hops = [0, 1, 2, 2, 2, 2 * 2 + 1];
            let at = [0, 1, 3, 3, ABREAST, 2 * ABREAST + 1].iter().position(|&n| n == count);
            assert_eq!(ctx.depth(), hops[at.expect("a count of the list")], "{count} passes");
        }
    }

    #[test]
    fn passes_of_a_group_all_run_at_once() {
        let steps = Steps::record(Arc::default());
        let barrier = std::sync::Barrier::new(ABREAST);
        let all = Ctx::root(&(), &steps).join_each_with(true, "x", 0..ABREAST, |i, _| {
            barrier.wait();
            Ok(i)
        });
        assert_eq!(all.expect("nobody waits in vain").len(), ABREAST);
    }

    #[test]
    fn a_pass_that_fails_or_panics_ends_the_join() {
        let steps = Steps::record(Arc::default());
        let ctx = Ctx::root(&(), &steps);
        let fails = |i: usize, _: &Ctx<'_, ()>| if i == 1 { Err(Error::Unsupported("this")) } else { Ok(i) };
        assert!(matches!(ctx.join_each_with(true, "a", 0..3, fails), Err(Error::Unsupported("this"))));
        let panics = |i: usize, _: &Ctx<'_, ()>| if i == 1 { panic!("on purpose") } else { Ok(i) };
        assert!(matches!(ctx.join_each_with(true, "b", 0..3, panics), Err(Error::Internal(_))));
    }
}
