//! The implementation of the vector traits with AVX-512 F, BW, DQ and VL.

use std::arch::{asm, x86_64::*};

use super::float_vectors::{barriers, f32_conversions, float_vector, register};
use super::integer_vectors::{u32x16, u64_vector};
use crate::simd::traits::{
    Kernel, SimdBits, SimdF32, SimdF32Bits, SimdFloat, SimdIsa, SimdU32x16, SimdU64, SimdVector, U32X16_LANES,
};

/// Runs a kernel inside a function that is compiled with the instructions of this level.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c,bmi1,bmi2")]
pub(in crate::simd) fn run<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Avx512>()
}

/// The instruction set of [`Level::Avx512`](crate::simd::Level::Avx512).
struct Avx512;

impl SimdIsa for Avx512 {
    type F32 = F32x32;
    type F32Wide = F32x32;
    type F64 = F64x16;
    type U64 = U64x8;
    type U32x16 = U32x16;
    type F32Register = F32x16;
    type F64Register = F64x8;

    const REGISTERS: usize = 32;

    #[inline(always)]
    fn outside_mask(values: &[f32; U32X16_LANES], low: f32, high: f32) -> u16 {
        // SAFETY: the level was detected; there are sixteen values; unaligned loads are allowed.
        unsafe {
            let values = _mm512_loadu_ps(values.as_ptr());
            let below = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(values, _mm512_set1_ps(low));
            below | _mm512_cmp_ps_mask::<_CMP_GT_OQ>(values, _mm512_set1_ps(high))
        }
    }
}

float_vector! { F32x32, U32x32, f32, u32, __m512, __m512i, 16, [0 1], {
    _mm512_set1_ps _mm512_storeu_ps _mm512_add_ps _mm512_sub_ps _mm512_mul_ps _mm512_div_ps _mm512_fmadd_ps
    _mm512_sqrt_ps select_less_ps
    _mm512_min_ps _mm512_max_ps _mm512_castps_si512 barrier_ps barrier_with_ps
}, {
    _mm512_set1_epi32 load_u32 _mm512_and_si512 _mm512_xor_si512 _mm512_add_epi32 _mm512_sub_epi32
    _mm512_sllv_epi32 _mm512_srlv_epi32 _mm512_castsi512_ps _mm512_cvtepi32_ps _mm512_cvtepu32_ps select_by_sign_ps
} }
f32_conversions! { F32x32, U32x32, [0 1], _mm512_cvttps_epi32, _mm512_srav_epi32 }
float_vector! { F64x16, U64x16, f64, u64, __m512d, __m512i, 8, [0 1], {
    _mm512_set1_pd _mm512_storeu_pd _mm512_add_pd _mm512_sub_pd _mm512_mul_pd _mm512_div_pd _mm512_fmadd_pd
    _mm512_sqrt_pd select_less_pd
    _mm512_min_pd _mm512_max_pd _mm512_castpd_si512 barrier_pd barrier_with_pd
}, {
    _mm512_set1_epi64 load_u32_as_u64 _mm512_and_si512 _mm512_xor_si512 _mm512_add_epi64 _mm512_sub_epi64
    _mm512_sllv_epi64 _mm512_srlv_epi64 _mm512_castsi512_pd _mm512_cvtepi64_pd _mm512_cvtepi64_pd select_by_sign_pd
} }

register! { F32x16, f32, __m512, 16, _mm512_set1_ps _mm512_loadu_ps _mm512_storeu_ps _mm512_fmadd_ps }
register! { F64x8, f64, __m512d, 8, _mm512_set1_pd _mm512_loadu_pd _mm512_storeu_pd _mm512_fmadd_pd }

u64_vector! { U64x8, __m512i, 8, {
    _mm512_set1_epi64 _mm512_loadu_si512 _mm512_storeu_si512 _mm512_add_epi64 _mm512_xor_si512 _mm512_mul_epu32
    _mm512_slli_epi64 _mm512_srli_epi64 blend_even_odd
} }

u32x16! { __m512i, 16, [0], {
    _mm512_loadu_si512 _mm512_storeu_si512 _mm512_set1_epi32 _mm512_and_si512 _mm512_xor_si512
    _mm512_sllv_epi32 _mm512_srlv_epi32 _mm512_add_epi32 _mm512_mullo_epi32
}, {
    #[inline(always)]
    fn select_if_odd(self, word: u32) -> Self {
        let (one, word) = (Self::splat(1).0[0], Self::splat(word).0[0]);
        // SAFETY: the level was detected.
        Self([unsafe { _mm512_maskz_mov_epi32(_mm512_test_epi32_mask(self.0[0], one), word) }])
    }

    #[inline(always)]
    fn slide_1(self, next: Self) -> Self {
        // SAFETY: the level was detected.
        Self([unsafe { _mm512_alignr_epi32::<1>(next.0[0], self.0[0]) }])
    }

    #[inline(always)]
    fn slide_13(self, next: Self, _: [&[u32; U32X16_LANES]; 2]) -> Self {
        // SAFETY: the level was detected.
        Self([unsafe { _mm512_alignr_epi32::<13>(next.0[0], self.0[0]) }])
    }
} }

/// Returns the register with the even 32-bit words of `even` and the odd 32-bit words of `odd`.
#[inline(always)]
unsafe fn blend_even_odd(even: __m512i, odd: __m512i) -> __m512i {
    // SAFETY: the caller has detected the level.
    unsafe { _mm512_mask_blend_epi32(0b1010_1010_1010_1010, even, odd) }
}

#[inline(always)]
unsafe fn select_less_ps(a: __m512, b: __m512, if_less: __m512, otherwise: __m512) -> __m512 {
    // SAFETY: the caller has detected the level.
    unsafe { _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b), otherwise, if_less) }
}

#[inline(always)]
unsafe fn select_less_pd(a: __m512d, b: __m512d, if_less: __m512d, otherwise: __m512d) -> __m512d {
    // SAFETY: the caller has detected the level.
    unsafe { _mm512_mask_blend_pd(_mm512_cmp_pd_mask::<_CMP_LT_OQ>(a, b), otherwise, if_less) }
}

#[inline(always)]
unsafe fn select_by_sign_ps(words: __m512i, if_set: __m512, if_clear: __m512) -> __m512 {
    // SAFETY: the caller has detected the level.
    unsafe { _mm512_mask_blend_ps(_mm512_movepi32_mask(words), if_clear, if_set) }
}

#[inline(always)]
unsafe fn select_by_sign_pd(words: __m512i, if_set: __m512d, if_clear: __m512d) -> __m512d {
    // SAFETY: the caller has detected the level.
    unsafe { _mm512_mask_blend_pd(_mm512_movepi64_mask(words), if_clear, if_set) }
}

#[inline(always)]
unsafe fn load_u32(from: *const u32) -> __m512i {
    // SAFETY: the caller has detected the level, and sixteen words are readable.
    unsafe { _mm512_loadu_si512(from.cast()) }
}

#[inline(always)]
unsafe fn load_u32_as_u64(from: *const u32) -> __m512i {
    // SAFETY: the caller has detected the level, and eight words are readable.
    unsafe { _mm512_cvtepu32_epi64(_mm256_loadu_si256(from.cast())) }
}

barriers! { barrier_ps, barrier_with_ps, __m512, zmm_reg, "avx512f", [a b], [c d], "/* {} {} */" }
barriers! { barrier_pd, barrier_with_pd, __m512d, zmm_reg, "avx512f", [a b], [c d], "/* {} {} */" }
