//! Derives warnings about a tensor from its statistics, its singular values and its plan.
//!
//! A mean or a standard deviation is reported if it is more than [`LIMIT`] standard errors from its planned value.
//! [`verify`](crate::verify) makes more tests and limits the rate of false alarms.

use fanin::{Distribution, Plan};
use fanin_recipe::text::{count, counted, short};
use fanin_recipe::{Entry, Planned};

use super::spectrum::Spectrum;
use crate::check::reference::ReferenceDistribution;
use crate::check::sample::in_standard_errors;
use crate::stats::Stats;

/// A deviation of more than this many standard errors is reported. For a normal variable, the probability of such a
/// deviation is 1 in 1.7 million.
const LIMIT: f64 = 5.0;

/// The mean, standard deviation and range of the finite values.
struct Measured {
    mean: f64,
    std: f64,
    min: f64,
    max: f64,
}

impl Measured {
    /// Returns the measured statistics, or `None` if no value is finite.
    fn of(stats: &Stats) -> Option<Self> {
        Some(Self { mean: stats.mean()?, std: stats.std()?, min: stats.min()?, max: stats.max()? })
    }
}

/// Returns the warnings about a tensor. `reference` is the planned distribution, or `None` if the planned values are
/// not independent.
pub(super) fn of(
    entry: &Entry,
    stats: &Stats,
    planned: Option<&Planned>,
    reference: Option<&ReferenceDistribution>,
    spectrum: Option<&Spectrum>,
) -> Vec<String> {
    let mut warnings = Vec::new();
    if stats.nans > 0 {
        warnings.push(format!("{} of {} are NaN", count(stats.nans), counted(stats.count, "value")));
    }
    if stats.infinite > 0 {
        warnings.push(format!("{} of {} are infinite", count(stats.infinite), counted(stats.count, "value")));
    }
    if !entry.dtype.is_read() && entry.values() > 0 {
        warnings
            .push(format!("{} values are not examined: fanin cannot read this type as numbers", entry.dtype));
    }
    let Some(measured) = Measured::of(stats) else { return warnings };
    warnings.extend(rank_deficiency(planned, &measured, spectrum));
    match planned {
        Some(planned) => match (&planned.plan, planned.integer) {
            (Some(plan), _) => {
                warnings.extend(plan.warnings().iter().map(ToString::to_string));
                warnings.extend(deviation(plan, stats, reference, &measured));
            }
            (None, Some(value)) => warnings.extend(not_constant(value as f64, &measured)),
            (None, None) => {}
        },
        None => {
            let is_matrix = entry.dtype.float().is_some() && entry.shape.len() >= 2;
            if is_matrix && measured.min == measured.max && stats.count > 1 {
                warnings.push(format!("every value of this matrix is {}", short(measured.min)));
            }
        }
    }
    warnings
}

/// Returns a warning if a matrix is rank-deficient. Returns `None` if all values are equal, or if the plan allows a
/// rank-deficient matrix, as a constant does.
fn rank_deficiency(
    planned: Option<&Planned>,
    measured: &Measured,
    spectrum: Option<&Spectrum>,
) -> Option<String> {
    let full_rank_expected = match planned.map(|planned| planned.plan.as_ref().map(Plan::distribution)) {
        Some(
            None
            | Some(Distribution::Constant { .. } | Distribution::Dirac { .. } | Distribution::Sparse { .. }),
        ) => false,
        _ => measured.min < measured.max,
    };
    let spectrum = spectrum.filter(|spectrum| spectrum.condition() == Some(f64::INFINITY))?;
    full_rank_expected.then(|| {
        format!(
            "rank-deficient as a matrix of {} x {}: equal rows or columns, or zeros?",
            count(spectrum.rows as u64),
            count(spectrum.columns as u64)
        )
    })
}

/// Returns a warning if a value differs from the constant `value`.
fn not_constant(value: f64, measured: &Measured) -> Option<String> {
    let Measured { min, max, .. } = *measured;
    let found = if min == max { short(min) } else { format!("values from {} to {}", short(min), short(max)) };
    (min != value || max != value).then(|| format!("found {found}, expected {} everywhere", short(value)))
}

/// Returns a warning if the values deviate from their plan.
fn deviation(
    plan: &Plan,
    stats: &Stats,
    reference: Option<&ReferenceDistribution>,
    measured: &Measured,
) -> Option<String> {
    match plan.distribution() {
        Distribution::Constant { value } => not_constant(plan.dtype().round(value), measured),
        Distribution::Sparse { zeros, .. } => {
            let expected = (zeros * plan.shape()[1]) as u64;
            (stats.zeros < expected)
                .then(|| format!("{} zeros, expected {}", count(stats.zeros), count(expected)))
        }
        Distribution::Orthogonal { .. } | Distribution::Eye | Distribution::Dirac { .. } => {
            wrong_norm(plan, measured)
        }
        _ => moment_deviation(plan, stats, reference?, measured),
    }
}

/// Returns a warning if the root mean square of the values differs from its planned value by more than 1 %. The plan
/// must determine the root mean square up to rounding, as `orthogonal` does.
fn wrong_norm(plan: &Plan, measured: &Measured) -> Option<String> {
    let root_mean_square = |mean: f64, std: f64| (mean * mean + std * std).sqrt();
    let found = root_mean_square(measured.mean, measured.std);
    let expected = root_mean_square(plan.mean(), plan.std());
    let relative = found / expected - 1.0;
    (expected > 0.0 && relative.abs() > 0.01).then(|| {
        let percent = relative * 100.0;
        format!("root mean square {}, expected {}: {percent:+.1} %", short(found), short(expected))
    })
}

/// Returns a warning if all values are equal, if a value is out of range, or if the mean or the standard deviation
/// deviates from the plan. The planned values must be random and independent.
fn moment_deviation(
    plan: &Plan,
    stats: &Stats,
    reference: &ReferenceDistribution,
    measured: &Measured,
) -> Option<String> {
    let Measured { mean, std, min, max } = *measured;
    if min == max && stats.count > 1 {
        let planned = short(plan.std());
        return Some(format!("every value is {}, expected random values of std {planned}", short(min)));
    }
    let dtype = plan.dtype();
    let (low, high) = reference.distribution.bounds();
    let (low, high) = (low.min(dtype.round(low)), high.max(dtype.round(high)));
    if min < low || max > high {
        let expected = format!("expected {} to {}", short(low), short(high));
        return Some(format!("values from {} to {}, {expected}", short(min), short(max)));
    }
    let n = (stats.count - stats.nans - stats.infinite) as f64;
    if !reference.is_testable() || !reference.has_normal_sums(n as u64) {
        return None;
    }
    let moments = reference.moments;
    let deviation = (mean - moments.mean) / moments.std * n.sqrt();
    if deviation.abs() > LIMIT {
        let planned = short(plan.mean());
        return Some(format!("mean {}, expected {planned}: {}", short(mean), in_standard_errors(deviation)));
    }
    let ratio = std / moments.std;
    let deviation = (ratio * ratio - 1.0) / ((moments.kurtosis - 1.0) / n).sqrt();
    (deviation.abs() > LIMIT).then(|| {
        let percent = (ratio - 1.0) * 100.0;
        format!(
            "std {}, expected {}: {percent:+.1} %, {}",
            short(std),
            short(moments.std),
            in_standard_errors(deviation)
        )
    })
}
