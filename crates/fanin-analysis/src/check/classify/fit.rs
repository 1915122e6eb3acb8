//! Searches for a distribution that fits the values of a tensor.

use fanin::DType;
use fanin_recipe::text::short;

use super::scan::Scan;
use crate::check::distribution::{Moments, Univariate};
use crate::check::empirical::EmpiricalDistribution;
use crate::check::grid;
use crate::check::lanes::FiniteValues;
use crate::check::p_value::{kolmogorov_smirnov, poisson_at_least};
use crate::check::reference::ReferenceDistribution;
use crate::check::signature::Signature;
use crate::check::structure::{Structure, Subject};
use crate::check::tensor::PART;
use crate::check::tensor_view::Part;
use crate::check::test_result::TestResult;
use crate::error::Result;
use crate::parallel::try_reduce;

/// A distribution is accepted if the Kolmogorov-Smirnov test has a p-value above this limit.
const MIN_P_VALUE: f64 = 1e-5;

/// The std of the standard normal distribution truncated to `[-2, 2]`.
pub(super) const STD_TRUNCATED_AT_2: f64 = 0.879_625_66;

/// The std of the standard normal distribution truncated to `[-3, 3]`.
const STD_TRUNCATED_AT_3: f64 = 0.986_578_28;

/// A value is an outlier if its distance from the mean is more than this many standard deviations.
const TRIM: f64 = 6.5;

/// Values are called dependent if a test of structure has a p-value below this limit. With about ten tests per tensor,
/// about one fresh tensor in 100,000 is wrongly called trained.
const DEPENDENT: f64 = 1e-6;

/// Estimates of the mean, the standard deviation and the range of a tensor's values. Candidate distributions are
/// derived from these estimates.
struct Estimate {
    /// Whether zeros are ignored. True if more than 0.1 % of the finite values are 0, and the type has more than 8
    /// bits. Most of these zeros come from a `sparse` scheme or from a padding token's row.
    ignore_zeros: bool,
    /// The modes: values that occur far more often than the values next to them. The estimates ignore the modes.
    modes: Vec<f64>,
    /// The number of finite values that are not ignored.
    count: f64,
    /// The mean, or 0 if the measured mean is within 5 standard errors of 0.
    mean: f64,
    /// The standard deviation.
    std: f64,
    /// The smallest value.
    min: f64,
    /// The largest value.
    max: f64,
}

impl Estimate {
    /// Estimates the moments of the finite values. The values in `modes` are ignored. Zeros are ignored if
    /// [`Estimate::ignore_zeros`] is true.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    fn new(scan: &Scan<'_>, modes: Vec<f64>) -> Result<Self> {
        let summary = &scan.summary;
        let finite = summary.finite() as f64;
        // In a type of 8 bits, rounding turns many small values into 0.
        let ignore_zeros = summary.zeros as f64 > 1e-3 * finite && scan.dtype.size() > 1;
        let (mean, std) = (summary.mean(), summary.std());
        let (min, max) = (summary.min, summary.max);
        let mut estimate = Self { ignore_zeros, modes, count: finite, mean, std, min, max };
        if estimate.modes.is_empty() && !ignore_zeros {
            estimate.mean = near_zero(mean, std, finite);
        } else {
            estimate.refine(scan, f64::INFINITY)?;
        }
        Ok(estimate)
    }

    /// Returns whether `x` is finite and not ignored.
    fn includes(&self, x: f64) -> bool {
        x.is_finite() && !(self.ignore_zeros && x == 0.0) && !self.modes.contains(&x)
    }

    /// Estimates the moments again, from the values within `reach` of the current mean. Returns the number of values
    /// that are farther away.
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

    /// Returns the distributions that agree with the moments and the range, in the order in which they are tried.
    fn candidates(&self, dtype: DType) -> Vec<Univariate> {
        let Self { count, mean, std, .. } = *self;
        let mut candidates = Vec::new();
        // `reach` is an estimate of the bound of a uniform distribution. On average, the bound is about 1 + 1/n times
        // as far from the mean as the farthest of n values.
        let mut reach = self.reach() * (1.0 + 1.0 / count);
        if (reach / 3f64.sqrt() / std - 1.0).abs() < 0.05 + grid::epsilon(dtype) / 2.0 + 3.0 / count.sqrt() {
            // In a type of 8 bits, the largest value is a poor estimate of the bound.
            if dtype.size() == 1 {
                reach = 3f64.sqrt() * std;
            }
            let (low, high) = if mean == 0.0 || dtype.size() == 1 {
                (mean - reach, mean + reach)
            } else {
                // The bounds are estimated from the smallest and the largest value. Estimates from the mean would be
                // less precise.
                let beyond = (self.max - self.min) / count;
                (self.min - beyond, self.max + beyond)
            };
            candidates.push(Univariate::Uniform { low, high });
        }
        // A truncated normal distribution is tried before the normal distribution if its bound is close to the largest
        // value. The normal distribution also fits a small sample of truncated values. Truncated distributions with a
        // higher bound are tried last: the largest of few values may be far below the bound.
        let mut loose = Vec::new();
        for (bound, remaining) in [(2.0, STD_TRUNCATED_AT_2), (3.0, STD_TRUNCATED_AT_3)] {
            let std = std / remaining;
            let slack = 0.02 + grid::epsilon(dtype) / 2.0;
            let ratio = reach / (bound * std);
            let truncated = |reach| Univariate::Normal { mean, std, low: mean - reach, high: mean + reach };
            if (ratio - 1.0).abs() <= slack {
                candidates.push(truncated(if dtype.size() == 1 { bound * std } else { reach }));
            } else if ratio < 1.0 {
                loose.push(truncated(bound * std));
            }
        }
        candidates.push(Univariate::normal(mean, std));
        candidates.extend(loose);
        candidates
    }
}

/// Returns `mean`, or 0 if `mean` is within 5 standard errors of 0. `count` is the number of values.
fn near_zero(mean: f64, std: f64, count: f64) -> f64 {
    if mean.abs() < 5.0 * std / count.sqrt() { 0.0 } else { mean }
}

/// A distribution that fits the values of a tensor.
pub(super) struct Fit {
    /// The distribution.
    pub(super) distribution: Univariate,
    /// The results of the failed tests of structure, and of the failed test `repeats` if two rows, columns or blocks
    /// have the same magnitudes. A test fails if its p-value is below `DEPENDENT`.
    pub(super) dependence: Vec<TestResult>,
}

/// The distribution, the tests and the signature that [`distribution`] found.
pub(super) struct Fitted {
    /// The distribution that fits the values, or `None` if none of the candidates fits.
    pub(super) fit: Option<Fit>,
    /// The statistics from which [`Structure::tests`] computes test results. `None` if the tensor has modes (values
    /// that occur too often), ignored zeros or non-finite values, or if its values differ too little to be tested.
    pub(super) structure: Option<Structure>,
    /// The numbers by which the values are compared with the values of other tensors. `None` if the values differ too
    /// little to be compared.
    pub(super) signature: Option<Signature>,
}

/// Searches for a distribution that fits the values of a tensor.
///
/// Adds a message to `problems` if there are modes (values that occur too often), outliers, clamped values, blocks of
/// zeros or several rows of zeros. The message on a mode that may be intended is added to `notes` instead.
///
/// # Errors
/// Returns an error if the file cannot be read.
pub(super) fn distribution(
    scan: &Scan<'_>,
    problems: &mut Vec<String>,
    notes: &mut Vec<String>,
) -> Result<Fitted> {
    let summary = &scan.summary;
    let mut estimate = Estimate::new(scan, scan.sample.modes())?;
    modes(scan, &estimate, problems, notes)?;
    let nothing = Fitted { fit: None, structure: None, signature: None };
    // The standard deviation is below the resolution of f64 at the mean, so the distribution cannot be tested.
    if !(estimate.std > 1e-290 && estimate.std > 1e3 * f64::EPSILON * estimate.mean.abs()) {
        return Ok(nothing);
    }
    let mut found = fit(scan, estimate.candidates(scan.dtype), &estimate, f64::INFINITY)?;
    if found.reference.is_none()
        && let Some(without_outliers) = fit_without_outliers(scan, &mut estimate, problems)?
    {
        found = without_outliers;
    }
    clamped_values(scan, found.reference.as_ref(), &estimate.modes, problems);
    // A single row of zeros may belong to a padding token. Several rows of zeros may occur by chance if rows are short.
    let (rows, width) = scan.matrix();
    let zeros = summary.zeros as f64 / summary.finite() as f64;
    let by_chance = rows as f64 * zeros.powf(width as f64);
    if summary.zero_rows > 1 && poisson_at_least(summary.zero_rows as u64, by_chance) < 1e-9 {
        problems.push(format!("{} of {rows} rows are all zeros: never written?", summary.zero_rows));
    } else {
        problems.extend(zeros_together(scan, found.reference.is_some())?);
    }
    let Found { reference, structure, signature } = found;
    let fit = reference.map(|reference| {
        let tests = structure.iter().flat_map(|structure| {
            let tests = structure.tests(scan.shape(), &reference.moments).into_iter();
            // The columns of an orthogonal 2 x 2 matrix have the same magnitudes, so stacks of 2 x 2 matrices are not
            // tested.
            let same_magnitudes =
                if let [_, 2, 2] = scan.shape() { None } else { scan.repeats.same_magnitudes() };
            tests.chain(same_magnitudes)
        });
        let dependence = tests.filter(|result| result.p_value < DEPENDENT).collect();
        Fit { distribution: reference.distribution, dependence }
    });
    Ok(Fitted { fit, structure, signature: Some(signature) })
}

/// Returns a message if far more zeros are adjacent than is likely for zeros at random positions. `fitted` is whether a
/// distribution fits the other values. If it is false, returns `None`. A single row of zeros is ignored, because it may
/// belong to a padding token.
fn zeros_together(scan: &Scan<'_>, fitted: bool) -> Result<Option<String>> {
    let summary = &scan.summary;
    let (rows, width) = scan.matrix();
    let padding = usize::from(scan.shape().len() == 2 && summary.zero_rows == 1);
    let zeros = summary.zeros.saturating_sub((padding * width) as u64);
    let count = scan.count() as f64;
    if zeros < 16 || !fitted || zeros as f64 > 0.95 * count {
        return Ok(None);
    }
    // Among `count` values with `zeros` independent zeros, there are about `zeros^2 / count` pairs of adjacent zeros
    // along an axis.
    let expected = (zeros as f64).powi(2) / count;
    let excessive = |pairs: u64| pairs >= 8 && poisson_at_least(pairs, 1.0 + 1.05 * expected) < 1e-12;
    let along = summary.adjacent_zeros.saturating_sub((padding * width.saturating_sub(1)) as u64);
    let mut together = excessive(along);
    if !together && rows > 1 {
        let (mut below, mut above, mut column) = (0, vec![false; width], 0);
        scan.values(|values| {
            for x in values {
                below += u64::from(*x == 0.0 && above[column]);
                above[column] = *x == 0.0;
                column = (column + 1) % width;
            }
        })?;
        together = excessive(below);
    }
    Ok(together.then(|| {
        let percent = zeros as f64 / count * 100.0;
        format!("{zeros} zeros ({percent:.1} %) are adjacent more often than by chance: a part that was never written?")
    }))
}

/// The result of [`fit`].
struct Found {
    /// The first candidate that fits the values.
    reference: Option<ReferenceDistribution>,
    /// The statistics from which [`Structure::tests`] computes test results. They are the same for all candidates. See
    /// [`Fitted::structure`] for when this field is `None`.
    structure: Option<Structure>,
    /// The numbers by which the values are compared with the values of other tensors. See [`Signature`].
    signature: Signature,
}

/// The statistics of a range of a tensor's rows.
struct PartStatistics {
    /// For each candidate distribution: the numbers of values in its bins.
    samples: Vec<EmpiricalDistribution>,
    structure: Option<Structure>,
    signature: Signature,
}

/// Searches for the first of `candidates` that fits the values. Values farther than `reach` from the mean are ignored.
/// The tests of structure replace these values by the mean.
fn fit(scan: &Scan<'_>, candidates: Vec<Univariate>, estimate: &Estimate, reach: f64) -> Result<Found> {
    let references: Vec<ReferenceDistribution> = candidates
        .into_iter()
        .map(|candidate| ReferenceDistribution::new(candidate, scan.dtype))
        .filter(ReferenceDistribution::is_testable)
        .collect();
    let moments = Moments { mean: estimate.mean, std: estimate.std, ..Moments::NORMAL };
    let all = !estimate.ignore_zeros && estimate.modes.is_empty();
    let structured = all && scan.summary.non_finite == 0;
    let read = |part: &Part<'_>| -> Result<PartStatistics> {
        let subject = Subject { shape: part.view.shape(), dtype: scan.dtype, moments };
        let mut found = PartStatistics {
            samples: vec![EmpiricalDistribution::new(); references.len()],
            structure: structured.then(|| Structure::new(subject)),
            signature: Signature::new(part.first, estimate.mean, estimate.std),
        };
        part.view.values(|values| {
            found.signature.add(values);
            if let Some(structure) = &mut found.structure {
                if reach.is_finite() {
                    let limited =
                        |x: &f64| if (x - estimate.mean).abs() <= reach { *x } else { estimate.mean };
                    let limited: Vec<f64> = values.iter().map(limited).collect();
                    structure.add(values, &limited);
                } else {
                    structure.add(values, values);
                }
            }
            let included = |x: f64| estimate.includes(x) && (x - estimate.mean).abs() <= reach;
            let near;
            let (values, range) = if structured && reach.is_infinite() {
                (values, (scan.summary.min, scan.summary.max))
            } else {
                near = FiniteValues::filtered(values, included);
                (&*near.values, (near.min, near.max))
            };
            let samples = found.samples.iter_mut().zip(&references);
            samples.for_each(|(sample, reference)| sample.add(reference, values, range));
        })?;
        if let Some(structure) = &mut found.structure {
            structure.finish();
        }
        if part.first == 0 && structured {
            found.signature.finish(&scan.view)?;
        }
        Ok(found)
    };
    let parts = scan.view.parts(PART);
    let merge = |all: &mut PartStatistics, next: PartStatistics| {
        all.samples.iter_mut().zip(&next.samples).for_each(|(sample, next)| sample.merge(next));
        all.signature.merge(&next.signature);
        if let (Some(structure), Some(next)) = (&mut all.structure, next.structure) {
            structure.merge(next);
        }
    };
    let merged = try_reduce(parts.len(), |n| read(&parts[n]), merge)?;
    let PartStatistics { samples, structure, signature } = merged.expect("the tensor has values");
    let fits = |reference: &ReferenceDistribution, sample: &EmpiricalDistribution| {
        let (distance, _) = sample.kolmogorov_smirnov_distance(reference);
        let distance = (distance - reference.wrapped_probability()).max(0.0);
        kolmogorov_smirnov(distance, sample.count as f64) > MIN_P_VALUE
            && sample.extremes(reference).iter().all(|result| result.p_value > 1e-6)
    };
    let fitted = references.into_iter().zip(samples).find(|(reference, sample)| fits(reference, sample));
    Ok(Found { reference: fitted.map(|(reference, _)| reference), structure, signature })
}

/// Fits a normal distribution to all values except outliers, and adds a message on the outliers to `problems`. Returns
/// `None` if the fit fails, if there are no outliers, or if at least 0.1 % of the values are outliers.
fn fit_without_outliers(
    scan: &Scan<'_>,
    estimate: &mut Estimate,
    problems: &mut Vec<String>,
) -> Result<Option<Found>> {
    let finite = scan.summary.finite() as f64;
    let (min, max) = (estimate.min, estimate.max);
    let deviation = estimate.reach() / estimate.std;
    if finite * statrs::function::erf::erfc(deviation / std::f64::consts::SQRT_2) >= 1e-6 {
        return Ok(None);
    }
    // Outliers shift the mean and enlarge the standard deviation. The estimate is therefore repeated, each time without
    // the outliers of the previous estimate.
    let mut outliers = 0;
    for _ in 0..6 {
        outliers = estimate.refine(scan, TRIM * estimate.std)?;
    }
    let (mean, std) = (estimate.mean, estimate.std);
    if outliers == 0 || outliers as f64 >= 1e-3 * finite || std == 0.0 {
        return Ok(None);
    }
    let found = fit(scan, vec![Univariate::normal(mean, std)], estimate, TRIM * std)?;
    let fitted = found.reference.is_some();
    if fitted {
        problems.push(format!(
            "{outliers} of {} values are outliers, up to {:.0} std from the mean; the others fit a normal distribution",
            scan.summary.finite(),
            (max - mean).max(mean - min) / std
        ));
    }
    Ok(fitted.then_some(found))
}

/// Adds a message for each mode (a value that occurs too often) to `problems`. Exception: the message on a mode at 1 is
/// added to `notes` if the tensor may be the weight of a normalization layer.
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
        let finite = scan.summary.finite();
        let distance = (mode - estimate.mean).abs() / estimate.std;
        let message = format!(
            "{count} of {finite} values are exactly {}, {} std from the mean of the others{bound}",
            short(mode),
            short(distance)
        );
        let is_norm = mode == 1.0 && (distance <= 6.0 || 2 * count > finite);
        if is_norm { notes.push(message) } else { problems.push(message) }
    }
    Ok(())
}

/// Adds a message to `problems` if too many values are equal to the smallest or the largest value. Zeros are left out,
/// and so are the values in `modes`, which have their own message. `fitted` is the distribution that fits the values.
fn clamped_values(
    scan: &Scan<'_>,
    fitted: Option<&ReferenceDistribution>,
    modes: &[f64],
    problems: &mut Vec<String>,
) {
    let summary = &scan.summary;
    let finite = summary.finite() as f64;
    let wide = scan.dtype == DType::F32 || scan.dtype == DType::F64;
    let piled = |bound: f64, count: u64| match fitted {
        // Equal random values are rare in a wide type.
        Some(_) if wide => count >= 5,
        // In a narrow type, many random values are rounded to the same value. In torch, a uniform value that is rounded
        // to the upper bound becomes the lower bound.
        Some(reference) => {
            let probability = |x: f64| {
                let (below, above) = grid::rounding_interval(scan.dtype, x);
                reference.distribution.probability(below, above)
            };
            // `probability(bound)` may be too small, because the fitted bound may be inside the rounding interval of
            // `bound`. This interval is at most twice as wide as the rounding interval of the adjacent value `inner`.
            let (below, above) = grid::neighbours(scan.dtype, bound);
            let inner = if bound > 0.0 { below } else { above };
            let likely = probability(bound).max(2.0 * probability(inner)) + reference.wrapped_probability();
            count >= 5 && poisson_at_least(count, 1.2 * finite * likely + 1.0) < 1e-9
        }
        None if wide => count >= 5 && count as f64 <= 0.2 * finite,
        // In a type of 8 bits, any value may be frequent.
        None => {
            scan.dtype.size() > 1 && count >= 20 && (0.04 * finite..=0.2 * finite).contains(&(count as f64))
        }
    };
    for (name, bound, count) in
        [("smallest", summary.min, summary.count_at_min), ("largest", summary.max, summary.count_at_max)]
    {
        let is_new = bound != 0.0 && !modes.contains(&bound);
        if is_new && piled(bound, count) {
            problems.push(format!("{count} values are exactly {bound:.6e}, the {name} value: clamped?"));
        }
    }
}
