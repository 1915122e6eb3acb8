//! Tensors whose values are computed, not random.

use fanin::DType;

use super::kind::Kind;
use super::scan::Scan;
use crate::check::grid;
use crate::error::Result;

/// The smallest number of values with which a tensor is recognized as sines and cosines.
const MIN_VALUES: u64 = 64;

/// Returns the kind of a tensor whose rows are all equal, or whose rows are sines and cosines of common angles. Returns
/// `None` for other tensors. If all rows are equal and look random, a message is added to `problems`.
///
/// # Errors
/// Returns an error if the file cannot be read.
pub(super) fn table(scan: &Scan<'_>, problems: &mut Vec<String>) -> Result<Option<Kind>> {
    let summary = &scan.summary;
    if scan.repeats.all_rows_equal() && summary.non_finite == 0 {
        if is_random(&scan.first_row()?) {
            problems.push("every row is the same: drawn once and repeated?".to_owned());
            return Ok(Some(Kind::Other));
        }
        return Ok(Some(Kind::Table("every row the same")));
    }
    if is_monotone(scan)? {
        return Ok(Some(Kind::Table("a rising or falling sequence")));
    }
    if has_few_values(scan)? {
        return Ok(Some(Kind::Table("a few distinct values")));
    }
    if summary.finite >= MIN_VALUES && summary.max == 1.0 && summary.min >= -1.0 && is_sines(scan)? {
        return Ok(Some(Kind::Table("sines and cosines")));
    }
    Ok(None)
}

/// Returns whether the values of a vector rise or fall from the first to the last. Random values do so by chance once in
/// 40,000 for 8 values, and practically never for more.
fn is_monotone(scan: &Scan<'_>) -> Result<bool> {
    let vector = scan.shape().iter().filter(|size| **size > 1).count() == 1;
    if !vector || scan.count() < 8 || scan.summary.non_finite > 0 {
        return Ok(false);
    }
    let (mut last, mut rises, mut falls) = (f64::NAN, false, false);
    scan.values(|values| {
        for &x in values {
            rises |= x > last;
            falls |= x < last;
            last = x;
        }
    })?;
    Ok(!(rises && falls))
}

/// Returns whether a tensor has at most 8 distinct values (2 in a narrow type), of which each occurs often. Random values
/// of f32 and f64 are practically all distinct. Values that occur once or twice are not a formula's.
fn has_few_values(scan: &Scan<'_>) -> Result<bool> {
    let wide = scan.dtype == DType::F32 || scan.dtype == DType::F64;
    let most = if wide { 8 } else { 2 };
    if scan.count() < 64 || scan.summary.non_finite > 0 || scan.summary.zeros * 2 > scan.summary.finite {
        return Ok(false);
    }
    if !scan.repeats.starts_with_few(most) {
        return Ok(false);
    }
    let mut known: Vec<f64> = Vec::new();
    scan.values(|values| {
        for x in values {
            if known.len() <= most && !known.contains(x) {
                known.push(*x);
            }
        }
    })?;
    Ok(known.len() <= most)
}

/// Returns whether all values of a small tensor of a wide type are multiples of 1/64. Random values practically never are.
pub(super) fn has_short_numbers(scan: &Scan<'_>) -> Result<bool> {
    let wide = scan.dtype == DType::F32 || scan.dtype == DType::F64;
    if !wide || scan.count() < 3 || scan.summary.non_finite > 0 {
        return Ok(false);
    }
    let mut short = true;
    scan.values(|values| short &= values.iter().all(|x| x.abs() < 1e4 && (x * 64.0).fract() == 0.0))?;
    Ok(short)
}

/// Returns whether a row changes between rising and falling about as often as random values do.
///
/// Of n random values, 2/3 (n - 2) are turning points (local minima or maxima) on average. Computed rows have few
/// turning points. The threshold is half of the average. For 16 random values, the threshold is 3 standard deviations
/// below the average.
fn is_random(row: &[f64]) -> bool {
    let is_turning_point = |w: &&[f64]| (w[1] > w[0]) != (w[2] > w[1]) && w[0] != w[1] && w[1] != w[2];
    let turning_points = row.windows(3).filter(is_turning_point).count();
    turning_points as f64 > row.len().saturating_sub(2) as f64 / 3.0
}

/// Returns whether each line along the last axis consists of the sines and the cosines of n/2 angles, where n is the
/// length of the line. Because sin^2 + cos^2 = 1, the squares of such a line add up to n/2, up to rounding. Lines of
/// zeros, as for a class token, are ignored.
fn is_sines(scan: &Scan<'_>) -> Result<bool> {
    let width = scan.shape().last().copied().unwrap_or_default();
    if width < 4 || !width.is_multiple_of(2) {
        return Ok(false);
    }
    let expected = width as f64 / 2.0;
    let tolerance = 1e-5 + 4.0 * grid::epsilon(scan.dtype);
    let (mut squares, mut column, mut wrong, mut lines) = (0.0, 0, 0u64, 0u64);
    scan.values(|values| {
        for x in values {
            squares += x * x;
            column += 1;
            if column == width {
                lines += u64::from(squares > 0.0);
                wrong += u64::from(squares > 0.0 && (squares / expected - 1.0).abs() > tolerance);
                (squares, column) = (0.0, 0);
            }
        }
    })?;
    Ok(wrong == 0 && lines > 0)
}
