//! Finds the cheapest plan that keeps a tolerance.

use std::sync::Arc;

use super::fit::{Fit, Search};
use super::plan::{Affine, Field, Middle, Plan, Table, Tails, Worst};
use crate::cost::Cost;
use crate::engine::Meter;
use crate::error::{Error, Result};
use crate::mpc::series::{MAX_FACTOR, MAX_LOG_PERIOD};
use crate::mpc::{Dealt, Lookup, MAX_INDEX_BITS, SeriesSpec, Signs, Wave};
use crate::nn::compose;
use crate::public_math::power_of_two;
use crate::tensor::Shape;

/// Most arguments that are checked one by one.
pub(crate) const MAX_INPUTS: i64 = 1 << 22;
/// Widest ring in which parts are put together.
const MAX_RING: u32 = 32;
/// Most waves.
const MAX_WAVES: usize = 10;

/// Elements that costs are metered with: so many bytes are bits per element.
pub(crate) const METERED: usize = 8;

/// Cost of eight elements.
fn metered(plan: &Plan, fraction: u32, out_fraction: u32, out_width: u32) -> Result<Cost> {
    let x = Dealt::<u64>::new(Shape::new(&[METERED]), 64);
    let program = Meter::read(Arc::default(), |ctx| {
        compose::apply_plan::<Meter, u64, u64>(ctx, plan, &x, fraction, out_fraction, out_width).map(drop)
    })?;
    Ok(program.total)
}

/// A function on the integers of its range.
pub(crate) struct Problem {
    /// Fractional bits of the argument that are opened.
    pub(crate) input: u32,
    /// Whether the argument has more.
    pub(crate) rounded: bool,
    /// Fractional bits of the result.
    pub(crate) fraction: u32,
    pub(crate) tolerance: f64,
    pub(crate) range: [i64; 2],
    /// The function's values.
    pub(crate) exact: Vec<f64>,
    /// The least and the largest of them.
    pub(crate) values: [f64; 2],
    /// The formats that costs are told for.
    pub(crate) out: [u32; 3],
}

/// A plan, what it promises, and the cost of eight elements.
pub(crate) struct Found {
    pub(crate) plan: Plan,
    pub(crate) worst: Worst,
    pub(crate) cost: Cost,
}

/// `slope x + offset` from `edge` on (high) or up to `edge` (low).
#[derive(Clone, Copy)]
struct Tail {
    slope: f64,
    offset: f64,
    edge: i64,
}

/// A part of the range, with the tails around it.
struct Window {
    low: i64,
    high: i64,
    tails: [Option<Tail>; 2],
    signs: Option<Signs>,
}

impl Window {
    /// Whether there is nothing between the tails.
    fn meets(&self) -> bool {
        self.signs.as_ref().is_some_and(|s| s.add.len() == 1) && self.tails.iter().all(Option::is_some)
    }
}

/// The least t with `v 2^t` whole, for the eighths that slopes are made of.
fn binary_places(v: f64) -> u32 {
    (0..3).find(|&t| (v * power_of_two(t)).fract() == 0.0).unwrap_or(3) as u32
}

/// Bits that hold the integers up to `v`.
fn bits(v: i64) -> u32 {
    64 - v.max(0).leading_zeros()
}

/// The least t with `2^t >= v`, for v > 0.
fn log2_ceil(v: f64) -> i32 {
    let mut t = -60;
    while power_of_two(t) < v {
        t += 1;
    }
    t
}

impl Problem {
    fn at(&self, x: i64) -> f64 {
        self.exact[(x.clamp(self.range[0], self.range[1]) - self.range[0]) as usize]
    }

    fn unit(&self) -> f64 {
        power_of_two(-(self.input as i32))
    }

    /// How far the function moves between an argument and what may be rounded to it, if it is monotone there.
    fn between(&self, i: usize) -> f64 {
        if !self.rounded {
            return 0.0;
        }
        let step = |j: usize| (self.exact[j.min(self.exact.len() - 1)] - self.exact[i]).abs();
        step(i + 1).max(step(i.saturating_sub(1)))
    }

    /// Plans within the tolerance: that with the fewest bytes first, each further one with fewer hops.
    pub(crate) fn solve(&self) -> Result<Vec<Found>> {
        let moves = (0..self.exact.len()).map(|i| self.between(i)).fold(0.0, f64::max);
        let mut plans = Vec::new();
        let mut most = MAX_WAVES;
        for window in self.windows(moves) {
            if window.meets() {
                plans.extend(self.two_pieces(&window));
                continue;
            }
            self.series(&window, moves, &mut most, &mut plans);
            self.tables(&window, moves, &mut plans);
        }
        let [fraction, out_fraction, out_width] = self.out;
        let mut priced = Vec::new();
        for plan in plans {
            // Formats that no protocol has are no candidates.
            match metered(&plan, fraction, out_fraction, out_width) {
                Ok(cost) => priced.push((cost, plan)),
                Err(Error::Unsupported(_)) => {}
                Err(error) => return Err(error),
            }
        }
        priced.sort_by_key(|(cost, _)| (cost.total_bytes(), cost.hops));
        let mut front: Vec<Found> = Vec::new();
        for (cost, plan) in priced {
            if front.last().is_some_and(|last| last.cost.hops <= cost.hops) {
                continue;
            }
            let worst = plan.worst(&self.exact, |i| self.between(i));
            if worst.total <= self.tolerance {
                front.push(Found { plan, worst, cost });
            }
        }
        Ok(front)
    }

    /// The part of the range from its end on which the function is affine.
    fn tail(&self, high: bool, allowed: f64) -> Option<Tail> {
        let [low, top] = self.range;
        let (end, step) = if high { (top, -1) } else { (low, 1) };
        let span = ((top - low) / 64).max(1);
        let slope = (self.at(end + step * span) - self.at(end)) / ((step * span) as f64 * self.unit());
        let slope = (slope * 4.0).round_ties_even() / 4.0;
        if slope.abs() > 64.0 {
            return None;
        }
        // As the function is at the end: a better fit near the edge would be a bias over the rest of the tail.
        let offset = self.at(end) - slope * end as f64 * self.unit();
        let places = power_of_two(self.fraction as i32);
        let offset = (offset * places).round_ties_even() / places;
        let fits = |x: i64| (slope * x as f64 * self.unit() + offset - self.at(x)).abs() <= allowed;
        let length = (0..=top - low).take_while(|i| fits(end + step * i)).count() as i64;
        // A short tail is not worth a comparison.
        let worth = length > (top - low) / 16 && length <= top - low;
        worth.then(|| Tail { slope, offset, edge: end + step * (length - 1) })
    }

    /// The whole range, and what remains of it between tails for several precisions of the comparisons.
    fn windows(&self, moves: f64) -> Vec<Window> {
        let [low, high] = self.range;
        let mut windows = vec![Window { low, high, tails: [None, None], signs: None }];
        let allowed = 0.999 * (self.tolerance - moves - power_of_two(-(self.fraction as i32)));
        if allowed <= 0.0 {
            return windows;
        }
        let tails = [self.tail(false, allowed), self.tail(true, allowed)];
        let edge = [tails[0].map_or(low, |t| t.edge), tails[1].map_or(high, |t| t.edge)];
        if tails.iter().all(Option::is_none) || edge[0] >= edge[1] {
            windows.extend(self.meeting(tails, edge));
            return windows;
        }
        // With tails over most of the range, the whole of it is not worth a try.
        if edge[1] - edge[0] < (high - low) / 2 {
            windows.clear();
        }
        let natural = bits(edge[1] - edge[0]);
        windows.extend((natural.saturating_sub(5)..natural).filter_map(|d| self.window(tails, edge, d)));
        windows
    }

    /// Two tails that leave nothing between them: one comparison whose slack fits into what they have in common.
    fn meeting(&self, tails: [Option<Tail>; 2], edge: [i64; 2]) -> Option<Window> {
        if tails.iter().any(Option::is_none) {
            return None;
        }
        let drop = bits(edge[0] - edge[1] + 2) - 1;
        let add = -((1 << drop) - 1) - edge[1];
        let signs = Some(self.signs(drop, vec![add])?);
        Some(Window { low: edge[1], high: edge[0], tails, signs })
    }

    /// Comparisons in a ring that holds their numbers over the whole range.
    fn signs(&self, drop: u32, add: Vec<i64>) -> Option<Signs> {
        let furthest = add.iter().flat_map(|a| self.range.map(|x| (x + a).abs() + (1 << drop))).max()?;
        Some(Signs { drop, bits: bits(furthest >> drop) + 1, add })
    }

    fn window(&self, tails: [Option<Tail>; 2], edge: [i64; 2], drop: u32) -> Option<Window> {
        let band = (1i64 << drop) - 1;
        let mut window = Window { low: self.range[0], high: self.range[1], tails, signs: None };
        let mut add = Vec::new();
        if tails[1].is_some() {
            // Below the edge surely "below", a band further surely not.
            add.push(-band - edge[1]);
            window.high = (edge[1] + band).min(window.high);
        }
        if tails[0].is_some() {
            add.push(-edge[0] - 1);
            window.low = (edge[0] - band).max(window.low);
        }
        window.signs = Some(self.signs(drop, add)?);
        (window.high - window.low < self.range[1] - self.range[0]).then_some(window)
    }

    /// What all plans for a window have in common, with `middle` between the tails.
    #[allow(clippy::too_many_arguments)]
    fn plan(&self, window: &Window, scale: u32, middle: Middle, narrow: u32, line: Affine) -> Option<Plan> {
        let (width, centre) = self.result();
        let affine = |t: &Tail| Affine {
            slope: (t.slope * power_of_two((scale - self.input) as i32)) as i64,
            offset: (t.offset * power_of_two(scale as i32)).round_ties_even() as i64,
        };
        let tails = match &window.tails {
            [None, None] => Tails::None,
            [Some(low), None] => Tails::Low(affine(low)),
            [None, Some(high)] => Tails::High(affine(high)),
            [Some(low), Some(high)] if window.meets() => Tails::Meeting(affine(low), affine(high)),
            [Some(low), Some(high)] => Tails::Both(affine(low), affine(high)),
        };
        let signs = window.signs.clone();
        let (input, fraction, range) = (self.input, self.fraction, self.range);
        let mut plan = Plan {
            input,
            open: 0,
            range,
            scale,
            fraction,
            width,
            centre,
            narrow,
            middle,
            line,
            tails,
            signs,
        };
        let ring = plan.ring();
        // Every part reads low bits of the argument; the ring must have those that any of them reads.
        let read = |a: Affine| a.argument_bits(ring);
        let of_tails = match plan.tails {
            Tails::None => 1,
            Tails::Low(t) | Tails::High(t) => read(t).max(read(line.minus(t))),
            Tails::Meeting(l, h) => read(h).max(read(l.minus(h))),
            Tails::Both(l, h) => read(h).max(read(line.minus(h))).max(read(l.minus(h))),
        };
        let of_middle = match &plan.middle {
            Middle::Nothing => 1,
            Middle::Series(series) => series.log_period,
            Middle::Table(table) => table.lookup.dropped() + table.lookup.index_bits(),
        };
        let of_signs = plan.signs.as_ref().map_or(1, |s| s.drop + s.bits);
        plan.open = read(line).max(of_tails).max(of_middle).max(of_signs);
        (ring <= MAX_RING && plan.open <= MAX_RING).then_some(plan)
    }

    /// Ring and centre of the result: its UpCast wants a quarter of the ring on each side.
    fn result(&self) -> (u32, i64) {
        let scale = power_of_two(self.fraction as i32);
        let (low, high) = (self.values[0] - self.tolerance, self.values[1] + self.tolerance);
        let half = ((high - low) * 0.5 * scale).ceil() as i64 + 1;
        (bits(half) + 2, ((high + low) * 0.5 * scale).round_ties_even() as i64)
    }

    /// A plan of two affine pieces.
    fn two_pieces(&self, window: &Window) -> Option<Plan> {
        let slopes = window.tails.iter().flatten().map(|t| t.slope);
        let scale = slopes.map(|s| self.input + binary_places(s)).fold(self.fraction, u32::max);
        let ring = self.result().0 + scale - self.fraction;
        self.plan(window, scale, Middle::Nothing, ring, Affine { slope: 0, offset: 0 })
    }

    /// The slopes that the middle part may be freed of.
    fn slopes(&self, window: &Window) -> Vec<f64> {
        if let [Some(low), Some(high)] = window.tails {
            return vec![(low.slope + high.slope) / 2.0];
        }
        let span = (window.high - window.low) as f64 * self.unit();
        let chord = ((self.at(window.high) - self.at(window.low)) / span * 4.0).round_ties_even() / 4.0;
        let mut slopes: Vec<f64> = window.tails.iter().flatten().map(|t| t.slope).collect();
        slopes.extend([0.0, chord].into_iter().filter(|s| s.abs() <= 64.0));
        slopes.sort_by(f64::total_cmp);
        slopes.dedup();
        slopes
    }

    /// Adds plans with a series of at most one wave more than the shortest so far, which is lowered to this one's.
    fn series(&self, window: &Window, moves: f64, most: &mut usize, plans: &mut Vec<Plan>) {
        let span = window.high - window.low;
        // Five to ten times the window: frequencies are as fine as that.
        let log_period = bits(5 * span).clamp(3, MAX_LOG_PERIOD);
        if span + span / 4 >= 1 << log_period {
            return;
        }
        for slope in self.slopes(window) {
            let slopes = window.tails.iter().flatten().map(|t| t.slope).chain([slope]);
            let scale = slopes.map(|s| self.input + binary_places(s)).fold(self.fraction, u32::max);
            let coin = power_of_two(-(self.fraction as i32));
            let budget = self.tolerance - moves - coin;
            if budget <= 0.0 {
                continue;
            }
            let target = |x: i64| self.at(x) - slope * x as f64 * self.unit();
            let mut search = Search::new(window.low, window.high, log_period, budget, target);
            let mut levels = 0;
            for waves in 0..=MAX_WAVES.min(*most + 1) {
                let fits = search.next();
                let built =
                    fits.iter().filter_map(|fit| self.build(window, scale, slope, fit, budget, log_period));
                let Some((_, plan)) = built.min_by_key(|(dealt, _)| *dealt) else { continue };
                plans.push(plan);
                levels += 1;
                *most = waves.min(*most);
                // One wave more can save bits of the others; two more do not.
                if levels == 2 {
                    break;
                }
            }
        }
    }

    /// A plan from a fit, and the bits that are dealt for its waves.
    fn build(
        &self,
        window: &Window,
        scale: u32,
        slope: f64,
        fit: &Fit,
        budget: f64,
        log_period: u32,
    ) -> Option<(u32, Plan)> {
        // Between the points of the fit the error may be a little larger.
        let left = budget - 1.03 * fit.error - power_of_two(-(scale as i32) - 10);
        let wave =
            |&(frequency, cos, sin): &(u32, f64, f64)| Wave { frequency, cos, sin, dealt: 2, public: 2 };
        let mut waves: Vec<Wave> = fit.waves.iter().map(wave).collect();
        if left <= 0.0 || waves.iter().any(|w| w.amplitude() >= 60.0) {
            return None;
        }
        // A bit more where it helps most, until the roundings fit.
        while waves.iter().flat_map(Wave::rounding).sum::<f64>() > left {
            let size = |w: &Wave| w.rounding()[0].max(w.rounding()[1]);
            let worst = waves.iter_mut().max_by(|a, b| size(a).total_cmp(&size(b)))?;
            let [public, dealt] = worst.rounding();
            if public > dealt {
                worst.public += 1
            } else {
                worst.dealt += 1
            }
            if worst.public.max(worst.dealt) > MAX_FACTOR {
                return None;
            }
        }
        let slope = (slope * power_of_two((scale - self.input) as i32)) as i64;
        let one = power_of_two(scale as i32);
        let (full, _) = self.result();
        let ring = full + scale - self.fraction;
        // Between tails the waves alone are opened in a ring of their own, and lifted before they meet the rest.
        let whole = (fit.constant * one).round_ties_even();
        let reach = waves.iter().map(Wave::amplitude).sum::<f64>() + budget + 2.0 / one;
        let narrow = if window.signs.is_some() { (bits((reach * one) as i64) + 2).min(ring) } else { ring };
        let rest = fit.constant - whole / one;
        let series = SeriesSpec::new(log_period, scale, narrow, rest, waves);
        let dealt = series.waves.iter().map(|w| 2 * series.dealt_width(w)).sum();
        let line = Affine { slope, offset: whole as i64 };
        Some((dealt, self.plan(window, scale, Middle::Series(series), narrow, line)?))
    }

    /// Adds plans with tables: of values, and of values and slopes.
    fn tables(&self, window: &Window, moves: f64, plans: &mut Vec<Plan>) {
        let span = window.high - window.low;
        for drop in 0..bits(span) {
            let entries = (span >> drop) + 1 + i64::from(drop > 0);
            if entries > 1 << MAX_INDEX_BITS {
                continue;
            }
            plans.extend(self.table(window, moves, drop, entries, false));
            if drop > 0 {
                plans.extend(self.table(window, moves, drop, entries, true));
            }
        }
    }

    fn table(&self, window: &Window, moves: f64, drop: u32, entries: i64, sloped: bool) -> Option<Plan> {
        let slopes = window.tails.iter().flatten().map(|t| t.slope);
        let least = slopes.map(|s| self.input + binary_places(s)).fold(self.fraction, u32::max);
        let length = power_of_two(drop as i32) * self.unit();
        let rough = self.tolerance - moves - power_of_two(-(self.fraction as i32));
        // The rounding of values and slopes takes a sixth of the error each.
        let places = |v: f64| log2_ceil(3.0 * v / rough.max(self.tolerance / 16.0)).max(0) as u32;
        let slope_fraction = if sloped { places(length) } else { 0 };
        let scale = if sloped { least.max(self.input + slope_fraction) } else { least };
        let value_fraction = places(1.0).min(scale);
        let allowed =
            self.tolerance - moves - (power_of_two(-(self.fraction as i32)) - power_of_two(-(scale as i32)));
        let mut pieces = Vec::with_capacity(entries as usize);
        for i in 0..entries {
            let centre = window.low + (i << drop);
            let reach = (1i64 << drop) - 1;
            let (from, to) = ((centre - reach).max(window.low), (centre + reach).min(window.high));
            let slope = if sloped && to > from {
                let chord = (self.at(to) - self.at(from)) / ((to - from) as f64 * self.unit());
                (chord * power_of_two(slope_fraction as i32)).round_ties_even()
            } else {
                0.0
            };
            let per_step = slope * power_of_two(-(slope_fraction as i32)) * self.unit();
            let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
            for x in from..=to {
                let left = self.at(x) - per_step * (x - centre) as f64;
                (least, most) = (least.min(left), most.max(left));
            }
            if (most - least) * 0.5 > allowed {
                return None;
            }
            let value = ((most + least) * 0.5 * power_of_two(value_fraction as i32)).round_ties_even();
            pieces.push((value as i64, slope as i64));
        }
        let field = |numbers: &mut dyn Iterator<Item = i64>, fraction: u32| {
            let (least, most) = numbers.fold((i64::MAX, i64::MIN), |(a, b), v| (a.min(v), b.max(v)));
            Field { bits: bits(most - least).max(1), fraction, least }
        };
        let value = field(&mut pieces.iter().map(|p| p.0), value_fraction);
        let slope = sloped.then(|| field(&mut pieces.iter().map(|p| p.1), slope_fraction));
        let word_bits = value.bits + slope.map_or(0, |s| s.bits);
        if word_bits > 64 {
            return None;
        }
        let word = |&(v, s): &(i64, i64)| {
            (v - value.least) as u64 | slope.map_or(0, |f| ((s - f.least) as u64) << value.bits)
        };
        let mut words: Vec<u64> = pieces.iter().map(word).collect();
        // What lies beyond is read outside of the window only.
        let last = *words.last()?;
        words.resize(words.len().next_power_of_two().max(2), last);
        let lookup = Lookup::new(drop, word_bits, words).ok()?;
        let shifts = [scale - value_fraction, if sloped { scale - self.input - slope_fraction } else { 0 }];
        let mut table = Table { start: window.low, lookup, value, slope, shifts };
        let ring = self.result().0 + scale - self.fraction;
        let mut line = Affine { slope: 0, offset: 0 };
        let mut narrow = ring;
        if window.signs.is_some() {
            // Between tails the table's numbers are opened in a ring of their own: they are centred for it.
            let half = 1i64 << (value.bits - 1);
            line.offset = (value.least + half) << table.shifts[0];
            table.value.least = -half;
            let entry = |i: i64| {
                let at = table.start + (i << drop);
                [-1, 1].map(|side| table.at(at + side * (1 << drop), i).abs())
            };
            let reach = (0..table.lookup.words().len() as i64).flat_map(entry).max()?;
            narrow = (bits(reach) + 2).min(ring);
        }
        let fits = value.bits + table.shifts[0] <= narrow
            && slope.is_none_or(|s| s.bits + table.shifts[1] <= narrow);
        fits.then(|| self.plan(window, scale, Middle::Table(table), narrow, line)).flatten()
    }
}
