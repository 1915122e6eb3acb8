//! Computes the difference between the values of one tensor in two files. Chunks of the tensor are compared in
//! parallel.
//!
//! Often most tensors of two checkpoints are bitwise equal. The bytes are therefore compared first, and sums over the
//! values are computed only for tensors that differ.

use fanin_checkpoint::Checkpoint;
use fanin_recipe::StoredType;
use rayon::prelude::*;

use crate::error::Result;

/// The number of bytes that a thread reads from each file at a time. Two chunks, one from each file, fit into the L2
/// cache together.
const CHUNK: u64 = 1 << 18;

/// The number of partial sums of each quantity. Separate partial sums allow the compiler to vectorize the loop over
/// values.
const LANES: usize = 8;

/// The difference between the values a of a tensor in one file and its values b in another file.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ValueDifference {
    /// The number of values whose bytes differ.
    pub values: u64,
    /// The largest |a - b| of two values at the same index. It is NaN if two values differ and one of them is NaN.
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
    /// Compares two tensors of the same type and shape, one of each checkpoint. `tensors` has their indices in the two
    /// manifests. Returns `None` if the tensors are bitwise equal.
    ///
    /// `report` is called with the number of bytes of each chunk that is compared. The comparison of bytes stops at a
    /// difference, so if the tensors differ, `report` is not called for every chunk.
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
        let chunks = 0..size.div_ceil(CHUNK);
        let read = |chunk: u64, left: &mut Vec<u8>, right: &mut Vec<u8>| -> Result {
            let start = chunk * CHUNK;
            let length = (size - start).min(CHUNK) as usize;
            left.resize(length, 0);
            right.resize(length, 0);
            a.read(tensors[0], start, left)?;
            Ok(b.read(tensors[1], start, right)?)
        };
        let equal = chunks.clone().into_par_iter().map_init(Default::default, |(left, right), chunk| {
            read(chunk, left, right)?;
            report(left.len() as u64);
            Result::Ok(left == right)
        });
        // The search ends as soon as a thread finds a chunk that differs or cannot be read.
        let differs = equal.find_any(|equal| !matches!(equal, Ok(true))).transpose()?;
        if differs.is_none() {
            return Ok(None);
        }
        let sums = chunks.into_par_iter().map_init(Default::default, |(left, right), chunk| {
            read(chunk, left, right)?;
            Ok(of_bytes(dtype, left, right))
        });
        // The sums are added in the order of the chunks, so that the result does not depend on the order in which the
        // threads finish.
        let sums: Vec<Self> = sums.collect::<Result<_>>()?;
        Ok(Some(sums.into_iter().fold(Self::default(), Self::plus)))
    }

    /// Adds the differences of two ranges of the same two tensors.
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

/// Returns the difference between the values of two byte slices that have the same stored type. If values of this type
/// cannot be read as numbers, every field of the result is 0.
fn of_bytes(dtype: StoredType, left: &[u8], right: &[u8]) -> ValueDifference {
    use fanin::half::{bf16, f16};
    match dtype {
        StoredType::F64 => of_values(left, right, f64::from_le_bytes),
        StoredType::F32 => of_values(left, right, |bytes| f32::from_le_bytes(bytes).into()),
        StoredType::F16 => of_values(left, right, |bytes| f16::from_le_bytes(bytes).to_f64()),
        StoredType::BF16 => of_values(left, right, |bytes| bf16::from_le_bytes(bytes).to_f32().into()),
        StoredType::F8_E4M3 => {
            of_values(left, right, |[bits]| fanin::F8E4M3::from_bits(bits).to_f32().into())
        }
        StoredType::F8_E5M2 => {
            of_values(left, right, |[bits]| fanin::F8E5M2::from_bits(bits).to_f32().into())
        }
        StoredType::I64 => of_values(left, right, |bytes| i64::from_le_bytes(bytes) as f64),
        StoredType::I32 => of_values(left, right, |bytes| i32::from_le_bytes(bytes).into()),
        StoredType::I16 => of_values(left, right, |bytes| i16::from_le_bytes(bytes).into()),
        StoredType::I8 => of_values(left, right, |bytes| i8::from_le_bytes(bytes).into()),
        StoredType::U64 => of_values(left, right, |bytes| u64::from_le_bytes(bytes) as f64),
        StoredType::U32 => of_values(left, right, |bytes| u32::from_le_bytes(bytes).into()),
        StoredType::U16 => of_values(left, right, |bytes| u16::from_le_bytes(bytes).into()),
        StoredType::U8 | StoredType::BOOL => of_values(left, right, |[byte]| byte.into()),
        _ => ValueDifference::default(),
    }
}

/// Returns the difference between the values of two byte slices. Each value has `SIZE` bytes, which `to_f64` converts
/// to f64.
fn of_values<const SIZE: usize>(
    left: &[u8],
    right: &[u8],
    to_f64: impl Fn([u8; SIZE]) -> f64,
) -> ValueDifference {
    let (left, right) = (left.as_chunks::<SIZE>().0, right.as_chunks::<SIZE>().0);
    let ((a, a_rest), (b, b_rest)) = (left.as_chunks::<LANES>(), right.as_chunks::<LANES>());
    let mut lanes = [ValueDifference::default(); LANES];
    let add = |sums: &mut ValueDifference, left: [u8; SIZE], right: [u8; SIZE]| {
        let (x, y) = (to_f64(left), to_f64(right));
        // Equal values are not subtracted, because the difference of two equal infinities would be NaN.
        let distance = if left == right { 0.0 } else { (x - y).abs() };
        sums.values += u64::from(left != right);
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
    lanes.into_iter().fold(ValueDifference::default(), ValueDifference::plus)
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
