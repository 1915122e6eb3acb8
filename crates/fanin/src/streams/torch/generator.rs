//! PyTorch's CPU generator.

use crate::rng::Mt19937;
use crate::simd::Level;
use crate::threads::Threads;

/// PyTorch's CPU generator, a Mersenne Twister.
///
/// Normal values that are drawn one by one are computed in pairs. The first draw returns the first value of a pair. The
/// generator stores the second value for the next draw.
///
/// ```
/// use fanin::{Torch, init};
/// let mut generator = Torch::new(0); // torch.manual_seed(0)
/// let mut w = [0f32; 3];
/// init::uniform(0.0, 1.0).fill(&mut w, &[3], &mut generator)?;
/// assert_eq!(w, [0.49625659, 0.7682218, 0.08847743]); // torch.rand(3)
/// # Ok::<(), fanin::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Torch {
    /// The seed with which the generator was last seeded.
    pub(super) seed: u64,
    pub(super) engine: Mt19937,
    /// The unused second value of a pair of standard normal values. The next draw of a single normal value returns this
    /// value.
    pub(super) next_normal: Option<f64>,
    /// An f32 normal value, and a flag that is true if the value is valid. Both are fields of torch's generator state,
    /// but torch does not use them on the CPU. They are stored only for [`Torch::state`].
    pub(super) next_float_normal: (f32, bool),
    /// The SIMD level. `None` means the best level that the CPU supports.
    level: Option<Level>,
    pub(super) threads: Threads,
}

impl Torch {
    /// The number of normal values in a group. torch draws the values of a group together. In a contiguous fill of
    /// fewer than `GROUP` values, torch draws the values one by one.
    ///
    /// A contiguous fill can be split into chunks that are filled one after another. Two conditions ensure that the
    /// values do not change: the last chunk has at least `GROUP` values, and the length of every other chunk is a
    /// multiple of `GROUP`.
    pub const GROUP: usize = 16;

    /// Creates the generator in the state after `torch.manual_seed(seed)`. torch also accepts negative seeds. A
    /// negative seed must be cast to `u64`: `-1i64 as u64`.
    ///
    /// The Mersenne Twister is seeded with the low 32 bits only. Two seeds with the same low 32 bits give the same
    /// values.
    #[doc(alias = "manual_seed")]
    pub fn new(seed: u64) -> Self {
        Self::from_parts(seed, Mt19937::new(seed as u32), None, (0.0, false))
    }

    /// Creates a generator with the default SIMD level and threads.
    pub(super) fn from_parts(
        seed: u64,
        engine: Mt19937,
        next_normal: Option<f64>,
        next_float_normal: (f32, bool),
    ) -> Self {
        Self { seed, engine, next_normal, next_float_normal, level: None, threads: Threads::Pool }
    }

    /// Replaces the state of this generator by the state of `other`. The SIMD level and the threads do not change.
    pub(super) fn take_state(&mut self, other: Self) {
        *self = Self { level: self.level, threads: self.threads, ..other };
    }

    /// Seeds the generator again, as `torch.manual_seed(seed)` does. An unused second normal value of a pair is
    /// discarded.
    pub fn manual_seed(&mut self, seed: u64) {
        self.take_state(Self::new(seed));
    }

    /// Returns the seed with which the generator was last seeded, as `torch.initial_seed()` does.
    pub fn initial_seed(&self) -> u64 {
        self.seed
    }

    /// Sets the SIMD level at which values are computed. If the CPU does not support `level`, the best supported level
    /// is used. The values do not depend on the level.
    #[must_use]
    pub fn with_level(self, level: Level) -> Self {
        Self { level: Some(level), ..self }
    }

    /// Sets the threads that compute the values. The values do not depend on the number of threads.
    #[must_use]
    pub fn with_threads(self, threads: Threads) -> Self {
        Self { threads, ..self }
    }

    /// Returns the SIMD level at which values are computed.
    pub(super) fn level(&self) -> Level {
        self.level.unwrap_or_else(Level::best)
    }

    /// Returns the next 32-bit word, as `generator->random()` does in torch's C++ code.
    pub fn word(&mut self) -> u32 {
        self.engine.word()
    }

    /// Advances the generator by `words` 32-bit words, as if these words had been drawn.
    ///
    /// A call takes at most about one millisecond, because the generator jumps over large numbers of words. If the
    /// generator stores the second normal value of a pair, this value remains stored.
    pub fn advance(&mut self, words: u64) {
        self.engine.advance_at(self.level(), words);
    }

    /// Returns `torch.randperm(n)`: a random permutation of 0..n. The algorithm is a forward Fisher-Yates shuffle that
    /// draws one word for each step.
    ///
    /// # Panics
    /// Panics if `n` is 2^32 or more, because torch uses another algorithm for such `n`.
    pub fn randperm(&mut self, n: usize) -> Vec<usize> {
        assert!(u32::try_from(n).is_ok(), "randperm supports n below 2^32, got {n}");
        let mut permutation: Vec<usize> = (0..n).collect();
        for index in 0..n.saturating_sub(1) {
            let step = self.word() as usize % (n - index);
            permutation.swap(index, index + step);
        }
        permutation
    }
}
