//! Truncated normal variates in f32, computed by the quantile function.

use super::super::transform::{GROUP_32, Transform32, clamp};
use super::inverse64::Central;
use crate::math::{TWO_32, body_factor, quantile_factor, tail_to_minus_w};
use crate::rng::GroupWords;
use crate::simd::{SimdBits, SimdF32, SimdFloat, SimdIsa};

/// A truncated normal distribution in f32. Each value is the quantile of the untruncated normal at a probability `p`.
/// Each `p` is computed from one random 32-bit word. `TAIL` is true if some values are too far from the mean for
/// [`body_factor`].
///
/// A random word gives a value x with two tail probabilities: `p = P(X < x)` and `1 - p = P(X > x)`, where X is a
/// variate of the untruncated normal. The computation uses the smaller tail probability, which has full relative
/// precision even near 0.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quantile32<const TAIL: bool> {
    mean: f32,
    std: f32,
    smaller: SmallerTail,
    /// The probability of the interval, divided by 2^32, the number of different words.
    word_mass: f32,
    /// The constant term of `2 * p - 1 = (word + 1/2) * scale + middle` (see [`Quantile32`]). `word` is read as a
    /// signed integer.
    middle: f32,
    /// The increase of `2 * p - 1` if the word, read as a signed integer, increases by 1.
    scale: f32,
    least: f32,
    greatest: f32,
}

/// The lower or the upper end of the interval to which the normal distribution is truncated.
///
/// The position of a random word is its rank among all 2^32 possible words, counted from this end. The word with the
/// value nearest to this end has the position 0, the next word has the position 1, and so on. Words are read as signed
/// integers: a larger word gives a larger value.
#[derive(Debug, Clone, Copy)]
struct End {
    /// The position of a random word among all 2^32 possible words, counted from this end, is `word xor flip`.
    flip: u32,
    /// The probability beyond this end.
    tail: f32,
}

impl End {
    /// Returns `P(X < x)` if `self` is the lower end of the interval, and `P(X > x)` if `self` is the upper end (see
    /// [`Quantile32`]). Here x is the value of the random word. A word with a larger position, counted from the end
    /// `self` (see [`End`]), never gives a smaller probability.
    #[inline(always)]
    fn tail_at<F: SimdF32>(self, word: F::Bits, word_mass: f32) -> F {
        let position = word.xor(F::Bits::splat(self.flip)).convert_unsigned();
        position.add(F::splat(0.5)).mul_add(F::splat(word_mass), F::splat(self.tail))
    }
}

/// The method that computes the smaller of the tail probabilities `p = P(X < x)` and `1 - p = P(X > x)`. Here x is the
/// value that is computed from a random 32-bit word (see [`Quantile32`]).
#[derive(Debug, Clone, Copy)]
enum SmallerTail {
    /// Computes only the tail probability at the nearer end of the interval: the end for which the random word has the
    /// smaller position (see [`End`]). Used if the probabilities beyond the two ends are equal.
    Nearer(NearerEnd),
    /// Computes only the tail probability at this end. Used if this tail probability is the smaller one for every
    /// random word.
    Always(End),
    /// Computes both tail probabilities and takes their minimum. Used if neither `Nearer` nor `Always` applies.
    Either([End; 2]),
}

impl SmallerTail {
    fn new(ends: [End; 2], word_mass: f32) -> Self {
        let [below, above] = ends;
        // Compares the two tail probabilities of the random word that is farthest from the end `one`. For this word,
        // the tail probability at `one` is largest, and the tail probability at `other` is smallest.
        let never_larger = |one: End, other: End| {
            one.tail_at::<f32>(!one.flip, word_mass) <= other.tail_at::<f32>(!one.flip, word_mass)
        };
        if below.tail == above.tail {
            SmallerTail::Nearer(NearerEnd { tail: below.tail })
        } else if never_larger(below, above) {
            SmallerTail::Always(below)
        } else if never_larger(above, below) {
            SmallerTail::Always(above)
        } else {
            SmallerTail::Either(ends)
        }
    }
}

/// A method that computes the smaller of the tail probabilities `p` and `1 - p` for a random word (see [`Quantile32`]).
trait FindSmallerTail {
    /// Returns the smaller of `p` and `1 - p` (see [`Quantile32`]) for each random word in the SIMD vector `word`. The
    /// argument `word_mass` is the field of this name in [`Quantile32`]. Implementations are `#[inline(always)]`.
    fn smaller_tail<F: SimdF32>(&self, word: F::Bits, word_mass: f32) -> F;
}

/// Computes the smaller of the tail probabilities `p` and `1 - p` as described for [`SmallerTail::Nearer`].
#[derive(Debug, Clone, Copy)]
struct NearerEnd {
    /// The probability below the lower end, which is also the probability above the upper end.
    tail: f32,
}

impl FindSmallerTail for NearerEnd {
    #[inline(always)]
    fn smaller_tail<F: SimdF32>(&self, word: F::Bits, word_mass: f32) -> F {
        // Random words with values in the lower half of the interval are negative as signed integers. The position
        // counted from the nearer end is less than 2^31, so it can be converted as a signed integer.
        let flips = [F::Bits::splat(1 << 31).bitcast(), F::Bits::splat(!(1 << 31)).bitcast()];
        let position = word.xor(word.select_by_sign(flips[0], flips[1]).to_bits()).convert_signed();
        position.add(F::splat(0.5)).mul_add(F::splat(word_mass), F::splat(self.tail))
    }
}

impl FindSmallerTail for End {
    #[inline(always)]
    fn smaller_tail<F: SimdF32>(&self, word: F::Bits, word_mass: f32) -> F {
        self.tail_at(word, word_mass)
    }
}

impl FindSmallerTail for [End; 2] {
    #[inline(always)]
    fn smaller_tail<F: SimdF32>(&self, word: F::Bits, word_mass: f32) -> F {
        let [below, above] = self;
        below.tail_at::<F>(word, word_mass).min(above.tail_at(word, word_mass))
    }
}

impl<const TAIL: bool> Quantile32<TAIL> {
    /// Converts the parameters of `central` to f32.
    pub(super) fn new(central: &Central) -> Self {
        let &Central { mean, std, below, above, mass, least, greatest } = central;
        let ends = [End { flip: 1 << 31, tail: below as f32 }, End { flip: !(1 << 31), tail: above as f32 }];
        let word_mass = (mass / TWO_32) as f32;
        Self {
            mean: mean as f32,
            std: std as f32,
            smaller: SmallerTail::new(ends, word_mass),
            word_mass,
            middle: (below - above) as f32,
            scale: (2.0 * mass / TWO_32) as f32,
            least: least as f32,
            greatest: greatest as f32,
        }
    }

    /// Writes the values for a group of random words to `out`. The argument `method` computes the smaller of the tail
    /// probabilities `p` and `1 - p` for each word (see [`Quantile32`]).
    #[inline(always)]
    fn values<I: SimdIsa>(
        &self,
        method: impl FindSmallerTail,
        words: &GroupWords,
        out: &mut [f32; GROUP_32],
    ) {
        let words = words.as_flattened();
        let splat = I::F32Wide::splat;
        for at in (0..GROUP_32).step_by(I::F32Wide::LANES) {
            let word: <I::F32Wide as SimdFloat>::Bits = SimdBits::load(&words[at..]);
            let minus_w = tail_to_minus_w(method.smaller_tail::<I::F32Wide>(word, self.word_mass));
            let x = word.convert_signed().add(splat(0.5)).mul_add(splat(self.scale), splat(self.middle));
            let z = x.mul(if TAIL { quantile_factor(minus_w) } else { body_factor(minus_w) });
            let value = z.mul_add(splat(self.std), splat(self.mean));
            clamp(value, splat(self.least), splat(self.greatest)).store(&mut out[at..]);
        }
    }
}

impl<const TAIL: bool> Transform32 for Quantile32<TAIL> {
    #[inline(always)]
    fn apply<I: SimdIsa>(&self, words: &GroupWords, out: &mut [f32; GROUP_32]) {
        match self.smaller {
            SmallerTail::Nearer(end) => self.values::<I>(end, words, out),
            SmallerTail::Always(end) => self.values::<I>(end, words, out),
            SmallerTail::Either(ends) => self.values::<I>(ends, words, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_finds_the_smaller_tail() {
        for (below, above, method) in [
            (0.02, 0.02, "nearer"),
            (0.5, 0.5, "nearer"),
            (0.9772, 0.0013, "always"),
            (0.0013, 0.9772, "always"),
            (0.0, 0.5, "always"),
            (0.02, 0.3, "either"),
            (0.3, 0.0, "either"),
        ] {
            let word_mass = ((1.0 - below - above) / TWO_32) as f32;
            let ends =
                [End { flip: 1 << 31, tail: below as f32 }, End { flip: !(1 << 31), tail: above as f32 }];
            let smaller = SmallerTail::new(ends, word_mass);
            let edges = [0, 1, 1 << 30, (1 << 31) - 1, 1 << 31, (1 << 31) + 1, 3 << 30, u32::MAX];
            for word in edges.into_iter().chain((0..100_000u32).map(|k| k.wrapping_mul(2_654_435_769))) {
                let (found, found_rule) = match smaller {
                    SmallerTail::Nearer(end) => (end.smaller_tail::<f32>(word, word_mass), "nearer"),
                    SmallerTail::Always(end) => (end.smaller_tail(word, word_mass), "always"),
                    SmallerTail::Either(ends) => (ends.smaller_tail(word, word_mass), "either"),
                };
                let [one, other] = ends.map(|end| end.tail_at::<f32>(word, word_mass));
                assert_eq!(
                    (found.to_bits(), found_rule),
                    (one.min(other).to_bits(), method),
                    "{below} {above} {word}"
                );
            }
        }
    }
}
