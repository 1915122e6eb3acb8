//! Random subsets of the indices `0..size`. The initializer `sparse` sets a random subset of the rows of each column to
//! zero. The section "sparse" of [`crate::streams::native`] defines the subsets.
//!
//! For up to 256 rows, [`choose_by_shuffle`] computes the first steps of a Fisher-Yates shuffle. For more rows, the
//! subset of n rows consists of the rows whose image under a [`Permutation`] is less than n. The image of a row is
//! computed without the images of the other rows.
//!
//! A permutation is a Feistel network with cycle walking (Black and Rogaway 2002). Its round function is the finalizer
//! of MurmurHash3 (Appleby). With few rows, the twelve rounds of the network would not make all subsets equally likely.

use std::ops::Range;

use super::Philox;
use crate::simd::{SimdIsa, SimdU32x16, U32X16_LANES};

/// The largest `size` for which [`choose_by_shuffle`] is used.
pub(crate) const SHUFFLE_MAX: usize = 256;

/// Chooses `count` of the indices `0..size`. All subsets of `count` indices are equally likely. `size` must be at most
/// [`SHUFFLE_MAX`].
///
/// Returns an array that is `true` at the chosen indices. The random words come from the 64 blocks of `engine` that
/// begin at block `64 * column`.
pub(crate) fn choose_by_shuffle(
    engine: &Philox,
    column: u64,
    size: usize,
    count: usize,
) -> [bool; SHUFFLE_MAX] {
    let mut indices: [u8; SHUFFLE_MAX] = std::array::from_fn(|index| index as u8);
    let mut chosen = [false; SHUFFLE_MAX];
    let mut words = [0; 4];
    for step in 0..count {
        if step % 4 == 0 {
            words = engine.block(column * (SHUFFLE_MAX as u64 / 4) + step as u64 / 4);
        }
        let other = step + words[step % 4] as usize % (size - step);
        indices.swap(step, other);
        chosen[indices[step] as usize] = true;
    }
    chosen
}

/// The number of rounds of the Feistel network.
const ROUNDS: u32 = 12;

/// The number of vectors to which the Feistel network is applied together. The rounds of one vector depend on each
/// other. The CPU can compute rounds of different vectors at the same time.
const VECTORS: usize = 4;

/// The number of indices to which the Feistel network is applied together.
const BATCH: usize = VECTORS * U32X16_LANES;

/// A family of permutations of `0..size`, one permutation for each key. The key is an argument of each method.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Permutation {
    size: u64,
    /// The number of low bits of an index that are its right half in the Feistel network.
    right_bits: u32,
    left_mask: u32,
    right_mask: u32,
}

impl Permutation {
    /// Creates the family of permutations of `0..size`.
    pub(crate) fn new(size: u64) -> Self {
        let bits = u64::BITS - size.saturating_sub(1).leading_zeros();
        let (left_bits, right_bits) = (bits / 2, bits - bits / 2);
        let mask = |bits: u32| ((1u64 << bits) - 1) as u32;
        Self { size, right_bits, left_mask: mask(left_bits), right_mask: mask(right_bits) }
    }

    /// Calls `each(index, image)` once for each of `indices`, in any order.
    #[inline(always)]
    pub(crate) fn images<I: SimdIsa>(
        &self,
        indices: Range<u64>,
        key: [u32; 4],
        mut each: impl FnMut(u64, u64),
    ) {
        self.cycle_walk::<I::U32x16, false>(indices, key, &mut each);
    }

    /// Calls `each(index)` once for each of `images`, in any order. `index` is the preimage: the index with this image.
    #[inline(always)]
    pub(crate) fn preimages<I: SimdIsa>(&self, images: Range<u64>, key: [u32; 4], mut each: impl FnMut(u64)) {
        self.cycle_walk::<I::U32x16, true>(images, key, &mut |_, index| each(index));
    }

    /// Calls `each(number, result)` for each of `numbers`, in any order. `result` is the image of `number`, or the
    /// preimage if `INVERSE` is true.
    ///
    /// The Feistel network permutes `0..2^bits`, and 2^bits may exceed `size`. The network is therefore applied
    /// repeatedly until the result is less than `size` (cycle walking).
    #[inline(always)]
    fn cycle_walk<B: SimdU32x16, const INVERSE: bool>(
        &self,
        numbers: Range<u64>,
        key: [u32; 4],
        each: &mut impl FnMut(u64, u64),
    ) {
        // Lane `k` processes the number `start[k]`, and `current[k]` is the next input of the Feistel network. The
        // first `walking` lanes need the network again, because their outputs were at least `size`.
        let (mut start, mut current) = ([0u64; BATCH], [0u64; BATCH]);
        let mut walking = 0;
        let mut next = numbers.start;
        while walking > 0 || next < numbers.end {
            let fresh = (numbers.end - next).min((BATCH - walking) as u64);
            for lane in 0..fresh as usize {
                start[walking + lane] = next + lane as u64;
                current[walking + lane] = next + lane as u64;
            }
            let lanes = walking + fresh as usize;
            next += fresh;
            let results = self.network::<B, INVERSE>(&current, key);
            walking = 0;
            for lane in 0..lanes {
                if results[lane] < self.size {
                    each(start[lane], results[lane]);
                } else {
                    start[walking] = start[lane];
                    current[walking] = results[lane];
                    walking += 1;
                }
            }
        }
    }

    /// Applies the Feistel network once to each of `numbers`. If `INVERSE` is true, applies the inverse network
    /// instead.
    #[inline(always)]
    fn network<B: SimdU32x16, const INVERSE: bool>(
        &self,
        numbers: &[u64; BATCH],
        key: [u32; 4],
    ) -> [u64; BATCH] {
        let (mut left, mut right) = ([0u32; BATCH], [0u32; BATCH]);
        for lane in 0..BATCH {
            left[lane] = (numbers[lane] >> self.right_bits) as u32;
            right[lane] = numbers[lane] as u32 & self.right_mask;
        }
        let zero = B::splat(0);
        let (mut lefts, mut rights) = ([zero; VECTORS], [zero; VECTORS]);
        for vector in 0..VECTORS {
            lefts[vector] = B::load(&left.as_chunks().0[vector]);
            rights[vector] = B::load(&right.as_chunks().0[vector]);
        }
        let (left_mask, right_mask) = (B::splat(self.left_mask), B::splat(self.right_mask));
        let round_key =
            |round: u32| B::splat(key[round as usize % 4].wrapping_add(round.wrapping_mul(0x9E37_79B9)));
        for pair in 0..ROUNDS / 2 {
            if INVERSE {
                let round = ROUNDS - 2 * pair - 1;
                feistel_round(&mut rights, &lefts, round_key(round), right_mask);
                feistel_round(&mut lefts, &rights, round_key(round - 1), left_mask);
            } else {
                feistel_round(&mut lefts, &rights, round_key(2 * pair), left_mask);
                feistel_round(&mut rights, &lefts, round_key(2 * pair + 1), right_mask);
            }
        }
        for vector in 0..VECTORS {
            lefts[vector].store(&mut left.as_chunks_mut().0[vector]);
            rights[vector].store(&mut right.as_chunks_mut().0[vector]);
        }
        let mut results = [0u64; BATCH];
        for lane in 0..BATCH {
            results[lane] = u64::from(left[lane]) << self.right_bits | u64::from(right[lane]);
        }
        results
    }
}

/// Applies one round of the Feistel network: `to ^= hash(from, key) & mask`.
#[inline(always)]
fn feistel_round<B: SimdU32x16>(to: &mut [B; VECTORS], from: &[B; VECTORS], key: B, mask: B) {
    for vector in 0..VECTORS {
        to[vector] = to[vector].xor(murmur_finalizer(from[vector].add(key)).and(mask));
    }
}

/// Applies the finalizer of the 32-bit MurmurHash3 to each lane.
#[inline(always)]
fn murmur_finalizer<B: SimdU32x16>(mut x: B) -> B {
    x = x.xor(x.shr(16)).mul(B::splat(0x85eb_ca6b));
    x = x.xor(x.shr(13)).mul(B::splat(0xc2b2_ae35));
    x.xor(x.shr(16))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Kernel, Level, dispatch};

    /// Returns a key for each of `columns` columns.
    fn keys(columns: u64) -> impl Iterator<Item = [u32; 4]> {
        (0..columns).map(|column| Philox::new([5, 6], [7, 8]).block(column))
    }

    /// The kernel that calls [`Permutation::images`] and returns the sorted pairs (index, image). If the last field is
    /// `true`, calls [`Permutation::preimages`] and returns the sorted pairs (index, 0).
    struct Walk<'a>(&'a Permutation, Range<u64>, [u32; 4], bool);
    impl Kernel for Walk<'_> {
        type Output = Vec<(u64, u64)>;
        #[inline(always)]
        fn run<I: SimdIsa>(self) -> Self::Output {
            let Self(permutation, range, key, inverse) = self;
            let mut pairs = Vec::new();
            if inverse {
                permutation.preimages::<I>(range, key, |index| pairs.push((index, 0)));
            } else {
                permutation.images::<I>(range, key, |index, image| pairs.push((index, image)));
            }
            pairs.sort_unstable();
            pairs
        }
    }

    fn preimages(permutation: &Permutation, images: Range<u64>, key: [u32; 4], level: Level) -> Vec<u64> {
        dispatch(level, Walk(permutation, images, key, true)).into_iter().map(|(index, _)| index).collect()
    }

    /// Returns the image of one index, computed by the definition of the native stream without SIMD.
    fn image(permutation: &Permutation, index: u64, key: [u32; 4]) -> u64 {
        let Permutation { size, right_bits, left_mask, right_mask } = *permutation;
        let mut at = index;
        loop {
            let (mut left, mut right) = ((at >> right_bits) as u32, at as u32 & right_mask);
            for round in 0..ROUNDS {
                let f = |x: u32| {
                    let step = key[round as usize % 4].wrapping_add(round.wrapping_mul(0x9E37_79B9));
                    murmur_finalizer([x.wrapping_add(step); U32X16_LANES])[0]
                };
                if round % 2 == 0 {
                    left ^= f(right) & left_mask;
                } else {
                    right ^= f(left) & right_mask;
                }
            }
            at = u64::from(left) << right_bits | u64::from(right);
            if at < size {
                return at;
            }
        }
    }

    #[test]
    fn each_key_gives_a_permutation_and_its_inverse_at_every_simd_level() {
        for size in [1u64, 2, 3, 4, 5, 7, 8, 9, 31, 64, 100, 1025] {
            let permutation = Permutation::new(size);
            for (key, &level) in keys(20).zip(Level::available().iter().cycle()) {
                let pairs = dispatch(level, Walk(&permutation, 0..size, key, false));
                let expected: Vec<_> =
                    (0..size).map(|index| (index, image(&permutation, index, key))).collect();
                assert_eq!(pairs, expected, "{size} {level:?}");
                for images in [0..size, size / 3..size / 2, size..size] {
                    let expected: Vec<u64> =
                        pairs.iter().filter(|pair| images.contains(&pair.1)).map(|pair| pair.0).collect();
                    assert_eq!(
                        preimages(&permutation, images.clone(), key, level),
                        expected,
                        "{size} {images:?}"
                    );
                }
            }
        }
        let huge = Permutation::new(u64::MAX);
        for (key, &level) in keys(10).zip(Level::available().iter().cycle()) {
            let image = dispatch(level, Walk(&huge, 1 << 60..(1 << 60) + 1, key, false))[0].1;
            assert_eq!(preimages(&huge, image..image + 1, key, level), [1 << 60]);
        }
    }

    /// The counts of all subsets in 200,000 columns pass a chi-square test.
    #[test]
    fn every_subset_of_a_short_column_is_equally_likely() {
        let cases =
            [(2, 1, 2), (3, 1, 3), (3, 2, 3), (4, 2, 6), (5, 2, 10), (6, 3, 20), (8, 4, 70), (11, 2, 55)];
        for (size, count, subsets) in cases {
            let mut counts = std::collections::HashMap::new();
            let trials = 200_000;
            for column in 0..trials {
                let chosen = choose_by_shuffle(&Philox::new([5, 6], [7, 8]), column, size, count);
                assert_eq!(chosen.iter().filter(|&&is| is).count(), count);
                assert!(!chosen[size..].contains(&true));
                *counts.entry(chosen[..size].to_vec()).or_insert(0u32) += 1;
            }
            assert_eq!(counts.len(), subsets);
            check_chi_square(counts.into_values(), &vec![trials as f64 / subsets as f64; subsets]);
        }
    }

    /// The number of chosen indices in a fixed subset of the column must have a hypergeometric distribution. The tested
    /// subsets are the first 128 indices, the indices whose bit 0 is 0, the indices whose bit 4 is 0, and two subsets
    /// of indices with even parity. The parity is computed from all bits, or from the bits 0, 4 and 8. A Feistel
    /// network with too few rounds fails for the subsets with even parity.
    #[test]
    fn the_number_of_chosen_indices_in_any_half_of_a_long_column_is_hypergeometric() {
        for (size, chosen) in [(257u64, 40u64), (512, 256), (300, 270), (1000, 100)] {
            let permutation = Permutation::new(size);
            let halves: [fn(u64) -> bool; 5] = [
                |k| k & 1 == 0,
                |k| k & 16 == 0,
                |k| k.count_ones() & 1 == 0,
                |k| (k & 0b1_0001_0001).count_ones() & 1 == 0,
                |k| k < 128,
            ];
            let mut counts = vec![vec![0u32; chosen as usize + 1]; halves.len()];
            let trials = 4000;
            for key in keys(trials) {
                let mut inside = [0; 5];
                for index in preimages(&permutation, 0..chosen, key, Level::best()) {
                    halves
                        .iter()
                        .zip(&mut inside)
                        .for_each(|(half, count)| *count += usize::from(half(index)));
                }
                inside.iter().zip(&mut counts).for_each(|(&count, counts)| counts[count] += 1);
            }
            for (half, counts) in halves.iter().zip(counts) {
                let good = (0..size).filter(|&index| half(index)).count() as u64;
                let distribution = statrs::distribution::Hypergeometric::new(size, good, chosen).unwrap();
                let expected: Vec<f64> = (0..=chosen)
                    .map(|count| statrs::distribution::Discrete::pmf(&distribution, count) * trials as f64)
                    .collect();
                check_chi_square(counts.into_iter(), &expected);
            }
        }
    }

    /// Asserts that the chi-square statistic is less than its mean plus six standard deviations plus 6. Cells are
    /// merged until the expected count of each cell is at least ten.
    fn check_chi_square(counts: impl Iterator<Item = u32>, expected: &[f64]) {
        let (mut chi, mut cells) = (0.0, 0.0);
        let (mut found, mut merged) = (0.0, 0.0);
        for (count, expected) in counts.zip(expected) {
            found += f64::from(count);
            merged += expected;
            if merged >= 10.0 {
                chi += (found - merged) * (found - merged) / merged;
                cells += 1.0;
                (found, merged) = (0.0, 0.0);
            }
        }
        let freedom: f64 = cells - 1.0;
        assert!(
            chi < freedom + 6.0 * (2.0 * freedom).sqrt() + 6.0,
            "chi-square {chi} with {freedom} degrees"
        );
    }
}
