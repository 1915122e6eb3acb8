//! Computes sums, counts and extremes of many values with SIMD instructions. The compiler vectorizes a sum only if it
//! is split into partial sums.

use std::borrow::Cow;

use fanin::{Level, Vectorized};

use crate::vectorized::vectorized;

/// The number of partial sums.
const LANES: usize = 16;

/// The finite values among some values.
#[derive(Debug)]
pub(crate) struct FiniteValues<'a> {
    /// The finite values. The function `of` copies them only if another value is NaN or infinite.
    pub(crate) values: Cow<'a, [f64]>,
    /// The smallest finite value; infinity if there is no finite value.
    pub(crate) min: f64,
    /// The largest finite value; negative infinity if there is no finite value.
    pub(crate) max: f64,
    /// The smallest magnitude of a finite value; infinity if there is no finite value.
    pub(crate) smallest_magnitude: f64,
}

impl<'a> FiniteValues<'a> {
    /// Returns the finite values among `values`.
    pub(crate) fn of(values: &'a [f64]) -> Self {
        Self::new(values).unwrap_or_else(|| Self::filtered(values, |x| x.is_finite()))
    }

    /// Returns the values that meet a condition. The condition must be false for NaN and infinities.
    pub(crate) fn filtered(values: &[f64], is_included: impl Fn(f64) -> bool) -> Self {
        let included: Vec<f64> = values.iter().copied().filter(|x| is_included(*x)).collect();
        let (min, max, smallest_magnitude) = extremes(&included);
        Self { values: included.into(), min, max, smallest_magnitude }
    }

    /// Returns `values` without copying them. Returns `None` if `values` is empty, or if a value is NaN or infinite.
    fn new(values: &'a [f64]) -> Option<Self> {
        let (min, max, smallest_magnitude) = extremes(values);
        let all = min.is_finite() && max.is_finite();
        all.then_some(Self { values: values.into(), min, max, smallest_magnitude })
    }

    /// Returns the number of zeros.
    pub(crate) fn zeros(&self) -> u64 {
        if self.smallest_magnitude == 0.0 { count_of(&self.values, |x| x == 0.0) } else { 0 }
    }
}

/// Converts the bits of an f64 value to an integer. The integers have the order of the values, with -0 before 0. NaN is
/// below negative infinity or above infinity. The function is its own inverse.
#[inline(always)]
fn ordered(bits: u64) -> i64 {
    let bits = bits as i64;
    bits ^ ((bits >> 63) as u64 >> 1) as i64
}

vectorized! {
    /// Returns the smallest value, the largest value and the smallest magnitude. A NaN is below or above all other
    /// values, depending on its sign.
    fn extremes(values: &[f64]) -> (f64, f64, f64) {
        // The values are compared as integers, because the minimum of floating-point numbers needs extra instructions
        // for NaN.
        let (mut min, mut max) = (ordered(f64::INFINITY.to_bits()), ordered(f64::NEG_INFINITY.to_bits()));
        let mut magnitude = min;
        for x in values {
            min = min.min(ordered(x.to_bits()));
            max = max.max(ordered(x.to_bits()));
            magnitude = magnitude.min(ordered(x.abs().to_bits()));
        }
        // The sum with 0 turns -0 into 0.
        let value = |ordered_bits: i64| f64::from_bits(ordered(ordered_bits as u64) as u64) + 0.0;
        (value(min), value(max), value(magnitude))
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

vectorized! {
    /// Standardizes each value: subtracts `mean` and multiplies by `inverse`. Returns the sum of the standardized
    /// values, the sum of their squares, and the sum of the products of each standardized value and the next. The
    /// argument `values` must not be empty.
    pub(crate) fn standardized_sums(values: &[f64], mean: f64, inverse: f64) -> [f64; 3] {
        let standardize = |x: f64| (x - mean) * inverse;
        let last = standardize(values[values.len() - 1]);
        let (mut sums, mut squares, mut products) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
        let (firsts, first_rest) = values[..values.len() - 1].as_chunks::<LANES>();
        let (seconds, second_rest) = values[1..].as_chunks::<LANES>();
        for (first, second) in firsts.iter().zip(seconds) {
            for k in 0..LANES {
                let (x, next) = (standardize(first[k]), standardize(second[k]));
                sums[k] += x;
                squares[k] += x * x;
                products[k] += x * next;
            }
        }
        let mut totals = [sums, squares, products].map(|lanes| lanes.iter().sum::<f64>());
        for (first, second) in first_rest.iter().zip(second_rest) {
            let (x, next) = (standardize(*first), standardize(*second));
            totals[0] += x;
            totals[1] += x * x;
            totals[2] += x * next;
        }
        [totals[0] + last, totals[1] + last * last, totals[2]]
    }
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
