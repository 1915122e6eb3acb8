//! Tests whether the values of a tensor are correlated: values at neighbouring positions along an axis, values at the
//! transposed positions (i, j) and (j, i), and whole rows or columns at a fixed distance.

use super::matrix::{Matrix, dot};
use crate::check::p_value::correlation;
use crate::check::test_result::TestResult;
use crate::signs::sign;

/// The number of pseudo-random vectors of signs on which each row and each column is projected.
const PROJECTIONS: usize = 8;

/// The largest distance between two rows, or two columns, up to which every distance is tested.
const ALL_LAGS: usize = 128;

/// The largest number of equal parts into which the rows or the columns are divided. Lines at the same position in two
/// parts are compared, such as the first rows of two shards.
const MAX_PARTS: usize = 16;

/// The smallest number of products that is tested. The sum of fewer products is far from normal.
const MIN_PRODUCTS: usize = 1000;

/// The smallest number of pairs of positions (i, j) and (j, i) that is tested.
const MIN_PAIRS: usize = 100;

/// Returns the results of the tests `correlation` and `symmetry` of a matrix.
pub(super) fn tests(matrix: &Matrix<'_>) -> Vec<TestResult> {
    let mut results = along_axes(matrix);
    results.extend(symmetry(matrix));
    let (of_rows, of_columns) = projections(matrix);
    results.extend(between_lines("rows", &of_rows, matrix.columns));
    results.extend(between_lines("columns", &of_columns, matrix.rows));
    results
}

/// Tests the correlation of values that are 1 or 2 positions apart along an axis, for each axis. Distance 1 along the
/// last axis is left out, because the test `order` covers it.
///
/// The values are taken in row-major order, so a few pairs span the end of one row and the start of the next.
fn along_axes(matrix: &Matrix<'_>) -> Vec<TestResult> {
    let mean_square = matrix.mean_square();
    let mut results = Vec::new();
    let mut stride = 1;
    for axis in (0..matrix.shape.len()).rev() {
        for step in [1, 2] {
            let lag = stride * step;
            let count = matrix.values.len().saturating_sub(lag);
            let tested = if axis + 1 == matrix.shape.len() { step == 1 } else { false };
            if matrix.shape[axis] <= step || count < MIN_PRODUCTS || tested {
                continue;
            }
            let r = dot(&matrix.values[lag..], &matrix.values[..count]) / count as f64 / mean_square;
            let p = correlation(r, count as f64, matrix.skewness);
            let z = r * (count as f64).sqrt();
            let text = format!(
                "values {step} apart along axis {axis} have a correlation of {r:+.4}: {z:+.1} standard errors"
            );
            results.push(TestResult::new("correlation", p, text));
        }
        stride *= matrix.shape[axis];
    }
    results
}

/// Tests the correlation of the values at positions (i, j) and (j, i), if the last two axes have equal sizes. In a
/// tensor of more than two axes, all matrices of the last two axes are tested together. Returns `None` if there are too
/// few pairs.
fn symmetry(matrix: &Matrix<'_>) -> Option<TestResult> {
    let [.., rows, columns] = *matrix.shape else { return None };
    if rows != columns || rows < 8 {
        return None;
    }
    const TILE: usize = 32;
    let mut sum = 0.0;
    for square in matrix.values.chunks_exact(rows * columns) {
        for top in (0..rows).step_by(TILE) {
            for left in (top..rows).step_by(TILE) {
                for i in top..rows.min(top + TILE) {
                    for j in left.max(i + 1)..rows.min(left + TILE) {
                        sum += f64::from(square[i * rows + j]) * f64::from(square[j * rows + i]);
                    }
                }
            }
        }
    }
    let pairs = (rows * (rows - 1) / 2 * (matrix.values.len() / (rows * rows))) as f64;
    let r = sum / pairs / matrix.mean_square();
    let z = r * pairs.sqrt();
    let p = correlation(r, pairs, matrix.skewness);
    let text = format!("values at (i, j) and (j, i) have a correlation of {r:+.3}: {z:+.1} standard errors");
    (pairs as usize >= MIN_PAIRS).then(|| TestResult::new("symmetry", p, text))
}

/// Returns the projections of all rows, and the projections of all columns. A projection is the scalar product of a
/// line and a pseudo-random vector of signs, divided by the square root of the line's length. For independent
/// standardized values, it has mean 0 and variance 1.
#[allow(clippy::type_complexity, reason = "two lists of the same kind")]
fn projections(matrix: &Matrix<'_>) -> (Vec<[f32; PROJECTIONS]>, Vec<[f32; PROJECTIONS]>) {
    let signs = |n: usize| -> [f32; PROJECTIONS] {
        std::array::from_fn(|k| sign((n * PROJECTIONS + k) as u64 + 0x5bd1_e995) as f32)
    };
    let column_signs: Vec<[f32; PROJECTIONS]> = (0..matrix.columns).map(signs).collect();
    let mut of_columns = vec![[0f32; PROJECTIONS]; matrix.columns];
    let scale = 1.0 / (matrix.columns as f32).sqrt();
    let mut of_row = |(n, row): (usize, &[f32])| {
        let row_signs = signs(n);
        let mut sums = [0f32; PROJECTIONS];
        for ((&x, signs), column) in row.iter().zip(&column_signs).zip(&mut of_columns) {
            for k in 0..PROJECTIONS {
                sums[k] += signs[k] * x;
                column[k] += row_signs[k] * x;
            }
        }
        sums.map(|sum| sum * scale)
    };
    let of_rows = matrix.values.chunks(matrix.columns).enumerate().map(&mut of_row).collect();
    let scale = 1.0 / (matrix.rows as f32).sqrt();
    of_columns.iter_mut().for_each(|column| *column = column.map(|sum| sum * scale));
    (of_rows, of_columns)
}

/// Tests whether lines (rows or columns) at some distance are correlated. `lines` has the projections of each line, and
/// `length` is the number of values of a line.
///
/// The tested distances are those up to `ALL_LAGS`, and the distances between corresponding lines of 2 to `MAX_PARTS`
/// equal parts. The result is for the distance with the smallest p-value. Its p-value is multiplied by the number of
/// tested distances.
fn between_lines(name: &str, lines: &[[f32; PROJECTIONS]], length: usize) -> Option<TestResult> {
    // The correction by `inflation` below is too small for lines of fewer than 64 values.
    if lines.len() < 4 || length < 64 {
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
    // If all values are equal, other tests fail.
    if variance <= 0.0 {
        return None;
    }
    // The projections of a line are correlated with one another: the square of the correlation of two random vectors of
    // signs is 1 / length on average.
    let inflation = 1.0 + (PROJECTIONS - 1) as f64 / length as f64;
    let mut worst: Option<(usize, f64, f64)> = None;
    let mut tested = 0u32;
    for &lag in &lags {
        let count = (n - lag) * PROJECTIONS;
        if count < 64 {
            continue;
        }
        tested += 1;
        let shift = lag * PROJECTIONS;
        let r = dot(&flat[shift..], &flat[..flat.len() - shift]) / count as f64 / variance;
        let p = correlation(r, count as f64 / inflation, 0.0);
        if worst.is_none_or(|(_, _, smallest)| p < smallest) {
            worst = Some((lag, r, p));
        }
    }
    let (lag, r, p) = worst?;
    let text = format!("{name} {lag} apart have a correlation of about {r:+.2}");
    Some(TestResult::new("correlation", p * f64::from(tested), text))
}
