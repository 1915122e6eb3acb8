//! Recognizes tensors whose values follow a formula or a pattern instead of being random.

use fanin::DType;

use super::kind::Kind;
use super::scan::Scan;
use crate::check::grid;
use crate::error::Result;

/// A tensor is recognized as sines and cosines only if it has at least this many finite values.
const MIN_VALUES: u64 = 64;

/// Returns [`Kind::Table`] if the values follow a pattern, and `None` otherwise. The patterns are equal rows, a rising
/// or falling vector, a few distinct values, and sines and cosines.
///
/// If all rows are equal, but the values within a row look random, returns [`Kind::Other`] and adds a message to
/// `problems`.
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
    if summary.finite() >= MIN_VALUES && summary.max == 1.0 && summary.min >= -1.0 && is_sines(scan)? {
        return Ok(Some(Kind::Table("sines and cosines")));
    }
    Ok(None)
}

/// Returns whether the tensor is a vector of at least 8 values that never fall, or never rise. For 8 random values, the
/// probability is 2 / 8!, or 1 in 20,160.
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

/// Returns whether a tensor has at most 8 distinct values in f32 or f64, or at most 2 in a narrower type. Returns false
/// for fewer than 64 values, for NaN or infinite values, and if more than half of the values are zeros.
fn has_few_values(scan: &Scan<'_>) -> Result<bool> {
    let wide = scan.dtype == DType::F32 || scan.dtype == DType::F64;
    let most = if wide { 8 } else { 2 };
    if scan.count() < 64 || scan.summary.non_finite > 0 || scan.summary.zeros * 2 > scan.summary.finite() {
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

/// Returns whether every value is a multiple of 1/64 and below 10,000 in magnitude. Random values practically never
/// are. Returns false for types other than f32 and f64, and for fewer than three values.
pub(super) fn has_short_numbers(scan: &Scan<'_>) -> Result<bool> {
    let wide = scan.dtype == DType::F32 || scan.dtype == DType::F64;
    if !wide || scan.count() < 3 || scan.summary.non_finite > 0 {
        return Ok(false);
    }
    let mut short = true;
    scan.values(|values| short &= values.iter().all(|x| x.abs() < 1e4 && (x * 64.0).fract() == 0.0))?;
    Ok(short)
}

/// Returns whether the values of a row look random: whether the row has many turning points (local minima and maxima).
///
/// Of n random values, 2/3 (n - 2) are turning points on average (Bienaymé 1874). Rows that follow a formula have few.
/// The limit is half of the average: 1/3 (n - 2). For 16 random values, this limit is 3 standard deviations below the
/// average.
fn is_random(row: &[f64]) -> bool {
    let is_turning_point = |w: &&[f64]| (w[1] > w[0]) != (w[2] > w[1]) && w[0] != w[1] && w[1] != w[2];
    let turning_points = row.windows(3).filter(is_turning_point).count();
    turning_points as f64 > row.len().saturating_sub(2) as f64 / 3.0
}

/// Returns whether each line along the last axis may consist of the sines and cosines of the same angles. The squares
/// of n such values add up to n/2. Lines of zeros, such as the line of a class token, are ignored.
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
