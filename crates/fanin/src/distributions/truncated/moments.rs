//! The distribution function and the moments of the truncated normal distribution, in f64.

/// The square root of 2.
const SQRT_2: f64 = std::f64::consts::SQRT_2;

/// The distance of the far tail from the mean of the untruncated normal, in standard deviations. Intervals in the far
/// tail need methods that avoid cancellation.
pub(super) const FAR_TAIL: f64 = 5.0;

/// Returns P(Z < z) for a standard normal Z.
pub(super) fn cdf(z: f64) -> f64 {
    libm::erfc(-z / SQRT_2) / 2.0
}

/// Returns the density of the standard normal distribution at z.
fn density(z: f64) -> f64 {
    libm::exp(-z * z / 2.0) / std::f64::consts::TAU.sqrt()
}

/// Returns the mean and the variance of the standard normal distribution truncated to [alpha, beta].
pub(crate) fn moments(alpha: f64, beta: f64) -> (f64, f64) {
    if alpha + beta < 0.0 {
        let (mean, variance) = moments(-beta, -alpha);
        return (-mean, variance);
    }
    let width = beta - alpha;
    if width < 1e-3 || alpha >= FAR_TAIL {
        // The closed form would lose precision to cancellation, so Simpson's rule is used. At the distance `delta` from
        // `alpha`, the density is at most exp(-alpha * delta) times the density at `alpha`. For `delta > 60 / alpha`,
        // the density has no effect in f64 precision.
        let reach = width.min(60.0 / alpha.max(1.0));
        let steps = 4000;
        let (mut mass, mut first, mut second) = (0.0, 0.0, 0.0);
        for k in 0..=steps {
            let simpson = if k == 0 || k == steps { 1.0 } else { 2.0 + 2.0 * f64::from(k % 2) };
            let x = f64::from(k) / f64::from(steps);
            let delta = x * reach;
            let weight = simpson * libm::exp(-delta * (alpha + delta / 2.0));
            mass += weight;
            first += weight * x;
            second += weight * x * x;
        }
        let mean = first / mass;
        return (alpha + reach * mean, reach * reach * (second / mass - mean * mean));
    }
    let mass = if alpha > 0.0 { cdf(-alpha) - cdf(-beta) } else { 1.0 - cdf(alpha) - cdf(-beta) };
    let finite = |z: f64| if z.is_finite() { z * density(z) } else { 0.0 };
    let mean = (density(alpha) - density(beta)) / mass;
    (mean, 1.0 + (finite(alpha) - finite(beta)) / mass - mean * mean)
}
