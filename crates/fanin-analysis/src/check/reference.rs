//! Reference distributions, with which samples are compared. Their moments and bins are computed in advance.

use fanin::{DType, Plan};

use super::bins::Bins;
use super::distribution::{Moments, Univariate};
use super::grid;
use crate::parallel::map;

/// A univariate distribution of values that are rounded to a dtype, with its moments and with bins for counting values.
#[derive(Debug, Clone)]
pub(crate) struct ReferenceDistribution {
    /// The distribution before rounding.
    pub(crate) distribution: Univariate,
    /// The dtype of the values.
    pub(crate) dtype: DType,
    /// The moments of the rounded values.
    pub(crate) moments: Moments,
    /// The bins in which values are counted.
    pub(crate) bins: Bins,
}

impl ReferenceDistribution {
    /// Computes the moments and the bins of `distribution` after its values are rounded to `dtype`.
    pub(crate) fn new(distribution: Univariate, dtype: DType) -> Self {
        Self {
            distribution,
            dtype,
            moments: distribution.moments(dtype),
            bins: Bins::new(&distribution, dtype),
        }
    }

    /// Returns whether rounding to the type makes all values equal.
    pub(crate) fn is_one_value(&self) -> bool {
        self.moments.std == 0.0 && self.dtype != DType::F64
    }

    /// Returns whether the distribution of the values can be tested. The standard deviation must be above 0. In f64, it
    /// must also be above 1e-290, and above 1000 times the machine epsilon times the magnitude of the mean.
    pub(crate) fn is_testable(&self) -> bool {
        let Moments { mean, std, .. } = self.moments;
        let coarse = self.dtype == DType::F64 && !(std > 1e-290 && std > 1e3 * f64::EPSILON * mean.abs());
        std > 0.0 && !coarse
    }

    /// Returns whether the sum of `count` values is treated as normal, and the sum of their squares as chi-square. The
    /// distribution must be normal, and rounding to the dtype must hardly change its kurtosis. In 8-bit and 16-bit
    /// types, `count` must be at least 32, because fewer values may all be rounded to the mean.
    pub(crate) fn is_smoothly_normal(&self, count: u64) -> bool {
        let smooth = self.dtype.size() >= 4 || count >= 32;
        smooth && self.distribution.is_normal() && (self.moments.kurtosis - 3.0).abs() < 0.03
    }

    /// Returns whether the sum of `count` values, and the sum of their squares, are nearly normal. The required `count`
    /// grows with the kurtosis. The kurtosis is large if rounding makes most values equal.
    pub(crate) fn has_normal_sums(&self, count: u64) -> bool {
        count as f64 >= 30.0 * self.moments.kurtosis.max(1.0)
    }

    /// Returns the probability that torch replaces a uniform value by the lower bound. torch does so if the value is
    /// rounded to the upper bound in f16 or bf16. Returns 0 for other distributions and types.
    pub(crate) fn wrapped_probability(&self) -> f64 {
        let Univariate::Uniform { high, .. } = self.distribution else { return 0.0 };
        if self.dtype.size() != 2 {
            return 0.0;
        }
        self.distribution.survival(grid::rounding_interval(self.dtype, self.dtype.round(high)).0)
    }

    /// Returns an upper bound on the probability that a value is 0. torch's normal sampler returns exactly 0 once in
    /// 2^24 values. The result allows for twice this rate.
    pub(crate) fn probability_of_zero(&self) -> f64 {
        let (below, above) = grid::rounding_interval(self.dtype, 0.0);
        self.distribution.probability(below, above) + 2f64.powi(-23)
    }
}

/// The reference distributions of many plans. Plans with the same distribution and type share one reference
/// distribution.
#[derive(Debug, Default)]
pub(crate) struct References(Vec<ReferenceDistribution>);

impl References {
    /// Returns the reference distributions of all plans that have one. See [`Univariate::of`].
    pub(crate) fn new<'a>(plans: impl IntoIterator<Item = &'a Plan>) -> Self {
        let mut keys: Vec<(Univariate, DType)> = Vec::new();
        for plan in plans {
            let blocks = plan.blocks().iter().map(|block| block.plan());
            let plans = std::iter::once(plan).chain(blocks);
            for plan in plans.flat_map(|plan| [Some(plan), plan.argument()]).flatten() {
                let Some(distribution) = Univariate::of(plan) else { continue };
                let key = (distribution, plan.dtype());
                if !keys.contains(&key) {
                    keys.push(key);
                }
            }
        }
        Self(map(keys.len(), |n| ReferenceDistribution::new(keys[n].0, keys[n].1)))
    }

    /// Returns the reference distribution of a plan's independent random values. Returns `None` if [`Univariate::of`]
    /// returns `None` for the plan, or if the plan was not among the plans of [`References::new`].
    pub(crate) fn get(&self, plan: &Plan) -> Option<&ReferenceDistribution> {
        let (distribution, dtype) = (Univariate::of(plan)?, plan.dtype());
        self.0.iter().find(|known| known.distribution == distribution && known.dtype == dtype)
    }
}
