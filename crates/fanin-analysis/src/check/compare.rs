//! Computes the difference between the values of one tensor in two files. Chunks of the tensor are compared in
//! parallel.
//!
//! Often most tensors of two checkpoints are bitwise equal. The bytes are therefore compared first, and sums over the
//! values are computed only for tensors that differ.

use std::sync::atomic::{AtomicBool, Ordering};

use fanin_checkpoint::{Checkpoint, decode};
use fanin_recipe::StoredType;

use crate::error::Result;
use crate::parallel::try_map;

/// The number of bytes that a thread reads from each file at a time. Two chunks, one from each file, fit into the L2
/// cache together.
const CHUNK: u64 = 1 << 18;

/// The number of partial sums of each quantity. Separate partial sums allow the compiler to vectorize the loop over
/// values.
const LANES: usize = 8;

/// The difference between the values of two tensors, a and b, from different files.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ValueDifference {
    /// The number of values whose bytes differ.
    pub values: u64,
    /// The largest |a - b| of two values at the same index. It is NaN if the tensors differ at an index where one of
    /// the values is NaN.
    pub max: f64,
    /// The sum of (a - b)^2.
    difference_squares: f64,
    /// The sum of a^2.
    a_squares: f64,
    /// The sum of b^2.
    b_squares: f64,
    /// The sum of the products a * b.
    products: f64,
}

impl ValueDifference {
    /// Compares two tensors of the same type and shape, one from each checkpoint. `tensors` contains their indices in
    /// the two manifests. Returns `None` if the tensors are bitwise equal.
    ///
    /// `report` is called with the size in bytes of each compared chunk. After a difference is found, `report` is not
    /// called for the remaining chunks.
    ///
    /// # Errors
    /// Returns an error if a file cannot be read.
    pub(crate) fn new(
        [a, b]: [&Checkpoint; 2],
        tensors: [usize; 2],
        report: impl Fn(u64) + Sync,
    ) -> Result<Option<Self>> {
        let entry = &a.manifest.entries[tensors[0]];
        let (size, dtype) = (entry.bytes(), entry.dtype);
        let chunks = size.div_ceil(CHUNK) as usize;
        let read = |chunk: usize| -> Result<(Vec<u8>, Vec<u8>)> {
            let start = chunk as u64 * CHUNK;
            let length = (size - start).min(CHUNK) as usize;
            let (mut left, mut right) = (vec![0; length], vec![0; length]);
            a.read(tensors[0], start, &mut left)?;
            b.read(tensors[1], start, &mut right)?;
            Ok((left, right))
        };
        // After a difference was found, no further chunk is read.
        let differs = AtomicBool::new(false);
        try_map(chunks, |chunk| {
            if !differs.load(Ordering::Relaxed) {
                let (left, right) = read(chunk)?;
                report(left.len() as u64);
                differs.fetch_or(left != right, Ordering::Relaxed);
            }
            Ok(())
        })?;
        if !differs.into_inner() {
            return Ok(None);
        }
        let sums = try_map(chunks, |chunk| read(chunk).map(|(left, right)| of_bytes(dtype, &left, &right)))?;
        // The sums are added in the order of the chunks, so that the result does not depend on the order in which the
        // threads finish.
        Ok(Some(sums.into_iter().fold(Self::default(), Self::plus)))
    }

    /// Adds the differences found in another range of the same pair of tensors.
    fn plus(self, other: Self) -> Self {
        Self {
            values: self.values + other.values,
            max: max_or_nan(self.max, other.max),
            difference_squares: self.difference_squares + other.difference_squares,
            a_squares: self.a_squares + other.a_squares,
            b_squares: self.b_squares + other.b_squares,
            products: self.products + other.products,
        }
    }

    /// Returns |a - b| / |a|, where |x| is the Euclidean norm of all values. If all values of a are 0, the result is
    /// infinite, or NaN if all values of b are 0 too.
    pub fn relative(&self) -> f64 {
        (self.difference_squares / self.a_squares).sqrt()
    }

    /// Returns the cosine of the angle between the tensors a and b as vectors. The result is NaN if all values of a or
    /// all values of b are 0.
    pub fn cosine(&self) -> f64 {
        self.products / (self.a_squares.sqrt() * self.b_squares.sqrt())
    }
}

/// Returns the larger of two numbers, or NaN if one of them is NaN.
fn max_or_nan(a: f64, b: f64) -> f64 {
    if a.is_nan() || a > b { a } else { b }
}

/// Returns the difference between two byte slices of values of type `dtype`. Every field is 0 if this type cannot be
/// decoded to numbers.
fn of_bytes(dtype: StoredType, left: &[u8], right: &[u8]) -> ValueDifference {
    let (a, b) = (decode(dtype, left), decode(dtype, right));
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut lanes = [ValueDifference::default(); LANES];
    let add = |sums: &mut ValueDifference, x: f64, y: f64| {
        // Equal values are not subtracted, because the difference of two equal infinities would be NaN.
        let distance = if x.to_bits() == y.to_bits() { 0.0 } else { (x - y).abs() };
        sums.max = max_or_nan(sums.max, distance);
        sums.difference_squares += distance * distance;
        sums.a_squares += x * x;
        sums.b_squares += y * y;
        sums.products += x * y;
    };
    for (a, b) in a.iter().zip(b) {
        for k in 0..LANES {
            add(&mut lanes[k], a[k], b[k]);
        }
    }
    for k in 0..a_rest.len() {
        add(&mut lanes[k], a_rest[k], b_rest[k]);
    }
    let sums = lanes.into_iter().fold(ValueDifference::default(), ValueDifference::plus);
    // Integers are compared by their bytes, because different integers may be rounded to the same f64 number.
    let values = match dtype.size() {
        _ if !dtype.is_read() => 0,
        1 => differing::<1>(left, right),
        2 => differing::<2>(left, right),
        4 => differing::<4>(left, right),
        _ => differing::<8>(left, right),
    };
    ValueDifference { values, ..sums }
}

/// Returns the number of values of `SIZE` bytes that differ between two byte slices.
fn differing<const SIZE: usize>(left: &[u8], right: &[u8]) -> u64 {
    let (left, right) = (left.as_chunks::<SIZE>().0, right.as_chunks::<SIZE>().0);
    left.iter().zip(right).map(|(left, right)| u64::from(left != right)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_floats(left: &[f32], right: &[f32]) -> ValueDifference {
        let bytes = |values: &[f32]| values.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>();
        of_bytes(StoredType::F32, &bytes(left), &bytes(right))
    }

    #[test]
    fn differences_agree_with_numbers_computed_by_hand() {
        let mut right = [3f32; 19];
        (right[4], right[18]) = (3.5, 1.0);
        let difference = of_floats(&[3.0; 19], &right);
        assert_eq!((difference.values, difference.max), (2, 2.0));
        assert!((difference.relative() - (4.25f64 / 171.0).sqrt()).abs() < 1e-15);
        let cosine = (17.0 * 9.0 + 10.5 + 3.0) / (171.0f64 * (17.0 * 9.0 + 12.25 + 1.0)).sqrt();
        assert!((difference.cosine() - cosine).abs() < 1e-15);
        assert!((of_floats(&[1.0, 2.0], &[-1.0, -2.0]).cosine() + 1.0).abs() < 1e-15);
        assert_eq!(of_floats(&[0.0], &[-0.0]).values, 1, "different bytes of an equal number");
        assert_eq!(of_bytes(StoredType::I8, &[255, 1], &[2, 1]).max, 3.0);
        assert_eq!(of_bytes(StoredType::BF16, &[0x80, 0x3f], &[0, 0x40]).max, 1.0);
    }

    #[test]
    fn a_difference_with_nan_is_nan_and_equal_infinities_are_no_difference() {
        assert!(of_floats(&[1.0, 5.0], &[f32::NAN, 2.0]).max.is_nan());
        assert!(
            of_floats(&[1.0; 40], &{
                let mut x = [9.0; 40];
                x[0] = f32::NAN;
                x
            })
            .max
            .is_nan()
        );
        // Equal infinities do not differ.
        assert_eq!(of_floats(&[f32::INFINITY, 5.0], &[f32::INFINITY, 2.0]).max, 3.0);
        assert_eq!(of_floats(&[f32::INFINITY], &[1.0]).max, f64::INFINITY);
    }
}
