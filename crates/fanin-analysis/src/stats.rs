//! What the values of a tensor look like.

use super::histogram::{Histogram, MOST};

/// Count, moments, range and a small histogram of a tensor, gathered a chunk at a time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stats {
    /// Values seen.
    pub count: u64,
    /// Of these: zeros.
    pub zeros: u64,
    /// Of these: not a number.
    pub nans: u64,
    /// Of these: infinite.
    pub infinite: u64,
    /// What is known of the finite ones, if there are any.
    finite: Option<Finite>,
}

/// Moments, range and histogram of finite values.
#[derive(Debug, Clone, PartialEq)]
struct Finite {
    count: u64,
    mean: f64,
    /// Sum of squared distances from the mean.
    squares: f64,
    min: f64,
    max: f64,
    histogram: Histogram,
}

impl Stats {
    /// Takes in more values.
    pub fn add(&mut self, values: &[f64]) {
        self.count += values.len() as u64;
        let (mut count, mut sum) = (0u64, 0.0);
        let (mut min, mut max) = (f64::INFINITY, f64::NEG_INFINITY);
        for &x in values {
            self.zeros += u64::from(x == 0.0);
            self.nans += u64::from(x.is_nan());
            self.infinite += u64::from(x.is_infinite());
            if x.is_finite() {
                count += 1;
                sum += x;
                min = min.min(x);
                max = max.max(x);
            }
        }
        if count == 0 {
            return;
        }
        let finite = self.finite.get_or_insert_with(|| Finite {
            count: 0,
            mean: 0.0,
            squares: 0.0,
            min,
            max,
            histogram: Histogram::new(min, max),
        });
        finite.histogram.reach(min, max);
        let mean = sum / count as f64;
        let mut squares = 0.0;
        for &x in values.iter().filter(|x| x.is_finite()) {
            squares += (x - mean) * (x - mean);
            finite.histogram.add(x);
        }
        // Chan, Golub and LeVeque 1983: two groups' moments make the whole's.
        let (a, b) = (finite.count as f64, count as f64);
        let apart = mean - finite.mean;
        finite.squares += squares + apart * apart * a * b / (a + b);
        finite.mean += apart * b / (a + b);
        finite.count += count;
        finite.min = finite.min.min(min);
        finite.max = finite.max.max(max);
    }

    /// Makes it small, when all values are in.
    pub fn settle(&mut self) {
        if let Some(Finite { min, max, histogram, .. }) = &mut self.finite
            && min < max
        {
            histogram.settle(*min, *max);
        }
    }

    /// Mean of the finite values, if there are any.
    pub fn mean(&self) -> Option<f64> {
        self.finite.as_ref().map(|finite| finite.mean)
    }

    /// Standard deviation of the finite values, if there are any.
    pub fn std(&self) -> Option<f64> {
        self.finite.as_ref().map(|finite| (finite.squares / finite.count as f64).sqrt())
    }

    /// The least finite value, if there is one.
    pub fn min(&self) -> Option<f64> {
        self.finite.as_ref().map(|finite| finite.min)
    }

    /// The greatest finite value, if there is one.
    pub fn max(&self) -> Option<f64> {
        self.finite.as_ref().map(|finite| finite.max)
    }

    /// The histogram as a line of bars; one value everywhere is a single bar.
    pub fn sparkline(&self) -> String {
        const HEIGHTS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        let Some(finite) = &self.finite else { return String::new() };
        if finite.min == finite.max {
            return "│".to_owned();
        }
        let bars = finite.histogram.bars::<16>(finite.min, finite.max);
        // Every bar that is not empty is seen.
        let highest = bars.iter().copied().max().unwrap_or(1).max(1);
        bars.iter().map(|&count| HEIGHTS[(u128::from(count) * 8).div_ceil(highest.into()) as usize]).collect()
    }

    /// The histogram: edges, ascending, and the counts between them. One value everywhere has two equal edges; where
    /// no value is finite there is nothing.
    pub fn bars(&self) -> (Vec<f64>, Vec<u64>) {
        let Some(Finite { count, min, max, histogram, .. }) = &self.finite else { return Default::default() };
        if min == max {
            return (vec![*min, *max], vec![*count]);
        }
        // Parts of both ends: their difference may be beyond f64.
        let edge = |k: usize| {
            let part = k as f64 / MOST as f64;
            min * (1.0 - part) + max * part
        };
        ((0..=MOST).map(edge).collect(), histogram.bars::<MOST>(*min, *max).to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_make_the_whole() {
        let values: Vec<f64> = (0..1000).map(|k| f64::from(k * 7919 % 1000) / 100.0 + 1e6).collect();
        let mut whole = Stats::default();
        whole.add(&values);
        let mut parts = Stats::default();
        values.chunks(37).for_each(|chunk| parts.add(chunk));
        // 0 to 999, each once, over 100: variance (n^2 - 1) / 12.
        let std = (999_999.0f64 / 12.0).sqrt() / 100.0;
        for stats in [&whole, &parts] {
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
    fn what_is_not_finite_is_counted_apart() {
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
