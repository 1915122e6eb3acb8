//! f32 numbers and their bits by hand, for the functions of `math`: the steps of one value wait for each other, so many
//! values are to go through each step together. Left to the compiler, eight went through all steps, then the next eight.

#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "one reason for a hundred one-line blocks: it stands above them"
)]

#[cfg(target_arch = "x86_64")]
use std::arch::{asm, x86_64::*};

/// Numbers side by side. All methods are `#[inline(always)]`, and do to each number what they would do to one alone.
pub(crate) trait Floats: Copy {
    /// As many words.
    type Bits: Bits<Floats = Self>;

    /// Numbers of them.
    const COUNT: usize;

    /// The same number everywhere.
    fn splat(value: f32) -> Self;

    /// Writes them to the beginning of a slice.
    fn store(self, to: &mut [f32]);

    fn add(self, other: Self) -> Self;

    fn sub(self, other: Self) -> Self;

    fn times(self, other: Self) -> Self;

    /// `self * times + plus`, rounded once.
    fn fused(self, times: Self, plus: Self) -> Self;

    fn sqrt(self) -> Self;

    /// `if self < than { yes } else { no }`.
    fn where_less(self, than: Self, yes: Self, no: Self) -> Self;

    /// `f32::to_bits`.
    fn bits(self) -> Self::Bits;

    /// The same numbers, all of them computed before the next step of any. A compiler that is short of registers would take
    /// one register through all steps, then the next one.
    #[inline(always)]
    fn abreast(self) -> Self {
        self
    }
}

/// Words side by side, likewise.
pub(crate) trait Bits: Copy {
    /// As many numbers.
    type Floats: Floats<Bits = Self>;

    /// The same word everywhere.
    fn splat(word: u32) -> Self;

    /// The first words of a slice.
    fn load(from: &[u32]) -> Self;

    fn and(self, other: Self) -> Self;

    fn xor(self, other: Self) -> Self;

    /// The sums modulo 2^32.
    fn add(self, other: Self) -> Self;

    /// The differences modulo 2^32.
    fn sub(self, other: Self) -> Self;

    /// Each word shifted up.
    fn left(self, bits: u32) -> Self;

    /// Each word shifted down.
    fn right(self, bits: u32) -> Self;

    /// `f32::from_bits`.
    fn floats(self) -> Self::Floats;

    /// The numbers nearest to the words, read as signed ones.
    fn signed(self) -> Self::Floats;

    /// The numbers nearest to the words.
    fn unsigned(self) -> Self::Floats;

    /// `yes` where the lowest bit is set.
    fn where_lowest(self, yes: Self::Floats, no: Self::Floats) -> Self::Floats;
}

/// One number: for every CPU, by loops that the compiler makes vectors of.
impl Floats for f32 {
    type Bits = u32;

    const COUNT: usize = 1;

    #[inline(always)]
    fn splat(value: f32) -> Self {
        value
    }

    #[inline(always)]
    fn store(self, to: &mut [f32]) {
        to[0] = self;
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self + other
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self - other
    }

    #[inline(always)]
    fn times(self, other: Self) -> Self {
        self * other
    }

    #[inline(always)]
    fn fused(self, times: Self, plus: Self) -> Self {
        self.mul_add(times, plus)
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        f32::sqrt(self)
    }

    #[inline(always)]
    fn where_less(self, than: Self, yes: Self, no: Self) -> Self {
        if self < than { yes } else { no }
    }

    #[inline(always)]
    fn bits(self) -> u32 {
        self.to_bits()
    }
}

impl Bits for u32 {
    type Floats = f32;

    #[inline(always)]
    fn splat(word: u32) -> Self {
        word
    }

    #[inline(always)]
    fn load(from: &[u32]) -> Self {
        from[0]
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        self & other
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        self ^ other
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.wrapping_add(other)
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.wrapping_sub(other)
    }

    #[inline(always)]
    fn left(self, bits: u32) -> Self {
        self << bits
    }

    #[inline(always)]
    fn right(self, bits: u32) -> Self {
        self >> bits
    }

    #[inline(always)]
    fn floats(self) -> f32 {
        f32::from_bits(self)
    }

    #[inline(always)]
    fn signed(self) -> f32 {
        self as i32 as f32
    }

    #[inline(always)]
    fn unsigned(self) -> f32 {
        self as f32
    }

    #[inline(always)]
    fn where_lowest(self, yes: f32, no: f32) -> f32 {
        if self & 1 != 0 { yes } else { no }
    }
}

/// Registers that go through each step together: as many numbers at either level, and enough of them to hide how long a
/// step takes.
macro_rules! registers {
    ($floats:ident, $bits:ident, $float:ty, $int:ty, $lanes:literal, [$($at:literal)*], {
        $splat:ident $store:ident $add:ident $sub:ident $times:ident $fused:ident $sqrt:ident $less:ident
        $bits_of:ident $abreast:ident
    }, {
        $splat_bits:ident $load_bits:ident $and:ident $xor:ident $add_bits:ident $sub_bits:ident $left:ident $right:ident
        $floats_of:ident $signed:ident $unsigned:ident $lowest:ident
    }) => {
        #[cfg(target_arch = "x86_64")]
        #[derive(Clone, Copy)]
        pub(crate) struct $floats([$float; [$($at),*].len()]);

        #[cfg(target_arch = "x86_64")]
        #[derive(Clone, Copy)]
        pub(crate) struct $bits([$int; [$($at),*].len()]);

        // SAFETY of all below: only `dispatch` names these types, where the CPU has their instructions. Loads and stores are
        // given slices of so many numbers, which may lie anywhere.
        #[cfg(target_arch = "x86_64")]
        impl Floats for $floats {
            type Bits = $bits;

            const COUNT: usize = $lanes * [$($at),*].len();

            #[inline(always)]
            fn splat(value: f32) -> Self {
                Self([unsafe { $splat(value) }; [$($at),*].len()])
            }

            #[inline(always)]
            fn store(self, to: &mut [f32]) {
                let to: &mut [f32; Self::COUNT] = to.first_chunk_mut().expect("room for so many numbers");
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
            fn bits(self) -> $bits {
                $bits(unsafe { [$($bits_of(self.0[$at])),*] })
            }

            #[inline(always)]
            fn abreast(self) -> Self {
                Self(unsafe { $abreast(self.0) })
            }
        }

        #[cfg(target_arch = "x86_64")]
        impl Bits for $bits {
            type Floats = $floats;

            #[inline(always)]
            fn splat(word: u32) -> Self {
                Self([unsafe { $splat_bits(word as i32) }; [$($at),*].len()])
            }

            #[inline(always)]
            fn load(from: &[u32]) -> Self {
                let from: &[u32; $floats::COUNT] = from.first_chunk().expect("so many words");
                Self(unsafe { [$($load_bits(from.as_ptr().add($at * $lanes).cast())),*] })
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
                let bits = Self::splat(bits);
                Self(unsafe { [$($left(self.0[$at], bits.0[$at])),*] })
            }

            #[inline(always)]
            fn right(self, bits: u32) -> Self {
                let bits = Self::splat(bits);
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
            fn where_lowest(self, yes: $floats, no: $floats) -> $floats {
                $floats(unsafe { [$($lowest(self.0[$at], yes.0[$at], no.0[$at])),*] })
            }
        }
    };
}

registers! { Floats256, Bits256, __m256, __m256i, 8, [0 1 2 3], {
    _mm256_set1_ps _mm256_storeu_ps _mm256_add_ps _mm256_sub_ps _mm256_mul_ps _mm256_fmadd_ps
    _mm256_sqrt_ps less256 _mm256_castps_si256 abreast256
}, {
    _mm256_set1_epi32 _mm256_loadu_si256 _mm256_and_si256 _mm256_xor_si256 _mm256_add_epi32 _mm256_sub_epi32
    _mm256_sllv_epi32 _mm256_srlv_epi32 _mm256_castsi256_ps _mm256_cvtepi32_ps unsigned256 lowest256
} }
registers! { Floats512, Bits512, __m512, __m512i, 16, [0 1], {
    _mm512_set1_ps _mm512_storeu_ps _mm512_add_ps _mm512_sub_ps _mm512_mul_ps _mm512_fmadd_ps
    _mm512_sqrt_ps less512 _mm512_castps_si512 abreast512
}, {
    _mm512_set1_epi32 _mm512_loadu_si512 _mm512_and_si512 _mm512_xor_si512 _mm512_add_epi32 _mm512_sub_epi32
    _mm512_sllv_epi32 _mm512_srlv_epi32 _mm512_castsi512_ps _mm512_cvtepi32_ps _mm512_cvtepu32_ps lowest512
} }

// SAFETY of all below: the caller's, that the CPU has the instructions.

#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn less256(it: __m256, than: __m256, yes: __m256, no: __m256) -> __m256 {
    unsafe { _mm256_blendv_ps(no, yes, _mm256_cmp_ps::<_CMP_LT_OQ>(it, than)) }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn less512(it: __m512, than: __m512, yes: __m512, no: __m512) -> __m512 {
    unsafe { _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(it, than), no, yes) }
}

/// By halves, each exact with a power of two added, so that only the sum is rounded.
#[cfg(target_arch = "x86_64")]
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

/// A blend goes by the sign.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn lowest256(words: __m256i, yes: __m256, no: __m256) -> __m256 {
    unsafe { _mm256_blendv_ps(no, yes, _mm256_castsi256_ps(_mm256_slli_epi32::<31>(words))) }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn lowest512(words: __m512i, yes: __m512, no: __m512) -> __m512 {
    unsafe { _mm512_mask_blend_ps(_mm512_test_epi32_mask(words, _mm512_set1_epi32(1)), no, yes) }
}

/// An instruction that is none, and wants all registers.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[inline]
fn abreast256([mut a, mut b, mut c, mut d]: [__m256; 4]) -> [__m256; 4] {
    unsafe {
        asm!("/* {} {} {} {} */", inout(ymm_reg) a, inout(ymm_reg) b, inout(ymm_reg) c, inout(ymm_reg) d,
            options(pure, nomem, nostack, preserves_flags));
    }
    [a, b, c, d]
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
#[inline]
fn abreast512([mut a, mut b]: [__m512; 2]) -> [__m512; 2] {
    unsafe {
        asm!("/* {} {} */", inout(zmm_reg) a, inout(zmm_reg) b,
            options(pure, nomem, nostack, preserves_flags));
    }
    [a, b]
}
