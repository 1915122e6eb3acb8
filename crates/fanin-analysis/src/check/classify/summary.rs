//! Counts and sums over the values of a tensor. They are computed while the values are read for the first time.

use crate::check::reference::ReferenceDistribution;

/// The number of columns whose sums are stored. Of a wider matrix, the first columns represent the others.
const MAX_COLUMNS: usize = 1 << 20;

/// The smallest number of values of a line, and of lines, with which lines are compared. The sum of squares is far from
/// chi-square distributed if there are fewer.
const MIN_LINE: usize = 32;
const MIN_LINES: usize = 8;

/// The sum and the sum of squares of the values of a row or column.
#[derive(Debug, Clone, Copy, Default)]
struct LineSums {
    sum: f64,
    squares: f64,
}

impl LineSums {
    #[inline]
    fn add(&mut self, x: f64) {
        self.sum += x;
        self.squares += x * x;
    }
}

/// Sums over the lines of a matrix: over its rows, or over its columns. They take the place of the lines, which may be
/// too many to store.
#[derive(Debug, Clone, Copy, Default)]
struct LineMoments {
    lines: f64,
    mean: f64,
    square_of_mean: f64,
    mean_square: f64,
    square_of_mean_square: f64,
}

impl LineMoments {
    /// Adds a line of `length` values.
    fn add(&mut self, line: LineSums, length: f64) {
        let (mean, mean_square) = (line.sum / length, line.squares / length);
        self.lines += 1.0;
        self.mean += mean;
        self.square_of_mean += mean * mean;
        self.mean_square += mean_square;
        self.square_of_mean_square += mean_square * mean_square;
    }

    /// Returns the sums of the squared distances of the lines' means from `mean`, and of their mean squares from
    /// `mean_square`.
    fn distances(&self, mean: f64, mean_square: f64) -> (f64, f64) {
        let distance = |sum: f64, squares: f64, center: f64| {
            (squares - 2.0 * center * sum + self.lines * center * center).max(0.0)
        };
        (
            distance(self.mean, self.square_of_mean, mean),
            distance(self.mean_square, self.square_of_mean_square, mean_square),
        )
    }
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
    rows: usize,
    columns: usize,
    /// The number of rows that are all zeros.
    zero_rows: usize,
    /// The sums of the current row.
    row: LineSums,
    row_moments: LineMoments,
    /// The sums of the first columns; empty if columns are too short to be compared.
    column_sums: Vec<LineSums>,
}

impl Summary {
    /// Returns an empty summary for a tensor of this shape. Trailing axes are flattened into columns. A tensor of fewer
    /// than two axes, or without values, has no rows and no columns.
    pub(super) fn new(shape: &[usize], smallest_plausible: f64) -> Self {
        let (rows, columns) = matrix(shape);
        let stored = if rows < MIN_LINE { 0 } else { columns.min(MAX_COLUMNS) };
        Self {
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            rows,
            columns,
            column_sums: vec![LineSums::default(); stored],
            smallest_plausible,
            ..Self::default()
        }
    }

    /// Adds consecutive values. `first` is the row-major index of the first value.
    pub(super) fn add(&mut self, first: usize, values: &[f64]) {
        let width = self.columns.max(1);
        let mut column = first % width;
        for &x in values {
            self.hash = (self.hash ^ x.to_bits()).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
            if x.is_finite() {
                self.add_finite(x);
                self.row.add(x);
                if let Some(sums) = self.column_sums.get_mut(column) {
                    sums.add(x);
                }
            } else {
                self.infinite += u64::from(x.is_infinite());
                self.non_finite += 1;
            }
            column += 1;
            if column == width {
                column = 0;
                self.finish_row();
            }
        }
    }

    fn finish_row(&mut self) {
        let row = std::mem::take(&mut self.row);
        if self.columns > 0 {
            self.zero_rows += usize::from(row.squares == 0.0);
            self.row_moments.add(row, self.columns as f64);
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
        self.rows
    }

    /// Returns the number of columns.
    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    /// Returns the number of rows that are all zeros.
    pub(super) fn zero_rows(&self) -> usize {
        self.zero_rows
    }

    /// Tests whether the means and mean squares of rows and columns vary more than for independent values. Returns the
    /// largest excess, in standard errors, and at least 0.
    pub(super) fn line_deviation(&self, reference: &ReferenceDistribution) -> f64 {
        let moments = reference.moments;
        let mean_square = moments.variance + moments.mean * moments.mean;
        let variance_of_square = moments.m4 - moments.variance * moments.variance;
        let mut column_moments = LineMoments::default();
        self.column_sums.iter().for_each(|column| column_moments.add(*column, self.rows as f64));
        let mut largest = 0.0f64;
        for (lines, length) in [(self.row_moments, self.columns), (column_moments, self.rows)] {
            let (n, count) = (length as f64, lines.lines);
            if count < MIN_LINES as f64 || length < MIN_LINE || moments.mean.abs() > moments.variance.sqrt() {
                continue;
            }
            let (of_means, of_mean_squares) = lines.distances(moments.mean, mean_square);
            // The variance of a squared term is 2 plus the excess kurtosis of the term. The bound on this kurtosis is a
            // multiple of 12 / n, the excess kurtosis of the mean of n chi-square variables.
            for (sum, kurtosis) in
                [(of_means * n / moments.variance, 1.0), (of_mean_squares * n / variance_of_square, 4.0)]
            {
                let variance = 2.0 + 12.0 / n * kurtosis;
                largest = largest.max((sum - count) / (count * variance).sqrt());
            }
        }
        largest
    }
}

/// Returns the number of rows and of columns of a tensor whose trailing axes are flattened into columns. Both are 0 for
/// a tensor of fewer than two axes, or without values: one of its other sizes may be too large for memory.
fn matrix(shape: &[usize]) -> (usize, usize) {
    match shape {
        [rows, rest @ ..] if !rest.is_empty() && !shape.contains(&0) => (*rows, rest.iter().product()),
        _ => (0, 0),
    }
}
