//! Computes sums over a range of rows of a tensor, and runs the tests that need all rows of the range.

use super::lags::{Lags, has_symmetry_test};
use super::lines::{Lines, UnfinishedLines};
use super::matrix::{LANES, LIGHT_TAILED, MIN_VALUES, Matrix, Rounded, SHORT, inlined_dot};
use super::spectrum::{self, FirstProducts};
use crate::check::distribution::Moments;
use crate::check::tensor_view::matrix;
use crate::check::test_result::TestResult;
use crate::vectorized::vectorized;

/// Sums over the standardized values of a range of rows. Each block of rows is added to all sums while it is in the
/// CPU's L2 cache.
#[derive(Debug)]
pub(super) struct PartSums {
    /// The shape of the range of rows. The size along the first axis is the number of rows.
    shape: Vec<usize>,
    /// The moments by which the values are standardized.
    moments: Moments,
    /// The number of values that have been added.
    count: usize,
    /// The last standardized values. Values that `lags` no longer needs are removed from time to time.
    recent: Vec<f32>,
    /// The number of values of `recent` that have been added to the sums of `lags`, `lines` and `products`.
    summed: usize,
    /// All values, rounded. Empty if neither `spectrum` nor `symmetry` is tested.
    rounded: Vec<Rounded>,
    is_rounded_needed: bool,
    /// Whether the magnitudes of the standardized values are below 1e6.
    all_small: bool,
    /// The sum of the squares of the standardized values.
    squares: f64,
    lags: Lags,
    lines: UnfinishedLines,
    /// The sums for the test `spectrum`, or `None` if the test is not made.
    products: Option<FirstProducts>,
}

vectorized! {
    /// Standardizes `values`. Returns the sum of the squares of the standardized values, and whether the magnitudes of
    /// all of them are below 1e6.
    fn standardize(values: &[f64], mean: f64, inverse: f64, standardized: &mut [f32]) -> (f64, bool) {
        let mut sum = 0.0;
        let mut largest = 0;
        for (values, standardized) in values.chunks(SHORT).zip(standardized.chunks_mut(SHORT)) {
            for (standardized, x) in standardized.iter_mut().zip(values) {
                *standardized = ((x - mean) * inverse) as f32;
                // The bits of magnitudes, compared as integers, have the same order as the magnitudes. NaN is above
                // all numbers.
                largest = largest.max(standardized.abs().to_bits());
            }
            sum += inlined_dot(standardized, standardized);
        }
        (sum, largest < 1e6f32.to_bits())
    }

    /// Appends the rounded values to `rounded`. Returns the sum of their squares.
    fn round(values: &[f32], rounded: &mut Vec<Rounded>) -> f64 {
        let mut sum = 0.0;
        for chunk in values.chunks(SHORT) {
            let mut squares = [0f32; LANES];
            let (groups, rest) = chunk.as_chunks::<LANES>();
            for group in groups {
                let added = group.map(Rounded::new);
                for k in 0..LANES {
                    squares[k] += added[k].value() * added[k].value();
                }
                rounded.extend_from_slice(&added);
            }
            let start = rounded.len();
            rounded.extend(rest.iter().map(|x| Rounded::new(*x)));
            let rest: f32 = rounded[start..].iter().map(|x| x.value() * x.value()).sum();
            sum += f64::from(squares.iter().sum::<f32>() + rest);
        }
        sum
    }
}

/// Unneeded values are removed from [`PartSums::recent`] only if there are at least this many.
const MAX_UNNEEDED: usize = 1 << 15;

/// Returns the number of rows of a block. A block fits into the CPU's L2 cache, unless a single row does not.
///
/// For rows of at most 8192 values, the number of rows is a multiple of 16, so every block starts at a multiple of 16
/// values. [`inlined_dot`] adds the products k, k + 16, k + 32, ... to one partial sum, for each k below 16. These
/// groups of products are nearly the same with and without blocks, so the rounding errors are nearly the same too.
fn rows_of_block(columns: usize) -> usize {
    const VALUES: usize = 1 << 14;
    let rows = VALUES.div_ceil(columns).next_multiple_of(16);
    if rows * columns <= 8 * VALUES { rows } else { (8 * VALUES / columns).max(1) }
}

impl PartSums {
    /// Creates sums that are all 0. `shape` is the shape of the range of rows. It must have two axes or more, none of
    /// size 0.
    pub(super) fn new(shape: &[usize], moments: Moments) -> Self {
        let (rows, columns) = matrix(shape);
        // For light-tailed values, the limit distributions of random matrices already hold for small matrices.
        let products = FirstProducts::new(rows, columns).filter(|_| moments.kurtosis < LIGHT_TAILED);
        let is_rounded_needed = products.is_some() || has_symmetry_test(shape);
        Self {
            shape: shape.to_vec(),
            moments,
            count: 0,
            recent: Vec::new(),
            summed: 0,
            rounded: Vec::with_capacity(if is_rounded_needed { rows * columns } else { 0 }),
            is_rounded_needed,
            all_small: true,
            squares: 0.0,
            lags: Lags::new(shape),
            lines: UnfinishedLines::new(shape),
            products,
        }
    }

    /// Adds the next values in row-major order.
    pub(super) fn add(&mut self, values: &[f64]) {
        self.count += values.len();
        let start = self.recent.len();
        self.recent.resize(start + values.len(), 0.0);
        let added = &mut self.recent[start..];
        let (squares, small) = standardize(values, self.moments.mean, 1.0 / self.moments.std, added);
        self.squares += squares;
        self.all_small &= small;
        let (_, columns) = matrix(&self.shape);
        let block = rows_of_block(columns) * columns;
        while self.recent.len() - self.summed >= block {
            self.sum_rows(self.summed + block);
        }
    }

    /// Adds `recent[summed..end]` to the sums of `lags`, `lines` and `products`. The range must consist of whole rows.
    fn sum_rows(&mut self, end: usize) {
        let (_, columns) = matrix(&self.shape);
        let first = (self.count - (self.recent.len() - self.summed)) / columns;
        let rows = &self.recent[self.summed..end];
        self.lines.add(rows);
        if self.is_rounded_needed {
            let start = self.rounded.len();
            let squares = round(rows, &mut self.rounded);
            if let Some(products) = &mut self.products {
                products.add(&self.rounded[start..], squares);
            }
        }
        self.lags.add(&self.recent, self.summed..end, first);
        self.summed = end;
        // The values are moved to the start of `recent` only after several blocks, because moving takes time.
        let unneeded = self.summed.saturating_sub(self.lags.needed());
        if unneeded >= MAX_UNNEEDED.max(4 * self.lags.needed()) {
            self.recent.drain(..unneeded);
            self.summed -= unneeded;
        }
    }

    /// Returns the sums of the rows, columns and slices, and the results of the tests `spectrum`, `norm`, `correlation`
    /// and `symmetry`. All rows must have been added.
    ///
    /// Returns `None` if there are fewer than `MIN_VALUES` values, or if all values are equal to the mean. Also returns
    /// `None` if a standardized value is NaN or has a magnitude of 1e6 or more. Other tests report such values.
    pub(super) fn finish(mut self) -> Option<(Lines, Vec<TestResult>)> {
        if self.count < MIN_VALUES || !self.all_small || self.squares == 0.0 {
            return None;
        }
        if self.summed < self.recent.len() {
            self.sum_rows(self.recent.len());
        }
        let (rows, columns) = matrix(&self.shape);
        let mean_square = self.squares / self.count as f64;
        let (shape, skewness, rounded) = (&self.shape[..], self.moments.skewness, &self.rounded[..]);
        let matrix = Matrix { shape, rows, columns, skewness, rounded, mean_square };
        let mut results = self.products.map_or_else(Vec::new, |first| spectrum::tests(&matrix, first));
        results.extend(self.lags.tests(&matrix));
        Some((self.lines.finish(), results))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signs::sign;

    #[test]
    fn sums_over_neighbouring_rows_do_not_depend_on_the_division_into_chunks() {
        // Row n + 2 is row n times -1. Row n + 1 is independent of row n. With 6000 rows, values are removed
        // from `recent` several times.
        let (rows, columns) = (6000, 24);
        let value = |n: usize| {
            let (row, column) = (n / columns, n % columns);
            let signs = sign((row % 2 * columns + column) as u64);
            if row % 4 < 2 { signs } else { -signs }
        };
        let values: Vec<f64> = (0..rows * columns).map(value).collect();
        for chunk in [7, 1000, values.len()] {
            let mut sums = PartSums::new(&[rows, columns], Moments::NORMAL);
            values.chunks(chunk).for_each(|chunk| sums.add(chunk));
            assert!(sums.recent.len() < values.len() || chunk == values.len());
            let (_, results) = sums.finish().expect("the values are finite");
            let found = |text: &str| results.iter().any(|result| result.text.starts_with(text));
            assert!(
                found("values 2 apart along axis 0 have a correlation of -1.0000"),
                "{chunk} {results:?}"
            );
        }
    }
}
