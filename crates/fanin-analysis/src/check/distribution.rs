//! Univariate distributions: the cumulative distribution function, quantiles, probabilities and moments.

use fanin::{DType, Distribution, Plan};

use super::grid;
use super::standard_normal::{self, phi};

/// The distribution of one value of a tensor whose values are independent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Univariate {
    /// Uniform on `[low, high)`.
    Uniform {
        /// The lower bound.
        low: f64,
        /// The upper bound.
        high: f64,
    },
    /// Normal, truncated to `[low, high]`. With infinite bounds, the distribution is not truncated.
    Normal {
        /// The mean before truncation.
        mean: f64,
        /// The standard deviation before truncation.
        std: f64,
        /// The lower bound.
        low: f64,
        /// The upper bound.
        high: f64,
    },
}

/// The moments of a distribution. The k-th standardized moment is the expected value of ((X - mean) / std)^k.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Moments {
    /// The mean.
    pub(crate) mean: f64,
    /// The standard deviation.
    pub(crate) std: f64,
    /// The third standardized moment.
    pub(crate) skewness: f64,
    /// The fourth standardized moment, which is 3 for a normal distribution.
    pub(crate) kurtosis: f64,
    /// The sixth standardized moment.
    pub(crate) sixth: f64,
}

/// A narrow interval of the values of a distribution. [`Moments::of_points`] treats such an interval almost as a point.
/// The fields `offset` and `variance` are scaled by the argument `scale` of `of_points`.
struct Point {
    /// The approximate mean of the values in the interval of this `Point`: a value at or near the middle of the
    /// interval.
    mean: f64,
    /// The distance from the field `mean` to the exact mean of the values in the interval, divided by `scale`. Negative
    /// if the exact mean is smaller.
    offset: f64,
    /// The variance of the values in the interval of this `Point`, divided by `scale^2`.
    variance: f64,
    /// The probability that a value of the distribution is in the interval of this `Point`.
    weight: f64,
}

impl Moments {
    /// The moments of the standard normal distribution.
    pub(crate) const NORMAL: Self = Self { mean: 0.0, std: 1.0, skewness: 0.0, kurtosis: 3.0, sixth: 15.0 };

    /// Returns the moments of a distribution that is divided into narrow intervals, `points`. `scale` is a rough
    /// estimate of the standard deviation. Distances between values are divided by `scale`, so that the powers of
    /// distances neither overflow nor underflow.
    fn of_points(points: &[Point], scale: f64) -> Self {
        let total: f64 = points.iter().map(|point| point.weight).sum();
        let origin = points.get(points.len() / 2).map_or(0.0, |point| point.mean);
        let distance = |point: &Point| (point.mean - origin) / scale + point.offset;
        let shift = points.iter().map(|point| distance(point) * point.weight).sum::<f64>() / total;
        let moment = |power: i32| {
            let pairs = f64::from(power * (power - 1) / 2);
            let term = |point: &Point| {
                let x = distance(point) - shift;
                (x.powi(power) + pairs * x.powi(power - 2) * point.variance) * point.weight
            };
            points.iter().map(term).sum::<f64>() / total
        };
        let std = moment(2).sqrt();
        let standardized = |power: i32| if std > 0.0 { moment(power) / std.powi(power) } else { 0.0 };
        Self {
            mean: origin + shift * scale,
            std: std * scale,
            skewness: standardized(3),
            kurtosis: standardized(4),
            sixth: standardized(6),
        }
    }
}

impl Univariate {
    /// Returns the distribution of the random values of a plan. For a `sparse` plan, this is the distribution of the
    /// values that are not set to zero.
    ///
    /// Returns `None` in three cases: the plan determines every value, the values depend on one another (`orthogonal`),
    /// or the plan has blocks.
    ///
    /// The mean and the standard deviation of a normal distribution without truncation are rounded to f32, unless the
    /// values are f64. The values of the tensor are computed from the rounded numbers. The rounding matters for a
    /// subnormal standard deviation.
    pub fn of(plan: &Plan) -> Option<Self> {
        let computed = |x: f64| if plan.dtype() == DType::F64 { x } else { f64::from(x as f32) };
        Some(match plan.distribution() {
            Distribution::Uniform { low, high } if low < high => Self::Uniform { low, high },
            Distribution::Normal { mean, std } if computed(std) > 0.0 => {
                Self::normal(computed(mean), computed(std))
            }
            Distribution::Sparse { std, .. } if computed(std) > 0.0 => Self::normal(0.0, computed(std)),
            Distribution::TruncatedNormal { mean, std, low, high, .. } if low < high => {
                Self::Normal { mean, std, low, high }
            }
            _ => return None,
        })
    }

    /// Returns a normal distribution that is not truncated.
    pub fn normal(mean: f64, std: f64) -> Self {
        Self::Normal { mean, std, low: f64::NEG_INFINITY, high: f64::INFINITY }
    }

    /// Returns whether this is a normal distribution without noticeable truncation. Both bounds must be more than 12
    /// standard deviations from the mean.
    pub fn is_normal(&self) -> bool {
        matches!(*self, Self::Normal { mean, std, low, high } if low < mean - 12.0 * std && high > mean + 12.0 * std)
    }

    /// Returns the lower and the upper bound of the values. A bound is infinite if the values are not bounded on that
    /// side.
    pub fn bounds(&self) -> (f64, f64) {
        match *self {
            Self::Uniform { low, high } | Self::Normal { low, high, .. } => (low, high),
        }
    }

    /// Returns P(X < x).
    pub(crate) fn cdf(&self, x: f64) -> f64 {
        self.probability(f64::NEG_INFINITY, x)
    }

    /// Returns P(X > x).
    pub(crate) fn survival(&self, x: f64) -> f64 {
        self.probability(x, f64::INFINITY)
    }

    /// Returns an approximation of the quantile of p: the number x with P(X < x) = p.
    pub(crate) fn quantile(&self, p: f64) -> f64 {
        match *self {
            Self::Uniform { low, high } => low + p * (high - low),
            Self::Normal { mean, std, low, high } => {
                let (below, above) = (phi((low - mean) / std), phi((mean - high) / std));
                // `lower` is P(X < x) of the distribution without truncation, and `upper` is 1 - `lower`.
                let lower = below + p * (1.0 - below - above);
                let upper = above + (1.0 - p) * (1.0 - below - above);
                (mean + std * standard_normal::quantile(lower, upper)).clamp(low, high)
            }
        }
    }

    /// Returns P(a < X < b).
    pub(crate) fn probability(&self, a: f64, b: f64) -> f64 {
        self.mass(a, b) / self.mass(f64::NEG_INFINITY, f64::INFINITY)
    }

    /// Returns P(a < X < b), times a factor that does not depend on a and b.
    fn mass(&self, a: f64, b: f64) -> f64 {
        let (low, high) = self.bounds();
        let (a, b) = (a.max(low), b.min(high));
        if a >= b {
            return 0.0;
        }
        match *self {
            Self::Uniform { .. } => b - a,
            Self::Normal { mean, std, .. } => {
                standard_normal::probability((a - mean) / std, (b - mean) / std)
            }
        }
    }

    /// Returns an interval. A value of this distribution is in the interval with a probability above 1 - 1e-20.
    fn support(&self) -> (f64, f64) {
        match *self {
            Self::Uniform { low, high } => (low, high),
            Self::Normal { mean, std, low, high } => {
                let (from, to) = (mean.min(high).max(low), mean.max(low).min(high));
                (low.max(from - 10.0 * std), high.min(to + 10.0 * std))
            }
        }
    }

    /// Returns a rough estimate of the standard deviation.
    fn scale(&self) -> f64 {
        match *self {
            Self::Uniform { low, high } => high / 2.0 - low / 2.0,
            Self::Normal { mean, std, low, high } => {
                // Beyond z standard deviations from the mean, the tail of a normal distribution is about std / z wide.
                let near = ((low - mean) / std).max((mean - high) / std).max(0.0);
                (std / (1.0 + near)).min(high / 2.0 - low / 2.0)
            }
        }
    }

    /// Returns the moments of the unrounded values, or `None` for a truncated normal distribution.
    fn exact_moments(&self) -> Option<Moments> {
        match *self {
            Self::Uniform { low, high } => Some(Moments {
                mean: low / 2.0 + high / 2.0,
                std: (high / 2.0 - low / 2.0) / 3f64.sqrt(),
                skewness: 0.0,
                kurtosis: 9.0 / 5.0,
                sixth: 27.0 / 7.0,
            }),
            Self::Normal { mean, std, .. } => {
                self.is_normal().then_some(Moments { mean, std, ..Moments::NORMAL })
            }
        }
    }

    /// Returns whether rounding to `dtype` changes the values by less than 1e-4 of `std`. Returns false if values
    /// become infinite, and for types of less than 32 bits.
    fn is_finely_rounded(&self, dtype: DType, std: f64) -> bool {
        let (low, high) = self.support();
        let largest = dtype.round(low.abs().max(high.abs()));
        dtype.size() >= 4 && grid::neighbours(dtype, largest).1 - largest < 1e-4 * std
    }

    /// Returns the mean and the standard deviation if this is a normal distribution and rounding to `dtype` hardly
    /// changes its values. Returns `None` otherwise. See [`is_finely_rounded`](Self::is_finely_rounded).
    pub(crate) fn fine_normal(&self, dtype: DType) -> Option<(f64, f64)> {
        let Self::Normal { mean, std, .. } = *self else { return None };
        (self.is_normal() && self.is_finely_rounded(dtype, std)).then_some((mean, std))
    }

    /// Returns the moments of the distribution after its values are rounded to `dtype`. Values that become infinite are
    /// left out.
    pub(crate) fn moments(&self, dtype: DType) -> Moments {
        if let Some(moments) = self.exact_moments()
            && self.is_finely_rounded(dtype, moments.std)
        {
            return moments;
        }
        let scale = self.scale();
        let steps = if matches!(self, Self::Uniform { .. }) { 256.0 } else { 64.0 };
        let (low, high) = self.bounds();
        let total = self.mass(f64::NEG_INFINITY, f64::INFINITY);
        let point = |(x, (below, above)): (f64, (f64, f64))| {
            let weight = self.mass(below, above) / total;
            let (first, last) = grid::rounding_interval(dtype, x);
            if below == first && above == last || !(below.is_finite() && above.is_finite()) {
                // The interval contains only one value of the type.
                return Point { mean: x, offset: 0.0, variance: 0.0, weight };
            }
            // The interval contains many values of the type. In the interval, the probability density is nearly linear.
            let (below, above) = (below.max(low), above.min(high));
            let (middle, width) = (below / 2.0 + above / 2.0, above / scale - below / scale);
            let variance = width * width / 12.0;
            let slope = match *self {
                Self::Uniform { .. } => 0.0,
                Self::Normal { mean, std, .. } => (mean - middle) / std * (scale / std),
            };
            Point { mean: middle, offset: variance * slope, variance, weight }
        };
        let cells = grid::cells(dtype, self.support(), scale / steps);
        let points: Vec<Point> = cells.into_iter().map(point).filter(|point| point.weight > 0.0).collect();
        Moments::of_points(&points, scale)
    }

    /// Returns the probability that a value is finite after it is rounded to `dtype`.
    pub(crate) fn finite_probability(&self, dtype: DType) -> f64 {
        let largest = grid::overflow(dtype);
        self.probability(-largest, largest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_agree_with_closed_forms() {
        let normal = Univariate::normal(1.0, 2.0).moments(DType::F32);
        for (found, right) in [
            (normal.mean, 1.0),
            (normal.std, 2.0),
            (normal.skewness, 0.0),
            (normal.kurtosis, 3.0),
            (normal.sixth, 15.0),
        ] {
            assert!((found - right).abs() < 1e-7, "{found} {right}");
        }
        let uniform = Univariate::Uniform { low: -1.0, high: 3.0 }.moments(DType::F64);
        assert!((uniform.std.powi(2) - 16.0 / 12.0).abs() < 1e-9 && (uniform.kurtosis - 1.8).abs() < 1e-9);
        // Truncation at two standard deviations multiplies the std by 0.8796. Rounding to bf16 multiplies the variance
        // by at most 1 + 2^-16 / 3.
        let truncated = Univariate::Normal { mean: 0.0, std: 1.0, low: -2.0, high: 2.0 };
        assert!((truncated.moments(DType::F32).std - 0.879_626).abs() < 1e-6);
        assert!((truncated.moments(DType::BF16).std - 0.879_626).abs() < 1e-4);
    }

    #[test]
    fn probabilities_in_the_far_tail_are_precise() {
        let distribution = Univariate::normal(0.0, 1.0);
        assert!((distribution.survival(8.0) / 6.22e-16 - 1.0).abs() < 1e-3);
        let tail = Univariate::Normal { mean: 0.0, std: 1.0, low: 9.0, high: f64::INFINITY };
        assert!((tail.cdf(9.1) - 0.597).abs() < 0.01, "{}", tail.cdf(9.1));
        assert!(tail.moments(DType::F32).mean > 9.1 && tail.moments(DType::F32).mean < 9.12);
    }
}
