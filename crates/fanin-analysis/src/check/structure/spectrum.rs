//! Tests whether the singular values of a matrix are those of independent values.
//!
//! The bidiagonalization of Golub and Kahan (1965) starts from a fixed vector. A few of its steps reduce the matrix to
//! a small bidiagonal one. If the values of the matrix are independent and normal, the entries of the bidiagonal matrix
//! are independent, and the square of each entry is a chi-square variable. The degrees of freedom are `rows`, `rows -
//! 1`, ... on the diagonal, and `columns - 1`, `columns - 2`, ... on the superdiagonal (Silverstein 1985; Dumitriu and
//! Edelman 2002). Each entry therefore has an exact p-value, and the other singular values are not needed. By the
//! central limit theorem, the p-values are nearly exact for other distributions with finite fourth moments. A low rank,
//! a few large singular values, or rows and columns of different sizes change the entries.
//!
//! The largest singular value of the bidiagonal matrix is a lower bound on that of the whole matrix. It is compared
//! with the Tracy-Widom distribution ([`tracy_widom`]). A small matrix has more steps, so its bound is nearly the
//! largest singular value itself. If training adds a matrix of low rank to the initial values, the largest singular
//! value changes first.

use fanin::linalg::singular_values;

use super::matrix::{Matrix, dot};
use super::tracy_widom;
use crate::check::p_value::chi_square;
use crate::check::test_result::TestResult;
use crate::signs::sign;

/// The number of steps whose bidiagonal entries are tested. After six steps, a single large singular value is
/// approximated to a few percent.
const STEPS: usize = 6;

/// The largest number of steps. Steps beyond `STEPS` only improve the lower bound on the largest singular value.
const MAX_STEPS: usize = 40;

/// The limit of the work, as the number of values of the matrix times the number of steps. A matrix for which `STEPS`
/// steps exceed this limit has `STEPS` steps.
const MAX_PRODUCTS: usize = 1 << 24;

/// The smallest number of rows, and of columns, of a matrix that is tested.
const MIN_SIDE: usize = 12;

/// An upper bidiagonal matrix.
struct Bidiagonal {
    /// The entries on the diagonal.
    diagonal: Vec<f64>,
    /// The entries on the superdiagonal.
    beside: Vec<f64>,
}

/// Returns the results of the tests `spectrum` and `norm`. The list is empty if the matrix has fewer than `MIN_SIDE`
/// rows or columns.
pub(super) fn tests(matrix: &Matrix<'_>) -> Vec<TestResult> {
    let (rows, columns) = (matrix.rows, matrix.columns);
    if rows.min(columns) < MIN_SIDE {
        return Vec::new();
    }
    let Bidiagonal { diagonal, beside } = bidiagonal(matrix);
    let mut entries: Vec<(f64, f64)> = Vec::new();
    entries.extend(diagonal.iter().take(STEPS).enumerate().map(|(k, x)| (x * x, (rows - k) as f64)));
    entries.extend(beside.iter().take(STEPS - 1).enumerate().map(|(k, x)| (x * x, (columns - 1 - k) as f64)));
    let mut results = vec![bulk(&entries)];

    let size = diagonal.len();
    let mut small = vec![0.0; size * size];
    for k in 0..size {
        small[k * size + k] = diagonal[k];
        if k + 1 < size {
            small[k * size + k + 1] = beside[k];
        }
    }
    if let Some(norm) = singular_values(&small, size, size).and_then(|values| values.first().copied()) {
        let expected = (rows as f64).sqrt() + (columns as f64).sqrt();
        let text = format!(
            "the largest singular value is at least {:.3} times that of independent values",
            norm / expected
        );
        results.push(TestResult::new("norm", tracy_widom::norm_at_least(norm, rows, columns), text));
    }
    results
}

/// Tests the entries of the bidiagonal matrix. `entries` has the square of each entry and its degrees of freedom.
///
/// The test has two p-values. One is the smallest p-value of a single entry, times the number of entries. The other is
/// that of the sum of the squares of all entries' normal deviates, by the chi-square distribution. The result has twice
/// the smaller one.
fn bulk(entries: &[(f64, f64)]) -> TestResult {
    let count = entries.len() as f64;
    let worst = entries.iter().map(|&(x, degrees)| chi_square(x, degrees)).fold(1.0, f64::min);
    // The cube root of a chi-square variable is nearly normal (Wilson and Hilferty 1931).
    let deviate = |&(x, degrees): &(f64, f64)| {
        let variance = 2.0 / (9.0 * degrees);
        ((x / degrees).cbrt() - (1.0 - variance)) / variance.sqrt()
    };
    let squares: f64 = entries.iter().map(|entry| deviate(entry).powi(2)).sum();
    let p = 2.0 * (worst * count).min(crate::check::p_value::chi_square_at_least(squares, count));
    let largest = entries.iter().map(deviate).fold(0.0, |a: f64, b| if b.abs() > a.abs() { b } else { a });
    let text = format!(
        "singular values are not those of independent values: an entry of the bidiagonal form is {largest:+.1} standard \
         errors off"
    );
    TestResult::new("spectrum", p, text)
}

/// Reduces the matrix to a small bidiagonal matrix by a few steps of Golub and Kahan's method. The first vector has
/// fixed pseudo-random signs. Each new vector is orthogonalized against all earlier ones.
fn bidiagonal(matrix: &Matrix<'_>) -> Bidiagonal {
    let affordable = (MAX_PRODUCTS / matrix.values.len()).clamp(STEPS, MAX_STEPS);
    let steps = affordable.min(matrix.rows.min(matrix.columns) / 2);
    let scale = 1.0 / (matrix.columns as f32).sqrt();
    let mut right: Vec<Vec<f32>> = vec![(0..matrix.columns as u64).map(|n| sign(n) as f32 * scale).collect()];
    let mut left: Vec<Vec<f32>> = Vec::new();
    let (mut diagonal, mut beside) = (Vec::new(), Vec::new());
    for step in 0..steps {
        let mut u = matrix.times(&right[step]);
        orthogonalize(&mut u, &left);
        diagonal.push(normalize(&mut u));
        left.push(u);
        if step + 1 < steps {
            let mut v = matrix.transposed_times(&left[step]);
            orthogonalize(&mut v, &right);
            beside.push(normalize(&mut v));
            right.push(v);
        }
    }
    Bidiagonal { diagonal, beside }
}

/// Subtracts from `vector` its projections on the unit vectors `known`. This is done twice, because rounding errors
/// leave a part of the projections after the first time.
fn orthogonalize(vector: &mut [f32], known: &[Vec<f32>]) {
    for _ in 0..2 {
        for unit in known {
            let along = dot(vector, unit) as f32;
            vector.iter_mut().zip(unit).for_each(|(x, y)| *x -= along * y);
        }
    }
}

/// Divides a vector by its length, and returns the length.
fn normalize(vector: &mut [f32]) -> f64 {
    let length = dot(vector, vector).sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
    }
    length
}

impl Matrix<'_> {
    /// Returns the product of the matrix and a vector.
    fn times(&self, vector: &[f32]) -> Vec<f32> {
        self.values.chunks(self.columns).map(|row| dot(row, vector) as f32).collect()
    }

    /// Returns the product of the transposed matrix and a vector.
    fn transposed_times(&self, vector: &[f32]) -> Vec<f32> {
        let mut sums = vec![0f32; self.columns];
        for (row, &factor) in self.values.chunks(self.columns).zip(vector) {
            sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += factor * x);
        }
        sums
    }
}
