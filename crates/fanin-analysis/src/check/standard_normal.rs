//! The standard normal distribution: probabilities and quantiles. Phi is the cumulative distribution function.

use statrs::function::erf::{erf, erfc, erfc_inv};

/// A number z, with Phi(z) and the density of the standard normal distribution at z.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Point {
    z: f64,
    /// Phi(z), the probability that a value is below z.
    probability: f64,
    /// The density at z.
    density: f64,
}

impl Point {
    /// Computes Phi(z) and the density at `z`.
    pub(crate) fn new(z: f64) -> Self {
        let density = (-z * z / 2.0).exp() / std::f64::consts::TAU.sqrt();
        Self { z, probability: probability(f64::NEG_INFINITY, z), density }
    }

    /// Returns Phi(x) for a number `x` near z, by the first three terms of the Taylor series.
    pub(crate) fn probability_below(&self, x: f64) -> f64 {
        let distance = x - self.z;
        self.probability + self.density * distance * (1.0 - self.z * distance / 2.0)
    }
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
    fn probabilities_near_a_point_agree_with_the_distribution_function() {
        for z in [-2.9, -0.5, 0.0, 1.3, 2.9] {
            let point = Point::new(z);
            for x in [z - 1e-4, z, z + 1e-6] {
                assert!((point.probability_below(x) - phi(x)).abs() < 1e-12, "{z} {x}");
            }
        }
    }
}
