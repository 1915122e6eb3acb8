//! A reusable buffer for values of any type.

use std::borrow::Cow;
use std::collections::TryReserveError;

use fanin::half::{bf16, f16};
use fanin::{DType, F8E4M3, F8E5M2, TensorMut};

/// Stores values of one type until they are written to a file. Reducing the number of values does not free memory.
#[derive(Debug, Default)]
pub struct ValueBuffer {
    /// The memory of the values. It consists of u64 words, so that it is aligned for every type.
    words: Vec<u64>,
    kind: Kind,
    count: usize,
}

/// The type of the values in a buffer.
#[derive(Debug, Clone, Copy, Default)]
enum Kind {
    /// Floating-point values in the native byte order, which a stream can fill.
    Float(DType),
    /// Values in the byte order of the file (little-endian). The field is the size of a value in bytes.
    Stored(usize),
    #[default]
    Empty,
}

impl ValueBuffer {
    /// Returns a buffer of `count` zeros of type `dtype`.
    ///
    /// # Errors
    /// Returns an error if the memory cannot be allocated.
    pub fn new(dtype: DType, count: usize) -> Result<Self, TryReserveError> {
        let mut values = Self::default();
        values.resize(dtype, count)?;
        Ok(values)
    }

    /// Changes the buffer to `count` values of type `dtype`. The values are unspecified until the caller fills them.
    pub(crate) fn resize(&mut self, dtype: DType, count: usize) -> Result<(), TryReserveError> {
        self.grow_to(count * dtype.size())?;
        (self.kind, self.count) = (Kind::Float(dtype), count);
        Ok(())
    }

    /// Fills the buffer with `count` copies of the value whose little-endian bytes are `value`.
    pub(crate) fn fill_repeated(&mut self, value: &[u8], count: usize) -> Result<(), TryReserveError> {
        let bytes = self.resize_stored(count * value.len())?;
        bytes.chunks_exact_mut(value.len()).for_each(|slot| slot.copy_from_slice(value));
        (self.kind, self.count) = (Kind::Stored(value.len()), count);
        Ok(())
    }

    /// Fills the buffer with the first `count` integers of `values`. Each integer takes `size` bytes.
    pub(crate) fn fill_integers(
        &mut self,
        size: usize,
        count: usize,
        values: impl Iterator<Item = u64>,
    ) -> Result<(), TryReserveError> {
        let bytes = self.resize_stored(count * size)?;
        for (slot, value) in bytes.chunks_exact_mut(size).zip(values) {
            slot.copy_from_slice(&value.to_le_bytes()[..size]);
        }
        (self.kind, self.count) = (Kind::Stored(size), count);
        Ok(())
    }

    /// Fills the buffer with `values`, each rounded to `dtype` once.
    pub(crate) fn fill_rounded(&mut self, dtype: DType, values: &[f64]) -> Result<(), TryReserveError> {
        self.resize(dtype, values.len())?;
        let (words, count) = (&mut self.words[..], values.len());
        macro_rules! round {
            ($type:ty) => {
                for (slot, x) in bytemuck::cast_slice_mut::<_, $type>(words)[..count].iter_mut().zip(values) {
                    *slot = fanin::Element::from_f64(*x);
                }
            };
        }
        match dtype {
            DType::F64 => round!(f64),
            DType::F16 => round!(f16),
            DType::BF16 => round!(bf16),
            DType::F8E4M3 => round!(F8E4M3),
            DType::F8E5M2 => round!(F8E5M2),
            _ => round!(f32),
        }
        Ok(())
    }

    /// Changes the buffer to `count` bytes that will be written to the file unchanged, and returns these bytes. Their
    /// content is unspecified until the caller fills them.
    pub(crate) fn resize_stored(&mut self, count: usize) -> Result<&mut [u8], TryReserveError> {
        self.grow_to(count)?;
        (self.kind, self.count) = (Kind::Stored(1), count);
        Ok(&mut bytemuck::cast_slice_mut(&mut self.words)[..count])
    }

    /// Grows the memory to at least `bytes` bytes. Does nothing if the memory is already large enough.
    fn grow_to(&mut self, bytes: usize) -> Result<(), TryReserveError> {
        let words = bytes.div_ceil(8);
        if let Some(more) = words.checked_sub(self.words.len()) {
            self.words.try_reserve_exact(more)?;
            self.words.resize(words, 0);
        }
        Ok(())
    }

    /// Frees the memory and empties the buffer if the memory is larger than `bytes` bytes.
    pub(crate) fn free_above(&mut self, bytes: usize) {
        if self.words.len() * 8 > bytes {
            *self = Self::default();
        }
    }

    /// Returns the number of values.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Returns the floating-point values as a contiguous tensor of the given shape, for a stream to fill.
    ///
    /// # Errors
    /// Returns an error if the number of values in `shape` differs from that of the buffer.
    ///
    /// # Panics
    /// Panics if the buffer is empty, or if its values were already converted to the byte order of the file.
    pub fn tensor(&mut self, shape: &[usize]) -> Result<TensorMut<'_>, fanin::Error> {
        let (words, count) = (&mut self.words[..], self.count);
        match self.kind {
            Kind::Float(DType::F64) => {
                TensorMut::contiguous(&mut bytemuck::cast_slice_mut::<_, f64>(words)[..count], shape)
            }
            Kind::Float(DType::F16) => {
                TensorMut::contiguous(&mut bytemuck::cast_slice_mut::<_, f16>(words)[..count], shape)
            }
            Kind::Float(DType::BF16) => {
                TensorMut::contiguous(&mut bytemuck::cast_slice_mut::<_, bf16>(words)[..count], shape)
            }
            Kind::Float(DType::F8E4M3) => {
                TensorMut::contiguous(&mut bytemuck::cast_slice_mut::<_, F8E4M3>(words)[..count], shape)
            }
            Kind::Float(DType::F8E5M2) => {
                TensorMut::contiguous(&mut bytemuck::cast_slice_mut::<_, F8E5M2>(words)[..count], shape)
            }
            // `DType` is non-exhaustive. If its type is unknown here, the tensor is f32. Filling it then returns an
            // error, because the plan has another type.
            Kind::Float(_) => {
                TensorMut::contiguous(&mut bytemuck::cast_slice_mut::<_, f32>(words)[..count], shape)
            }
            Kind::Stored(_) | Kind::Empty => unreachable!("only floating-point values are drawn"),
        }
    }

    /// Returns the values in the byte order of the file, which is little-endian.
    pub fn bytes(&self) -> Cow<'_, [u8]> {
        let size = match self.kind {
            Kind::Float(dtype) => dtype.size(),
            Kind::Stored(size) => size,
            Kind::Empty => 0,
        };
        let bytes = &bytemuck::cast_slice::<_, u8>(&self.words)[..self.count * size];
        #[cfg(target_endian = "big")]
        if let Kind::Float(_) = self.kind {
            let swapped = bytes.chunks_exact(size).flat_map(|value| value.iter().rev().copied());
            return Cow::Owned(swapped.collect());
        }
        Cow::Borrowed(bytes)
    }
}
