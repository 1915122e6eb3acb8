//! The implementation of the vector traits with AVX2, FMA and F16C.

use std::arch::{asm, x86_64::*};

use super::float_vectors::{barriers, f32_conversions, float_vector, register};
use super::integer_vectors::{u32x16, u64_vector};
use super::philox::six_rounds;
use crate::simd::scalar::UNIT_SPACING;
use crate::simd::traits::{
    Kernel, SimdBits, SimdF32, SimdF32Bits, SimdFloat, SimdIsa, SimdU32x16, SimdU64, SimdVector, U32X16_LANES,
};

/// Runs a kernel inside a function that is compiled with the instructions of this level.
#[target_feature(enable = "avx2,fma,f16c,bmi1,bmi2")]
pub(in crate::simd) fn run<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Avx2>()
}

/// The instruction set of [`Level::Avx2`](crate::simd::Level::Avx2).
struct Avx2;

impl SimdIsa for Avx2 {
    type F32 = F32x32;
    type F32Wide = F32x64;
    type F64 = F64x16;
    type U64 = U64x4;
    type U32x16 = U32x16;
    type F32Register = F32x8;
    type F64Register = F64x4;

    const REGISTERS: usize = 16;

    #[inline(always)]
    fn outside_mask(values: &[f32; U32X16_LANES], low: f32, high: f32) -> u16 {
        let (first, last) = values.split_at(U32X16_LANES / 2);
        // SAFETY: the level was detected; each half has eight values; unaligned loads are allowed.
        unsafe {
            let (low, high) = (_mm256_set1_ps(low), _mm256_set1_ps(high));
            let mut bits = [0; 2];
            for (bits, values) in bits.iter_mut().zip([first, last]) {
                let values = _mm256_loadu_ps(values.as_ptr());
                let (below, above) =
                    (_mm256_cmp_ps::<_CMP_LT_OQ>(values, low), _mm256_cmp_ps::<_CMP_GT_OQ>(values, high));
                *bits = _mm256_movemask_ps(_mm256_or_ps(below, above)) as u16;
            }
            bits[0] | bits[1] << 8
        }
    }
}

/// Implements the traits of f32 vectors for arrays of `__m256` registers.
macro_rules! f32_vector {
    ($floats:ident, $bits:ident, [$($at:literal)*], $barrier:ident $barrier_with:ident) => {
        float_vector! { $floats, $bits, f32, u32, __m256, __m256i, 8, [$($at)*], {
            _mm256_set1_ps _mm256_storeu_ps _mm256_add_ps _mm256_sub_ps _mm256_mul_ps _mm256_div_ps _mm256_fmadd_ps
            _mm256_sqrt_ps select_less_ps
            _mm256_min_ps _mm256_max_ps _mm256_castps_si256 $barrier $barrier_with
        }, {
            _mm256_set1_epi32 load_u32 _mm256_and_si256 _mm256_xor_si256 _mm256_add_epi32 _mm256_sub_epi32
            _mm256_sllv_epi32 _mm256_srlv_epi32 _mm256_castsi256_ps _mm256_cvtepi32_ps convert_u32 select_by_sign_ps
        } }
        f32_conversions! { $floats, $bits, [$($at)*], _mm256_cvttps_epi32, _mm256_srav_epi32 }
    };
}

f32_vector! { F32x32, U32x32, [0 1 2 3], barrier_ps barrier_with_ps }
// AVX2 has sixteen registers, and this vector takes eight. The other eight are too few for temporary values, so the
// compiler keeps half of the vector in memory. Instructions read this half as memory operands.
f32_vector! { F32x64, U32x64, [0 1 2 3 4 5 6 7], barrier_8_ps barrier_with_8_ps }
float_vector! { F64x16, U64x16, f64, u64, __m256d, __m256i, 4, [0 1 2 3], {
    _mm256_set1_pd _mm256_storeu_pd _mm256_add_pd _mm256_sub_pd _mm256_mul_pd _mm256_div_pd _mm256_fmadd_pd
    _mm256_sqrt_pd select_less_pd
    _mm256_min_pd _mm256_max_pd _mm256_castpd_si256 barrier_pd barrier_with_pd
}, {
    _mm256_set1_epi64x load_u32_as_u64 _mm256_and_si256 _mm256_xor_si256 _mm256_add_epi64 _mm256_sub_epi64
    _mm256_sllv_epi64 _mm256_srlv_epi64 _mm256_castsi256_pd convert_52_bits convert_52_bits select_by_sign_pd
} }

register! { F32x8, f32, __m256, 8, _mm256_set1_ps _mm256_loadu_ps _mm256_storeu_ps _mm256_fmadd_ps }
register! { F64x4, f64, __m256d, 4, _mm256_set1_pd _mm256_loadu_pd _mm256_storeu_pd _mm256_fmadd_pd }

u64_vector! { U64x4, __m256i, 4, {
    _mm256_set1_epi64x _mm256_loadu_si256 _mm256_storeu_si256 _mm256_add_epi64 _mm256_xor_si256 _mm256_mul_epu32
    _mm256_slli_epi64 _mm256_srli_epi64 blend_even_odd
}, six_rounds }

u32x16! { __m256i, 8, [0 1], {
    _mm256_loadu_si256 _mm256_storeu_si256 _mm256_set1_epi32 _mm256_and_si256 _mm256_xor_si256
    _mm256_sllv_epi32 _mm256_srlv_epi32 _mm256_add_epi32 _mm256_mullo_epi32
}, {
    // `vpsignd` returns `word` where a lane of `lowest` is 1, and 0 where it is 0. A mask or a multiplication would be
    // slower: compilers turn either into two shifts, and most CPUs can shift on only one vector port.
    #[inline(always)]
    fn select_if_odd(self, word: u32) -> Self {
        let (lowest, word) = (self.and(Self::splat(1)).0, Self::splat(word).0[0]);
        // SAFETY: the level was detected.
        Self(unsafe { [_mm256_sign_epi32(word, lowest[0]), _mm256_sign_epi32(word, lowest[1])] })
    }

    #[inline(always)]
    fn slide_1(self, next: Self) -> Self {
        let ([first, second], [next, _]) = (self.0, next.0);
        Self([slide_register_1(first, second), slide_register_1(second, next)])
    }

    // A load takes one micro-operation. `slide_1` exchanges halves of registers, which takes up to eight
    // micro-operations on older CPUs.
    #[inline(always)]
    fn slide_1_from(self, _: Self, memory: &[u32; U32X16_LANES + 1]) -> Self {
        Self::load(memory.last_chunk().expect("the memory is one word longer than the vector"))
    }

    // Loads aligned quarters of vectors, because an exchange of the halves of registers is slow. No load waits, because
    // one store has written all words of a quarter.
    #[inline(always)]
    fn slide_13(self, next: Self, [memory, next_memory]: [&[u32; U32X16_LANES]; 2]) -> Self {
        let (quarters, next_quarters) = (memory.as_chunks().0, next_memory.as_chunks().0);
        let first = load_halves(&quarters[3], &next_quarters[0]);
        let second = load_halves(&next_quarters[1], &next_quarters[2]);
        // SAFETY: the level was detected.
        Self(unsafe { [_mm256_alignr_epi8::<4>(next.0[0], first), _mm256_alignr_epi8::<4>(next.0[1], second)] })
    }
} }

/// Returns the lanes 1..9 of the concatenation of `register` and `next`.
#[inline(always)]
fn slide_register_1(register: __m256i, next: __m256i) -> __m256i {
    // SAFETY: the level was detected, because only `U32x16` calls this function.
    unsafe { _mm256_alignr_epi8::<4>(_mm256_permute2x128_si256::<0x21>(register, next), register) }
}

/// Returns the register with the words of `low` in its low half and the words of `high` in its high half.
#[inline(always)]
fn load_halves(low: &[u32; 4], high: &[u32; 4]) -> __m256i {
    // SAFETY: the level was detected, because only `U32x16` calls this function; unaligned loads are allowed.
    unsafe {
        let (low, high) = (_mm_loadu_si128(low.as_ptr().cast()), _mm_loadu_si128(high.as_ptr().cast()));
        _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(low), high)
    }
}

/// Returns the register with the even 32-bit words of `even` and the odd 32-bit words of `odd`.
#[inline(always)]
unsafe fn blend_even_odd(even: __m256i, odd: __m256i) -> __m256i {
    // SAFETY: the caller has detected the level.
    unsafe { _mm256_blend_epi32::<0b1010_1010>(even, odd) }
}

#[inline(always)]
unsafe fn select_less_ps(a: __m256, b: __m256, if_less: __m256, otherwise: __m256) -> __m256 {
    // SAFETY: the caller has detected the level.
    unsafe { _mm256_blendv_ps(otherwise, if_less, _mm256_cmp_ps::<_CMP_LT_OQ>(a, b)) }
}

#[inline(always)]
unsafe fn select_less_pd(a: __m256d, b: __m256d, if_less: __m256d, otherwise: __m256d) -> __m256d {
    // SAFETY: the caller has detected the level.
    unsafe { _mm256_blendv_pd(otherwise, if_less, _mm256_cmp_pd::<_CMP_LT_OQ>(a, b)) }
}

/// Selects by the highest bit of each lane of `words`, which is the bit that `vblendvps` tests.
#[inline(always)]
unsafe fn select_by_sign_ps(words: __m256i, if_set: __m256, if_clear: __m256) -> __m256 {
    // SAFETY: the caller has detected the level.
    unsafe { _mm256_blendv_ps(if_clear, if_set, _mm256_castsi256_ps(words)) }
}

#[inline(always)]
unsafe fn select_by_sign_pd(words: __m256i, if_set: __m256d, if_clear: __m256d) -> __m256d {
    // SAFETY: the caller has detected the level.
    unsafe { _mm256_blendv_pd(if_clear, if_set, _mm256_castsi256_pd(words)) }
}

#[inline(always)]
unsafe fn load_u32(from: *const u32) -> __m256i {
    // SAFETY: the caller has detected the level, and eight words are readable.
    unsafe { _mm256_loadu_si256(from.cast()) }
}

#[inline(always)]
unsafe fn load_u32_as_u64(from: *const u32) -> __m256i {
    // SAFETY: the caller has detected the level, and four words are readable.
    unsafe { _mm256_cvtepu32_epi64(_mm_loadu_si128(from.cast())) }
}

/// Converts signed integers of magnitude less than 2^51 to f64, by the method of `convert_52_bits` in `scalar`.
#[inline(always)]
unsafe fn convert_52_bits(words: __m256i) -> __m256d {
    // SAFETY: the caller has detected the level.
    unsafe {
        let offset = _mm256_set1_pd(UNIT_SPACING);
        _mm256_sub_pd(_mm256_castsi256_pd(_mm256_add_epi64(words, _mm256_castpd_si256(offset))), offset)
    }
}

/// Converts u32 to f32, rounded to nearest. A word with the 16-bit halves `l` (low) and `h` (high) gives the floats
/// 2^23 + l and 2^39 + 2^16 * h. All operations except the final sum are exact.
#[inline(always)]
unsafe fn convert_u32(words: __m256i) -> __m256 {
    // SAFETY: the caller has detected the level.
    unsafe {
        let splat = |bits: i32| _mm256_set1_epi32(bits);
        let low = _mm256_blend_epi16::<0b1010_1010>(words, splat(0x4b00_0000));
        let high = _mm256_blend_epi16::<0b1010_1010>(_mm256_srli_epi32::<16>(words), splat(0x5300_0000));
        // `0x5300_0080` is the float 2^39 + 2^23.
        let high = _mm256_sub_ps(_mm256_castsi256_ps(high), _mm256_castsi256_ps(splat(0x5300_0080)));
        _mm256_add_ps(_mm256_castsi256_ps(low), high)
    }
}

barriers! { barrier_ps, barrier_with_ps, __m256, ymm_reg, "avx2", [a b c d], [e f g h], "/* {} {} {} {} */" }
barriers! { barrier_pd, barrier_with_pd, __m256d, ymm_reg, "avx2", [a b c d], [e f g h], "/* {} {} {} {} */" }

/// Implements `barrier` of [`SimdFloat`](crate::simd::SimdFloat) for vectors of eight registers. For two such vectors,
/// `barrier_with_8_ps` uses two separate barriers, because a common barrier would need all sixteen registers of AVX2.
#[target_feature(enable = "avx2")]
#[inline]
fn barrier_8_ps(registers: [__m256; 8]) -> [__m256; 8] {
    let (low, high) = registers.split_at(4);
    let ([a, b, c, d], [e, f, g, h]) = barrier_with_ps(
        *low.first_chunk().expect("half of eight registers"),
        *high.first_chunk().expect("half of eight registers"),
    );
    [a, b, c, d, e, f, g, h]
}

#[target_feature(enable = "avx2")]
#[inline]
fn barrier_with_8_ps(one: [__m256; 8], other: [__m256; 8]) -> ([__m256; 8], [__m256; 8]) {
    (barrier_8_ps(one), barrier_8_ps(other))
}
