//! Random places in a column: which `count` of `size` places a key picks, each set equally likely. Written down to the
//! bit in [`crate::stream::native`], under "sparse".
//!
//! Up to 256 places, [`few`] shuffles. Beyond, [`Permutation`] gives random access by a Feistel network with cycle walking
//! (Black and Rogaway 2002) and the finalizer of MurmurHash3 (Appleby). On a handful of places its twelve rounds would not
//! make all sets equally likely: hence the shuffle.

use super::Philox;

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
                        left[lane] ^=
                            mix(right[lane].wrapping_add(key[lane]).wrapping_add(step)) & self.left_mask;
                    } else {
                        right[lane] ^=
                            mix(left[lane].wrapping_add(key[lane]).wrapping_add(step)) & self.right_mask;
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
                for place in 0..size {
                    if permutation.below(place, chosen, &key)[0] {
                        halves
                            .iter()
                            .zip(&mut inside)
                            .for_each(|(half, count)| *count += usize::from(half(place)));
                    }
                }
                inside.iter().zip(&mut counts).for_each(|(&count, counts)| counts[count] += 1);
            }
            for (half, counts) in halves.iter().zip(counts) {
                let good = (0..size).filter(|&place| half(place)).count() as u64;
                let law = statrs::distribution::Hypergeometric::new(size, good, chosen).unwrap();
                let expected: Vec<f64> = (0..=chosen)
                    .map(|count| statrs::distribution::Discrete::pmf(&law, count) * trials as f64)
                    .collect();
                chi_square(counts.into_iter(), &expected);
            }
        }
    }

    /// Cells of fewer than ten expected are put together; six standard deviations above the mean of the law.
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
