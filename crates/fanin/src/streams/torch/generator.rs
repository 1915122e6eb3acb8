//! torch's CPU generator.

use crate::rng::Mt19937;
use crate::simd::Level;
use crate::threads::Threads;

/// torch's CPU generator: a Mersenne Twister, and the second normal value of a pair if only the first was used.
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
    pub(super) seed: u64,
    pub(super) engine: Mt19937,
    /// The second standard normal value of a pair. The next normal that is drawn singly takes it.
    pub(super) next_normal: Option<f64>,
    /// The same for f32, and whether it is valid. Nothing on the CPU uses it; it is kept because the state has it.
    pub(super) next_float_normal: (f32, bool),
    /// `None`: the best level that the CPU supports.
    level: Option<Level>,
    pub(super) threads: Threads,
}

impl Torch {
    /// Number of normal values that torch draws as a group. A contiguous fill of fewer values is drawn one by one.
    ///
    /// A contiguous fill can be split: chunks whose lengths are multiples of this number, and then a last chunk of at
    /// least this many values, give the same values if they are filled one after another.
    pub const GROUP: usize = 16;

    /// The generator after `torch.manual_seed(seed)`. torch also accepts negative seeds: cast them, as in
    /// `-1i64 as u64`.
    ///
    /// Only the low 32 bits seed the Mersenne Twister: seeds that agree in these give the same values.
    #[doc(alias = "manual_seed")]
    pub fn new(seed: u64) -> Self {
        Self::from_parts(seed, Mt19937::new(seed as u32), None, (0.0, false))
    }

    /// A generator with the default level and threads.
    pub(super) fn from_parts(
        seed: u64,
        engine: Mt19937,
        next_normal: Option<f64>,
        next_float_normal: (f32, bool),
    ) -> Self {
        Self { seed, engine, next_normal, next_float_normal, level: None, threads: Threads::Pool }
    }

    /// Replaces the state by that of `other`, and keeps level and threads.
    pub(super) fn take_state(&mut self, other: Self) {
        *self = Self { level: self.level, threads: self.threads, ..other };
    }

    /// Seeds the generator anew, as `torch.manual_seed(seed)` does. The second normal value of a pair is dropped.
    pub fn manual_seed(&mut self, seed: u64) {
        self.take_state(Self::new(seed));
    }

    /// Returns the seed that the generator was last seeded with, as `torch.initial_seed()` does.
    pub fn initial_seed(&self) -> u64 {
        self.seed
    }

    /// Computes with the instructions of `level`, or of the best level that the CPU supports if it does not support
    /// `level`. The values do not depend on the level.
    #[must_use]
    pub fn with_level(self, level: Level) -> Self {
        Self { level: Some(level), ..self }
    }

    /// Computes on `threads`. The values do not depend on the threads.
    #[must_use]
    pub fn with_threads(self, threads: Threads) -> Self {
        Self { threads, ..self }
    }

    pub(super) fn level(&self) -> Level {
        self.level.unwrap_or_else(Level::best)
    }

    /// Draws the next 32-bit word, as `generator->random()` does in torch's C++ code.
    pub fn word(&mut self) -> u32 {
        self.engine.word()
    }

    /// Passes over the next `words` 32-bit words as if they had been drawn.
    ///
    /// Large counts are passed by a jump, which takes about a millisecond at most. The second normal value of a pair is
    /// kept.
    pub fn advance(&mut self, words: u64) {
        self.engine.advance_at(self.level(), words);
    }

    /// Returns `torch.randperm(n)`: a forward Fisher-Yates shuffle that draws one word for each step.
    ///
    /// # Panics
    /// If n is 2^32 or more: torch then uses another algorithm.
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
