//! The seed of the native stream.

use crate::simd::Level;
use crate::threads::Threads;

/// A seed of the native stream. Under a seed, each tensor has a stream of its own, which is identified by the tensor's
/// name. [`Native::tensor`] returns this stream.
///
/// ```
/// use fanin::{Native, init};
/// let seed = Native::new(42);
/// let (mut a, mut b) = ([0f32; 8], [0f32; 8]);
/// init::normal(0.0, 1.0).fill(&mut a, &[8], &mut seed.tensor("layers.0.weight"))?;
/// init::normal(0.0, 1.0).fill(&mut b, &[8], &mut seed.tensor("layers.1.weight"))?;
/// assert_ne!(a, b);
/// # Ok::<(), fanin::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Native {
    pub(super) seed: u64,
    /// `None` stands for the best level that the CPU supports.
    level: Option<Level>,
    pub(super) threads: Threads,
}

impl Native {
    /// The version of the stream's definition. Any change of the definition that changes a bit of a value increases the
    /// version.
    pub const VERSION: u32 = 1;

    /// Creates the native stream of the seed `seed`. Every `u64` is a valid seed.
    pub const fn new(seed: u64) -> Self {
        Self { seed, level: None, threads: Threads::Pool }
    }

    /// Sets the SIMD level whose instructions compute the values. If the CPU does not support `level`, the best level
    /// that the CPU supports is used. The values do not depend on the level.
    #[must_use]
    pub const fn with_level(self, level: Level) -> Self {
        Self { level: Some(level), ..self }
    }

    /// Sets the threads that compute the values. The values do not depend on the number of threads.
    #[must_use]
    pub const fn with_threads(self, threads: Threads) -> Self {
        Self { threads, ..self }
    }

    /// Returns the SIMD level to compute with.
    pub(super) fn level(self) -> Level {
        self.level.unwrap_or_else(Level::best)
    }
}
