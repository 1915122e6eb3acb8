//! Philox4x32-10: Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3", section 3.3.

use super::group::{GroupSource, GroupWords, LANES, groups_one_by_one};
use crate::simd::{SimdIsa, SimdU64};

const MULTIPLIERS: [u64; 2] = [0xD251_1F53, 0xCD9E_8D57];
/// The increments of the two key words after each round.
const KEY_STEPS: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: usize = 10;
const LOW: u64 = 0xffff_ffff;

/// The counter-based generator Philox4x32-10. The generator produces blocks of four 32-bit words.
///
/// The counter has 128 bits. The low half of the counter is the block number `n`. Block `n` depends only on `n`, on the
/// high half of the counter and on the key.
///
/// ```
/// use fanin::rng::Philox;
/// // Random123's known-answer vector for the digits of pi.
/// let philox = Philox::new([0xa4093822, 0x299f31d0], [0x13198a2e, 0x03707344]);
/// assert_eq!(philox.block(0x85a308d3_243f6a88), [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Philox {
    key: [u32; 2],
    high: [u32; 2],
}

impl Philox {
    /// Creates a generator from a key and the high half of the counter (words 2 and 3).
    pub const fn new(key: [u32; 2], high: [u32; 2]) -> Self {
        Self { key, high }
    }

    /// Returns the four words of block `number`.
    pub const fn block(&self, number: u64) -> [u32; 4] {
        let mut counter = [number as u32, (number >> 32) as u32, self.high[0], self.high[1]];
        let mut key = self.key;
        let mut round = 0;
        while round < ROUNDS {
            let product0 = MULTIPLIERS[0] * counter[0] as u64;
            let product1 = MULTIPLIERS[1] * counter[2] as u64;
            counter = [
                (product1 >> 32) as u32 ^ counter[1] ^ key[0],
                product1 as u32,
                (product0 >> 32) as u32 ^ counter[3] ^ key[1],
                product0 as u32,
            ];
            key = [key[0].wrapping_add(KEY_STEPS[0]), key[1].wrapping_add(KEY_STEPS[1])];
            round += 1;
        }
        counter
    }

    /// Returns the words of the blocks `16 * group..16 * group + 16`.
    ///
    /// Each 64-bit lane has one 32-bit word, because the product of two words has 64 bits. Separate vectors for the
    /// even-numbered and the odd-numbered blocks let `finish` pack the words with only a shift and a blend.
    #[inline(always)]
    pub(crate) fn group<I: SimdIsa>(&self, group: u64) -> GroupWords {
        // Word 1 of the counter is the same for all 16 blocks, because `first` is a multiple of 16.
        let first = group.wrapping_mul(LANES as u64);
        let start = self.start::<I::U64>((first >> 32) as u32);
        let mut words = [[0; LANES]; 4];
        for at in (0..LANES).step_by(2 * I::U64::LANES) {
            let low = (first & LOW) + at as u64;
            let counters = [I::U64::iota_stride_2(low), I::U64::iota_stride_2(low + 1)];
            self.finish(self.middle_rounds(start.rounds(counters)), &mut words, at);
        }
        words
    }

    /// Returns the words of the sixteen blocks whose numbers are `blocks`. The numbers may be in any order.
    #[inline(always)]
    pub(crate) fn scattered<I: SimdIsa>(&self, blocks: &[u64; LANES]) -> GroupWords {
        let high = [I::U64::splat(self.high[0].into()), I::U64::splat(self.high[1].into())];
        let mut words = [[0; LANES]; 4];
        for at in (0..LANES).step_by(2 * I::U64::LANES) {
            let [even, odd] =
                [I::U64::load_stride_2(&blocks[at..]), I::U64::load_stride_2(&blocks[at + 1..])];
            let mut vectors =
                [[even, even.high_halves(), high[0], high[1]], [odd, odd.high_halves(), high[0], high[1]]];
            for number in 0..START_ROUNDS {
                vectors = round(vectors, self.round_keys(number));
            }
            self.finish(self.middle_rounds(vectors), &mut words, at);
        }
        words
    }

    /// Computes the part of the first three rounds that does not depend on word 0 of the counter. `word1` is word 1 of
    /// the counter.
    #[inline(always)]
    fn start<W: SimdU64>(&self, word1: u32) -> Start<W> {
        let split = |product: u64| [(product >> 32) as u32, product as u32];
        let key = |which, number| self.key_of(which, number);
        let [high, low] = split(MULTIPLIERS[1] * u64::from(self.high[0]));
        let word0 = high ^ word1 ^ key(0, 0);
        let [next_high, next_low] = split(MULTIPLIERS[0] * u64::from(word0));
        let splat = |word: u32| W::splat(word.into());
        Start {
            round1_word2: splat(self.high[1] ^ key(1, 0)),
            round2_word0: splat(low ^ key(0, 1)),
            round2_word2: splat(next_high ^ key(1, 1)),
            round3_word0: splat(key(0, 2)),
            round3_word2: splat(next_low ^ key(1, 2)),
        }
    }

    /// Computes the rounds after the first [`START_ROUNDS`] rounds, except the exclusive ors of the last round.
    ///
    /// The rounds are unrolled. In a loop, the compiler would copy the round keys to vectors again for every group.
    #[inline(always)]
    fn middle_rounds<W: SimdU64>(&self, mut vectors: [[W; 4]; 2]) -> [[W; 4]; 2] {
        macro_rules! rounds {
            ($($number:literal)*) => {
                const { assert!(START_ROUNDS as usize + [$($number),*].len() + 1 == ROUNDS) };
                $(vectors = round(vectors, self.round_keys($number));)*
            };
        }
        rounds!(3 4 5 6 7 8);
        [last_products(vectors[0]), last_products(vectors[1])]
    }

    /// Computes the exclusive ors of the last round. Writes the words of all blocks to `words`, from lane `at` on.
    #[inline(always)]
    fn finish<W: SimdU64>(&self, [even, odd]: [[W; 4]; 2], words: &mut GroupWords, at: usize) {
        let key = |which| {
            let key = u64::from(self.key_of(which, ROUNDS as u32 - 1));
            W::splat(key << 32 | key)
        };
        let word0 = even[2].interleave_high(odd[2]).xor(even[1].interleave_low(odd[1]).xor(key(0)));
        let word2 = even[0].interleave_high(odd[0]).xor(even[3].interleave_low(odd[3]).xor(key(1)));
        let all = [word0, even[2].interleave_low(odd[2]), word2, even[0].interleave_low(odd[0])];
        for (word, to) in all.into_iter().zip(words) {
            word.store(&mut to[at..]);
        }
    }

    /// Writes the words of the groups `group..group + 3`. `I::U64` must have four lanes, and word 1 of the counter must
    /// be the same for all blocks.
    ///
    /// The three groups consist of twelve vectors of four blocks. The function computes three vectors at a time, so one
    /// call of `three_vectors` can span two groups. With only two vectors at a time, the CPU would wait for the results
    /// of multiplications.
    #[inline(always)]
    fn three_groups_of_four_lanes<I: SimdIsa>(&self, group: u64, words: &mut [GroupWords; 3]) {
        let first = group.wrapping_mul(LANES as u64);
        let start = self.start::<I::U64>((first >> 32) as u32);
        let low = first & LOW;
        let [a, b, c] = self.three_vectors(&start, low, [0, 1, 8]);
        self.finish([a, b], &mut words[0], 0);
        let [d, e, f] = self.three_vectors(&start, low, [9, 16, 17]);
        self.finish([c, d], &mut words[0], 8);
        self.finish([e, f], &mut words[1], 0);
        let [a, b, c] = self.three_vectors(&start, low, [24, 25, 32]);
        self.finish([a, b], &mut words[1], 8);
        let [d, e, f] = self.three_vectors(&start, low, [33, 40, 41]);
        self.finish([c, d], &mut words[2], 0);
        self.finish([e, f], &mut words[2], 8);
    }

    /// Computes all rounds except the exclusive ors of the last round. Word 0 of the counter is
    /// `low + offsets[k] + 2 * lane` in vector `k`.
    #[inline(always)]
    fn three_vectors<W: SimdU64>(&self, start: &Start<W>, low: u64, offsets: [u64; 3]) -> [[W; 4]; 3] {
        let mut keys = [[0; 2]; 6];
        for (number, keys) in (START_ROUNDS..).zip(&mut keys) {
            *keys = [self.key_of(0, number).into(), self.key_of(1, number).into()];
        }
        let counters = [
            W::iota_stride_2(low + offsets[0]),
            W::iota_stride_2(low + offsets[1]),
            W::iota_stride_2(low + offsets[2]),
        ];
        let multipliers = [W::splat(MULTIPLIERS[0]), W::splat(MULTIPLIERS[1])];
        let [a, b, c] = W::philox_six_rounds(start.rounds(counters), multipliers, &keys);
        [last_products(a), last_products(b), last_products(c)]
    }

    /// Returns key words 0 and 1 of round `number`, each copied to all lanes of a vector.
    #[inline(always)]
    fn round_keys<W: SimdU64>(&self, number: u32) -> [W; 2] {
        [W::splat(self.key_of(0, number).into()), W::splat(self.key_of(1, number).into())]
    }

    /// Returns key word `which` (0 or 1) of round `number`.
    #[inline(always)]
    const fn key_of(&self, which: usize, number: u32) -> u32 {
        self.key[which].wrapping_add(KEY_STEPS[which].wrapping_mul(number))
    }
}

/// The number of rounds that [`Start`] computes.
const START_ROUNDS: u32 = 3;

/// The part of the first three rounds that does not depend on word 0 of the counter.
///
/// For example, word 2 after round 1 is the exclusive or of `round1_word2` and a term that depends on word 0.
struct Start<W> {
    round1_word2: W,
    round2_word0: W,
    round2_word2: W,
    round3_word0: W,
    round3_word2: W,
}

impl<W: SimdU64> Start<W> {
    /// Returns the words of the blocks after three rounds. `counters` is word 0 of the counter of each block.
    #[inline(always)]
    fn rounds<const N: usize>(&self, counters: [W; N]) -> [[W; 4]; N] {
        let [multiplier0, multiplier1] = [W::splat(MULTIPLIERS[0]), W::splat(MULTIPLIERS[1])];
        let (mut first, mut second) = (counters, counters);
        for at in 0..N {
            first[at] = counters[at].mul_low_halves(multiplier0);
        }
        for at in 0..N {
            second[at] = first[at].high_halves().xor(self.round1_word2).mul_low_halves(multiplier1);
        }
        let mut vectors = [[counters[0]; 4]; N];
        for at in 0..N {
            let product0 = second[at].high_halves().xor(self.round2_word0).mul_low_halves(multiplier0);
            let product1 = first[at].xor(self.round2_word2).mul_low_halves(multiplier1);
            let keyed = second[at].xor(self.round3_word0);
            vectors[at] = [
                product1.high_halves().xor(keyed),
                product1,
                product0.high_halves().xor(self.round3_word2),
                product0,
            ];
        }
        vectors
    }
}

/// Computes one round of two vectors of blocks. The CPU overlaps their multiplications.
#[inline(always)]
fn round<W: SimdU64>([even, odd]: [[W; 4]; 2], keys: [W; 2]) -> [[W; 4]; 2] {
    let multipliers = [W::splat(MULTIPLIERS[0]), W::splat(MULTIPLIERS[1])];
    [W::philox_round(even, multipliers, keys), W::philox_round(odd, multipliers, keys)]
}

/// Computes the products of the last round: words 0 and 2 are replaced by their products with the multipliers.
#[inline(always)]
fn last_products<W: SimdU64>([word0, word1, word2, word3]: [W; 4]) -> [W; 4] {
    let [multiplier0, multiplier1] = [W::splat(MULTIPLIERS[0]), W::splat(MULTIPLIERS[1])];
    [word0.mul_low_halves(multiplier0), word1, word2.mul_low_halves(multiplier1), word3]
}

impl GroupSource for Philox {
    #[inline(always)]
    fn words<I: SimdIsa>(&mut self, group: u64) -> GroupWords {
        self.group::<I>(group)
    }

    #[inline(always)]
    fn three_groups<I: SimdIsa>(&mut self, group: u64, words: &mut [GroupWords; 3]) {
        let last = (group.wrapping_mul(LANES as u64) & LOW) + 3 * LANES as u64 - 1;
        // `three_groups_of_four_lanes` needs the same word 1 of the counter for all blocks.
        if I::U64::LANES == 4 && last <= LOW {
            self.three_groups_of_four_lanes::<I>(group, words);
        } else {
            groups_one_by_one::<I>(self, group, words);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Kernel, Level, dispatch};

    /// The counters, keys and results of `philox4x32 10` in the file `kat_vectors` of Random123 1.14.
    const KNOWN: [([u32; 4], [u32; 2], [u32; 4]); 3] = [
        ([0; 4], [0; 2], [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]),
        ([u32::MAX; 4], [u32::MAX; 2], [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]),
        (
            [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
            [0xa4093822, 0x299f31d0],
            [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
        ),
    ];

    #[test]
    fn blocks_equal_the_known_answer_vectors_of_random123() {
        for (counter, key, answer) in KNOWN {
            let number = u64::from(counter[0]) | u64::from(counter[1]) << 32;
            assert_eq!(Philox::new(key, [counter[2], counter[3]]).block(number), answer);
        }
    }

    struct Group(Philox, u64);
    impl Kernel for Group {
        type Output = GroupWords;
        #[inline(always)]
        fn run<I: SimdIsa>(self) -> GroupWords {
            self.0.group::<I>(self.1)
        }
    }

    #[test]
    fn the_words_of_a_group_equal_the_words_of_its_blocks_at_every_simd_level() {
        let philox = Philox::new([1, 2], [3, 4]);
        for group in [0, 1, 77, (1 << 28) - 1, 1 << 28, u64::MAX / 16] {
            for &level in Level::available() {
                let words = dispatch(level, Group(philox, group));
                for lane in 0..LANES {
                    let block = philox.block(group.wrapping_mul(16) + lane as u64);
                    assert_eq!(
                        std::array::from_fn(|word| words[word][lane]),
                        block,
                        "{level:?} {group} {lane}"
                    );
                }
            }
        }
    }

    struct Three(Philox, u64);
    impl Kernel for Three {
        type Output = Vec<GroupWords>;
        #[inline(always)]
        fn run<I: SimdIsa>(mut self) -> Vec<GroupWords> {
            let mut words = [[[0; LANES]; 4]; 3];
            self.0.three_groups::<I>(self.1, &mut words);
            words.to_vec()
        }
    }

    #[test]
    fn three_groups_at_once_equal_three_single_groups_at_every_simd_level() {
        let philox = Philox::new([0x243f_6a88, 0x85a3_08d3], [0x1319_8a2e, 0x0370_7344]);
        for group in [0, 1, 77, (1 << 28) - 3, (1 << 28) - 2, (1 << 28) - 1, 1 << 28, u64::MAX / 16 - 1] {
            for &level in Level::available() {
                let expected: Vec<_> =
                    (0..3).map(|at| dispatch(level, Group(philox, group.wrapping_add(at)))).collect();
                assert_eq!(dispatch(level, Three(philox, group)), expected, "{level:?} {group}");
            }
        }
    }

    struct Scattered(Philox, [u64; LANES]);
    impl Kernel for Scattered {
        type Output = GroupWords;
        #[inline(always)]
        fn run<I: SimdIsa>(self) -> GroupWords {
            self.0.scattered::<I>(&self.1)
        }
    }

    #[test]
    fn scattered_blocks_equal_single_blocks_at_every_simd_level() {
        let philox = Philox::new([1, 2], [3, 4]);
        let blocks =
            std::array::from_fn(|lane| 0x9E37_79B9_7F4A_7C15u64.wrapping_mul(lane as u64 + 1) >> (2 * lane));
        for &level in Level::available() {
            let words = dispatch(level, Scattered(philox, blocks));
            for (lane, &block) in blocks.iter().enumerate() {
                let found: [u32; 4] = std::array::from_fn(|word| words[word][lane]);
                assert_eq!(found, philox.block(block), "{level:?} {lane}");
            }
        }
    }
}
