//! Classification of a tensor without a plan. The result is the distribution that the values follow, or another kind of
//! values.
//!
//! A distribution is accepted if its Kolmogorov-Smirnov p-value is above 1e-5, if the smallest and the largest value
//! are plausible, and if rows and columns are alike. The p-value is Massart's bound. The bound also holds if the
//! parameters of the distribution were fitted to the values, because fitting can only reduce the distance.
//!
//! Rows and columns are alike if their means and mean squares vary no more than for independent values, within 6
//! standard errors. The test detects training, because training changes the means and mean squares of rows long before
//! it changes the distribution of all values.

mod fit;
pub(crate) mod kind;
mod sample;
mod scan;
pub(crate) mod schemes;
mod summary;
mod tables;

use fanin_checkpoint::{Checkpoint, Progress};

use super::orthogonal;
use super::repeats::Repeat;
use super::tensor_view::TensorView;
use crate::error::Result;
use kind::{Classification, Kind};
use scan::Scan;

/// The smallest number of finite values for which a distribution is recognized.
const MIN_VALUES: u64 = 64;

/// The largest number of rows or columns of a matrix that is compared with an orthogonal one. The comparison stores a
/// few numbers for each.
const MAX_LINE: usize = 1 << 22;

/// Classifies the tensor at this index of the manifest.
///
/// # Errors
/// Returns an error if the file cannot be read.
pub(crate) fn classify(
    checkpoint: &Checkpoint,
    tensor: usize,
    progress: &dyn Progress,
) -> Result<Classification> {
    let entry = &checkpoint.manifest.entries[tensor];
    let Some(dtype) = entry.dtype.float() else {
        let kind = match entry.dtype.is_read() {
            _ if entry.values() == 0 => Kind::Empty,
            true => Kind::Integers,
            false => Kind::NotExamined,
        };
        return Ok(Classification { kind, ..Classification::default() });
    };
    let scan = Scan::new(checkpoint, tensor, dtype, progress)?;
    let mut problems = Vec::new();
    problems.extend(non_finite_values(&scan));
    let mut notes = Vec::new();
    let kind = kind_of(&scan, &mut problems, &mut notes)?;
    problems.extend(repeated_values(&scan, kind));
    notes.extend(zero_matrix(&scan, kind));
    let summary = &scan.summary;
    Ok(Classification {
        kind,
        problems,
        notes,
        zero_rows: summary.zero_rows(),
        mean: (summary.finite > 0).then(|| summary.mean()),
        std: (summary.finite > 0).then(|| summary.std()),
        zeros: Some(summary.zeros),
        hash: summary.hash,
    })
}

/// Returns the kind of a tensor. Adds messages to `problems` that say what is wrong with the values, and to `notes` that
/// say what should be checked.
fn kind_of(scan: &Scan<'_>, problems: &mut Vec<String>, notes: &mut Vec<String>) -> Result<Kind> {
    let summary = &scan.summary;
    if scan.entry.values() == 0 {
        return Ok(Kind::Empty);
    }
    if summary.finite == 0 {
        return Ok(Kind::Other);
    }
    if let Some(problem) = uninitialized_memory(scan) {
        problems.push(problem);
        return Ok(Kind::Uninitialized);
    }
    if summary.min == summary.max {
        return Ok(Kind::Constant(summary.min));
    }
    if summary.zeros + summary.ones == summary.finite {
        return Ok(Kind::ZerosAndOnes);
    }
    if let Some(table) = tables::table(scan, problems)? {
        return Ok(table);
    }
    if summary.finite < MIN_VALUES {
        return Ok(Kind::TooFew);
    }
    if let Some(gain) = orthogonal_gain(scan)? {
        return Ok(Kind::Orthogonal(gain));
    }
    fit::distribution(scan, problems, notes)
}

/// Returns a message if values are NaN or infinite, and `None` otherwise.
fn non_finite_values(scan: &Scan<'_>) -> Option<String> {
    let summary = &scan.summary;
    if summary.finite == 0 && summary.infinite > 0 && summary.infinite == summary.non_finite {
        return Some("every value is infinite: an overflow?".to_owned());
    }
    let values = scan.entry.values();
    (summary.non_finite > 0).then(|| format!("{} of {values} values are NaN or infinite", summary.non_finite))
}

/// Returns a message if more than 0.1 % of the values are subnormal or above 1e15, or if all values are the same
/// subnormal number. Returns `None` otherwise.
fn uninitialized_memory(scan: &Scan<'_>) -> Option<String> {
    let summary = &scan.summary;
    if summary.min == summary.max {
        return summary
            .is_subnormal(summary.min)
            .then(|| format!("every value is {:.1e}, subnormal: uninitialized memory?", summary.min));
    }
    let implausible = summary.implausible;
    (implausible as f64 > 0.001 * summary.finite as f64)
        .then(|| format!("{implausible} values are subnormal or beyond 1e15: uninitialized memory?"))
}

/// Returns a message if a range or a row of values is repeated, and if this is a problem for a tensor of this kind.
/// Returns `None` otherwise.
fn repeated_values(scan: &Scan<'_>, kind: Kind) -> Option<String> {
    let repeat = match kind {
        Kind::Fresh(_) | Kind::Orthogonal(_) => scan.repeats.any(),
        Kind::Table(_) => None,
        _ => scan.repeats.large(),
    };
    repeat.map(|repeat| match repeat {
        Repeat::Range(..) => format!("{repeat}: two shards with the same values?"),
        Repeat::Rows(..) => repeat.to_string(),
    })
}

/// Returns a message if all values of a matrix are 0, and `None` otherwise. Such a matrix may be intended, but should be
/// checked.
fn zero_matrix(scan: &Scan<'_>, kind: Kind) -> Option<String> {
    let zero_matrix = kind == Kind::Constant(0.0) && scan.entry.shape.len() >= 2 && scan.entry.values() > 1;
    let text =
        "every value of this matrix is 0: intended, as for a last layer or LoRA's B, or never written?";
    zero_matrix.then(|| text.to_owned())
}

/// Returns the Euclidean norm that all rows have in common if the rows are orthogonal, and `None` otherwise. In a
/// matrix with more rows than columns, the columns take the place of the rows.
fn orthogonal_gain(scan: &Scan<'_>) -> Result<Option<f64>> {
    let summary = &scan.summary;
    let short = summary.rows().min(summary.columns());
    if short < 2 || summary.rows().max(summary.columns()) > MAX_LINE || summary.non_finite > 0 {
        return Ok(None);
    }
    let gain = (summary.squares / short as f64).sqrt();
    let view = TensorView::whole(scan.checkpoint(), scan.tensor);
    let departure = orthogonal::departure(&view, gain)?;
    Ok((departure < orthogonal::tolerance(scan.dtype)).then_some(gain))
}
