//! CPU levels and the dispatch to them: the only home of `unsafe`.
//!
//! A kernel is safe Rust over lane arrays, written once and marked `#[inline(always)]`. [`dispatch`] calls it from a
//! function that is compiled with the features of one level, so that the vectorizer may use them. The arithmetic is
//! the same at every level, operation by operation: only the width differs, never a bit.

#![allow(
    unsafe_code,
    reason = "calling a function compiled for a CPU level, once that level is known to be there"
)]

mod block;
mod floats;
mod lanes;
#[cfg(target_arch = "x86_64")]
mod registers;
#[cfg(target_arch = "x86_64")]
mod rounds;
mod wide;

use std::sync::OnceLock;

pub(crate) use block::{BLOCK, Block};
pub(crate) use floats::{Bits, Doubles, Floats, Singles, Words};
pub(crate) use lanes::{LaneKernel, Laned, Lanes, dispatch_lanes};
pub(crate) use wide::{Isa, Plain, Wide};

/// A set of CPU instructions that kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Level {
    /// What every CPU of the target has.
    Scalar,
    /// x86-64 with AVX2, FMA and F16C.
    Avx2,
    /// x86-64 with AVX-512 F, BW, DQ and VL.
    Avx512,
}

impl Level {
    /// The levels that this CPU has, [`Level::Scalar`] first.
    pub fn available() -> &'static [Level] {
        static AVAILABLE: OnceLock<Vec<Level>> = OnceLock::new();
        AVAILABLE.get_or_init(|| {
            #[allow(unused_mut, reason = "other targets have the scalar level only")]
            let mut levels = vec![Level::Scalar];
            #[cfg(target_arch = "x86_64")]
            {
                let avx2 = ["avx2", "fma", "f16c", "bmi1", "bmi2"];
                let detected = |name: &str| match name {
                    "avx2" => is_x86_feature_detected!("avx2"),
                    "fma" => is_x86_feature_detected!("fma"),
                    "f16c" => is_x86_feature_detected!("f16c"),
                    "bmi1" => is_x86_feature_detected!("bmi1"),
                    _ => is_x86_feature_detected!("bmi2"),
                };
                if avx2.into_iter().all(detected) {
                    levels.push(Level::Avx2);
                    if is_x86_feature_detected!("avx512f")
                        && is_x86_feature_detected!("avx512bw")
                        && is_x86_feature_detected!("avx512dq")
                        && is_x86_feature_detected!("avx512vl")
                    {
                        levels.push(Level::Avx512);
                    }
                }
            }
            levels
        })
    }

    /// The highest level that this CPU has.
    pub fn best() -> Level {
        *Level::available().last().expect("the scalar level is always there")
    }

    /// Whether this CPU has the level.
    pub fn is_available(self) -> bool {
        Level::available().contains(&self)
    }

    /// This level, or the highest that this CPU has if it lacks this one.
    pub(crate) fn or_best(self) -> Level {
        if self.is_available() { self } else { Level::best() }
    }
}

/// Work that is compiled once for each level. `run` must be `#[inline(always)]`, and so must all it calls.
pub(crate) trait Kernel {
    /// What the work gives back.
    type Output;

    /// Does the work, with the vectors of a level where it wants them by hand.
    fn run<I: Isa>(self) -> Self::Output;
}

/// Runs a kernel at a level, or at the best there is if the CPU lacks it.
pub(crate) fn dispatch<K: Kernel>(level: Level, kernel: K) -> K::Output {
    match level.or_best() {
        Level::Scalar => kernel.run::<Plain>(),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `or_best` gives only levels that `available` has found on this CPU.
        Level::Avx2 => unsafe { run_avx2(kernel) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Level::Avx512 => unsafe { run_avx512(kernel) },
        #[cfg(not(target_arch = "x86_64"))]
        _ => kernel.run::<Plain>(),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c,bmi1,bmi2")]
fn run_avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<wide::Avx2>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c,bmi1,bmi2")]
fn run_avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<wide::Avx512>()
}

/// Fills memory with one value around the caches, by non-temporal stores, for what would fall out of them before it is
/// read. Whoever is handed the memory afterwards sees the values.
pub(crate) fn fill_around_caches<T: bytemuck::Pod>(value: T, to: &mut [T]) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{__m128i, _mm_sfence, _mm_stream_si128};
        let mut lanes = [0u8; 16];
        let bytes = bytemuck::bytes_of(&value);
        lanes.chunks_exact_mut(bytes.len()).for_each(|lane| lane.copy_from_slice(bytes));
        let vector: __m128i = bytemuck::cast(lanes);
        // Before the first aligned place, and after the last, as usual. A value never straddles it: its size divides 16.
        let before = to.as_ptr().cast::<u8>().align_offset(16).div_ceil(bytes.len()).min(to.len());
        let (before, to) = to.split_at_mut(before);
        before.fill(value);
        let mut pieces = to.chunks_exact_mut(16 / bytes.len());
        for piece in &mut pieces {
            // SAFETY: SSE2 is in every x86-64; the piece has sixteen bytes, and lies so many from an aligned place.
            unsafe { _mm_stream_si128(piece.as_mut_ptr().cast(), vector) };
        }
        pieces.into_remainder().fill(value);
        // SAFETY: SSE is in every x86-64. Such stores wait for nobody: the next lock or flag must find them done.
        unsafe { _mm_sfence() };
    }
    #[cfg(not(target_arch = "x86_64"))]
    to.fill(value);
}

/// Memory that is written soon. Fetched line by line while something is computed, the way to it is hidden; all at once,
/// it would be waited for.
pub(crate) struct Ahead<'a> {
    bytes: &'a [u8],
}

/// Bytes that the caches fetch at once.
const LINE: usize = 64;

impl<'a> Ahead<'a> {
    /// Of this memory.
    #[inline(always)]
    pub(crate) fn new<T: bytemuck::Pod>(memory: &'a [T]) -> Self {
        Self { bytes: bytemuck::cast_slice(memory) }
    }

    /// None.
    #[inline(always)]
    pub(crate) fn nothing() -> Self {
        Self { bytes: &[] }
    }

    /// Fetches as many lines of the cache as these values take.
    #[inline(always)]
    pub(crate) fn fetch_for<T>(&mut self, values: &[T]) {
        for _ in 0..size_of_val(values) / LINE {
            self.fetch();
        }
    }

    /// Fetches the next line of the cache.
    #[inline(always)]
    pub(crate) fn fetch(&mut self) {
        if let Some((line, later)) = self.bytes.split_first_chunk::<LINE>() {
            #[cfg(target_arch = "x86_64")]
            {
                use std::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
                // SAFETY: a hint, which reads nothing; it might name any address.
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
            fill_around_caches(one, &mut memory[start..end]);
            for (at, &found) in memory.iter().enumerate() {
                assert_eq!(found, if (start..end).contains(&at) { one } else { zero }, "{start} {end} {at}");
            }
        }
    }

    #[test]
    fn around_the_caches_every_value_is_written_and_no_other() {
        check(0u16, 0x1234);
        check(0f32, 1.5);
        check(0f64, -2.5);
    }
}
