//! Single words of the twister's sequence, for whoever wants few of them.

use super::mt19937::{Mt19937, SIZE};
use crate::simd::{Isa, Kernel, Level, dispatch};

/// Words that are kept of the state before: so far back a reader may reach.
const BEFORE: usize = 32;

/// An engine that walks through a sequence and tells the words it is asked for.
#[derive(Debug, Clone)]
pub(crate) struct StateReader {
    engine: Mt19937,
    level: Level,
    /// The number of the state's first word; the engine's counters mean nothing here.
    base: i64,
    /// The words before that one.
    before: [u32; BEFORE],
}

impl StateReader {
    /// From this engine's next word on, which has the number 0.
    pub(crate) fn new(engine: Mt19937, level: Level) -> Self {
        let base = -(engine.position() as i64);
        Self { engine, level, base, before: [0; BEFORE] }
    }

    /// The same walker, counting from `words` later on.
    pub(crate) fn later(mut self, words: u64) -> Self {
        self.base -= words as i64;
        self
    }

    /// For each of `first`, which ascend, the words at these distances from it, which ascend and span less than
    /// [`BEFORE`]: those at the first distance, then those at the second, and so on. The farthest word asked for so far may
    /// be at most so much farther.
    pub(crate) fn take<const N: usize>(&mut self, first: &[u64], distances: [u32; N], out: &mut [u32]) {
        dispatch(self.level, Take { walker: self, first, distances, out });
    }

    /// Goes on until the state holds the word so far from the one at this place.
    #[inline(always)]
    fn reach<I: Isa>(&mut self, place: i64, distance: i64) {
        let states = (place + distance) / SIZE as i64;
        if states > 1 {
            self.engine.advance_states(self.level, states as u64 - 1);
        }
        self.before = *self.engine.state.last_chunk().expect("a state is longer");
        self.engine.advance_state::<I>();
        self.base += states * SIZE as i64;
    }

    /// The engine, about to draw this word, which is none before the last that was asked for.
    pub(crate) fn into_engine(mut self, word: u64) -> Mt19937 {
        self.engine.begin_state();
        self.engine.advance_at(self.level, (word as i64 - self.base) as u64);
        self.engine
    }
}

struct Take<'a, const N: usize> {
    walker: &'a mut StateReader,
    first: &'a [u64],
    distances: [u32; N],
    out: &'a mut [u32],
}

impl<const N: usize> Kernel for Take<'_, N> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self) {
        let Self { walker, first, distances, out } = self;
        let last = distances.map(i64::from)[N - 1];
        let count = first.len();
        assert_eq!(out.len(), N * count);
        let mut done = 0;
        while done < count {
            let place = first[done] as i64 - walker.base;
            if place + last >= SIZE as i64 {
                walker.reach::<I>(place, last);
            }
            // Those that begin in the state before.
            while done < count && (first[done] as i64) < walker.base {
                let place = first[done] as i64 - walker.base;
                for number in 0..N {
                    let at = place + i64::from(distances[number]);
                    out[number * count + done] = match usize::try_from(at) {
                        Ok(at) => walker.engine.state[at],
                        Err(_) => walker.before[(at + BEFORE as i64) as usize],
                    };
                }
                done += 1;
            }
            // Those that are whole in this one.
            let state = &walker.engine.state.0;
            let base = walker.base as u64;
            for &first in &first[done..] {
                let place = first.wrapping_sub(base);
                if place >= SIZE as u64 - last as u64 {
                    break;
                }
                let place = place as usize;
                for number in 0..N {
                    out[number * count + done] = state[place + distances[number] as usize];
                }
                done += 1;
            }
        }
        Mt19937::temper_all(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_walk_are_those_of_the_sequence() {
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
                let mut walker = StateReader::new(engine.clone(), level).later(10);
                for first in sorted.chunks(100) {
                    let mut taken = vec![0; 3 * first.len()];
                    walker.take(first, distances, &mut taken);
                    for (taken, distance) in taken.chunks(first.len()).zip(distances) {
                        let expected = first.iter().map(|&k| words[10 + k as usize + distance as usize]);
                        assert!(taken.iter().copied().eq(expected), "{level:?} {before} {distance}");
                    }
                }
                let end = sorted.last().unwrap() + 100;
                engine.advance(10 + end);
                assert_eq!(walker.into_engine(end), engine);
            }
        }
    }
}
