//! A histogram of values whose range is not known before the last of them.

/// The most bars that a histogram is shown with.
pub const MOST: usize = 32;

/// Bins that are counted in: many for each bar, so that a bar's edge is right to about a hundredth of its width.
const BINS: usize = 64 * MOST;

/// Equal bins over a range that doubles until all values lie in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    low: f64,
    width: f64,
    bins: Vec<u64>,
}

impl Histogram {
    /// One for values from `min` to `max`, to begin with.
    pub fn new(min: f64, max: f64) -> Self {
        // A single value has no range: begin with next to none around it, and let it grow.
        let least = (min.abs() * f64::EPSILON).max(f64::MIN_POSITIVE);
        let width = (max / BINS as f64 - min / BINS as f64).max(least);
        Self { low: min, width, bins: vec![0; BINS] }
    }

    /// Doubles the range, up or down, until it reaches from `min` to `max`.
    pub fn reach(&mut self, min: f64, max: f64) {
        while min < self.low {
            self.low -= self.width * self.bins.len() as f64;
            self.fold(self.bins.len());
        }
        while max > self.low + self.width * self.bins.len() as f64 {
            self.fold(0);
        }
    }

    /// Bins of twice the width, the old ones among them from `first` on, counted in old widths.
    fn fold(&mut self, first: usize) {
        let none = vec![0; self.bins.len()];
        let old = std::mem::replace(&mut self.bins, none);
        for (bin, count) in old.into_iter().enumerate() {
            self.bins[(first + bin) / 2] += count;
        }
        self.width *= 2.0;
    }

    /// Counts a value that it reaches. A conversion saturates, so the greatest falls into the last bin.
    #[inline]
    pub fn add(&mut self, x: f64) {
        let last = self.bins.len() - 1;
        self.bins[(((x - self.low) / self.width) as usize).min(last)] += 1;
    }

    /// Keeps a bin for each bar from `min` to `max` and no more: what is shown of thousands of tensors is to be small.
    pub fn settle(&mut self, min: f64, max: f64) {
        let bars = self.bars::<MOST>(min, max);
        *self = Self { low: min, width: max / MOST as f64 - min / MOST as f64, bins: bars.to_vec() };
    }

    /// The counts in `BARS` equal steps from `min` to `max`.
    pub fn bars<const BARS: usize>(&self, min: f64, max: f64) -> [u64; BARS] {
        const { assert!(BARS <= MOST, "the bins are too few for so many bars") };
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

    /// Counts values a chunk at a time.
    fn bars(chunks: &[&[f64]]) -> [u64; BARS] {
        let mut histogram: Option<Histogram> = None;
        let range = |values: &[f64]| {
            values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), &x| (a.min(x), b.max(x)))
        };
        for chunk in chunks {
            let (min, max) = range(chunk);
            let histogram = histogram.get_or_insert_with(|| Histogram::new(min, max));
            histogram.reach(min, max);
            chunk.iter().for_each(|&x| histogram.add(x));
        }
        let (min, max) = range(&chunks.concat());
        histogram.unwrap().bars(min, max)
    }

    #[test]
    fn one_chunk_is_counted_exactly() {
        let values: Vec<f64> = (0..1600).map(|k| f64::from(k) + 0.5).collect();
        assert_eq!(bars(&[&values]), [100; BARS]);
    }

    #[test]
    fn the_order_of_the_chunks_hardly_matters() {
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
    fn what_is_settled_shows_the_same_bars() {
        let mut histogram = Histogram::new(-3.0, 5.0);
        for k in 0..10_000 {
            histogram.add(f64::from(k * 7919 % 10_000).sqrt() * 0.08 - 3.0);
        }
        let shown =
            |histogram: &Histogram| (histogram.bars::<16>(-3.0, 5.0), histogram.bars::<MOST>(-3.0, 5.0));
        let before = shown(&histogram);
        histogram.settle(-3.0, 5.0);
        assert_eq!((shown(&histogram), histogram.bins.len()), (before, MOST));
        // More of it is counted all the same.
        histogram.reach(-3.0, 9.0);
        histogram.add(9.0);
        assert_eq!(histogram.bars::<16>(-3.0, 9.0).iter().sum::<u64>(), 10_001);
    }

    #[test]
    fn a_beginning_without_range_is_no_end() {
        let zeros = [0.0; 100];
        let both: Vec<f64> = (-800..=800).map(f64::from).collect();
        let bars = bars(&[&zeros, &both]);
        assert_eq!(bars.iter().sum::<u64>(), 1701);
        assert!(bars.iter().all(|&bar| (90..=210).contains(&bar)), "{bars:?}");
    }

    #[test]
    fn the_ends_of_f64_are_reached() {
        let counted = bars(&[&[0.0], &[f64::MAX], &[-f64::MAX], &[f64::MIN_POSITIVE]]);
        assert_eq!(counted.iter().sum::<u64>(), 4);
        assert_eq!(bars(&[&[3.0; 5], &[3.0; 2]]).iter().sum::<u64>(), 7);
    }
}
