//! The standard normal distribution: probabilities, and quantiles that are computed once. Phi is the cumulative
//! distribution function.

use std::sync::LazyLock;

use statrs::function::erf::{erf, erfc, erfc_inv};

/// The number of bins of equal probability into which [`quantiles`] divides the distribution.
pub(crate) const BINS: usize = 512;

/// A quantile of the standard normal distribution.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quantile {
    /// The quantile z.
    pub(crate) z: f64,
    /// Phi(z), the probability that a value is below z.
    probability: f64,
    /// The density at z.
    density: f64,
}

impl Quantile {
    /// Returns Phi(x) for a number `x` near z, by the first three terms of the Taylor series.
    pub(crate) fn probability_below(&self, x: f64) -> f64 {
        let distance = x - self.z;
        self.probability + self.density * distance * (1.0 - self.z * distance / 2.0)
    }
}

/// Returns the numbers that divide the standard normal distribution into `BINS` bins of equal probability, in ascending
/// order.
pub(crate) fn quantiles() -> &'static [Quantile] {
    static QUANTILES: LazyLock<Vec<Quantile>> = LazyLock::new(|| {
        let of_bin = |k: usize| {
            let z = quantile(k as f64 / BINS as f64, 1.0 - k as f64 / BINS as f64);
            let density = (-z * z / 2.0).exp() / std::f64::consts::TAU.sqrt();
            Quantile { z, probability: probability(f64::NEG_INFINITY, z), density }
        };
        (1..BINS).map(of_bin).collect()
    });
    &QUANTILES
}

/// Returns the quantile z with Phi(z) = `lower`. `upper` must be 1 - `lower`. The smaller of the two probabilities is
/// used, because it has the smaller absolute rounding error.
pub(crate) fn quantile(lower: f64, upper: f64) -> f64 {
    let root = std::f64::consts::SQRT_2;
    if lower < upper { -erfc_inv(2.0 * lower) * root } else { erfc_inv(2.0 * upper) * root }
}

/// Returns Phi(z), the cumulative distribution function.
pub(crate) fn phi(z: f64) -> f64 {
    erfc(-z / std::f64::consts::SQRT_2) / 2.0
}

/// Returns Phi(b) - Phi(a), the probability of a value between `a` and `b`. If `a` and `b` have the same sign, tail
/// probabilities are subtracted. This keeps the relative precision of small results.
pub(crate) fn probability(a: f64, b: f64) -> f64 {
    if a > 0.0 {
        phi(-a) - phi(-b)
    } else if b < 0.0 {
        phi(b) - phi(a)
    } else {
        let root = std::f64::consts::SQRT_2;
        (erf(b / root) - erf(a / root)) / 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_next_to_quantiles_agree_with_the_distribution_function() {
        assert_eq!(quantiles().len(), BINS - 1);
        for (quantile, k) in quantiles().iter().zip(1..) {
            assert!((phi(quantile.z) - f64::from(k) / BINS as f64).abs() < 1e-9, "{quantile:?}");
            for x in [quantile.z - 1e-4, quantile.z, quantile.z + 1e-6] {
                assert!((quantile.probability_below(x) - phi(x)).abs() < 1e-12, "{quantile:?} {x}");
            }
        }
    }
}
