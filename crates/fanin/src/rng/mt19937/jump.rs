//! The jump-ahead algorithm of MT19937: Haramoto, Matsumoto, Nishimura, Panneton, L'Ecuyer 2008, "Efficient jump ahead
//! for F2-linear random number generators".
//!
//! The state at offset `i` begins `i` words after the current state. The generator is linear over the field of two
//! elements. The state at any offset `k` is therefore a sum (an exclusive or) of states at offsets below 19937. Let p
//! be the characteristic polynomial of the recurrence. The sum includes the state at offset `i` if x^i has the
//! coefficient 1 in `x^k mod p`.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use super::polynomial::{DEGREE, Residue};
use super::state::{SIZE, State};
use crate::simd::{Kernel, Level, SimdIsa, dispatch};

/// Returns the state that begins `distance` words after the current state. `distance` must be at least 1.
///
/// `words` are the untempered words of the sequence, from the first word of the current state on. There must be at
/// least [`REACH`] words.
pub(super) fn jump(words: &[u32], distance: u64, level: Level) -> Box<State> {
    // The recurrence uses only the highest bit of `words[0]`, so a sum is not valid for its other bits. The sum begins
    // at `words[1]` instead, and the jump is one word shorter.
    let terms = Terms::of_power(distance - 1, level);
    dispatch(level, Sum { terms: &terms, words: &words[1..] })
}

/// The number of words that [`jump`] reads, counted from the first word of the current state.
pub(super) const REACH: usize = 34 * SIZE;

/// The kinds of terms. The module documentation describes a sum of states. A term combines one to three of these states
/// by exclusive or (XOR). A term at the offset `i` contains the state at the offset `i`. The numbers in the kind, added
/// to `i`, are the offsets of the other states. For example, a term of the kind `[1, 2]` combines the states at the
/// offsets `i`, `i + 1` and `i + 2`. A term of the kind `[]` is only the state at the offset `i`.
const KINDS: [&[usize]; 4] = [&[], &[1], &[2], &[1, 2]];

/// The number of words that [`Sum`] precomputes for each kind of term (see [`KINDS`]). The term at the offset `i`
/// consists of the words `i..i + SIZE`. The largest `i` is `DEGREE - 1`.
const KIND_WORDS: usize = 33 * SIZE;

/// A [`Residue`] as a list of terms (see [`KINDS`]). Each entry is an index into the array `kinds` that [`Sum`]
/// computes. The [`SIZE`] words of the term begin at this index.
struct Terms(Vec<u32>);

impl Terms {
    /// Returns the terms of x^k mod p, and caches them. A fill may jump by the same distance repeatedly, and fills of
    /// the same size jump by the same distances.
    fn of_power(k: u64, level: Level) -> Arc<Self> {
        /// The largest number of powers x^k in the cache.
        const CACHED: usize = 16;
        static CACHE: Mutex<VecDeque<(u64, Arc<Terms>)>> = Mutex::new(VecDeque::new());
        // If another thread has locked the cache, the power is computed again, which takes less than a millisecond.
        if let Ok(cache) = CACHE.try_lock()
            && let Some((_, terms)) = cache.iter().find(|(power, _)| *power == k)
        {
            return Arc::clone(terms);
        }
        let terms = Arc::new(Self::of(&Residue::power(k, level)));
        if let Ok(mut cache) = CACHE.try_lock() {
            cache.truncate(CACHED - 1);
            cache.push_front((k, Arc::clone(&terms)));
        }
        terms
    }

    /// Splits a residue into terms. A term begins at a power of x with the coefficient 1, and includes each of the next
    /// two powers that has the coefficient 1.
    fn of(residue: &Residue) -> Self {
        let mut terms = Vec::with_capacity(DEGREE / 4);
        let mut power = 0;
        while power < DEGREE {
            if residue.has(power) {
                let kind = usize::from(residue.has(power + 1)) + 2 * usize::from(residue.has(power + 2));
                terms.push((KIND_WORDS * kind + power) as u32);
                power += 3;
            } else {
                power += 1;
            }
        }
        Self(terms)
    }
}

/// The kernel that computes the state after the jump, which is the sum (exclusive or) of the terms.
struct Sum<'a> {
    terms: &'a Terms,
    words: &'a [u32],
}

impl Kernel for Sum<'_> {
    type Output = Box<State>;

    #[inline(always)]
    fn run<I: SimdIsa>(self) -> Self::Output {
        // The number of words of the sum that are computed together, chosen so that these words stay in registers.
        const CHUNK: usize = 104;
        const { assert!(SIZE.is_multiple_of(CHUNK) && KIND_WORDS + 2 < REACH && DEGREE + SIZE <= KIND_WORDS) };
        let mut kinds = vec![0; KINDS.len() * KIND_WORDS];
        for (words, offsets) in kinds.chunks_mut(KIND_WORDS).zip(KINDS) {
            words.copy_from_slice(&self.words[..KIND_WORDS]);
            for offset in offsets {
                words.iter_mut().zip(&self.words[*offset..]).for_each(|(sum, word)| *sum ^= word);
            }
        }
        let mut state = Box::new(State([0; SIZE]));
        for (number, to) in state.as_chunks_mut::<CHUNK>().0.iter_mut().enumerate() {
            let mut sum = [0u32; CHUNK];
            for &term in &self.terms.0 {
                let from: &[u32; CHUNK] = kinds[CHUNK * number + term as usize..]
                    .first_chunk()
                    .expect("a term must be inside the precomputed words");
                for k in 0..CHUNK {
                    sum[k] ^= from[k];
                }
            }
            *to = sum;
        }
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cached_terms_equal_computed_terms() {
        let level = Level::best();
        // The test uses more powers than fit in the cache, and uses the first power repeatedly.
        for k in (0..40u64).flat_map(|k| [100_000, 100_000 + k, 1 << k]) {
            assert_eq!(Terms::of_power(k, level).0, Terms::of(&Residue::power(k, level)).0, "{k}");
        }
    }
}
