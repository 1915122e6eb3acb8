//! Values of any type on their way to the file, in memory that is used again and again.

use std::borrow::Cow;
use std::collections::TryReserveError;

use fanin::half::{bf16, f16};
use fanin::{DType, F8E4M3, F8E5M2, TensorMut};

/// Values of any type on their way to the file.
#[derive(Debug, Default)]
pub struct Values {
    /// The memory, in words so that every type finds its alignment.
    words: Vec<u64>,
    kind: Kind,
    count: usize,
}

#[derive(Debug, Clone, Copy, Default)]
enum Kind {
    Drawn(DType),
    /// Of an integer type, as the file has them, each of so many bytes.
    Integers(usize),
    #[default]
    Nothing,
}

impl Values {
    /// Room for so many, if memory has it.
    pub fn new(dtype: DType, count: usize) -> Result<Self, TryReserveError> {
        let mut values = Self::default();
        values.resize(dtype, count)?;
        Ok(values)
    }

    /// Makes room for so many values, whatever was here before; what they are is left open.
    pub fn resize(&mut self, dtype: DType, count: usize) -> Result<(), TryReserveError> {
        self.make_room(count * dtype.size())?;
        (self.kind, self.count) = (Kind::Drawn(dtype), count);
        Ok(())
    }

    /// So many integers of one value, whose bytes these are.
    pub fn repeat(&mut self, value: &[u8], count: usize) -> Result<(), TryReserveError> {
        self.make_room(count * value.len())?;
        (self.kind, self.count) = (Kind::Integers(value.len()), count);
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut self.words);
        bytes.chunks_exact_mut(value.len()).take(count).for_each(|place| place.copy_from_slice(value));
        Ok(())
    }

    /// So many integers of that many bytes each, none of which is negative.
    pub fn integers(
        &mut self,
        size: usize,
        count: usize,
        values: impl Iterator<Item = u64>,
    ) -> Result<(), TryReserveError> {
        let bytes = self.raw(count * size)?;
        for (place, value) in bytes.chunks_exact_mut(size).zip(values) {
            place.copy_from_slice(&value.to_le_bytes()[..size]);
        }
        (self.kind, self.count) = (Kind::Integers(size), count);
        Ok(())
    }

    /// Room for so many bytes that the file has as they are.
    pub fn raw(&mut self, bytes: usize) -> Result<&mut [u8], TryReserveError> {
        self.make_room(bytes)?;
        (self.kind, self.count) = (Kind::Integers(1), bytes);
        Ok(&mut bytemuck::cast_slice_mut(&mut self.words)[..bytes])
    }

    fn make_room(&mut self, bytes: usize) -> Result<(), TryReserveError> {
        let words = bytes.div_ceil(8);
        if let Some(more) = words.checked_sub(self.words.len()) {
            self.words.try_reserve_exact(more)?;
            self.words.resize(words, 0);
        }
        Ok(())
    }

    /// Gives memory beyond so many bytes back.
    pub fn shrink_to(&mut self, bytes: usize) {
        if self.words.len() * 8 > bytes {
            *self = Self::default();
        }
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.count
    }

    pub fn tensor(&mut self, shape: &[usize]) -> Result<TensorMut<'_>, fanin::Error> {
        let (words, count) = (&mut self.words[..], self.count);
        match self.kind {
            Kind::Drawn(DType::F64) => {
                TensorMut::contiguous(&mut bytemuck::cast_slice_mut::<_, f64>(words)[..count], shape)
            }
            Kind::Drawn(DType::F16) => {
                TensorMut::contiguous(&mut bytemuck::cast_slice_mut::<_, f16>(words)[..count], shape)
            }
            Kind::Drawn(DType::BF16) => {
                TensorMut::contiguous(&mut bytemuck::cast_slice_mut::<_, bf16>(words)[..count], shape)
            }
            Kind::Drawn(DType::F8E4M3) => {
                TensorMut::contiguous(&mut bytemuck::cast_slice_mut::<_, F8E4M3>(words)[..count], shape)
            }
            Kind::Drawn(DType::F8E5M2) => {
                TensorMut::contiguous(&mut bytemuck::cast_slice_mut::<_, F8E5M2>(words)[..count], shape)
            }
            // A type that is not known here yet is refused by the fill, whose plan knows it.
            Kind::Drawn(_) => {
                TensorMut::contiguous(&mut bytemuck::cast_slice_mut::<_, f32>(words)[..count], shape)
            }
            Kind::Integers(_) | Kind::Nothing => unreachable!("integers are not drawn"),
        }
    }

    /// As the file has them: little-endian.
    pub fn bytes(&self) -> Cow<'_, [u8]> {
        let each = match self.kind {
            Kind::Drawn(dtype) => dtype.size(),
            Kind::Integers(size) => size,
            Kind::Nothing => 0,
        };
        let bytes = &bytemuck::cast_slice::<_, u8>(&self.words)[..self.count * each];
        #[cfg(target_endian = "big")]
        if let Kind::Drawn(_) = self.kind {
            let turned = bytes.chunks_exact(each).flat_map(|value| value.iter().rev().copied());
            return Cow::Owned(turned.collect());
        }
        Cow::Borrowed(bytes)
    }
}
