//! `dispatch`, which runs a kernel with the instructions of a SIMD level.

use super::level::Level;
use super::scalar::Scalar;
use super::traits::Kernel;
#[cfg(target_arch = "x86_64")]
use super::x86_64::{avx2, avx512};

/// Runs a kernel at the SIMD level `level`, and returns the result of the kernel. If this CPU does not support `level`,
/// the kernel runs at the best supported level.
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
