//! `Cursor`, which reads the words of a uniform or normal fill from the generator.

use super::interval::Interval;
use super::variates::{Normal32, Normal64, Uniform32, Uniform64, transform};
use super::wide::{Wide, WideSlice};
use super::words::{GROUP, Groups};
use crate::rng::Mt19937;
use crate::simd::{Level, dispatch};

/// A position in the sequence of random words of a fill. The position only moves forwards, and the generator `engine`
/// moves with the position: the next word of `engine` is always the word at the position.
pub(super) struct Cursor<'a, W> {
    engine: &'a mut Mt19937,
    level: Level,
    /// The number of words of the fill before the position of the cursor.
    pub(super) passed: u64,
    /// The last computed group of normal values: the position of its first word, and its values. The next values may
    /// belong to the same group.
    last_group: Option<(u64, [W; GROUP])>,
}

impl<'a, W: Wide> Cursor<'a, W> {
    /// Creates a cursor at the first word of a fill, which must be the next word of `engine`.
    pub(super) fn new(engine: &'a mut Mt19937, level: Level) -> Self {
        Self { engine, level, passed: 0, last_group: None }
    }

    /// Fills `out` with consecutive values of a uniform fill, starting with the value at the index `first`.
    pub(super) fn uniforms(&mut self, interval: Interval, first: u64, out: &mut [W]) {
        self.seek(W::WORDS * first);
        self.passed += W::WORDS * out.len() as u64;
        let (level, engine) = (self.level, &mut *self.engine);
        match W::slice(out) {
            WideSlice::F32(out) => dispatch(level, Uniform32 { engine, interval, out }),
            WideSlice::F64(out) => dispatch(level, Uniform64 { engine, interval, out }),
        }
    }

    /// Fills `out` with consecutive values of a normal fill, starting with the value at the index `first`. Supports
    /// only fills that torch draws in groups (see [`Groups`]).
    pub(super) fn normals(
        &mut self,
        groups: &Groups,
        (mean, std): (f64, f64),
        mut first: u64,
        mut out: &mut [W],
    ) {
        while !out.is_empty() {
            let left = groups.left_in_order(first);
            if first.is_multiple_of(GROUP as u64) && left.min(out.len()) >= GROUP {
                // The next `whole` values are complete groups, and the words of these groups are contiguous.
                let whole = left.min(out.len()) / GROUP * GROUP;
                let (now, later) = std::mem::take(&mut out).split_at_mut(whole);
                let (start, _) = groups.of(first);
                self.seek(start);
                self.passed += (whole / GROUP * groups.words) as u64;
                let (level, engine) = (self.level, &mut *self.engine);
                match W::slice(now) {
                    WideSlice::F32(out) => dispatch(level, Normal32 { engine, mean, std, out }),
                    WideSlice::F64(out) => dispatch(level, Normal64 { engine, mean, std, out }),
                }
                (first, out) = (first + whole as u64, later);
            } else {
                let (start, lane) = groups.of(first);
                let take = (GROUP - lane).min(out.len()).min(if left == 0 { GROUP } else { left });
                let (now, later) = std::mem::take(&mut out).split_at_mut(take);
                now.copy_from_slice(&self.group(start, groups.words, (mean, std))[lane..][..take]);
                (first, out) = (first + take as u64, later);
            }
        }
    }

    /// Moves the position forwards to word `word` of the fill, counted from 0.
    fn seek(&mut self, word: u64) {
        self.engine.advance_at(self.level, word - self.passed);
        self.passed = word;
    }

    /// Returns the normal values of one group. The group takes `words` words, and `start` is the position of the first
    /// one in the fill. `distribution` is `(mean, std)`.
    fn group(&mut self, start: u64, words: usize, distribution: (f64, f64)) -> &[W; GROUP] {
        if self.last_group.as_ref().is_none_or(|group| group.0 != start) {
            self.seek(start);
            let mut drawn = [0; 2 * GROUP];
            self.engine.words_at(self.level, &mut drawn[..words]);
            self.passed += words as u64;
            let mut values = [W::default(); GROUP];
            transform(self.level, &drawn[..words], distribution, &mut values);
            self.last_group = Some((start, values));
        }
        &self.last_group.as_ref().expect("the group was computed above").1
    }
}
