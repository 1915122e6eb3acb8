//! Six rounds of Philox on three AVX2 vectors of blocks, in assembly.
//!
//! Assembly is faster here, because compilers spill some of the words to memory. The rounds need all sixteen AVX2
//! registers: twelve words, two multipliers, a key and a temporary value.

use std::arch::{asm, x86_64::__m256i};

/// Returns the instruction `$name` for each of the vectors a, b and c, such as `vpxor a1, a1, key` for a.
macro_rules! each_vector {
    ($name:literal $word:literal $other:literal) => {
        concat!(
            $name, " {a", $word, "}, {a", $word, "}, {", $other, "}\n", $name, " {b", $word, "}, {b", $word,
            "}, {", $other, "}\n", $name, " {c", $word, "}, {c", $word, "}, {", $other, "}\n",
        )
    };
}

/// Returns the instructions for `word ^= product >> 32`, such as `a1 ^= a2 >> 32` for the arguments `"a" "1" "2"`.
macro_rules! xor_high_half {
    ($vector:literal $word:literal $product:literal) => {
        concat!(
            "vpsrlq {t}, {",
            $vector,
            $product,
            "}, 32\n",
            "vpxor {",
            $vector,
            $word,
            "}, {",
            $vector,
            $word,
            "}, {t}\n",
        )
    };
}

/// Returns the instructions of one round. After the round, the words 0, 1, 2 and 3 are in the registers `$word1`,
/// `$word2`, `$word3` and `$word0`.
macro_rules! round {
    ($word0:literal $word1:literal $word2:literal $word3:literal, $key0:literal $key1:literal) => {
        concat!(
            "vpbroadcastq {key}, [{keys} + ", $key0, "]\n",
            each_vector!("vpmuludq" $word2 "multiplier1"), each_vector!("vpxor" $word1 "key"),
            "vpbroadcastq {key}, [{keys} + ", $key1, "]\n",
            each_vector!("vpmuludq" $word0 "multiplier0"), each_vector!("vpxor" $word3 "key"),
            xor_high_half!("a" $word1 $word2), xor_high_half!("b" $word1 $word2), xor_high_half!("c" $word1 $word2),
            xor_high_half!("a" $word3 $word0), xor_high_half!("b" $word3 $word0), xor_high_half!("c" $word3 $word0),
        )
    };
}

/// Returns three vectors of blocks after six rounds. A vector of blocks has one register for each of the four words.
/// `keys` contains the two key words of each round.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn six_rounds(
    [[mut a0, mut a1, mut a2, mut a3], [mut b0, mut b1, mut b2, mut b3], [mut c0, mut c1, mut c2, mut c3]]: [[__m256i; 4]; 3],
    [multiplier0, multiplier1]: [__m256i; 2],
    keys: &[[u64; 2]; 6],
) -> [[__m256i; 4]; 3] {
    // SAFETY: the function requires AVX2; the assembly reads no memory except for the twelve keys in `keys`.
    unsafe {
        asm!(
            round!("0" "1" "2" "3", "0" "8"),
            round!("1" "2" "3" "0", "16" "24"),
            round!("2" "3" "0" "1", "32" "40"),
            round!("3" "0" "1" "2", "48" "56"),
            round!("0" "1" "2" "3", "64" "72"),
            round!("1" "2" "3" "0", "80" "88"),
            keys = in(reg) keys,
            multiplier0 = in(ymm_reg) multiplier0,
            multiplier1 = in(ymm_reg) multiplier1,
            a0 = inout(ymm_reg) a0, a1 = inout(ymm_reg) a1, a2 = inout(ymm_reg) a2, a3 = inout(ymm_reg) a3,
            b0 = inout(ymm_reg) b0, b1 = inout(ymm_reg) b1, b2 = inout(ymm_reg) b2, b3 = inout(ymm_reg) b3,
            c0 = inout(ymm_reg) c0, c1 = inout(ymm_reg) c1, c2 = inout(ymm_reg) c2, c3 = inout(ymm_reg) c3,
            key = out(ymm_reg) _,
            t = out(ymm_reg) _,
            options(pure, readonly, nostack, preserves_flags),
        );
    }
    [[a2, a3, a0, a1], [b2, b3, b0, b1], [c2, c3, c0, c1]]
}

#[cfg(test)]
mod tests {
    use crate::simd::{Kernel, Level, SimdIsa, SimdU64, dispatch};

    /// Computes six rounds on three vectors of blocks. Returns the low half of each word, ordered by vector, word and
    /// block.
    struct SixRounds;
    impl Kernel for SixRounds {
        type Output = Vec<u32>;
        #[inline(always)]
        fn run<I: SimdIsa>(self) -> Vec<u32> {
            let word = |at: u64| I::U64::iota_stride_2(at.wrapping_mul(0x9E37_79B9) & 0xffff_ffff);
            let vector = |at| [word(at), word(at + 1), word(at + 2), word(at + 3)];
            let vectors = [vector(1), vector(5), vector(9)];
            let keys = [[11, 12], [13, 14], [15, 16], [17, 18], [19, 20], [21, 0xffff_fff0]];
            let multipliers = [I::U64::splat(0xD251_1F53), I::U64::splat(0xCD9E_8D57)];
            let mut all = Vec::new();
            for words in I::U64::philox_six_rounds(vectors, multipliers, &keys) {
                for word in words {
                    let mut to = [0; 16];
                    word.interleave_low(word).store(&mut to);
                    // All levels must return the same blocks, and a vector at the scalar level has only two.
                    all.extend([to[0], to[2]]);
                }
            }
            all
        }
    }

    #[test]
    fn six_rounds_in_assembly_equal_six_scalar_rounds() {
        let expected = dispatch(Level::Scalar, SixRounds);
        for &level in Level::available() {
            assert_eq!(dispatch(level, SixRounds), expected, "{level:?}");
        }
    }
}
