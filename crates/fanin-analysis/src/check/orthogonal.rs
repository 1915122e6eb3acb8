//! Tests whether a matrix is orthogonal, and whether it was drawn from the Haar measure. The Haar measure is the
//! uniform distribution of orthogonal matrices.
//!
//! Orthogonality is tested without computing the Gram matrix Q Q^T. The test checks that Q Q^T v = gain^2 v for a few
//! random vectors v with entries +1 and -1. The expected squared length of (Q Q^T - gain^2 I) v is the squared
//! Frobenius norm of Q Q^T - gain^2 I (Hutchinson 1990), so a few vectors are enough.
//!
//! An orthogonal matrix need not be random: it may be the identity, a permutation or a block-diagonal matrix.
//! [`EntryStatistics`] therefore tests whether the entries are distributed as under the Haar measure. In the list of
//! its three tests, n is the length of the longer side, N is the number of entries, and the gain is 1.
//! - `zeros`: the number of exact zeros, treated as a Poisson variable. The square of an entry is Beta(1/2, (n - 1)/2)
//!   distributed. This distribution gives the probability that an entry becomes 0. There are two causes. The dtype may
//!   round a small entry to 0. A computation in f32 may also give 0 for an entry of magnitude up to 2^-24: the entry is
//!   computed as a difference of numbers below 1, and adjacent f32 numbers below 1 are up to 2^-24 apart.
//! - `outlier`: the largest absolute entry. Its p-value is at most N times the p-value of a single entry (Boole's
//!   inequality). Matrices close to a permutation matrix fail, because they have an entry close to 1.
//! - `distribution`: the sum F of the absolute values of the entries. F is small if a few entries are large and the
//!   others are nearly 0. The mean E F is N Gamma(n/2) / (sqrt(pi) Gamma((n + 1)/2)). The p-value is the bound
//!   P(|F - E F| > t) <= 2 exp(-(n - 2) t^2 / (8 N)). Here t is the measured deviation of F from E F, minus the largest
//!   effect of rounding on F. The bound uses two facts. First, F has the Lipschitz constant sqrt(N) in the Frobenius
//!   norm (Cauchy-Schwarz). Second, the Ricci curvature of SO(n) is (n - 2)/4 in this metric. The bound follows by
//!   Bakry and Emery's logarithmic Sobolev inequality and Herbst's argument (Meckes, "The Random Matrix Theory of the
//!   Classical Compact Groups", 2019, chapter 5). The p-value is below 1e-6 if t is above about 13 / sqrt(N) times E F.
//!   If half of the entries are nearly 0, as with two diagonal blocks of equal size, F is 29 % too low. The test
//!   detects this deviation in matrices of about 2000 entries or more.

use fanin::DType;
use statrs::function::{beta::beta_reg, gamma};

use super::grid;
use super::p_value::poisson_at_least;
use super::tensor_view::TensorView;
use super::test_result::TestResult;
use crate::error::Result;
use crate::signs::sign;

/// The number of random vectors with which a matrix is multiplied.
const VECTORS: usize = 4;

/// Returns the largest [`departure`] that rounding to `dtype` can cause, with a safety margin. `entry` is the root mean
/// square of the entries. Returns `None` if `entry` is at most 8 times the smallest positive value of `dtype`, because
/// rounding then destroys the orthogonality.
pub(crate) fn tolerance(dtype: DType, entry: f64) -> Option<f64> {
    let tolerance = match dtype {
        DType::F64 => 1e-10,
        DType::F16 => 4e-3,
        DType::BF16 => 2e-2,
        // Types with 3 or 2 mantissa bits store small entries as zero. Their tolerances are therefore larger than their
        // lower precision alone would require, and the test is weak.
        DType::F8E4M3 => 0.6,
        DType::F8E5M2 => 0.9,
        _ => 1e-4,
    };
    let spacing = grid::neighbours(dtype, 0.0).1 / entry;
    (spacing < 0.125).then_some(tolerance + 4.0 * spacing)
}

/// Returns the root mean square of the entries of `gain * Q`, where Q is an orthogonal matrix of this shape.
pub(crate) fn root_mean_square(shape: &[usize], gain: f64) -> f64 {
    let long = shape[0].max(shape[1..].iter().product());
    gain.abs() / (long as f64).sqrt()
}

/// Returns the departure from orthogonality: the largest |(Q Q^T - gain^2 I) v| / (gain^2 |v|) over a few random
/// vectors v. Q is the tensor with all axes after the first flattened into columns. If this matrix has more rows than
/// columns, Q is its transpose. Returns NaN if a value is NaN.
///
/// # Errors
/// Returns an error if the file cannot be read.
pub(crate) fn departure(view: &TensorView<'_>, gain: f64) -> Result<f64> {
    let shape = view.shape();
    let (rows, columns) = (shape[0], shape[1..].iter().product::<usize>());
    let (short, long) = (rows.min(columns), rows.max(columns));
    let v: Vec<[f64; VECTORS]> =
        (0..short).map(|n| std::array::from_fn(|k| sign((k * short + n) as u64))).collect();
    // Multiplies the matrix, or its transpose if `transposed` is true, by `vectors`. The product has `size` rows.
    let product =
        |vectors: &[[f64; VECTORS]], size: usize, transposed: bool| -> Result<Vec<[f64; VECTORS]>> {
            let mut sums = vec![[0.0; VECTORS]; size];
            let (mut row, mut column) = (0, 0);
            view.values(|values| {
                for &x in values {
                    let (source, target) = if transposed { (row, column) } else { (column, row) };
                    for k in 0..VECTORS {
                        sums[target][k] += vectors[source][k] * x;
                    }
                    column += 1;
                    if column == columns {
                        (row, column) = (row + 1, 0);
                    }
                }
            })?;
            Ok(sums)
        };
    let wide = rows <= columns;
    let projected = product(&v, long, wide)?;
    let back = product(&projected, short, !wide)?;
    let square = gain * gain;
    let departure = |k: usize| {
        let squares: f64 = back.iter().zip(&v).map(|(u, v)| (u[k] / square - v[k]).powi(2)).sum();
        (squares / short as f64).sqrt()
    };
    // `f64::max` cannot be used, because it ignores NaN.
    Ok((0..VECTORS).map(departure).fold(0.0, |a, b| if b > a || b.is_nan() { b } else { a }))
}

/// Returns whether a matrix may be `gain` times an orthogonal matrix: whether `square` is close to `gain^2`, and
/// `product` is close to 0. `square` is the sum of the squares of a line: a row, or a column if the matrix has more
/// rows than columns. `product` is the scalar product of this line with another line, or 0 if no scalar product was
/// computed.
pub(crate) fn is_plausible([square, product]: [f64; 2], gain: f64, tolerance: f64) -> bool {
    let (square, product) = (square / (gain * gain), product / (gain * gain));
    (square - 1.0).abs() < 3.0 * tolerance && product.abs() < 3.0 * tolerance
}

/// Statistics of the entries of an orthogonal matrix, for testing whether it was drawn from the Haar measure.
#[derive(Debug, Default)]
pub(crate) struct EntryStatistics {
    count: u64,
    zeros: u64,
    /// The sum of the absolute values.
    sum: f64,
    /// The largest absolute value.
    largest: f64,
}

impl EntryStatistics {
    /// Adds the next entries of the matrix.
    pub(crate) fn add(&mut self, values: &[f64]) {
        self.count += values.len() as u64;
        for x in values.iter().map(|x| x.abs()) {
            self.zeros += u64::from(x == 0.0);
            self.sum += x;
            self.largest = self.largest.max(x);
        }
    }

    /// Compares the entries with the entries of a random matrix of this shape, drawn from the Haar measure and
    /// multiplied by `gain`. Returns the results of the tests. The list is empty for a matrix of one entry.
    pub(crate) fn tests(&self, shape: &[usize], gain: f64, dtype: DType) -> Vec<TestResult> {
        let long = shape[0].max(shape[1..].iter().product());
        let gain = gain.abs();
        // In a matrix of one entry, only the sign is random.
        if long < 2 {
            return Vec::new();
        }
        let (count, n) = (self.count as f64, long as f64);
        // Returns P(|X| > x) for one entry X.
        let exceeds = |x: f64| {
            let rest = 1.0 - (x / gain).powi(2);
            if rest <= 0.0 { 0.0 } else { beta_reg((n - 1.0) / 2.0, 0.5, rest.min(1.0)) }
        };
        // `rounding` is the largest relative rounding error of the dtype. `smallest` is the smallest positive value of
        // the dtype.
        let rounding = grid::epsilon(dtype) / 2.0;
        let smallest = grid::neighbours(dtype, 0.0).1;

        let expected = count * (1.0 - exceeds(smallest / 2.0 + gain * 2f64.powi(-24)));
        let text = format!("{} of {} entries are exactly 0, expected {expected:.1}", self.zeros, self.count);
        let mut results = vec![TestResult::new("zeros", poisson_at_least(self.zeros, expected), text)];

        let text = format!(
            "largest absolute entry {:.4e}, too large for a random orthogonal matrix with {long} entries a row",
            self.largest
        );
        let p = count * exceeds(self.largest * (1.0 - rounding) - smallest / 2.0);
        results.push(TestResult::new("outlier", p, text));

        if long > 2 {
            let one = (gamma::ln_gamma(n / 2.0) - gamma::ln_gamma((n + 1.0) / 2.0)).exp();
            let expected = count * one / std::f64::consts::PI.sqrt();
            let found = self.sum / gain;
            let rounding = rounding * expected + count * smallest / gain / 2.0;
            let distance = ((found - expected).abs() - rounding).max(0.0);
            let p = 2.0 * (-(n - 2.0) * distance * distance / (8.0 * count)).exp();
            let text = format!(
                "mean absolute entry {:.4e}, {:+.1} % off that of a random orthogonal matrix: blocks, or entries near zero?",
                self.sum / count,
                (found / expected - 1.0) * 100.0
            );
            results.push(TestResult::new("distribution", p, text));
        }
        results
    }
}
