//! `StateReader`, which reads words of an MT19937 sequence at ascending, possibly distant positions.

use super::mt19937::{Mt19937, SIZE, temper_all};
use crate::simd::{Kernel, Level, SimdIsa, dispatch};

/// The reader stores this many words from before the current state, for reads that span two states.
const HISTORY: usize = 32;

/// A reader of the words of an MT19937 sequence. Word 0 is the next word of the engine that is passed to
/// [`StateReader::new`].
///
/// The word numbers of successive reads must ascend, except for small steps back (see [`StateReader::read`]). The
/// reader skips the states between two reads, so that a read of distant words is cheap.
#[derive(Debug, Clone)]
pub(crate) struct StateReader {
    /// The engine that stores the current state. The counters `next` and `left` of the engine are not used.
    engine: Mt19937,
    level: Level,
    /// The number of the first word of the current state. This number is negative if the state begins before word 0.
    base: i64,
    /// The last [`HISTORY`] words before the current state, untempered. They are not valid in the reader's first state.
    history: [u32; HISTORY],
}

impl StateReader {
    /// Creates a reader. The next word of `engine` gets number 0.
    pub(crate) fn new(engine: Mt19937, level: Level) -> Self {
        let base = -(engine.position() as i64);
        Self { engine, level, base, history: [0; HISTORY] }
    }

    /// Returns the reader with renumbered words. The argument `words` is subtracted from the number of each word.
    pub(crate) fn renumbered_from(mut self, words: u64) -> Self {
        self.base -= words as i64;
        self
    }

    /// Reads the word with the number `first[k] + distances[n]` into `out[n * first.len() + k]`, for all `k` and `n`.
    ///
    /// `N` is the number of distances. `first` and `distances` must be ascending, and `distances[N - 1] - distances[0]`
    /// must be less than [`HISTORY`]. A read may go back, but by less than [`HISTORY`] words: each of its word numbers
    /// must be greater than `highest - HISTORY`, where `highest` is the highest word number of all earlier reads.
    ///
    /// # Panics
    /// Panics if the length of `out` is not `N * first.len()`.
    pub(crate) fn read<const N: usize>(&mut self, first: &[u64], distances: [u32; N], out: &mut [u32]) {
        dispatch(self.level, Read { reader: self, first, distances, out });
    }

    /// Advances to the state that contains word `self.base + index + distance`. The word must be in a later state.
    #[inline(always)]
    fn advance_to<I: SimdIsa>(&mut self, index: i64, distance: i64) {
        let states = (index + distance) / SIZE as i64;
        if states > 1 {
            self.engine.advance_states(self.level, states as u64 - 1);
        }
        self.history = *self.engine.state.last_chunk().expect("a state is longer than the history");
        self.engine.advance_state::<I>();
        self.base += states * SIZE as i64;
    }

    /// Returns an engine whose next output is word `word`. This word must not be before the current state.
    pub(crate) fn into_engine(mut self, word: u64) -> Mt19937 {
        self.engine.begin_state();
        self.engine.advance_at(self.level, (word as i64 - self.base) as u64);
        self.engine
    }
}

/// The kernel of [`StateReader::read`].
struct Read<'a, const N: usize> {
    reader: &'a mut StateReader,
    first: &'a [u64],
    distances: [u32; N],
    out: &'a mut [u32],
}

impl<const N: usize> Kernel for Read<'_, N> {
    type Output = ();

    #[inline(always)]
    fn run<I: SimdIsa>(self) {
        let Self { reader, first, distances, out } = self;
        let last = distances.map(i64::from)[N - 1];
        let count = first.len();
        assert_eq!(out.len(), N * count);
        let mut done = 0;
        while done < count {
            let index = first[done] as i64 - reader.base;
            if index + last >= SIZE as i64 {
                reader.advance_to::<I>(index, last);
            }
            // These reads begin in `history`, before the current state.
            while done < count && (first[done] as i64) < reader.base {
                let index = first[done] as i64 - reader.base;
                for number in 0..N {
                    let index = index + i64::from(distances[number]);
                    out[number * count + done] = match usize::try_from(index) {
                        Ok(index) => reader.engine.state[index],
                        Err(_) => reader.history[(index + HISTORY as i64) as usize],
                    };
                }
                done += 1;
            }
            // These reads are entirely in the current state.
            let state = &reader.engine.state.0;
            let base = reader.base as u64;
            for &first in &first[done..] {
                let index = first.wrapping_sub(base);
                if index >= SIZE as u64 - last as u64 {
                    break;
                }
                let index = index as usize;
                for number in 0..N {
                    out[number * count + done] = state[index + distances[number] as usize];
                }
                done += 1;
            }
        }
        temper_all(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_returns_the_words_that_the_engine_generates() {
        let distances = [0, 3, 31];
        for &level in Level::available() {
            for before in [0, 1, 623, 624, 700] {
                let mut engine = Mt19937::new(7);
                engine.advance(before);
                let mut words = vec![0; 20_000];
                engine.clone().words_at(level, &mut words);
                let first: Vec<u64> =
                    (0..4000u64).map(|k| k + k / 7 * (k % 3)).filter(|k| k % 16 != 5).collect();
                let first: Vec<u64> = first.into_iter().map(|k| k / 2 + k / 2 / 600 * 900).collect();
                let mut sorted = first.clone();
                sorted.sort_unstable();
                let mut reader = StateReader::new(engine.clone(), level).renumbered_from(10);
                for first in sorted.chunks(100) {
                    let mut found = vec![0; 3 * first.len()];
                    reader.read(first, distances, &mut found);
                    for (found, distance) in found.chunks(first.len()).zip(distances) {
                        let expected = first.iter().map(|&k| words[10 + k as usize + distance as usize]);
                        assert!(found.iter().copied().eq(expected), "{level:?} {before} {distance}");
                    }
                }
                let end = sorted.last().unwrap() + 100;
                engine.advance(10 + end);
                assert_eq!(reader.into_engine(end), engine);
            }
        }
    }
}
