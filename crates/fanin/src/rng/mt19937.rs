//! MT19937: Matsumoto and Nishimura 1998, "Mersenne twister".

use super::jump::{REACH, jump};
use crate::simd::{Ahead, BLOCK, Block, Isa, Kernel, Level, dispatch};

pub(super) const SIZE: usize = 624;
pub(super) const MIDDLE: usize = 397;
pub(super) const MATRIX: u32 = 0x9908_b0df;

/// The Mersenne twister as torch runs it: 32-bit words, seeded by `init_genrand` of 2002 from the low 32 bits of the
/// seed. The same words as NumPy's `RandomState(seed)`.
///
/// ```
/// use fanin::rng::Mt19937;
/// // The reference implementation's first words from its default seed.
/// let mut engine = Mt19937::new(5489);
/// assert_eq!([engine.word(), engine.word()], [3499211612, 581869302]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mt19937 {
    pub(crate) state: Box<State>,
    /// Index of the next word of the state to hand out.
    pub(crate) next: u32,
    /// Words until the state must be renewed, counted as torch counts: one more than are left.
    pub(crate) left: u32,
}

/// The words of a state, each sixteen in a line of the cache.
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

impl Mt19937 {
    /// The number of words of the state.
    pub const STATE_WORDS: usize = SIZE;

    /// Words from which on a jump is sooner there than a walk: a jump as far as an earlier one takes as long as one million of
    /// them, a first one as three.
    pub(crate) const FARTHEST_WALK: u64 = 2 << 20;

    /// The engine of a seed.
    pub fn new(seed: u32) -> Self {
        let mut state = Box::new(State([seed; SIZE]));
        for i in 1..SIZE {
            let previous = state[i - 1];
            state[i] = 1_812_433_253u32.wrapping_mul(previous ^ (previous >> 30)).wrapping_add(i as u32);
        }
        Self { state, next: 0, left: 1 }
    }

    /// With these words for a state, of which there are enough.
    pub(crate) fn with_state(words: impl Iterator<Item = u32>, next: u32, left: u32) -> Self {
        let mut state = Box::new(State([0; SIZE]));
        state.0.iter_mut().zip(words).for_each(|(to, word)| *to = word);
        Self { state, next, left }
    }

    /// The next word.
    pub fn word(&mut self) -> u32 {
        self.left -= 1;
        if self.left == 0 {
            self.renew::<[u32; BLOCK]>(None, &mut Ahead::nothing());
        }
        let word = temper(self.state[self.next as usize]);
        self.next += 1;
        word
    }

    /// A 64-bit draw: two words, the first one high.
    pub fn word64(&mut self) -> u64 {
        let high = u64::from(self.word());
        high << 32 | u64::from(self.word())
    }

    /// The next `out.len()` words, at this level.
    pub(crate) fn words_at(&mut self, level: Level, out: &mut [u32]) {
        dispatch(level, Drawn { engine: self, out });
    }

    /// The next `out.len()` words.
    #[inline(always)]
    pub(crate) fn words<I: Isa>(&mut self, out: &mut [u32]) {
        self.words_and_fetch::<I>(out, Ahead::nothing());
    }

    /// The next `out.len()` words. Meanwhile memory is fetched, a line for each sixteen words.
    #[inline(always)]
    pub(crate) fn words_and_fetch<I: Isa>(&mut self, mut out: &mut [u32], mut ahead: Ahead<'_>) {
        while !out.is_empty() {
            if self.left == 1 {
                if out.len() >= SIZE {
                    // A whole state is tempered while it is at hand.
                    let (now, later) = out.split_at_mut(SIZE);
                    self.renew::<I::Block>(Some(now), &mut ahead);
                    (self.next, self.left) = (SIZE as u32, 1);
                    out = later;
                    continue;
                }
                self.renew::<I::Block>(None, &mut ahead);
                self.left += 1;
            }
            let take = out.len().min(self.left as usize - 1);
            let (now, later) = out.split_at_mut(take);
            let start = self.next as usize;
            for (out, word) in now.iter_mut().zip(&self.state[start..start + take]) {
                *out = temper(*word);
            }
            self.next += take as u32;
            self.left -= take as u32;
            out = later;
        }
    }

    /// Passes over `count` words, in about a tenth of a nanosecond each, and at most in a fraction of a millisecond.
    ///
    /// ```
    /// use fanin::rng::Mt19937;
    /// let (mut walked, mut jumped) = (Mt19937::new(1), Mt19937::new(1));
    /// (0..5_000_000).for_each(|_| _ = walked.word());
    /// jumped.advance(5_000_000);
    /// assert_eq!(walked, jumped);
    /// ```
    pub fn advance(&mut self, count: u64) {
        self.advance_at(Level::best(), count);
    }

    /// As [`Mt19937::skip`], at this level.
    pub(crate) fn advance_at(&mut self, level: Level, count: u64) {
        if count == 0 {
            return;
        }
        let Some(target) = self.position().checked_add(count) else {
            self.advance_at(level, count / 2);
            return self.advance_at(level, count - count / 2);
        };
        let (states, last) = ((target - 1) / SIZE as u64, (target - 1) % SIZE as u64);
        self.advance_states(level, states);
        self.next = last as u32 + 1;
        self.left = SIZE as u32 - last as u32;
    }

    /// Where in the state, or in the one after it, the next word stands: a state that is used up, or not yet begun, has it
    /// in the following one.
    pub(super) fn position(&self) -> u64 {
        if self.left == 1 { SIZE as u64 } else { u64::from(self.next) }
    }

    /// Renews the state so many times.
    pub(super) fn advance_states(&mut self, level: Level, states: u64) {
        if states * SIZE as u64 >= Self::FARTHEST_WALK {
            let mut words = vec![0; REACH];
            dispatch(level, Renewals { engine: self, keep: Some(&mut words), count: REACH / SIZE });
            self.state = jump(&words, states * SIZE as u64, level);
        } else if states > 0 {
            dispatch(level, Renewals { engine: self, keep: None, count: states as usize });
        }
    }

    /// Renews the state.
    #[inline(always)]
    pub(super) fn advance_state<I: Isa>(&mut self) {
        self.renew::<I::Block>(None, &mut Ahead::nothing());
    }

    /// Makes the state's first word the next one.
    pub(super) fn begin_state(&mut self) {
        (self.next, self.left) = (0, SIZE as u32 + 1);
    }

    /// Turns words of the state into words of the sequence.
    #[inline(always)]
    pub(super) fn temper_all(words: &mut [u32]) {
        for word in words {
            *word = temper(*word);
        }
    }

    /// Makes the next 624 words of the state, in place, and tempers them if there is somewhere to put them.
    ///
    /// The words `MIDDLE` on stand thirteen beyond the beginning of a block: they are taken from two whole blocks. Read as
    /// they lie, they would be parts of what has just been stored, and wait until that has left the store buffer, which in a
    /// large fill waits for the memory.
    #[inline(always)]
    fn renew<B: Block>(&mut self, mut tempered: Option<&mut [u32]>, ahead: &mut Ahead<'_>) {
        const { assert!(MIDDLE % BLOCK == 13 && SIZE.is_multiple_of(BLOCK)) };
        const BLOCKS: usize = SIZE / BLOCK;
        let state = &mut self.state.0;
        let mut now = B::load(block(state, 0));
        let mut middle = B::load(block(state, MIDDLE / BLOCK));
        for number in 0..BLOCKS {
            ahead.fetch();
            let next = B::load(block(state, number + 1));
            let beyond = B::load(block(state, number + MIDDLE / BLOCK + 1));
            let lower = match state[number * BLOCK..].first_chunk() {
                Some(memory) => now.join_1_in(next, memory),
                None => now.join_1(next),
            };
            let memory =
                [number + MIDDLE / BLOCK, number + MIDDLE / BLOCK + 1].map(|number| block(state, number));
            let new = middle.join_13(beyond, memory).xor(twist(now, lower));
            new.store(&mut state.as_chunks_mut().0[number]);
            if let Some(tempered) = &mut tempered {
                temper_block(new).store(&mut tempered.as_chunks_mut().0[number]);
            }
            (now, middle) = (next, beyond);
        }
        self.next = 0;
        self.left = SIZE as u32;
    }
}

/// A block of a state, counted around it.
#[inline(always)]
fn block(state: &[u32; SIZE], number: usize) -> &[u32; BLOCK] {
    let blocks = state.as_chunks().0;
    &blocks[if number < blocks.len() { number } else { number - blocks.len() }]
}

struct Drawn<'a> {
    engine: &'a mut Mt19937,
    out: &'a mut [u32],
}

impl Kernel for Drawn<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self) {
        self.engine.words::<I>(self.out);
    }
}

/// Renews the state so many times.
struct Renewals<'a> {
    engine: &'a mut Mt19937,
    /// Where to put each state before it is renewed.
    keep: Option<&'a mut [u32]>,
    count: usize,
}

impl Kernel for Renewals<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self) {
        let Self { engine, mut keep, count } = self;
        for number in 0..count {
            if let Some(keep) = &mut keep {
                keep[number * SIZE..][..SIZE].copy_from_slice(&**engine.state);
            }
            engine.renew::<I::Block>(None, &mut Ahead::nothing());
        }
    }
}

#[inline(always)]
fn twist<B: Block>(upper: B, lower: B) -> B {
    let mixed = upper.and(B::splat(0x8000_0000)).xor(lower.and(B::splat(0x7fff_ffff)));
    mixed.right(1).xor(lower.where_lowest(MATRIX))
}

#[inline(always)]
fn temper_block<B: Block>(mut words: B) -> B {
    words = words.xor(words.right(11));
    words = words.xor(words.left(7).and(B::splat(0x9d2c_5680)));
    words = words.xor(words.left(15).and(B::splat(0xefc6_0000)));
    words.xor(words.right(18))
}

#[inline(always)]
fn temper(mut word: u32) -> u32 {
    word ^= word >> 11;
    word ^= (word << 7) & 0x9d2c_5680;
    word ^= (word << 15) & 0xefc6_0000;
    word ^ (word >> 18)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standards_known_answer() {
        // ISO C++, [rand.predef]: the 10000th word of a default-seeded mt19937.
        let mut engine = Mt19937::new(5489);
        assert_eq!((0..10_000).map(|_| engine.word()).last(), Some(4_123_659_995));
    }

    #[test]
    fn jumps_are_walks_at_every_level() {
        const FAR: u64 = Mt19937::FARTHEST_WALK;
        for &level in Level::available() {
            for (before, count) in [(0, FAR), (1, FAR + 623), (624, 2 * FAR), (700, FAR + 77)] {
                let mut walked = Mt19937::new(7);
                walked.advance_at(level, before);
                let mut jumped = walked.clone();
                let mut words = vec![0; count as usize];
                walked.words_at(level, &mut words);
                jumped.advance_at(level, count);
                assert!(walked == jumped, "{level:?} {before} {count}");
            }
        }
    }

    #[test]
    fn far_jumps_add_up() {
        for (first, second) in [(1u64 << 40, 3), (u64::MAX, 5), (1 << 63, 1 << 63), (12345, u64::MAX - 12345)]
        {
            let (mut one, mut other) = (Mt19937::new(3), Mt19937::new(3));
            one.advance(first);
            one.advance(second);
            other.advance(second);
            other.advance(first);
            assert!(one == other && one.word() == other.word());
        }
    }

    #[test]
    fn words_and_skips_of_any_length_continue_the_sequence() {
        let mut one_by_one = Mt19937::new(1);
        let mut in_bulk = Mt19937::new(1);
        for count in [0usize, 1, 3, 623, 624, 625, 2000, 7, 1248] {
            let mut bulk = vec![0; count];
            in_bulk.words_at(Level::best(), &mut bulk);
            assert!(bulk.iter().all(|&word| word == one_by_one.word()));
            assert_eq!(in_bulk, one_by_one, "after {count}, counters and all");
            in_bulk.advance(count as u64);
            (0..count).for_each(|_| _ = one_by_one.word());
            assert_eq!(in_bulk, one_by_one, "after skipping {count}");
        }
    }
}
