//! Distributions of independent values: distribution function, density, moments, and edges to count between.

use fanin::{DType, Distribution, Plan};
use statrs::function::erf::{erf, erfc};

use super::grid;

/// The distribution that the values of a tensor are drawn from, one by one.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(missing_docs, reason = "the fields are those of fanin's Distribution")]
pub enum Draw {
    Uniform {
        low: f64,
        high: f64,
    },
    /// A normal, cut to `[low, high]`, which may be infinite.
    Normal {
        mean: f64,
        std: f64,
        low: f64,
        high: f64,
    },
}

/// Moments about the mean.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(missing_docs, reason = "`m3` is the third moment about the mean, and so on")]
pub struct Moments {
    pub mean: f64,
    pub variance: f64,
    pub m3: f64,
    pub m4: f64,
    pub m6: f64,
}

/// Phi(z), the standard normal's distribution function.
fn phi(z: f64) -> f64 {
    erfc(-z / std::f64::consts::SQRT_2) / 2.0
}

/// Phi(b) - Phi(a), computed where it is small.
fn between(a: f64, b: f64) -> f64 {
    if a > 0.0 {
        phi(-a) - phi(-b)
    } else if b < 0.0 {
        phi(b) - phi(a)
    } else {
        let half = std::f64::consts::SQRT_2;
        (erf(b / half) - erf(a / half)) / 2.0
    }
}

impl Draw {
    /// The distribution of a plan's random values (of `sparse`: those that are not set to zero); `None` where they are all
    /// settled by the plan, or depend on one another.
    pub fn of(plan: &Plan) -> Option<Self> {
        Some(match plan.distribution() {
            Distribution::Uniform { low, high } if low < high => Draw::Uniform { low, high },
            Distribution::Normal { mean, std } if std > 0.0 => Draw::normal(mean, std),
            Distribution::Sparse { std, .. } if std > 0.0 => Draw::normal(0.0, std),
            Distribution::TruncatedNormal { mean, std, low, high, .. } if low < high => {
                Draw::Normal { mean, std, low, high }
            }
            _ => return None,
        })
    }

    /// A normal without a cut.
    pub fn normal(mean: f64, std: f64) -> Self {
        Draw::Normal { mean, std, low: f64::NEG_INFINITY, high: f64::INFINITY }
    }

    /// Whether it is a normal without a cut that matters.
    pub fn is_normal(&self) -> bool {
        matches!(*self, Draw::Normal { mean, std, low, high } if low < mean - 12.0 * std && high > mean + 12.0 * std)
    }

    /// The least and greatest value.
    pub fn bounds(&self) -> (f64, f64) {
        match *self {
            Draw::Uniform { low, high } | Draw::Normal { low, high, .. } => (low, high),
        }
    }

    /// The distance in which the distribution changes.
    pub fn scale(&self) -> f64 {
        match *self {
            Draw::Uniform { low, high } => high - low,
            Draw::Normal { std, .. } => std,
        }
    }

    /// P(X < x).
    pub fn below(&self, x: f64) -> f64 {
        self.share(f64::NEG_INFINITY, x)
    }

    /// P(X > x).
    pub fn above(&self, x: f64) -> f64 {
        self.share(x, f64::INFINITY)
    }

    /// P(a < X < b).
    pub fn share(&self, a: f64, b: f64) -> f64 {
        let (low, high) = self.bounds();
        let (a, b) = (a.max(low), b.min(high));
        if a >= b {
            return 0.0;
        }
        match *self {
            Draw::Uniform { .. } => (b - a) / (high - low),
            Draw::Normal { mean, std, .. } => {
                let z = |x: f64| (x - mean) / std;
                between(z(a), z(b)) / between(z(low), z(high))
            }
        }
    }

    /// The density at `x`.
    pub fn density(&self, x: f64) -> f64 {
        let (low, high) = self.bounds();
        if x < low || x > high {
            return 0.0;
        }
        match *self {
            Draw::Uniform { .. } => 1.0 / (high - low),
            Draw::Normal { mean, std, .. } => {
                let z = (x - mean) / std;
                let norm = std * (2.0 * std::f64::consts::PI).sqrt();
                (-z * z / 2.0).exp() / norm / between((low - mean) / std, (high - mean) / std)
            }
        }
    }

    /// An interval that holds all but less than 1e-20 of the distribution.
    fn support(&self) -> (f64, f64) {
        match *self {
            Draw::Uniform { low, high } => (low, high),
            Draw::Normal { mean, std, low, high } => {
                let (from, to) = (mean.min(high).max(low), mean.max(low).min(high));
                (low.max(from - 10.0 * std), high.min(to + 10.0 * std))
            }
        }
    }

    /// The moments of the values as the type has them. Of 16-bit types, whose grid is coarse, the rounded values'.
    pub fn moments(&self, dtype: DType) -> Moments {
        let (from, to) = self.support();
        // Points and weights: the type's own values, or Simpson's rule over the density.
        let mut points = Vec::new();
        let (low, high) = self.bounds();
        for x in grid::values(dtype) {
            let (below, above) = grid::cell(dtype, x);
            if above > from && below < to {
                points.push((x.clamp(low, high), self.share(below, above)));
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

    /// Places between values of the type, at about equal steps of probability, each with P(X < place). A value is
    /// rounded to its own side of such a place, so the counts between them have the distribution's probabilities on any grid.
    pub fn edges(&self, dtype: DType) -> Vec<(f64, f64)> {
        const STEPS: usize = 512;
        let (low, high) = self.bounds();
        let (from, to) = self.support();
        let mut edges: Vec<(f64, f64)> = Vec::new();
        for k in 1..STEPS {
            let wanted = k as f64 / STEPS as f64;
            let (mut a, mut b) = (from, to);
            for _ in 0..40 {
                let middle = a / 2.0 + b / 2.0;
                if self.below(middle) < wanted { a = middle } else { b = middle }
            }
            let value = dtype.round(a);
            let (next, edge) = (grid::neighbours(dtype, value).1, grid::cell(dtype, value).1);
            // Values beside a bound may have been kept inside it.
            if value >= low && next <= high && edges.last().is_none_or(|&(last, _)| edge > last) {
                edges.push((edge, self.below(edge)));
            }
        }
        edges
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        let normal = Draw::normal(1.0, 2.0).moments(DType::F32);
        for (found, right) in [
            (normal.mean, 1.0),
            (normal.variance, 4.0),
            (normal.m3, 0.0),
            (normal.m4, 48.0),
            (normal.m6, 960.0),
        ] {
            assert!((found - right).abs() < 1e-7, "{found} {right}");
        }
        let uniform = Draw::Uniform { low: -1.0, high: 3.0 }.moments(DType::F64);
        assert!((uniform.variance - 16.0 / 12.0).abs() < 1e-9 && (uniform.m4 - 16.0 / 5.0).abs() < 1e-9);
        // Cut at two sigma: 0.8796 of the std; bf16 adds its rounding, a third of 2^-18 relative at most.
        let cut = Draw::Normal { mean: 0.0, std: 1.0, low: -2.0, high: 2.0 };
        assert!((cut.moments(DType::F32).variance.sqrt() - 0.879_626).abs() < 1e-6);
        assert!((cut.moments(DType::BF16).variance.sqrt() - 0.879_626).abs() < 1e-4);
    }

    #[test]
    fn the_far_tail_is_not_lost() {
        let distribution = Draw::normal(0.0, 1.0);
        assert!((distribution.above(8.0) / 6.22e-16 - 1.0).abs() < 1e-3);
        let tail = Draw::Normal { mean: 0.0, std: 1.0, low: 9.0, high: f64::INFINITY };
        assert!((tail.below(9.1) - 0.597).abs() < 0.01, "{}", tail.below(9.1));
        assert!(tail.moments(DType::F32).mean > 9.1 && tail.moments(DType::F32).mean < 9.12);
    }

    #[test]
    fn edges_ascend_and_lie_between_values() {
        for dtype in [DType::F32, DType::BF16, DType::F16] {
            for distribution in [Draw::normal(0.0, 0.02), Draw::Uniform { low: -0.3, high: 0.3 }] {
                let edges = distribution.edges(dtype);
                assert!(edges.len() > 300, "{dtype} {}", edges.len());
                assert!(edges.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1));
                assert!(edges.iter().all(|(edge, _)| dtype.round(*edge) != *edge));
            }
        }
    }
}
