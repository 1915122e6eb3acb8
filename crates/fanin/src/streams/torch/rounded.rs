//! `Rounded`, the arithmetic of torch's tensor operations.

use crate::dtype::DType;

/// The arithmetic of torch's tensor operations on an element type. In torch, each operation is computed in f32 (in f64
/// for f64 tensors), and the result is then rounded to the element type.
///
/// This crate computes all operations in f64, which gives the same results. f64 has more than twice the precision of
/// f32. A sum, product or quotient of two f32 values that is computed in f64 and then rounded to f32 is therefore the
/// correctly rounded f32 result.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rounded {
    dtype: DType,
}

impl Rounded {
    /// Creates a `Rounded` for the element type `dtype`.
    pub(super) fn new(dtype: DType) -> Self {
        Self { dtype }
    }

    /// Rounds the result of an operation to the element type.
    pub(super) fn round(self, x: f64) -> f64 {
        self.dtype.round(x)
    }

    /// Rounds an operand that is a Python number to the type in which torch computes: f64 for f64 tensors, f32 for all
    /// other tensors.
    pub(super) fn scalar(self, x: f64) -> f64 {
        if self.dtype == DType::F64 { x } else { x as f32 as f64 }
    }
}
