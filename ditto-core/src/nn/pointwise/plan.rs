//! A protocol for one function at one pair of formats, and what it promises.

use crate::mpc::{Lookup, SeriesSpec, Signs};
use crate::public_math::power_of_two;

/// `slope X + offset`, at [`Plan::scale`], of the integer argument X.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Affine {
    pub(crate) slope: i64,
    pub(crate) offset: i64,
}

impl Affine {
    fn at(self, x: i64) -> i64 {
        self.slope * x + self.offset
    }

    /// Low bits of the argument that it depends on modulo 2^ring.
    pub(crate) fn argument_bits(self, ring: u32) -> u32 {
        if self.slope == 0 { 1 } else { ring - self.slope.trailing_zeros().min(ring - 1) }
    }

    pub(crate) fn minus(self, other: Self) -> Self {
        Self { slope: self.slope - other.slope, offset: self.offset - other.offset }
    }
}

/// A number in a word of a table: `least + unsigned bits`, with some fractional bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) bits: u32,
    pub(crate) fraction: u32,
    pub(crate) least: i64,
}

impl Field {
    fn of(self, word: u64, from: u32) -> i64 {
        self.least + (word >> from & ((1 << self.bits) - 1)) as i64
    }
}

/// A value per step of the argument, and for pieces of degree 1 a slope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    /// The argument that index 0 stands for.
    pub(crate) start: i64,
    /// Words: the value, above it the slope.
    pub(crate) lookup: Lookup,
    pub(crate) value: Field,
    pub(crate) slope: Option<Field>,
    /// Left shifts of value and of slope times rest, to the plan's scale.
    pub(crate) shifts: [u32; 2],
}

impl Table {
    /// What the table says at the argument `x` if it is read at `index`.
    pub(crate) fn at(&self, x: i64, index: i64) -> i64 {
        let word = self.lookup.read(index as u64);
        let value = self.value.of(word, 0) << self.shifts[0];
        let rest = x - self.start - (index << self.lookup.dropped());
        value + self.slope.map_or(0, |s| (s.of(word, self.value.bits) * rest) << self.shifts[1])
    }

    /// The indices at which the argument `x` may be read.
    pub(crate) fn indices(&self, x: i64) -> [i64; 2] {
        let (x, drop) = (x - self.start, self.lookup.dropped());
        [x >> drop, (x + (1 << drop) - 1) >> drop]
    }
}

/// The function between its tails.
#[derive(Clone, Debug)]
pub(crate) enum Middle {
    /// The tails meet.
    Nothing,
    Series(SeriesSpec),
    Table(Table),
}

/// Where the function is affine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tails {
    None,
    Low(Affine),
    High(Affine),
    /// With something between them.
    Both(Affine, Affine),
    /// With nothing between them.
    Meeting(Affine, Affine),
}

/// How a function is computed.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Fractional bits of the argument that are opened.
    pub(crate) input: u32,
    /// Ring in which it is opened.
    pub(crate) open: u32,
    /// The least and the largest argument, as integers.
    pub(crate) range: [i64; 2],
    /// Fractional bits while the parts are put together.
    pub(crate) scale: u32,
    /// Fractional bits of the result, at most `scale`.
    pub(crate) fraction: u32,
    /// Ring of the result less `centre` before its UpCast.
    pub(crate) width: u32,
    /// The middle of the function's values.
    pub(crate) centre: i64,
    /// Ring of the middle part; as `ring()` unless an UpCast follows.
    pub(crate) narrow: u32,
    pub(crate) middle: Middle,
    /// Added to the middle part.
    pub(crate) line: Affine,
    pub(crate) tails: Tails,
    /// One comparison per tail: below the high tail, then below the end of the low tail. One if the tails meet.
    pub(crate) signs: Option<Signs>,
}

/// The largest errors of a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Worst {
    /// Of the approximation alone, on the opened argument.
    pub(crate) fit: f64,
    /// With every rounding, for all outcomes of its coins.
    pub(crate) total: f64,
}

impl Plan {
    /// Ring in which the parts are put together.
    pub(crate) fn ring(&self) -> u32 {
        self.width + self.scale - self.fraction
    }

    /// Whether a comparison may say "below", and whether it may say "not below".
    fn may(&self, comparison: usize, x: i64) -> [bool; 2] {
        let Some(signs) = &self.signs else { return [false, false] };
        let x = x + signs.add[comparison];
        [x < 0, x > -(1 << signs.drop)]
    }

    /// Which parts may be the result at `x`: low tail, middle, high tail.
    pub(crate) fn parts(&self, x: i64) -> [bool; 3] {
        match self.tails {
            Tails::None => [false, true, false],
            Tails::Low(_) => {
                let [low, middle] = self.may(0, x);
                [low, middle, false]
            }
            Tails::High(_) => {
                let [middle, high] = self.may(0, x);
                [false, middle, high]
            }
            Tails::Meeting(..) => {
                let [low, high] = self.may(0, x);
                [low, false, high]
            }
            Tails::Both(..) => {
                let ([below, high], [low, above]) = (self.may(0, x), self.may(1, x));
                [low, below && above, high]
            }
        }
    }

    /// The largest rounding of the result.
    pub(crate) fn coin(&self) -> f64 {
        power_of_two(-(self.fraction as i32)) - power_of_two(-(self.scale as i32))
    }

    /// The largest error over all arguments, masks and coins, of the values `exact` has at all of them in a row.
    ///
    /// `between` bounds, for each argument, how far the function moves to any that may be rounded to it.
    pub(crate) fn worst(&self, exact: &[f64], between: impl Fn(usize) -> f64) -> Worst {
        let unit = power_of_two(-(self.scale as i32));
        let tail =
            |part: Option<Affine>, x: i64, y: f64| part.map_or(0.0, |a| (a.at(x) as f64 * unit - y).abs());
        let (low, high) = match self.tails {
            Tails::None => (None, None),
            Tails::Low(low) => (Some(low), None),
            Tails::High(high) => (None, Some(high)),
            Tails::Both(low, high) | Tails::Meeting(low, high) => (Some(low), Some(high)),
        };
        // Rounding of factors, of the constant and of the sum, which a table does not have.
        let inexact = match &self.middle {
            Middle::Nothing | Middle::Table(_) => 0.0,
            Middle::Series(series) => {
                let fine = power_of_two(-(series.scale() as i32));
                let waves: f64 = series.waves.iter().flat_map(|w| w.rounding()).sum();
                waves + fine / 2.0 + (unit - fine)
            }
        };
        let mut worst = Worst::default();
        for (i, &y) in exact.iter().enumerate() {
            let x = self.range[0] + i as i64;
            let [is_low, is_middle, is_high] = self.parts(x);
            let mut fit = 0f64;
            let mut total = 0f64;
            if is_low {
                fit = tail(low, x, y);
                total = fit;
            }
            if is_high {
                fit = fit.max(tail(high, x, y));
                total = fit;
            }
            if is_middle {
                let line = self.line.at(x) as f64 * unit;
                let error = match &self.middle {
                    Middle::Nothing => 0.0,
                    Middle::Series(series) => (series.value(x) + line - y).abs(),
                    Middle::Table(table) => {
                        let of = |i| (table.at(x, i) as f64 * unit + line - y).abs();
                        table.indices(x).map(of).into_iter().fold(0.0, f64::max)
                    }
                };
                fit = fit.max(error);
                total = total.max(error + inexact);
            }
            worst.fit = worst.fit.max(fit);
            worst.total = worst.total.max(total + between(i));
        }
        worst.total += self.coin();
        worst
    }
}
