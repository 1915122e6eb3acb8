//! Philox4x32-10: Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3", section 3.3.

use super::{LANES, Source, Words};
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
/// use fanin::engine::Philox;
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
        let first = group.wrapping_mul(LANES as u64);
        let mut words = [[0; LANES]; 4];
        for at in (0..LANES).step_by(2 * I::Wide::COUNT) {
            // The first block of a group is a multiple of 16: adding the lane never carries into word 1.
            let low = (first & LOW) + at as u64;
            let high = I::Wide::splat(first >> 32);
            let [even, odd] =
                self.blocks([(I::Wide::counting(low), high), (I::Wide::counting(low + 1), high)]);
            for word in 0..4 {
                even[word].interleave(odd[word], &mut words[word][at..]);
            }
        }
        words
    }

    /// The words of any sixteen blocks.
    #[inline(always)]
    pub(crate) fn scattered<I: Isa>(&self, blocks: &[u64; LANES]) -> Words {
        let mut words = [[0; LANES]; 4];
        for at in (0..LANES).step_by(2 * I::Wide::COUNT) {
            let [even, odd] = [I::Wide::every_other(&blocks[at..]), I::Wide::every_other(&blocks[at + 1..])];
            let [even, odd] = self.blocks([(even, even.high()), (odd, odd.high())]);
            for word in 0..4 {
                even[word].interleave(odd[word], &mut words[word][at..]);
            }
        }
        words
    }

    /// Two vectors of blocks, a block a lane, each word in the low half of a 64-bit number; what stands above it is to be
    /// ignored. Of a block, the low word of the counter and the next are told.
    ///
    /// The rounds stand here one by one: in a loop, each would spread its keys over vectors anew, for every group.
    #[inline(always)]
    fn blocks<W: Wide>(&self, counters: [(W, W); 2]) -> [[W; 4]; 2] {
        let [high0, high1] = [W::splat(self.high[0].into()), W::splat(self.high[1].into())];
        let mut vectors =
            [[counters[0].0, counters[0].1, high0, high1], [counters[1].0, counters[1].1, high0, high1]];
        macro_rules! rounds {
            ($($number:literal)*) => {
                const { assert!([$($number),*].len() == ROUNDS) };
                $(vectors = round(vectors, self.round_keys($number));)*
            };
        }
        rounds!(0 1 2 3 4 5 6 7 8 9);
        vectors
    }

    /// The keys of a round, in every lane.
    #[inline(always)]
    fn round_keys<W: Wide>(&self, number: u32) -> [W; 2] {
        let key = |which: usize| self.key[which].wrapping_add(KEY_STEPS[which].wrapping_mul(number));
        [W::splat(key(0).into()), W::splat(key(1).into())]
    }
}

/// A round waits for its product, its shift and one exclusive or: two vectors go side by side, so that one works while
/// the other waits.
#[inline(always)]
fn round<W: Wide>(vectors: [[W; 4]; 2], [key0, key1]: [W; 2]) -> [[W; 4]; 2] {
    let [multiplier0, multiplier1] = [W::splat(MULTIPLIERS[0]), W::splat(MULTIPLIERS[1])];
    let mut next = vectors;
    for (next, [word0, word1, word2, word3]) in next.iter_mut().zip(vectors) {
        let (product0, product1) = (word0.product(multiplier0), word2.product(multiplier1));
        // What does not wait for a product comes first.
        let (keyed0, keyed1) = (word1.xor(key0), word3.xor(key1));
        *next = [product1.high().xor(keyed0), product1, product0.high().xor(keyed1), product0];
    }
    next
}

impl Source for Philox {
    #[inline(always)]
    fn words<I: Isa>(&mut self, group: u64) -> Words {
        self.group::<I>(group)
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
