//! The probability distribution of the largest singular value of a matrix of independent values.
//!
//! Let s be the largest singular value of an n by p matrix of independent values with mean 0 and variance 1. Let
//!
//! ```text
//! mu    = (sqrt(n - 1/2) + sqrt(p - 1/2))^2
//! sigma = (sqrt(n - 1/2) + sqrt(p - 1/2)) * (1 / sqrt(n - 1/2) + 1 / sqrt(p - 1/2))^(1/3)
//! ```
//!
//! Then (s^2 - mu) / sigma nearly follows the Tracy-Widom distribution of order 1 (Johnstone 2001, "On the distribution
//! of the largest eigenvalue in principal components analysis"). The terms 1/2 are from Ma (2012, "Accuracy of the
//! Tracy-Widom limits for the extreme eigenvalues in white Wishart matrices"). The values need not be normal (Pillai
//! and Yin 2014).
//!
//! The Tracy-Widom distribution function is approximated by a shifted gamma distribution (Chiani 2014, "Distribution of
//! the largest eigenvalue for real Wishart and Gaussian random matrices and a simple approximation for the Tracy-Widom
//! distribution", table 1).

use crate::check::p_value::chi_square_at_least;

/// The shape parameter of the gamma distribution that approximates the Tracy-Widom distribution of order 1.
const SHAPE: f64 = 46.446;
/// The scale parameter of the gamma distribution that approximates the Tracy-Widom distribution of order 1.
const SCALE: f64 = 0.186_054;
/// The number that is subtracted from the gamma variable to approximate the Tracy-Widom variable.
const SHIFT: f64 = 9.848_01;

/// Returns the probability that a Tracy-Widom variable of order 1 is at least `x`.
fn at_least(x: f64) -> f64 {
    // If g is gamma-distributed, 2 g / `SCALE` is chi-square-distributed with 2 `SHAPE` degrees of freedom.
    chi_square_at_least(2.0 * (x + SHIFT) / SCALE, 2.0 * SHAPE)
}

/// Returns the probability that the largest singular value of a `rows` by `columns` matrix is at least `norm`. The
/// values of the matrix are independent, with mean 0 and variance 1.
pub(super) fn norm_at_least(norm: f64, rows: usize, columns: usize) -> f64 {
    let (a, b) = ((rows as f64 - 0.5).sqrt(), (columns as f64 - 0.5).sqrt());
    let mu = (a + b).powi(2);
    let sigma = (a + b) * (1.0 / a + 1.0 / b).cbrt();
    at_least((norm * norm - mu) / sigma)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tail_probabilities_agree_with_published_quantiles() {
        // Quantiles of the distribution of order 1 at 0.90, 0.95, 0.99 and 0.999 (Bejan 2005, table 2; Chiani 2014).
        for (x, above) in [(0.4501, 0.1), (0.9793, 0.05), (2.0234, 0.01), (3.2724, 0.001)] {
            let found = at_least(x);
            // The approximation is within 6 % of these probabilities.
            assert!((found / above - 1.0).abs() < 0.06, "{x}: {found} {above}");
        }
    }
}
