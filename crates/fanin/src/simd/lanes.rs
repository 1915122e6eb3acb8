//! Vectors by hand, for the one kernel whose registers the compiler does not find: the tile of a matrix product.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use super::Level;

/// A vector of numbers. Its types are private to this file: who holds one was called by [`dispatch_lanes`], on a CPU
/// that has the instructions.
pub(crate) trait Lanes<T>: Copy {
    /// Numbers in it.
    const COUNT: usize;

    /// The same number in every lane.
    fn splat(value: T) -> Self;

    /// The first numbers of a slice.
    fn load(from: &[T]) -> Self;

    /// Writes them to the beginning of a slice.
    fn store(self, to: &mut [T]);

    /// `self * times + plus`, rounded once.
    fn fused(self, times: Self, plus: Self) -> Self;
}

/// Work on vectors. `run` must be `#[inline(always)]`, and so must all it calls.
pub(crate) trait LaneKernel<T> {
    fn run<L: Lanes<T>>(self);
}

/// Numbers that there are vectors of.
pub(crate) trait Laned: Copy + Default {
    #[cfg(target_arch = "x86_64")]
    type Avx2: Lanes<Self>;
    #[cfg(target_arch = "x86_64")]
    type Avx512: Lanes<Self>;

    /// `self * times + plus`, rounded once.
    fn fused(self, times: Self, plus: Self) -> Self;
}

/// Runs a kernel with the vectors of a level, or of the best there is if the CPU lacks it.
pub(crate) fn dispatch_lanes<T: Laned>(level: Level, kernel: impl LaneKernel<T>) {
    match level.or_best() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `or_best` gives only levels that `available` has found on this CPU.
        Level::Avx2 => unsafe { run_avx2(kernel) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Level::Avx512 => unsafe { run_avx512(kernel) },
        _ => kernel.run::<Plain<T>>(),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c,bmi1,bmi2")]
fn run_avx2<T: Laned>(kernel: impl LaneKernel<T>) {
    kernel.run::<T::Avx2>();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c,bmi1,bmi2")]
fn run_avx512<T: Laned>(kernel: impl LaneKernel<T>) {
    kernel.run::<T::Avx512>();
}

/// For every CPU.
#[derive(Clone, Copy)]
struct Plain<T>([T; 4]);

impl<T: Laned> Lanes<T> for Plain<T> {
    const COUNT: usize = 4;

    #[inline(always)]
    fn splat(value: T) -> Self {
        Self([value; 4])
    }

    #[inline(always)]
    fn load(from: &[T]) -> Self {
        Self(*from.first_chunk().expect("four numbers"))
    }

    #[inline(always)]
    fn store(self, to: &mut [T]) {
        *to.first_chunk_mut().expect("four numbers") = self.0;
    }

    #[inline(always)]
    fn fused(self, times: Self, plus: Self) -> Self {
        let mut result = plus.0;
        for lane in 0..4 {
            result[lane] = self.0[lane].fused(times.0[lane], plus.0[lane]);
        }
        Self(result)
    }
}

macro_rules! vectors {
    ($number:ty, $($name:ident, $vector:ty, $count:literal, $splat:ident, $load:ident, $store:ident, $fused:ident;)*) => {
        $(
            /// One register.
            #[cfg(target_arch = "x86_64")]
            #[derive(Clone, Copy)]
            pub(crate) struct $name($vector);

            #[cfg(target_arch = "x86_64")]
            impl Lanes<$number> for $name {
                const COUNT: usize = $count;

                #[inline(always)]
                fn splat(value: $number) -> Self {
                    // SAFETY: only `dispatch_lanes` names this type, where the CPU has its instructions.
                    Self(unsafe { $splat(value) })
                }

                #[inline(always)]
                fn load(from: &[$number]) -> Self {
                    let from: &[$number; $count] = from.first_chunk().expect("a vector of numbers");
                    // SAFETY: as in `splat`; so many numbers are there, and may lie anywhere.
                    Self(unsafe { $load(from.as_ptr()) })
                }

                #[inline(always)]
                fn store(self, to: &mut [$number]) {
                    let to: &mut [$number; $count] = to.first_chunk_mut().expect("room for a vector of numbers");
                    // SAFETY: as in `load`.
                    unsafe { $store(to.as_mut_ptr(), self.0) }
                }

                #[inline(always)]
                fn fused(self, times: Self, plus: Self) -> Self {
                    // SAFETY: as in `splat`.
                    Self(unsafe { $fused(self.0, times.0, plus.0) })
                }
            }
        )*
    };
}

vectors! { f32,
    F32x8, __m256, 8, _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_fmadd_ps;
    F32x16, __m512, 16, _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_fmadd_ps;
}
vectors! { f64,
    F64x4, __m256d, 4, _mm256_set1_pd, _mm256_loadu_pd, _mm256_storeu_pd, _mm256_fmadd_pd;
    F64x8, __m512d, 8, _mm512_set1_pd, _mm512_loadu_pd, _mm512_storeu_pd, _mm512_fmadd_pd;
}

impl Laned for f32 {
    #[cfg(target_arch = "x86_64")]
    type Avx2 = F32x8;
    #[cfg(target_arch = "x86_64")]
    type Avx512 = F32x16;

    #[inline(always)]
    fn fused(self, times: Self, plus: Self) -> Self {
        self.mul_add(times, plus)
    }
}

impl Laned for f64 {
    #[cfg(target_arch = "x86_64")]
    type Avx2 = F64x4;
    #[cfg(target_arch = "x86_64")]
    type Avx512 = F64x8;

    #[inline(always)]
    fn fused(self, times: Self, plus: Self) -> Self {
        self.mul_add(times, plus)
    }
}
