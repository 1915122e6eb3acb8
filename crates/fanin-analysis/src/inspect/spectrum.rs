//! Computes the largest and the smallest singular value of a tensor, and their ratio. The tensor is read as a matrix:
//! all axes after the first are flattened into columns.
//!
//! For a small matrix, all singular values are computed ([`fanin::linalg::singular_values`]). For a larger matrix, the
//! Lanczos process estimates the largest and the smallest. The process uses the Gram matrix of the shorter side. It
//! takes `STEPS` steps from a fixed vector of signs, with full reorthogonalization. The results are a lower bound on
//! the largest singular value and an upper bound on the smallest. Their ratio is therefore a lower bound on the
//! condition number.
//!
//! If a matrix has more than `MAX_VALUES` values, only some evenly spaced rows are used. The norm of this submatrix
//! is a lower bound on the norm of the whole matrix. The submatrix gives no bound on the smallest singular value, so
//! this value is not reported.
//!
//! The test `lanczos_error` measures the errors for matrices of normal values. The norm is 0.05 % to 0.7 % too low. For
//! matrices with four times as many rows as columns, the smallest singular value is 2 % to 3 % too high. For square
//! matrices, the smallest singular value is close to zero and cannot be estimated. The lower bound on the condition
//! number is then weak.

use fanin::linalg::singular_values;

use crate::error::Result;
use crate::parallel::map;
use crate::signs::sign;
use crate::vectorized::vectorized;
use fanin_checkpoint::Checkpoint;
use fanin_recipe::Entry;

/// The largest cost, in multiply-adds, at which all singular values are computed. The cost is estimated as the square
/// of the shorter side times the longer side.
const EXACT: u128 = 1 << 28;

/// The largest number of values in memory at once, as f32. Of a larger matrix, only evenly spaced rows are read.
pub(super) const MAX_VALUES: usize = 1 << 26;

/// The number of steps of the Lanczos process.
const STEPS: usize = 16;

/// The largest and the smallest singular value of a matrix.
#[derive(Debug, Clone, PartialEq)]
pub struct Spectrum {
    /// The number of rows.
    pub rows: usize,
    /// The number of columns.
    pub columns: usize,
    /// The spectral norm: the largest singular value. With [`Method::Lanczos`], a lower bound on this value.
    pub norm: f64,
    /// The smallest singular value. With [`Method::Lanczos`], an upper bound on this value. `None` if not all rows of
    /// the matrix were used.
    pub least: Option<f64>,
    /// The method by which the singular values were computed.
    pub method: Method,
}

/// The method by which singular values were computed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Method {
    /// All singular values were computed, up to rounding.
    Exact,
    /// The largest and the smallest singular value were estimated by the Lanczos process. [`Spectrum::norm`] is a lower
    /// bound on the largest, and [`Spectrum::least`] is an upper bound on the smallest.
    Lanczos {
        /// The number of rows of the matrix that were used.
        rows: usize,
        /// The matrix of the used rows has a singular value that differs from [`Spectrum::norm`] by at most `error`
        /// times [`Spectrum::norm`].
        error: f64,
    },
}

impl Spectrum {
    /// Returns the number of values that [`Spectrum::of`] reads from a large matrix. Returns `None` for a tensor that
    /// is not a matrix, and for a small matrix, of which all singular values are computed.
    pub(super) fn large_size(entry: &Entry) -> Option<usize> {
        let (rows, columns) = matrix(entry)?;
        (!is_exact(rows, columns)).then(|| used_rows(rows, columns) * columns)
    }

    /// Computes the largest and the smallest singular value of a tensor. `number` is the tensor's index in the
    /// checkpoint's manifest. All values must be finite. Returns `None` if the tensor is not a matrix, if a large
    /// matrix contains only zeros, or if the computation does not converge.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub(crate) fn of(checkpoint: &Checkpoint, number: usize) -> Result<Option<Self>> {
        let entry = checkpoint.manifest.entries[number].clone();
        let Some((rows, columns)) = matrix(&entry) else { return Ok(None) };
        if is_exact(rows, columns) {
            let mut values = Vec::with_capacity(entry.values());
            checkpoint.values(number, |chunk| values.extend_from_slice(chunk))?;
            return Ok(exact(&values, rows, columns));
        }
        let mut values = Vec::new();
        let used = used_rows(rows, columns);
        if used == rows {
            checkpoint.values(number, |chunk| values.extend(chunk.iter().map(|&x| x as f32)))?;
        } else {
            for k in 0..used {
                let row = (k as u128 * rows as u128 / used as u128) as usize;
                values.extend(checkpoint.window(number, row * columns, columns)?.iter().map(|&x| x as f32));
            }
        }
        let found = lanczos(&values, used, columns);
        Ok(found.map(|(norm, least, error)| Spectrum {
            rows,
            columns,
            norm,
            least: (used == rows).then_some(least),
            method: Method::Lanczos { rows: used, error },
        }))
    }

    /// Returns the condition number: the largest singular value divided by the smallest. The result is infinite if the
    /// matrix is rank-deficient up to rounding. Returns `None` if [`Spectrum::least`] is `None`.
    pub fn condition(&self) -> Option<f64> {
        let rounding = self.norm * f64::EPSILON * self.rows.max(self.columns) as f64;
        self.least.map(|least| if least <= rounding { f64::INFINITY } else { self.norm / least })
    }

    /// Returns whether the norm and the condition number are exact up to rounding. Otherwise both are lower bounds.
    pub fn is_exact(&self) -> bool {
        self.method == Method::Exact
    }
}

/// Returns the number of rows and columns of a floating-point matrix that has more than one value. Returns `None` for
/// other tensors.
fn matrix(entry: &Entry) -> Option<(usize, usize)> {
    let (rows, columns) = (*entry.shape.first()?, entry.shape.get(1..)?.iter().product());
    (entry.dtype.float().is_some() && entry.shape.len() >= 2 && rows * columns > 1).then_some((rows, columns))
}

/// Returns whether all singular values of a matrix of this shape are computed. Otherwise only the largest and the
/// smallest are estimated.
fn is_exact(rows: usize, columns: usize) -> bool {
    let (short, long) = (rows.min(columns), rows.max(columns));
    (short as u128).pow(2) * long as u128 <= EXACT && rows * columns <= MAX_VALUES / 4
}

/// Returns the number of rows from which the singular values are estimated.
fn used_rows(rows: usize, columns: usize) -> usize {
    rows.min((MAX_VALUES / columns).max(1))
}

/// Computes all singular values. Returns the largest and the smallest, or `None` if the computation does not converge.
fn exact(values: &[f64], rows: usize, columns: usize) -> Option<Spectrum> {
    let all = singular_values(values, rows, columns)?;
    let (norm, least) = (*all.first()?, all.last().copied());
    norm.is_finite().then_some(Spectrum { rows, columns, norm, least, method: Method::Exact })
}

/// Estimates singular values by the Lanczos process (Golub and Van Loan, "Matrix Computations", chapter 10). Returns
/// the largest, the smallest, and `error` of [`Method::Lanczos`]. Returns `None` if the matrix is zero, or if the
/// computation fails.
fn lanczos(values: &[f32], rows: usize, columns: usize) -> Option<(f64, f64, f64)> {
    let size = rows.min(columns);
    let steps = STEPS.min(size);
    let mut basis: Vec<Vec<f64>> = Vec::new();
    let (mut diagonal, mut superdiagonal) = (Vec::new(), Vec::new());
    let mut next: Vec<f64> = (0..size as u64).map(sign).collect();
    let mut length = (size as f64).sqrt();
    for _ in 0..steps {
        next.iter_mut().for_each(|x| *x /= length);
        basis.push(std::mem::take(&mut next));
        let last = &basis[basis.len() - 1];
        next = gram(values, rows, columns, last);
        diagonal.push(dot(&next, last));
        // Two passes of orthogonalization are enough (Giraud, Langou, Rozloznik 2005).
        for _ in 0..2 {
            for known in &basis {
                let along = dot(&next, known);
                next.iter_mut().zip(known).for_each(|(x, y)| *x -= along * y);
            }
        }
        length = dot(&next, &next).sqrt();
        superdiagonal.push(length);
        // The Krylov space is exhausted, so further steps add nothing.
        if length <= diagonal[0].abs() * 1e-12 {
            break;
        }
    }
    let last = superdiagonal.pop()?;
    let eigen = eigen(diagonal, superdiagonal)?;
    let least = eigen.iter().fold(f64::INFINITY, |least, pair| least.min(pair.0)).max(0.0);
    let (most, component) = eigen.into_iter().max_by(|a, b| a.0.total_cmp(&b.0))?;
    let residual = last * component.abs();
    (most > 0.0 && most.is_finite()).then(|| (most.sqrt(), least.sqrt(), residual / most / 2.0))
}

/// Returns the eigenvalues of a symmetric tridiagonal matrix, in any order. Each is paired with the last component of
/// its unit eigenvector. `superdiagonal` has one entry fewer than `diagonal`.
///
/// The method is implicit QL (Martin and Wilkinson 1968). Only the last row of the matrix of eigenvectors is computed
/// (Golub and Welsch 1969). Returns `None` if the method does not converge, which is known only for infinite and NaN
/// entries.
fn eigen(mut diagonal: Vec<f64>, mut superdiagonal: Vec<f64>) -> Option<Vec<(f64, f64)>> {
    let size = diagonal.len();
    let mut components = vec![0.0; size];
    *components.last_mut()? = 1.0;
    superdiagonal.resize(size, 0.0);
    for first in 0..size {
        for sweep in 0.. {
            // The block that begins at `first` ends at the next off-diagonal entry that is zero up to rounding.
            let small = |k: usize| {
                superdiagonal[k].abs() <= f64::EPSILON * (diagonal[k].abs() + diagonal[k + 1].abs())
            };
            let end = (first..size - 1).find(|&k| small(k)).unwrap_or(size - 1);
            if end == first {
                break;
            }
            if sweep == 50 {
                return None;
            }
            // The QL step begins with Wilkinson's shift.
            let half = (diagonal[first + 1] - diagonal[first]) / (2.0 * superdiagonal[first]);
            let mut g = diagonal[end] - diagonal[first]
                + superdiagonal[first] / (half + half.hypot(1.0).copysign(half));
            let (mut sine, mut cosine, mut shift) = (1.0, 1.0, 0.0);
            let mut deflated = false;
            for k in (first..end).rev() {
                let (f, b) = (sine * superdiagonal[k], cosine * superdiagonal[k]);
                let length = f.hypot(g);
                superdiagonal[k + 1] = length;
                if length == 0.0 {
                    diagonal[k + 1] -= shift;
                    deflated = true;
                    break;
                }
                (sine, cosine) = (f / length, g / length);
                g = diagonal[k + 1] - shift;
                let r = (diagonal[k] - g) * sine + 2.0 * cosine * b;
                shift = sine * r;
                diagonal[k + 1] = g + shift;
                g = cosine * r - b;
                let (here, there) = (components[k], components[k + 1]);
                components[k + 1] = sine * here + cosine * there;
                components[k] = cosine * here - sine * there;
            }
            if !deflated {
                diagonal[first] -= shift;
                superdiagonal[first] = g;
            }
            superdiagonal[end] = 0.0;
        }
    }
    Some(diagonal.into_iter().zip(components).collect())
}

/// Returns A^T A v, or A A^T v if A has more columns than rows. A is the row-major matrix of `values`. The order of
/// summation is fixed, so the result does not depend on the number of threads.
fn gram(values: &[f32], rows: usize, columns: usize, v: &[f64]) -> Vec<f64> {
    /// The number of blocks of rows.
    const BLOCKS: usize = 16;
    /// The number of columns in a block of columns. A block is small enough for the CPU's second-level
    /// cache.
    const WIDTH: usize = 256;
    let parts: Vec<Vec<f64>> = if rows >= columns {
        let blocks: Vec<&[f32]> = values.chunks(rows.div_ceil(BLOCKS) * columns).collect();
        map(blocks.len(), |n| gram_of_rows(blocks[n], v))
    } else {
        let of_block =
            |n: usize| gram_of_columns(values, columns, n * WIDTH, columns.min((n + 1) * WIDTH), v);
        map(columns.div_ceil(WIDTH), of_block)
    };
    let mut parts = parts.into_iter();
    let mut sum = parts.next().unwrap_or_default();
    parts.for_each(|part| sum.iter_mut().zip(part).for_each(|(x, y)| *x += y));
    sum
}

vectorized! {
    /// Returns A^T A v, where A is the row-major matrix of `values`. The number of columns of A is the length of `v`.
    fn gram_of_rows(values: &[f32], v: &[f64]) -> Vec<f64> {
        let mut product = vec![0.0; v.len()];
        for row in values.chunks(v.len()) {
            add_multiple(&mut product, wide_dot(row, v), row);
        }
        product
    }

    /// Returns A A^T v, where A consists of the columns `first..end` of a larger row-major matrix. The argument
    /// `values` has the values of the larger matrix, and the argument `columns` is the number of its columns.
    fn gram_of_columns(values: &[f32], columns: usize, first: usize, end: usize, v: &[f64]) -> Vec<f64> {
        let mut along = vec![0.0; end - first];
        for (row, factor) in values.chunks(columns).zip(v) {
            add_multiple(&mut along, *factor, &row[first..end]);
        }
        let mut product = Vec::new();
        for row in values.chunks(columns) {
            product.push(wide_dot(&row[first..end], &along));
        }
        product
    }
}

/// Adds `factor` times the vector `added` to `sums`.
#[inline(always)]
fn add_multiple(sums: &mut [f64], factor: f64, added: &[f32]) {
    for (sum, x) in sums.iter_mut().zip(added) {
        *sum += factor * f64::from(*x);
    }
}

/// Returns the scalar product of an f32 vector and an f64 vector, computed in f64.
#[inline(always)]
fn wide_dot(a: &[f32], b: &[f64]) -> f64 {
    const LANES: usize = 16;
    let mut lanes = [0.0; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for k in 0..LANES {
            lanes[k] += f64::from(a[k]) * b[k];
        }
    }
    lanes.iter().sum::<f64>() + a_rest.iter().zip(b_rest).map(|(&a, b)| f64::from(a) * b).sum::<f64>()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use fanin::{Native, init};

    fn drawn(spec: &str, rows: usize, columns: usize) -> Vec<f32> {
        let init: init::Init = spec.parse().unwrap();
        let mut values = vec![0f32; rows * columns];
        fanin::Initializer::fill(&init, &mut values, &[rows, columns], &mut Native::new(0).tensor("w"))
            .unwrap();
        values
    }

    fn exact_of(values: &[f32], rows: usize, columns: usize) -> Spectrum {
        exact(&values.iter().map(|&x| x.into()).collect::<Vec<_>>(), rows, columns).unwrap()
    }

    #[test]
    fn singular_values_of_small_matrices_agree_with_those_computed_by_hand() {
        // The matrix [[3, 0], [4, 5]] has the singular values sqrt(45) and sqrt(5).
        let found = exact(&[3.0, 0.0, 4.0, 5.0], 2, 2).unwrap();
        assert!(
            (found.norm - 45f64.sqrt()).abs() < 1e-14 && (found.condition().unwrap() - 3.0).abs() < 1e-14
        );
        // The next matrices are a matrix of rank one, a matrix of zeros and a single row.
        let found = exact(&[2.0; 12], 3, 4).unwrap();
        assert!((found.norm - 48f64.sqrt()).abs() < 1e-13 && found.condition() == Some(f64::INFINITY));
        assert_eq!(exact(&[0.0; 6], 2, 3).unwrap().condition(), Some(f64::INFINITY));
        assert_eq!(exact(&[3.0, 4.0], 1, 2).unwrap().norm, 5.0);
    }

    #[test]
    fn eigenvalues_of_tridiagonal_matrices_agree_with_their_formula() {
        // The eigenvalues of this matrix are 2 - 2 cos(t) with t = k pi / (n + 1), for k from 1 to n. The j-th
        // component of the k-th eigenvector is proportional to sin(j t).
        let n = 16;
        let mut found = eigen(vec![2.0; n], vec![-1.0; n - 1]).unwrap();
        found.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (k, (value, component)) in (1..).zip(found) {
            let angle = f64::from(k) * std::f64::consts::PI / (n + 1) as f64;
            let expected = (2.0 / (n + 1) as f64).sqrt() * (n as f64 * angle).sin().abs();
            assert!((value - 2.0 + 2.0 * angle.cos()).abs() < 1e-14, "{value} {angle}");
            assert!((component.abs() - expected).abs() < 1e-13, "{component} {expected}");
        }
        assert_eq!(eigen(vec![3.0], vec![]), Some(vec![(3.0, 1.0)]));
        // The off-diagonal entry is 0, so the diagonal entries are the eigenvalues.
        assert_eq!(eigen(vec![1.0, 5.0], vec![0.0]), Some(vec![(1.0, 0.0), (5.0, 1.0)]));
        assert_eq!(eigen(vec![f64::NAN; 3], vec![1.0; 2]), None);
    }

    #[test]
    fn lanczos_agrees_with_the_full_computation() {
        // The shorter side is at most `STEPS`, so the Lanczos process finds all singular values.
        for (rows, columns) in [(12, 40), (40, 12), (300, 9)] {
            let values = drawn("normal", rows, columns);
            let right = exact_of(&values, rows, columns);
            let (norm, least, error) = lanczos(&values, rows, columns).unwrap();
            assert!((norm / right.norm - 1.0).abs() < 1e-9 && error < 1e-6, "{norm} {right:?} {error}");
            assert!((least / right.least.unwrap() - 1.0).abs() < 1e-6, "{least} {right:?}");
        }
        for (rows, columns, apart) in [(512, 512, 0.006), (768, 192, 0.004), (192, 768, 0.004)] {
            let values = drawn("normal(std=0.02)", rows, columns);
            let right = exact_of(&values, rows, columns);
            let (norm, least, error) = lanczos(&values, rows, columns).unwrap();
            assert!(
                norm <= right.norm * (1.0 + 1e-12) && norm > right.norm * (1.0 - apart),
                "{norm} {right:?}"
            );
            assert!(least >= right.least.unwrap() * (1.0 - 1e-9), "{least} {right:?}");
            assert!(error < 0.05, "{error}");
        }
        // The matrix has one dominant singular value, as trained matrices have, so the estimate is accurate.
        let mut values = drawn("normal(std=0.02)", 600, 500);
        values.iter_mut().enumerate().for_each(|(n, x)| *x += 0.02 * sign(n as u64 / 500) as f32);
        let (right, (norm, ..)) = (exact_of(&values, 600, 500), lanczos(&values, 600, 500).unwrap());
        assert!((norm / right.norm - 1.0).abs() < 1e-6, "{norm} {right:?}");
        // If all singular values are 1, a single Lanczos step finds them.
        let (norm, least, error) = lanczos(&drawn("orthogonal", 200, 100), 200, 100).unwrap();
        assert!(
            (norm - 1.0).abs() < 1e-6 && (least - 1.0).abs() < 1e-5 && error < 1e-5,
            "{norm} {least} {error}"
        );
        assert_eq!(lanczos(&[0.0; 400], 20, 20), None);
    }

    #[test]
    #[ignore = "a measurement: cargo test -p fanin-analysis --release -- --ignored --nocapture lanczos_error"]
    fn lanczos_error() {
        for (rows, columns) in [(1024, 1024), (2048, 2048), (4096, 1024), (1024, 4096)] {
            let values = drawn("normal(std=0.02)", rows, columns);
            let start = std::time::Instant::now();
            let (norm, least, error) = lanczos(&values, rows, columns).unwrap();
            let took = start.elapsed();
            let right = exact_of(&values, rows, columns);
            let off = |a: f64, b: f64| (a / b - 1.0) * 100.0;
            println!(
                "{rows} x {columns}: norm {:+.2} %, least {:+.2} %, reported error {:.2} %; {took:?}",
                off(norm, right.norm),
                off(least, right.least.unwrap()),
                error * 100.0
            );
        }
    }
}
