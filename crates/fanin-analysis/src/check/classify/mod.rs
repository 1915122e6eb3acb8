//! Classifies the values of a tensor. No recipe is needed. The result is the distribution that the values follow, or
//! another kind, such as constant or orthogonal.
//!
//! A distribution is accepted if its Kolmogorov-Smirnov p-value is above 1e-5 and if the smallest and the largest value
//! are plausible. The p-value is the upper bound of Massart (1990). The parameters of the distribution are fitted to
//! the values. Fitting usually reduces the Kolmogorov-Smirnov distance, which makes the test less strict.
//!
//! Values of an accepted distribution are called fresh if they are also independent of one another
//! ([`structure`](super::structure)). The tests of independence recognize training early. Training changes the largest
//! singular values, and the norms of rows and columns, long before it changes the distribution of all values.

mod blocks;
mod fit;
pub(crate) mod kind;
pub(crate) mod names;
mod sample;
mod scan;
pub(crate) mod schemes;
mod summary;
mod tables;
mod unchanged;

use fanin_checkpoint::{Checkpoint, Progress};

use super::orthogonal;
use super::repeats::Repeat;
use super::test_result::TestResult;
use crate::error::Result;
use blocks::Divided;
use fit::Fitted;
use kind::{Classification, Kind};
use scan::Scan;
use unchanged::{Origin, origin};

/// A distribution is recognized only if the tensor has at least this many finite values.
const MIN_VALUES: u64 = 64;

/// A matrix with more rows or more columns than this is not tested for orthogonality. The test stores a few numbers for
/// each row and each column.
const MAX_LINE: usize = 1 << 22;

/// Classifies the tensor at index `tensor` of the checkpoint's manifest.
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
    classify_scan(&Scan::new(checkpoint, tensor, dtype, progress)?, true)
}

/// Classifies a tensor, or a block of a tensor. `search_blocks` is false for a block, which is not divided further.
fn classify_scan(scan: &Scan<'_>, search_blocks: bool) -> Result<Classification> {
    let mut found = Classification::default();
    found.problems.extend(non_finite_values(scan));
    kind_of(scan, search_blocks, &mut found)?;
    let kind = found.kind;
    found.problems.extend(repeated_values(scan, kind));
    found.notes.extend(note_on_zeros(scan, kind));
    let summary = &scan.summary;
    found.zero_rows = summary.zero_rows;
    found.zeros = Some(summary.zeros);
    found.mean = (summary.finite() > 0).then(|| summary.mean());
    found.std = (summary.finite() > 0).then(|| summary.std());
    found.hash = scan.repeats.hash();
    Ok(found)
}

/// Classifies a block of a tensor, without dividing it further.
fn classify_block(block: &Scan<'_>) -> Result<Classification> {
    classify_scan(block, false)
}

/// Determines the kind of a tensor and stores it in `found`, with the description, the signature, problems and notes.
fn kind_of(scan: &Scan<'_>, search_blocks: bool, found: &mut Classification) -> Result {
    let summary = &scan.summary;
    let simple = match () {
        () if scan.count() == 0 => Some(Kind::Empty),
        () if summary.finite() == 0 => Some(Kind::Other),
        () => match uninitialized_memory(scan) {
            Some(problem) => {
                found.problems.push(problem);
                Some(Kind::Uninitialized)
            }
            None if summary.min == summary.max => Some(Kind::Constant(summary.min)),
            None if summary.zeros + summary.ones == summary.finite() => Some(Kind::ZerosAndOnes),
            None => tables::table(scan, &mut found.problems)?,
        },
    };
    if let Some(kind) = simple {
        found.kind = kind;
        return Ok(());
    }
    if summary.finite() < MIN_VALUES {
        let computed = tables::has_short_numbers(scan)?;
        found.kind = if computed { Kind::Table("numbers of a few digits") } else { Kind::TooFew };
        return Ok(());
    }
    let gain = orthogonal_gain(scan)?;
    if search_blocks
        && let Some(divided) = blocks::orthogonal(scan, gain.is_some(), &classify_block, &mut found.problems)?
    {
        found.use_blocks(divided);
        return Ok(());
    }
    if let Some(gain) = gain {
        found.kind = Kind::Orthogonal(gain);
        return Ok(());
    }
    let before = found.problems.len();
    let Fitted { fit, structure, signature } =
        fit::distribution(scan, &mut found.problems, &mut found.notes)?;
    found.signature = signature;
    found.kind = match &fit {
        Some(fit) => Kind::Fresh(fit.distribution),
        None => Kind::Other,
    };
    let independent = fit.is_some_and(|fit| {
        // Rounded values are still independent. Copied values are reported as a problem, but do not change the kind.
        let independent = fit.dependence.iter().all(|result| ["rounded", "repeats"].contains(&result.test));
        report_dependence(fit.dependence, found);
        independent
    });
    if !independent {
        found.kind = Kind::Other;
        let has_problems = found.problems.len() > before;
        if let Some(structure) = structure.filter(|_| search_blocks && !has_problems)
            && let Some(divided) = blocks::of(scan, &structure, &classify_block, &mut found.problems)?
        {
            found.use_blocks(divided);
            found.notes.clear();
        }
    }
    if let Kind::Fresh(distribution) = found.kind {
        use_origin(origin(scan, &distribution)?, found);
    }
    Ok(())
}

impl Classification {
    fn use_blocks(&mut self, Divided { kind, description, unchanged }: Divided) {
        (self.kind, self.description, self.unchanged) = (kind, Some(description), unchanged);
    }
}

/// Sets `unchanged`. If only some rows are an unchanged draw, changes the kind to [`Kind::Other`].
fn use_origin(origin: Origin, found: &mut Classification) {
    found.unchanged = origin == Origin::Unchanged;
    if let Origin::PartlyChanged { unchanged, changed } = origin {
        found.set_not_fresh(format!(
            "{unchanged} rows are an unchanged draw of a known generator, and {changed} were changed since: an embedding \
             of which not all tokens were used in training?"
        ));
    }
}

/// Adds a message for each failed test in `dependence`. Repeated values are problems, because training does not copy
/// values. The other messages are notes.
fn report_dependence(dependence: Vec<TestResult>, found: &mut Classification) {
    for TestResult { test, text, .. } in dependence {
        match test {
            "repeats" => found.problems.push(text),
            "rounded" => found.notes.push(text),
            _ => found.notes.push(format!("not independent values: {text}")),
        }
    }
}

/// Returns a message if at least one value is NaN or infinite, and `None` otherwise.
fn non_finite_values(scan: &Scan<'_>) -> Option<String> {
    let summary = &scan.summary;
    if summary.finite() == 0 && summary.infinite > 0 && summary.infinite == summary.non_finite {
        return Some("every value is infinite: an overflow?".to_owned());
    }
    let values = scan.count();
    (summary.non_finite > 0).then(|| format!("{} of {values} values are NaN or infinite", summary.non_finite))
}

/// Returns a message if more than 0.1 % of the finite values are implausible (see `Summary::implausible`). If all
/// finite values are equal, returns a message only if they are implausibly small.
fn uninitialized_memory(scan: &Scan<'_>) -> Option<String> {
    let summary = &scan.summary;
    if summary.min == summary.max {
        return summary
            .is_subnormal(summary.min)
            .then(|| format!("every value is {:.1e}, subnormal: uninitialized memory?", summary.min));
    }
    let implausible = summary.implausible;
    (implausible as f64 > 0.001 * summary.finite() as f64)
        .then(|| format!("{implausible} values are subnormal or beyond 1e15: uninitialized memory?"))
}

/// Returns a message if a range or a row of values occurs twice, unless this is usual for `kind`.
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

/// Returns a message if all values of a matrix are 0, and `None` otherwise. Such a matrix may be intended, or may never
/// have been written.
fn note_on_zeros(scan: &Scan<'_>, kind: Kind) -> Option<String> {
    let zero_matrix = kind == Kind::Constant(0.0) && scan.shape().len() >= 2 && scan.count() > 1;
    let text =
        "every value of this matrix is 0: intended, as for a last layer or LoRA's B, or never written?";
    zero_matrix.then(|| text.to_owned())
}

/// Returns the gain of an orthogonal matrix (see [`Kind::Orthogonal`]). Returns `None` for other matrices.
fn orthogonal_gain(scan: &Scan<'_>) -> Result<Option<f64>> {
    let summary = &scan.summary;
    let (rows, columns) = scan.matrix();
    let short = rows.min(columns);
    if short < 2 || rows.max(columns) > MAX_LINE || summary.non_finite > 0 {
        return Ok(None);
    }
    let gain = summary.norm() / (short as f64).sqrt();
    let entry = orthogonal::root_mean_square(scan.shape(), gain);
    let Some(tolerance) = orthogonal::tolerance(scan.dtype, entry) else { return Ok(None) };
    let products = scan.products_of_first_lines(&scan.view)?;
    if products.is_some_and(|products| !orthogonal::is_plausible(products, gain, tolerance)) {
        return Ok(None);
    }
    let departure = orthogonal::departure(&scan.view, gain)?;
    Ok((departure < tolerance).then_some(gain))
}
