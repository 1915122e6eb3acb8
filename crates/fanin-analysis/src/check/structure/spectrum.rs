//! Tests whether the singular values of a matrix are those of independent values.
//!
//! A few steps of the bidiagonalization of Golub and Kahan (1965) reduce the matrix to a small bidiagonal matrix. The
//! first step starts from a fixed vector. Let the values of the matrix be independent and standard normal. Then the
//! entries of the bidiagonal matrix are independent, and the square of each entry is a chi-square variable. The degrees
//! of freedom are `rows`, `rows - 1`, ... on the diagonal, and `columns - 1`, `columns - 2`, ... on the superdiagonal
//! (Silverstein 1985; Dumitriu and Edelman 2002). Each entry therefore has an exact p-value, and a full singular value
//! decomposition is not needed. For other distributions with finite fourth moments, the p-values are nearly exact, by
//! the central limit theorem. The test finds a low rank, a few large singular values, and rows or columns of different
//! magnitudes.
//!
//! The largest singular value of the bidiagonal matrix is a lower bound on that of the whole matrix. The bound is
//! compared with the Tracy-Widom distribution ([`tracy_widom`]). For a small matrix, more steps are made, so the bound
//! is nearly exact. If training adds a matrix of low rank to the initial values, the largest singular value changes
//! first.

use fanin::linalg::singular_values;

use super::matrix::{Matrix, Rounded, dot, inlined_dot, rounded_dot};
use super::tracy_widom;
use crate::check::p_value::chi_square;
use crate::check::test_result::TestResult;
use crate::signs::sign;
use crate::vectorized::vectorized;

/// The number of steps of Golub and Kahan's method whose bidiagonal entries are used by the test `spectrum`. Six steps
/// approximate a single large singular value within a few percent.
const STEPS: usize = 6;

/// The largest number of steps of Golub and Kahan's method. The test `spectrum` uses only the bidiagonal entries of the
/// first `STEPS` steps. The later steps only improve the lower bound on the largest singular value, for the test
/// `norm`.
const MAX_STEPS: usize = 40;

/// The largest product of the number of steps and the number of values of the matrix. Each step reads all values. At
/// least `STEPS` steps are made, even beyond this limit.
const MAX_PRODUCTS: usize = 1 << 24;

/// The next right vector is computed from A^T A v only if rounding errors grow by at most this factor. Otherwise, this
/// vector is computed in a separate pass over the matrix.
const MAX_GROWTH: f64 = 30.0;

/// A matrix is tested only if it has at least this many rows and at least this many columns.
const MIN_SIDE: usize = 12;

/// An upper bidiagonal matrix.
struct Bidiagonal {
    /// The entries on the diagonal.
    diagonal: Vec<f64>,
    /// The entries on the superdiagonal.
    beside: Vec<f64>,
}

/// The first vector of the bidiagonalization, and its products with the rows of the matrix that were added so far.
#[derive(Debug)]
pub(super) struct FirstProducts {
    /// The vector v in the first product A v of the matrix A (the first right vector in [`bidiagonal`]). Its entries
    /// have the same magnitude and fixed pseudo-random signs.
    vector: Vec<f32>,
    products: Products,
    /// The sum of the squares of the rounded values.
    squares: f64,
}

impl FirstProducts {
    /// Creates the first vector of the bidiagonalization of a matrix of this size. No rows have been added yet.
    /// Returns `None` if the matrix has fewer than `MIN_SIDE` rows or columns.
    pub(super) fn new(rows: usize, columns: usize) -> Option<Self> {
        if rows.min(columns) < MIN_SIDE {
            return None;
        }
        let scale = 1.0 / (columns as f32).sqrt();
        let vector = (0..columns as u64).map(|n| sign(n) as f32 * scale).collect();
        let products = Products::new(columns, is_back_needed(rows, columns));
        Some(Self { vector, products, squares: 0.0 })
    }

    /// Updates the products with the next rows of the matrix. `squares` is the sum of the squares of the values of
    /// these rows.
    pub(super) fn add(&mut self, rows: &[Rounded], squares: f64) {
        self.products.add(rows, &self.vector);
        self.squares += squares;
    }
}

/// Returns whether a step computes A v and A^T A v in one pass over the matrix A.
fn is_back_needed(rows: usize, columns: usize) -> bool {
    columns <= 16 * rows
}

/// Returns the results of the tests `spectrum` and `norm`. All rows of the matrix must have been added to `first`.
pub(super) fn tests(matrix: &Matrix<'_>, first: FirstProducts) -> Vec<TestResult> {
    let (rows, columns) = (matrix.rows, matrix.columns);
    let Bidiagonal { diagonal, beside } = bidiagonal(matrix, first);
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
/// The p-value of the result is twice the smaller of two p-values:
///
/// - The first is the smallest p-value of a single entry, times the number of entries.
/// - For the second, each entry is transformed into a standard normal variable. The sum of the squares of these
///   variables is compared with a chi-square distribution.
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
         errors from its expected value"
    );
    TestResult::new("spectrum", p, text)
}

/// Reduces the matrix to a small bidiagonal matrix by a few steps of Golub and Kahan's method. Each new left vector is
/// orthogonalized against all earlier left vectors, and each new right vector against all earlier right vectors.
///
/// Let A be the matrix, v the last right vector, l the new left vector and d the new diagonal entry. Let P(x) be the
/// part of a vector x that is orthogonal to all right vectors so far. The next right vector is P(A^T l), divided by its
/// length.
///
/// P(A^T l) is equal to P(A^T A v) / d. One pass over A can therefore compute both A v and the next right vector.
/// Proof: A v is d l plus a linear combination of earlier left vectors. A^T maps these left vectors to linear
/// combinations of the right vectors so far. P of such a combination is 0.
///
/// The values of A are rounded to bf16 (see [`Rounded`]). Their mean square therefore differs slightly from the mean
/// square of the unrounded values. The entries of the bidiagonal matrix are multiplied by a factor that corrects this
/// difference.
fn bidiagonal(matrix: &Matrix<'_>, first: FirstProducts) -> Bidiagonal {
    let count = matrix.rounded.len();
    let scale = (matrix.mean_square * count as f64 / first.squares).sqrt();
    let affordable = (MAX_PRODUCTS / count).clamp(STEPS, MAX_STEPS);
    let steps = affordable.min(matrix.rows.min(matrix.columns) / 2);
    let mut right: Vec<Vec<f32>> = vec![first.vector];
    let mut first = Some(first.products);
    let mut left: Vec<Vec<f32>> = Vec::new();
    let (mut diagonal, mut beside) = (Vec::new(), Vec::new());
    // The factor by which rounding errors have grown since a right vector was last computed as A^T l (see above).
    let mut growth = 1.0;
    for step in 0..steps {
        let is_last = step + 1 == steps;
        let in_one_pass = !is_last && is_back_needed(matrix.rows, matrix.columns);
        let products = first.take().unwrap_or_else(|| matrix.products(&right[step], in_one_pass));
        let Products { product: mut u, back } = products;
        let squares = dot(&u, &u);
        orthogonalize(&mut u, &left);
        let entry = normalize(&mut u);
        diagonal.push(entry);
        left.push(u);
        if !is_last {
            // The length of the part of A v in the span of the earlier left vectors. If A^T l is computed from A^T A v,
            // the errors of v are multiplied by `earlier / entry`.
            let earlier = (squares - entry * entry).max(0.0).sqrt();
            let is_precise = in_one_pass && entry > 0.0 && growth * earlier <= MAX_GROWTH * entry;
            growth = if is_precise { (growth * earlier / entry).max(1.0) } else { 1.0 };
            let (mut v, factor) =
                if is_precise { (back, entry) } else { (matrix.transposed_times(&left[step]), 1.0) };
            orthogonalize(&mut v, &right);
            beside.push(normalize(&mut v) / factor);
            right.push(v);
        }
    }
    diagonal.iter_mut().chain(&mut beside).for_each(|entry| *entry *= scale);
    Bidiagonal { diagonal, beside }
}

/// Divides a vector by its length, and returns the length.
fn normalize(vector: &mut [f32]) -> f64 {
    let length = dot(vector, vector).sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
    }
    length
}

/// The products A v and A^T A v of a matrix A and a vector v.
#[derive(Debug)]
struct Products {
    product: Vec<f32>,
    /// The product A^T A v. Empty if this product is not computed.
    back: Vec<f32>,
}

impl Products {
    /// Creates the products A v and A^T A v for a matrix A of `columns` columns, before any rows are added. A^T A v is
    /// computed only if `back` is true.
    fn new(columns: usize, back: bool) -> Self {
        Self { product: Vec::new(), back: vec![0.0; if back { columns } else { 0 }] }
    }

    /// Updates the products A v and A^T A v with the next rows of the matrix A. The argument `vector` is v.
    fn add(&mut self, rows: &[Rounded], vector: &[f32]) {
        add_products(rows, vector, &mut self.product, &mut self.back);
    }
}

impl Matrix<'_> {
    /// Returns A v for the matrix A and the vector v, and A^T A v if `back` is true.
    fn products(&self, vector: &[f32], back: bool) -> Products {
        let mut products = Products::new(self.columns, back);
        products.add(self.rounded, vector);
        products
    }

    /// Returns the product of the transposed matrix and a vector.
    fn transposed_times(&self, vector: &[f32]) -> Vec<f32> {
        transposed_times(self.rounded, vector, self.columns)
    }
}

vectorized! {
    /// Appends the scalar product of each row and `vector` to `product`. Adds the row times this scalar product to
    /// `back`, unless `back` is empty.
    fn add_products(rows: &[Rounded], vector: &[f32], product: &mut Vec<f32>, back: &mut [f32]) {
        for row in rows.chunks(vector.len()) {
            let factor = rounded_dot(row, vector);
            add_multiple_of_row(back, factor, row);
            product.push(factor);
        }
    }

    /// Returns the transpose of a matrix, times `vector`. The matrix is row-major and has `columns` columns.
    fn transposed_times(values: &[Rounded], vector: &[f32], columns: usize) -> Vec<f32> {
        let mut sums = vec![0f32; columns];
        for (row, factor) in values.chunks(columns).zip(vector) {
            add_multiple_of_row(&mut sums, *factor, row);
        }
        sums
    }

    /// Makes `vector` orthogonal to the unit vectors `known`. The projections are subtracted twice, because the first
    /// subtraction leaves rounding errors.
    fn orthogonalize(vector: &mut [f32], known: &[Vec<f32>]) {
        for _ in 0..2 {
            for unit in known {
                let along = inlined_dot(vector, unit) as f32;
                add_multiple(vector, -along, unit);
            }
        }
    }
}

/// Adds `factor` times a row of rounded values to `sums`.
#[inline(always)]
fn add_multiple_of_row(sums: &mut [f32], factor: f32, row: &[Rounded]) {
    for (sum, x) in sums.iter_mut().zip(row) {
        *sum += factor * x.value();
    }
}

#[inline(always)]
fn add_multiple(sums: &mut [f32], factor: f32, added: &[f32]) {
    for (sum, x) in sums.iter_mut().zip(added) {
        *sum += factor * x;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computes the bidiagonal form in f64, with separate passes for the matrix and the transposed matrix.
    fn reference(matrix: &Matrix<'_>, steps: usize) -> (Vec<f64>, Vec<f64>) {
        let (rows, columns) = (matrix.rows, matrix.columns);
        let x = |i: usize, j: usize| f64::from(matrix.rounded[i * columns + j].value());
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let next = |mut vector: Vec<f64>, known: &[Vec<f64>]| {
            for unit in known.iter().chain(known) {
                let along = dot(&vector, unit);
                vector.iter_mut().zip(unit).for_each(|(x, y)| *x -= along * y);
            }
            let length = dot(&vector, &vector).sqrt();
            vector.iter_mut().for_each(|x| *x /= length);
            (vector, length)
        };
        let first = (0..columns as u64).map(|n| sign(n) / (columns as f64).sqrt());
        let (mut right, mut left) = (vec![first.collect::<Vec<f64>>()], Vec::new());
        let (mut diagonal, mut beside) = (Vec::new(), Vec::new());
        for step in 0..steps {
            let along = |i: usize| (0..columns).map(|j| x(i, j) * right[step][j]).sum::<f64>();
            let (u, length) = next((0..rows).map(along).collect(), &left);
            diagonal.push(length);
            let along = |j: usize| (0..rows).map(|i| x(i, j) * u[i]).sum::<f64>();
            let (v, length) = next((0..columns).map(along).collect(), &right);
            beside.push(length);
            left.push(u);
            right.push(v);
        }
        beside.pop();
        (diagonal, beside)
    }

    #[test]
    fn products_in_one_pass_give_the_bidiagonal_form() {
        for (rows, columns) in [(40, 40), (100, 30), (30, 100), (14, 400), (300, 20), (64, 256), (200, 260)] {
            let value = |n: usize| (n as f64 * 12.9898).sin() * 43_758.545_3;
            let mut values: Vec<f32> =
                (0..rows * columns).map(|n| value(n).fract() as f32 * 3f32.sqrt()).collect();
            // A dominant singular value, as in a trained matrix.
            values.iter_mut().for_each(|x| *x += 0.3);
            let rounded: Vec<Rounded> = values.iter().map(|x| Rounded::new(*x)).collect();
            let squares = rounded.iter().map(|x| f64::from(x.value()).powi(2)).sum::<f64>();
            let mean_square = squares / values.len() as f64;
            let shape = [rows, columns];
            let matrix =
                Matrix { shape: &shape, rows, columns, skewness: 0.0, rounded: &rounded, mean_square };
            let mut first = FirstProducts::new(rows, columns).unwrap();
            first.add(&rounded, squares);
            // `mean_square` is four times that of the rounded values, so the entries must be multiplied by 2.
            let found = bidiagonal(&Matrix { mean_square: 4.0 * mean_square, ..matrix }, first);
            let (diagonal, beside) = reference(&matrix, found.diagonal.len());
            for (found, right) in found.diagonal.iter().zip(&diagonal).chain(found.beside.iter().zip(&beside))
            {
                assert!((found / right / 2.0 - 1.0).abs() < 1e-3, "{rows} {columns}: {found} {right}");
            }
        }
    }
}
