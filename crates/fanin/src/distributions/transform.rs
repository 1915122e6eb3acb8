//! The traits that all distributions implement.

use crate::rng::GroupWords;
use crate::simd::{SimdFloat, SimdIsa};

/// The number of f32 variates from a group of 64 words: one for each word.
pub(crate) const GROUP_32: usize = 64;

/// The number of f64 variates from a group of 64 words: one for each pair of words.
pub(crate) const GROUP_64: usize = 32;

/// A distribution that turns words into f32 variates.
pub(crate) trait Transform32: Copy {
    /// Writes the variates of a group of words to `out`. Implementations have no branches and are `#[inline(always)]`.
    fn apply<I: SimdIsa>(&self, words: &GroupWords, out: &mut [f32; GROUP_32]);
}

/// A distribution that turns words into f64 variates.
pub(crate) trait Transform64: Copy {
    /// Writes the variates of a group of words to `out`. Implementations have no branches and are `#[inline(always)]`.
    fn apply<I: SimdIsa>(&self, words: &GroupWords, out: &mut [f64; GROUP_64]);
}

#[inline(always)]
pub(super) fn clamp<F: SimdFloat>(x: F, low: F, high: F) -> F {
    high.min(low.max(x))
}
