//! How the values of a tensor in one file differ from those in another: on all threads, a stretch at a time.
//!
//! Most tensors of two checkpoints are alike to the last byte, and to see that takes no arithmetic: bytes are compared
//! first, and the sums are formed only where some differ.

use std::ops::Range;

use rayon::prelude::*;

use crate::error::Result;
use fanin_checkpoint::Checkpoint;
use fanin_recipe::manifest::StoredType;

/// Bytes of either file at a time, and thread: they stay in the nearest caches.
const STRETCH: u64 = 1 << 18;

/// Sums side by side.
const LANES: usize = 8;

/// Sums over the pairs of values of one tensor in two files.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Change {
    /// Values whose bytes differ.
    pub values: u64,
    /// The greatest distance; NaN if one of the two is.
    pub max: f64,
    /// Of the differences, the one side and the other: sums of squares; and the sum of products.
    difference: f64,
    a: f64,
    b: f64,
    product: f64,
}

impl Change {
    /// Compares the tensors of these numbers, which have one type and shape; `None` if they have the same bytes. `seen`
    /// hears of each tensor's bytes once.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn of(
        [a, b]: [&Checkpoint; 2],
        numbers: [usize; 2],
        seen: impl Fn(u64) + Sync,
    ) -> Result<Option<Self>> {
        let entry = &a.manifest.entries[numbers[0]];
        let (size, dtype) = (entry.bytes(), entry.dtype);
        let stretches = 0..size.div_ceil(STRETCH);
        let read = |n: u64, left: &mut Vec<u8>, right: &mut Vec<u8>| -> Result {
            let at = n * STRETCH;
            let now = (size - at).min(STRETCH) as usize;
            left.resize(now, 0);
            right.resize(now, 0);
            a.read(numbers[0], at, left)?;
            Ok(b.read(numbers[1], at, right)?)
        };
        let alike = stretches.clone().into_par_iter().map_init(Default::default, |(left, right), n| {
            read(n, left, right)?;
            seen(left.len() as u64);
            Result::Ok(left == right)
        });
        // The first stretch that differs ends it.
        let differs = alike.find_any(|alike| !matches!(alike, Ok(true))).transpose()?;
        if differs.is_none() {
            return Ok(None);
        }
        let sums = stretches.into_par_iter().map_init(Default::default, |(left, right), n| {
            read(n, left, right)?;
            Ok(of_bytes(dtype, left, right))
        });
        // In the order of the file, whoever was first: equal runs say equal numbers.
        let sums: Vec<Self> = sums.collect::<Result<_>>()?;
        Ok(Some(sums.into_iter().fold(Self::default(), Self::and)))
    }

    fn and(self, more: Self) -> Self {
        Self {
            values: self.values + more.values,
            max: worse(self.max, more.max),
            difference: self.difference + more.difference,
            a: self.a + more.a,
            b: self.b + more.b,
            product: self.product + more.product,
        }
    }

    /// |a - b| / |a|, in Euclid's norm; infinite where a is zero.
    pub fn relative(&self) -> f64 {
        (self.difference / self.a).sqrt()
    }

    /// The cosine of the angle between the two; NaN where one is zero.
    pub fn cosine(&self) -> f64 {
        self.product / (self.a.sqrt() * self.b.sqrt())
    }
}

/// The greater of the two, or NaN.
fn worse(a: f64, b: f64) -> f64 {
    if a.is_nan() || a > b { a } else { b }
}

fn of_bytes(dtype: StoredType, left: &[u8], right: &[u8]) -> Change {
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
        // Types that are not read as numbers: that their bytes differ is known.
        _ => Change::default(),
    }
}

fn of_values<const SIZE: usize>(left: &[u8], right: &[u8], wide: impl Fn([u8; SIZE]) -> f64) -> Change {
    let (left, right) = (left.as_chunks::<SIZE>().0, right.as_chunks::<SIZE>().0);
    let ((a, a_rest), (b, b_rest)) = (left.as_chunks::<LANES>(), right.as_chunks::<LANES>());
    let mut lanes = [Change::default(); LANES];
    let add = |change: &mut Change, left: [u8; SIZE], right: [u8; SIZE]| {
        let (x, y) = (wide(left), wide(right));
        // Two infinities of one sign are no distance apart.
        let away = if left == right { 0.0 } else { (x - y).abs() };
        change.values += u64::from(left != right);
        change.max = worse(change.max, away);
        change.difference += away * away;
        change.a += x * x;
        change.b += y * y;
        change.product += x * y;
    };
    for (a, b) in a.iter().zip(b) {
        for k in 0..LANES {
            add(&mut lanes[k], a[k], b[k]);
        }
    }
    let rest: Range<usize> = 0..a_rest.len();
    rest.for_each(|k| add(&mut lanes[k], a_rest[k], b_rest[k]));
    lanes.into_iter().fold(Change::default(), Change::and)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_floats(left: &[f32], right: &[f32]) -> Change {
        let bytes = |values: &[f32]| values.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>();
        of_bytes(StoredType::F32, &bytes(left), &bytes(right))
    }

    #[test]
    fn sums_by_hand() {
        let mut right = [3f32; 19];
        (right[4], right[18]) = (3.5, 1.0);
        let change = of_floats(&[3.0; 19], &right);
        assert_eq!((change.values, change.max), (2, 2.0));
        assert!((change.relative() - (4.25f64 / 171.0).sqrt()).abs() < 1e-15);
        let cosine = (17.0 * 9.0 + 10.5 + 3.0) / (171.0f64 * (17.0 * 9.0 + 12.25 + 1.0)).sqrt();
        assert!((change.cosine() - cosine).abs() < 1e-15);
        assert!((of_floats(&[1.0, 2.0], &[-1.0, -2.0]).cosine() + 1.0).abs() < 1e-15);
        assert_eq!(of_floats(&[0.0], &[-0.0]).values, 1, "other bytes, the same number");
        assert_eq!(of_bytes(StoredType::I8, &[255, 1], &[2, 1]).max, 3.0);
        assert_eq!(of_bytes(StoredType::BF16, &[0x80, 0x3f], &[0, 0x40]).max, 1.0);
    }

    #[test]
    fn what_is_not_finite_is_told() {
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
        // The same infinity in both is no difference.
        assert_eq!(of_floats(&[f32::INFINITY, 5.0], &[f32::INFINITY, 2.0]).max, 3.0);
        assert_eq!(of_floats(&[f32::INFINITY], &[1.0]).max, f64::INFINITY);
    }
}
