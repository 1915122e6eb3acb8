//! The seed of the native stream.

use crate::simd::Level;
use crate::threads::Threads;

/// A seed of the native stream. Each tensor has a separate stream, which depends on the seed and on the tensor's name.
/// [`Native::tensor`] returns the stream of a tensor.
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
    /// The SIMD level. `None` means the best level that the CPU supports.
    level: Option<Level>,
    pub(super) threads: Threads,
}

impl Native {
    /// The version of the stream's definition. A change that alters even one bit of a value requires a new version.
    pub const VERSION: u32 = 1;

    /// Creates the native stream with the seed `seed`. Every `u64` is a valid seed.
    pub const fn new(seed: u64) -> Self {
        Self { seed, level: None, threads: Threads::Pool }
    }

    /// Sets the SIMD level at which values are computed. If the CPU does not support `level`, the best supported level
    /// is used. The values do not depend on the level.
    #[must_use]
    pub const fn with_level(self, level: Level) -> Self {
        Self { level: Some(level), ..self }
    }

    /// Sets the threads that compute the values. The values do not depend on the number of threads.
    #[must_use]
    pub const fn with_threads(self, threads: Threads) -> Self {
        Self { threads, ..self }
    }

    /// Returns the SIMD level at which values are computed.
    pub(super) fn level(self) -> Level {
        self.level.unwrap_or_else(Level::best)
    }
}
