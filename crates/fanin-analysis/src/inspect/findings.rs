//! What is worth a warning at a glance. `verify` has the tests with a stated rate of false alarms; here a number is told
//! if it lies more than [`LIMIT`] standard errors from its plan.

use fanin::{Distribution, Plan};

use crate::check::sample::Reference;
use crate::inspect::spectrum::Spectrum;
use crate::stats::Stats;
use fanin_recipe::manifest::Entry;
use fanin_recipe::recipe::Planned;
use fanin_recipe::text::{count, counted, short};

/// Standard errors. A normal deviate is further out once in a million and a half.
const LIMIT: f64 = 5.0;

/// What to say of a tensor.
pub(super) fn of(
    entry: &Entry,
    stats: &Stats,
    planned: Option<&Planned>,
    reference: Option<&Reference>,
    spectrum: Option<&Spectrum>,
) -> Vec<String> {
    let mut all = Vec::new();
    if stats.nans > 0 {
        all.push(format!("{} of {} are NaN", count(stats.nans), counted(stats.count, "value")));
    }
    if stats.infinite > 0 {
        all.push(format!("{} of {} are infinite", count(stats.infinite), counted(stats.count, "value")));
    }
    if !entry.dtype.is_read() && entry.values() > 0 {
        all.push(format!("{} values are not examined: only their bytes are known here", entry.dtype));
    }
    let (Some(mean), Some(std), Some(min), Some(max)) = (stats.mean(), stats.std(), stats.min(), stats.max())
    else {
        return all;
    };
    // Where the plan makes no matrix of full rank, it is none.
    let full = match planned.map(|planned| planned.plan.as_ref().map(Plan::distribution)) {
        Some(
            None
            | Some(Distribution::Constant { .. } | Distribution::Dirac { .. } | Distribution::Sparse { .. }),
        ) => false,
        _ => min < max,
    };
    if full && let Some(found) = spectrum.filter(|found| found.condition() == Some(f64::INFINITY)) {
        all.push(format!(
            "not of full rank as {} x {}: rows or columns alike, or zero?",
            count(found.rows as u64),
            count(found.columns as u64)
        ));
    }
    match planned {
        Some(planned) => match (&planned.plan, planned.integer) {
            (Some(plan), _) => {
                all.extend(plan.warnings().iter().map(ToString::to_string));
                all.extend(against(plan, stats, reference, [mean, std, min, max]));
            }
            (None, Some(value)) => all.extend(not_everywhere(value as f64, min, max)),
            (None, None) => {}
        },
        None if entry.dtype.float().is_some() && entry.shape.len() >= 2 && min == max && stats.count > 1 => {
            all.push(format!("every value of this matrix is {}", short(min)));
        }
        None => {}
    }
    all
}

fn not_everywhere(value: f64, min: f64, max: f64) -> Option<String> {
    // A NaN is planned as such, or is no value at all.
    let off = min != value || max != value;
    let found = if min == max { short(min) } else { format!("{} to {}", short(min), short(max)) };
    off.then(|| format!("found {found}, planned {} everywhere", short(value)))
}

/// What departs from a plan.
fn against(plan: &Plan, stats: &Stats, reference: Option<&Reference>, found: [f64; 4]) -> Option<String> {
    let [mean, std, min, max] = found;
    let dtype = plan.dtype();
    match plan.distribution() {
        Distribution::Constant { value } => return not_everywhere(dtype.round(value), min, max),
        Distribution::Sparse { zeros, .. } => {
            let wanted = (zeros * plan.shape()[1]) as u64;
            return (stats.zeros < wanted)
                .then(|| format!("{} zeros, planned are {}", count(stats.zeros), count(wanted)));
        }
        Distribution::Orthogonal { .. } | Distribution::Eye | Distribution::Dirac { .. } => {
            // Their length is settled by the plan, up to rounding of each value.
            let length = |mean: f64, std: f64| (mean * mean + std * std).sqrt();
            let (is, right) = (length(mean, std), length(plan.mean(), plan.std()));
            let off = is / right - 1.0;
            return (right > 0.0 && off.abs() > 0.01).then(|| {
                format!("root mean square {}, planned {}: {:+.1} %", short(is), short(right), off * 100.0)
            });
        }
        _ => {}
    }
    let reference = reference?;
    if min == max && stats.count > 1 {
        return Some(format!(
            "every value is {}, planned is a draw of std {}",
            short(min),
            short(plan.std())
        ));
    }
    let (low, high) = reference.draw.bounds();
    let (low, high) = (low.min(dtype.round(low)), high.max(dtype.round(high)));
    if min < low || max > high {
        let planned = format!("planned are {} to {}", short(low), short(high));
        return Some(format!("values from {} to {}, {planned}", short(min), short(max)));
    }
    let n = (stats.count - stats.nans - stats.infinite) as f64;
    if n < 30.0 {
        return None;
    }
    let moments = reference.moments;
    let off = (mean - moments.mean) / (moments.variance / n).sqrt();
    if off.abs() > LIMIT {
        let planned = short(plan.mean());
        return Some(format!("mean {}, planned {planned}: {off:+.1} standard errors", short(mean)));
    }
    let wide = ((moments.m4 - moments.variance * moments.variance) / n).sqrt();
    let off = (std * std - moments.variance) / wide;
    (off.abs() > LIMIT).then(|| {
        let planned = moments.variance.sqrt();
        let part = (std / planned - 1.0) * 100.0;
        format!("std {}, planned {}: {part:+.1} %, {off:+.1} standard errors", short(std), short(planned))
    })
}
