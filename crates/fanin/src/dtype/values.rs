//! Slices whose element type is known only at run time.

use half::{bf16, f16};

use super::dtypes::DType;
use super::float8::{F8E4M3, F8E5M2};

/// A mutable slice whose element type is known only at run time.
#[derive(Debug)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each variant is named after its element type")]
pub enum Values<'a> {
    F32(&'a mut [f32]),
    F64(&'a mut [f64]),
    F16(&'a mut [f16]),
    BF16(&'a mut [bf16]),
    F8E4M3(&'a mut [F8E4M3]),
    F8E5M2(&'a mut [F8E5M2]),
}

/// Evaluates `$body`, in which `$slice` is the slice of `$values`. `$body` is compiled once for each element type.
macro_rules! values {
    ($values:expr, $slice:ident => $body:expr) => {
        match $values {
            $crate::dtype::Values::F32($slice) => $body,
            $crate::dtype::Values::F64($slice) => $body,
            $crate::dtype::Values::F16($slice) => $body,
            $crate::dtype::Values::BF16($slice) => $body,
            $crate::dtype::Values::F8E4M3($slice) => $body,
            $crate::dtype::Values::F8E5M2($slice) => $body,
        }
    };
}
pub(crate) use values;

impl Values<'_> {
    /// Returns the element type of the slice.
    pub fn dtype(&self) -> DType {
        match self {
            Values::F32(_) => DType::F32,
            Values::F64(_) => DType::F64,
            Values::F16(_) => DType::F16,
            Values::BF16(_) => DType::BF16,
            Values::F8E4M3(_) => DType::F8E4M3,
            Values::F8E5M2(_) => DType::F8E5M2,
        }
    }

    /// Returns the number of values.
    pub fn len(&self) -> usize {
        values!(self, slice => slice.len())
    }

    /// Returns `true` if the slice is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the bits of the values as unsigned integers. The type `B` must have as many bytes as a value.
    pub(crate) fn bits<B: bytemuck::Pod>(&mut self) -> &mut [B] {
        values!(self, slice => bytemuck::cast_slice_mut(slice))
    }

    /// Returns the same slice, borrowed for a shorter lifetime.
    pub fn reborrow(&mut self) -> Values<'_> {
        match self {
            Values::F32(slice) => Values::F32(slice),
            Values::F64(slice) => Values::F64(slice),
            Values::F16(slice) => Values::F16(slice),
            Values::BF16(slice) => Values::BF16(slice),
            Values::F8E4M3(slice) => Values::F8E4M3(slice),
            Values::F8E5M2(slice) => Values::F8E5M2(slice),
        }
    }
}
