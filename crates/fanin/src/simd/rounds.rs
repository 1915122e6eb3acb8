//! The inner rounds of Philox on three vectors of blocks, each instruction by hand. Twelve words, two multipliers and two
//! that come and go are all sixteen registers: a compiler keeps some words in memory, just those that are waited for.

use std::arch::{asm, x86_64::__m256i};

/// The same instruction for a word of each vector.
macro_rules! each {
    ($name:literal $word:literal $other:literal) => {
        concat!(
            $name, " {a", $word, "}, {a", $word, "}, {", $other, "}\n", $name, " {b", $word, "}, {b", $word,
            "}, {", $other, "}\n", $name, " {c", $word, "}, {c", $word, "}, {", $other, "}\n",
        )
    };
}

/// Joins the high half of a product with a word of its vector, for each of them.
macro_rules! join {
    ($word:literal $product:literal) => {
        concat!(
            "vpsrlq {t}, {a",
            $product,
            "}, 32\n",
            "vpxor {a",
            $word,
            "}, {a",
            $word,
            "}, {t}\n",
            "vpsrlq {t}, {b",
            $product,
            "}, 32\n",
            "vpxor {b",
            $word,
            "}, {b",
            $word,
            "}, {t}\n",
            "vpsrlq {t}, {c",
            $product,
            "}, 32\n",
            "vpxor {c",
            $word,
            "}, {c",
            $word,
            "}, {t}\n",
        )
    };
}

/// A round whose keys lie at these places. Products take the places of their factors, so that the words change theirs:
/// 1 becomes 0, 2 becomes 1, 3 becomes 2, 0 becomes 3.
macro_rules! round {
    ($word0:literal $word1:literal $word2:literal $word3:literal, $key0:literal $key1:literal) => {
        concat!(
            "vpbroadcastq {key}, [{keys} + ", $key0, "]\n",
            each!("vpmuludq" $word2 "multiplier1"), each!("vpxor" $word1 "key"),
            "vpbroadcastq {key}, [{keys} + ", $key1, "]\n",
            each!("vpmuludq" $word0 "multiplier0"), each!("vpxor" $word3 "key"),
            join!($word1 $word2), join!($word3 $word0),
        )
    };
}

/// Six rounds of three vectors, whose words are told each.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn six_rounds256(
    [[mut a0, mut a1, mut a2, mut a3], [mut b0, mut b1, mut b2, mut b3], [mut c0, mut c1, mut c2, mut c3]]: [[__m256i; 4]; 3],
    [multiplier0, multiplier1]: [__m256i; 2],
    keys: &[[u64; 2]; 6],
) -> [[__m256i; 4]; 3] {
    // SAFETY: the CPU has the instructions, and what is read are the twelve keys.
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
