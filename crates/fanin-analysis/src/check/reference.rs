//! Distributions prepared for comparison with a sample.

use fanin::{DType, Plan};

use super::distribution::{Moments, Univariate};

/// A univariate distribution as a dtype stores it, with its moments and with bins for counting values.
#[derive(Debug, Clone)]
pub(crate) struct ReferenceDistribution {
    /// The distribution before rounding.
    pub(crate) distribution: Univariate,
    /// The dtype of the values.
    pub(crate) dtype: DType,
    /// Moments of the rounded values.
    pub(crate) moments: Moments,
    /// The bin edges in ascending order, each with the probability of a smaller value.
    edges: Vec<(f64, f64)>,
    /// The range from the first edge to the last, divided into equal steps: for each step the bin at which the search
    /// for a value in that step begins.
    search_starts: Vec<u32>,
}

impl ReferenceDistribution {
    /// Computes moments and bins of a distribution on a dtype.
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
                // The step of a value may be rounded up. The search only moves forward, so it starts one bin early.
                search_starts.push(u32::try_from(bin.saturating_sub(1)).unwrap_or(0));
            }
        }
        Self { distribution, dtype, moments: distribution.moments(dtype), edges, search_starts }
    }

    /// Returns the bin edges in ascending order, each with the probability of a smaller value. There is one bin more
    /// than edges.
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

/// The reference distributions that were needed so far. Most tensors of a model share a few of them.
#[derive(Debug, Default)]
pub(crate) struct ReferenceCache(Vec<ReferenceDistribution>);

impl ReferenceCache {
    /// Returns the reference distribution of a plan's independent random values, computed on first use. Returns `None`
    /// where [`Univariate::of`] does.
    pub(crate) fn get(&mut self, plan: &Plan) -> Option<&ReferenceDistribution> {
        let (distribution, dtype) = (Univariate::of(plan)?, plan.dtype());
        let matches =
            |known: &ReferenceDistribution| known.distribution == distribution && known.dtype == dtype;
        let index = self.0.iter().position(matches).unwrap_or_else(|| {
            self.0.push(ReferenceDistribution::new(distribution, dtype));
            self.0.len() - 1
        });
        self.0.get(index)
    }
}
