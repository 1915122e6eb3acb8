//! Splits a fill into partitions, one for each thread.
//!
//! The generator produces its words in sequence, so each thread first skips the words before its partition. Partitions
//! are sized so that all threads finish at the same time. The first partition is the longest, because its thread has no
//! words to skip.

use super::generator::Torch;
use super::wide::Wide;
use super::words::GROUP;
use crate::dtype::Values;
use crate::rng::Mt19937;

/// An estimate of the time to draw values. The unit is the time to skip one word, about 1/8 nanosecond.
///
/// The times were measured on the fastest test machine (docs/dev/performance.md). On a slower machine, the estimates
/// are too low. A fill may then use too few threads, but rarely too many.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    /// The time to compute one value.
    compute: f64,
    /// The number of random words that one value takes from one sequence. If there are two sequences (see the field
    /// `sequences`), a value takes this number of words from each of them.
    words: f64,
    /// The number of separate sequences of random words. Rejection sampling with uniform proposals has two sequences:
    /// one for the proposals, and one for the acceptance test. All other methods have one. In each sequence, a thread
    /// skips the words before its partition.
    sequences: f64,
}

impl Cost {
    /// Returns the cost of uniform values. Most of the time is spent on generating the words.
    pub(super) fn of_uniforms<W: Wide>() -> Self {
        let words = W::WORDS as f64;
        Self { compute: 3.0 * words, words, sequences: 1.0 }
    }

    /// Returns the cost of normal values. f64 values take much longer, because they need the logarithm, sine and cosine
    /// of the C library.
    pub(super) fn of_normals<W: Wide>() -> Self {
        let words = W::WORDS as f64;
        Self { compute: if words > 1.0 { 150.0 } else { 7.0 }, words, sequences: 1.0 }
    }

    /// Returns the cost of truncated normal values that are drawn by rejecting normal proposals.
    ///
    /// torch draws proposals in several passes over the whole tensor, until every value is accepted. In all passes
    /// together, a value takes 1 to 3.3 proposals on average, because torch uses this method only if more than 30 % are
    /// accepted. The field `compute` is the time to compute 2.5 proposals. The field `words` counts only the words of
    /// the first pass. A thread also skips words between two passes. The cost does not include this skipping, because
    /// the number of skipped words does not depend on how the values are split into partitions.
    pub(super) fn of_bounded_normals<W: Wide>() -> Self {
        Self { compute: 2.5 * Self::of_normals::<W>().compute, ..Self::of_normals::<W>() }
    }

    /// Returns the cost of truncated normal values that are drawn by rejecting uniform proposals.
    pub(super) fn of_proposals<W: Wide>() -> Self {
        Self { compute: 160.0, words: W::WORDS as f64, sequences: 2.0 }
    }

    /// Returns the time to skip all random words before a partition. `values` is the number of values before the
    /// partition. The time is constant from [`Mt19937::MIN_JUMP`] words on, because the generator then jumps.
    fn before(&self, values: f64) -> f64 {
        self.sequences * (self.words * values).min(Mt19937::MIN_JUMP as f64)
    }
}

/// The least computing time per thread, in the unit of [`Cost`]: about 65 microseconds. If a fill has less work than
/// this for each thread, it uses fewer threads.
const WORTH_A_THREAD: f64 = (1 << 19) as f64;

impl Torch {
    /// Splits `out` into one partition for each thread that the fill uses. Returns each partition with its first
    /// position in `out`. All lengths except the last are multiples of `GROUP`.
    pub(super) fn partitions<'o>(&self, cost: Cost, out: Values<'o>) -> Vec<(usize, Values<'o>)> {
        let worth = (cost.compute * out.len() as f64 / WORTH_A_THREAD) as usize;
        let lengths = lengths(cost, out.len(), self.threads.count().min(worth.max(1)));
        let (mut begin, mut rest) = (0, out);
        let mut partitions = Vec::with_capacity(lengths.len());
        for length in lengths {
            let (partition, later) = rest.split_at(length);
            partitions.push((begin, partition));
            (begin, rest) = (begin + length, later);
        }
        partitions
    }
}

/// Splits `values` values into at most `threads` partitions that take equally long to compute. Returns the lengths of
/// the partitions. If there are no values, there is one empty partition.
fn lengths(cost: Cost, values: usize, threads: usize) -> Vec<usize> {
    if threads == 1 || values == 0 {
        return vec![values];
    }
    // Returns the lengths of the partitions that the threads finish in `time`, and the sum of these lengths. All
    // lengths except the last are multiples of `GROUP`.
    let within = |time: f64| {
        let (mut begin, mut lengths) = (0, Vec::with_capacity(threads));
        while lengths.len() < threads && begin < values {
            let length = (time - cost.before(begin as f64)) / cost.compute;
            let length = (length.max(0.0) as usize).next_multiple_of(GROUP).min(values - begin);
            lengths.push(length);
            begin += length;
        }
        (lengths, begin)
    };
    let (mut short, mut long) = (0.0, cost.compute * values as f64);
    for _ in 0..30 {
        let middle = (short + long) / 2.0;
        let (_, done) = within(middle);
        if done < values { short = middle } else { long = middle }
    }
    within(long).0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_cover_all_values_and_take_equally_long() {
        for cost in [
            Cost::of_uniforms::<f32>(),
            Cost::of_uniforms::<f64>(),
            Cost::of_normals::<f32>(),
            Cost::of_bounded_normals::<f32>(),
            Cost::of_proposals::<f32>(),
        ] {
            for values in [0, 1, 17, 1000, 1 << 20, (1 << 24) + 5, 1 << 31] {
                assert_eq!(lengths(cost, values, 1), [values]);
                for threads in [2, 3, 64] {
                    let lengths = lengths(cost, values, threads);
                    assert!(lengths.len() <= threads);
                    assert_eq!(lengths.iter().sum::<usize>(), values);
                    let mut begin = 0;
                    let mut times = Vec::new();
                    for (number, length) in lengths.iter().enumerate() {
                        assert!(number + 1 == lengths.len() || length % GROUP == 0);
                        times.push(cost.before(begin as f64) + cost.compute * *length as f64);
                        begin += length;
                    }
                    let slack = cost.compute * (2 * GROUP) as f64;
                    let longest = times.iter().copied().fold(0.0, f64::max);
                    assert!(longest <= cost.compute * values as f64 + slack);
                    if values >= 1 << 20 && threads < 64 {
                        let shortest = times.iter().copied().fold(f64::MAX, f64::min);
                        assert!(longest - shortest <= slack * threads as f64, "{cost:?} {values} {times:?}");
                        assert!(longest < 0.67 * cost.compute * values as f64);
                    }
                }
            }
        }
    }
}
