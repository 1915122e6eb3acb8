//! Random places in a column: which `count` of `size` places a key picks, each set equally likely. Written down to the
//! bit in [`crate::streams::native`], under "sparse".
//!
//! Up to 256 places, [`few`] shuffles. Beyond, [`Permutation`] gives random access by a Feistel network with cycle walking
//! (Black and Rogaway 2002) and the finalizer of MurmurHash3 (Appleby). On a handful of places its twelve rounds would not
//! make all sets equally likely: hence the shuffle.

use std::ops::Range;

use super::Philox;
use crate::simd::{BLOCK, Block, Isa};

/// The largest column that is shuffled.
pub(crate) const FEW: usize = 256;

/// The places that are picked in a column of at most [`FEW`].
pub(crate) fn few(engine: &Philox, column: u64, size: usize, count: usize) -> [bool; FEW] {
    let mut places: [u8; FEW] = std::array::from_fn(|place| place as u8);
    let mut picked = [false; FEW];
    let mut words = [0; 4];
    for step in 0..count {
        if step % 4 == 0 {
            words = engine.block(column * (FEW as u64 / 4) + step as u64 / 4);
        }
        let other = step + words[step % 4] as usize % (size - step);
        places.swap(step, other);
        picked[places[step] as usize] = true;
    }
    picked
}

const ROUNDS: u32 = 12;

/// Numbers that go through the network together: rounds follow from one another, so several vectors share the wait.
const TOGETHER: usize = VECTORS * BLOCK;
const VECTORS: usize = 4;

/// The shape of a permutation: its size, and how an index is split.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Permutation {
    size: u64,
    right_bits: u32,
    left_mask: u32,
    right_mask: u32,
}

/// MurmurHash3's finalizer.
#[inline(always)]
fn mix<B: Block>(mut x: B) -> B {
    x = x.xor(x.right(16)).times(B::splat(0x85eb_ca6b));
    x = x.xor(x.right(13)).times(B::splat(0xc2b2_ae35));
    x.xor(x.right(16))
}

impl Permutation {
    /// A permutation of 0..size.
    pub(crate) fn new(size: u64) -> Self {
        let bits = u64::BITS - size.saturating_sub(1).leading_zeros();
        let (left_bits, right_bits) = (bits / 2, bits - bits / 2);
        let mask = |bits: u32| ((1u64 << bits) - 1) as u32;
        Self { size, right_bits, left_mask: mask(left_bits), right_mask: mask(right_bits) }
    }

    /// Hands out each of `places` with its image, in any order.
    #[inline(always)]
    pub(crate) fn images<I: Isa>(&self, places: Range<u64>, key: [u32; 4], mut each: impl FnMut(u64, u64)) {
        self.walk::<I::Block, false>(places, key, &mut each);
    }

    /// Hands out the place of each of `images`, in any order.
    #[inline(always)]
    pub(crate) fn places<I: Isa>(&self, images: Range<u64>, key: [u32; 4], mut each: impl FnMut(u64)) {
        self.walk::<I::Block, true>(images, key, &mut |_, place| each(place));
    }

    /// Sends numbers through the network, those again that come out beyond the size.
    #[inline(always)]
    fn walk<B: Block, const BACK: bool>(
        &self,
        numbers: Range<u64>,
        key: [u32; 4],
        each: &mut impl FnMut(u64, u64),
    ) {
        // Those that walk: where each began, and where it is.
        let (mut began, mut at) = ([0u64; TOGETHER], [0u64; TOGETHER]);
        let mut walking = 0;
        let mut next = numbers.start;
        while walking > 0 || next < numbers.end {
            let fresh = (numbers.end - next).min((TOGETHER - walking) as u64);
            for lane in 0..fresh as usize {
                began[walking + lane] = next + lane as u64;
                at[walking + lane] = next + lane as u64;
            }
            let lanes = walking + fresh as usize;
            next += fresh;
            let after = self.network::<B, BACK>(&at, key);
            walking = 0;
            for lane in 0..lanes {
                if after[lane] < self.size {
                    each(began[lane], after[lane]);
                } else {
                    began[walking] = began[lane];
                    at[walking] = after[lane];
                    walking += 1;
                }
            }
        }
    }

    /// Once through the network, forwards or backwards.
    #[inline(always)]
    fn network<B: Block, const BACK: bool>(
        &self,
        numbers: &[u64; TOGETHER],
        key: [u32; 4],
    ) -> [u64; TOGETHER] {
        let (mut left, mut right) = ([0u32; TOGETHER], [0u32; TOGETHER]);
        for lane in 0..TOGETHER {
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
        let step =
            |round: u32| B::splat(key[round as usize % 4].wrapping_add(round.wrapping_mul(0x9E37_79B9)));
        for pair in 0..ROUNDS / 2 {
            if BACK {
                let round = ROUNDS - 2 * pair - 1;
                half_rounds(&mut rights, &lefts, step(round), right_mask);
                half_rounds(&mut lefts, &rights, step(round - 1), left_mask);
            } else {
                half_rounds(&mut lefts, &rights, step(2 * pair), left_mask);
                half_rounds(&mut rights, &lefts, step(2 * pair + 1), right_mask);
            }
        }
        for vector in 0..VECTORS {
            lefts[vector].store(&mut left.as_chunks_mut().0[vector]);
            rights[vector].store(&mut right.as_chunks_mut().0[vector]);
        }
        let mut after = [0u64; TOGETHER];
        for lane in 0..TOGETHER {
            after[lane] = u64::from(left[lane]) << self.right_bits | u64::from(right[lane]);
        }
        after
    }
}

/// One round: what is mixed from the one half changes the other.
#[inline(always)]
fn half_rounds<B: Block>(to: &mut [B; VECTORS], from: &[B; VECTORS], key: B, mask: B) {
    for vector in 0..VECTORS {
        to[vector] = to[vector].xor(mix(from[vector].add(key)).and(mask));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Kernel, Level, dispatch};

    fn keys(columns: u64) -> impl Iterator<Item = [u32; 4]> {
        (0..columns).map(|column| Philox::new([5, 6], [7, 8]).block(column))
    }

    /// All of a range there, or back.
    struct Walk<'a>(&'a Permutation, Range<u64>, [u32; 4], bool);
    impl Kernel for Walk<'_> {
        type Output = Vec<(u64, u64)>;
        #[inline(always)]
        fn run<I: Isa>(self) -> Self::Output {
            let Self(permutation, range, key, back) = self;
            let mut pairs = Vec::new();
            if back {
                permutation.places::<I>(range, key, |place| pairs.push((place, 0)));
            } else {
                permutation.images::<I>(range, key, |place, image| pairs.push((place, image)));
            }
            pairs.sort_unstable();
            pairs
        }
    }

    fn places(permutation: &Permutation, images: Range<u64>, key: [u32; 4], level: Level) -> Vec<u64> {
        dispatch(level, Walk(permutation, images, key, true)).into_iter().map(|(place, _)| place).collect()
    }

    /// As the page of the native stream has it, a place at a time.
    fn image(permutation: &Permutation, place: u64, key: [u32; 4]) -> u64 {
        let Permutation { size, right_bits, left_mask, right_mask } = *permutation;
        let mut at = place;
        loop {
            let (mut left, mut right) = ((at >> right_bits) as u32, at as u32 & right_mask);
            for round in 0..ROUNDS {
                let f = |x: u32| {
                    let step = key[round as usize % 4].wrapping_add(round.wrapping_mul(0x9E37_79B9));
                    mix([x.wrapping_add(step); BLOCK])[0]
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
    fn each_key_gives_a_permutation_and_the_way_back_at_every_level() {
        for size in [1u64, 2, 3, 4, 5, 7, 8, 9, 31, 64, 100, 1025] {
            let permutation = Permutation::new(size);
            for (key, &level) in keys(20).zip(Level::available().iter().cycle()) {
                let pairs = dispatch(level, Walk(&permutation, 0..size, key, false));
                let expected: Vec<_> =
                    (0..size).map(|place| (place, image(&permutation, place, key))).collect();
                assert_eq!(pairs, expected, "{size} {level:?}");
                for part in [0..size, size / 3..size / 2, size..size] {
                    let expected: Vec<u64> =
                        pairs.iter().filter(|pair| part.contains(&pair.1)).map(|pair| pair.0).collect();
                    assert_eq!(places(&permutation, part.clone(), key, level), expected, "{size} {part:?}");
                }
            }
        }
        let huge = Permutation::new(u64::MAX);
        for (key, &level) in keys(10).zip(Level::available().iter().cycle()) {
            let there = dispatch(level, Walk(&huge, 1 << 60..(1 << 60) + 1, key, false))[0].1;
            assert_eq!(places(&huge, there..there + 1, key, level), [1 << 60]);
        }
    }

    /// Every set of places must come equally often: chi-square over all sets, 200,000 columns.
    #[test]
    fn every_set_of_few_places_is_equally_likely() {
        let cases =
            [(2, 1, 2), (3, 1, 3), (3, 2, 3), (4, 2, 6), (5, 2, 10), (6, 3, 20), (8, 4, 70), (11, 2, 55)];
        for (size, chosen, sets) in cases {
            let mut counts = std::collections::HashMap::new();
            let trials = 200_000;
            for column in 0..trials {
                let picked = few(&Philox::new([5, 6], [7, 8]), column, size, chosen);
                assert_eq!(picked.iter().filter(|&&is| is).count(), chosen);
                assert!(!picked[size..].contains(&true));
                *counts.entry(picked[..size].to_vec()).or_insert(0u32) += 1;
            }
            assert_eq!(counts.len(), sets);
            chi_square(counts.into_values(), &vec![trials as f64 / sets as f64; sets]);
        }
    }

    /// How many of the picked places fall into a half of the column is hypergeometric, whichever half it is: upper,
    /// even, or by the parity of any bits, which a network with too few rounds would give away.
    #[test]
    fn many_places_fall_into_any_half_as_they_should() {
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
                for place in places(&permutation, 0..chosen, key, Level::best()) {
                    halves
                        .iter()
                        .zip(&mut inside)
                        .for_each(|(half, count)| *count += usize::from(half(place)));
                }
                inside.iter().zip(&mut counts).for_each(|(&count, counts)| counts[count] += 1);
            }
            for (half, counts) in halves.iter().zip(counts) {
                let good = (0..size).filter(|&place| half(place)).count() as u64;
                let distribution = statrs::distribution::Hypergeometric::new(size, good, chosen).unwrap();
                let expected: Vec<f64> = (0..=chosen)
                    .map(|count| statrs::distribution::Discrete::pmf(&distribution, count) * trials as f64)
                    .collect();
                chi_square(counts.into_iter(), &expected);
            }
        }
    }

    /// Cells of fewer than ten expected are put together; six standard deviations above the mean of the distribution.
    fn chi_square(counts: impl Iterator<Item = u32>, expected: &[f64]) {
        let (mut chi, mut cells) = (0.0, 0.0);
        let (mut found, mut awaited) = (0.0, 0.0);
        for (count, expected) in counts.zip(expected) {
            found += f64::from(count);
            awaited += expected;
            if awaited >= 10.0 {
                chi += (found - awaited) * (found - awaited) / awaited;
                cells += 1.0;
                (found, awaited) = (0.0, 0.0);
            }
        }
        let freedom: f64 = cells - 1.0;
        assert!(
            chi < freedom + 6.0 * (2.0 * freedom).sqrt() + 6.0,
            "chi-square {chi} with {freedom} degrees"
        );
    }
}
