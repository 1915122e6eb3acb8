//! Non-temporal stores and prefetching.

/// Sets all elements of `to` to `value` by non-temporal stores, which bypass the caches.
///
/// Use this function for slices that are larger than the caches. Ordinary stores would fill the caches with lines that
/// are evicted before they are read.
pub(crate) fn fill_non_temporal<T: bytemuck::Pod>(value: T, to: &mut [T]) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{__m128i, _mm_sfence, _mm_stream_si128};
        const { assert!(16 % size_of::<T>() == 0 && align_of::<T>() == size_of::<T>()) };
        let mut lanes = [0u8; 16];
        let bytes = bytemuck::bytes_of(&value);
        lanes.chunks_exact_mut(bytes.len()).for_each(|lane| lane.copy_from_slice(bytes));
        let vector: __m128i = bytemuck::cast(lanes);
        // A non-temporal store writes one aligned block of 16 bytes. Ordinary stores write the values before the first
        // block and after the last block. By the assertion, no value is in two blocks.
        let before = to.as_ptr().cast::<u8>().align_offset(16).div_ceil(bytes.len()).min(to.len());
        let (before, to) = to.split_at_mut(before);
        before.fill(value);
        let mut vectors = to.chunks_exact_mut(16 / bytes.len());
        for to in &mut vectors {
            // SAFETY: every x86-64 CPU has SSE2; `to` has 16 bytes at an address that is a multiple of 16.
            unsafe { _mm_stream_si128(to.as_mut_ptr().cast(), vector) };
        }
        vectors.into_remainder().fill(value);
        // SAFETY: every x86-64 CPU has SSE. Non-temporal stores are weakly ordered. Without this fence, a thread that
        // synchronizes with the caller could read old values.
        unsafe { _mm_sfence() };
    }
    #[cfg(not(target_arch = "x86_64"))]
    to.fill(value);
}

/// A prefetcher for memory that will soon be written. Each call of [`Prefetch::next_line`] prefetches one cache line.
///
/// The caller alternates between arithmetic and calls of [`Prefetch::next_line`], so that the CPU fetches memory while
/// it computes. A CPU can fetch only a few lines at the same time, and would stall if all lines were prefetched at
/// once.
pub(crate) struct Prefetch<'a> {
    bytes: &'a [u8],
}

/// The size of a cache line in bytes.
const LINE: usize = 64;

impl<'a> Prefetch<'a> {
    /// Creates a prefetcher for `memory`. Nothing is fetched yet.
    #[inline(always)]
    pub(crate) fn new<T: bytemuck::Pod>(memory: &'a [T]) -> Self {
        Self { bytes: bytemuck::cast_slice(memory) }
    }

    /// Creates a prefetcher without memory, which does nothing.
    #[inline(always)]
    pub(crate) fn none() -> Self {
        Self { bytes: &[] }
    }

    /// Prefetches the next cache lines. Their total size is the size of `values`, rounded down to whole lines.
    #[inline(always)]
    pub(crate) fn next_lines_for<T>(&mut self, values: &[T]) {
        for _ in 0..size_of_val(values) / LINE {
            self.next_line();
        }
    }

    /// Prefetches the next cache line. Does nothing if less than one line of the memory remains.
    #[inline(always)]
    pub(crate) fn next_line(&mut self) {
        if let Some((line, later)) = self.bytes.split_first_chunk::<LINE>() {
            #[cfg(target_arch = "x86_64")]
            {
                use std::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
                // SAFETY: every x86-64 CPU has SSE; a prefetch is a hint that accepts any address.
                unsafe { _mm_prefetch::<_MM_HINT_ET0>(line.as_ptr().cast()) };
            }
            #[cfg(not(target_arch = "x86_64"))]
            let _ = line;
            self.bytes = later;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: bytemuck::Pod + PartialEq + std::fmt::Debug>(zero: T, one: T) {
        for (start, end) in [(0, 0), (0, 1), (1, 2), (3, 100), (1, 64), (7, 71), (16, 80), (5, 5)] {
            let mut memory = [zero; 120];
            fill_non_temporal(one, &mut memory[start..end]);
            for (index, &found) in memory.iter().enumerate() {
                let expected = if (start..end).contains(&index) { one } else { zero };
                assert_eq!(found, expected, "index {index} after a fill of {start}..{end}");
            }
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri does not have the instruction sfence")]
    fn a_non_temporal_fill_writes_every_value_of_the_slice_and_no_other() {
        check(0u16, 0x1234);
        check(0f32, 1.5);
        check(0f64, -2.5);
    }
}
