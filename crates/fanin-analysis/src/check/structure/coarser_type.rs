//! Detects f32 and f64 tensors whose values were rounded to a narrower type before they were stored.

use fanin::DType;

use crate::check::lanes::count_of;
use crate::check::test_result::TestResult;
use crate::vectorized::vectorized;

/// For each narrower type, the number of a tensor's values that the type represents exactly. Zeros are not counted.
#[derive(Debug)]
pub(super) struct CoarserType {
    /// The type of the stored values.
    dtype: DType,
    /// The number of finite values other than 0. A NaN whose last mantissa bits are not all 0 may also be counted.
    finite: u64,
    bf16: u64,
    f16: u64,
    f32: u64,
}

/// Returns whether all mantissa bits of `x` after the first `bits` bits are 0. Within its range, a type with `bits`
/// mantissa bits represents such a value exactly.
#[inline(always)]
fn ends_after(x: f64, bits: u32) -> bool {
    x.to_bits() << (12 + bits) == 0
}

vectorized! {
    fn any_ends_after(values: &[f64], bits: u32) -> bool {
        values.iter().fold(false, |any, x| any | ends_after(*x, bits))
    }
}

impl CoarserType {
    /// Creates counts that are all 0. `dtype` is the type of the stored values.
    pub(super) fn new(dtype: DType) -> Self {
        Self { dtype, finite: 0, bf16: 0, f16: 0, f32: 0 }
    }

    /// Adds `values` to the counts. Values are counted only if the type of the tensor is f32 or f64.
    pub(super) fn add(&mut self, values: &[f64]) {
        // The number of mantissa bits of the most precise narrower type: f16 for f32, and f32 for f64. In a random
        // value, the mantissa bits after these are rarely all 0.
        let bits = match self.dtype {
            DType::F32 => 10,
            DType::F64 => 23,
            _ => return,
        };
        for block in values.chunks(256) {
            // The last bits of 0, of infinity and of the usual NaN are 0.
            if any_ends_after(block, bits) {
                self.finite += count_of(block, |x| x.abs() > 0.0 && x.abs() < f64::INFINITY);
                block.iter().filter(|x| ends_after(**x, bits)).for_each(|x| self.add_short(*x));
            } else {
                self.finite += block.len() as u64;
            }
        }
    }

    /// Counts a value that some narrower type may represent exactly.
    fn add_short(&mut self, x: f64) {
        let magnitude = x.abs();
        let in_f32 = magnitude != 0.0 && magnitude <= f64::from(f32::MAX);
        self.bf16 += u64::from(in_f32 && ends_after(x, 7));
        self.f16 += u64::from(ends_after(x, 10) && (6e-5..=65504.0).contains(&magnitude));
        self.f32 += u64::from(in_f32 && ends_after(x, 23));
    }

    /// Adds the counts of `next`, which come from other values of the same tensor.
    pub(super) fn merge(&mut self, next: &Self) {
        self.finite += next.finite;
        self.bf16 += next.bf16;
        self.f16 += next.f16;
        self.f32 += next.f32;
    }

    /// Returns a failed test `rounded` if a narrower type exactly represents many values: at least 32, and more than
    /// 5 % of the finite values other than 0. By chance, 1 in 2^16 random f32 values is a bf16 value, and 1 in 2^13 is
    /// an f16 value.
    pub(super) fn test(&self) -> Option<TestResult> {
        let counts = [(DType::BF16, self.bf16), (DType::F16, self.f16), (DType::F32, self.f32)];
        let candidates: &[(DType, u64)] = match self.dtype {
            DType::F32 => &counts[..2],
            DType::F64 => &counts,
            _ => &[],
        };
        let (narrow, count) = *candidates.iter().max_by_key(|(narrow, count)| (*count, narrow.size() < 4))?;
        (count >= 32 && count * 20 > self.finite).then(|| {
            let text = format!(
                "{count} of {} values are values of {narrow}: rounded before they were stored?",
                self.finite
            );
            TestResult::failure("rounded", text)
        })
    }
}
