//! Engines: words and nothing else.

mod jump;
mod mt19937;
mod permutation;
mod philox;
mod state_reader;

pub use mt19937::Mt19937;
pub(crate) use permutation::{FEW, Permutation, few};
pub use philox::Philox;
pub(crate) use state_reader::StateReader;

use crate::simd::Isa;

/// Blocks that are computed together: their words stand side by side in lanes.
pub(crate) const LANES: usize = 16;

/// The four words of sixteen Philox blocks: `[word][block]`.
pub(crate) type Words = [[u32; LANES]; 4];

/// Where the words of a fill come from: groups of sixteen blocks of four words, by number.
pub(crate) trait Source {
    /// The words of a group, computed by the vectors of a CPU level.
    fn words<I: Isa>(&mut self, group: u64) -> Words;

    /// The words of three groups, from this one on.
    #[inline(always)]
    fn three<I: Isa>(&mut self, group: u64, words: &mut [Words; 3]) {
        one_by_one::<I>(self, group, words);
    }
}

/// [`Source::three`] of any source.
#[inline(always)]
fn one_by_one<I: Isa>(source: &mut (impl Source + ?Sized), group: u64, words: &mut [Words; 3]) {
    for (number, words) in (0..).zip(words) {
        *words = source.words::<I>(group.wrapping_add(number));
    }
}

impl<S: Source> Source for &mut S {
    #[inline(always)]
    fn words<I: Isa>(&mut self, group: u64) -> Words {
        (**self).words::<I>(group)
    }

    #[inline(always)]
    fn three<I: Isa>(&mut self, group: u64, words: &mut [Words; 3]) {
        (**self).three::<I>(group, words);
    }
}
