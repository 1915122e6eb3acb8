//! Searches torch's streams of random numbers for the values of a tensor. Only the streams of the most common seeds are
//! searched.
//!
//! Early in training, the values of a tensor differ from the values that torch drew by far less than one standard
//! deviation. Most values are still in the same half of the distribution. This half is given by the highest bit of the
//! random word from which torch computed the value. (torch computes two normal values from two words. The bits of these
//! words give the halves in which the radius and the angle of the pair are.) The bits of the first 128 values are
//! therefore compared with every position of the stream of each seed. The probability that they agree with any position
//! by chance is below 10^-9.
//!
//! If the bits agree with a position, torch's values are drawn again from this position. The difference from the values
//! of the tensor shows whether the tensor was changed, and by how much.

use std::f64::consts::LN_2;

use fanin::{DType, Stream as _, TensorMut, Torch, init};
use fanin_checkpoint::Checkpoint;
use rayon::prelude::*;

use super::distribution::Univariate;
use super::tensor_view::TensorView;
use crate::error::Result;

/// The seeds under which the values of a tensor are looked for in torch's stream. The most common seeds come first.
const SEEDS: [u64; 10] = [0, 42, 1, 1234, 1337, 123, 2, 3, 12345, 2024];

/// The number of values of a tensor that are compared with the stream. One bit of each value is compared. The bit says
/// whether the value is above or below the middle of the distribution.
const BITS: usize = 128;

/// The largest number of compared bits (one bit for each value, see [`BITS`]) that may differ from the bits of the
/// stream. A bit differs if training moved the value to the other half of the distribution.
const MAX_ERRORS: u32 = 6;

/// A tensor is looked for in the streams only if at least this many of the compared bits are known. The bit of a value
/// near the middle of the distribution is unknown, because training may have moved the value to the other half.
const MIN_BITS: u32 = 90;

/// If a search would need more than this many random words of the stream of each seed, no values are looked for.
const MAX_WORDS: usize = 1 << 22;

/// The number of tensors whose values are looked for in the streams of all seeds. If one of these tensors is found in a
/// stream, the remaining tensors are looked for in that stream only.
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

/// How the values of a tensor differ from torch's values times a factor. The factor is the same for all values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Change {
    /// The fraction of the tensor's values that differ by more than rounding from torch's values times the factor.
    pub(crate) fraction: f64,
    /// The root mean square of `x - factor * y`, divided by the root mean square of `factor * y`, where x is a value of
    /// the tensor and y is torch's value.
    pub(crate) size: f64,
}

/// The highest bits of the first random words from which torch computed a tensor, if torch drew the tensor. The bits
/// are derived from the first values of the tensor. `known` is a mask of the bits that are known.
#[derive(Debug, Clone, Copy)]
struct Pattern {
    bits: u128,
    known: u128,
}

/// Searches the streams of common torch seeds for the values of each candidate. Returns for each candidate where its
/// values were found, or `None`. `values` is the number of values of the checkpoint.
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
    // More words are searched than the checkpoint has values, because modules draw their parameters when they are
    // created, and many models then draw them again.
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
    /// Returns the pattern of the first values of a tensor, or `None` if there are too few values, or if too few bits
    /// are known.
    fn new(values: &[f64], distribution: &Univariate) -> Option<Self> {
        if values.len() < BITS {
            return None;
        }
        let (mut bits, mut known) = (0u128, 0u128);
        // The bit of a value (see `BITS`) is unknown if the value is within this distance from the middle of the
        // distribution, because training may have moved the value to the other half. The unit is the bound of a uniform
        // distribution, or the standard deviation of a normal distribution.
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
                        // In the Box-Muller transform, the first word of a pair gives the radius, and the second the
                        // angle from 0 to 2 pi.
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

    /// Returns the first position at which the stream differs from a pattern in at most `MAX_ERRORS` of the pattern's
    /// known bits. Returns `None` if there is no such position.
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

/// Compares the values of a candidate with the values that torch draws with `seed`, starting at the random word with
/// the index `word`. Returns `None` if the values differ so much that the [`Pattern`] can only have been found
/// by chance.
///
/// Zeros are left out, because the row of a padding token is zero. Values near the bounds of a uniform distribution are
/// left out too: if rounding takes a value to the upper bound, torch replaces it by the lower bound.
fn change(values: &[f64], seed: u64, word: usize, candidate: &Candidate) -> Option<Change> {
    // If the number of values is not a multiple of `GROUP`, torch draws the last `GROUP` values again. These values are
    // left out.
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
