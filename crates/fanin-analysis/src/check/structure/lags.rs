//! Tests whether the values of a tensor are correlated:
//! - values 1 or 2 positions apart along an axis,
//! - values at the transposed positions (i, j) and (j, i),
//! - whole rows or columns at a fixed distance.

use std::ops::Range;

use super::matrix::{Matrix, Rounded, dot};
use crate::check::p_value::correlation;
use crate::check::tensor_view::matrix;
use crate::check::test_result::TestResult;
use crate::signs::sign;
use crate::vectorized::vectorized;

/// The number of sums in the [`Sketch`] of a row or of a column.
const SKETCH: usize = 8;

/// The smallest number of values of a row or column for which a [`Sketch`] is computed. A sketch consists of sums of
/// values. The sums of fewer values would not be approximately normally distributed.
const MIN_LENGTH: usize = 16 * SKETCH;

/// Rows are tested for correlation at every distance from 1 to this distance, and so are columns.
const ALL_LAGS: usize = 128;

/// The list of rows is divided into at most this many equal parts of consecutive rows, such as shards. Rows at the same
/// position in two parts are compared, such as the first rows of two shards. Columns are compared in the same way.
const MAX_PARTS: usize = 16;

/// A sum of products is tested only if it has at least this many products. The sum of fewer products is not
/// approximately normally distributed.
const MIN_PRODUCTS: usize = 1000;

/// Symmetry is tested only if there are at least this many pairs of positions (i, j) and (j, i).
const MIN_PAIRS: usize = 100;

/// A distance along an axis. Values at this distance from one another are tested for correlation.
#[derive(Debug)]
struct AxisLag {
    axis: usize,
    /// The distance along the axis.
    step: usize,
    /// The difference of the row-major indices of two values that are `step` apart along the axis.
    distance: usize,
    /// The sum of `x * y` over all pairs of values x and y whose row-major indices differ by `distance`.
    sum: f64,
}

/// The sums from which the tests `correlation` of a matrix are computed. Rows are added by ascending index.
#[derive(Debug)]
pub(super) struct Lags {
    axes: Vec<AxisLag>,
    /// The sign by which each column is multiplied in the sketches of rows. Empty if the rows are not sketched.
    column_signs: Vec<f32>,
    /// The sketch of each row.
    rows: Vec<Sketch>,
    /// The sign by which each row is multiplied in the sketches of columns. Empty if the columns are not sketched.
    row_signs: Vec<f32>,
    /// A row-major matrix of `SKETCH` rows. Each of its columns is the [`Sketch`] of one column of the tensor.
    column_sums: Vec<f32>,
}

impl Lags {
    /// Creates sums that are all 0. `shape` is the shape of the tensor, or of a range of its rows.
    pub(super) fn new(shape: &[usize]) -> Self {
        let (rows, columns) = matrix(shape);
        let signs_of = |length: usize| if length >= MIN_LENGTH { signs(length) } else { Vec::new() };
        let row_signs = signs_of(rows);
        Self {
            axes: axis_lags(shape),
            column_signs: signs_of(columns),
            rows: Vec::new(),
            column_sums: vec![0.0; if row_signs.is_empty() { 0 } else { SKETCH * columns }],
            row_signs,
        }
    }

    /// Returns the number of values that must precede the added rows in the argument `values` of [`add`](Self::add).
    /// [`add`](Self::add) multiplies the values of the added rows by these earlier values.
    pub(super) fn needed(&self) -> usize {
        self.axes.iter().map(|axis| axis.distance).max().unwrap_or(0)
    }

    /// Adds `values[range]`, the next rows of the matrix. The argument `first` is the index of the first added row in
    /// the matrix.
    ///
    /// The slice `values[..range.start]` must contain the last values before the added rows: at least
    /// [`needed`](Self::needed) values. If the matrix has fewer values before the added rows, the slice must contain
    /// all these values.
    pub(super) fn add(&mut self, values: &[f32], range: Range<usize>, first: usize) {
        for axis in &mut self.axes {
            let start = range.start.max(axis.distance);
            if start < range.end {
                let earlier = &values[start - axis.distance..range.end - axis.distance];
                axis.sum += dot(&values[start..range.end], earlier);
            }
        }
        let rows = &values[range];
        if !self.column_signs.is_empty() {
            self.rows.extend(row_sketches(rows, &self.column_signs));
        }
        if !self.row_signs.is_empty() {
            add_rows(rows, first, &self.row_signs[first..], &mut self.column_sums);
        }
    }

    /// Returns the results of the tests. All rows must have been added before.
    pub(super) fn tests(self, matrix: &Matrix<'_>) -> Vec<TestResult> {
        let mut results: Vec<TestResult> = self.axes.iter().map(|lag| along_axis(matrix, lag)).collect();
        results.extend(symmetry(matrix));
        if !self.column_signs.is_empty() {
            results.extend(between_lines("rows", &self.rows));
        }
        if !self.row_signs.is_empty() {
            let sketch =
                |column: usize| std::array::from_fn(|k| self.column_sums[k * matrix.columns + column]);
            let columns: Vec<Sketch> = (0..matrix.columns).map(sketch).collect();
            results.extend(between_lines("columns", &columns));
        }
        results
    }
}

/// Returns the distances 1 and 2 along each axis. Distance 1 along the last axis is left out, because the test `order`
/// covers it.
fn axis_lags(shape: &[usize]) -> Vec<AxisLag> {
    let values: usize = shape.iter().product();
    let mut lags = Vec::new();
    let mut stride = 1;
    for (axis, &size) in shape.iter().enumerate().rev() {
        for step in [1, 2] {
            let distance = stride * step;
            let count = values.saturating_sub(distance);
            let covered = axis + 1 == shape.len() && step == 1;
            if size > step && count >= MIN_PRODUCTS && !covered {
                lags.push(AxisLag { axis, step, distance, sum: 0.0 });
            }
        }
        stride *= size;
    }
    lags
}

/// Tests whether values at the distance `lag` along an axis are correlated.
///
/// The values are in row-major order. In a few pairs, one value is therefore at the end of a row, and the other at the
/// start of the next row.
fn along_axis(matrix: &Matrix<'_>, lag: &AxisLag) -> TestResult {
    let AxisLag { axis, step, distance, sum } = lag;
    let count = (matrix.rows * matrix.columns - distance) as f64;
    let r = sum / count / matrix.mean_square;
    let z = r * count.sqrt();
    let text = format!(
        "values {step} apart along axis {axis} have a correlation of {r:+.4}: {z:+.1} standard errors"
    );
    TestResult::new("correlation", correlation(r, count, matrix.skewness), text)
}

/// Returns whether the test `symmetry` applies. The last two axes must have the same size, at least 8.
pub(super) fn has_symmetry_test(shape: &[usize]) -> bool {
    matches!(*shape, [.., rows, columns] if rows == columns && rows >= 8)
}

/// Tests the correlation of the values at (i, j) and (j, i) of the last two axes. If the tensor has more axes, all its
/// matrices are tested together. Returns `None` if [`has_symmetry_test`] is false, or if there are fewer than
/// `MIN_PAIRS` pairs.
fn symmetry(matrix: &Matrix<'_>) -> Option<TestResult> {
    if !has_symmetry_test(matrix.shape) {
        return None;
    }
    const TILE: usize = 32;
    let rows = matrix.shape[matrix.shape.len() - 1];
    let product = |x: Rounded, y: Rounded| f64::from(x.value()) * f64::from(y.value());
    let mut sum = 0.0;
    for square in matrix.rounded.chunks_exact(rows * rows) {
        for top in (0..rows).step_by(TILE) {
            for left in (top..rows).step_by(TILE) {
                for i in top..rows.min(top + TILE) {
                    for j in left.max(i + 1)..rows.min(left + TILE) {
                        sum += product(square[i * rows + j], square[j * rows + i]);
                    }
                }
            }
        }
    }
    let pairs = (rows * (rows - 1) / 2 * (matrix.rounded.len() / (rows * rows))) as f64;
    let r = sum / pairs / matrix.mean_square;
    let z = r * pairs.sqrt();
    let p = correlation(r, pairs, matrix.skewness);
    let text = format!("values at (i, j) and (j, i) have a correlation of {r:+.3}: {z:+.1} standard errors");
    (pairs as usize >= MIN_PAIRS).then(|| TestResult::new("symmetry", p, text))
}

/// The count sketch of a row or column (Charikar, Chen and Farach-Colton 2002). Each value is multiplied by a
/// pseudo-random sign and added to one of `SKETCH` sums. The scalar product of two sketches is an unbiased estimate of
/// the scalar product of the two rows or columns. If the values are independent, so are the sums.
type Sketch = [f32; SKETCH];

/// Returns `count` fixed pseudo-random signs, as 1 or -1.
fn signs(count: usize) -> Vec<f32> {
    (0..count as u64).map(|n| sign(n + 0x5bd1_e995) as f32).collect()
}

vectorized! {
    /// Returns the sketch of each row of values. A row has as many values as there are signs.
    fn row_sketches(values: &[f32], signs: &[f32]) -> Vec<Sketch> {
        let (blocks_of_signs, last_signs) = signs.as_chunks::<SKETCH>();
        let mut sketches = Vec::with_capacity(values.len() / signs.len());
        for row in values.chunks(signs.len()) {
            let mut sums = [0f32; SKETCH];
            let (blocks, last) = row.as_chunks::<SKETCH>();
            for (block, signs) in blocks.iter().zip(blocks_of_signs) {
                for k in 0..SKETCH {
                    sums[k] += block[k] * signs[k];
                }
            }
            for (sum, (x, sign)) in sums.iter_mut().zip(last.iter().zip(last_signs)) {
                *sum += x * sign;
            }
            sketches.push(sums);
        }
        sketches
    }

    /// Multiplies each row of `values` by a sign (1 or -1), and adds the product to a row of `sums`. `values` contains
    /// consecutive rows of a matrix, from row `first` on. Row n of the matrix is multiplied by `signs[n - first]`. The
    /// product is added to row `n % SKETCH` of `sums`.
    fn add_rows(values: &[f32], first: usize, signs: &[f32], sums: &mut [f32]) {
        let columns = sums.len() / SKETCH;
        for ((n, row), sign) in values.chunks(columns).enumerate().zip(signs) {
            let start = (first + n) % SKETCH * columns;
            for (sum, x) in sums[start..start + columns].iter_mut().zip(row) {
                *sum += sign * x;
            }
        }
    }
}

/// Tests whether lines (rows or columns) at a fixed distance are correlated. `lines` contains the sketch of each line,
/// and `name` is "rows" or "columns".
///
/// The tested distances are 1 to `ALL_LAGS`, but at most half the number of lines. If the lines can be divided into
/// equal parts (see [`MAX_PARTS`]), the distances between these parts are tested too. For example, 1200 lines can be
/// divided into 3 parts of 400 lines, so the distances 400 and 800 are tested. The returned result is for the distance
/// with the smallest p-value. This p-value is multiplied by the number of tested distances (Bonferroni correction).
fn between_lines(name: &str, lines: &[Sketch]) -> Option<TestResult> {
    if lines.len() < 4 {
        return None;
    }
    let n = lines.len();
    let mut lags: Vec<usize> = (1..=ALL_LAGS.min(n / 2)).collect();
    for parts in 2..=MAX_PARTS {
        lags.extend((1..parts).filter(|_| n.is_multiple_of(parts)).map(|part| n / parts * part));
    }
    lags.sort_unstable();
    lags.dedup();
    let flat = lines.as_flattened();
    let variance = dot(flat, flat) / flat.len() as f64;
    // Equal values are reported by other tests.
    if variance <= 0.0 {
        return None;
    }
    let mut worst: Option<(usize, f64, f64)> = None;
    let mut tested = 0u32;
    for &lag in &lags {
        let count = (n - lag) * SKETCH;
        if count < 64 {
            continue;
        }
        tested += 1;
        let shift = lag * SKETCH;
        let r = dot(&flat[shift..], &flat[..flat.len() - shift]) / count as f64 / variance;
        let p = correlation(r, count as f64, 0.0);
        if worst.is_none_or(|(_, _, smallest)| p < smallest) {
            worst = Some((lag, r, p));
        }
    }
    let (lag, r, p) = worst?;
    let text = format!("{name} {lag} apart have a correlation of about {r:+.2}");
    Some(TestResult::new("correlation", p * f64::from(tested), text))
}
