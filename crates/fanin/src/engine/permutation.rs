//! Keyed permutations with random access: a Feistel network with cycle walking (Black and Rogaway 2002).
//!
//! A permutation of 0..n with `2^(bits-1) < n <= 2^bits`. An index is split into `left`, its upper `bits / 2` bits
//! (rounded down), and `right`, the others. Round i of twelve, with key word `key[i mod 4]`, is
//! `left ^= F(right)` for even i and `right ^= F(left)` for odd i, cut to the half's bits, where
//! `F(x) = mix(x + key + i * 0x9E3779B9)` and mix is the 32-bit finalizer of MurmurHash3 (Appleby). An answer of n or
//! more goes through again, until it is less.

const ROUNDS: u32 = 12;

/// The shape of a permutation: its size, and how an index is split.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Permutation {
    size: u64,
    right_bits: u32,
    left_mask: u32,
    right_mask: u32,
}

#[inline(always)]
fn mix(mut x: u32) -> u32 {
    x ^= x >> 16;
    x = x.wrapping_mul(0x85eb_ca6b);
    x ^= x >> 13;
    x = x.wrapping_mul(0xc2b2_ae35);
    x ^ (x >> 16)
}

impl Permutation {
    /// A permutation of 0..size.
    pub(crate) fn new(size: u64) -> Self {
        let bits = u64::BITS - size.saturating_sub(1).leading_zeros();
        let (left_bits, right_bits) = (bits / 2, bits - bits / 2);
        let mask = |bits: u32| ((1u64 << bits) - 1) as u32;
        Self { size, right_bits, left_mask: mask(left_bits), right_mask: mask(right_bits) }
    }

    /// For each key: whether the image of `index` is below `bound`. `keys` are indexed `[word][lane]`.
    #[inline(always)]
    pub(crate) fn below<const N: usize>(&self, index: u64, bound: u64, keys: &[[u32; N]; 4]) -> [bool; N] {
        let mut images = [index; N];
        let mut walking = [true; N];
        loop {
            let mut left = [0u32; N];
            let mut right = [0u32; N];
            for lane in 0..N {
                left[lane] = (images[lane] >> self.right_bits) as u32;
                right[lane] = images[lane] as u32 & self.right_mask;
            }
            for round in 0..ROUNDS {
                let key = &keys[round as usize % 4];
                let step = round.wrapping_mul(0x9E37_79B9);
                for lane in 0..N {
                    if round % 2 == 0 {
                        left[lane] ^= mix(right[lane].wrapping_add(key[lane]).wrapping_add(step)) & self.left_mask;
                    } else {
                        right[lane] ^= mix(left[lane].wrapping_add(key[lane]).wrapping_add(step)) & self.right_mask;
                    }
                }
            }
            let mut any = false;
            for lane in 0..N {
                let image = u64::from(left[lane]) << self.right_bits | u64::from(right[lane]);
                images[lane] = if walking[lane] { image } else { images[lane] };
                walking[lane] = images[lane] >= self.size;
                any |= walking[lane];
            }
            if !any {
                return images.map(|image| image < bound);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Philox;

    fn keys(columns: u64) -> impl Iterator<Item = [[u32; 1]; 4]> {
        (0..columns).map(|column| Philox::new([5, 6], [7, 8]).block(column).map(|word| [word]))
    }

    #[test]
    fn each_key_gives_a_permutation() {
        for size in [1u64, 2, 3, 4, 5, 7, 8, 9, 31, 64, 100, 1025] {
            let permutation = Permutation::new(size);
            for key in keys(20) {
                for bound in [0, 1, size / 2, size] {
                    let below = (0..size).filter(|&index| permutation.below(index, bound, &key)[0]).count();
                    assert_eq!(below as u64, bound, "{size}");
                }
            }
        }
        let huge = Permutation::new(u64::MAX);
        assert!(keys(10).all(|key| huge.below(1 << 60, u64::MAX, &key)[0]));
    }

    /// For small sizes every set of `chosen` places must come equally often: chi-square over all sets, 200,000 keys.
    #[test]
    fn every_set_of_places_is_equally_likely() {
        for (size, chosen, sets) in [(2u64, 1, 2), (3, 1, 3), (4, 2, 6), (5, 2, 10), (6, 3, 20), (8, 4, 70), (11, 2, 55)] {
            let permutation = Permutation::new(size);
            let mut counts = std::collections::HashMap::new();
            let trials = 200_000;
            for key in keys(trials) {
                let set = (0..size).fold(0u32, |set, k| set << 1 | u32::from(permutation.below(k, chosen, &key)[0]));
                *counts.entry(set).or_insert(0u32) += 1;
            }
            let expected = trials as f64 / f64::from(sets);
            let missing = f64::from(sets) - counts.len() as f64;
            let chi: f64 = counts.values().map(|&c| (f64::from(c) - expected).powi(2) / expected).sum::<f64>()
                + missing * expected;
            // Six standard deviations above the mean of the law.
            let freedom = f64::from(sets - 1);
            assert!(chi < freedom + 6.0 * (2.0 * freedom).sqrt() + 6.0, "{size} {chosen}: {chi}");
        }
    }
}
