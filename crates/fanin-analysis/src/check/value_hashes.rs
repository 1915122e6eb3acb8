//! Hashes of values and of windows of consecutive values, computed chunk by chunk.

use super::tensor_view::CHUNK;
use crate::signs::mix;
use crate::vectorized::vectorized;

/// The number of values in a window. Two windows of independent values are equal by chance with a probability below
/// 1e-15, even for bf16.
pub(super) const WINDOW: usize = 13;

/// The hash of a value is shifted by this many bits for each later value of its window.
const SHIFT: usize = 5;

/// The number of earlier values whose hashes are kept, because a window may start before the chunk. It is at least
/// `WINDOW` - 1.
const RECENT: usize = 16;

/// The base of [`polynomial`], which combines the hashes of several values into one hash.
const BASE: u64 = 0x9e37_79b9_7f4a_7c15;

/// The powers of `BASE`, from 0 to `CHUNK`.
static POWERS: [u64; CHUNK + 1] = {
    let mut powers = [1; CHUNK + 1];
    let mut k = 0;
    while k < CHUNK {
        powers[k + 1] = BASE.wrapping_mul(powers[k]);
        k += 1;
    }
    powers
};

/// The hashes of the values of a chunk. Also, for each of these values, the hash of the pair that consists of the
/// previous value and this value.
#[derive(Debug)]
pub(super) struct ValueHashes {
    /// The number of values of the chunk.
    count: usize,
    /// The hashes of the `RECENT` values before the chunk, and of the values of the chunk.
    values: Vec<u64>,
    /// For each value of the chunk, the hash of the pair that consists of the previous value and this value.
    pairs: Vec<u32>,
}

impl ValueHashes {
    /// Creates the buffers for the hashes of a chunk. All hashes are 0 until [`set`](Self::set) is called.
    pub(super) fn new() -> Self {
        Self { count: 0, values: vec![0; RECENT + CHUNK], pairs: vec![0; CHUNK] }
    }

    /// Computes the hashes of the next chunk, which has at most `CHUNK` values.
    pub(super) fn set(&mut self, chunk: &[f64]) {
        self.values.copy_within(self.count..self.count + RECENT, 0);
        self.count = chunk.len();
        hash_chunk(chunk, &mut self.values[..RECENT + chunk.len()], &mut self.pairs);
    }

    /// Returns the hash of each value of the chunk.
    pub(super) fn of_values(&self) -> &[u64] {
        &self.values[RECENT..RECENT + self.count]
    }

    /// Returns the hashes of the values in the window that ends at index `end` of the chunk. At the start of a tensor,
    /// the hashes of missing values are 0.
    #[inline(always)]
    pub(super) fn in_window(&self, end: usize) -> &[u64; WINDOW] {
        let values = &self.values[..RECENT + end + 1];
        values.last_chunk().expect("a window is at most one longer than `RECENT`")
    }

    /// Returns, for each value of the chunk, the hash of the pair that consists of the previous value and this value.
    /// The hash of a pair of zeros is 0.
    #[inline(always)]
    pub(super) fn of_pairs(&self) -> &[u32] {
        &self.pairs[..self.count]
    }
}

/// Returns the hash of a window from the hashes of its values.
#[inline(always)]
pub(super) fn hash_of_window(window: &[u64; WINDOW]) -> u64 {
    let last = WINDOW - 1;
    (0..WINDOW).fold(0, |sum: u64, n| sum.wrapping_add(window[n] << (SHIFT * (last - n))))
}

/// Returns the sum of `hashes[n] * BASE^n` over all n, modulo 2^64. `hashes` has at most `CHUNK` elements.
pub(super) fn polynomial(hashes: &[u64]) -> u64 {
    // The call of a vectorized function takes longer than a few multiplications.
    if hashes.len() < 16 { inlined_polynomial(hashes) } else { long_polynomial(hashes) }
}

/// Returns the base of [`polynomial`] to the power of `exponent`, modulo 2^64.
pub(super) fn power(mut exponent: usize) -> u64 {
    if let Some(power) = POWERS.get(exponent) {
        return *power;
    }
    let (mut power, mut square) = (1u64, BASE);
    while exponent > 0 {
        if exponent % 2 == 1 {
            power = power.wrapping_mul(square);
        }
        square = square.wrapping_mul(square);
        exponent /= 2;
    }
    power
}

vectorized! {
    /// Computes the hash of each value of `chunk`, and the hash of the pair that consists of the previous value and
    /// this value. The hashes of values are written to `values[RECENT..]`, the hashes of pairs to `pairs`.
    /// `values[..RECENT]` must contain the hashes of the values before `chunk`.
    fn hash_chunk(chunk: &[f64], values: &mut [u64], pairs: &mut [u32]) {
        inlined_hash(chunk, &mut values[RECENT..]);
        for ((pair, before), value) in pairs.iter_mut().zip(&values[RECENT - 1..]).zip(&values[RECENT..]) {
            *pair = (*value as u32).wrapping_add((*before as u32) << SHIFT);
        }
    }

    /// Returns the result of [`polynomial`].
    fn long_polynomial(hashes: &[u64]) -> u64 {
        inlined_polynomial(hashes)
    }
}

/// Returns a hash of the magnitude of a value, computed from the hash of the value.
#[inline(always)]
pub(super) fn magnitude(hash: u64) -> u64 {
    // The hash of a value and the hash of its negative are complements of each other.
    hash ^ (hash as i64 >> 63) as u64
}

#[inline(always)]
fn inlined_hash(values: &[f64], hashes: &mut [u64]) {
    for (hash, x) in hashes.iter_mut().zip(values) {
        let sign = (x.to_bits() as i64 >> 63) as u64;
        *hash = mix(x.abs().to_bits()) ^ sign;
    }
}

#[inline(always)]
fn inlined_polynomial(hashes: &[u64]) -> u64 {
    hashes.iter().zip(&POWERS).fold(0u64, |sum, (hash, power)| sum.wrapping_add(hash.wrapping_mul(*power)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_do_not_depend_on_the_division_into_chunks() {
        let values: Vec<f64> = (0..5000).map(|n| f64::from(n * 7919 % 5000)).collect();
        let hashes_with = |size: usize| {
            let mut hashes = ValueHashes::new();
            let mut found = Vec::new();
            for chunk in values.chunks(size) {
                hashes.set(chunk);
                assert_eq!(hashes.of_values()[0], mix(chunk[0].to_bits()));
                assert_eq!(hashes.in_window(0)[WINDOW - 1], hashes.of_values()[0]);
                let pairs = hashes.of_pairs().iter().enumerate();
                found.extend(pairs.map(|(n, pair)| (*pair, hash_of_window(hashes.in_window(n)))));
            }
            found
        };
        let found = hashes_with(CHUNK);
        assert_eq!(found.len(), values.len());
        for size in [1, 3, 20, 1000] {
            assert_eq!(hashes_with(size), found, "{size}");
        }
    }

    #[test]
    fn each_value_of_a_window_changes_its_hash() {
        let window: [u64; WINDOW] = std::array::from_fn(|n| mix(n as u64 + 1));
        for n in 0..WINDOW {
            let mut other = window;
            other[n] = mix(1000);
            assert_ne!(hash_of_window(&other), hash_of_window(&window), "{n}");
        }
    }

    #[test]
    fn hashes_of_magnitudes_do_not_depend_on_signs() {
        let mut hashes = ValueHashes::new();
        hashes.set(&[0.5, -0.5, 0.0, -0.0, 1e300, -1e300]);
        let hashes = hashes.of_values();
        let magnitudes: Vec<u64> = hashes.iter().map(|hash| magnitude(*hash)).collect();
        for [value, negative] in [[0, 1], [2, 3], [4, 5]] {
            assert_ne!(hashes[value], hashes[negative]);
            assert_eq!(magnitudes[value], magnitudes[negative]);
        }
        assert_ne!(magnitudes[0], magnitudes[4]);
    }

    #[test]
    fn polynomials_of_parts_add_up_to_that_of_the_whole() {
        let hashes: Vec<u64> = (0..900).map(mix).collect();
        let (first, second) = hashes.split_at(13);
        let sum = polynomial(first).wrapping_add(polynomial(second).wrapping_mul(power(13)));
        assert_eq!(sum, polynomial(&hashes));
        assert_eq!(power(5000), power(1000).wrapping_mul(power(4000)));
    }
}
