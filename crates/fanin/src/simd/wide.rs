//! Vectors of 64-bit numbers by hand, for Philox: whether the compiler finds them in plain arrays depends on what is
//! around these, and one build in two was twice as slow.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use super::block::{BLOCK, Block};
#[cfg(target_arch = "x86_64")]
use super::block::{One, Two};
use super::floats::{Doubles, Singles};
#[cfg(target_arch = "x86_64")]
use super::registers::{Doubles256, Doubles512, Many256, Singles256, Singles512};
#[cfg(target_arch = "x86_64")]
use super::rounds::six_rounds256;

/// The vectors of a CPU level. A kernel is handed one by [`super::dispatch`], which knows that the CPU has it; the types
/// are private to this module.
pub(crate) trait Isa {
    /// A vector of 64-bit numbers.
    type Wide: Wide;
    /// Sixteen 32-bit words.
    type Block: Block;
    /// f32 numbers that go through the functions of `math` together.
    type Singles: Singles;
    /// More of them, for functions that are a single chain of steps: with few, each step waits for the one before.
    type Many: Singles;
    /// f64 numbers, likewise.
    type Doubles: Doubles;

    /// A bit for each value that is less than `low` or greater than `high`. `#[inline(always)]`.
    fn outside(values: &[f32; BLOCK], low: f32, high: f32) -> u16;
}

/// A vector of 64-bit numbers. All methods are `#[inline(always)]`.
pub(crate) trait Wide: Copy {
    /// Numbers in it.
    const COUNT: usize;

    /// The same number in every lane.
    fn splat(value: u64) -> Self;

    /// `first`, `first + 2`, and so on.
    fn counting(first: u64) -> Self;

    /// The first of `numbers`, the third, and so on.
    fn every_other(numbers: &[u64]) -> Self;

    /// Bits in which the two differ.
    fn xor(self, other: Self) -> Self;

    /// The low halves' products.
    fn product(self, other: Self) -> Self;

    /// The high halves.
    fn high(self) -> Self;

    /// The low halves, and those of `odd` above them.
    fn weave(self, odd: Self) -> Self;

    /// The high halves, and those of `odd` above them.
    fn weave_high(self, odd: Self) -> Self;

    /// Writes all halves, low ones first: `2 * COUNT` words.
    fn store(self, to: &mut [u32]);

    /// A round of Philox on a vector of blocks, whose words are told each.
    #[inline(always)]
    fn round(
        [word0, word1, word2, word3]: [Self; 4],
        [multiplier0, multiplier1]: [Self; 2],
        [key0, key1]: [Self; 2],
    ) -> [Self; 4] {
        let (product0, product1) = (word0.product(multiplier0), word2.product(multiplier1));
        // What does not wait for a product comes first.
        let (keyed0, keyed1) = (word1.xor(key0), word3.xor(key1));
        [product1.high().xor(keyed0), product1, product0.high().xor(keyed1), product0]
    }

    /// Six rounds on three vectors, whose steps take turns.
    #[inline(always)]
    fn six_rounds(
        mut vectors: [[Self; 4]; 3],
        multipliers: [Self; 2],
        keys: &[[u64; 2]; 6],
    ) -> [[Self; 4]; 3] {
        for key in keys {
            for vector in &mut vectors {
                *vector = Self::round(*vector, multipliers, [Self::splat(key[0]), Self::splat(key[1])]);
            }
        }
        vectors
    }
}

/// For every CPU.
pub(crate) struct Plain;

impl Isa for Plain {
    type Wide = [u64; 2];
    type Block = [u32; BLOCK];
    type Singles = f32;
    type Many = f32;
    type Doubles = f64;

    #[inline(always)]
    fn outside(values: &[f32; BLOCK], low: f32, high: f32) -> u16 {
        let bits = (0..).zip(values).map(|(lane, &value)| u16::from(value < low || value > high) << lane);
        bits.fold(0, |all, bit| all | bit)
    }
}

impl Wide for [u64; 2] {
    const COUNT: usize = 2;

    #[inline(always)]
    fn splat(value: u64) -> Self {
        [value; 2]
    }

    #[inline(always)]
    fn counting(first: u64) -> Self {
        [first, first + 2]
    }

    #[inline(always)]
    fn every_other(numbers: &[u64]) -> Self {
        [numbers[0], numbers[2]]
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        [self[0] ^ other[0], self[1] ^ other[1]]
    }

    #[inline(always)]
    fn product(self, other: Self) -> Self {
        let product = |a: u64, b: u64| u64::from(a as u32) * u64::from(b as u32);
        [product(self[0], other[0]), product(self[1], other[1])]
    }

    #[inline(always)]
    fn high(self) -> Self {
        [self[0] >> 32, self[1] >> 32]
    }

    #[inline(always)]
    fn weave(self, odd: Self) -> Self {
        [0, 1].map(|at| self[at] & 0xffff_ffff | odd[at] << 32)
    }

    #[inline(always)]
    fn weave_high(self, odd: Self) -> Self {
        [0, 1].map(|at| self[at] >> 32 | odd[at] & !0xffff_ffff)
    }

    #[inline(always)]
    fn store(self, to: &mut [u32]) {
        let to: &mut [u32; 4] = to.first_chunk_mut().expect("room for four words");
        *to = [self[0] as u32, (self[0] >> 32) as u32, self[1] as u32, (self[1] >> 32) as u32];
    }
}

macro_rules! wide {
    ($isa:ident, $block:ty, $singles:ty, $many:ty, $doubles:ty, $name:ident, $vector:ty, $count:literal, $splat:ident, $load:ident, $add:ident, $store:ident, $xor:ident, $product:ident,
     $right:ident, $left:ident, $blend:ident, $outside:ident $(, $six_rounds:ident)?) => {
        #[cfg(target_arch = "x86_64")]
        pub(crate) struct $isa;

        #[cfg(target_arch = "x86_64")]
        impl Isa for $isa {
            type Wide = $name;
            type Block = $block;
            type Singles = $singles;
            type Many = $many;
            type Doubles = $doubles;

            #[inline(always)]
            fn outside(values: &[f32; BLOCK], low: f32, high: f32) -> u16 {
                // SAFETY: only `dispatch` names this type, where the CPU has its instructions.
                unsafe { $outside(values, low, high) }
            }
        }

        /// One register.
        #[cfg(target_arch = "x86_64")]
        #[derive(Clone, Copy)]
        pub(crate) struct $name($vector);

        #[cfg(target_arch = "x86_64")]
        impl Wide for $name {
            const COUNT: usize = $count;

            #[inline(always)]
            fn splat(value: u64) -> Self {
                // SAFETY: only `dispatch` names this type, where the CPU has its instructions.
                Self(unsafe { $splat(value as i64) })
            }

            #[inline(always)]
            fn counting(first: u64) -> Self {
                const EVEN: [u64; 8] = [0, 2, 4, 6, 8, 10, 12, 14];
                // SAFETY: as in `splat`; so many numbers are there, and may lie anywhere.
                Self(unsafe { $add($splat(first as i64), $load(EVEN.as_ptr().cast())) })
            }

            #[inline(always)]
            fn every_other(numbers: &[u64]) -> Self {
                let mut chosen = [0; $count];
                for lane in 0..$count {
                    chosen[lane] = numbers[2 * lane];
                }
                // SAFETY: as in `splat`; so many numbers are there, and may lie anywhere.
                Self(unsafe { $load(chosen.as_ptr().cast()) })
            }

            #[inline(always)]
            fn xor(self, other: Self) -> Self {
                // SAFETY: as in `splat`.
                Self(unsafe { $xor(self.0, other.0) })
            }

            #[inline(always)]
            fn product(self, other: Self) -> Self {
                // SAFETY: as in `splat`.
                Self(unsafe { $product(self.0, other.0) })
            }

            #[inline(always)]
            fn high(self) -> Self {
                // SAFETY: as in `splat`.
                Self(unsafe { $right::<32>(self.0) })
            }

            #[inline(always)]
            fn weave(self, odd: Self) -> Self {
                // SAFETY: as in `splat`.
                Self(unsafe { $blend(self.0, $left::<32>(odd.0)) })
            }

            #[inline(always)]
            fn weave_high(self, odd: Self) -> Self {
                // SAFETY: as in `splat`.
                Self(unsafe { $blend($right::<32>(self.0), odd.0) })
            }

            #[inline(always)]
            fn store(self, to: &mut [u32]) {
                let to: &mut [u32; 2 * $count] = to.first_chunk_mut().expect("room for a vector of words");
                // SAFETY: as in `splat`; so many words are there, and may lie anywhere.
                unsafe { $store(to.as_mut_ptr().cast(), self.0) }
            }

            $(
                #[inline(always)]
                fn six_rounds(vectors: [[Self; 4]; 3], multipliers: [Self; 2], keys: &[[u64; 2]; 6]) -> [[Self; 4]; 3] {
                    let [[a0, a1, a2, a3], [b0, b1, b2, b3], [c0, c1, c2, c3]] = vectors;
                    let vectors = [[a0.0, a1.0, a2.0, a3.0], [b0.0, b1.0, b2.0, b3.0], [c0.0, c1.0, c2.0, c3.0]];
                    // SAFETY: as in `splat`.
                    let [a, b, c] = unsafe { $six_rounds(vectors, [multipliers[0].0, multipliers[1].0], keys) };
                    let all = |[w0, w1, w2, w3]: [$vector; 4]| [Self(w0), Self(w1), Self(w2), Self(w3)];
                    [all(a), all(b), all(c)]
                }
            )?
        }
    };
}

/// The even words of the first, the odd ones of the second.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn blend256(even: __m256i, odd: __m256i) -> __m256i {
    // SAFETY: the caller's, that the CPU has AVX2.
    unsafe { _mm256_blend_epi32::<0b1010_1010>(even, odd) }
}

/// The even words of the first, the odd ones of the second.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn blend512(even: __m512i, odd: __m512i) -> __m512i {
    // SAFETY: the caller's, that the CPU has AVX-512.
    unsafe { _mm512_mask_blend_epi32(0b1010_1010_1010_1010, even, odd) }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn outside256(values: &[f32; BLOCK], low: f32, high: f32) -> u16 {
    let (first, last) = values.split_at(BLOCK / 2);
    // SAFETY: the caller's, that the CPU has AVX2; eight values are there, and may lie anywhere.
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

#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn outside512(values: &[f32; BLOCK], low: f32, high: f32) -> u16 {
    // SAFETY: the caller's, that the CPU has AVX-512; sixteen values are there, and may lie anywhere.
    unsafe {
        let values = _mm512_loadu_ps(values.as_ptr());
        let below = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(values, _mm512_set1_ps(low));
        below | _mm512_cmp_ps_mask::<_CMP_GT_OQ>(values, _mm512_set1_ps(high))
    }
}

wide! { Avx2, Two, Singles256, Many256, Doubles256, U64x4, __m256i, 4, _mm256_set1_epi64x, _mm256_loadu_si256, _mm256_add_epi64, _mm256_storeu_si256, _mm256_xor_si256,
_mm256_mul_epu32, _mm256_srli_epi64, _mm256_slli_epi64, blend256, outside256, six_rounds256 }
wide! { Avx512, One, Singles512, Singles512, Doubles512, U64x8, __m512i, 8, _mm512_set1_epi64, _mm512_loadu_si512, _mm512_add_epi64, _mm512_storeu_si512, _mm512_xor_si512,
_mm512_mul_epu32, _mm512_srli_epi64, _mm512_slli_epi64, blend512, outside512 }

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Kernel, Level, dispatch};

    /// Six rounds of blocks that count from 0, their words' low halves by vector, word and block.
    struct SixRounds;
    impl Kernel for SixRounds {
        type Output = Vec<u32>;
        #[inline(always)]
        fn run<I: Isa>(self) -> Vec<u32> {
            let word = |at: u64| I::Wide::counting(at.wrapping_mul(0x9E37_79B9) & 0xffff_ffff);
            let vector = |at| [word(at), word(at + 1), word(at + 2), word(at + 3)];
            let vectors = [vector(1), vector(5), vector(9)];
            let keys = [[11, 12], [13, 14], [15, 16], [17, 18], [19, 20], [21, 0xffff_fff0]];
            let multipliers = [I::Wide::splat(0xD251_1F53), I::Wide::splat(0xCD9E_8D57)];
            let mut all = Vec::new();
            for words in I::Wide::six_rounds(vectors, multipliers, &keys) {
                for word in words {
                    let mut to = [0; 2 * BLOCK];
                    word.weave(word).store(&mut to);
                    // The first two blocks, which every level has.
                    all.extend([to[0], to[2]]);
                }
            }
            all
        }
    }

    #[test]
    fn rounds_by_hand_are_rounds() {
        let expected = dispatch(Level::Scalar, SixRounds);
        for &level in Level::available() {
            assert_eq!(dispatch(level, SixRounds), expected, "{level:?}");
        }
    }
}
