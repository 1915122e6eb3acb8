//! What the values of a tensor look like.

use serde_json::{Value, json};

/// Bars of the small histogram.
pub const BINS: usize = 16;

/// Count, moments, range and a small histogram of a tensor, gathered a chunk at a time.
#[derive(Debug, Clone, PartialEq)]
pub struct Stats {
    /// Values seen.
    pub count: u64,
    /// Of these: zeros.
    pub zeros: u64,
    /// Of these: not a number.
    pub nans: u64,
    /// Of these: infinite.
    pub infinite: u64,
    /// Mean of the finite ones.
    pub mean: f64,
    /// Least finite one.
    pub min: f64,
    /// Greatest finite one.
    pub max: f64,
    /// Finite values in equal steps over `range`; those outside are in the first and last.
    pub bins: [u64; BINS],
    /// What the histogram spans: the range of the first chunk.
    pub range: (f64, f64),
    finite: u64,
    /// Sum of squared distances from the mean.
    squares: f64,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            count: 0,
            zeros: 0,
            nans: 0,
            infinite: 0,
            mean: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            bins: [0; BINS],
            range: (0.0, 0.0),
            finite: 0,
            squares: 0.0,
        }
    }
}

impl Stats {
    /// Takes in more values.
    pub fn add(&mut self, values: &[f64]) {
        self.count += values.len() as u64;
        let (mut finite, mut sum) = (0u64, 0.0);
        let (mut min, mut max) = (f64::INFINITY, f64::NEG_INFINITY);
        for &x in values {
            self.zeros += u64::from(x == 0.0);
            self.nans += u64::from(x.is_nan());
            self.infinite += u64::from(x.is_infinite());
            if x.is_finite() {
                finite += 1;
                sum += x;
                min = min.min(x);
                max = max.max(x);
            }
        }
        if finite == 0 {
            return;
        }
        let mean = sum / finite as f64;
        let squares: f64 = values.iter().filter(|x| x.is_finite()).map(|x| (x - mean) * (x - mean)).sum();
        if self.finite == 0 {
            self.range = (min, max);
        }
        // Chan, Golub and LeVeque 1983: two groups' moments make the whole's.
        let (a, b) = (self.finite as f64, finite as f64);
        let apart = mean - self.mean;
        self.squares += squares + apart * apart * a * b / (a + b);
        self.mean += apart * b / (a + b);
        self.finite += finite;
        self.min = self.min.min(min);
        self.max = self.max.max(max);
        let (low, high) = self.range;
        let scale = if high > low { BINS as f64 / (high - low) } else { 0.0 };
        for x in values.iter().filter(|x| x.is_finite()) {
            // A conversion saturates: what lies outside falls into the first and last.
            self.bins[(((x - low) * scale) as usize).min(BINS - 1)] += 1;
        }
    }

    /// Standard deviation of the finite values.
    pub fn std(&self) -> f64 {
        if self.finite == 0 { f64::NAN } else { (self.squares / self.finite as f64).sqrt() }
    }

    /// The histogram as a line of bars; one value everywhere is a single bar.
    pub fn sparkline(&self) -> String {
        const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        if self.finite == 0 {
            return String::new();
        }
        if self.min == self.max {
            return "│".to_owned();
        }
        let highest = self.bins.iter().copied().max().unwrap_or(1).max(1);
        self.bins.iter().map(|&n| BARS[(n * 8).div_ceil(highest) as usize]).collect()
    }

    /// All of it as JSON. What is not a number there is null.
    pub fn json(&self) -> Value {
        json!({
            "mean": self.mean, "std": self.std(), "min": self.min, "max": self.max,
            "zeros": self.zeros, "nans": self.nans, "infinite": self.infinite,
            "histogram": { "from": self.range.0, "to": self.range.1, "counts": self.bins },
        })
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
            assert!(
                (stats.mean - 1_000_004.995).abs() < 1e-6 && (stats.std() - std).abs() < 1e-6,
                "{stats:?}"
            );
            assert_eq!((stats.min, stats.max, stats.count), (1e6, 1e6 + 9.99, 1000));
            assert_eq!(stats.bins.iter().sum::<u64>(), 1000);
        }
    }

    #[test]
    fn what_is_not_finite_is_counted_apart() {
        let mut stats = Stats::default();
        stats.add(&[f64::NAN, 0.0, -0.0, f64::INFINITY, 1.0, f64::NEG_INFINITY, 2.0]);
        assert_eq!((stats.zeros, stats.nans, stats.infinite, stats.min, stats.max), (2, 1, 2, 0.0, 2.0));
        assert_eq!(stats.mean, 0.75);
        let mut nothing = Stats::default();
        nothing.add(&[f64::NAN]);
        assert!(nothing.std().is_nan() && nothing.sparkline().is_empty());
        let mut one = Stats::default();
        one.add(&[3.0; 5]);
        assert_eq!((one.std(), one.sparkline().as_str()), (0.0, "│"));
    }
}
