//! The counts, sums, minimum and maximum of the values of a tensor, computed when the values are first read.

use crate::check::lanes::{FiniteValues, count_of};
use crate::check::running_moments::RunningMoments;
use crate::check::tensor_view::matrix;

/// The counts, sums, minimum and maximum of the values of a tensor, or of consecutive rows of a tensor.
#[derive(Debug, Default)]
pub(super) struct Summary {
    /// The moments of the finite values.
    moments: RunningMoments,
    /// The number of values that are NaN or infinite.
    pub(super) non_finite: u64,
    /// The number of infinite values.
    pub(super) infinite: u64,
    /// The number of exact zeros.
    pub(super) zeros: u64,
    /// The number of values that are exactly 1.
    pub(super) ones: u64,
    /// The number of implausible values: those above 1e15 in magnitude, and those below `smallest_plausible` in
    /// magnitude except 0.
    pub(super) implausible: u64,
    /// The smallest finite value.
    pub(super) min: f64,
    /// The largest finite value.
    pub(super) max: f64,
    /// The number of values that are equal to `min`.
    pub(super) count_at_min: u64,
    /// The number of values that are equal to `max`.
    pub(super) count_at_max: u64,
    /// The number of rows that are all zeros.
    pub(super) zero_rows: usize,
    /// The number of zeros that directly follow another zero in row-major order.
    pub(super) adjacent_zeros: u64,
    /// A value other than 0 is implausible if its magnitude is below this number.
    smallest_plausible: f64,
    /// The number of values of a row; 0 if the tensor has fewer than two axes.
    width: usize,
    /// The number of values of the current row that were added so far.
    filled: usize,
    /// The number of zeros of the current row that were added so far.
    zeros_of_row: usize,
    /// Whether the last added value was 0.
    after_zero: bool,
}

impl Summary {
    /// Returns an empty summary for a tensor of this shape. All axes after the first are flattened into columns. A
    /// tensor of fewer than two axes has no rows.
    pub(super) fn new(shape: &[usize], smallest_plausible: f64) -> Self {
        let (_, width) = matrix(shape);
        Self { min: f64::INFINITY, max: f64::NEG_INFINITY, smallest_plausible, width, ..Self::default() }
    }

    /// Adds the next values in row-major order.
    pub(super) fn add(&mut self, values: &[f64]) {
        let finite = FiniteValues::of(values);
        if finite.smallest_magnitude == 0.0 {
            self.add_zeros(values);
        } else if !values.is_empty() {
            self.skip_row_values(values.len());
        }
        if finite.values.len() < values.len() {
            self.infinite += count_of(values, f64::is_infinite);
            self.non_finite += (values.len() - finite.values.len()) as u64;
        }
        self.add_finite(&finite);
    }

    /// Adds the next values to the counts of zeros, of adjacent zeros, and of rows that are all zeros.
    fn add_zeros(&mut self, values: &[f64]) {
        for &x in values {
            let zero = x == 0.0;
            self.zeros += u64::from(zero);
            self.adjacent_zeros += u64::from(zero && self.after_zero);
            self.after_zero = zero;
            if self.width > 0 {
                self.filled += 1;
                self.zeros_of_row += usize::from(zero);
                if self.filled == self.width {
                    self.zero_rows += usize::from(self.zeros_of_row == self.width);
                    (self.filled, self.zeros_of_row) = (0, 0);
                }
            }
        }
    }

    /// Advances by `count` values that are not 0, without reading them. The rows that contain these values are not
    /// counted as rows of zeros.
    fn skip_row_values(&mut self, count: usize) {
        self.after_zero = false;
        if self.width > 0 {
            let filled = self.filled + count;
            if filled >= self.width {
                self.zeros_of_row = 0;
            }
            self.filled = filled % self.width;
        }
    }

    /// Adds finite values to the sums, to the range, and to the counts of ones and implausible values.
    fn add_finite(&mut self, finite: &FiniteValues<'_>) {
        let &FiniteValues { min, max, smallest_magnitude, .. } = finite;
        let values = &*finite.values;
        if values.is_empty() {
            return;
        }
        if min <= 1.0 && max >= 1.0 {
            self.ones += count_of(values, |x| x == 1.0);
        }
        if smallest_magnitude < self.smallest_plausible || max > 1e15 || min < -1e15 {
            self.implausible += count_of(values, |x| self.is_subnormal(x) || x.abs() > 1e15);
        }
        let count = |wanted: f64| count_of(values, |x| x == wanted);
        if min <= self.min {
            let before = if min == self.min { self.count_at_min } else { 0 };
            (self.min, self.count_at_min) = (min, before + count(min));
        }
        if max >= self.max {
            let before = if max == self.max { self.count_at_max } else { 0 };
            (self.max, self.count_at_max) = (max, before + count(max));
        }
        self.moments.add(values);
    }

    /// Merges the summary of `next`. The rows of `next` follow those of `self` in the tensor.
    pub(super) fn merge(&mut self, next: &Self) {
        self.moments.merge(&next.moments);
        self.non_finite += next.non_finite;
        self.infinite += next.infinite;
        self.zeros += next.zeros;
        self.ones += next.ones;
        self.implausible += next.implausible;
        self.zero_rows += next.zero_rows;
        self.adjacent_zeros += next.adjacent_zeros;
        if next.min <= self.min {
            let same = if next.min == self.min { self.count_at_min } else { 0 };
            (self.min, self.count_at_min) = (next.min, next.count_at_min + same);
        }
        if next.max >= self.max {
            let same = if next.max == self.max { self.count_at_max } else { 0 };
            (self.max, self.count_at_max) = (next.max, next.count_at_max + same);
        }
    }

    /// Returns whether `x` is implausibly small: below `smallest_plausible` in magnitude, but not 0.
    pub(super) fn is_subnormal(&self, x: f64) -> bool {
        x != 0.0 && x.abs() < self.smallest_plausible
    }

    /// Returns the number of finite values.
    pub(super) fn finite(&self) -> u64 {
        self.moments.count
    }

    /// Returns the mean of the finite values.
    pub(super) fn mean(&self) -> f64 {
        if self.finite() == 0 { f64::NAN } else { self.moments.mean }
    }

    /// Returns the standard deviation of the finite values.
    pub(super) fn std(&self) -> f64 {
        self.moments.std()
    }

    /// Returns the Euclidean norm of the finite values: the square root of the sum of their squares.
    pub(super) fn norm(&self) -> f64 {
        let RunningMoments { count, mean, squares } = self.moments;
        (squares + mean * mean * count as f64).sqrt()
    }
}
