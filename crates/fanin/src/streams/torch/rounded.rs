//! The rounding of torch's tensor operations.

use crate::dtype::{DType, Element};

/// The arithmetic of torch's tensor operations on a type: each operation computes in f32 (in f64 for f64), and its
/// result is rounded to the type.
///
/// The operations here compute in f64. That gives the same results: a sum, product or quotient of two f32 numbers that
/// is computed in f64 and rounded to f32 is the correctly rounded f32 result, because f64 has more than twice the
/// digits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rounded {
    dtype: DType,
}

impl Rounded {
    /// The arithmetic on the type `E`.
    pub(super) fn new<E: Element>() -> Self {
        Self { dtype: E::DTYPE }
    }

    /// Rounds the result of an operation.
    pub(super) fn round(self, x: f64) -> f64 {
        self.dtype.round(x)
    }

    /// Rounds a Python number that is an operand.
    pub(super) fn scalar(self, x: f64) -> f64 {
        if self.dtype == DType::F64 { x } else { x as f32 as f64 }
    }
}
