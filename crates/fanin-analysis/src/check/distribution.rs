//! Univariate distributions, with their cumulative distribution function, density and moments, and with bin edges for
//! counting values.

use fanin::{DType, Distribution, Plan};
use statrs::function::erf::{erf, erfc};

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

/// The mean and central moments of a distribution. The k-th central moment is the expected value of (X - mean)^k.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Moments {
    /// The mean.
    pub(crate) mean: f64,
    /// The second central moment.
    pub(crate) variance: f64,
    /// The third central moment.
    pub(crate) m3: f64,
    /// The fourth central moment.
    pub(crate) m4: f64,
    /// The sixth central moment.
    pub(crate) m6: f64,
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
    /// Returns `None` if the plan determines every value, if its values depend on one another (`orthogonal`), or if the
    /// plan has blocks.
    pub fn of(plan: &Plan) -> Option<Self> {
        Some(match plan.distribution() {
            Distribution::Uniform { low, high } if low < high => Self::Uniform { low, high },
            Distribution::Normal { mean, std } if std > 0.0 => Self::normal(mean, std),
            Distribution::Sparse { std, .. } if std > 0.0 => Self::normal(0.0, std),
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

    /// Returns the probability density at `x`.
    pub(crate) fn density(&self, x: f64) -> f64 {
        let (low, high) = self.bounds();
        if x < low || x > high {
            return 0.0;
        }
        match *self {
            Self::Uniform { .. } => 1.0 / (high - low),
            Self::Normal { mean, std, .. } => {
                let z = (x - mean) / std;
                let norm = std * (2.0 * std::f64::consts::PI).sqrt();
                (-z * z / 2.0).exp() / norm / normal_probability((low - mean) / std, (high - mean) / std)
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

    /// Returns the moments of values that are rounded to a dtype. For dtypes of 32 and 64 bits, the rounding is
    /// neglected.
    pub(crate) fn moments(&self, dtype: DType) -> Moments {
        let (from, to) = self.support();
        // The moments are weighted sums over points. For narrow dtypes the points are all values of the dtype, and the
        // weights are their probabilities. For wide dtypes, the points and the weights are given by Simpson's rule for
        // integrals over the density.
        let mut points = Vec::new();
        let (low, high) = self.bounds();
        for x in grid::values(dtype) {
            let (below, above) = grid::rounding_interval(dtype, x);
            if above > from && below < to {
                points.push((x.clamp(low, high), self.probability(below, above)));
            }
        }
        if points.is_empty() {
            const STEPS: usize = 2000;
            let step = (to - from) / STEPS as f64;
            for k in 0..=STEPS {
                let x = from + step * k as f64;
                let weight = if k == 0 || k == STEPS { 1.0 } else { 2.0 + 2.0 * (k % 2) as f64 };
                points.push((x, weight * self.density(x) * step / 3.0));
            }
        }
        let total: f64 = points.iter().map(|(_, weight)| weight).sum();
        let mean = points.iter().map(|(x, weight)| x * weight).sum::<f64>() / total;
        let moment = |power: i32| {
            points.iter().map(|(x, weight)| (x - mean).powi(power) * weight).sum::<f64>() / total
        };
        Moments { mean, variance: moment(2), m3: moment(3), m4: moment(4), m6: moment(6) }
    }

    /// Returns up to 511 bin edges in ascending order, each with the probability P(X < edge). The bins have about equal
    /// probability.
    ///
    /// Each edge is half-way between two adjacent values of the dtype (for f64, at a value). Rounding does not move a
    /// value across such an edge, so the probabilities also hold for rounded values.
    pub(crate) fn edges(&self, dtype: DType) -> Vec<(f64, f64)> {
        const BINS: usize = 512;
        let (low, high) = self.bounds();
        let (from, to) = self.support();
        let mut edges: Vec<(f64, f64)> = Vec::new();
        for k in 1..BINS {
            let wanted = k as f64 / BINS as f64;
            let (mut a, mut b) = (from, to);
            for _ in 0..40 {
                let middle = a / 2.0 + b / 2.0;
                if self.cdf(middle) < wanted { a = middle } else { b = middle }
            }
            let value = dtype.round(a);
            let next = grid::neighbours(dtype, value).1;
            let edge = grid::rounding_interval(dtype, value).1;
            // Both values next to an edge must be within the bounds. The probability of any other edge would not be
            // exact, because samplers clamp values that rounding moves out of the bounds.
            if value >= low && next <= high && edges.last().is_none_or(|&(last, _)| edge > last) {
                edges.push((edge, self.cdf(edge)));
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
            (normal.variance, 4.0),
            (normal.m3, 0.0),
            (normal.m4, 48.0),
            (normal.m6, 960.0),
        ] {
            assert!((found - right).abs() < 1e-7, "{found} {right}");
        }
        let uniform = Univariate::Uniform { low: -1.0, high: 3.0 }.moments(DType::F64);
        assert!((uniform.variance - 16.0 / 12.0).abs() < 1e-9 && (uniform.m4 - 16.0 / 5.0).abs() < 1e-9);
        // Truncation at two standard deviations multiplies the std by 0.8796. Rounding to bf16 increases the variance
        // by a fraction of at most 2^-18 / 3.
        let truncated = Univariate::Normal { mean: 0.0, std: 1.0, low: -2.0, high: 2.0 };
        assert!((truncated.moments(DType::F32).variance.sqrt() - 0.879_626).abs() < 1e-6);
        assert!((truncated.moments(DType::BF16).variance.sqrt() - 0.879_626).abs() < 1e-4);
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
