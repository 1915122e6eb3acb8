//! Tests whether independent values follow a distribution. The values are read once to compute statistics. The tests
//! use only the statistics.
//!
//! The p-value of each test is exact or an upper bound. A test that fails if its p-value is below a threshold therefore
//! gives false alarms at a rate of at most that threshold. The tests are:
//! - The mean and the standard deviation are compared with their planned values. The deviations are treated as normal,
//!   with Cramér's correction for the skewness. For fewer than 100,000 normal values, the p-value of the standard
//!   deviation is computed from the chi-square distribution.
//! - The Kolmogorov-Smirnov distance is computed at up to 511 bin edges. The result is at most the distance over all
//!   values.
//! - The correlation of consecutive values is compared with 0. Sorted or smooth values are correlated; independent
//!   values are not.
//! - The smallest and the largest value are compared with the distribution of extreme values. They must be neither too
//!   far from the mean nor too close to it.
//! - The number of exact zeros is compared with the expected number by the Poisson distribution.

use statrs::function::gamma;

use super::distribution::Moments;
use super::grid;
use super::p_value;
use super::reference::ReferenceDistribution;
use super::test_result::TestResult;

/// Statistics of a sample, gathered for comparison with a reference distribution.
#[derive(Debug, Clone)]
pub(crate) struct SampleStatistics {
    /// The number of values in the sums: the finite values, without the zeros if `skip_zeros` is true.
    pub(crate) count: u64,
    /// The number of values that are NaN or infinite.
    non_finite: u64,
    /// The number of exact zeros.
    zeros: u64,
    min: f64,
    max: f64,
    /// The sum of the signed distances of the values from the planned mean.
    sum: f64,
    /// The sum of the squared distances from the planned mean.
    squares: f64,
    /// The sum of the products of the signed distances of consecutive values from the planned mean.
    products: f64,
    /// The signed distance of the last value from the planned mean.
    last: f64,
    /// The number of values in each bin of the reference distribution.
    bins: Vec<u64>,
    skip_zeros: bool,
}

impl SampleStatistics {
    /// Returns the statistics of an empty sample. If `skip_zeros` is true, exact zeros are counted, but no other
    /// statistic includes them.
    pub(crate) fn new(reference: &ReferenceDistribution, skip_zeros: bool) -> Self {
        Self {
            count: 0,
            non_finite: 0,
            zeros: 0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            sum: 0.0,
            squares: 0.0,
            products: 0.0,
            last: 0.0,
            bins: vec![0; reference.edges().len() + 1],
            skip_zeros,
        }
    }

    /// Adds the next values of the sample.
    pub(crate) fn add(&mut self, reference: &ReferenceDistribution, values: &[f64]) {
        let (mut sum, mut squares, mut products) = (0.0, 0.0, 0.0);
        for &x in values {
            if !x.is_finite() {
                self.non_finite += 1;
                continue;
            }
            self.zeros += u64::from(x == 0.0);
            if x == 0.0 && self.skip_zeros {
                continue;
            }
            let distance = x - reference.moments.mean;
            self.count += 1;
            sum += distance;
            squares += distance * distance;
            products += distance * self.last;
            self.last = distance;
            self.min = self.min.min(x);
            self.max = self.max.max(x);
            self.bins[reference.bin(x)] += 1;
        }
        self.sum += sum;
        self.squares += squares;
        self.products += products;
    }

    /// Returns the root mean square distance from the planned mean.
    fn root_mean_square(&self) -> f64 {
        (self.squares / self.count as f64).sqrt()
    }

    /// Returns two numbers. The first is the sum of ((x - mean)^2 / variance - 1) over all values x, with the planned
    /// mean and variance. The second is the variance of this sum if the values follow the reference distribution. Both
    /// can be added over several tensors for a common test.
    pub(crate) fn variance_excess(&self, reference: &ReferenceDistribution) -> (f64, f64) {
        let Moments { variance, m4, .. } = reference.moments;
        let n = self.count as f64;
        (self.squares / variance - n, n * (m4 / (variance * variance) - 1.0))
    }

    /// Returns the Kolmogorov-Smirnov distance, and the bin edge at which the distance occurs.
    pub(crate) fn kolmogorov_smirnov_distance(&self, reference: &ReferenceDistribution) -> (f64, f64) {
        let (mut below, mut largest) = (0, (0.0, f64::NAN));
        for (&count, &(edge, probability)) in self.bins.iter().zip(reference.edges()) {
            below += count;
            let distance = (below as f64 / self.count as f64 - probability).abs();
            if distance > largest.0 {
                largest = (distance, edge);
            }
        }
        largest
    }

    /// Returns the results of all tests against the reference distribution.
    pub(crate) fn tests(&self, reference: &ReferenceDistribution) -> Vec<TestResult> {
        let mut results = Vec::new();
        if self.non_finite > 0 {
            let all = self.non_finite + self.count;
            let text = format!("{} of {all} values are NaN or infinite", self.non_finite);
            results.push(TestResult::failure("finite", text));
        }
        if self.count == 0 {
            return results;
        }
        results.extend(self.bounds(reference));
        // If the values are not normally distributed, the tests of the mean and the std are only approximate. These two
        // tests are left out below 30 values, where the approximation is poor.
        if reference.distribution.is_normal() || self.count >= 30 {
            results.push(self.mean(reference));
            results.push(self.std(reference));
        }
        results.push(self.kolmogorov_smirnov(reference));
        results.extend(self.serial_correlation());
        results.extend(self.extremes(reference));
        if !self.skip_zeros {
            results.push(self.zeros(reference));
        }
        results
    }

    /// Returns a failed test if a value is outside of the bounds of the distribution, and `None` otherwise.
    fn bounds(&self, reference: &ReferenceDistribution) -> Option<TestResult> {
        let (low, high) = reference.distribution.bounds();
        // Rounding to the dtype may move a value at a bound out of the bounds.
        let (smallest, largest) =
            (low.min(reference.dtype.round(low)), high.max(reference.dtype.round(high)));
        (self.min < smallest || self.max > largest).then(|| {
            let found = format!("values from {:.6e} to {:.6e}", self.min, self.max);
            TestResult::failure("bounds", format!("{found}, expected [{low:.6e}, {high:.6e}]"))
        })
    }

    /// Compares the mean with the planned mean.
    fn mean(&self, reference: &ReferenceDistribution) -> TestResult {
        let Moments { mean, variance, m3, .. } = reference.moments;
        let (n, std) = (self.count as f64, variance.sqrt());
        let z = self.sum / (std * n.sqrt());
        let found = mean + self.sum / n;
        let text = format!("mean {found:.6e}, expected {mean:.6e}: {z:+.1} standard errors");
        TestResult::new("mean", p_value::standardized_sum(z, m3 / (variance * std), n), text)
    }

    /// Compares the standard deviation with the planned standard deviation.
    fn std(&self, reference: &ReferenceDistribution) -> TestResult {
        let Moments { variance, m4, m6, .. } = reference.moments;
        let (n, std) = (self.count as f64, variance.sqrt());
        let chi_square = self.squares / variance;
        let variance_of_square = m4 - variance * variance;
        let z = (chi_square - n) * variance / (variance_of_square * n).sqrt();
        let p = if reference.distribution.is_normal() && self.count < 100_000 {
            let below = gamma::gamma_lr(n / 2.0, chi_square / 2.0);
            let above = gamma::gamma_ur(n / 2.0, chi_square / 2.0);
            2.0 * below.min(above)
        } else {
            let skewness = (m6 - 3.0 * m4 * variance + 2.0 * variance.powi(3)) / variance_of_square.powf(1.5);
            p_value::standardized_sum(z, skewness, n)
        };
        let found = self.root_mean_square();
        let percent = (found / std - 1.0) * 100.0;
        let text = format!("std {found:.6e}, expected {std:.6e}: {percent:+.2} %, {z:+.1} standard errors");
        TestResult::new("std", p, text)
    }

    /// Compares the distribution function of the sample with the planned distribution function.
    fn kolmogorov_smirnov(&self, reference: &ReferenceDistribution) -> TestResult {
        let (distance, x) = self.kolmogorov_smirnov_distance(reference);
        let text = format!("Kolmogorov-Smirnov distance {distance:.4} at {x:.4e} over {} values", self.count);
        let p = p_value::kolmogorov_smirnov(distance, self.count as f64);
        TestResult::new("distribution", p, text)
    }

    /// Tests whether consecutive values are correlated. Returns `None` for fewer than 1000 values.
    fn serial_correlation(&self) -> Option<TestResult> {
        // The sum of fewer than 1000 products is far from normally distributed. The correlation is computed with the
        // measured variance, because the planned variance has its own test.
        if self.count < 1000 || self.squares <= 0.0 {
            return None;
        }
        let n = self.count as f64;
        let correlation = self.products / self.squares;
        let z = correlation * n.sqrt();
        // The correction z^4 / (4 n) is for terms with an excess kurtosis of 6. The product of two independent normal
        // variables has this kurtosis, and the product of two bounded variables has a smaller one.
        let p = p_value::corrected_normal(z, z.powi(4) / (4.0 * n));
        let text = format!("correlation of consecutive values {correlation:+.4}: {z:+.1} standard errors");
        Some(TestResult::new("order", p, text))
    }

    /// Tests whether the smallest and the largest value are too extreme (`outlier`) or not extreme enough (`tail`).
    fn extremes(&self, reference: &ReferenceDistribution) -> Vec<TestResult> {
        let (n, distribution) = (self.count as f64, &reference.distribution);
        let (low, high) = distribution.bounds();
        let std = reference.moments.variance.sqrt();
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
            let text =
                format!("{name} value {x:.4e}, {deviation:+.2} std from the mean, of {} values", self.count);
            results.push(TestResult::new("outlier", n * at_least, text.clone()));
            // The `tail` test is left out beyond 5.4 std, because torch computes normal f32 values from 24 random bits.
            // Such values end at 5.77 std and are unevenly spaced just below that. The test is also left out next to a
            // bound, where no value is more extreme than `x` and rounding may have moved a value to `x`.
            let adjacent = grid::neighbours(reference.dtype, x);
            if deviation.abs() < 5.4 && adjacent.0 > low && adjacent.1 < high {
                results.push(TestResult::new("tail", (n * (-more).ln_1p()).exp(), text));
            }
        }
        results
    }

    /// Tests whether there are too many exact zeros.
    fn zeros(&self, reference: &ReferenceDistribution) -> TestResult {
        let (below, above) = grid::rounding_interval(reference.dtype, 0.0);
        let distribution = &reference.distribution;
        let probability = (distribution.cdf(above) - distribution.cdf(below)).max(0.0);
        // torch's normal sampler returns exactly 0 once in 2^24 values. The test allows twice this rate.
        let expected = self.count as f64 * (probability + 2f64.powi(-23));
        let text = format!("{} values are exactly 0, expected {expected:.1}", self.zeros);
        TestResult::new("zeros", p_value::poisson_at_least(self.zeros, expected), text)
    }
}

#[cfg(test)]
mod tests {
    use fanin::DType;

    use super::super::distribution::Univariate;
    use super::*;

    #[test]
    fn a_large_deviation_is_impossible_at_any_size() {
        // If the std of 200,000 values is twice the planned std, z is 948. The correction factor for this z exceeds the
        // range of f64.
        assert_eq!(p_value::standardized_sum(948.0, 2.83, 2e5), 0.0);
        assert!((p_value::standardized_sum(1.96, 0.0, 1e9) - 0.05).abs() < 1e-4);
        let reference = ReferenceDistribution::new(Univariate::normal(0.0, 1.0), DType::F32);
        let mut sample = SampleStatistics::new(&reference, false);
        let wide: Vec<f64> = (0..200_000).map(|k| f64::from(k * 7919 % 200_000) / 25_000.0 - 4.0).collect();
        sample.add(&reference, &wide);
        let results = sample.tests(&reference);
        assert!(results.iter().all(|result| !result.p_value.is_nan()), "{results:?}");
        assert!(results.iter().any(|result| result.test == "std" && result.p_value == 0.0), "{results:?}");
    }
}
