//! A reusable buffer for values of any type.

use std::borrow::Cow;
use std::collections::TryReserveError;

use fanin::half::{bf16, f16};
use fanin::{DType, Element, F8E4M3, F8E5M2, TensorMut};

/// A reusable buffer for values of one type that are written to a file. Its memory does not shrink if the number of
/// values is reduced.
#[derive(Debug, Default)]
pub struct ValueBuffer {
    /// The memory of the values, as u64 words, so that the memory is aligned for every type.
    words: Vec<u64>,
    kind: Kind,
    count: usize,
}

/// The type of the values in a buffer.
#[derive(Debug, Clone, Copy, Default)]
enum Kind {
    /// Floating-point values in the native byte order. A stream can fill them.
    Float(DType),
    /// Values in the byte order of the file (little-endian). The field is the size of a value in bytes.
    Stored(usize),
    #[default]
    Empty,
}

/// Evaluates an expression in which `$values` stands for the floating-point values of a buffer, as a mutable slice.
macro_rules! floats {
    ($buffer:expr, $values:ident => $expression:expr) => {{
        let (words, count) = (&mut $buffer.words[..], $buffer.count);
        match $buffer.kind {
            Kind::Float(DType::F64) => floats!(words, count, f64, $values => $expression),
            Kind::Float(DType::F16) => floats!(words, count, f16, $values => $expression),
            Kind::Float(DType::BF16) => floats!(words, count, bf16, $values => $expression),
            Kind::Float(DType::F8E4M3) => floats!(words, count, F8E4M3, $values => $expression),
            Kind::Float(DType::F8E5M2) => floats!(words, count, F8E5M2, $values => $expression),
            // `DType` is non-exhaustive, so this arm also matches types that this code does not know. A fill then
            // returns an error, because the plan has another type than f32.
            Kind::Float(_) => floats!(words, count, f32, $values => $expression),
            Kind::Stored(_) | Kind::Empty => unreachable!("only floating-point values are drawn"),
        }
    }};
    ($words:expr, $count:expr, $type:ty, $values:ident => $expression:expr) => {{
        let $values = &mut bytemuck::cast_slice_mut::<_, $type>($words)[..$count];
        $expression
    }};
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

    /// Changes the buffer to `count` bytes in the byte order of the file, and returns these bytes. The caller must fill
    /// them.
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

    /// Returns the floating-point values as a contiguous tensor of the given shape. A stream can fill this tensor.
    ///
    /// # Errors
    /// Returns an error if the number of elements of `shape` is not the number of values in the buffer.
    ///
    /// # Panics
    /// Panics if the buffer has no type (`ValueBuffer::default()`), if it contains integers, or if it contains bytes
    /// that are already in the byte order of the file.
    pub fn tensor(&mut self, shape: &[usize]) -> Result<TensorMut<'_>, fanin::Error> {
        floats!(self, values => TensorMut::contiguous(values, shape))
    }

    /// Returns a strided view of the floating-point values. The element with index 0 along every axis of the view is at
    /// index `offset` of the buffer.
    ///
    /// # Errors
    /// Returns the same errors as [`TensorMut::strided`].
    pub(crate) fn strided(
        &mut self,
        shape: &[usize],
        strides: &[isize],
        offset: usize,
    ) -> Result<TensorMut<'_>, fanin::Error> {
        floats!(self, values => TensorMut::strided(values, shape, strides, offset))
    }

    /// Returns a buffer of `count` values with `size` bytes each. All bytes are 0.
    pub(crate) fn of_stored(size: usize, count: usize) -> Result<Self, TryReserveError> {
        let mut values = Self::default();
        values.fill_repeated(&[0; 8][..size], count)?;
        Ok(values)
    }

    /// Returns the floating-point value with the index `position` in the buffer.
    pub(crate) fn float(&self, position: usize) -> f64 {
        let words = &self.words[..];
        match self.kind {
            Kind::Float(DType::F64) => bytemuck::cast_slice::<_, f64>(words)[position],
            Kind::Float(DType::F16) => bytemuck::cast_slice::<_, f16>(words)[position].to_f64(),
            Kind::Float(DType::BF16) => bytemuck::cast_slice::<_, bf16>(words)[position].to_f64(),
            Kind::Float(DType::F8E4M3) => bytemuck::cast_slice::<_, F8E4M3>(words)[position].to_f32().into(),
            Kind::Float(DType::F8E5M2) => bytemuck::cast_slice::<_, F8E5M2>(words)[position].to_f32().into(),
            Kind::Float(_) => bytemuck::cast_slice::<_, f32>(words)[position].into(),
            Kind::Stored(_) | Kind::Empty => unreachable!("only floating-point values are read as numbers"),
        }
    }

    /// Sets the floating-point value at index `position` to `number`, rounded to the type of the buffer.
    pub(crate) fn set_float(&mut self, position: usize, number: f64) {
        floats!(self, values => values[position] = Element::from_f64(number));
    }

    /// Sets the integer with the index `position` in the buffer.
    pub(crate) fn set_integer(&mut self, position: usize, number: i128) {
        let size = self.size();
        self.raw_mut()[position * size..(position + 1) * size].copy_from_slice(&number.to_le_bytes()[..size]);
    }

    /// Returns the number of bytes of one value.
    pub(crate) fn size(&self) -> usize {
        match self.kind {
            Kind::Float(dtype) => dtype.size(),
            Kind::Stored(size) => size,
            Kind::Empty => 0,
        }
    }

    /// Returns the bytes of the values. Floating-point values are in the native byte order. All others are
    /// little-endian.
    pub(crate) fn raw(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[..self.count * self.size()]
    }

    /// Returns the memory of the values, as [`ValueBuffer::raw`] does.
    pub(crate) fn raw_mut(&mut self) -> &mut [u8] {
        let bytes = self.count * self.size();
        &mut bytemuck::cast_slice_mut(&mut self.words)[..bytes]
    }

    /// Returns the values in the byte order of the file, which is little-endian.
    pub fn bytes(&self) -> Cow<'_, [u8]> {
        let bytes = self.raw();
        #[cfg(target_endian = "big")]
        if let Kind::Float(_) = self.kind {
            let swapped = bytes.chunks_exact(self.size()).flat_map(|value| value.iter().rev().copied());
            return Cow::Owned(swapped.collect());
        }
        Cow::Borrowed(bytes)
    }
}
