//! Groups of sixteen Philox blocks: the unit in which the native stream produces words.

use crate::simd::SimdIsa;

/// The number of blocks in a group. The blocks are computed together, each block in a separate lane of SIMD vectors.
pub(crate) const LANES: usize = 16;

/// The words of a group of sixteen blocks: element `[w][b]` is word `w` (0 to 3) of block `b`.
pub(crate) type GroupWords = [[u32; LANES]; 4];

/// A generator that produces words in groups (see [`GroupWords`]): [`Philox`](super::Philox), or a generator that the
/// caller of the crate provides.
pub(crate) trait GroupSource {
    /// Returns the words of the group with the index `group`.
    fn words<I: SimdIsa>(&mut self, group: u64) -> GroupWords;

    /// Writes the words of the groups `group..group + 3` to `words`.
    #[inline(always)]
    fn three_groups<I: SimdIsa>(&mut self, group: u64, words: &mut [GroupWords; 3]) {
        groups_one_by_one::<I>(self, group, words);
    }
}

/// Writes the words of the groups `group..group + 3` by three calls of [`GroupSource::words`].
#[inline(always)]
pub(super) fn groups_one_by_one<I: SimdIsa>(
    source: &mut (impl GroupSource + ?Sized),
    group: u64,
    words: &mut [GroupWords; 3],
) {
    for (offset, words) in (0..).zip(words) {
        *words = source.words::<I>(group.wrapping_add(offset));
    }
}

impl<S: GroupSource> GroupSource for &mut S {
    #[inline(always)]
    fn words<I: SimdIsa>(&mut self, group: u64) -> GroupWords {
        (**self).words::<I>(group)
    }

    #[inline(always)]
    fn three_groups<I: SimdIsa>(&mut self, group: u64, words: &mut [GroupWords; 3]) {
        (**self).three_groups::<I>(group, words);
    }
}
