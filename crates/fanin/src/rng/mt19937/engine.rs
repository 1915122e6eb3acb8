//! The MT19937 engine: sequential reads of words, and jumps over words.

use super::jump::{REACH, jump};
use super::state::{SIZE, State, temper};
use crate::simd::{Kernel, Level, Prefetch, SimdIsa, SimdU32x16, U32X16_LANES, dispatch};

/// The Mersenne Twister MT19937 with 32-bit words, as PyTorch's CPU generator uses it.
///
/// The engine is seeded with a 32-bit integer by `init_genrand` of the reference implementation (2002). NumPy's
/// `RandomState(seed)` generates the same words.
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
    /// The index of the next word in the state.
    pub(crate) next: u32,
    /// The number of unused words in the state plus 1, as in torch. If `left` is 1, the next read first renews the
    /// state (see [`State::renew`]).
    pub(crate) left: u32,
}

impl Mt19937 {
    /// The number of words of the state.
    pub const STATE_WORDS: usize = SIZE;

    /// The smallest distance, in words, of a jump. Over a smaller distance, the state is renewed repeatedly. A jump
    /// takes as long as the generation of three million words, or of one million words if its polynomial is cached. The
    /// constant, about two million, is a compromise.
    pub(crate) const MIN_JUMP: u64 = 2 << 20;

    /// Creates an engine from a seed.
    pub fn new(seed: u32) -> Self {
        Self { state: State::seeded(seed), next: 0, left: 1 }
    }

    /// Creates an engine with a given state (the first 624 of `words`) and given counters.
    pub(crate) fn with_state(words: impl Iterator<Item = u32>, next: u32, left: u32) -> Self {
        let mut state = Box::new(State([0; SIZE]));
        state.0.iter_mut().zip(words).for_each(|(to, word)| *to = word);
        Self { state, next, left }
    }

    /// Returns the next word.
    pub fn word(&mut self) -> u32 {
        self.left -= 1;
        if self.left == 0 {
            self.renew::<[u32; U32X16_LANES]>(None, &mut Prefetch::none());
        }
        let word = temper(self.state[self.next as usize]);
        self.next += 1;
        word
    }

    /// Returns the next two words as one 64-bit word. The first word is the high half.
    pub fn word64(&mut self) -> u64 {
        let high = u64::from(self.word());
        high << 32 | u64::from(self.word())
    }

    /// Fills `out` with the next words, at the SIMD level `level`.
    pub(crate) fn words_at(&mut self, level: Level, out: &mut [u32]) {
        dispatch(level, ReadWords { engine: self, out });
    }

    /// Fills `out` with the next words.
    #[inline(always)]
    pub(crate) fn words<I: SimdIsa>(&mut self, out: &mut [u32]) {
        self.words_and_prefetch::<I>(out, Prefetch::none());
    }

    /// Fills `out` with the next words. For each 16 words, prefetches one cache line of the memory that `prefetch`
    /// describes.
    #[inline(always)]
    pub(crate) fn words_and_prefetch<I: SimdIsa>(&mut self, mut out: &mut [u32], mut prefetch: Prefetch<'_>) {
        while !out.is_empty() {
            if self.left == 1 {
                if out.len() >= SIZE {
                    // For a whole state, `renew` also tempers the words, while they are in registers.
                    let (now, later) = out.split_at_mut(SIZE);
                    self.renew::<I::U32x16>(Some(now), &mut prefetch);
                    (self.next, self.left) = (SIZE as u32, 1);
                    out = later;
                    continue;
                }
                self.renew::<I::U32x16>(None, &mut prefetch);
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

    /// Advances by `count` words, as `count` calls of [`Mt19937::word`] do.
    ///
    /// A small `count` takes about 0.1 ns for each word. Over a large distance, the engine jumps, so any `count` takes
    /// less than 1 ms.
    ///
    /// ```
    /// use fanin::rng::Mt19937;
    /// let (mut stepped, mut advanced) = (Mt19937::new(1), Mt19937::new(1));
    /// (0..5_000_000).for_each(|_| _ = stepped.word());
    /// advanced.advance(5_000_000);
    /// assert_eq!(stepped, advanced);
    /// ```
    pub fn advance(&mut self, count: u64) {
        self.advance_at(Level::best(), count);
    }

    /// Advances by `count` words, as [`Mt19937::advance`] does, at the SIMD level `level`.
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

    /// Returns the index of the next word in the state. The index is [`SIZE`] if the state has no unused words, for
    /// example after seeding.
    pub(in crate::rng) fn position(&self) -> u64 {
        if self.left == 1 { SIZE as u64 } else { u64::from(self.next) }
    }

    /// Renews the state `states` times. Afterwards the counters `next` and `left` are unspecified, so the caller must
    /// set them.
    pub(in crate::rng) fn advance_states(&mut self, level: Level, states: u64) {
        if states * SIZE as u64 >= Self::MIN_JUMP {
            let mut words = vec![0; REACH];
            dispatch(level, Renewals { engine: self, record: Some(&mut words), count: REACH / SIZE });
            self.state = jump(&words, states * SIZE as u64, level);
        } else if states > 0 {
            dispatch(level, Renewals { engine: self, record: None, count: states as usize });
        }
    }

    /// Renews the state once.
    #[inline(always)]
    pub(in crate::rng) fn advance_state<I: SimdIsa>(&mut self) {
        self.renew::<I::U32x16>(None, &mut Prefetch::none());
    }

    /// Sets the counters so that the first word of the state is the next word.
    pub(in crate::rng) fn begin_state(&mut self) {
        (self.next, self.left) = (0, SIZE as u32 + 1);
    }

    /// Renews the state as [`State::renew`] does, and resets the counters.
    #[inline(always)]
    fn renew<B: SimdU32x16>(&mut self, tempered: Option<&mut [u32]>, prefetch: &mut Prefetch<'_>) {
        self.state.renew::<B>(tempered, prefetch);
        self.next = 0;
        self.left = SIZE as u32;
    }
}

/// The kernel that fills `out` with the next words of the engine.
struct ReadWords<'a> {
    engine: &'a mut Mt19937,
    out: &'a mut [u32],
}

impl Kernel for ReadWords<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: SimdIsa>(self) {
        self.engine.words::<I>(self.out);
    }
}

/// The kernel that renews the state `count` times.
struct Renewals<'a> {
    engine: &'a mut Mt19937,
    /// If `record` is `Some`, each state is copied to this slice before the state is renewed.
    record: Option<&'a mut [u32]>,
    count: usize,
}

impl Kernel for Renewals<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: SimdIsa>(self) {
        let Self { engine, mut record, count } = self;
        for number in 0..count {
            if let Some(record) = &mut record {
                record[number * SIZE..][..SIZE].copy_from_slice(&**engine.state);
            }
            engine.renew::<I::U32x16>(None, &mut Prefetch::none());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ten_thousandth_word_of_the_default_seed_has_the_value_in_the_cpp_standard() {
        // The expected value of the 10000th word of a default-seeded mt19937 is in ISO C++, [rand.predef].
        let mut engine = Mt19937::new(5489);
        assert_eq!((0..10_000).map(|_| engine.word()).last(), Some(4_123_659_995));
    }

    #[test]
    fn a_jump_equals_single_steps_at_every_simd_level() {
        const FAR: u64 = Mt19937::MIN_JUMP;
        for &level in Level::available() {
            for (before, count) in [(0, FAR), (1, FAR + 623), (624, 2 * FAR), (700, FAR + 77)] {
                let mut stepped = Mt19937::new(7);
                stepped.advance_at(level, before);
                let mut jumped = stepped.clone();
                let mut words = vec![0; count as usize];
                stepped.words_at(level, &mut words);
                jumped.advance_at(level, count);
                assert!(stepped == jumped, "{level:?} {before} {count}");
            }
        }
    }

    #[test]
    fn two_jumps_commute() {
        for (first, second) in [(1u64 << 40, 3), (u64::MAX, 5), (1 << 63, 1 << 63), (12345, u64::MAX - 12345)]
        {
            let (mut a, mut b) = (Mt19937::new(3), Mt19937::new(3));
            a.advance(first);
            a.advance(second);
            b.advance(second);
            b.advance(first);
            assert!(a == b && a.word() == b.word());
        }
    }

    #[test]
    fn bulk_reads_and_advances_of_any_length_continue_the_sequence() {
        let mut one_by_one = Mt19937::new(1);
        let mut in_bulk = Mt19937::new(1);
        for count in [0usize, 1, 3, 623, 624, 625, 2000, 7, 1248] {
            let mut bulk = vec![0; count];
            in_bulk.words_at(Level::best(), &mut bulk);
            assert!(bulk.iter().all(|&word| word == one_by_one.word()));
            assert_eq!(in_bulk, one_by_one, "after reading {count} words");
            in_bulk.advance(count as u64);
            (0..count).for_each(|_| _ = one_by_one.word());
            assert_eq!(in_bulk, one_by_one, "after advancing by {count}");
        }
    }
}
