//! Computes the count, the moments, the range and the histogram of a tensor's values.

use crate::check::lanes::{FiniteValues, count_of};
use crate::check::running_moments::RunningMoments;
use crate::histogram::{MAX_BARS, RunningHistogram};
use crate::outliers::Extremes;
pub use crate::outliers::IndexedValue;

/// The count, moments, range and histogram of a tensor's values. The values are added chunk by chunk.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stats {
    /// The number of values.
    pub count: u64,
    /// The number of values that are 0 or -0.
    pub zeros: u64,
    /// The number of values that are NaN.
    pub nans: u64,
    /// The number of infinite values.
    pub infinite: u64,
    /// The statistics of the finite values; `None` if no value is finite.
    finite: Option<FiniteStats>,
    /// The smallest and the largest values so far. [`Stats::finish`] selects the outliers from these values, and then
    /// empties this field.
    extremes: Extremes,
    /// The outliers (see [`Stats::outliers`]). Empty until [`Stats::finish`] is called.
    outliers: Vec<IndexedValue>,
}

/// Moments, range and histogram of finite values.
#[derive(Debug, Clone, PartialEq)]
struct FiniteStats {
    moments: RunningMoments,
    min: f64,
    max: f64,
    histogram: RunningHistogram,
}

impl Stats {
    /// Adds the next values.
    pub(crate) fn add(&mut self, values: &[f64]) {
        let first = self.count;
        self.count += values.len() as u64;
        let found = FiniteValues::of(values);
        self.zeros += found.zeros();
        let (numbers, min, max) = (&*found.values, found.min, found.max);
        if numbers.len() < values.len() {
            self.nans += count_of(values, f64::is_nan);
            self.infinite += count_of(values, f64::is_infinite);
        }
        if numbers.is_empty() {
            return;
        }
        self.extremes.add(first, values, (min, max));
        let finite = self.finite.get_or_insert_with(|| FiniteStats {
            moments: RunningMoments::default(),
            min,
            max,
            histogram: RunningHistogram::new(min, max),
        });
        finite.histogram.extend_to(min, max);
        finite.histogram.add(numbers);
        finite.moments.add(numbers);
        finite.min = finite.min.min(min);
        finite.max = finite.max.max(max);
    }

    /// Determines the outliers, and compacts the histogram to save memory. Must be called after the last
    /// [`Stats::add`].
    pub(crate) fn finish(&mut self) {
        let extremes = std::mem::take(&mut self.extremes);
        if let Some((mean, std)) = self.mean().zip(self.std()) {
            self.outliers = extremes.outliers(mean, std);
        }
        if let Some(FiniteStats { min, max, histogram, .. }) = &mut self.finite {
            histogram.compact(*min, *max);
        }
    }

    /// Returns at most 8 values that are more than 6 standard deviations from the mean, the farthest first.
    pub fn outliers(&self) -> &[IndexedValue] {
        &self.outliers
    }

    /// Returns the mean of the finite values, or `None` if no value is finite.
    pub fn mean(&self) -> Option<f64> {
        self.finite.as_ref().map(|finite| finite.moments.mean)
    }

    /// Returns the population standard deviation of the finite values (`ddof=0` in NumPy). Returns `None` if no value
    /// is finite.
    pub fn std(&self) -> Option<f64> {
        self.finite.as_ref().map(|finite| finite.moments.std())
    }

    /// Returns the smallest finite value, or `None` if no value is finite.
    pub fn min(&self) -> Option<f64> {
        self.finite.as_ref().map(|finite| finite.min)
    }

    /// Returns the largest finite value, or `None` if no value is finite.
    pub fn max(&self) -> Option<f64> {
        self.finite.as_ref().map(|finite| finite.max)
    }

    /// Returns the histogram as a text of 16 block characters, such as `▁▁▂▃▄▅▆▇█▇▆▅▄▃▂▁`. If all finite values are
    /// equal, the text is `│`. If no value is finite, the text is empty.
    pub fn sparkline(&self) -> String {
        const HEIGHTS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        let Some(finite) = &self.finite else { return String::new() };
        if finite.min == finite.max {
            return "│".to_owned();
        }
        let bars = finite.histogram.bars::<16>(finite.min, finite.max);
        // Heights are rounded up, so every bar with at least one value is visible.
        let highest = bars.iter().copied().max().unwrap_or(1).max(1);
        bars.iter().map(|&count| HEIGHTS[(u128::from(count) * 8).div_ceil(highest.into()) as usize]).collect()
    }

    /// Returns the edges of the histogram's bars in ascending order, and the number of finite values in each bar. If
    /// all finite values are equal, there is one bar with two equal edges. If no value is finite, both vectors are
    /// empty.
    pub(crate) fn bars(&self) -> (Vec<f64>, Vec<u64>) {
        let Some(FiniteStats { moments, min, max, histogram }) = &self.finite else {
            return Default::default();
        };
        if min == max {
            return (vec![*min, *max], vec![moments.count]);
        }
        // An edge is computed as a weighted sum of `min` and `max`, because `max - min` may overflow.
        let edge = |k: usize| {
            let weight = k as f64 / MAX_BARS as f64;
            min * (1.0 - weight) + max * weight
        };
        ((0..=MAX_BARS).map(edge).collect(), histogram.bars::<MAX_BARS>(*min, *max).to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_do_not_depend_on_the_division_into_chunks() {
        let values: Vec<f64> = (0..1000).map(|k| f64::from(k * 7919 % 1000) / 100.0 + 1e6).collect();
        let mut whole = Stats::default();
        whole.add(&values);
        let mut chunked = Stats::default();
        values.chunks(37).for_each(|chunk| chunked.add(chunk));
        // The values are a permutation of 0 to 999, divided by 100, plus 1e6. The variance of the integers 0 to n - 1
        // is (n^2 - 1) / 12.
        let std = (999_999.0f64 / 12.0).sqrt() / 100.0;
        for stats in [&whole, &chunked] {
            let (mean, measured) = (stats.mean().unwrap(), stats.std().unwrap());
            assert!((mean - 1_000_004.995).abs() < 1e-6 && (measured - std).abs() < 1e-6, "{stats:?}");
            assert_eq!((stats.min(), stats.max(), stats.count), (Some(1e6), Some(1e6 + 9.99), 1000));
            let (edges, counts) = stats.bars();
            assert_eq!((edges[0], edges[32], edges.len()), (1e6, 1e6 + 9.99, counts.len() + 1));
            assert_eq!(counts.iter().sum::<u64>(), 1000);
            assert!(stats.sparkline().chars().all(|bar| ('▆'..='█').contains(&bar)), "{}", stats.sparkline());
        }
    }

    #[test]
    fn non_finite_values_are_counted_separately() {
        let mut stats = Stats::default();
        stats.add(&[f64::NAN, 0.0, -0.0, f64::INFINITY, 1.0, f64::NEG_INFINITY, 2.0]);
        assert_eq!((stats.zeros, stats.nans, stats.infinite), (2, 1, 2));
        assert_eq!((stats.mean(), stats.min(), stats.max()), (Some(0.75), Some(0.0), Some(2.0)));
        let mut nothing = Stats::default();
        nothing.add(&[f64::NAN]);
        assert!(nothing.std().is_none() && nothing.sparkline().is_empty());
        assert!(nothing.mean().is_none() && nothing.bars().0.is_empty());
        let mut one = Stats::default();
        one.add(&[3.0; 5]);
        assert_eq!((one.std(), one.sparkline().as_str()), (Some(0.0), "│"));
        assert_eq!(one.bars(), (vec![3.0, 3.0], vec![5]));
    }
}
