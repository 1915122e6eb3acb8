//! p-values of the tests. Each p-value is exact or an upper bound. A test that fails if its p-value is below a
//! threshold therefore gives false alarms at a rate of at most that threshold.

use statrs::function::{erf::erfc, gamma};

/// Returns the two-sided p-value of `z`, the standardized sum of `n` independent terms of the given skewness.
///
/// The tail of the normal distribution is multiplied by Cramér's correction for the skewness.
pub(crate) fn standardized_sum(z: f64, skewness: f64, n: f64) -> f64 {
    corrected_normal(z, z.powi(3) * skewness / (6.0 * n.sqrt()))
}

/// Returns the two-sided p-value of a normal deviate `z`, multiplied by e^`correction`.
///
/// The correction of Cramér's theorem holds for deviates that are small compared with the square root of the number of
/// terms. The correction is clamped to the range from 0 to z^2 / 4.
pub(crate) fn corrected_normal(z: f64, correction: f64) -> f64 {
    let p = erfc(z.abs() / std::f64::consts::SQRT_2);
    // Beyond 38 standard deviations, p underflows to 0. The product of p and e^correction would be NaN if e^correction
    // is infinite.
    if p == 0.0 { 0.0 } else { p * correction.clamp(0.0, z * z / 4.0).exp() }
}

/// Returns `2 * exp(-2 * n * D^2)`, an upper bound on the p-value of the Kolmogorov-Smirnov distance D of `n` values.
/// The bound holds for every `n` (Massart 1990), and may exceed 1.
pub(crate) fn kolmogorov_smirnov(distance: f64, n: f64) -> f64 {
    2.0 * (-2.0 * n * distance * distance).exp()
}

/// Returns the probability that a Poisson variable of mean `expected` is at least `observed`.
pub(crate) fn poisson_at_least(observed: u64, expected: f64) -> f64 {
    if observed == 0 { 1.0 } else { gamma::gamma_lr(observed as f64, expected.max(1e-300)) }
}
