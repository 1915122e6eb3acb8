//! Computes the histogram of values whose range is not known in advance.

use crate::vectorized::vectorized;

/// The largest number of bars of a histogram that is shown to the user.
pub(crate) const MAX_BARS: usize = 32;

/// The number of bins of a [`RunningHistogram`] until [`RunningHistogram::compact`] merges the bins into bars. A bar is
/// a sum of whole bins, so its edges are off by at most half a bin.
const BINS: usize = 64 * MAX_BARS;

/// A histogram with bins of equal width. `extend_to` doubles its range until new values fit.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RunningHistogram {
    /// The lower end of the range.
    low: f64,
    /// The width of a bin.
    width: f64,
    /// The number of values in each bin.
    bins: Vec<u64>,
}

vectorized! {
    /// Computes the index of the bin that contains each value. `low` is the lower end of the first bin.
    fn bins_of(values: &[f64], low: f64, width: f64, bins: &mut [u32]) {
        for (bin, x) in bins.iter_mut().zip(values) {
            *bin = ((x - low) / width) as u32;
        }
    }
}

impl RunningHistogram {
    /// Returns an empty histogram whose initial range is `min` to `max`.
    pub(crate) fn new(min: f64, max: f64) -> Self {
        // The width must be positive even if `min` equals `max`. It is at least the spacing of f64 values at `min`.
        let smallest = (min.abs() * f64::EPSILON).max(f64::MIN_POSITIVE);
        let width = (max / BINS as f64 - min / BINS as f64).max(smallest);
        Self { low: min, width, bins: vec![0; BINS] }
    }

    /// Doubles the range of the histogram, downwards or upwards, until the range contains `min` and `max`.
    pub(crate) fn extend_to(&mut self, min: f64, max: f64) {
        while min < self.low {
            self.low -= self.width * self.bins.len() as f64;
            self.merge_pairs(self.bins.len());
        }
        while max > self.low + self.width * self.bins.len() as f64 {
            self.merge_pairs(0);
        }
    }

    /// Doubles the range, but keeps the number of bins: merges pairs of neighbouring bins, and adds empty bins. If
    /// `offset` is the number of bins, the empty bins are added below the merged bins. If `offset` is 0, the empty bins
    /// are added above the merged bins. The caller updates the field `low`.
    fn merge_pairs(&mut self, offset: usize) {
        let empty = vec![0; self.bins.len()];
        let old = std::mem::replace(&mut self.bins, empty);
        for (bin, count) in old.into_iter().enumerate() {
            self.bins[(offset + bin) / 2] += count;
        }
        self.width *= 2.0;
    }

    /// Counts values in the bins. All values must be in the range. The upper end of the range belongs to the last bin.
    pub(crate) fn add(&mut self, values: &[f64]) {
        const BLOCK: usize = 512;
        let mut bins = [0; BLOCK];
        let last = self.bins.len() - 1;
        for values in values.chunks(BLOCK) {
            bins_of(values, self.low, self.width, &mut bins);
            for bin in &bins[..values.len()] {
                self.bins[(*bin as usize).min(last)] += 1;
            }
        }
    }

    /// Replaces the bins with `MAX_BARS` bins from `min` to `max`, to save memory. If `min` equals `max`, there is one
    /// bin.
    pub(crate) fn compact(&mut self, min: f64, max: f64) {
        if min == max {
            self.bins = vec![self.bins.iter().sum()];
            return;
        }
        let bars = self.bars::<MAX_BARS>(min, max);
        *self = Self { low: min, width: max / MAX_BARS as f64 - min / MAX_BARS as f64, bins: bars.to_vec() };
    }

    /// Returns the number of values in each of `BARS` bars of equal width from `min` to `max`. A bin belongs to the bar
    /// that contains the middle of the bin.
    pub(crate) fn bars<const BARS: usize>(&self, min: f64, max: f64) -> [u64; BARS] {
        const { assert!(BARS <= MAX_BARS, "too few bins for this number of bars") };
        let mut bars = [0; BARS];
        for (bin, &count) in self.bins.iter().enumerate().filter(|(_, count)| **count > 0) {
            let middle = self.low + (bin as f64 + 0.5) * self.width;
            bars[((middle - min) / (max - min) * BARS as f64).min(BARS as f64 - 1.0) as usize] += count;
        }
        bars
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BARS: usize = 16;

    /// Returns the bars of a histogram to which the values of `chunks` were added.
    fn bars(chunks: &[&[f64]]) -> [u64; BARS] {
        let mut histogram: Option<RunningHistogram> = None;
        let range = |values: &[f64]| {
            values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), &x| (a.min(x), b.max(x)))
        };
        for chunk in chunks {
            let (min, max) = range(chunk);
            let histogram = histogram.get_or_insert_with(|| RunningHistogram::new(min, max));
            histogram.extend_to(min, max);
            histogram.add(chunk);
        }
        let (min, max) = range(&chunks.concat());
        histogram.unwrap().bars(min, max)
    }

    #[test]
    fn the_bars_of_one_chunk_are_exact() {
        let values: Vec<f64> = (0..1600).map(|k| f64::from(k) + 0.5).collect();
        assert_eq!(bars(&[&values]), [100; BARS]);
    }

    #[test]
    fn bars_hardly_depend_on_the_order_of_the_values() {
        let values: Vec<f64> = (0..160_000).map(|k| f64::from(k * 7919 % 160_000)).collect();
        let mut sorted = values.clone();
        sorted.sort_by(f64::total_cmp);
        let reversed: Vec<f64> = sorted.iter().rev().copied().collect();
        for values in [&values, &sorted, &reversed] {
            let chunks: Vec<&[f64]> = values.chunks(1000).collect();
            for bar in bars(&chunks) {
                assert!(bar.abs_diff(10_000) <= 200, "{bar}");
            }
        }
    }

    #[test]
    fn compact_keeps_the_bars() {
        let mut histogram = RunningHistogram::new(-3.0, 5.0);
        for k in 0..10_000 {
            histogram.add(&[f64::from(k * 7919 % 10_000).sqrt() * 0.08 - 3.0]);
        }
        let shown = |histogram: &RunningHistogram| {
            (histogram.bars::<16>(-3.0, 5.0), histogram.bars::<MAX_BARS>(-3.0, 5.0))
        };
        let before = shown(&histogram);
        histogram.compact(-3.0, 5.0);
        assert_eq!((shown(&histogram), histogram.bins.len()), (before, MAX_BARS));
        // Values can be added after `compact`.
        histogram.extend_to(-3.0, 9.0);
        histogram.add(&[9.0]);
        assert_eq!(histogram.bars::<16>(-3.0, 9.0).iter().sum::<u64>(), 10_001);
    }

    #[test]
    fn the_range_grows_if_the_first_values_are_all_equal() {
        let zeros = [0.0; 100];
        let both: Vec<f64> = (-800..=800).map(f64::from).collect();
        let bars = bars(&[&zeros, &both]);
        assert_eq!(bars.iter().sum::<u64>(), 1701);
        assert!(bars.iter().all(|&bar| (90..=210).contains(&bar)), "{bars:?}");
    }

    #[test]
    fn the_range_can_be_all_of_f64() {
        let counted = bars(&[&[0.0], &[f64::MAX], &[-f64::MAX], &[f64::MIN_POSITIVE]]);
        assert_eq!(counted.iter().sum::<u64>(), 4);
        assert_eq!(bars(&[&[3.0; 5], &[3.0; 2]]).iter().sum::<u64>(), 7);
    }
}
