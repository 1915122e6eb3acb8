//! Sums, counts and extremes of many values, by SIMD instructions. A sum has separate partial sums, so that the
//! compiler can use these instructions.

use std::borrow::Cow;

use fanin::{Level, Vectorized};

use crate::vectorized::vectorized;

/// The number of partial sums.
const LANES: usize = 8;

/// Returns the finite values. They are copied only if a value is NaN or infinite.
pub(crate) fn finite(values: &[f64]) -> Cow<'_, [f64]> {
    if are_finite(values) {
        return Cow::Borrowed(values);
    }
    Cow::Owned(values.iter().copied().filter(|x| x.is_finite()).collect())
}

vectorized! {
    /// Returns whether all values are finite.
    fn are_finite(values: &[f64]) -> bool {
        values.iter().fold(true, |all, x| all & (x.abs() < f64::INFINITY))
    }

    /// Returns the smallest value, the largest value and the smallest magnitude of finite values.
    pub(crate) fn extremes(values: &[f64]) -> (f64, f64, f64) {
        // Unlike `f64::min` and `f64::max`, these closures do not handle NaN. The compiler therefore translates each to
        // a single instruction.
        let least = |a: f64, b: f64| if b < a { b } else { a };
        let most = |a: f64, b: f64| if b > a { b } else { a };
        let (mut min, mut max) = ([f64::INFINITY; LANES], [f64::NEG_INFINITY; LANES]);
        let mut magnitude = min;
        let (chunks, rest) = values.as_chunks::<LANES>();
        for chunk in chunks {
            for k in 0..LANES {
                min[k] = least(min[k], chunk[k]);
                max[k] = most(max[k], chunk[k]);
                magnitude[k] = least(magnitude[k], chunk[k].abs());
            }
        }
        for x in rest {
            min[0] = least(min[0], *x);
            max[0] = most(max[0], *x);
            magnitude[0] = least(magnitude[0], x.abs());
        }
        let smallest = |lanes: [f64; LANES]| lanes.into_iter().fold(f64::INFINITY, f64::min);
        (smallest(min), max.into_iter().fold(f64::NEG_INFINITY, f64::max), smallest(magnitude))
    }
}

/// Values and a function. The function is applied to each value, and the results are added.
struct SumOf<'a, F>(&'a [f64], F);

impl<F: Fn(f64) -> f64> Vectorized for SumOf<'_, F> {
    type Output = f64;

    #[inline(always)]
    fn run(self) -> f64 {
        let Self(values, function) = self;
        let mut sums = [0.0; LANES];
        let (chunks, rest) = values.as_chunks::<LANES>();
        for chunk in chunks {
            for k in 0..LANES {
                sums[k] += function(chunk[k]);
            }
        }
        sums.iter().sum::<f64>() + rest.iter().map(|x| function(*x)).sum::<f64>()
    }
}

/// Applies `function` to each value, and returns the sum of the results. The function must be so small that the
/// compiler inlines it.
pub(crate) fn sum_of(values: &[f64], function: impl Fn(f64) -> f64) -> f64 {
    Level::best().run(SumOf(values, function))
}

/// Values and a function. The function is applied to each value and the next one, and the results are added.
struct SumOfPairs<'a, F>(&'a [f64], F);

impl<F: Fn(f64, f64) -> f64> Vectorized for SumOfPairs<'_, F> {
    type Output = f64;

    #[inline(always)]
    fn run(self) -> f64 {
        let Self(values, function) = self;
        let mut sums = [0.0; LANES];
        let (firsts, first_rest) = values[..values.len() - 1].as_chunks::<LANES>();
        let (seconds, second_rest) = values[1..].as_chunks::<LANES>();
        for (first, second) in firsts.iter().zip(seconds) {
            for k in 0..LANES {
                sums[k] += function(first[k], second[k]);
            }
        }
        let rest = first_rest.iter().zip(second_rest);
        sums.iter().sum::<f64>() + rest.map(|(first, second)| function(*first, *second)).sum::<f64>()
    }
}

/// Applies `function` to each value and the next one, and returns the sum of the results. `values` must not be empty.
/// The function must be so small that the compiler inlines it.
pub(crate) fn sum_of_pairs(values: &[f64], function: impl Fn(f64, f64) -> f64) -> f64 {
    Level::best().run(SumOfPairs(values, function))
}

/// Values and a condition. The values that meet the condition are counted.
struct CountOf<'a, F>(&'a [f64], F);

impl<F: Fn(f64) -> bool> Vectorized for CountOf<'_, F> {
    type Output = u64;

    #[inline(always)]
    fn run(self) -> u64 {
        let Self(values, is_counted) = self;
        values.iter().map(|x| u64::from(is_counted(*x))).sum()
    }
}

/// Returns the number of values for which `is_counted` is true. `is_counted` must be so small that the compiler inlines
/// it.
pub(crate) fn count_of(values: &[f64], is_counted: impl Fn(f64) -> bool) -> u64 {
    Level::best().run(CountOf(values, is_counted))
}
