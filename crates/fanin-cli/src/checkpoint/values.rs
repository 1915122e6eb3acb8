//! Values of any type on their way to the file.

use std::borrow::Cow;
use std::collections::TryReserveError;

use fanin::half::{bf16, f16};
use fanin::{DType, TensorMut};

/// Values of any type on their way to the file.
pub(crate) enum Values {
    F32(Vec<f32>),
    F64(Vec<f64>),
    F16(Vec<f16>),
    BF16(Vec<bf16>),
    /// Of an integer type, as the file has them, each of so many bytes.
    Integers(Vec<u8>, usize),
}

impl Values {
    /// Room for so many, if memory has it.
    pub(crate) fn new(dtype: DType, count: usize) -> Result<Self, TryReserveError> {
        Ok(match dtype {
            DType::F64 => Values::F64(room(count)?),
            DType::F16 => Values::F16(room(count)?),
            DType::BF16 => Values::BF16(room(count)?),
            // A type that is not known here yet is refused by the fill, whose plan knows it.
            _ => Values::F32(room(count)?),
        })
    }

    /// How many.
    pub(crate) fn count(&self) -> usize {
        match self {
            Values::F32(values) => values.len(),
            Values::F64(values) => values.len(),
            Values::F16(values) => values.len(),
            Values::BF16(values) => values.len(),
            Values::Integers(bytes, size) => bytes.len() / size,
        }
    }

    pub(crate) fn tensor(&mut self, shape: &[usize]) -> Result<TensorMut<'_>, fanin::Error> {
        match self {
            Values::F32(values) => TensorMut::contiguous(values, shape),
            Values::F64(values) => TensorMut::contiguous(values, shape),
            Values::F16(values) => TensorMut::contiguous(values, shape),
            Values::BF16(values) => TensorMut::contiguous(values, shape),
            Values::Integers(..) => unreachable!("integers are not drawn"),
        }
    }

    /// As the file has them: little-endian.
    pub(crate) fn bytes(&self) -> Cow<'_, [u8]> {
        #[cfg(target_endian = "big")]
        return match self {
            Values::F32(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Values::F64(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Values::F16(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Values::BF16(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Values::Integers(bytes, _) => bytes.into(),
        };
        #[cfg(target_endian = "little")]
        match self {
            Values::F32(values) => bytemuck::cast_slice(values).into(),
            Values::F64(values) => bytemuck::cast_slice(values).into(),
            Values::F16(values) => bytemuck::cast_slice(values).into(),
            Values::BF16(values) => bytemuck::cast_slice(values).into(),
            Values::Integers(bytes, _) => bytes.into(),
        }
    }
}

fn room<T: Clone + Default>(count: usize) -> Result<Vec<T>, TryReserveError> {
    let mut values = Vec::new();
    values.try_reserve_exact(count)?;
    values.resize(count, T::default());
    Ok(values)
}
