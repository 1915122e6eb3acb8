//! The empirical distribution of a sample, which is compared with a reference distribution.

use super::bins;
use super::grid;
use super::reference::ReferenceDistribution;
use super::test_result::TestResult;

/// The number of values, their range, and their counts in the bins of a reference distribution.
#[derive(Debug, Clone)]
pub(crate) struct EmpiricalDistribution {
    /// The number of values.
    pub(crate) count: u64,
    /// The smallest value; infinity if there are no values.
    pub(crate) min: f64,
    /// The largest value; negative infinity if there are no values.
    pub(crate) max: f64,
    /// The number of values in each bin of the reference distribution.
    bins: Vec<u64>,
}

impl EmpiricalDistribution {
    /// Returns the distribution of an empty sample.
    pub(crate) fn new() -> Self {
        Self { count: 0, min: f64::INFINITY, max: f64::NEG_INFINITY, bins: vec![0; bins::COUNT] }
    }

    /// Adds finite values. `min` and `max` are the smallest and the largest of them, or of all values of the sample.
    pub(crate) fn add(&mut self, reference: &ReferenceDistribution, values: &[f64], (min, max): (f64, f64)) {
        if values.is_empty() {
            return;
        }
        self.count += values.len() as u64;
        (self.min, self.max) = (self.min.min(min), self.max.max(max));
        reference.bins.count(values, &mut self.bins);
    }

    /// Adds `count` zeros.
    pub(crate) fn add_zeros(&mut self, reference: &ReferenceDistribution, count: u64) {
        if count > 0 {
            self.count += count;
            (self.min, self.max) = (self.min.min(0.0), self.max.max(0.0));
            self.bins[reference.bins.index(0.0)] += count;
        }
    }

    /// Adds the values of `next`.
    pub(crate) fn merge(&mut self, next: &Self) {
        self.count += next.count;
        (self.min, self.max) = (self.min.min(next.min), self.max.max(next.max));
        self.bins.iter_mut().zip(&next.bins).for_each(|(bin, count)| *bin += count);
    }

    /// Returns the Kolmogorov-Smirnov distance at the bin edges, and the bin edge where this distance occurs. The edge
    /// is NaN if the distance is 0.
    pub(crate) fn kolmogorov_smirnov_distance(&self, reference: &ReferenceDistribution) -> (f64, f64) {
        reference.bins.largest_difference(&self.bins, self.count)
    }

    /// Tests whether the smallest and the largest value are too far from the mean (`outlier`) or too close to the mean
    /// (`tail`). The list is empty if there are no values.
    pub(crate) fn extremes(&self, reference: &ReferenceDistribution) -> Vec<TestResult> {
        if self.count == 0 {
            return Vec::new();
        }
        let (n, distribution) = (self.count as f64, &reference.distribution);
        let (low, high) = distribution.bounds();
        let std = reference.moments.std;
        let largest = grid::rounding_interval(reference.dtype, self.max);
        let smallest = grid::rounding_interval(reference.dtype, self.min);
        let mut results = Vec::new();
        // `at_least` is the probability that a value is at least as extreme as `x`. `more` is the probability that a
        // value is more extreme than `x`.
        for (name, x, at_least, more) in [
            ("largest", self.max, distribution.survival(largest.0), distribution.survival(largest.1)),
            ("smallest", self.min, distribution.cdf(smallest.1), distribution.cdf(smallest.0)),
        ] {
            let deviation = (x - reference.moments.mean) / std;
            let distance =
                if deviation.abs() < 1e4 { format!("{deviation:+.2}") } else { format!("{deviation:+.0e}") };
            let text =
                format!("{name} value {x:.4e}, {distance} std from the mean, of {} values", self.count);
            results.push(TestResult::new("outlier", n * at_least, text.clone()));
            // The test `tail` is left out if `x` is 5.4 or more standard deviations from the mean. torch computes
            // normal f32 values from 24 random bits. The values are therefore at most 5.77 standard deviations from the
            // mean, and they are unevenly spaced near this maximum.
            //
            // The test `tail` is also left out if `x` is at or next to a bound. There, more extreme values may be
            // rounded to `x` or to the bound. If an f16 or bf16 value is rounded to the upper bound, torch returns the
            // lower bound instead.
            let (below, above) = grid::neighbours(reference.dtype, x);
            let inside = grid::rounding_interval(reference.dtype, below).0 >= low
                && grid::rounding_interval(reference.dtype, above).1 <= high;
            if deviation.abs() < 5.4 && inside {
                results.push(TestResult::new("tail", (n * (-more).ln_1p()).exp(), text));
            }
        }
        results
    }
}
