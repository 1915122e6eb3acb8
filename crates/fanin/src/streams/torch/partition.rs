//! How threads share a sequential stream. Each gets to its place by passing over the words before it, so the first one,
//! which need not, takes the most.

use super::Torch;
use super::draw::words_each;
use super::variates::GROUP;
use crate::dtype::Element;
use crate::rng::Mt19937;

/// What values cost. The unit is a word that is passed over, about an eighth of a nanosecond; measured where torch's fills
/// are at their fastest (docs/performance.md), so that they are rather shared too little than too much.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    /// To make a value.
    make: f64,
    /// Words of a value in a sequence.
    words: f64,
    /// Sequences that are passed over.
    sequences: f64,
}

impl Cost {
    /// Uniform values: most of it is to walk and temper.
    pub(super) fn of_uniforms<E: Element>() -> Self {
        let words = words_each::<E>() as f64;
        Self { make: 3.0 * words, words, sequences: 1.0 }
    }

    /// Normal values, in f64 by the C library's functions.
    pub(super) fn of_normals<E: Element>() -> Self {
        let words = words_each::<E>() as f64;
        Self { make: if words > 1.0 { 150.0 } else { 7.0 }, words, sequences: 1.0 }
    }

    /// The same, drawn until all lie inside cut-offs that let through at least three in ten. From pass to pass all threads
    /// have equally far to go, so that only the first one counts.
    pub(super) fn of_normals_inside<E: Element>() -> Self {
        Self { make: 2.5 * Self::of_normals::<E>().make, ..Self::of_normals::<E>() }
    }

    /// Uniform proposals, drawn until all are accepted: each takes two sequences a pass.
    pub(super) fn of_proposals<E: Element>() -> Self {
        Self { make: 160.0, words: words_each::<E>() as f64, sequences: 2.0 }
    }

    /// To get to the value after so many.
    fn before(&self, values: f64) -> f64 {
        self.sequences * (self.words * values).min(Mt19937::MIN_JUMP as f64)
    }
}

/// Cost that is worth a thread: some sixty microseconds.
const WORTH: f64 = (1 << 19) as f64;

impl Torch {
    /// Shares memory among the threads: where each share begins, and the share. All but the last are whole groups.
    pub(super) fn shares<'o, E: Element>(&self, cost: Cost, out: &'o mut [E]) -> Vec<(usize, &'o mut [E])> {
        let worth = (cost.make * out.len() as f64 / WORTH) as usize;
        let lengths = lengths(cost, out.len(), self.threads.count().min(worth.max(1)));
        let (mut begin, mut rest) = (0, out);
        let mut shares = Vec::with_capacity(lengths.len());
        for length in lengths {
            let (share, later) = rest.split_at_mut(length);
            shares.push((begin, share));
            (begin, rest) = (begin + length, later);
        }
        shares
    }
}

/// So many values in as many shares or fewer, which take equally long; at least one, of none if there are none.
fn lengths(cost: Cost, values: usize, threads: usize) -> Vec<usize> {
    if threads == 1 || values == 0 {
        return vec![values];
    }
    // The shares that are done in a time, whole groups each, until all values are or no thread is left.
    let within = |time: f64| {
        let (mut begin, mut lengths) = (0, Vec::with_capacity(threads));
        while lengths.len() < threads && begin < values {
            let length = (time - cost.before(begin as f64)) / cost.make;
            let length = (length.max(0.0) as usize).next_multiple_of(GROUP).min(values - begin);
            lengths.push(length);
            begin += length;
        }
        (lengths, begin)
    };
    let (mut short, mut long) = (0.0, cost.make * values as f64);
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
    fn shares_are_all_of_it_and_take_equally_long() {
        for cost in [
            Cost::of_uniforms::<f32>(),
            Cost::of_uniforms::<f64>(),
            Cost::of_normals::<f32>(),
            Cost::of_normals_inside::<f32>(),
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
                        times.push(cost.before(begin as f64) + cost.make * *length as f64);
                        begin += length;
                    }
                    let slack = cost.make * (2 * GROUP) as f64;
                    let longest = times.iter().copied().fold(0.0, f64::max);
                    assert!(longest <= cost.make * values as f64 + slack);
                    if values >= 1 << 20 && threads < 64 {
                        let shortest = times.iter().copied().fold(f64::MAX, f64::min);
                        assert!(longest - shortest <= slack * threads as f64, "{cost:?} {values} {times:?}");
                        assert!(longest < 0.67 * cost.make * values as f64);
                    }
                }
            }
        }
    }
}
