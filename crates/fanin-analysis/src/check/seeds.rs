//! Searches torch's random streams for the values of a tensor. Only the streams of common seeds are searched.
//!
//! torch computes the first 128 values of a tensor from 128 random words. The values give one bit of each word: bit 23,
//! the highest bit that torch uses for an f32 value.
//! - Uniform distribution: the bit is 1 if the value is above the middle of the distribution.
//! - Normal distribution: torch computes two values from two words by the Box-Muller transform. The bit of the first
//!   word is 1 if the radius of the pair is above its median. The bit of the second word is 1 if the angle is above pi.
//!
//! These bits are compared with every position of each stream. Few bits differ early in training, because values have
//! changed by far less than one standard deviation. The probability of a match by chance is below 10^-9.
//!
//! If the bits match at a position, torch's values are drawn again from this position and compared with the tensor. The
//! comparison shows whether the tensor was changed, and by how much.

use std::f64::consts::LN_2;

use fanin::{DType, Stream as _, TensorMut, Torch, init};
use fanin_checkpoint::Checkpoint;
use rayon::prelude::*;

use super::distribution::Univariate;
use super::tensor_view::TensorView;
use crate::error::Result;

/// The torch seeds whose streams are searched. The most common seeds come first.
const SEEDS: [u64; 10] = [0, 42, 1, 1234, 1337, 123, 2, 3, 12345, 2024];

/// The number of random words of the stream that are compared with a tensor. One bit of each word is compared.
const BITS: usize = 128;

/// The largest number of known bits that may differ from the stream. Training may have changed these bits.
const MAX_ERRORS: u32 = 6;

/// The smallest number of known bits in the [`Pattern`] of a tensor. If fewer of the `BITS` bits are known, the streams
/// are not searched for the tensor's values. A bit is unknown if a small change of the values could flip it.
const MIN_BITS: u32 = 90;

/// The largest number of random words that are searched in each stream. The search for the tensors of a checkpoint of n
/// values covers 4 n random words, or 65,536 words if 4 n is smaller. If 4 n is larger than `MAX_WORDS`, [`find`]
/// searches for none of the tensors.
const MAX_WORDS: usize = 1 << 22;

/// The number of tensors from which [`find`] determines the seed. The stream of each seed in `SEEDS` is searched for
/// the first `FIRST` tensors that have a [`Pattern`]. The first stream that contains one of these tensors is then
/// searched for all tensors.
const FIRST: usize = 2;

/// After a tensor was found in a stream, at most this many of its values are compared with torch's values.
const MAX_COMPARED: usize = 1 << 16;

/// A tensor whose values torch may have drawn. The values may have been changed since then.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate {
    /// The index of the tensor in the manifest.
    pub(crate) tensor: usize,
    /// The distribution of the values.
    pub(crate) distribution: Univariate,
    /// The largest relative rounding error of a value.
    pub(crate) rounding: f64,
}

/// The position in torch's stream at which the values of a tensor were found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct TorchDraw {
    /// The seed.
    pub(crate) seed: u64,
    /// The number of random words that torch draws before the words of the first value.
    pub(crate) word: usize,
    /// How the values of the tensor differ from torch's values.
    pub(crate) change: Change,
}

/// A summary of the differences `x - factor * y`. Here x is a value of a tensor, y is torch's value, and `factor` is
/// the same for all values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Change {
    /// The fraction of the tensor's values x that differ from `factor * y` by more than rounding. Here y is torch's
    /// value, and `factor` is the same for all values.
    pub(crate) fraction: f64,
    /// The relative difference `rms(x - factor * y) / rms(factor * y)`. rms is the root mean square, x is a value of
    /// the tensor, y is torch's value, and `factor` is the same for all values.
    pub(crate) size: f64,
}

/// Bit 23 of each of the 128 random words from which torch computes a tensor's first values. The bits are inferred from
/// the values. Bit n of the field `bits` is from word n. This bit is known only if bit n of the field `known` is 1.
#[derive(Debug, Clone, Copy)]
struct Pattern {
    bits: u128,
    known: u128,
}

/// Searches torch's streams for the values of the candidates. Returns one element for each candidate: the position of
/// its values, or `None`. The argument `values` is the number of values of the checkpoint.
///
/// The stream of each seed in `SEEDS` is searched for the first `FIRST` candidates that have a [`Pattern`]. The first
/// stream that contains one of these candidates is then searched for all candidates.
///
/// # Errors
/// Returns an error if the file cannot be read.
pub(crate) fn find(
    checkpoint: &Checkpoint,
    candidates: &[Candidate],
    values: usize,
) -> Result<Vec<Option<TorchDraw>>> {
    let mut found = vec![None; candidates.len()];
    if 4 * values > MAX_WORDS {
        return Ok(found);
    }
    let mut patterns: Vec<(usize, Pattern)> = Vec::new();
    for (n, candidate) in candidates.iter().enumerate() {
        let first = TensorView::whole(checkpoint, candidate.tensor).first_values(BITS)?;
        patterns.extend(Pattern::new(&first, &candidate.distribution).map(|pattern| (n, pattern)));
    }
    if patterns.is_empty() {
        return Ok(found);
    }
    // Many models draw their parameters twice: when a module is created, and in their own initialization afterwards.
    // The search therefore covers more words than the checkpoint has values.
    let words = (4 * values).max(1 << 16);
    let tried = &patterns[..patterns.len().min(FIRST)];
    let stream_with_one = |&seed: &u64| {
        let stream = HighestBits::new(seed, words);
        let occurs = tried.iter().any(|(_, pattern)| stream.position(pattern).is_some());
        occurs.then_some((seed, stream))
    };
    let Some((seed, stream)) = SEEDS.par_iter().find_map_first(stream_with_one) else { return Ok(found) };
    for (n, pattern) in patterns {
        if let Some(word) = stream.position(&pattern) {
            let values = TensorView::whole(checkpoint, candidates[n].tensor).first_values(MAX_COMPARED)?;
            let change = change(&values, seed, word, &candidates[n]);
            found[n] = change.map(|change| TorchDraw { seed, word, change });
        }
    }
    Ok(found)
}

impl Pattern {
    /// Infers the pattern from `values`, the first `BITS` values of a tensor. The pattern consists of bit 23 of each
    /// random word from which torch computes these values. A bit is known only if no small change of the values flips
    /// it. Returns `None` if there are fewer than `BITS` values, or fewer than `MIN_BITS` known bits.
    fn new(values: &[f64], distribution: &Univariate) -> Option<Self> {
        if values.len() < BITS {
            return None;
        }
        let (mut bits, mut known) = (0u128, 0u128);
        // Training may have moved a value across the middle of the distribution. A bit is therefore unknown if its
        // value is within this distance of the middle. The unit is the upper bound (uniform) or the standard deviation
        // (normal).
        const MARGIN: f64 = 0.1;
        let mut set = |word: usize, x: f64, margin: f64| {
            bits |= u128::from(x >= 0.0) << word;
            known |= u128::from(x.abs() > margin) << word;
        };
        match *distribution {
            Univariate::Uniform { high, .. } => {
                values.iter().enumerate().for_each(|(word, x)| set(word, *x, MARGIN * high));
            }
            Univariate::Normal { std, .. } => {
                for (number, group) in values.chunks_exact(Torch::GROUP).enumerate() {
                    for k in 0..Torch::GROUP / 2 {
                        let (x, y) = (group[k] / std, group[k + Torch::GROUP / 2] / std);
                        let word = number * Torch::GROUP + k;
                        // The Box-Muller transform computes the radius from the first word, and the angle (0 to 2 pi)
                        // from the second. The median of the squared radius is 2 ln 2.
                        set(word, x * x + y * y - 2.0 * LN_2, 3.0 * MARGIN);
                        set(word + Torch::GROUP / 2, -y, MARGIN);
                    }
                }
            }
        }
        (known.count_ones() >= MIN_BITS).then_some(Self { bits, known })
    }
}

/// For each word of torch's stream, the highest of the 24 bits from which torch computes an f32 value.
struct HighestBits {
    bits: Vec<u64>,
}

impl HighestBits {
    fn new(seed: u64, words: usize) -> Self {
        let mut torch = Torch::new(seed);
        // torch computes an f32 from the low 24 bits of a word.
        let word = |bits: u64, n: usize, torch: &mut Torch| bits | u64::from(torch.word() >> 23 & 1) << n;
        let bits = (0..words / 64).map(|_| (0..64).fold(0, |bits, n| word(bits, n, &mut torch))).collect();
        Self { bits }
    }

    /// Returns the first position at which at most `MAX_ERRORS` known bits of `pattern` differ from the stream.
    fn position(&self, pattern: &Pattern) -> Option<usize> {
        let half = |n: u32| ((pattern.bits >> (64 * n)) as u64, (pattern.known >> (64 * n)) as u64);
        let ((bits, known), (next_bits, next_known)) = (half(0), half(1));
        let agrees = |words: &[u64], shift: u32| {
            let at = |n: usize| match shift {
                0 => words[n],
                _ => words[n] >> shift | words[n + 1] << (64 - shift),
            };
            let errors = ((at(0) ^ bits) & known).count_ones();
            errors <= MAX_ERRORS && errors + ((at(1) ^ next_bits) & next_known).count_ones() <= MAX_ERRORS
        };
        let found = |(n, words): (usize, &[u64])| {
            (0..64).find(|shift| agrees(words, *shift)).map(|shift| n * 64 + shift as usize)
        };
        self.bits.windows(3).enumerate().find_map(found)
    }
}

/// Compares `values` with the values that torch draws with `seed` after skipping the first `word` random words. Returns
/// `None` if the difference is so large that the [`Pattern`] matched only by chance.
///
/// Zeros are ignored, because the row of a padding token is zero. Values near the bounds of a uniform distribution are
/// ignored too: if a value is rounded to the upper bound, torch returns the lower bound instead.
fn change(values: &[f64], seed: u64, word: usize, candidate: &Candidate) -> Option<Change> {
    // torch draws the last `GROUP` values again if the number of values is not a multiple of `GROUP`. These values are
    // ignored.
    let count = (values.len() / Torch::GROUP).checked_sub(1)? * Torch::GROUP;
    let shape = [count];
    let (plan, limit) = match candidate.distribution {
        Univariate::Uniform { .. } => (init::uniform(-1.0, 1.0).resolve(&shape, DType::F32), 0.98),
        Univariate::Normal { .. } => (init::normal(0.0, 1.0).resolve(&shape, DType::F32), f64::INFINITY),
    };
    let mut drawn = vec![0f32; count];
    let mut torch = Torch::new(seed);
    torch.advance(word as u64);
    torch.fill(&plan.ok()?, TensorMut::contiguous(&mut drawn, &shape).ok()?).ok()?;
    let drawn = drawn.into_iter().map(f64::from);
    let is_compared = |(x, y): &(f64, f64)| *x != 0.0 && *y != 0.0 && y.abs() < limit;
    let pairs: Vec<(f64, f64)> = values.iter().copied().zip(drawn).filter(is_compared).collect();
    // The ratio of a value to torch's value is the same for most values. The median of the ratios is this common ratio,
    // even if some values were drawn again.
    let mut ratios: Vec<f64> = pairs.iter().map(|(x, y)| x / y).collect();
    ratios.sort_unstable_by(f64::total_cmp);
    let factor = *ratios.get(ratios.len() / 2)?;
    let changed =
        ratios.iter().filter(|ratio| (*ratio / factor - 1.0).abs() > 3.0 * candidate.rounding).count();
    let squares =
        |term: &dyn Fn(&(f64, f64)) -> f64| pairs.iter().map(|pair| term(pair).powi(2)).sum::<f64>();
    let size = (squares(&|(x, y)| x - factor * y) / squares(&|(_, y)| factor * y)).sqrt();
    (size < 0.7).then_some(Change { fraction: changed as f64 / ratios.len() as f64, size })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(seed: u64, word: u64, count: usize, distribution: &Univariate) -> Vec<f64> {
        let plan = match *distribution {
            Univariate::Uniform { low, high } => init::uniform(low, high).resolve(&[count], DType::F32),
            Univariate::Normal { std, .. } => init::normal(0.0, std).resolve(&[count], DType::F32),
        };
        let mut values = vec![0f32; count];
        let mut torch = Torch::new(seed);
        torch.advance(word);
        torch.fill(&plan.unwrap(), TensorMut::contiguous(&mut values, &[count]).unwrap()).unwrap();
        values.into_iter().map(f64::from).collect()
    }

    #[test]
    fn changed_values_are_found_in_the_stream_of_their_seed_and_nowhere_else() {
        for distribution in [Univariate::normal(0.0, 0.02), Univariate::Uniform { low: -0.3, high: 0.3 }] {
            for change_of_std in [0.0, 1e-3, 0.05, 0.15] {
                let values = drawn(42, 12_345, 4096, &distribution);
                let noise = drawn(7, 0, 4096, &distribution);
                let changed: Vec<f64> =
                    values.iter().zip(noise).map(|(x, y)| x + change_of_std * y).collect();
                let pattern = Pattern::new(&changed[..BITS], &distribution).unwrap();
                let word = HighestBits::new(42, 1 << 16).position(&pattern);
                assert_eq!(word, Some(12_345), "{distribution:?} {change_of_std}");
                let candidate = Candidate { tensor: 0, distribution, rounding: 1e-6 };
                let Change { fraction, size } = change(&changed, 42, 12_345, &candidate).unwrap();
                assert!((size - change_of_std).abs() <= 0.1 * change_of_std + 1e-6, "{size} {change_of_std}");
                assert_eq!(fraction > 0.9, change_of_std > 0.0, "{fraction} {change_of_std}");
                assert_eq!(fraction < 0.01, change_of_std == 0.0, "{fraction} {change_of_std}");
                assert_eq!(HighestBits::new(43, 1 << 16).position(&pattern), None);
            }
        }
    }
}
