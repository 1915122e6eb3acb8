//! Reference distributions, with which samples are compared. Their moments and bins are computed in advance.

use fanin::{DType, Plan};

use super::distribution::{Moments, Univariate};

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
    /// The index of the first bin that `bin` searches, for each step. The steps divide the range from the first edge to
    /// the last edge into equal parts.
    search_starts: Vec<u32>,
}

impl ReferenceDistribution {
    /// Computes the moments and the bins of a distribution whose values are rounded to a dtype.
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
                // Because of rounding, `bin` may compute a step that is one too high. The search only moves forward, so
                // it starts one bin early.
                search_starts.push(u32::try_from(bin.saturating_sub(1)).unwrap_or(0));
            }
        }
        Self { distribution, dtype, moments: distribution.moments(dtype), edges, search_starts }
    }

    /// Returns the bin edges in ascending order, each with the probability that a value is below the edge. The number
    /// of bins is the number of edges plus one.
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

/// A cache of reference distributions. Many tensors of a model have the same distribution.
#[derive(Debug, Default)]
pub(crate) struct ReferenceCache(Vec<ReferenceDistribution>);

impl ReferenceCache {
    /// Returns the reference distribution of a plan's independent random values. The reference distribution is computed
    /// at the first call for this distribution and dtype. Returns `None` if [`Univariate::of`] returns `None` for the
    /// plan.
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
