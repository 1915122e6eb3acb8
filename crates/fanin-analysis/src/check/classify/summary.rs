//! Counts and sums over the values of a tensor. They are computed while the values are read for the first time.

use crate::check::reference::ReferenceDistribution;

/// The sum and the sum of squares of the values of a row or column.
#[derive(Debug, Clone, Copy, Default)]
struct LineSums {
    sum: f64,
    squares: f64,
}

/// Counts, sums and range of the values of a tensor.
#[derive(Debug, Default)]
pub(super) struct Summary {
    /// The number of finite values. All sums are over the finite values.
    pub(super) finite: u64,
    /// The number of values that are NaN or infinite.
    pub(super) non_finite: u64,
    /// The number of infinite values.
    pub(super) infinite: u64,
    /// The number of exact zeros.
    pub(super) zeros: u64,
    /// The number of values that are exactly 1.
    pub(super) ones: u64,
    /// The number of implausible values: their absolute value is above 1e15, or below `smallest_plausible` but not 0.
    pub(super) implausible: u64,
    /// The sum of the values.
    pub(super) sum: f64,
    /// The sum of the squared values.
    pub(super) squares: f64,
    /// The smallest value.
    pub(super) min: f64,
    /// The largest value.
    pub(super) max: f64,
    /// The number of values that are equal to `min`.
    pub(super) count_at_min: u64,
    /// The number of values that are equal to `max`.
    pub(super) count_at_max: u64,
    /// A hash of all values.
    pub(super) hash: u64,
    /// The absolute value below which a non-zero value is implausible.
    smallest_plausible: f64,
    rows: Vec<LineSums>,
    columns: Vec<LineSums>,
}

impl Summary {
    /// Returns an empty summary for a tensor of this shape. Trailing axes are flattened into columns. A tensor of fewer
    /// than two axes has no rows and no columns.
    pub(super) fn new(shape: &[usize], smallest_plausible: f64) -> Self {
        let rows = if shape.len() < 2 { 0 } else { shape[0] };
        let columns = if rows == 0 { 0 } else { shape[1..].iter().product() };
        Self {
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            rows: vec![LineSums::default(); rows],
            columns: vec![LineSums::default(); columns],
            smallest_plausible,
            ..Self::default()
        }
    }

    /// Adds consecutive values. `first` is the row-major index of the first value.
    pub(super) fn add(&mut self, first: usize, values: &[f64]) {
        let width = self.columns.len().max(1);
        let (mut row, mut column) = (first / width, first % width);
        for &x in values {
            self.hash = (self.hash ^ x.to_bits()).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
            if x.is_finite() {
                self.add_finite(x);
                if !self.columns.is_empty() {
                    for line in [&mut self.rows[row], &mut self.columns[column]] {
                        line.sum += x;
                        line.squares += x * x;
                    }
                }
            } else {
                self.infinite += u64::from(x.is_infinite());
                self.non_finite += 1;
            }
            column += 1;
            if column == width {
                (row, column) = (row + 1, 0);
            }
        }
    }

    #[inline]
    fn add_finite(&mut self, x: f64) {
        self.finite += 1;
        self.sum += x;
        self.squares += x * x;
        self.zeros += u64::from(x == 0.0);
        self.ones += u64::from(x == 1.0);
        self.implausible += u64::from(self.is_subnormal(x) || x.abs() > 1e15);
        if x < self.min {
            (self.min, self.count_at_min) = (x, 0);
        }
        if x > self.max {
            (self.max, self.count_at_max) = (x, 0);
        }
        self.count_at_min += u64::from(x == self.min);
        self.count_at_max += u64::from(x == self.max);
    }

    /// Returns whether a value is implausibly small: its absolute value is below `smallest_plausible` but above 0.
    pub(super) fn is_subnormal(&self, x: f64) -> bool {
        x != 0.0 && x.abs() < self.smallest_plausible
    }

    /// Returns the mean of the finite values.
    pub(super) fn mean(&self) -> f64 {
        self.sum / self.finite as f64
    }

    /// Returns the standard deviation of the finite values.
    pub(super) fn std(&self) -> f64 {
        (self.squares / self.finite as f64 - self.mean().powi(2)).max(0.0).sqrt()
    }

    /// Returns the number of rows.
    pub(super) fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Returns the number of columns.
    pub(super) fn columns(&self) -> usize {
        self.columns.len()
    }

    /// Returns the number of rows that are all zeros.
    pub(super) fn zero_rows(&self) -> usize {
        self.rows.iter().filter(|row| row.squares == 0.0).count()
    }

    /// Tests whether the means and mean squares of rows and columns vary more than for independent values. Returns the
    /// largest excess, in standard errors, and at least 0.
    pub(super) fn line_deviation(&self, reference: &ReferenceDistribution) -> f64 {
        let moments = reference.moments;
        let mean_square = moments.variance + moments.mean * moments.mean;
        let variance_of_square = moments.m4 - moments.variance * moments.variance;
        let mut largest = 0.0f64;
        for (lines, length) in [(&self.rows, self.columns.len()), (&self.columns, self.rows.len())] {
            // The sum of squares is far from chi-square distributed if there are fewer than 8 rows or columns, or if
            // they have fewer than 32 values.
            if lines.len() < 8 || length < 32 || moments.mean.abs() > moments.variance.sqrt() {
                continue;
            }
            let (n, count) = (length as f64, lines.len() as f64);
            let chi_square = |sum: fn(&LineSums) -> f64, mean: f64, variance: f64| -> f64 {
                lines.iter().map(|line| (sum(line) / n - mean).powi(2) * n / variance).sum()
            };
            // The variance of a squared term is 2 plus the excess kurtosis of the term. The bound on this kurtosis is a
            // multiple of 12 / n, the excess kurtosis of the mean of n chi-square variables.
            for (sum, kurtosis) in [
                (chi_square(|line| line.sum, moments.mean, moments.variance), 1.0),
                (chi_square(|line| line.squares, mean_square, variance_of_square), 4.0),
            ] {
                let variance = 2.0 + 12.0 / n * kurtosis;
                largest = largest.max((sum - count) / (count * variance).sqrt());
            }
        }
        largest
    }
}
