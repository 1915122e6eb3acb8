//! Reference distributions, with which samples are compared. Their moments and bins are computed in advance.

use fanin::{DType, Plan};

use super::distribution::{Moments, Univariate};
use super::grid;
use crate::parallel::map;
use crate::vectorized::vectorized;

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
    /// The table with which [`bin`](Self::bin) finds the bin of a value.
    search: BinSearch,
}

/// A lookup table for the bin of a value. `STEPS` intervals of equal length cover the range from the first to the last
/// bin edge.
///
/// The computed index of the interval never decreases as the value grows, despite rounding errors. A value is therefore
/// compared only with the bin edges in its own interval.
#[derive(Debug, Clone)]
struct BinSearch {
    /// The first bin edge.
    first: f64,
    /// The reciprocal of the length of an interval.
    steps_per_unit: f64,
    /// For each interval, the number of bin edges in lower intervals.
    below: Vec<u16>,
    /// The largest number of bin edges in one interval.
    compared: usize,
    /// The bin edges in ascending order, then `compared` infinities. The method `bin` reads `compared` consecutive
    /// elements, even after the last edge.
    edges: Vec<f64>,
}

/// The number of intervals of a [`BinSearch`]. An interval contains at most one of 511 bin edges, if these are at equal
/// distances or at normal quantiles.
const STEPS: usize = 1 << 11;

/// Returns the index of the interval of a [`BinSearch`] that contains `x`, clamped to the first and the last interval.
#[inline(always)]
fn step(x: f64, first: f64, steps_per_unit: f64) -> u32 {
    // Adding 2^52 rounds `step` to an integer, which is in the low bits of the sum. `as u32` is slower, because it also
    // handles negative numbers and NaN.
    const SHIFT: f64 = (1u64 << 52) as f64;
    const LAST: f64 = (STEPS - 1) as f64;
    let step = (x - first) * steps_per_unit;
    let step = if step > 0.0 { step } else { 0.0 };
    let step = if step < LAST { step } else { LAST };
    (step + SHIFT).to_bits() as u32 % STEPS as u32
}

vectorized! {
    /// Computes the index of the interval of each value.
    fn steps_of(values: &[f64], first: f64, steps_per_unit: f64, steps: &mut [u32]) {
        for (step_of_value, x) in steps.iter_mut().zip(values) {
            *step_of_value = step(*x, first, steps_per_unit);
        }
    }
}

impl BinSearch {
    /// Builds the table for edges in ascending order.
    fn new(edges: &[(f64, f64)]) -> Self {
        let edges: Vec<f64> = edges.iter().map(|(edge, _)| *edge).collect();
        let (first, last) = (edges.first().copied().unwrap_or(0.0), edges.last().copied().unwrap_or(0.0));
        let steps_per_unit = if last > first { STEPS as f64 / (last - first) } else { 0.0 };
        let mut search = Self { first, steps_per_unit, below: Vec::new(), compared: 1, edges };
        let steps: Vec<usize> = search.edges.iter().map(|edge| search.step(*edge)).collect();
        search.below.reserve(STEPS);
        for (lower, step) in (0u16..).zip(&steps) {
            // Extends `below` to the interval of this edge (inclusive). `lower` is the number of earlier edges.
            search.below.resize(step + 1, lower);
        }
        let all = u16::try_from(steps.len()).expect("there are at most 511 edges");
        search.below.resize(STEPS, all);
        let most = steps.chunk_by(|a, b| a == b).map(<[usize]>::len).max();
        search.compared = most.unwrap_or(0).max(1);
        search.edges.extend(std::iter::repeat_n(f64::INFINITY, search.compared));
        search
    }

    /// Returns the index of the interval that contains `x`, clamped to the first and the last interval.
    fn step(&self, x: f64) -> usize {
        step(x, self.first, self.steps_per_unit) as usize
    }

    /// Counts the values in each bin, and adds the counts to `bins`.
    fn count(&self, values: &[f64], bins: &mut [u64]) {
        const BLOCK: usize = 512;
        let mut indices = [0; BLOCK];
        for values in values.chunks(BLOCK) {
            let indices = &mut indices[..values.len()];
            steps_of(values, self.first, self.steps_per_unit, indices);
            for (index, x) in indices.iter_mut().zip(values) {
                *index = self.bin(*x, *index as usize) as u32;
            }
            // In a separate loop, the addresses of the stores are known early, so the next load of a count need not
            // wait.
            for index in indices {
                bins[*index as usize] += 1;
            }
        }
    }

    /// Returns the index of the bin of `x`. `step` is the index of the interval that contains `x`.
    #[inline]
    fn bin(&self, x: f64, step: usize) -> usize {
        let below = usize::from(self.below[step]);
        // For most distributions, each interval of the [`BinSearch`] contains at most one bin edge.
        if self.compared == 1 {
            below + usize::from(x >= self.edges[below])
        } else {
            let edges = &self.edges[below..below + self.compared];
            below + edges.iter().map(|edge| usize::from(x >= *edge)).sum::<usize>()
        }
    }
}

impl ReferenceDistribution {
    /// Computes the moments and the bins of `distribution` after its values are rounded to `dtype`.
    pub(crate) fn new(distribution: Univariate, dtype: DType) -> Self {
        let edges = distribution.edges(dtype);
        let search = BinSearch::new(&edges);
        Self { distribution, dtype, moments: distribution.moments(dtype), edges, search }
    }

    /// Returns whether rounding to the type makes all values equal.
    pub(crate) fn is_one_value(&self) -> bool {
        self.moments.std == 0.0 && self.dtype != DType::F64
    }

    /// Returns whether the distribution of the values can be tested. The standard deviation must be above 0. In f64, it
    /// must also be more than 1000 times the distance between adjacent numbers near the mean.
    pub(crate) fn is_testable(&self) -> bool {
        let Moments { mean, std, .. } = self.moments;
        let coarse = self.dtype == DType::F64 && !(std > 1e-290 && std > 1e3 * f64::EPSILON * mean.abs());
        std > 0.0 && !coarse
    }

    /// Returns whether the values can be tested as normal values: their sum is normal, and the sum of their squares is
    /// chi-square. In 8-bit and 16-bit types, `count` must be at least 32, because fewer values may all be rounded to
    /// the mean.
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

    /// Returns the bin edges in ascending order, each with the probability that a value is below the edge. There is one
    /// bin more than edges.
    pub(crate) fn edges(&self) -> &[(f64, f64)] {
        &self.edges
    }

    /// Returns the index of the bin that contains `x`, which must be finite.
    #[inline]
    pub(crate) fn bin(&self, x: f64) -> usize {
        self.search.bin(x, self.search.step(x))
    }

    /// Counts the values in each bin, and adds the counts to `bins`. The values must be finite.
    pub(crate) fn count(&self, values: &[f64], bins: &mut [u64]) {
        self.search.count(values, bins);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bin_is_the_number_of_edges_that_are_not_above_the_value() {
        let distributions = [
            Univariate::normal(0.5, 2.0),
            Univariate::normal(1e6, 1e-3),
            Univariate::Uniform { low: -0.3, high: 0.3 },
        ];
        for (distribution, dtype) in distributions
            .into_iter()
            .flat_map(|one| [DType::F32, DType::F64, DType::BF16, DType::F8E5M2].map(|dtype| (one, dtype)))
        {
            let reference = ReferenceDistribution::new(distribution, dtype);
            let edges = reference.edges();
            let near = |x: f64| [x, x.next_down(), x.next_up(), x - 1e-3, x + 1e-3];
            let values = edges.iter().flat_map(|(edge, _)| near(*edge)).chain([-1e300, 0.0, 1e300]);
            for x in values {
                let below = edges.iter().filter(|(edge, _)| *edge <= x).count();
                assert_eq!(reference.bin(x), below, "{distribution:?} {dtype} {x}");
            }
        }
    }
}
