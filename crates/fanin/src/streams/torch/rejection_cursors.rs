//! The positions of rejection sampling in the words of its passes.

use crate::rng::StateReader;

/// The state readers of a pass, one for each of its sequences of words.
type StateReaders = Vec<StateReader>;

/// Number of passes whose state readers are kept, which take about 20 megabytes.
pub(super) const KEPT: usize = 1 << 12;

/// The state readers of all passes after the first, for blocks of values that go through the passes one after another.
///
/// Each of the first `max_kept` passes keeps its state readers: they are where the next block needs them. Later passes
/// share one set of state readers, which moves from pass to pass and is set up anew for each block.
pub(super) struct RejectionCursors<S> {
    /// Creates the state readers of the first of these passes.
    start: S,
    /// Number of words of a pass.
    words: u64,
    /// Number of passes that keep their state readers.
    max_kept: usize,
    kept: Vec<StateReaders>,
    /// The state readers of the current pass of the current block, if the pass does not keep them.
    current: Option<StateReaders>,
    /// The state readers of the last pass of the block with the most passes so far, if that pass does not keep them.
    farthest: Option<StateReaders>,
    /// Number of passes of the current block so far.
    pass: usize,
    /// Largest number of passes of a block before the current one.
    max_passes: usize,
}

impl<S: Fn() -> StateReaders> RejectionCursors<S> {
    /// `start` creates the state readers of the first pass, `words` is the number of words of a pass.
    pub(super) fn new(start: S, words: u64, max_kept: usize) -> Self {
        Self {
            start,
            words,
            max_kept,
            kept: Vec::new(),
            current: None,
            farthest: None,
            pass: 0,
            max_passes: 0,
        }
    }

    /// Begins a block of values.
    pub(super) fn begin_block(&mut self) {
        let current = self.current.take();
        if self.pass > self.max_passes {
            self.max_passes = self.pass;
            self.farthest = current;
        }
        self.pass = 0;
    }

    /// Returns the state readers of the block's next pass.
    pub(super) fn next_pass(&mut self) -> &mut StateReaders {
        let pass = self.pass;
        self.pass += 1;
        if pass < self.kept.len() {
            return &mut self.kept[pass];
        }
        let before = self.current.take().or_else(|| self.kept.last().cloned());
        let later = |readers: StateReaders| {
            readers.into_iter().map(|reader| reader.renumbered_from(self.words)).collect()
        };
        let readers = before.map_or_else(&self.start, later);
        if pass < self.max_kept {
            self.kept.push(readers);
            &mut self.kept[pass]
        } else {
            self.current.insert(readers)
        }
    }

    /// Returns the largest number of passes of a block, and the state readers of the last of these passes.
    pub(super) fn finish(mut self) -> (u64, Option<StateReaders>) {
        self.begin_block();
        let farthest = if self.max_passes > self.max_kept { self.farthest } else { self.kept.pop() };
        (self.max_passes as u64, farthest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Mt19937;
    use crate::simd::Level;

    #[test]
    fn state_readers_that_are_not_kept_read_the_same_words() {
        const WORDS: u64 = 5000;
        let (level, engine) = (Level::best(), Mt19937::new(3));
        let start = || vec![StateReader::new(engine.clone(), level).renumbered_from(7)];
        let read = |max_kept: usize| {
            let mut cursors = RejectionCursors::new(start, WORDS, max_kept);
            let mut read = Vec::new();
            for (block, passes) in [4, 9, 0, 6, 8].into_iter().enumerate() {
                cursors.begin_block();
                for _ in 0..passes {
                    let mut words = [0; 2];
                    let first = 1000 * block as u64;
                    cursors.next_pass()[0].read(&[first + 3, first + 900], [0], &mut words);
                    read.push(words);
                }
                assert!(cursors.kept.len() <= max_kept);
            }
            let (passes, last) = cursors.finish();
            (read, passes, last.unwrap().pop().unwrap().into_engine(WORDS))
        };
        let all = read(100);
        assert_eq!(all.1, 9);
        let mut after = engine.clone();
        after.advance(7 + 9 * WORDS);
        assert_eq!(all.2, after);
        for max_kept in [0, 1, 5, 8, 9, 10] {
            assert_eq!(read(max_kept), all, "{max_kept}");
        }
    }
}
