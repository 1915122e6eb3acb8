//! The search for a distribution that fits the values of a tensor.

use super::kind::Kind;
use super::scan::Scan;
use super::summary::Summary;
use crate::check::distribution::Univariate;
use crate::check::p_value::kolmogorov_smirnov;
use crate::check::reference::ReferenceDistribution;
use crate::check::sample::SampleStatistics;
use crate::error::Result;
use fanin::DType;

/// The smallest p-value of the Kolmogorov-Smirnov test at which a distribution is accepted.
const MIN_P_VALUE: f64 = 1e-5;

/// The std of the standard normal distribution truncated to `[-2, 2]`.
pub(super) const STD_TRUNCATED_AT_2: f64 = 0.879_625_66;

/// The std of the standard normal distribution truncated to `[-3, 3]`.
const STD_TRUNCATED_AT_3: f64 = 0.986_578_28;

/// The distance from the mean, in standard deviations, beyond which a value is an outlier.
const TRIM: f64 = 6.5;

/// The mean and the standard deviation of the values that a distribution must fit.
struct Estimate {
    /// Whether exact zeros are ignored. This is true if more than 0.1 % of the finite values are 0. Random values have
    /// fewer zeros, so most of the zeros are from a `sparse` scheme or from the row of a padding token.
    ignore_zeros: bool,
    /// The number of finite values, without the ignored zeros.
    count: f64,
    /// The mean, or 0 if the measured mean is within 5 standard errors of 0.
    mean: f64,
    std: f64,
}

impl Estimate {
    fn new(summary: &Summary) -> Self {
        let finite = summary.finite as f64;
        let ignore_zeros = summary.zeros as f64 > 1e-3 * finite;
        let count = if ignore_zeros { finite - summary.zeros as f64 } else { finite };
        let mean = summary.sum / count;
        let std = (summary.squares / count - mean.powi(2)).max(0.0).sqrt();
        let mean = if mean.abs() < 5.0 * std / count.sqrt() { 0.0 } else { mean };
        Self { ignore_zeros, count, mean, std }
    }

    /// Returns the largest distance of a value from the mean.
    fn reach(&self, summary: &Summary) -> f64 {
        (summary.max - self.mean).max(self.mean - summary.min)
    }

    /// Returns the distributions that the moments and the range allow, in the order in which they are tried.
    fn candidates(&self, summary: &Summary) -> Vec<Univariate> {
        let Self { count, mean, std, .. } = *self;
        let mut candidates = Vec::new();
        // The distance from the mean to a bound is larger than the largest distance among n uniform values, by a
        // fraction of about 1/n.
        let reach = self.reach(summary) * (1.0 + 1.0 / count);
        if (reach / 3f64.sqrt() / std - 1.0).abs() < 0.05 + 3.0 / count.sqrt() {
            candidates.push(Univariate::Uniform { low: mean - reach, high: mean + reach });
        }
        // Truncated normal distributions are tried first, because the normal distribution also fits truncated values if
        // there are few of them.
        for (bound, remaining) in [(2.0, STD_TRUNCATED_AT_2), (3.0, STD_TRUNCATED_AT_3)] {
            let std = std / remaining;
            if reach <= bound * std * 1.02 && reach >= bound * std * 0.98 {
                candidates.push(Univariate::Normal { mean, std, low: mean - reach, high: mean + reach });
            }
        }
        candidates.push(Univariate::normal(mean, std));
        candidates
    }
}

/// Returns [`Kind::Fresh`] with the distribution that fits the values, or [`Kind::Other`] if none fits. Adds messages
/// to `problems` if there are outliers, clamped values or several rows of zeros.
///
/// # Errors
/// Returns an error if the file cannot be read.
pub(super) fn distribution(scan: &Scan<'_>, problems: &mut Vec<String>) -> Result<Kind> {
    let summary = &scan.summary;
    let estimate = Estimate::new(summary);
    let mut fitted = fit(scan, estimate.candidates(summary), &estimate, f64::INFINITY)?;
    if fitted.is_none() {
        fitted = fit_without_outliers(scan, &estimate, problems)?;
    }
    clamped_values(scan, fitted.is_some(), problems);
    // A single row of zeros is not a problem, because it may be the row of a padding token.
    if summary.zero_rows() > 1 {
        let (zero_rows, rows) = (summary.zero_rows(), summary.rows());
        problems.push(format!("{zero_rows} of {rows} rows are all zeros: never written?"));
    }
    Ok(match fitted {
        // Training changes the means and mean squares of rows and columns long before it changes the distribution of
        // all values. A tensor whose rows or columns differ too much is therefore not fresh.
        Some(reference)
            if problems.is_empty() && !estimate.ignore_zeros && summary.line_deviation(&reference) > 6.0 =>
        {
            Kind::Other
        }
        Some(reference) => Kind::Fresh(reference.distribution),
        None => Kind::Other,
    })
}

/// Returns the first candidate that fits the values, or `None` if no candidate fits. Values whose distance from the
/// mean is above `reach` are ignored.
fn fit(
    scan: &Scan<'_>,
    candidates: Vec<Univariate>,
    estimate: &Estimate,
    reach: f64,
) -> Result<Option<ReferenceDistribution>> {
    let references: Vec<ReferenceDistribution> =
        candidates.into_iter().map(|candidate| ReferenceDistribution::new(candidate, scan.dtype)).collect();
    let mut samples: Vec<SampleStatistics> =
        references.iter().map(|reference| SampleStatistics::new(reference, estimate.ignore_zeros)).collect();
    scan.values(|values| {
        let near: Vec<f64>;
        let values = if reach.is_finite() {
            near = values.iter().copied().filter(|x| (x - estimate.mean).abs() <= reach).collect();
            &near
        } else {
            values
        };
        samples.iter_mut().zip(&references).for_each(|(sample, reference)| sample.add(reference, values));
    })?;
    let fits = |reference: &ReferenceDistribution, sample: &SampleStatistics| {
        let (distance, _) = sample.kolmogorov_smirnov_distance(reference);
        let extremes = sample.tests(reference).into_iter();
        kolmogorov_smirnov(distance, sample.count as f64) > MIN_P_VALUE
            && extremes
                .filter(|result| ["tail", "outlier"].contains(&result.test))
                .all(|result| result.p_value > 1e-6)
    };
    let fitted = references.into_iter().zip(samples).find(|(reference, sample)| fits(reference, sample));
    Ok(fitted.map(|(reference, _)| reference))
}

/// Returns the normal distribution that fits the values other than a few outliers, and adds a message on the outliers
/// to `problems`. Returns `None` if there are no outliers or too many, or if the other values are not normally
/// distributed.
fn fit_without_outliers(
    scan: &Scan<'_>,
    estimate: &Estimate,
    problems: &mut Vec<String>,
) -> Result<Option<ReferenceDistribution>> {
    let finite = scan.summary.finite as f64;
    let reach = estimate.reach(&scan.summary);
    let deviation = reach / estimate.std;
    if finite * statrs::function::erf::erfc(deviation / std::f64::consts::SQRT_2) >= 1e-6 {
        return Ok(None);
    }
    // A value is an outlier if it is farther than `TRIM` standard deviations from the mean. Outliers enlarge the std,
    // so the std is estimated four times. Each estimate leaves out the values that are outliers by the previous
    // estimate.
    let (mut std, mut outliers) = (estimate.std, 0u64);
    for _ in 0..4 {
        let (mut squares, mut inside) = (0.0, 0u64);
        outliers = 0;
        scan.values(|values| {
            for &x in values.iter().filter(|x| x.is_finite() && !(estimate.ignore_zeros && **x == 0.0)) {
                let distance = x - estimate.mean;
                if distance.abs() <= TRIM * std {
                    squares += distance * distance;
                    inside += 1;
                } else {
                    outliers += 1;
                }
            }
        })?;
        std = (squares / inside.max(1) as f64).sqrt();
    }
    if outliers == 0 || outliers as f64 >= 1e-3 * finite {
        return Ok(None);
    }
    let fitted = fit(scan, vec![Univariate::normal(estimate.mean, std)], estimate, TRIM * std)?;
    if fitted.is_some() {
        problems.push(format!(
            "{outliers} of {} values are outliers, up to {:.0} std from the mean; the others fit a normal distribution",
            scan.summary.finite,
            reach / std
        ));
    }
    Ok(fitted)
}

/// Adds a message to `problems` if many values are equal to the smallest or the largest value. `fitted` is true if a
/// distribution fits the values.
fn clamped_values(scan: &Scan<'_>, fitted: bool, problems: &mut Vec<String>) {
    let summary = &scan.summary;
    let finite = summary.finite as f64;
    // Equal random values are rare in a wide type and common in a narrow one.
    let wide = scan.dtype == DType::F32 || scan.dtype == DType::F64;
    let piled = |count: u64| if wide { count >= 5 } else { count as f64 > 0.02 * finite };
    for (name, bound, count) in
        [("smallest", summary.min, summary.count_at_min), ("largest", summary.max, summary.count_at_max)]
    {
        if bound != 0.0 && piled(count) && (fitted || count as f64 <= 0.2 * finite) {
            problems.push(format!("{count} values are exactly {bound:.6e}, the {name} value: clamped?"));
        }
    }
}
