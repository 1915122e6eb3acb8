//! Computes p-values of the tests. A p-value is exact, an upper bound, or computed from a corrected normal
//! distribution.

use statrs::function::{erf::erfc, gamma};

/// Returns the two-sided p-value of `z`, the standardized sum of `n` independent terms. `skewness` is the skewness of
/// one term.
///
/// The function computes the p-value for the normal distribution, and multiplies it by Cramér's (1938) correction
/// `exp(z^3 * skewness / (6 sqrt(n)))`.
pub(crate) fn standardized_sum(z: f64, skewness: f64, n: f64) -> f64 {
    corrected_normal(z, z.powi(3) * skewness / (6.0 * n.sqrt()))
}

/// Returns the two-sided p-value of `z` under the standard normal distribution, times `exp(correction)`.
///
/// The argument `z` is a standardized sum or mean of n values. The argument `correction` is the exponent of Cramér's
/// correction of the tail. This exponent is accurate only if `z` is small compared with `sqrt(n)`. For other `z`, the
/// exponent may be far too large. It is therefore clamped to at least 0 and at most `z^2 / 4`.
pub(crate) fn corrected_normal(z: f64, correction: f64) -> f64 {
    let p = erfc(z.abs() / std::f64::consts::SQRT_2);
    // Beyond 38 standard deviations, `p` underflows to 0. Multiplied by an infinite factor, it would give NaN.
    if p == 0.0 { 0.0 } else { p * correction.clamp(0.0, z * z / 4.0).exp() }
}

/// Transforms `z`, the standardized sum of independent terms, into a nearly standard normal variable. `skewness` is the
/// skewness of the sum.
///
/// The sum is treated as a shifted gamma variable with the same skewness. The cube root of a gamma variable is nearly
/// normal (Wilson and Hilferty 1931).
pub(crate) fn normal_deviate(z: f64, skewness: f64) -> f64 {
    if skewness.abs() < 1e-6 {
        return z;
    }
    let root = (1.0 + skewness * z / 2.0).max(0.0).cbrt();
    6.0 / skewness * (root - 1.0) + skewness / 6.0
}

/// Returns the two-sided p-value of the correlation `r` of two samples of `n` independent values each. `skewness` is
/// the skewness of the values.
///
/// The function computes the p-value of `r * sqrt(n)` for the standard normal distribution, and multiplies it by
/// Cramér's correction (see [`corrected_normal`]). The correction is computed for the sum of the products of paired
/// values. A product has the skewness `skewness^2` and, for normal values, the excess kurtosis 6. The correlation is
/// this sum divided by the norms of the samples. Because of the division, the tails of the correlation are lighter than
/// the tails of the sum. The p-value therefore tends to be too large.
pub(crate) fn correlation(r: f64, n: f64, skewness: f64) -> f64 {
    let z = r * n.sqrt();
    let cube = z.abs().powi(3) * skewness * skewness / (6.0 * n.sqrt());
    corrected_normal(z, cube + z.powi(4) / (4.0 * n))
}

/// Returns the two-sided p-value of a chi-square variable `x` with `degrees` degrees of freedom: twice the probability
/// of the smaller tail.
pub(crate) fn chi_square(x: f64, degrees: f64) -> f64 {
    // A sum of many squares is nearly normal. The square of a standard normal variable has the skewness sqrt(8).
    if degrees > 1e5 {
        return standardized_sum((x - degrees) / (2.0 * degrees).sqrt(), 8f64.sqrt(), degrees);
    }
    2.0 * chi_square_at_most(x, degrees).min(chi_square_at_least(x, degrees))
}

/// Returns the probability that a chi-square variable with `degrees` degrees of freedom is at least `x`. `degrees` may
/// be a fraction.
pub(crate) fn chi_square_at_least(x: f64, degrees: f64) -> f64 {
    if x <= 0.0 {
        1.0
    } else if x.is_infinite() {
        0.0
    } else {
        gamma::gamma_ur(degrees / 2.0, x / 2.0)
    }
}

/// Returns the probability that a chi-square variable with `degrees` degrees of freedom is at most `x`.
fn chi_square_at_most(x: f64, degrees: f64) -> f64 {
    if x <= 0.0 {
        0.0
    } else if x.is_infinite() {
        1.0
    } else {
        gamma::gamma_lr(degrees / 2.0, x / 2.0)
    }
}

/// Returns an upper bound on the p-value of the Kolmogorov-Smirnov distance D of `n` values: `2 * exp(-2 * n * D^2)`.
/// The bound holds for every `n` (Massart 1990). It may exceed 1.
pub(crate) fn kolmogorov_smirnov(distance: f64, n: f64) -> f64 {
    2.0 * (-2.0 * n * distance * distance).exp()
}

/// Returns the probability that a Poisson variable of mean `expected` is at least `observed`.
pub(crate) fn poisson_at_least(observed: u64, expected: f64) -> f64 {
    if observed == 0 { 1.0 } else { gamma::gamma_lr(observed as f64, expected.max(1e-300)) }
}
