//! Pointwise functions for authors: a scalar function, its range and a tolerance become a protocol.

mod fit;
pub(crate) mod plan;
mod search;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use super::Activation;
use crate::cost::Cost;
use crate::error::{Error, Result};
use crate::net::Link;
use crate::public_math::{self, power_of_two};
use crate::tensor::Array;
use plan::{Middle, Plan, Tails};
use search::{Found, MAX_INPUTS, METERED, Problem};

/// A function of one number, where it is needed, and how exactly.
///
/// From these a protocol is made when the formats are known: the cheapest that keeps the tolerance (the fastest on the
/// link of the settings, the one with the fewest bytes where there is none), of
///
/// - a *series*: a few waves of free frequencies, fitted to the function, computed from one opened value;
/// - a *table* of values, or of values and slopes, read at the argument's high bits;
///
/// either for the whole range, or between tails where the function is affine (constant, or with a slope that is a
/// multiple of 1/4, like those of GeLU), which are told apart by comparisons. A function of two such pieces (ReLU, the
/// magnitude) is a comparison alone. The smaller the range, the cheaper.
///
/// The tolerance bounds the error of the result in its format: of the approximation, and of all roundings whatever
/// their coins. It is checked for every argument that the formats have. If the argument comes with more fractional bits
/// than are opened, its rounding is part of the error, under the assumption that the function is monotone between
/// neighbours. Arguments outside the range give wrong results; the simulation reports them.
///
/// The fit runs at every party. It uses no operation but those IEEE 754 defines to the last bit, so it is the same
/// everywhere if the function is: a function of basic operations and [`crate::public_math`] is. One that calls the
/// system's mathematical library may differ between machines; then the parties' program digests differ too, since
/// they cover every coefficient and table, and the run is refused before it starts.
///
/// ```
/// use ditto_core::nn::Pointwise;
/// let softsign = Pointwise::new("softsign", |x| x / (1.0 + x.abs()), -8.0..=8.0, 1.0 / 128.0)?;
/// let report = softsign.report(20, 10, 32)?; // of a product with 20 fractional bits, to `Fx<32, 10>`
/// assert!(report.max_error <= 1.0 / 128.0);
/// println!("{report}");
/// # Ok::<(), ditto_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Pointwise(Arc<Inner>);

struct Inner {
    name: String,
    function: Arc<dyn Fn(f64) -> f64 + Send + Sync>,
    range: RangeInclusive<f64>,
    tolerance: f64,
    /// The tolerance is at least so many units of the result's last place.
    units: f64,
    /// By fractional bits of the argument and of the result, and the result's ring.
    plans: Mutex<BTreeMap<[u32; 3], Plans>>,
    /// The same function on other ranges, by the power of two that bounds their arguments.
    reaching: Mutex<BTreeMap<i32, Result<Pointwise>>>,
}

/// Plans for one set of formats, the one with the fewest bytes first, each further one with fewer hops.
type Plans = Result<Arc<[Found]>>;

/// Most fractional bits of an argument, as of a sum of products.
const MAX_FRACTION: u32 = 60;

impl Pointwise {
    /// `function` on `range`, within `tolerance`. Fails on a range or a tolerance that is none, and on a function that
    /// has no finite values at the range's ends.
    pub fn new(
        name: &str,
        function: impl Fn(f64) -> f64 + Send + Sync + 'static,
        range: RangeInclusive<f64>,
        tolerance: f64,
    ) -> Result<Self> {
        Self::build(name, Arc::new(function), range, tolerance, 0.0)
    }

    fn build(
        name: &str,
        function: Arc<dyn Fn(f64) -> f64 + Send + Sync>,
        range: RangeInclusive<f64>,
        tolerance: f64,
        units: f64,
    ) -> Result<Self> {
        let new = Self(Arc::new(Inner {
            name: name.to_owned(),
            function,
            range: range.clone(),
            tolerance,
            units,
            plans: Mutex::default(),
            reaching: Mutex::default(),
        }));
        let (low, high) = (*range.start(), *range.end());
        if !(low.is_finite() && high.is_finite() && low < high) {
            return Err(new.error(format!("the range {low} to {high} is empty or not finite")));
        }
        if !(tolerance.is_finite() && tolerance > 0.0) {
            return Err(new.error(format!("the tolerance {tolerance} is not a positive number")));
        }
        for x in [low, high, (low + high) / 2.0] {
            new.finite(x)?;
        }
        Ok(new)
    }

    /// The same function on another range, for example the one that calibration found for a layer.
    pub fn with_range(&self, range: RangeInclusive<f64>) -> Result<Self> {
        let Inner { name, function, tolerance, units, .. } = &*self.0;
        Self::build(name, function.clone(), range, *tolerance, *units)
    }

    /// The same function with another tolerance.
    pub fn with_tolerance(&self, tolerance: f64) -> Result<Self> {
        Self::build(&self.0.name, self.0.function.clone(), self.0.range.clone(), tolerance, 0.0)
    }

    /// The name, for reports and errors.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Where the function may be used.
    pub fn range(&self) -> &RangeInclusive<f64> {
        &self.0.range
    }

    /// The largest error of a result with `out_fraction` fractional bits.
    pub fn tolerance(&self, out_fraction: u32) -> f64 {
        self.0.tolerance.max(self.0.units * power_of_two(-(out_fraction as i32)))
    }

    /// The function itself.
    pub fn value(&self, x: f64) -> f64 {
        (self.0.function)(x)
    }

    pub(crate) fn map(&self, x: &Array<f32>) -> Array<f32> {
        x.map(|v| self.value(f64::from(v)) as f32)
    }

    pub(crate) fn error(&self, what: String) -> Error {
        Error::Pointwise { name: self.0.name.clone(), what }
    }

    fn finite(&self, x: f64) -> Result<f64> {
        let y = self.value(x);
        if y.is_finite() { Ok(y) } else { Err(self.error(format!("its value at {x} is {y}"))) }
    }

    /// The function for arguments below 2^log in magnitude, as calibration found them: on the part of its range where
    /// these lie, or beyond its range if it is a ready-made one.
    pub(crate) fn reaching(&self, log: i32) -> Result<Self> {
        let mut reaching = self.0.reaching.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || {
            let bound = power_of_two(log);
            let (low, high) = (*self.range().start(), *self.range().end());
            let ready = self.0.units > 0.0;
            let range = if ready { -bound..=bound } else { low.max(-bound)..=high.min(bound) };
            self.with_range(range)
        };
        reaching.entry(log).or_insert_with(make).clone()
    }

    /// The plans for an argument of `fraction` fractional bits and a result of `out_fraction` in Z_{2^out_width}; made
    /// once.
    fn plans(&self, fraction: u32, out_fraction: u32, out_width: u32) -> Plans {
        let mut plans = self.0.plans.lock().unwrap_or_else(PoisonError::into_inner);
        let key = [fraction, out_fraction, out_width];
        plans.entry(key).or_insert_with(|| self.find(key).map(Arc::from)).clone()
    }

    /// Runs `f` with the plan that is fastest on a link for `n` elements.
    pub(crate) fn with_plan<T>(
        &self,
        formats: [u32; 3],
        link: &Link,
        n: usize,
        f: impl FnOnce(&Plan) -> Result<T>,
    ) -> Result<T> {
        let plans = self.plans(formats[0], formats[1], formats[2])?;
        let all = |bytes: u64| (u128::from(bytes) * n as u128 / METERED as u128) as u64;
        let cost = |f: &Found| Cost { online: all(f.cost.online), offline: all(f.cost.offline), ..f.cost };
        let costs: Vec<Cost> = plans.iter().map(cost).collect();
        // The first has the fewest bytes: what [`Self::report`] tells.
        let best = if *link == Link::NONE { 0 } else { link.fastest(&costs) };
        f(&plans[best].plan)
    }

    fn find(&self, formats: [u32; 3]) -> Result<Vec<Found>> {
        let tolerance = self.tolerance(formats[1]);
        let found = self.find_within(formats, tolerance)?;
        if !found.is_empty() {
            return Ok(found);
        }
        let [fraction, out_fraction, _] = formats;
        for doublings in 1..40 {
            if let Some(found) = self.find_within(formats, tolerance * power_of_two(doublings))?.first() {
                return Err(self.error(format!(
                    "the tolerance {tolerance:.3e} cannot be met with {fraction} fractional bits of the argument and \
                     {out_fraction} of the result, whose unit is {:.3e}; {:.3e} can, or a smaller range, or more \
                     fractional bits",
                    power_of_two(-(out_fraction as i32)),
                    found.worst.total,
                )));
            }
        }
        Err(self
            .error(format!("no plan for the range {:?} at any tolerance; take a smaller one", self.0.range)))
    }

    fn find_within(&self, formats: [u32; 3], tolerance: f64) -> Result<Vec<Found>> {
        let [fraction, out_fraction, out_width] = formats;
        if fraction > MAX_FRACTION || out_fraction > MAX_FRACTION {
            return Err(self.error(format!("more than {MAX_FRACTION} fractional bits")));
        }
        // The unit of what is opened and of what is computed: a quarter of the tolerance, if there are so many bits.
        let fine = (0..MAX_FRACTION).find(|&t| power_of_two(-(t as i32)) <= tolerance / 4.0);
        let fine = fine.unwrap_or(MAX_FRACTION);
        let mut best: Vec<Found> = Vec::new();
        for input in (fine..fine + 4).map(|input| input.min(fraction)) {
            let problem = self.problem(formats, tolerance, input, fine.min(out_fraction))?;
            // The largest magnitude, in units of the result.
            let reach = problem.values[0].abs().max(problem.values[1].abs()) + tolerance;
            let room = power_of_two(out_width as i32 - 1 - out_fraction as i32);
            if reach >= room {
                return Err(self.error(format!(
                    "values up to {reach:.3} do not fit a ring of {out_width} bits with {out_fraction} fractional \
                     bits, which holds magnitudes below {room}"
                )));
            }
            // One more bit that is opened than is needed may save others.
            let found = problem.solve()?;
            let settled = !best.is_empty();
            let bytes = |found: &[Found]| found.first().map_or(u64::MAX, |f| f.cost.total_bytes());
            if bytes(&found) < bytes(&best) {
                best = found;
            }
            if settled || input == fraction {
                break;
            }
        }
        Ok(best)
    }

    fn problem(&self, formats: [u32; 3], tolerance: f64, input: u32, fraction: u32) -> Result<Problem> {
        let (low, high) = (*self.0.range.start(), *self.0.range.end());
        let scale = power_of_two(input as i32);
        let (first, last) = ((low * scale).floor(), (high * scale).ceil());
        if last - first >= MAX_INPUTS as f64 {
            return Err(self.error(format!(
                "its range has {} numbers with {input} fractional bits, and at most {MAX_INPUTS} are checked; take \
                 a smaller range or a larger tolerance",
                last - first
            )));
        }
        let range = [first as i64, last as i64];
        let value = |x: i64| self.finite((x as f64 / scale).clamp(low, high));
        let exact = (range[0]..=range[1]).map(value).collect::<Result<Vec<_>>>()?;
        let least = exact.iter().copied().fold(f64::INFINITY, f64::min);
        let most = exact.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (rounded, values) = (input < formats[0], [least, most]);
        Ok(Problem { input, rounded, fraction, tolerance, range, exact, values, out: formats })
    }

    /// What the plan with the fewest bytes costs and how far it errs, for an argument of `fraction` fractional bits (as many as the
    /// product has, if it is one) and a result of `out_fraction` in Z_{2^out_width}.
    pub fn report(&self, fraction: u32, out_fraction: u32, out_width: u32) -> Result<Report> {
        let plans = self.plans(fraction, out_fraction, out_width)?;
        let found = &plans[0];
        let cost = found.cost;
        Ok(Report {
            name: self.0.name.clone(),
            range: self.0.range.clone(),
            tolerance: self.tolerance(out_fraction),
            method: method(&found.plan),
            fit_error: found.worst.fit,
            max_error: found.worst.total,
            // The cost of eight elements in bytes is that of one in bits.
            online_bits: cost.online,
            offline_bits: cost.offline,
            hops: cost.hops,
        })
    }
}

impl fmt::Debug for Pointwise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pointwise({} on {:?} within {:e})", self.0.name, self.0.range, self.0.tolerance)
    }
}

/// How a function is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// A sum of waves.
    Series {
        /// How many.
        waves: usize,
        /// How many ends of the range are affine tails.
        tails: usize,
    },
    /// Two affine pieces, told apart by a comparison.
    TwoPieces,
    /// A table.
    Table {
        /// Bits of the index.
        index_bits: u32,
        /// Whether entries have slopes beside values.
        slopes: bool,
        /// How many ends of the range are affine tails.
        tails: usize,
    },
}

fn method(plan: &Plan) -> Method {
    let tails = match plan.tails {
        Tails::None => 0,
        Tails::Low(_) | Tails::High(_) => 1,
        Tails::Both(..) | Tails::Meeting(..) => 2,
    };
    match &plan.middle {
        Middle::Nothing => Method::TwoPieces,
        Middle::Series(series) => Method::Series { waves: series.waves.len(), tails },
        Middle::Table(table) => {
            Method::Table { index_bits: table.lookup.index_bits(), slopes: table.slope.is_some(), tails }
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tails = match *self {
            Self::TwoPieces => return f.write_str("two affine pieces"),
            Self::Series { waves, tails } => {
                write!(f, "a series of {waves} waves")?;
                tails
            }
            Self::Table { index_bits, slopes, tails } => {
                let what = if slopes { "values and slopes" } else { "values" };
                write!(f, "a table of {} {what}", 1u64 << index_bits)?;
                tails
            }
        };
        match tails {
            0 => Ok(()),
            1 => f.write_str(" and an affine tail"),
            _ => f.write_str(" between affine tails"),
        }
    }
}

/// What a pointwise function costs and how far it errs, at given formats.
#[derive(Clone, Debug)]
pub struct Report {
    /// The function.
    pub name: String,
    /// Where it may be used.
    pub range: RangeInclusive<f64>,
    /// The error that was allowed.
    pub tolerance: f64,
    /// How it is computed.
    pub method: Method,
    /// The largest error of the approximation alone, over all arguments.
    pub fit_error: f64,
    /// A bound of the error with all roundings, over all arguments, masks and coins.
    pub max_error: f64,
    /// Bits per element between the evaluators, both directions.
    pub online_bits: u64,
    /// Bits per element from the helper.
    pub offline_bits: u64,
    /// Messages one after the other.
    pub hops: u32,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, range, tolerance, method, max_error, fit_error, online_bits, offline_bits, hops } =
            self;
        write!(
            f,
            "{name} on [{}, {}]: {method}; error at most {max_error:.2e} ({fit_error:.2e} before rounding) of \
             {tolerance:.2e} allowed; per element {online_bits} bits online, {offline_bits} offline, {hops} hops",
            range.start(),
            range.end()
        )
    }
}

/// Where the ready-made functions may be used: calibration may choose less.
const READY_RANGE: RangeInclusive<f64> = -120.0..=120.0;

fn ready(name: &str, function: fn(f64) -> f64) -> Pointwise {
    Pointwise(Arc::new(Inner {
        name: name.to_owned(),
        function: Arc::new(function),
        range: READY_RANGE,
        tolerance: 1.0 / 256.0,
        units: 2.0,
        plans: Mutex::default(),
        reaching: Mutex::default(),
    }))
}

static GELU: LazyLock<Pointwise> = LazyLock::new(|| ready("gelu", public_math::gelu));
static GELU_TANH: LazyLock<Pointwise> = LazyLock::new(|| ready("gelu_tanh", public_math::gelu_tanh));
static TANH: LazyLock<Pointwise> = LazyLock::new(|| ready("tanh", public_math::tanh));
static SILU: LazyLock<Pointwise> = LazyLock::new(|| ready("silu", public_math::silu));
static SIGMOID: LazyLock<Pointwise> = LazyLock::new(|| ready("sigmoid", public_math::sigmoid));

impl Activation {
    /// The activation as a pointwise function, if it is one: Quad and PUMA's GeLU are not.
    pub fn pointwise(self) -> Option<&'static Pointwise> {
        match self {
            Self::Gelu => Some(&GELU),
            Self::GeluTanh => Some(&GELU_TANH),
            Self::Tanh => Some(&TANH),
            Self::Silu => Some(&SILU),
            Self::Sigmoid => Some(&SIGMOID),
            Self::Quad | Self::PumaGelu => None,
        }
    }

    /// The activation of a number.
    pub fn value(self, x: f64) -> f64 {
        match (self.pointwise(), self) {
            (Some(function), _) => function.value(x),
            (None, Self::PumaGelu) => super::puma_gelu::value(x),
            (None, _) => 0.125 * x * x + 0.25 * x + 0.5,
        }
    }
}
