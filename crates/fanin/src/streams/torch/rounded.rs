//! `Rounded`, the arithmetic of torch's tensor operations.

use crate::dtype::DType;

/// The arithmetic of torch's tensor operations on an element type. torch computes each operation in f32 (f64 for f64
/// tensors), and rounds the result to the element type.
///
/// This crate computes in f64, with the same results, because f64 has more than twice the precision of f32. A sum,
/// product or quotient of two f32 values is correctly rounded even if it is rounded first to f64 and then to f32.
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

    /// Rounds a Python number, such as `mean`, to the type in which torch computes: f64 for f64 tensors, f32 for all
    /// others.
    pub(super) fn scalar(self, x: f64) -> f64 {
        if self.dtype == DType::F64 { x } else { x as f32 as f64 }
    }
}
