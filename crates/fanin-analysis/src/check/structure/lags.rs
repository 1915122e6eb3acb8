//! Tests whether the values of a tensor are correlated: values at neighbouring positions along an axis, values at the
//! transposed positions (i, j) and (j, i), and whole rows or columns at a fixed distance.

use super::matrix::{Matrix, dot};
use crate::check::p_value::correlation;
use crate::check::test_result::TestResult;
use crate::signs::sign;

/// The number of sums in the sketch of a row or of a column.
const SKETCH: usize = 8;

/// The smallest number of values of a row or column that is sketched. The sums over fewer values are far from normal.
const MIN_LENGTH: usize = 16 * SKETCH;

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
    if matrix.columns >= MIN_LENGTH {
        results.extend(between_lines("rows", &sketches_of_rows(matrix)));
    }
    if matrix.rows >= MIN_LENGTH {
        results.extend(between_lines("columns", &sketches_of_columns(matrix)));
    }
    results
}

/// Tests the correlation of values that are 1 or 2 positions apart along an axis, for each axis. Distance 1 along the
/// last axis is left out, because the test `order` covers it.
///
/// The values are taken in row-major order, so a few pairs span the end of one row and the start of the next.
fn along_axes(matrix: &Matrix<'_>) -> Vec<TestResult> {
    let mean_square = matrix.mean_square;
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
    let r = sum / pairs / matrix.mean_square;
    let z = r * pairs.sqrt();
    let p = correlation(r, pairs, matrix.skewness);
    let text = format!("values at (i, j) and (j, i) have a correlation of {r:+.3}: {z:+.1} standard errors");
    (pairs as usize >= MIN_PAIRS).then(|| TestResult::new("symmetry", p, text))
}

/// The sketch of a row or column: `SKETCH` sums of its values with pseudo-random signs. Each value is in one of the
/// sums (the count sketch of Charikar, Chen and Farach-Colton 2002). The scalar product of two sketches is an unbiased
/// estimate of the scalar product of the two rows or columns. If the values are independent, so are the sums.
type Sketch = [f32; SKETCH];

/// Returns `count` fixed pseudo-random signs, as 1 or -1.
fn signs(count: usize) -> Vec<f32> {
    (0..count as u64).map(|n| sign(n + 0x5bd1_e995) as f32).collect()
}

/// Returns the sketch of each row of the matrix.
fn sketches_of_rows(matrix: &Matrix<'_>) -> Vec<Sketch> {
    let signs = signs(matrix.columns);
    let (blocks_of_signs, last_signs) = signs.as_chunks::<SKETCH>();
    let sketch = |row: &[f32]| {
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
        sums
    };
    matrix.values.chunks(matrix.columns).map(sketch).collect()
}

/// Returns the sketch of each column of the matrix.
fn sketches_of_columns(matrix: &Matrix<'_>) -> Vec<Sketch> {
    let mut sums: [Vec<f32>; SKETCH] = std::array::from_fn(|_| vec![0f32; matrix.columns]);
    for ((n, row), sign) in matrix.values.chunks(matrix.columns).enumerate().zip(signs(matrix.rows)) {
        sums[n % SKETCH].iter_mut().zip(row).for_each(|(sum, x)| *sum += sign * x);
    }
    (0..matrix.columns).map(|column| std::array::from_fn(|k| sums[k][column])).collect()
}

/// Tests whether lines (rows or columns) at some distance are correlated. `lines` has the sketch of each line, and
/// `name` is "rows" or "columns".
///
/// The tested distances are those up to `ALL_LAGS`, and the distances between corresponding lines of 2 to `MAX_PARTS`
/// equal parts. The result is for the distance with the smallest p-value. Its p-value is multiplied by the number of
/// tested distances.
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
    // If all values are equal, other tests fail.
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
