//! The state of MT19937, its recurrence, and tempering.

use crate::simd::{Prefetch, SimdU32x16, U32X16_LANES};

/// The number of words of a state: `n` in the paper by Matsumoto and Nishimura (1998).
pub(in crate::rng) const SIZE: usize = 624;

/// The offset `m` in the paper by Matsumoto and Nishimura (1998). The recurrence reads the words at the offsets 0, 1
/// and `m`.
pub(super) const MIDDLE: usize = 397;

/// The last row of the twist matrix: `a` in the paper by Matsumoto and Nishimura (1998).
pub(super) const MATRIX: u32 = 0x9908_b0df;

/// The words of a state, aligned to 64 bytes so that each group of sixteen words fills one cache line.
#[derive(Debug, Clone, PartialEq, Eq)]
#[repr(align(64))]
pub(crate) struct State(pub(crate) [u32; SIZE]);

impl std::ops::Deref for State {
    type Target = [u32; SIZE];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl std::ops::DerefMut for State {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl State {
    /// Returns the state that `init_genrand` of the reference implementation (2002) computes from a seed.
    pub(super) fn seeded(seed: u32) -> Box<Self> {
        let mut state = Box::new(State([seed; SIZE]));
        for i in 1..SIZE {
            let previous = state[i - 1];
            state[i] = 1_812_433_253u32.wrapping_mul(previous ^ (previous >> 30)).wrapping_add(i as u32);
        }
        state
    }

    /// Replaces the words by the next 624 words of the recurrence. If `tempered` is `Some`, also writes the tempered
    /// words to this slice. Prefetches one cache line of `prefetch` for each sixteen words.
    ///
    /// The words at the offset [`MIDDLE`] are assembled from two aligned vectors. An unaligned load would read words
    /// that were just stored, and would wait until the CPU has written them to the cache.
    #[inline(always)]
    pub(super) fn renew<B: SimdU32x16>(
        &mut self,
        mut tempered: Option<&mut [u32]>,
        prefetch: &mut Prefetch<'_>,
    ) {
        const { assert!(MIDDLE % U32X16_LANES == 13 && SIZE.is_multiple_of(U32X16_LANES)) };
        const BLOCKS: usize = SIZE / U32X16_LANES;
        const MIDDLE_BLOCK: usize = MIDDLE / U32X16_LANES;
        let state = &mut self.0;
        let mut current = B::load(block(state, 0));
        let mut middle = B::load(block(state, MIDDLE_BLOCK));
        for number in 0..BLOCKS {
            prefetch.next_line();
            let next = B::load(block(state, number + 1));
            let after_middle = B::load(block(state, number + MIDDLE_BLOCK + 1));
            let lower = match state[number * U32X16_LANES..].first_chunk() {
                Some(memory) => current.slide_1_from(next, memory),
                None => current.slide_1(next),
            };
            let memory =
                [number + MIDDLE_BLOCK, number + MIDDLE_BLOCK + 1].map(|number| block(state, number));
            let new = middle.slide_13(after_middle, memory).xor(twist(current, lower));
            new.store(&mut state.as_chunks_mut().0[number]);
            if let Some(tempered) = &mut tempered {
                temper_vector(new).store(&mut tempered.as_chunks_mut().0[number]);
            }
            (current, middle) = (next, after_middle);
        }
    }
}

/// Returns a block of sixteen words of the state. The index of the block is `number` modulo the number of blocks.
/// `number` must be less than twice the number of blocks.
#[inline(always)]
fn block(state: &[u32; SIZE], number: usize) -> &[u32; U32X16_LANES] {
    let blocks = state.as_chunks().0;
    &blocks[if number < blocks.len() { number } else { number - blocks.len() }]
}

/// Multiplies sixteen words by the twist matrix. Each word consists of the highest bit of `upper` and the other bits of
/// `lower`.
#[inline(always)]
fn twist<B: SimdU32x16>(upper: B, lower: B) -> B {
    let mixed = upper.and(B::splat(0x8000_0000)).xor(lower.and(B::splat(0x7fff_ffff)));
    mixed.shr(1).xor(lower.select_if_odd(MATRIX))
}

/// Tempers sixteen words of the state. The tempered words are the output of the generator.
#[inline(always)]
fn temper_vector<B: SimdU32x16>(mut words: B) -> B {
    words = words.xor(words.shr(11));
    words = words.xor(words.shl(7).and(B::splat(0x9d2c_5680)));
    words = words.xor(words.shl(15).and(B::splat(0xefc6_0000)));
    words.xor(words.shr(18))
}

/// Tempers one word of the state. The tempered words are the output of the generator.
#[inline(always)]
pub(super) fn temper(mut word: u32) -> u32 {
    word ^= word >> 11;
    word ^= (word << 7) & 0x9d2c_5680;
    word ^= (word << 15) & 0xefc6_0000;
    word ^ (word >> 18)
}

/// Tempers words of the state in place.
#[inline(always)]
pub(in crate::rng) fn temper_all(words: &mut [u32]) {
    for word in words {
        *word = temper(*word);
    }
}
