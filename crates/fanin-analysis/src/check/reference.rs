//! Reference distributions, with which samples are compared. Their moments and bins are computed in advance.

use fanin::{DType, Plan};
use rayon::prelude::*;

use super::distribution::{Moments, Univariate};
use super::grid;

/// A univariate distribution of values that are rounded to a dtype, with its moments and with bins for counting values.
#[derive(Debug, Clone)]
pub(crate) struct ReferenceDistribution {
    /// The distribution before rounding.
    pub(crate) distribution: Univariate,
    /// The dtype of the values.
    pub(crate) dtype: DType,
    /// The moments of the rounded values.
    pub(crate) moments: Moments,
    /// The bin edges in ascending order, each with the probability that a value is below the edge.
    edges: Vec<(f64, f64)>,
    /// For each of 2048 equal steps between the first and the last edge, the index of the bin at which
    /// [`bin`](Self::bin) starts its search.
    search_starts: Vec<u32>,
}

impl ReferenceDistribution {
    /// Computes the moments and the bins of `distribution` after its values are rounded to `dtype`.
    pub(crate) fn new(distribution: Univariate, dtype: DType) -> Self {
        const STEPS: usize = 2048;
        let edges = distribution.edges(dtype);
        let mut search_starts = Vec::new();
        if let (Some(first), Some(last)) = (edges.first(), edges.last()) {
            let mut bin = 0;
            for k in 0..STEPS {
                let x = first.0 + (last.0 - first.0) * k as f64 / STEPS as f64;
                while bin < edges.len() && edges[bin].0 < x {
                    bin += 1;
                }
                // `bin` may compute a step that is one too high, because of rounding errors. Its search only moves
                // forward, so it starts one bin early.
                search_starts.push(u32::try_from(bin.saturating_sub(1)).unwrap_or(0));
            }
        }
        Self { distribution, dtype, moments: distribution.moments(dtype), edges, search_starts }
    }

    /// Returns whether rounding to the type makes all values equal.
    pub(crate) fn is_one_value(&self) -> bool {
        self.moments.std == 0.0 && self.dtype != DType::F64
    }

    /// Returns whether the distribution of the values can be tested. It cannot if the standard deviation is 0, or so
    /// small that adjacent f64 numbers near the mean are too far apart.
    pub(crate) fn is_testable(&self) -> bool {
        let Moments { mean, std, .. } = self.moments;
        let coarse = self.dtype == DType::F64 && !(std > 1e-290 && std > 1e3 * f64::EPSILON * mean.abs());
        std > 0.0 && !coarse
    }

    /// Returns whether sums over `count` values have the distributions that hold for normal values: normal for the sum
    /// of the values, chi-square for the sum of their squares. In a type of 8 or 16 bits, `count` must be at least 32,
    /// because a few values may all be rounded to the mean.
    pub(crate) fn is_smoothly_normal(&self, count: u64) -> bool {
        let smooth = self.dtype.size() >= 4 || count >= 32;
        smooth && self.distribution.is_normal() && (self.moments.kurtosis - 3.0).abs() < 0.03
    }

    /// Returns whether the sum of a function of `count` values, such as their squares, is nearly normal. If most values
    /// are rounded to one value, the kurtosis is large, and `count` must be larger.
    pub(crate) fn has_normal_sums(&self, count: u64) -> bool {
        count as f64 >= 30.0 * self.moments.kurtosis.max(1.0)
    }

    /// Returns the probability that torch replaces a uniform value by the lower bound. In f16 and bf16, torch does this
    /// with values that are rounded to the upper bound. The result is 0 for other distributions and types.
    pub(crate) fn wrapped_probability(&self) -> f64 {
        let Univariate::Uniform { high, .. } = self.distribution else { return 0.0 };
        if self.dtype.size() != 2 {
            return 0.0;
        }
        self.distribution.survival(grid::rounding_interval(self.dtype, self.dtype.round(high)).0)
    }

    /// Returns an upper bound on the probability that a value is 0. torch's normal sampler returns exactly 0 once in
    /// 2^24 values. The bound allows twice this rate.
    pub(crate) fn probability_of_zero(&self) -> f64 {
        let (below, above) = grid::rounding_interval(self.dtype, 0.0);
        self.distribution.probability(below, above) + 2f64.powi(-23)
    }

    /// Returns the bin edges in ascending order, each with the probability that a value is below the edge. There is one
    /// bin more than edges.
    pub(crate) fn edges(&self) -> &[(f64, f64)] {
        &self.edges
    }

    /// Returns the index of the bin that contains `x`.
    #[inline]
    pub(crate) fn bin(&self, x: f64) -> usize {
        let (Some(first), Some(last)) = (self.edges.first(), self.edges.last()) else { return 0 };
        if x < first.0 {
            return 0;
        }
        let step = (x - first.0) / (last.0 - first.0) * self.search_starts.len() as f64;
        let mut bin = self.search_starts[(step as usize).min(self.search_starts.len() - 1)] as usize;
        while bin < self.edges.len() && x >= self.edges[bin].0 {
            bin += 1;
        }
        bin
    }
}

/// The reference distributions of many plans. Plans with the same distribution and type share one.
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
        let reference = |(distribution, dtype)| ReferenceDistribution::new(distribution, dtype);
        Self(keys.into_par_iter().map(reference).collect())
    }

    /// Returns the reference distribution of a plan's independent random values. Returns `None` if [`Univariate::of`]
    /// returns `None` for the plan, or if the plan was not among the plans of [`References::new`].
    pub(crate) fn get(&self, plan: &Plan) -> Option<&ReferenceDistribution> {
        let (distribution, dtype) = (Univariate::of(plan)?, plan.dtype());
        self.0.iter().find(|known| known.distribution == distribution && known.dtype == dtype)
    }
}
