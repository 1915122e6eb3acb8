//! Singular values of matrices.
//!
//! The singular values are computed in these steps:
//!
//! * A matrix that is not square is replaced by the factor R of its QR factorization. If the matrix has fewer rows than
//!   columns, its transpose is factored.
//! * The square matrix is reduced to a bidiagonal matrix in two stages (Grosser and Lang 1999). First, blocked
//!   reflections from both sides reduce it to an upper band matrix. Then, bulge chasing reduces the band matrix. Each
//!   reflection makes elements outside the band non-zero, and further reflections move them down along the diagonal.
//! * Bisection finds the singular values of the bidiagonal matrix.
//!
//! Bisection uses the differential stationary qd transformation to count the singular values below a bound. Rounding
//! errors have the same effect on the count as a change of the matrix elements by a few units in the last place. Such a
//! change has a small relative effect on each singular value (Fernando and Parlett 1994; Demmel and Kahan 1990). Nearly
//! all of the error therefore comes from the two stages of the reduction. The error is a modest multiple of
//! `n * eps * norm` (see [`singular_values`]).

use super::panel::{factor, reflection};
use super::product::View;
use super::qr::Qr;
use super::transpose::transpose;
use crate::cancel::check;
use crate::simd::{Kernel, Level, SimdIsa, dispatch};
use crate::threads::Threads;

/// Returns the singular values of a matrix in descending order. `values` contains the matrix, row-major. The result
/// has `min(rows, columns)` values. Returns `None` if an element of the matrix is infinite or NaN.
///
/// The absolute error is a modest multiple of `n * eps * norm`, also for rank-deficient matrices. Here n is
/// `min(rows, columns)`, eps is `f64::EPSILON`, and norm is the greatest singular value. The function runs on the
/// calling thread only. The result does not depend on the SIMD level.
///
/// ```
/// use fanin::linalg::singular_values;
/// let values = singular_values(&[3.0, 0.0, 4.0, 5.0], 2, 2).unwrap();
/// assert!((values[0] - 45f64.sqrt()).abs() < 1e-14 && (values[1] - 5f64.sqrt()).abs() < 1e-14);
/// ```
///
/// # Panics
/// Panics if `values` does not have `rows * columns` elements.
pub fn singular_values(values: &[f64], rows: usize, columns: usize) -> Option<Vec<f64>> {
    singular_values_at(Level::best(), values, rows, columns)
}

fn singular_values_at(level: Level, values: &[f64], rows: usize, columns: usize) -> Option<Vec<f64>> {
    assert!(
        rows.checked_mul(columns) == Some(values.len()),
        "a matrix of {rows} x {columns} does not have {} values: pass rows * columns values, row by row",
        values.len()
    );
    let n = rows.min(columns);
    if values.iter().any(|value| !value.is_finite()) {
        return None;
    }
    let greatest = values.iter().fold(0f64, |greatest, value| greatest.max(value.abs()));
    if greatest == 0.0 {
        return Some(vec![0.0; n]);
    }
    // The matrix is scaled so that no square overflows. Scaling by a power of two is exact, except for values that
    // become subnormal.
    let (_, exponent) = libm::frexp(greatest);
    let scaled = |value: f64, by: i32| value * power(by / 2) * power(by - by / 2);
    let mut matrix: Vec<f64> = values.iter().map(|&value| scaled(value, -exponent)).collect();
    if rows != columns {
        matrix = Qr::new(matrix, (rows, columns), level, Threads::One).upper();
    }
    let (diagonal, above) = dispatch(level, Chase(Band::of(matrix, n, level)));
    let mut found = bisected(level, &diagonal, &above);
    found.sort_unstable_by(|a, b| b.total_cmp(a));
    found.iter_mut().for_each(|value| *value = scaled(*value, exponent));
    Some(found)
}

/// Returns 2^exponent, for an exponent from -1022 to 1023.
fn power(exponent: i32) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

/// The number of superdiagonals of the band matrix.
const WIDTH: usize = 32;

/// The number of stored elements per row. Row i stores the columns `i - WIDTH..i + 2 * WIDTH`. Elements outside the
/// band are non-zero only during bulge chasing.
const ROW_STRIDE: usize = 3 * WIDTH;

/// An upper band matrix. The element in row i and column j is `values[i * ROW_STRIDE + WIDTH + j - i]`.
struct Band {
    values: Vec<f64>,
    size: usize,
}

impl Band {
    /// Reduces a square row-major matrix with `n` rows to a band matrix that has the same singular values.
    fn of(mut matrix: Vec<f64>, n: usize, level: Level) -> Self {
        for top in (0..n).step_by(WIDTH) {
            check();
            let width = WIDTH.min(n - top);
            let right = top + width;
            // QR factorization of the columns `top..right` in the rows from `top` on.
            let mut panel = Vec::with_capacity((n - top) * width);
            matrix[top * n..].chunks_exact(n).for_each(|row| panel.extend_from_slice(&row[top..right]));
            let reflector = factor(&mut panel, width, level);
            for (row, values) in matrix[top * n..right * n].chunks_exact_mut(n).enumerate() {
                values[top..right].copy_from_slice(&reflector.corner[row * width..][..width]);
                values[top + row] = reflector.diagonal[row];
            }
            let rest = n - right;
            if rest == 0 {
                break;
            }
            let vectors = View::new(&panel, width);
            reflector.apply(vectors, &mut matrix[top * n + right..], n, rest, level);
            // LQ factorization of the rows `top..bottom` in the columns from `right` on, computed as the QR
            // factorization of the transpose.
            let height = width.min(rest);
            let bottom = top + height;
            let mut panel = vec![0.0; rest * height];
            for (row, values) in matrix[top * n..bottom * n].chunks_exact(n).enumerate() {
                for (column, value) in values[right..].iter().enumerate() {
                    panel[column * height + row] = *value;
                }
            }
            let reflector = factor(&mut panel, height, level);
            for (row, values) in matrix[top * n..bottom * n].chunks_exact_mut(n).enumerate() {
                for column in 0..row {
                    values[right + column] = reflector.corner[column * height + row];
                }
                values[right + row] = reflector.diagonal[row];
                values[right + row + 1..].fill(0.0);
            }
            let mut transposed = vec![0.0; panel.len()];
            transpose(&panel, height, &mut transposed, rest);
            let vectors = [View::new(&panel, height), View::new(&transposed, rest)];
            reflector.apply_right(vectors, &mut matrix[bottom * n + right..], n, n - bottom, level);
        }
        let mut values = vec![0.0; n * ROW_STRIDE];
        for (row, out) in values.chunks_exact_mut(ROW_STRIDE).enumerate() {
            let end = n.min(row + WIDTH + 1);
            out[WIDTH..][..end - row].copy_from_slice(&matrix[row * n + row..row * n + end]);
        }
        Self { values, size: n }
    }

    /// Returns `N` elements of a row, from `column` on.
    #[inline(always)]
    fn part<const N: usize>(&mut self, row: usize, column: usize) -> &mut [f64; N] {
        let place = row * ROW_STRIDE + WIDTH + column - row;
        self.values[place..].first_chunk_mut().expect("the row must have N elements from the column on")
    }
}

/// The kernel that reduces a band matrix to a bidiagonal matrix. The output is the diagonal and the superdiagonal of
/// the bidiagonal matrix.
struct Chase(Band);

impl Kernel for Chase {
    type Output = (Vec<f64>, Vec<f64>);

    #[inline(always)]
    fn run<I: SimdIsa>(self) -> Self::Output {
        let Self(mut band) = self;
        let n = band.size;
        for first in 0..n {
            if first % 64 == 0 {
                check();
            }
            // `clear_row` clears row `source` to the right of column `left`. This makes elements below the diagonal
            // non-zero in the columns `left..right`. `clear_column` clears column `left` below the diagonal. This makes
            // elements to the right of the band non-zero. The next iteration clears those in row `left`.
            let (mut source, mut left) = (first, first + 1);
            loop {
                let right = n.min(source + if source == first { WIDTH + 1 } else { 2 * WIDTH });
                if left + 1 >= right {
                    break;
                }
                clear_row(&mut band, source, left..right);
                clear_column(&mut band, left..right);
                (source, left) = (left, left + WIDTH);
            }
        }
        let at = |row: usize, column: usize| band.values[row * ROW_STRIDE + WIDTH + column - row];
        ((0..n).map(|k| at(k, k)).collect(), (1..n).map(|k| at(k - 1, k)).collect())
    }
}

/// Applies a reflection to `columns`. The reflection sets the elements of `row` in these columns to zero, except the
/// first element.
#[inline(always)]
fn clear_row(band: &mut Band, row: usize, columns: std::ops::Range<usize>) {
    let (left, count) = (columns.start, columns.len());
    let mut v = [0.0; WIDTH];
    v[..count].copy_from_slice(&band.part::<WIDTH>(row, left)[..count]);
    let from = &mut band.part::<WIDTH>(row, left)[..count];
    let Some((half, to)) = reflection(&mut v[..count]) else { return from.fill(0.0) };
    from.fill(0.0);
    from[0] = to;
    let over = v.map(|value| value / half);
    for row in row + 1..columns.end {
        let values = band.part::<WIDTH>(row, left);
        let mut sums = [0.0; 8];
        for (v, values) in over.as_chunks::<8>().0.iter().zip(values.as_chunks::<8>().0) {
            for lane in 0..8 {
                sums[lane] = v[lane].mul_add(values[lane], sums[lane]);
            }
        }
        let minus =
            -(((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7])));
        for (value, v) in values.iter_mut().zip(&v) {
            *value = minus.mul_add(*v, *value);
        }
    }
}

/// Applies a reflection to `rows`. The reflection sets the elements below the diagonal in column `rows.start` to zero.
#[inline(always)]
fn clear_column(band: &mut Band, rows: std::ops::Range<usize>) {
    let (left, count) = (rows.start, rows.len());
    let mut v = [0.0; WIDTH];
    for (row, v) in rows.clone().zip(&mut v) {
        *v = std::mem::take(&mut band.part::<1>(row, left)[0]);
    }
    let Some((half, to)) = reflection(&mut v[..count]) else { return };
    let mut along = [0.0; 2 * WIDTH];
    for (row, &v) in rows.clone().zip(&v) {
        for (sum, value) in along.iter_mut().zip(band.part::<{ 2 * WIDTH }>(row, left)) {
            *sum = v.mul_add(*value, *sum);
        }
    }
    along.iter_mut().for_each(|sum| *sum /= half);
    for (row, &v) in rows.zip(&v) {
        for (value, along) in band.part::<{ 2 * WIDTH }>(row, left).iter_mut().zip(&along) {
            *value = (-v).mul_add(*along, *value);
        }
    }
    band.part::<1>(left, left)[0] = to;
}

/// The number of singular values that one job computes, in one loop over the rows.
const BATCH: usize = 32;

/// Returns the singular values of a bidiagonal matrix, unsorted. `above` is the superdiagonal.
fn bisected(level: Level, diagonal: &[f64], above: &[f64]) -> Vec<f64> {
    let n = diagonal.len();
    if let [one] = diagonal {
        return vec![one.abs()];
    }
    let row = (0..n).map(|k| diagonal[k].abs() + above.get(k).map_or(0.0, |x| x.abs()));
    let column = (0..n).map(|k| diagonal[k].abs() + if k > 0 { above[k - 1].abs() } else { 0.0 });
    // No singular value is greater than the greatest sum of absolute values in a row or column, because
    // `norm(B, 2)^2 <= norm(B, 1) * norm(B, inf)` for the bidiagonal matrix B.
    let bound = row.chain(column).fold(0f64, f64::max) * (1.0 + 1e-15);
    let squares: Vec<[f64; 2]> =
        (0..n).map(|k| [diagonal[k] * diagonal[k], above.get(k).map_or(0.0, |x| x * x)]).collect();
    let mut found = vec![0.0; n];
    for (number, found) in found.chunks_mut(BATCH).enumerate() {
        check();
        dispatch(level, Bisection { squares: &squares, bound, first: number * BATCH, found });
    }
    found
}

/// The kernel that computes the singular values `first..first + found.len()` by bisection. Index 0 is the smallest
/// singular value.
struct Bisection<'a> {
    /// For each row of the bidiagonal matrix: the square of the diagonal element, and the square of the superdiagonal
    /// element (0 in the last row).
    squares: &'a [[f64; 2]],
    /// An upper bound of the singular values.
    bound: f64,
    first: usize,
    found: &'a mut [f64],
}

impl Kernel for Bisection<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: SimdIsa>(self) {
        let Self { squares, bound, first, found } = self;
        let (mut low, mut high) = ([0f64; BATCH], [bound; BATCH]);
        // After 54 steps, the interval length is `bound / 2^54`: less than half a unit in the last place of `bound`.
        for _ in 0..54 {
            let mut middle = [0f64; BATCH];
            let mut shift = [0f64; BATCH];
            for lane in 0..BATCH {
                middle[lane] = (low[lane] + high[lane]) / 2.0;
                shift[lane] = middle[lane] * middle[lane];
            }
            let counts = below(squares, &shift);
            for lane in 0..BATCH {
                let lower = counts[lane] > (first + lane) as f64;
                high[lane] = if lower { middle[lane] } else { high[lane] };
                low[lane] = if lower { low[lane] } else { middle[lane] };
            }
        }
        for (lane, found) in found.iter_mut().enumerate() {
            *found = (low[lane] + high[lane]) / 2.0;
        }
    }
}

/// Returns the number of singular values below `sqrt(shift)`, for each element of `shift`. This is the number of
/// negative pivots in the factorization `B^T B - shift * I = L D L^T`, where B is the bidiagonal matrix. The pivots are
/// the diagonal elements of D.
#[inline(always)]
fn below(squares: &[[f64; 2]], shift: &[f64; BATCH]) -> [f64; BATCH] {
    /// The least magnitude of a pivot. A pivot of smaller magnitude is replaced by `-LEAST`, because pivots are
    /// divisors.
    const LEAST: f64 = 1e-290;
    let mut counts = [0f64; BATCH];
    let mut carried = shift.map(|shift| -shift);
    for &[square, above] in squares {
        for lane in 0..BATCH {
            let pivot = square + carried[lane];
            let pivot = if pivot.abs() < LEAST { -LEAST } else { pivot };
            counts[lane] += if pivot < 0.0 { 1.0 } else { 0.0 };
            carried[lane] = above.mul_add(carried[lane] / pivot, -shift[lane]);
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(distribution: crate::Distribution, rows: usize, columns: usize) -> Vec<f64> {
        let mut values = vec![0.0; rows * columns];
        let plan = crate::Plan::new(&[rows, columns], crate::DType::F64, distribution).unwrap();
        plan.fill(&mut values, &mut crate::Torch::new(rows as u64)).unwrap();
        values
    }

    /// Returns the greatest absolute error in units of `n * eps * norm`.
    fn error(found: &[f64], expected: &[f64]) -> f64 {
        assert_eq!(found.len(), expected.len());
        let most = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        most / (f64::EPSILON * expected[0] * expected.len() as f64)
    }

    #[test]
    fn the_singular_values_of_a_hilbert_matrix_are_accurate() {
        let values: Vec<f64> = (0..64).map(|place| 1.0 / (place / 8 + place % 8 + 1) as f64).collect();
        let found = singular_values(&values, 8, 8).unwrap();
        // The expected values were computed by mpmath 1.3 from the elements as rational numbers.
        let expected = [
            1.6959389969219495,
            0.298_125_211_316_930_7,
            0.026_212_843_578_119_05,
            0.0014676881177418673,
            5.436_943_369_749_942e-5,
            1.2943320918728115e-6,
            1.7988737458175767e-8,
            1.1115389663724424e-10,
        ];
        assert!(error(&found, &expected) < 1.0, "{found:?}");
    }

    #[test]
    fn the_singular_values_of_second_difference_matrices_are_accurate() {
        // The matrix has 2 on the diagonal and -1 on the two adjacent diagonals. Its singular values are
        // `2 - 2 cos(k pi / (n + 1))` for k = 1..=n.
        for n in [2, 31, 32, 33, 34, 64, 65, 66, 97, 200] {
            let mut values = vec![0.0; n * n];
            for k in 0..n {
                values[k * n + k] = 2.0;
                if k > 0 {
                    values[k * n + k - 1] = -1.0;
                    values[(k - 1) * n + k] = -1.0;
                }
            }
            let value = |k: usize| 2.0 - 2.0 * (k as f64 * std::f64::consts::PI / (n + 1) as f64).cos();
            let expected: Vec<f64> = (1..=n).rev().map(value).collect();
            let found = singular_values(&values, n, n).unwrap();
            assert!(error(&found, &expected) < 2.0, "{n} {found:?}");
        }
    }

    #[test]
    fn the_singular_values_of_products_with_known_singular_values_are_accurate() {
        for (rows, columns) in [(3, 2), (2, 3), (40, 40), (33, 80), (150, 64), (129, 129), (260, 300)] {
            let n = rows.min(columns);
            let orthogonal = crate::Distribution::Orthogonal { gain: 1.0 };
            let (left, right) = (drawn(orthogonal, rows, n), drawn(orthogonal, n, columns));
            let least = 2.0 / n as f64;
            for diagonal in [
                (0..n).map(|k| (n - k) as f64).collect::<Vec<_>>(),
                // The singular values span 60 orders of magnitude.
                (0..n).map(|k| 1e-60f64.powf(k as f64 / n as f64)).collect(),
                // Half of the singular values are zero.
                (0..n).map(|k| (1.0 - k as f64 * least).max(0.0)).collect(),
                // All singular values are equal.
                vec![3.0; n],
            ] {
                let mut values = vec![0.0; rows * columns];
                for (i, row) in values.chunks_exact_mut(columns).enumerate() {
                    for (k, right) in right.chunks_exact(columns).enumerate() {
                        let factor = left[i * n + k] * diagonal[k];
                        row.iter_mut().zip(right).for_each(|(value, right)| *value += factor * right);
                    }
                }
                let found = singular_values(&values, rows, columns).unwrap();
                // The tolerance includes the error of `left` and `right`, which are orthogonal only up to rounding.
                assert!(error(&found, &diagonal) < 10.0, "{rows} {columns} {found:?} {diagonal:?}");
                assert!(found.is_sorted_by(|a, b| a >= b));
                // Scaling the matrix by a power of two scales the singular values by the same power of two.
                for power in [2f64.powi(900), 2f64.powi(-900)] {
                    let scaled: Vec<f64> = values.iter().map(|value| value * power).collect();
                    let scaled = singular_values(&scaled, rows, columns).unwrap();
                    let most = found[0];
                    assert!(scaled.iter().zip(&found).all(|(a, b)| (a / power - b).abs() <= 1e-16 * most));
                }
            }
        }
    }

    #[test]
    fn results_are_bit_identical_at_every_simd_level() {
        for (rows, columns) in [(90, 90), (100, 300)] {
            let values = drawn(crate::Distribution::Normal { mean: 0.0, std: 1.0 }, rows, columns);
            let found = singular_values(&values, rows, columns);
            for &level in Level::available() {
                assert_eq!(singular_values_at(level, &values, rows, columns), found, "{level:?}");
            }
        }
    }

    #[test]
    fn small_and_empty_matrices_have_the_expected_singular_values() {
        assert_eq!(singular_values(&[], 0, 3), Some(vec![]));
        assert_eq!(singular_values(&[-7.0], 1, 1), Some(vec![7.0]));
        assert_eq!(singular_values(&[5e-324], 1, 1), Some(vec![5e-324]));
        assert_eq!(singular_values(&[f64::MAX], 1, 1), Some(vec![f64::MAX]));
        assert_eq!(singular_values(&[3.0, 4.0], 1, 2), Some(vec![5.0]));
        assert_eq!(singular_values(&[3.0, 4.0], 2, 1), Some(vec![5.0]));
        assert_eq!(singular_values(&[0.0; 6], 2, 3), Some(vec![0.0; 2]));
        let found = singular_values(&[2.0; 12], 3, 4).unwrap();
        assert!((found[0] - 48f64.sqrt()).abs() < 1e-14 && found[1] < 1e-15 && found[2] < 1e-15, "{found:?}");
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(singular_values(&[1.0, bad, 0.0, 2.0], 2, 2), None);
        }
    }

    #[test]
    #[should_panic(expected = "a matrix of 2 x 3 does not have 5 values")]
    fn a_slice_with_too_few_values_panics() {
        let _ = singular_values(&[1.0; 5], 2, 3);
    }
}
