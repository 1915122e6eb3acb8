//! The search for a distribution that fits the values of a tensor.

use super::kind::Kind;
use super::scan::Scan;
use crate::check::distribution::Univariate;
use crate::check::p_value::kolmogorov_smirnov;
use crate::check::reference::ReferenceDistribution;
use crate::check::sample::SampleStatistics;
use crate::error::Result;
use fanin::DType;
use fanin_recipe::text::short;

/// The smallest p-value of the Kolmogorov-Smirnov test at which a distribution is accepted.
const MIN_P_VALUE: f64 = 1e-5;

/// The std of the standard normal distribution truncated to `[-2, 2]`.
pub(super) const STD_TRUNCATED_AT_2: f64 = 0.879_625_66;

/// The std of the standard normal distribution truncated to `[-3, 3]`.
const STD_TRUNCATED_AT_3: f64 = 0.986_578_28;

/// The distance from the mean, in standard deviations, beyond which a value is an outlier.
const TRIM: f64 = 6.5;

/// The mean, the standard deviation and the range of the values that a distribution must fit.
struct Estimate {
    /// Whether exact zeros are ignored. This is true if more than 0.1 % of the finite values are 0. Random values have
    /// fewer zeros, so most of the zeros are from a `sparse` scheme or from the row of a padding token.
    ignore_zeros: bool,
    /// The modes, which are ignored.
    modes: Vec<f64>,
    /// The number of finite values, without the ignored ones.
    count: f64,
    /// The mean, or 0 if the measured mean is within 5 standard errors of 0.
    mean: f64,
    std: f64,
    min: f64,
    max: f64,
}

impl Estimate {
    /// Estimates the moments of all values but exact zeros, if there are many, and `modes`.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    fn new(scan: &Scan<'_>, modes: Vec<f64>) -> Result<Self> {
        let summary = &scan.summary;
        let finite = summary.finite as f64;
        let ignore_zeros = summary.zeros as f64 > 1e-3 * finite;
        let count = if ignore_zeros { finite - summary.zeros as f64 } else { finite };
        let mean = summary.sum / count;
        let std = (summary.squares / count - mean.powi(2)).max(0.0).sqrt();
        let (min, max) = (summary.min, summary.max);
        let mut estimate = Self { ignore_zeros, modes, count, mean, std, min, max };
        if estimate.modes.is_empty() {
            estimate.mean = near_zero(mean, std, count);
        } else {
            estimate.refine(scan, f64::INFINITY)?;
        }
        Ok(estimate)
    }

    /// Returns whether the distribution must fit this value.
    fn includes(&self, x: f64) -> bool {
        x.is_finite() && !(self.ignore_zeros && x == 0.0) && !self.modes.contains(&x)
    }

    /// Estimates the moments again, from the values whose distance from the present mean is at most `reach`. Returns
    /// the number of other values.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    fn refine(&mut self, scan: &Scan<'_>, reach: f64) -> Result<u64> {
        let (mut inside, mut outside, mut sum, mut squares) = (0u64, 0u64, 0.0, 0.0);
        let (mut min, mut max) = (f64::INFINITY, f64::NEG_INFINITY);
        scan.values(|values| {
            for &x in values.iter().filter(|x| self.includes(**x)) {
                let distance = x - self.mean;
                if distance.abs() <= reach {
                    inside += 1;
                    sum += distance;
                    squares += distance * distance;
                    (min, max) = (min.min(x), max.max(x));
                } else {
                    outside += 1;
                }
            }
        })?;
        if inside > 0 {
            let count = inside as f64;
            let shift = sum / count;
            let std = (squares / count - shift * shift).max(0.0).sqrt();
            let mean = near_zero(self.mean + shift, std, count);
            *self = Self { count, mean, std, min, max, modes: std::mem::take(&mut self.modes), ..*self };
        }
        Ok(outside)
    }

    /// Returns the largest distance of a value from the mean.
    fn reach(&self) -> f64 {
        (self.max - self.mean).max(self.mean - self.min)
    }

    /// Returns the distributions that the moments and the range allow, in the order in which they are tried.
    fn candidates(&self) -> Vec<Univariate> {
        let Self { count, mean, std, .. } = *self;
        let mut candidates = Vec::new();
        // The distance from the mean to a bound is larger than the largest distance among n uniform values, by a
        // fraction of about 1/n.
        let reach = self.reach() * (1.0 + 1.0 / count);
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

/// Returns a mean, or 0 if the mean is within 5 standard errors of 0.
fn near_zero(mean: f64, std: f64, count: f64) -> f64 {
    if mean.abs() < 5.0 * std / count.sqrt() { 0.0 } else { mean }
}

/// Returns [`Kind::Fresh`] with the distribution that fits the values, or [`Kind::Other`] if none fits. Adds messages
/// to `problems` if there are modes, outliers, clamped values or several rows of zeros, and to `notes` if the mode may
/// be intended.
///
/// # Errors
/// Returns an error if the file cannot be read.
pub(super) fn distribution(
    scan: &Scan<'_>,
    problems: &mut Vec<String>,
    notes: &mut Vec<String>,
) -> Result<Kind> {
    let summary = &scan.summary;
    let mut estimate = Estimate::new(scan, scan.sample.modes())?;
    modes(scan, &estimate, problems, notes)?;
    let mut fitted = fit(scan, estimate.candidates(), &estimate, f64::INFINITY)?;
    if fitted.is_none() {
        fitted = fit_without_outliers(scan, &mut estimate, problems)?;
    }
    clamped_values(scan, fitted.is_some(), &estimate.modes, problems);
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
        let values = if reach.is_finite() || !estimate.modes.is_empty() {
            let included = |x: &f64| estimate.includes(*x) && (x - estimate.mean).abs() <= reach;
            near = values.iter().copied().filter(included).collect();
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
    estimate: &mut Estimate,
    problems: &mut Vec<String>,
) -> Result<Option<ReferenceDistribution>> {
    let finite = scan.summary.finite as f64;
    let (min, max) = (estimate.min, estimate.max);
    let deviation = estimate.reach() / estimate.std;
    if finite * statrs::function::erf::erfc(deviation / std::f64::consts::SQRT_2) >= 1e-6 {
        return Ok(None);
    }
    // A value is an outlier if it is farther than `TRIM` standard deviations from the mean. Outliers shift the mean and
    // enlarge the std, so both are estimated several times. Each estimate leaves out the values that are outliers by
    // the previous estimate.
    let mut outliers = 0;
    for _ in 0..6 {
        outliers = estimate.refine(scan, TRIM * estimate.std)?;
    }
    if outliers == 0 || outliers as f64 >= 1e-3 * finite {
        return Ok(None);
    }
    let (mean, std) = (estimate.mean, estimate.std);
    let fitted = fit(scan, vec![Univariate::normal(mean, std)], estimate, TRIM * std)?;
    if fitted.is_some() {
        problems.push(format!(
            "{outliers} of {} values are outliers, up to {:.0} std from the mean; the others fit a normal distribution",
            scan.summary.finite,
            (max - mean).max(mean - min) / std
        ));
    }
    Ok(fitted)
}

/// Adds a message for each mode, with its exact number of values. The message on a mode at 1, as of a norm whose weights
/// were hardly trained, is a note.
fn modes(
    scan: &Scan<'_>,
    estimate: &Estimate,
    problems: &mut Vec<String>,
    notes: &mut Vec<String>,
) -> Result {
    let mut counts = vec![0u64; estimate.modes.len()];
    if counts.is_empty() {
        return Ok(());
    }
    scan.values(|values| {
        for (mode, count) in estimate.modes.iter().zip(&mut counts) {
            *count += values.iter().filter(|x| *x == mode).count() as u64;
        }
    })?;
    for (&mode, count) in estimate.modes.iter().zip(counts) {
        let bound = match mode {
            _ if mode == scan.summary.min => ", the smallest value: clamped?",
            _ if mode == scan.summary.max => ", the largest value: clamped?",
            _ => "",
        };
        let finite = scan.summary.finite;
        let distance = (mode - estimate.mean).abs() / estimate.std;
        let message = format!(
            "{count} of {finite} values are exactly {}, {} std from the mean of the others{bound}",
            short(mode),
            short(distance)
        );
        if mode == 1.0 { notes.push(message) } else { problems.push(message) }
    }
    Ok(())
}

/// Adds a message to `problems` if many values are equal to the smallest or the largest value, which is not one of
/// `modes`. `fitted` is true if a distribution fits the values.
fn clamped_values(scan: &Scan<'_>, fitted: bool, modes: &[f64], problems: &mut Vec<String>) {
    let summary = &scan.summary;
    let finite = summary.finite as f64;
    // Equal random values are rare in a wide type and common in a narrow one.
    let wide = scan.dtype == DType::F32 || scan.dtype == DType::F64;
    let piled = |count: u64| if wide { count >= 5 } else { count as f64 > 0.02 * finite };
    for (name, bound, count) in
        [("smallest", summary.min, summary.count_at_min), ("largest", summary.max, summary.count_at_max)]
    {
        let is_new = bound != 0.0 && !modes.contains(&bound);
        if is_new && piled(count) && (fitted || count as f64 <= 0.2 * finite) {
            problems.push(format!("{count} values are exactly {bound:.6e}, the {name} value: clamped?"));
        }
    }
}
