//! Truncated normal variates, computed in f64. Each value is computed as the quantile at a random probability, or from
//! a random distance to a cut-off.

use super::super::transform::{GROUP_32, GROUP_64, Transform32, Transform64, clamp};
use crate::math::{TWO_32, ln_1p64, log_mills64, minus_ln_complement64, quantile64};
use crate::rng::{GroupWords, LANES};
use crate::simd::SimdIsa;

/// The width, in standard deviations, below which an interval is narrow. In a narrow interval, the log density is
/// linear in f64 precision.
pub(super) const NARROW: f64 = 1.0 / 67_108_864.0;

/// The number of Newton steps in [`Tail`]. The relative error of the first guess is at most 1/25. Each step multiplies
/// the error by at most 2e-4.
const NEWTON_STEPS: usize = 4;

/// The inverse distribution function of a distribution, computed in f64.
pub(crate) trait InverseCdf: Copy {
    /// Returns the quantile at the probability `u` in (0, 1). `complement` is `1 - u`. Both arguments must have full
    /// relative precision.
    fn at(&self, u: f64, complement: f64) -> f64;
}

/// An f32 transform that uses an [`InverseCdf`]. Each value is the quantile at `u = (word + 1/2) / 2^32`, where `word`
/// is a random 32-bit word.
#[derive(Debug, Clone, Copy)]
pub(super) struct OneWord<P>(pub(super) P);

impl<P: InverseCdf> Transform32 for OneWord<P> {
    #[inline(always)]
    fn apply<I: SimdIsa>(&self, words: &GroupWords, out: &mut [f32; GROUP_32]) {
        for (word, out) in words.as_flattened().iter().zip(out) {
            let u = (f64::from(*word) + 0.5) * (1.0 / TWO_32);
            let complement = (f64::from(!*word) + 0.5) * (1.0 / TWO_32);
            *out = self.0.at(u, complement) as f32;
        }
    }
}

impl<P: InverseCdf> Transform64 for P {
    /// Writes the quantiles at `u = (high * 2^32 + low + 1/2) / 2^64`, where `high` and `low` are two words of the
    /// group.
    #[inline(always)]
    fn apply<I: SimdIsa>(&self, words: &GroupWords, out: &mut [f64; GROUP_64]) {
        for (words, out) in words.as_chunks::<2>().0.iter().zip(out.as_chunks_mut::<LANES>().0) {
            for lane in 0..LANES {
                let (high, low) = (words[0][lane], words[1][lane]);
                let unit = |high: u32, low: u32| {
                    f64::from(high).mul_add(TWO_32, f64::from(low) + 0.5) * (1.0 / TWO_32 / TWO_32)
                };
                out[lane] = self.at(unit(high, low), unit(!high, !low));
            }
        }
    }
}

/// A truncated normal distribution. Each value is computed in f64, as the quantile at a random probability.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Central {
    pub(super) mean: f64,
    pub(super) std: f64,
    /// The probability below the interval.
    pub(super) below: f64,
    /// The probability above the interval.
    pub(super) above: f64,
    /// The probability of the interval.
    pub(super) mass: f64,
    /// The least value that may be returned.
    pub(super) least: f64,
    /// The greatest value that may be returned.
    pub(super) greatest: f64,
}

impl InverseCdf for Central {
    #[inline(always)]
    fn at(&self, u: f64, complement: f64) -> f64 {
        let lower = u.mul_add(self.mass, self.below);
        let upper = complement.mul_add(self.mass, self.above);
        let tail = if lower < upper { lower } else { upper };
        let q = if lower < upper { lower - 0.5 } else { 0.5 - upper };
        clamp(quantile64(q, tail).mul_add(self.std, self.mean), self.least, self.greatest)
    }
}

/// A truncated normal distribution, computed in f64. Each value is computed from a random distance to the nearer
/// cut-off.
///
/// Used for intervals in the far tail and for narrow intervals. "The mean" is the mean of the untruncated normal. The
/// nearer cut-off is the cut-off that is nearer to this mean. Z is a standard normal variate. The computation uses
/// these quantities, with distances in standard deviations:
///
/// * `alpha` is the distance from the mean to the nearer cut-off.
/// * `beta` is the distance from the mean to the farther cut-off.
/// * `complement` is `P(Z > beta) / P(Z > alpha)`.
/// * `target` is `-ln(ratio)`, where `ratio` is a random number, uniform between `complement` and 1.
/// * `g(delta)` is `-ln(P(Z > alpha + delta) / P(Z > alpha))`, a function of a distance `delta`.
///
/// The distance from the nearer cut-off to the value is the solution `delta` of `g(delta) = target`.
///
/// In a narrow interval, the log density is linear in f64 precision. `g(delta)` is then `alpha * delta`, as for an
/// exponential distribution with the rate `alpha`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tail {
    /// The distance from the mean to the nearer cut-off, in standard deviations. At least 5 if `narrow` is `false`.
    alpha: f64,
    /// `ln(alpha M(alpha))`, where `M(z) = P(Z > z) / density(z)` is the Mills ratio of the standard normal
    /// distribution.
    log_mills: f64,
    /// The probability of the interval, divided by `P(Z > alpha)` for a standard normal Z.
    fraction: f64,
    /// `P(Z > beta) / P(Z > alpha)` for a standard normal Z. `alpha` is the distance from the mean to the nearer
    /// cut-off, and `beta` is the distance from the mean to the farther cut-off, in standard deviations.
    complement: f64,
    /// The cut-off that is nearer to the mean, in units of the values.
    origin: f64,
    /// The standard deviation of the untruncated normal, with a negative sign if the interval is below the mean.
    std: f64,
    /// The least value that may be returned.
    least: f64,
    /// The greatest value that may be returned.
    greatest: f64,
    /// `true` if the interval is narrower than [`NARROW`] standard deviations.
    narrow: bool,
}

impl Tail {
    /// Creates the distribution on `alpha..alpha + width`, in standard deviations from the mean.
    pub(super) fn new(alpha: f64, width: f64, origin: f64, std: f64, (least, greatest): (f64, f64)) -> Self {
        let narrow = width < NARROW;
        let log_mills = if narrow { 0.0 } else { log_mills64(alpha) };
        let mut tail =
            Self { alpha, log_mills, fraction: 1.0, complement: 0.0, origin, std, least, greatest, narrow };
        let exponent = if narrow {
            alpha * width
        } else if width.is_finite() {
            tail.exponent(width)
        } else {
            f64::INFINITY
        };
        tail.fraction = -libm::expm1(-exponent);
        tail.complement = libm::exp(-exponent);
        tail
    }

    /// Returns `g(delta) = -ln(P(Z > alpha + delta) / P(Z > alpha))` for a standard normal Z.
    #[inline(always)]
    fn exponent(&self, delta: f64) -> f64 {
        let curvature = ln_1p64(delta / self.alpha) - (log_mills64(self.alpha + delta) - self.log_mills);
        delta.mul_add((0.5 * delta) + self.alpha, curvature)
    }
}

impl InverseCdf for Tail {
    #[inline(always)]
    fn at(&self, u: f64, complement: f64) -> f64 {
        let target =
            minus_ln_complement64(u * self.fraction, complement.mul_add(self.fraction, self.complement));
        // The first guess solves `delta * (alpha + delta / 2) = target`, in a form without cancellation.
        let root = self.alpha.mul_add(self.alpha, 2.0 * target).sqrt();
        let mut delta = 2.0 * target / (root + self.alpha);
        for _ in 0..NEWTON_STEPS {
            // The derivative of `g(delta)` is 1 / M(z), where M is the Mills ratio. The asymptotic series of 1 / M has
            // a relative error of at most 2e-4 for z >= 5.
            let z = self.alpha + delta;
            let y = 1.0 / (z * z);
            let slope = z * y.mul_add(y.mul_add(10.0f64.mul_add(y, -2.0), 1.0), 1.0);
            delta += (target - self.exponent(delta)) / slope;
        }
        // The Newton steps require `alpha >= 5`. In a narrow interval, `alpha` may be smaller, but `g(delta)` is
        // `alpha * delta`.
        let delta = if self.narrow { target / self.alpha } else { delta };
        clamp(delta.mul_add(self.std, self.origin), self.least, self.greatest)
    }
}
