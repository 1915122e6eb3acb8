//! Registers full of numbers, for the functions of `math`, by hand. Left to the compiler, eight values went through all
//! steps, then the next eight.

#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "one reason for a hundred one-line blocks: it stands above them"
)]

use std::arch::{asm, x86_64::*};

use super::floats::{Bits, Floats, Singles, UNITS, Words};

/// Registers that go through each step together: as many numbers at either level, and enough of them to hide how long a
/// step takes.
macro_rules! registers {
    ($floats:ident, $bits:ident, $one:ty, $word:ty, $float:ty, $int:ty, $lanes:literal, [$($at:literal)*], {
        $splat:ident $store:ident $add:ident $sub:ident $times:ident $over:ident $fused:ident $sqrt:ident $less:ident
        $lesser:ident $greater:ident $bits_of:ident $abreast:ident $beside:ident
    }, {
        $splat_bits:ident $load_bits:ident $and:ident $xor:ident $add_bits:ident $sub_bits:ident $left:ident $right:ident
        $floats_of:ident $signed:ident $unsigned:ident $highest:ident
    }) => {
        #[derive(Clone, Copy)]
        pub(crate) struct $floats([$float; [$($at),*].len()]);

        #[derive(Clone, Copy)]
        pub(crate) struct $bits([$int; [$($at),*].len()]);

        // SAFETY of all below: only `dispatch` names these types, where the CPU has their instructions. Loads and stores are
        // given slices of so many numbers, which may lie anywhere.
        impl Floats for $floats {
            type One = $one;
            type Bits = $bits;

            const COUNT: usize = $lanes * [$($at),*].len();

            #[inline(always)]
            fn splat(value: $one) -> Self {
                Self([unsafe { $splat(value) }; [$($at),*].len()])
            }

            #[inline(always)]
            fn store(self, to: &mut [$one]) {
                let to: &mut [$one; Self::COUNT] = to.first_chunk_mut().expect("room for so many numbers");
                unsafe { $($store(to.as_mut_ptr().add($at * $lanes), self.0[$at]);)* }
            }

            #[inline(always)]
            fn add(self, other: Self) -> Self {
                Self(unsafe { [$($add(self.0[$at], other.0[$at])),*] })
            }

            #[inline(always)]
            fn sub(self, other: Self) -> Self {
                Self(unsafe { [$($sub(self.0[$at], other.0[$at])),*] })
            }

            #[inline(always)]
            fn times(self, other: Self) -> Self {
                Self(unsafe { [$($times(self.0[$at], other.0[$at])),*] })
            }

            #[inline(always)]
            fn over(self, other: Self) -> Self {
                Self(unsafe { [$($over(self.0[$at], other.0[$at])),*] })
            }

            #[inline(always)]
            fn fused(self, times: Self, plus: Self) -> Self {
                Self(unsafe { [$($fused(self.0[$at], times.0[$at], plus.0[$at])),*] })
            }

            #[inline(always)]
            fn sqrt(self) -> Self {
                Self(unsafe { [$($sqrt(self.0[$at])),*] })
            }

            #[inline(always)]
            fn where_less(self, than: Self, yes: Self, no: Self) -> Self {
                Self(unsafe { [$($less(self.0[$at], than.0[$at], yes.0[$at], no.0[$at])),*] })
            }

            #[inline(always)]
            fn lesser(self, other: Self) -> Self {
                Self(unsafe { [$($lesser(self.0[$at], other.0[$at])),*] })
            }

            #[inline(always)]
            fn greater(self, other: Self) -> Self {
                Self(unsafe { [$($greater(self.0[$at], other.0[$at])),*] })
            }

            #[inline(always)]
            fn bits(self) -> $bits {
                $bits(unsafe { [$($bits_of(self.0[$at])),*] })
            }

            #[inline(always)]
            fn abreast(self) -> Self {
                Self(unsafe { $abreast(self.0) })
            }

            #[inline(always)]
            fn beside(self, other: Self) -> (Self, Self) {
                let (own, other) = unsafe { $beside(self.0, other.0) };
                (Self(own), Self(other))
            }
        }

        impl Bits for $bits {
            type One = $word;
            type Floats = $floats;

            #[inline(always)]
            fn splat(word: $word) -> Self {
                Self([unsafe { $splat_bits(word.cast_signed()) }; [$($at),*].len()])
            }

            #[inline(always)]
            fn load(from: &[u32]) -> Self {
                let from: &[u32; $floats::COUNT] = from.first_chunk().expect("so many words");
                Self(unsafe { [$($load_bits(from.as_ptr().add($at * $lanes))),*] })
            }

            #[inline(always)]
            fn and(self, other: Self) -> Self {
                Self(unsafe { [$($and(self.0[$at], other.0[$at])),*] })
            }

            #[inline(always)]
            fn xor(self, other: Self) -> Self {
                Self(unsafe { [$($xor(self.0[$at], other.0[$at])),*] })
            }

            #[inline(always)]
            fn add(self, other: Self) -> Self {
                Self(unsafe { [$($add_bits(self.0[$at], other.0[$at])),*] })
            }

            #[inline(always)]
            fn sub(self, other: Self) -> Self {
                Self(unsafe { [$($sub_bits(self.0[$at], other.0[$at])),*] })
            }

            #[inline(always)]
            fn left(self, bits: u32) -> Self {
                let bits = Self::splat(bits.into());
                Self(unsafe { [$($left(self.0[$at], bits.0[$at])),*] })
            }

            #[inline(always)]
            fn right(self, bits: u32) -> Self {
                let bits = Self::splat(bits.into());
                Self(unsafe { [$($right(self.0[$at], bits.0[$at])),*] })
            }

            #[inline(always)]
            fn floats(self) -> $floats {
                $floats(unsafe { [$($floats_of(self.0[$at])),*] })
            }

            #[inline(always)]
            fn signed(self) -> $floats {
                $floats(unsafe { [$($signed(self.0[$at])),*] })
            }

            #[inline(always)]
            fn unsigned(self) -> $floats {
                $floats(unsafe { [$($unsigned(self.0[$at])),*] })
            }

            #[inline(always)]
            fn where_highest(self, yes: $floats, no: $floats) -> $floats {
                $floats(unsafe { [$($highest(self.0[$at], yes.0[$at], no.0[$at])),*] })
            }
        }
    };
}

registers! { Singles256, Words256, f32, u32, __m256, __m256i, 8, [0 1 2 3], {
    _mm256_set1_ps _mm256_storeu_ps _mm256_add_ps _mm256_sub_ps _mm256_mul_ps _mm256_div_ps _mm256_fmadd_ps
    _mm256_sqrt_ps less256
    _mm256_min_ps _mm256_max_ps _mm256_castps_si256 abreast256 beside256
}, {
    _mm256_set1_epi32 load256 _mm256_and_si256 _mm256_xor_si256 _mm256_add_epi32 _mm256_sub_epi32
    _mm256_sllv_epi32 _mm256_srlv_epi32 _mm256_castsi256_ps _mm256_cvtepi32_ps unsigned256 highest256
} }
// Twice as many: half of them wait in memory, and steps take them from there.
registers! { Many256, ManyWords256, f32, u32, __m256, __m256i, 8, [0 1 2 3 4 5 6 7], {
    _mm256_set1_ps _mm256_storeu_ps _mm256_add_ps _mm256_sub_ps _mm256_mul_ps _mm256_div_ps _mm256_fmadd_ps
    _mm256_sqrt_ps less256
    _mm256_min_ps _mm256_max_ps _mm256_castps_si256 abreast256x8 beside256x8
}, {
    _mm256_set1_epi32 load256 _mm256_and_si256 _mm256_xor_si256 _mm256_add_epi32 _mm256_sub_epi32
    _mm256_sllv_epi32 _mm256_srlv_epi32 _mm256_castsi256_ps _mm256_cvtepi32_ps unsigned256 highest256
} }
registers! { Singles512, Words512, f32, u32, __m512, __m512i, 16, [0 1], {
    _mm512_set1_ps _mm512_storeu_ps _mm512_add_ps _mm512_sub_ps _mm512_mul_ps _mm512_div_ps _mm512_fmadd_ps
    _mm512_sqrt_ps less512
    _mm512_min_ps _mm512_max_ps _mm512_castps_si512 abreast512 beside512
}, {
    _mm512_set1_epi32 load512 _mm512_and_si512 _mm512_xor_si512 _mm512_add_epi32 _mm512_sub_epi32
    _mm512_sllv_epi32 _mm512_srlv_epi32 _mm512_castsi512_ps _mm512_cvtepi32_ps _mm512_cvtepu32_ps highest512
} }
registers! { Doubles256, Longs256, f64, u64, __m256d, __m256i, 4, [0 1 2 3], {
    _mm256_set1_pd _mm256_storeu_pd _mm256_add_pd _mm256_sub_pd _mm256_mul_pd _mm256_div_pd _mm256_fmadd_pd
    _mm256_sqrt_pd less256d
    _mm256_min_pd _mm256_max_pd _mm256_castpd_si256 abreast256d beside256d
}, {
    _mm256_set1_epi64x load256d _mm256_and_si256 _mm256_xor_si256 _mm256_add_epi64 _mm256_sub_epi64
    _mm256_sllv_epi64 _mm256_srlv_epi64 _mm256_castsi256_pd small256 small256 highest256d
} }
registers! { Doubles512, Longs512, f64, u64, __m512d, __m512i, 8, [0 1], {
    _mm512_set1_pd _mm512_storeu_pd _mm512_add_pd _mm512_sub_pd _mm512_mul_pd _mm512_div_pd _mm512_fmadd_pd
    _mm512_sqrt_pd less512d
    _mm512_min_pd _mm512_max_pd _mm512_castpd_si512 abreast512d beside512d
}, {
    _mm512_set1_epi64 load512d _mm512_and_si512 _mm512_xor_si512 _mm512_add_epi64 _mm512_sub_epi64
    _mm512_sllv_epi64 _mm512_srlv_epi64 _mm512_castsi512_pd _mm512_cvtepi64_pd _mm512_cvtepi64_pd highest512d
} }

/// What only those of 32 bits have.
macro_rules! singles {
    ($floats:ident, $bits:ident, [$($at:literal)*], $whole:ident, $right_signed:ident) => {
        impl Singles for $floats {
            #[inline(always)]
            fn whole(self) -> $bits {
                $bits(unsafe { [$($whole(self.0[$at])),*] })
            }
        }

        impl Words for $bits {
            #[inline(always)]
            fn right_signed(self, bits: u32) -> Self {
                let bits = Self::splat(bits);
                Self(unsafe { [$($right_signed(self.0[$at], bits.0[$at])),*] })
            }
        }
    };
}

singles! { Singles256, Words256, [0 1 2 3], _mm256_cvttps_epi32, _mm256_srav_epi32 }
singles! { Many256, ManyWords256, [0 1 2 3 4 5 6 7], _mm256_cvttps_epi32, _mm256_srav_epi32 }
singles! { Singles512, Words512, [0 1], _mm512_cvttps_epi32, _mm512_srav_epi32 }

// SAFETY of all below: the caller's, that the CPU has the instructions.

#[inline(always)]
unsafe fn less256(it: __m256, than: __m256, yes: __m256, no: __m256) -> __m256 {
    unsafe { _mm256_blendv_ps(no, yes, _mm256_cmp_ps::<_CMP_LT_OQ>(it, than)) }
}

#[inline(always)]
unsafe fn less512(it: __m512, than: __m512, yes: __m512, no: __m512) -> __m512 {
    unsafe { _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(it, than), no, yes) }
}

#[inline(always)]
unsafe fn less256d(it: __m256d, than: __m256d, yes: __m256d, no: __m256d) -> __m256d {
    unsafe { _mm256_blendv_pd(no, yes, _mm256_cmp_pd::<_CMP_LT_OQ>(it, than)) }
}

#[inline(always)]
unsafe fn less512d(it: __m512d, than: __m512d, yes: __m512d, no: __m512d) -> __m512d {
    unsafe { _mm512_mask_blend_pd(_mm512_cmp_pd_mask::<_CMP_LT_OQ>(it, than), no, yes) }
}

#[inline(always)]
unsafe fn load256(from: *const u32) -> __m256i {
    unsafe { _mm256_loadu_si256(from.cast()) }
}

#[inline(always)]
unsafe fn load512(from: *const u32) -> __m512i {
    unsafe { _mm512_loadu_si512(from.cast()) }
}

#[inline(always)]
unsafe fn load256d(from: *const u32) -> __m256i {
    unsafe { _mm256_cvtepu32_epi64(_mm_loadu_si128(from.cast())) }
}

#[inline(always)]
unsafe fn load512d(from: *const u32) -> __m512i {
    unsafe { _mm512_cvtepu32_epi64(_mm256_loadu_si256(from.cast())) }
}

/// As the conversion of one word in `floats`.
#[inline(always)]
unsafe fn small256(words: __m256i) -> __m256d {
    unsafe {
        let units = _mm256_set1_pd(UNITS);
        _mm256_sub_pd(_mm256_castsi256_pd(_mm256_add_epi64(words, _mm256_castpd_si256(units))), units)
    }
}

/// By halves, each exact with a power of two added, so that only the sum is rounded.
#[inline(always)]
unsafe fn unsigned256(words: __m256i) -> __m256 {
    unsafe {
        let power = |bits: i32| _mm256_set1_epi32(bits);
        let low = _mm256_blend_epi16::<0b1010_1010>(words, power(0x4b00_0000));
        let high = _mm256_blend_epi16::<0b1010_1010>(_mm256_srli_epi32::<16>(words), power(0x5300_0000));
        // 2^39 and 2^23 less.
        let high = _mm256_sub_ps(_mm256_castsi256_ps(high), _mm256_castsi256_ps(power(0x5300_0080)));
        _mm256_add_ps(_mm256_castsi256_ps(low), high)
    }
}

/// A blend goes by the highest bit.
#[inline(always)]
unsafe fn highest256(words: __m256i, yes: __m256, no: __m256) -> __m256 {
    unsafe { _mm256_blendv_ps(no, yes, _mm256_castsi256_ps(words)) }
}

#[inline(always)]
unsafe fn highest512(words: __m512i, yes: __m512, no: __m512) -> __m512 {
    unsafe { _mm512_mask_blend_ps(_mm512_movepi32_mask(words), no, yes) }
}

#[inline(always)]
unsafe fn highest256d(words: __m256i, yes: __m256d, no: __m256d) -> __m256d {
    unsafe { _mm256_blendv_pd(no, yes, _mm256_castsi256_pd(words)) }
}

#[inline(always)]
unsafe fn highest512d(words: __m512i, yes: __m512d, no: __m512d) -> __m512d {
    unsafe { _mm512_mask_blend_pd(_mm512_movepi64_mask(words), no, yes) }
}

/// Instructions that are none: one wants all registers at once, the other those of two.
macro_rules! abreast {
    ($abreast:ident, $beside:ident, $vector:ty, $class:ident, $features:literal, [$($one:ident)*], [$($other:ident)*], $text:literal) => {
        #[target_feature(enable = $features)]
        #[inline]
        fn $abreast([$(mut $one),*]: [$vector; [$(stringify!($one)),*].len()]) -> [$vector; [$(stringify!($one)),*].len()] {
            unsafe { asm!($text, $(inout($class) $one),*, options(pure, nomem, nostack, preserves_flags)) };
            [$($one),*]
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn $beside(
            [$(mut $one),*]: [$vector; [$(stringify!($one)),*].len()],
            [$(mut $other),*]: [$vector; [$(stringify!($one)),*].len()],
        ) -> ([$vector; [$(stringify!($one)),*].len()], [$vector; [$(stringify!($one)),*].len()]) {
            unsafe {
                asm!($text, $text, $(inout($class) $one),*, $(inout($class) $other),*, options(pure, nomem, nostack, preserves_flags));
            }
            ([$($one),*], [$($other),*])
        }
    };
}

abreast! { abreast256, beside256, __m256, ymm_reg, "avx2", [a b c d], [e f g h], "/* {} {} {} {} */" }
abreast! { abreast256d, beside256d, __m256d, ymm_reg, "avx2", [a b c d], [e f g h], "/* {} {} {} {} */" }
abreast! { abreast512, beside512, __m512, zmm_reg, "avx512f", [a b], [c d], "/* {} {} */" }
abreast! { abreast512d, beside512d, __m512d, zmm_reg, "avx512f", [a b], [c d], "/* {} {} */" }

/// As many as half of the registers, which are as many as may be wanted at once.
#[target_feature(enable = "avx2")]
#[inline]
fn abreast256x8(all: [__m256; 8]) -> [__m256; 8] {
    let (one, other) = all.split_at(4);
    let ([a, b, c, d], [e, f, g, h]) =
        beside256(*one.first_chunk().expect("half of them"), *other.first_chunk().expect("half of them"));
    [a, b, c, d, e, f, g, h]
}

#[target_feature(enable = "avx2")]
#[inline]
fn beside256x8(one: [__m256; 8], other: [__m256; 8]) -> ([__m256; 8], [__m256; 8]) {
    (abreast256x8(one), abreast256x8(other))
}
