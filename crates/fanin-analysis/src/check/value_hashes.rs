//! Hashes of values and of windows of consecutive values, computed chunk by chunk.

use super::tensor_view::CHUNK;
use crate::signs::mix;
use crate::vectorized::vectorized;

/// The number of values in a window. Two windows of independent values are equal by chance with a probability below
/// 1e-15, even for bf16.
pub(super) const WINDOW: usize = 64_usize.div_ceil(SHIFT as usize);

/// The number of bits by which the hash of a window is shifted before a value is added.
const SHIFT: u32 = 5;

/// The number of earlier values whose hashes are kept, because a window may start before the chunk. It is at least
/// `WINDOW` - 1.
const RECENT: usize = 16;

/// The base of the polynomial hashes of several values.
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

/// The hashes of the values of a chunk, and of the windows that end at these values.
///
/// The hash of a window is a gear hash (Xia et al. 2014). For each value, the hash is shifted to the left by `SHIFT`
/// bits, and the hash of the value is added. Values before the window are thereby shifted out.
#[derive(Debug)]
pub(super) struct ValueHashes {
    /// The number of values of the chunk.
    count: usize,
    /// The hashes of the `RECENT` values before the chunk, and of the values of the chunk.
    values: Vec<u64>,
    /// A buffer for the intermediate results of `hash_windows`.
    sums: Vec<u64>,
    /// For each index of `values`, the hash of the window that ends at this index.
    windows: Vec<u64>,
}

impl ValueHashes {
    /// Creates the buffers, before the first chunk.
    pub(super) fn new() -> Self {
        let zeros = || vec![0; RECENT + CHUNK];
        Self { count: 0, values: zeros(), sums: zeros(), windows: zeros() }
    }

    /// Computes the hashes of the next chunk, which has at most `CHUNK` values.
    pub(super) fn set(&mut self, chunk: &[f64]) {
        self.values.copy_within(self.count..self.count + RECENT, 0);
        self.count = chunk.len();
        let end = RECENT + chunk.len();
        hash_windows(chunk, &mut self.values[..end], &mut self.sums[..end], &mut self.windows[..end]);
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

    /// Returns, for each value of the chunk, the hash of the window that ends at this value.
    #[inline(always)]
    pub(super) fn of_windows(&self) -> &[u64] {
        &self.windows[RECENT..RECENT + self.count]
    }
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
    /// Computes the hash of each value of `chunk`, and the hash of the window that ends at this value. The first
    /// `RECENT` elements of `values`, `sums` and `windows` precede the chunk.
    fn hash_windows(chunk: &[f64], values: &mut [u64], sums: &mut [u64], windows: &mut [u64]) {
        inlined_hash(chunk, &mut values[RECENT..]);
        // Each step doubles the number of values in a sum, up to 16. Only the last `WINDOW` of them affect the 64 bits
        // of the sum. The others are shifted out.
        add_shifted::<1>(values, sums);
        add_shifted::<2>(sums, windows);
        add_shifted::<4>(windows, sums);
        add_shifted::<8>(sums, windows);
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

/// Computes `doubled[n] = sums[n] + (sums[n - DISTANCE] << (SHIFT * DISTANCE))` for all indices n from `DISTANCE` on.
#[inline(always)]
fn add_shifted<const DISTANCE: usize>(sums: &[u64], doubled: &mut [u64]) {
    let later = doubled[DISTANCE..].iter_mut().zip(&sums[DISTANCE..]);
    for ((doubled, sum), before) in later.zip(sums) {
        *doubled = sum.wrapping_add(before << (SHIFT * DISTANCE as u32));
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
    fn hashes_of_windows_do_not_depend_on_the_division_into_chunks() {
        let values: Vec<f64> = (0..5000).map(|n| f64::from(n * 7919 % 5000)).collect();
        let mut rolling = 0u64;
        let expected: Vec<u64> = values
            .iter()
            .map(|x| {
                rolling = (rolling << SHIFT).wrapping_add(mix(x.to_bits()));
                rolling
            })
            .collect();
        for size in [1, 3, 20, 1000, CHUNK] {
            let mut hashes = ValueHashes::new();
            let mut found = Vec::new();
            for chunk in values.chunks(size) {
                hashes.set(chunk);
                assert_eq!(hashes.of_values()[0], mix(chunk[0].to_bits()));
                assert_eq!(hashes.in_window(0)[WINDOW - 1], hashes.of_values()[0]);
                found.extend_from_slice(hashes.of_windows());
            }
            assert_eq!(found, expected, "{size}");
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
