//! The count, the mean and the variance of values that are added chunk by chunk.

use super::lanes::sum_of;

/// The count, the mean and the sum of the squared distances from the mean, for finite values.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct RunningMoments {
    /// The number of values.
    pub(crate) count: u64,
    /// The mean; 0 if there are no values.
    pub(crate) mean: f64,
    /// The sum of the squared distances from the mean.
    pub(crate) squares: f64,
}

impl RunningMoments {
    /// Adds finite values.
    pub(crate) fn add(&mut self, values: &[f64]) {
        if values.is_empty() {
            return;
        }
        let count = values.len() as u64;
        let mean = sum_of(values, |x| x) / count as f64;
        let squares = sum_of(values, |x| (x - mean) * (x - mean));
        self.merge(&Self { count, mean, squares });
    }

    /// Adds the values of `next` (Chan, Golub and LeVeque 1983).
    pub(crate) fn merge(&mut self, next: &Self) {
        if next.count == 0 {
            return;
        }
        let (a, b) = (self.count as f64, next.count as f64);
        let difference = next.mean - self.mean;
        self.squares += next.squares + difference * difference * a * b / (a + b);
        self.mean += difference * b / (a + b);
        self.count += next.count;
    }

    /// Returns the population standard deviation, or NaN if there are no values.
    pub(crate) fn std(&self) -> f64 {
        (self.squares / self.count as f64).sqrt()
    }
}
