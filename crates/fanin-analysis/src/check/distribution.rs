//! Univariate distributions, with their cumulative distribution function, density and moments, and with bin edges for
//! counting values.

use fanin::{DType, Distribution, Plan};
use statrs::function::erf::{erf, erfc, erfc_inv};

use super::grid;

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

/// The mean, the standard deviation and standardized central moments of a distribution. The k-th standardized moment is
/// the expected value of ((X - mean) / std)^k.
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

/// A narrow part of a distribution.
struct Point {
    /// The mean is this number plus `offset` times a scale.
    mean: f64,
    offset: f64,
    /// The variance divided by the square of the scale.
    variance: f64,
    weight: f64,
}

impl Moments {
    /// The moments of the standard normal distribution.
    pub(crate) const NORMAL: Self = Self { mean: 0.0, std: 1.0, skewness: 0.0, kurtosis: 3.0, sixth: 15.0 };

    /// Returns the moments of a mixture of narrow distributions. `scale` is a number of the order of the standard
    /// deviation. All computations are in units of `scale`, so that no power of a distance overflows or underflows.
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

/// Returns Phi(z), the cumulative distribution function of the standard normal distribution.
fn phi(z: f64) -> f64 {
    erfc(-z / std::f64::consts::SQRT_2) / 2.0
}

/// Returns Phi(b) - Phi(a). If a and b have the same sign, the function subtracts the probabilities of the tail that
/// contains both. This keeps the relative precision of small results.
fn normal_probability(a: f64, b: f64) -> f64 {
    if a > 0.0 {
        phi(-a) - phi(-b)
    } else if b < 0.0 {
        phi(b) - phi(a)
    } else {
        let root = std::f64::consts::SQRT_2;
        (erf(b / root) - erf(a / root)) / 2.0
    }
}

impl Univariate {
    /// Returns the distribution of a plan's independent random values. For a `sparse` plan, it is the distribution of
    /// the values that are not set to zero.
    ///
    /// The mean and the standard deviation of a normal distribution are rounded to f32, as they are for the computation
    /// of the values, unless the values are f64. This matters for a subnormal standard deviation.
    ///
    /// Returns `None` if the plan determines every value, if its values depend on one another (`orthogonal`), or if the
    /// plan has blocks.
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

    /// Returns whether this is a normal distribution that is in effect not truncated: both bounds are more than 12
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

    /// Returns about the number x with P(X < x) = p.
    fn quantile(&self, p: f64) -> f64 {
        match *self {
            Self::Uniform { low, high } => low + p * (high - low),
            Self::Normal { mean, std, low, high } => {
                let (below, above) = (phi((low - mean) / std), phi((mean - high) / std));
                // P(X < x) in the whole normal distribution, and its complement. The smaller one is inverted.
                let lower = below + p * (1.0 - below - above);
                let upper = above + (1.0 - p) * (1.0 - below - above);
                let z = if lower < upper {
                    -erfc_inv(2.0 * lower) * std::f64::consts::SQRT_2
                } else {
                    erfc_inv(2.0 * upper) * std::f64::consts::SQRT_2
                };
                (mean + std * z).clamp(low, high)
            }
        }
    }

    /// Returns P(a < X < b).
    pub(crate) fn probability(&self, a: f64, b: f64) -> f64 {
        let (low, high) = self.bounds();
        let (a, b) = (a.max(low), b.min(high));
        if a >= b {
            return 0.0;
        }
        match *self {
            Self::Uniform { .. } => (b - a) / (high - low),
            Self::Normal { mean, std, .. } => {
                let z = |x: f64| (x - mean) / std;
                normal_probability(z(a), z(b)) / normal_probability(z(low), z(high))
            }
        }
    }

    /// Returns an interval outside of which the probability is less than 1e-20.
    fn support(&self) -> (f64, f64) {
        match *self {
            Self::Uniform { low, high } => (low, high),
            Self::Normal { mean, std, low, high } => {
                let (from, to) = (mean.min(high).max(low), mean.max(low).min(high));
                (low.max(from - 10.0 * std), high.min(to + 10.0 * std))
            }
        }
    }

    /// Returns a number of the order of the standard deviation.
    fn scale(&self) -> f64 {
        match *self {
            Self::Uniform { low, high } => high / 2.0 - low / 2.0,
            Self::Normal { mean, std, low, high } => {
                // In the tail at z standard deviations, the distribution is about 1/z standard deviations wide.
                let near = ((low - mean) / std).max((mean - high) / std).max(0.0);
                (std / (1.0 + near)).min(high / 2.0 - low / 2.0)
            }
        }
    }

    /// Returns the moments of values that are rounded to a dtype. Values that become infinite are left out.
    pub(crate) fn moments(&self, dtype: DType) -> Moments {
        let scale = self.scale();
        let steps = if matches!(self, Self::Uniform { .. }) { 256.0 } else { 64.0 };
        let (low, high) = self.bounds();
        let point = |(x, (below, above)): (f64, (f64, f64))| {
            let weight = self.probability(below, above);
            let (first, last) = grid::rounding_interval(dtype, x);
            if below == first && above == last || !(below.is_finite() && above.is_finite()) {
                // The cell has one value of the dtype.
                return Point { mean: x, offset: 0.0, variance: 0.0, weight };
            }
            // The cell has many values. The density in it is nearly linear.
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

    /// Returns the probability that a value is finite after it is rounded to a dtype.
    pub(crate) fn finite_probability(&self, dtype: DType) -> f64 {
        let largest = grid::overflow(dtype);
        self.probability(-largest, largest)
    }

    /// Returns the number of bin edges for a sample of a dtype, in ascending order, each with the probability
    /// P(X < edge) of finite values. There are up to 511 edges. The bins have about equal probability.
    ///
    /// Each edge is half-way between two adjacent values of the dtype (for f64, at a value). Rounding does not move a
    /// value across such an edge, so the probabilities also hold for rounded values.
    pub(crate) fn edges(&self, dtype: DType) -> Vec<(f64, f64)> {
        const BINS: usize = 512;
        let (low, high) = self.bounds();
        let (least, finite) = (self.cdf(-grid::overflow(dtype)), self.finite_probability(dtype));
        let mut edges: Vec<(f64, f64)> = Vec::new();
        for k in 1..BINS {
            let wanted = least + k as f64 / BINS as f64 * finite;
            let value = dtype.round(self.quantile(wanted));
            if value.is_nan() || value.abs() >= dtype.largest() {
                continue;
            }
            let next = grid::neighbours(dtype, value).1;
            let edge = grid::rounding_interval(dtype, value).1;
            // Both values next to an edge must be within the bounds. The probability of any other edge depends on what
            // a sampler does with values that rounding moves out of the bounds: torch moves them to the other bound.
            if value >= low && next <= high && edges.last().is_none_or(|&(last, _)| edge > last) {
                edges.push((edge, (self.cdf(edge) - least) / finite));
            }
        }
        edges
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
        // Truncation at two standard deviations multiplies the std by 0.8796. Rounding to bf16 increases the variance
        // by a fraction of at most 2^-18 / 3.
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

    #[test]
    fn edges_ascend_and_lie_between_values() {
        for dtype in [DType::F32, DType::BF16, DType::F16] {
            for distribution in [Univariate::normal(0.0, 0.02), Univariate::Uniform { low: -0.3, high: 0.3 }]
            {
                let edges = distribution.edges(dtype);
                assert!(edges.len() > 300, "{dtype} {}", edges.len());
                assert!(edges.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1));
                assert!(edges.iter().all(|(edge, _)| dtype.round(*edge) != *edge));
            }
        }
    }
}
