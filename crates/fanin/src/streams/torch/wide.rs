//! `Wide`, the trait of the types in which torch computes random values. [`for_each_chunk`] writes such values to
//! memory of the same or a narrower type.

use crate::dtype::{DType, Element, Values};
use crate::simd::Level;
use crate::streams::store::store;

/// A type in which torch computes random values: f64 for f64, f32 for all other types.
///
/// f16 and bf16 values are computed in f32 in a buffer, and then rounded once, as in torch. The code is therefore
/// compiled for two types instead of four (docs/dev/build.md).
pub(super) trait Wide: Element {
    /// The number of words of the generator that one value takes.
    const WORDS: u64;

    /// Returns `values` as a slice of this type. If `values` has another type, returns `values` unchanged as the error.
    fn memory(values: Values<'_>) -> Result<&mut [Self], Values<'_>>;

    /// Returns the slice as a [`WideSlice`].
    fn slice(slice: &mut [Self]) -> WideSlice<'_>;

    /// Returns the least and the greatest value of this type that round to `x` in `dtype`. `x` must be a value of
    /// `dtype`.
    fn rounding_to(dtype: DType, x: f64) -> (Self, Self);
}

/// A mutable slice of f32 or f64.
pub(super) enum WideSlice<'a> {
    F32(&'a mut [f32]),
    F64(&'a mut [f64]),
}

impl Wide for f32 {
    const WORDS: u64 = 1;

    fn memory(values: Values<'_>) -> Result<&mut [Self], Values<'_>> {
        match values {
            Values::F32(memory) => Ok(memory),
            other => Err(other),
        }
    }

    fn slice(slice: &mut [Self]) -> WideSlice<'_> {
        WideSlice::F32(slice)
    }

    fn rounding_to(dtype: DType, x: f64) -> (Self, Self) {
        dtype.rounding_to(x)
    }
}

impl Wide for f64 {
    const WORDS: u64 = 2;

    fn memory(values: Values<'_>) -> Result<&mut [Self], Values<'_>> {
        match values {
            Values::F64(memory) => Ok(memory),
            other => Err(other),
        }
    }

    fn slice(slice: &mut [Self]) -> WideSlice<'_> {
        WideSlice::F64(slice)
    }

    fn rounding_to(_: DType, x: f64) -> (Self, Self) {
        (x, x)
    }
}

/// Splits `values` into chunks of `length` values, and calls `write(first, chunk)` for each chunk in ascending order.
/// `first` is the index of the chunk's first value. The last chunk may be shorter.
///
/// If the values have the type `W`, `chunk` is their memory. Otherwise `chunk` is a buffer. Before the call, the buffer
/// contains the values of the chunk if `is_read` is true, and unspecified values if not. After the call, the values of
/// the buffer are rounded and stored.
pub(super) fn for_each_chunk<W: Wide>(
    level: Level,
    values: Values<'_>,
    (length, is_read): (usize, bool),
    write: &mut dyn FnMut(usize, &mut [W]),
) {
    let mut rest = match W::memory(values) {
        Ok(memory) => {
            let chunks = memory.chunks_mut(length).enumerate();
            return chunks.for_each(|(number, chunk)| write(number * length, chunk));
        }
        Err(narrow) => narrow,
    };
    let mut buffer = vec![W::default(); length.min(rest.len())];
    let mut begin = 0;
    while !rest.is_empty() {
        let (chunk, later) = rest.split_at(length);
        let buffer = &mut buffer[..chunk.len()];
        if is_read {
            chunk.read(buffer);
        }
        write(begin, buffer);
        if let WideSlice::F32(buffer) = W::slice(buffer) {
            store(level, buffer, chunk);
        }
        begin += length;
        rest = later;
    }
}
