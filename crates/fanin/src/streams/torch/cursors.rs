//! The walkers of a trial's passes after the first.

use crate::rng::StateReader;

/// A pass's walkers, one in each of its sequences.
type StateReaders = Vec<StateReader>;

/// Passes that keep their walkers: some 20 megabytes of them.
pub(super) const KEPT: usize = 1 << 12;

/// StateReaders of the passes that blocks go through one after another. Each pass keeps its own, which stand where the next block
/// wants them; but where passes go on and on, those beyond a number are walked by one set, that goes from pass to pass and is
/// set up anew for each block.
pub(super) struct RejectionCursors<S> {
    /// Makes the walkers of the first of these passes.
    start: S,
    /// Words of a pass.
    words: u64,
    /// Passes that keep their walkers.
    most: usize,
    kept: Vec<StateReaders>,
    /// The walkers of this block's pass at hand, if that keeps none.
    beyond: Option<StateReaders>,
    /// Those of the farthest pass of the blocks before, if that keeps none.
    farthest: Option<StateReaders>,
    /// The block's passes so far.
    pass: usize,
    /// Most passes of a block before.
    passes: usize,
}

impl<S: Fn() -> StateReaders> RejectionCursors<S> {
    pub(super) fn new(start: S, words: u64, most: usize) -> Self {
        Self { start, words, most, kept: Vec::new(), beyond: None, farthest: None, pass: 0, passes: 0 }
    }

    /// Begins a block.
    pub(super) fn begin(&mut self) {
        let beyond = self.beyond.take();
        if self.pass > self.passes {
            self.passes = self.pass;
            self.farthest = beyond;
        }
        self.pass = 0;
    }

    /// The walkers of the block's next pass.
    pub(super) fn next(&mut self) -> &mut StateReaders {
        let pass = self.pass;
        self.pass += 1;
        if pass < self.kept.len() {
            return &mut self.kept[pass];
        }
        let before = self.beyond.take().or_else(|| self.kept.last().cloned());
        let later = |walkers: StateReaders| {
            walkers.into_iter().map(|walker| walker.renumbered_from(self.words)).collect()
        };
        let walkers = before.map_or_else(&self.start, later);
        if pass < self.most {
            self.kept.push(walkers);
            &mut self.kept[pass]
        } else {
            self.beyond.insert(walkers)
        }
    }

    /// The most passes that a block took, and the walkers of the last of them.
    pub(super) fn end(mut self) -> (u64, Option<StateReaders>) {
        self.begin();
        let farthest = if self.passes > self.most { self.farthest } else { self.kept.pop() };
        (self.passes as u64, farthest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Mt19937;
    use crate::simd::Level;

    #[test]
    fn walkers_that_are_not_kept_tell_the_same_words() {
        const WORDS: u64 = 5000;
        let (level, engine) = (Level::best(), Mt19937::new(3));
        let start = || vec![StateReader::new(engine.clone(), level).renumbered_from(7)];
        let walk = |most: usize| {
            let mut walks = RejectionCursors::new(start, WORDS, most);
            let mut told = Vec::new();
            for (block, passes) in [4, 9, 0, 6, 8].into_iter().enumerate() {
                walks.begin();
                for _ in 0..passes {
                    let mut words = [0; 2];
                    let first = 1000 * block as u64;
                    walks.next()[0].read(&[first + 3, first + 900], [0], &mut words);
                    told.push(words);
                }
                assert!(walks.kept.len() <= most);
            }
            let (passes, last) = walks.end();
            (told, passes, last.unwrap().pop().unwrap().into_engine(WORDS))
        };
        let all = walk(100);
        assert_eq!(all.1, 9);
        let mut after = engine.clone();
        after.advance(7 + 9 * WORDS);
        assert_eq!(all.2, after);
        for most in [0, 1, 5, 8, 9, 10] {
            assert_eq!(walk(most), all, "{most}");
        }
    }
}
