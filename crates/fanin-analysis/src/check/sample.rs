//! Tests whether independent values follow a distribution. The values are read once, to compute statistics. All tests
//! are computed from these statistics.
//!
//! A test fails if its p-value is below a threshold. The p-value is exact, an upper bound, or a corrected normal
//! approximation. The rate of false alarms is therefore at most about the threshold. The tests are:
//! - `mean` and `std`: the mean and the standard deviation are compared with the planned ones. The p-values are
//!   computed from the normal distribution, with Cramér's correction for the skewness. For up to 100,000 normal values,
//!   the p-value of `std` is computed from the chi-square distribution.
//! - `distribution`: the Kolmogorov-Smirnov distance is computed at up to 511 bin edges only. The computed distance may
//!   be smaller than the distance over all values, but not larger. The p-value is the upper bound of Massart (1990).
//! - `order`: the correlation of consecutive values is compared with 0. Sorted or smooth values are correlated.
//! - `outlier` and `tail`: the smallest and the largest value are compared with the distribution of extreme values.
//!   `outlier` fails if one of these values is too far from the mean. `tail` fails if one is too close to the mean.
//! - `zeros`: the number of exact zeros must not be too large. The p-value is that of the Poisson distribution.
//! - `finite`: no value may be NaN. The number of infinite values is compared with the expected number of overflows.
//! - `bounds`: no value may be outside of the bounds of the distribution.

use super::distribution::Moments;
use super::empirical::EmpiricalDistribution;
use super::lanes::{FiniteValues, count_of, standardized_sums};
use super::p_value;
use super::reference::ReferenceDistribution;
use super::test_result::TestResult;
use fanin_recipe::text::short;

/// The statistics of a sample of values that is compared with a reference distribution.
#[derive(Debug, Clone)]
pub(crate) struct SampleStatistics {
    /// The distribution of the finite values, without zeros if `skip_zeros` is true. The sums are over these values.
    empirical: EmpiricalDistribution,
    /// The number of values that are NaN.
    nans: u64,
    /// The number of infinite values.
    infinite: u64,
    /// The number of exact zeros.
    zeros: u64,
    /// The sum of the standardized values. A standardized value is (x - mean) / std, with the planned mean and standard
    /// deviation.
    sum: f64,
    /// The sum of the squared standardized values.
    squares: f64,
    /// The sum of the products of consecutive standardized values.
    products: f64,
    /// The number of products in the sum `products`.
    pairs: u64,
    /// The last standardized value.
    last: f64,
    /// Whether exact zeros are left out of all statistics except `zeros`.
    skip_zeros: bool,
}

impl SampleStatistics {
    /// Returns the statistics of an empty sample. If `skip_zeros` is true, exact zeros are counted, but all other
    /// statistics leave them out.
    pub(crate) fn new(skip_zeros: bool) -> Self {
        Self {
            empirical: EmpiricalDistribution::new(),
            nans: 0,
            infinite: 0,
            zeros: 0,
            sum: 0.0,
            squares: 0.0,
            products: 0.0,
            pairs: 0,
            last: 0.0,
            skip_zeros,
        }
    }

    /// Adds the next values of the sample, in row-major order.
    pub(crate) fn add(&mut self, reference: &ReferenceDistribution, values: &[f64]) {
        let mut finite = FiniteValues::of(values);
        if finite.values.len() < values.len() {
            self.nans += count_of(values, f64::is_nan);
            self.infinite += count_of(values, f64::is_infinite);
        }
        let zeros = finite.zeros();
        self.zeros += zeros;
        if self.skip_zeros && zeros > 0 {
            finite = FiniteValues::filtered(values, |x| x.is_finite() && x != 0.0);
        }
        self.add_counted(reference, &finite);
    }

    /// Adds finite values to all statistics except the counts of zeros, NaN and infinities. If `skip_zeros` is true,
    /// the values must not contain zeros.
    fn add_counted(&mut self, reference: &ReferenceDistribution, finite: &FiniteValues<'_>) {
        let values = &*finite.values;
        let Some(last) = values.last() else { return };
        let (mean, inverse) = (reference.moments.mean, 1.0 / reference.moments.std);
        let standardize = |x: f64| (x - mean) * inverse;
        let [sum, squares, products] = standardized_sums(values, mean, inverse);
        self.sum += sum;
        self.squares += squares;
        self.products += self.last * standardize(values[0]) + products;
        self.pairs += values.len() as u64;
        self.last = standardize(*last);
        self.empirical.add(reference, values, (finite.min, finite.max));
    }

    /// Merges the statistics of `next`. The values of `next` follow those of `self` in the tensor.
    pub(crate) fn merge(&mut self, next: &Self) {
        self.empirical.merge(&next.empirical);
        self.nans += next.nans;
        self.infinite += next.infinite;
        self.zeros += next.zeros;
        self.sum += next.sum;
        self.squares += next.squares;
        self.products += next.products;
        self.pairs += next.pairs;
        self.last = next.last;
    }

    /// Adds `count` zeros to a sample for which `skip_zeros` is true. These zeros are random values that were rounded
    /// to 0. The mean of `reference` must be 0.
    pub(crate) fn add_zeros(&mut self, reference: &ReferenceDistribution, count: u64) {
        self.empirical.add_zeros(reference, count);
    }

    /// Returns the number of values in the sums.
    pub(crate) fn count(&self) -> u64 {
        self.empirical.count
    }

    pub(crate) fn zeros_found(&self) -> u64 {
        self.zeros
    }

    /// Returns the sum of z^2 - 1 over all standardized values z, and the planned variance of this sum. The caller adds
    /// both numbers over several tensors, to test these tensors together. Returns `None` if there are too few values
    /// for such a test.
    pub(crate) fn variance_excess(&self, reference: &ReferenceDistribution) -> Option<(f64, f64)> {
        let n = self.count() as f64;
        let meaningful =
            reference.is_smoothly_normal(self.count()) || reference.has_normal_sums(self.count());
        (self.count() > 0 && meaningful).then_some((self.squares - n, n * (reference.moments.kurtosis - 1.0)))
    }

    /// Returns the results of all tests against the reference distribution.
    pub(crate) fn tests(&self, reference: &ReferenceDistribution) -> Vec<TestResult> {
        let mut results = self.finite(reference);
        if self.count() == 0 {
            return results;
        }
        results.extend(self.bounds(reference));
        // If the values are not normally distributed, the tests of the mean and the standard deviation are
        // approximations. Both tests are left out if the approximation is poor.
        if reference.is_smoothly_normal(self.count()) || reference.has_normal_sums(self.count()) {
            results.push(self.mean(reference));
            results.push(self.std(reference));
        }
        results.push(self.kolmogorov_smirnov(reference));
        results.extend(self.serial_correlation(reference));
        results.extend(self.empirical.extremes(reference));
        if !self.skip_zeros {
            results.push(self.zeros(reference));
        }
        results
    }

    /// Tests whether values are NaN, and whether more values are infinite than expected from overflows. The list is
    /// empty if all values are finite.
    fn finite(&self, reference: &ReferenceDistribution) -> Vec<TestResult> {
        let all = self.nans + self.infinite + self.count();
        let mut results = Vec::new();
        if self.nans > 0 {
            results.push(TestResult::failure("finite", format!("{} of {all} values are NaN", self.nans)));
        }
        if self.infinite > 0 {
            let expected = all as f64 * (1.0 - reference.distribution.finite_probability(reference.dtype));
            let text = format!("{} of {all} values are infinite, expected {expected:.1}", self.infinite);
            results.push(TestResult::new("finite", p_value::poisson_at_least(self.infinite, expected), text));
        }
        results
    }

    /// Returns a failed test `bounds` if a value is outside of the bounds of the distribution, and `None` otherwise.
    fn bounds(&self, reference: &ReferenceDistribution) -> Option<TestResult> {
        let (low, high) = reference.distribution.bounds();
        // Rounding to the dtype may move a value at a bound out of the bounds.
        let (smallest, largest) =
            (low.min(reference.dtype.round(low)), high.max(reference.dtype.round(high)));
        let EmpiricalDistribution { min, max, .. } = self.empirical;
        (min < smallest || max > largest).then(|| {
            let found = format!("values from {min:.6e} to {max:.6e}");
            TestResult::failure("bounds", format!("{found}, expected [{low:.6e}, {high:.6e}]"))
        })
    }

    /// Tests whether the mean agrees with the planned mean.
    fn mean(&self, reference: &ReferenceDistribution) -> TestResult {
        let Moments { mean, std, skewness, .. } = reference.moments;
        let n = self.count() as f64;
        let z = self.sum / n.sqrt();
        let found = mean + self.sum / n * std;
        // If a distribution is symmetric around 0, its computed mean may be a rounding error. The message then shows 0.
        let planned = if mean.abs() < 1e-12 * std { 0.0 } else { mean };
        let text = format!("mean {found:.6e}, expected {planned:.6e}: {}", in_standard_errors(z));
        TestResult::new("mean", p_value::standardized_sum(z, skewness, n), text)
    }

    /// Tests whether the standard deviation agrees with the planned one.
    fn std(&self, reference: &ReferenceDistribution) -> TestResult {
        let Moments { std, kurtosis, sixth, .. } = reference.moments;
        let n = self.count() as f64;
        // The variance of a squared standardized value. It is 0 if all values are equally far from the mean. The lower
        // limit of 1e-9 keeps `z` finite.
        let variance = (kurtosis - 1.0).max(1e-9);
        let z = (self.squares - n) / (variance * n).sqrt();
        let p = if reference.is_smoothly_normal(self.count()) {
            p_value::chi_square(self.squares, n)
        } else {
            let skewness = (sixth - 3.0 * kurtosis + 2.0) / variance.powf(1.5);
            p_value::standardized_sum(z, skewness, n)
        };
        let found = (self.squares / n).sqrt();
        let percent = (found - 1.0) * 100.0;
        let found = found * std;
        let ratio = if percent < 1000.0 {
            format!("{percent:+.2} %")
        } else {
            format!("{} times as large", short(1.0 + percent / 100.0))
        };
        let text = format!("std {found:.6e}, expected {std:.6e}: {ratio}, {}", in_standard_errors(z));
        TestResult::new("std", p, text)
    }

    /// Tests the Kolmogorov-Smirnov distance between the values and the planned distribution.
    fn kolmogorov_smirnov(&self, reference: &ReferenceDistribution) -> TestResult {
        let (distance, x) = self.empirical.kolmogorov_smirnov_distance(reference);
        let text =
            format!("Kolmogorov-Smirnov distance {distance:.4} at {x:.4e} over {} values", self.count());
        let p = p_value::kolmogorov_smirnov(distance, self.count() as f64);
        TestResult::new("distribution", p, text)
    }

    /// Tests whether consecutive values are correlated. Returns `None` for fewer than 1000 values, or if most values
    /// are rounded to the same value.
    fn serial_correlation(&self, reference: &ReferenceDistribution) -> Option<TestResult> {
        // The sum of fewer than 1000 products is far from normal. The correlation is computed with the measured
        // variance, because the planned variance has its own test.
        if self.pairs < 1000 || self.squares <= 0.0 || !reference.has_normal_sums(self.pairs) {
            return None;
        }
        let n = self.pairs as f64;
        let correlation = self.products / self.squares;
        let z = correlation * n.sqrt();
        let p = p_value::correlation(correlation, n, reference.moments.skewness);
        let text = format!("correlation of consecutive values {correlation:+.4}: {z:+.1} standard errors");
        Some(TestResult::new("order", p, text))
    }

    /// Tests whether there are too many exact zeros.
    fn zeros(&self, reference: &ReferenceDistribution) -> TestResult {
        let expected = self.count() as f64 * reference.probability_of_zero();
        let text = format!("{} values are exactly 0, expected {expected:.1}", self.zeros);
        TestResult::new("zeros", p_value::poisson_at_least(self.zeros, expected), text)
    }
}

/// Returns the text of a deviation of `z` standard errors, such as `+1.5 standard errors`.
pub(crate) fn in_standard_errors(z: f64) -> String {
    if z.abs() < 1e4 { format!("{z:+.1} standard errors") } else { format!("{z:+.0e} standard errors") }
}

#[cfg(test)]
mod tests {
    use fanin::DType;

    use super::super::distribution::Univariate;
    use super::*;

    #[test]
    fn the_p_value_of_a_very_large_deviation_is_zero_and_never_nan() {
        // If the standard deviation of 200,000 values is twice the planned one, z is 948. The correction factor for
        // this z exceeds the range of f64.
        assert_eq!(p_value::standardized_sum(948.0, 2.83, 2e5), 0.0);
        assert!((p_value::standardized_sum(1.96, 0.0, 1e9) - 0.05).abs() < 1e-4);
        let reference = ReferenceDistribution::new(Univariate::normal(0.0, 1.0), DType::F32);
        let mut sample = SampleStatistics::new(false);
        let wide: Vec<f64> = (0..200_000).map(|k| f64::from(k * 7919 % 200_000) / 25_000.0 - 4.0).collect();
        sample.add(&reference, &wide);
        let results = sample.tests(&reference);
        assert!(results.iter().all(|result| !result.p_value.is_nan()), "{results:?}");
        assert!(results.iter().any(|result| result.test == "std" && result.p_value == 0.0), "{results:?}");
    }
}
