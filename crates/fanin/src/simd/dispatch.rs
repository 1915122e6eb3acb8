//! Two functions that run code with the instructions of a SIMD level: `dispatch` for kernels, and [`Level::run`] for
//! code of other crates.

use super::level::Level;
use super::scalar::Scalar;
use super::traits::{Kernel, SimdIsa};
#[cfg(target_arch = "x86_64")]
use super::x86_64::{avx2, avx512};

/// Runs `kernel` at `level`, and returns its result. If this CPU does not support `level`, the best supported level is
/// used.
pub(crate) fn dispatch<K: Kernel>(level: Level, kernel: K) -> K::Output {
    match level.or_best() {
        Level::Scalar => kernel.run::<Scalar>(),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `or_best` returns only levels that were detected on this CPU.
        Level::Avx2 => unsafe { avx2::run(kernel) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `or_best` returns only levels that were detected on this CPU.
        Level::Avx512 => unsafe { avx512::run(kernel) },
        #[cfg(not(target_arch = "x86_64"))]
        _ => kernel.run::<Scalar>(),
    }
}

/// A computation that is compiled once for each SIMD level and run by [`Level::run`]. The compiler vectorizes the loops
/// of the computation with the instructions of the level.
///
/// [`Vectorized::run`] and all functions that it calls should be `#[inline(always)]`. Only inlined code is compiled
/// with the instructions of the level.
pub trait Vectorized {
    /// The result of the computation.
    type Output;

    /// Runs the computation.
    fn run(self) -> Self::Output;
}

/// A kernel that runs a computation of another crate.
struct Inlined<V>(V);

impl<V: Vectorized> Kernel for Inlined<V> {
    type Output = V::Output;

    #[inline(always)]
    fn run<I: SimdIsa>(self) -> V::Output {
        self.0.run()
    }
}

impl Level {
    /// Runs `computation` with the instructions of this level, and returns its result. If this CPU does not support the
    /// level, the best supported level is used. The result does not depend on the level.
    ///
    /// ```
    /// use fanin::{Level, Vectorized};
    ///
    /// /// The sum of the squares of integers.
    /// struct SumOfSquares<'a>(&'a [u32]);
    ///
    /// impl Vectorized for SumOfSquares<'_> {
    ///     type Output = u32;
    ///
    ///     #[inline(always)]
    ///     fn run(self) -> u32 {
    ///         self.0.iter().map(|x| x * x).sum()
    ///     }
    /// }
    ///
    /// assert_eq!(Level::best().run(SumOfSquares(&[1, 2, 3])), 14);
    /// ```
    pub fn run<V: Vectorized>(self, computation: V) -> V::Output {
        dispatch(self, Inlined(computation))
    }
}
