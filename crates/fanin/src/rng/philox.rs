//! Philox4x32-10: Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3", section 3.3.

use super::{LANES, Source, Words, one_by_one};
use crate::simd::{Isa, Wide};

const MULTIPLIERS: [u64; 2] = [0xD251_1F53, 0xCD9E_8D57];
const KEY_STEPS: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: usize = 10;
const LOW: u64 = 0xffff_ffff;

/// A keyed, counter-based engine: block `n` is a function of `n` alone, four words of 32 bits.
///
/// The counter is 128 bits: its low half is the block number, its high half and the key are fixed.
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
    /// The engine of a key and of the counter's high half (words 2 and 3).
    pub const fn new(key: [u32; 2], high: [u32; 2]) -> Self {
        Self { key, high }
    }

    /// The four words of one block.
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

    /// The words of the sixteen blocks from `16 * group` on.
    ///
    /// One block a 64-bit lane: a 32 x 32 bit product lands in place, its high half is one shift away, and what is
    /// left above bit 32 of a word is ignored by the next multiplication. Even and odd blocks are computed apart, so
    /// that packing them is a shift and a blend.
    #[inline(always)]
    pub(crate) fn group<I: Isa>(&self, group: u64) -> Words {
        // The first block of a group is a multiple of 16: adding the lane never carries into word 1.
        let first = group.wrapping_mul(LANES as u64);
        let start = self.start::<I::Wide>((first >> 32) as u32);
        let mut words = [[0; LANES]; 4];
        for at in (0..LANES).step_by(2 * I::Wide::COUNT) {
            let low = (first & LOW) + at as u64;
            let counters = [I::Wide::counting(low), I::Wide::counting(low + 1)];
            self.end(self.middle(start.rounds(counters)), &mut words, at);
        }
        words
    }

    /// The words of any sixteen blocks.
    #[inline(always)]
    pub(crate) fn scattered<I: Isa>(&self, blocks: &[u64; LANES]) -> Words {
        let high = [I::Wide::splat(self.high[0].into()), I::Wide::splat(self.high[1].into())];
        let mut words = [[0; LANES]; 4];
        for at in (0..LANES).step_by(2 * I::Wide::COUNT) {
            let [even, odd] = [I::Wide::every_other(&blocks[at..]), I::Wide::every_other(&blocks[at + 1..])];
            let mut vectors = [[even, even.high(), high[0], high[1]], [odd, odd.high(), high[0], high[1]]];
            for number in 0..FIRST {
                vectors = round(vectors, self.round_keys(number));
            }
            self.end(self.middle(vectors), &mut words, at);
        }
        words
    }

    /// The first rounds of blocks whose counters have this word 1.
    #[inline(always)]
    fn start<W: Wide>(&self, word1: u32) -> Start<W> {
        let split = |product: u64| [(product >> 32) as u32, product as u32];
        let key = |which, number| self.key_of(which, number);
        let [high, low] = split(MULTIPLIERS[1] * u64::from(self.high[0]));
        let word0 = high ^ word1 ^ key(0, 0);
        let [next_high, next_low] = split(MULTIPLIERS[0] * u64::from(word0));
        let mask = |word: u32| W::splat(word.into());
        Start {
            first2: mask(self.high[1] ^ key(1, 0)),
            second0: mask(low ^ key(0, 1)),
            second2: mask(next_high ^ key(1, 1)),
            third0: mask(key(0, 2)),
            third2: mask(next_low ^ key(1, 2)),
        }
    }

    /// All further rounds but for the exclusive ors of the last: of each block its two products, each before the word
    /// that it is to be joined with.
    ///
    /// The rounds stand here one by one: in a loop, each would spread its keys over vectors anew, for every group.
    #[inline(always)]
    fn middle<W: Wide>(&self, mut vectors: [[W; 4]; 2]) -> [[W; 4]; 2] {
        macro_rules! rounds {
            ($($number:literal)*) => {
                const { assert!(FIRST as usize + [$($number),*].len() + 1 == ROUNDS) };
                $(vectors = round(vectors, self.round_keys($number));)*
            };
        }
        rounds!(3 4 5 6 7 8);
        [last_products(vectors[0]), last_products(vectors[1])]
    }

    /// The last exclusive ors, of two vectors of blocks at once, and their words from block `at` on.
    #[inline(always)]
    fn end<W: Wide>(&self, [even, odd]: [[W; 4]; 2], words: &mut Words, at: usize) {
        let key = |which| {
            let key = u64::from(self.key_of(which, ROUNDS as u32 - 1));
            W::splat(key << 32 | key)
        };
        let word0 = even[2].weave_high(odd[2]).xor(even[1].weave(odd[1]).xor(key(0)));
        let word2 = even[0].weave_high(odd[0]).xor(even[3].weave(odd[3]).xor(key(1)));
        let all = [word0, even[2].weave(odd[2]), word2, even[0].weave(odd[0])];
        for (word, to) in all.into_iter().zip(words) {
            word.store(&mut to[at..]);
        }
    }

    /// The words of three groups, from this one on.
    ///
    /// Three vectors of blocks at a time, since two leave the CPU waiting for products: so a group begins within the
    /// vectors of another.
    #[inline(always)]
    fn three_groups<I: Isa>(&self, group: u64, words: &mut [Words; 3]) {
        let first = group.wrapping_mul(LANES as u64);
        let start = self.start::<I::Wide>((first >> 32) as u32);
        let low = first & LOW;
        let [a, b, c] = self.three_vectors(&start, low, [0, 1, 8]);
        self.end([a, b], &mut words[0], 0);
        let [d, e, f] = self.three_vectors(&start, low, [9, 16, 17]);
        self.end([c, d], &mut words[0], 8);
        self.end([e, f], &mut words[1], 0);
        let [a, b, c] = self.three_vectors(&start, low, [24, 25, 32]);
        self.end([a, b], &mut words[1], 8);
        let [d, e, f] = self.three_vectors(&start, low, [33, 40, 41]);
        self.end([c, d], &mut words[2], 0);
        self.end([e, f], &mut words[2], 8);
    }

    /// Three vectors of every other block, each from one of `at` on, before the last exclusive ors.
    #[inline(always)]
    fn three_vectors<W: Wide>(&self, start: &Start<W>, low: u64, at: [u64; 3]) -> [[W; 4]; 3] {
        let mut keys = [[0; 2]; 6];
        for (number, keys) in (FIRST..).zip(&mut keys) {
            *keys = [self.key_of(0, number).into(), self.key_of(1, number).into()];
        }
        let counters = [W::counting(low + at[0]), W::counting(low + at[1]), W::counting(low + at[2])];
        let multipliers = [W::splat(MULTIPLIERS[0]), W::splat(MULTIPLIERS[1])];
        let [a, b, c] = W::six_rounds(start.rounds(counters), multipliers, &keys);
        [last_products(a), last_products(b), last_products(c)]
    }

    /// The keys of a round, in every lane.
    #[inline(always)]
    fn round_keys<W: Wide>(&self, number: u32) -> [W; 2] {
        [W::splat(self.key_of(0, number).into()), W::splat(self.key_of(1, number).into())]
    }

    /// One of a round's two keys.
    #[inline(always)]
    const fn key_of(&self, which: usize, number: u32) -> u32 {
        self.key[which].wrapping_add(KEY_STEPS[which].wrapping_mul(number))
    }
}

/// Rounds that [`Start`] does.
const FIRST: u32 = 3;

/// The first three rounds of blocks that differ in word 0 of their counters alone: what is joined with words 0 and 2 of
/// each. Whatever all of these blocks have in common is in it, with the keys.
struct Start<W> {
    first2: W,
    second0: W,
    second2: W,
    third0: W,
    third2: W,
}

impl<W: Wide> Start<W> {
    /// What these rounds make of the blocks of these words 0.
    #[inline(always)]
    fn rounds<const N: usize>(&self, counters: [W; N]) -> [[W; 4]; N] {
        let [multiplier0, multiplier1] = [W::splat(MULTIPLIERS[0]), W::splat(MULTIPLIERS[1])];
        let (mut first, mut second) = (counters, counters);
        for at in 0..N {
            first[at] = counters[at].product(multiplier0);
        }
        for at in 0..N {
            second[at] = first[at].high().xor(self.first2).product(multiplier1);
        }
        let mut vectors = [[counters[0]; 4]; N];
        for at in 0..N {
            let product0 = second[at].high().xor(self.second0).product(multiplier0);
            let product1 = first[at].xor(self.second2).product(multiplier1);
            let keyed = second[at].xor(self.third0);
            vectors[at] = [product1.high().xor(keyed), product1, product0.high().xor(self.third2), product0];
        }
        vectors
    }
}

/// A round waits for its product, its shift and one exclusive or: two vectors go side by side, so that one works while
/// the other waits.
#[inline(always)]
fn round<W: Wide>([even, odd]: [[W; 4]; 2], keys: [W; 2]) -> [[W; 4]; 2] {
    let multipliers = [W::splat(MULTIPLIERS[0]), W::splat(MULTIPLIERS[1])];
    [W::round(even, multipliers, keys), W::round(odd, multipliers, keys)]
}

/// The products of the last round, in the places of their factors.
#[inline(always)]
fn last_products<W: Wide>([word0, word1, word2, word3]: [W; 4]) -> [W; 4] {
    let [multiplier0, multiplier1] = [W::splat(MULTIPLIERS[0]), W::splat(MULTIPLIERS[1])];
    [word0.product(multiplier0), word1, word2.product(multiplier1), word3]
}

impl Source for Philox {
    #[inline(always)]
    fn words<I: Isa>(&mut self, group: u64) -> Words {
        self.group::<I>(group)
    }

    #[inline(always)]
    fn three<I: Isa>(&mut self, group: u64, words: &mut [Words; 3]) {
        let last = (group.wrapping_mul(LANES as u64) & LOW) + 3 * LANES as u64 - 1;
        // By vectors of four, and where word 1 of the counter stays as it is.
        if I::Wide::COUNT == 4 && last <= LOW {
            self.three_groups::<I>(group, words);
        } else {
            one_by_one::<I>(self, group, words);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Kernel, Level, dispatch};

    /// Random123 1.14, kat_vectors: `philox4x32 10`: counter, key, answer.
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
    fn random123s_known_answers() {
        for (counter, key, answer) in KNOWN {
            let number = u64::from(counter[0]) | u64::from(counter[1]) << 32;
            assert_eq!(Philox::new(key, [counter[2], counter[3]]).block(number), answer);
        }
    }

    struct Group(Philox, u64);
    impl Kernel for Group {
        type Output = Words;
        #[inline(always)]
        fn run<I: Isa>(self) -> Words {
            self.0.group::<I>(self.1)
        }
    }

    #[test]
    fn a_group_is_its_blocks_at_every_level() {
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
        type Output = Vec<Words>;
        #[inline(always)]
        fn run<I: Isa>(mut self) -> Vec<Words> {
            let mut words = [[[0; LANES]; 4]; 3];
            self.0.three::<I>(self.1, &mut words);
            words.to_vec()
        }
    }

    #[test]
    fn three_groups_are_themselves_at_every_level() {
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
        type Output = Words;
        #[inline(always)]
        fn run<I: Isa>(self) -> Words {
            self.0.scattered::<I>(&self.1)
        }
    }

    #[test]
    fn scattered_blocks_are_themselves_at_every_level() {
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
