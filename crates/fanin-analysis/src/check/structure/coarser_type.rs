//! Detects f32 and f64 tensors whose values were rounded to a narrower type before they were stored.

use fanin::DType;

use crate::check::test_result::TestResult;

/// The numbers of values of a tensor that narrower types represent exactly. Zeros are not counted.
#[derive(Debug, Default)]
pub(super) struct CoarserType {
    /// The number of finite values other than 0.
    finite: u64,
    bf16: u64,
    f16: u64,
    f32: u64,
}

impl CoarserType {
    /// Counts the next values of a tensor of type f32 or f64.
    pub(super) fn add(&mut self, values: &[f64]) {
        // A type with n mantissa bits represents a value exactly if only the first n of the value's 52 mantissa bits in
        // f64 can be 1.
        let ends_after = |x: f64, bits: u32| x.to_bits() << (12 + bits) == 0;
        for &x in values {
            let magnitude = x.abs();
            let nonzero = magnitude != 0.0;
            self.finite += u64::from(nonzero & (magnitude < f64::INFINITY));
            self.bf16 += u64::from(nonzero & ends_after(x, 7) & (magnitude <= f64::from(f32::MAX)));
            self.f16 += u64::from(ends_after(x, 10) & (6e-5..=65504.0).contains(&magnitude));
            self.f32 += u64::from(nonzero & ends_after(x, 23) & (magnitude <= f64::from(f32::MAX)));
        }
    }

    /// Adds the counts of `next`, which come from other values of the same tensor.
    pub(super) fn merge(&mut self, next: &Self) {
        self.finite += next.finite;
        self.bf16 += next.bf16;
        self.f16 += next.f16;
        self.f32 += next.f32;
    }

    /// Returns a failed test `rounded` if a narrower type than `dtype` represents at least 32 values, and more than 5 %
    /// of all values, exactly. The type bf16 represents one in 2^16 random f32 values exactly, and f16 one in 2^13.
    pub(super) fn test(&self, dtype: DType) -> Option<TestResult> {
        let counts = [(DType::BF16, self.bf16), (DType::F16, self.f16), (DType::F32, self.f32)];
        let candidates: &[(DType, u64)] = match dtype {
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
