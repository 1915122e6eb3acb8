//! From words to variates: the transforms of the native stream, and of any user's generator.
//!
//! A **group** is sixteen blocks of four words, `[word][block]`. An f32 variate takes one word, so a group makes 64 of
//! them: variate `16 k + b` comes from word `k` of block `b`. An f64 variate takes two words, so a group makes 32:
//! variate `16 k + b` comes from words `2 k` (high) and `2 k + 1` (low) of block `b`.

pub(crate) mod normal;
pub(crate) mod truncated;
pub(crate) mod uniform;

use crate::rng::Words;
use crate::simd::{Floats, Isa};

/// f32 variates that a group makes.
pub(crate) const GROUP_32: usize = 64;

/// f64 variates that a group makes.
pub(crate) const GROUP_64: usize = 32;

/// A distribution with its numbers, ready to turn groups into f32 variates.
pub(crate) trait Transform32: Copy {
    /// The variates of a group. Branch-free, `#[inline(always)]`.
    fn apply<I: Isa>(&self, words: &Words, out: &mut [f32; GROUP_32]);
}

/// A distribution with its numbers, ready to turn groups into f64 variates.
pub(crate) trait Transform64: Copy {
    /// The variates of a group. Branch-free, `#[inline(always)]`.
    fn apply<I: Isa>(&self, words: &Words, out: &mut [f64; GROUP_64]);
}

/// `x` held in [low, high].
#[inline(always)]
fn clamp<F: Floats>(x: F, low: F, high: F) -> F {
    high.lesser(low.greater(x))
}
