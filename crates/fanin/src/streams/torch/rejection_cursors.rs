//! `RejectionCursors`, which provides the state readers of rejection sampling. In each pass after the first,
//! [`StateReader`]s read the random words from which the rejected elements are drawn again.

use crate::rng::StateReader;

/// The state readers of one rejection pass: one state reader for each sequence of words in the pass.
type StateReaders = Vec<StateReader>;

/// The largest number of passes whose state readers are stored (see [`RejectionCursors`]). The state readers that are
/// stored for one partition take at most about 20 megabytes.
pub(super) const KEPT: usize = 1 << 12;

/// The state readers of all rejection passes except the first pass.
///
/// The values are processed block by block. All passes over one block are made before the next block begins. Each pass
/// has its own random words. Among the words of pass n, the words of the next block come after the words of the current
/// block. The state readers of the passes 2 to `max_kept + 1` are therefore stored until the next block. To limit the
/// memory, the passes from `max_kept + 2` on share one set of state readers. This set is created again for each block,
/// and skips the words of the previous blocks.
pub(super) struct RejectionCursors<S> {
    /// A function that creates the [`StateReader`]s of the second rejection pass, one for each sequence of words.
    start: S,
    /// The number of words that torch draws in one pass over the whole tensor.
    words: u64,
    /// The upper limit of the length of `kept`.
    max_kept: usize,
    /// The state readers that are stored until the next block. `kept[n]` has the state readers of pass `n + 2`. The
    /// first pass needs no state readers.
    kept: Vec<StateReaders>,
    /// The state readers of the current pass over the current block, unless they are in `kept`.
    current: Option<StateReaders>,
    /// The state readers of the last pass over the block that needed the most passes. Only blocks before the current
    /// block count. `None` if these state readers are in `kept`, or if no block needed a second pass.
    farthest: Option<StateReaders>,
    /// The number of passes over the current block that have begun, not counting the first pass.
    pass: usize,
    /// The largest number of passes that was needed in any block before the current block. The first pass over each
    /// block is not counted.
    max_passes: usize,
}

impl<S: Fn() -> StateReaders> RejectionCursors<S> {
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

    /// Ends the current block of values, if there is one, and begins the next block.
    pub(super) fn begin_block(&mut self) {
        let current = self.current.take();
        if self.pass > self.max_passes {
            self.max_passes = self.pass;
            self.farthest = current;
        }
        self.pass = 0;
    }

    /// Begins the next pass over the current block, and returns the state readers of the pass. The caller makes the
    /// first pass without state readers. The first call for a block therefore begins the second pass.
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

    /// Ends the current block, which must be the last block of the partition. Returns the largest number of passes that
    /// any block of the partition needed, not counting the first pass. Also returns the state readers of the last of
    /// these passes, or `None` if no block needed a second pass.
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
    fn state_readers_that_are_not_stored_read_the_same_words() {
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
