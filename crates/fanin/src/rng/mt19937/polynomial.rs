//! Polynomials over the field of two elements, modulo the characteristic polynomial p of MT19937's recurrence.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use super::state::{MATRIX, MIDDLE, SIZE};
use crate::simd::{Kernel, Level, SimdIsa, dispatch};

/// The degree of the characteristic polynomial p (see the module documentation).
pub(super) const DEGREE: usize = 19937;

/// The number of 64-bit words of a polynomial modulo p. Such a polynomial has [`DEGREE`] coefficients of one bit each.
const WORDS: usize = DEGREE.div_ceil(64);

/// The number of 64-bit words that [`Square`] reduces modulo the characteristic polynomial p in one step.
const BLOCK: usize = 7;

/// Returns the exponents of all terms of the characteristic polynomial p except the leading term. The order is chosen
/// for fast reductions.
///
/// The polynomial is `p = A B^31 + a_0 A B^30 + ... + a_30 A + a_31` with `A = x^624 + x^397` and
/// `B = x^623 + x^396` (Matsumoto and Nishimura 1998, appendix A). `a_i` is bit `i` of the last row of the twist
/// matrix.
fn exponents() -> &'static [usize] {
    static EXPONENTS: OnceLock<Vec<usize>> = OnceLock::new();
    EXPONENTS.get_or_init(|| {
        let mut set = BTreeSet::new();
        let mut toggle = |exponent| {
            if !set.remove(&exponent) {
                set.insert(exponent);
            }
        };
        let powers = (0..31).filter(|bit| MATRIX >> bit & 1 == 1).map(|bit| 30 - bit);
        for power in powers.chain([31]) {
            // Modulo 2, `B^power` contains only the terms with an odd binomial coefficient (`power` over `k`). The
            // coefficient is odd if and only if the bits of `k` are a subset of the bits of `power`.
            for k in (0..=power).filter(|k| k & power == *k) {
                let exponent = (MIDDLE - 1) * power + (SIZE - MIDDLE) * k;
                toggle(exponent + SIZE);
                toggle(exponent + MIDDLE);
            }
        }
        if MATRIX >> 31 == 1 {
            toggle(0);
        }
        assert!(set.remove(&DEGREE), "the leading exponent must be the degree");
        let sorted: Vec<usize> = set.into_iter().collect();
        // Consecutive exponents of the result are `DISTANCE` positions apart in the sorted list. Consecutive steps of a
        // reduction therefore change different words, and do not wait for each other.
        const DISTANCE: usize = 12;
        (0..DISTANCE).flat_map(|first| sorted.iter().skip(first).step_by(DISTANCE)).copied().collect()
    })
}

/// A polynomial modulo the characteristic polynomial p. The degree of a residue is less than [`DEGREE`]. The
/// coefficient of x^k is bit `k % 64` of `words[k / 64]`.
#[derive(Clone)]
pub(super) struct Residue {
    words: Box<[u64; WORDS]>,
}

impl Residue {
    /// Returns x^k modulo the characteristic polynomial p, computed by repeated squaring.
    pub(super) fn power(k: u64, level: Level) -> Self {
        // `prefix` consists of the leading bits of `k`, and is less than the degree of p. Repeated squaring starts at
        // x^prefix, because this power needs no reduction.
        let mut bits = u64::BITS - k.leading_zeros();
        let mut shift = 0;
        while k >> shift >= DEGREE as u64 {
            shift += 1;
        }
        bits = bits.min(shift);
        let prefix = (k >> shift) as usize;
        let mut residue = Self { words: Box::new([0; WORDS]) };
        residue.words[prefix / 64] = 1 << (prefix % 64);
        for bit in (0..bits).rev() {
            residue = dispatch(level, Square(&residue));
            if k >> bit & 1 == 1 {
                residue.multiply_by_x();
            }
        }
        residue
    }

    /// Returns `true` if the coefficient of x^`power` is 1.
    pub(super) fn has(&self, power: usize) -> bool {
        power < DEGREE && self.words[power / 64] >> (power % 64) & 1 == 1
    }

    /// Replaces the residue by its product with x, modulo the characteristic polynomial p.
    fn multiply_by_x(&mut self) {
        let mut carry = 0;
        for word in self.words.iter_mut() {
            (*word, carry) = (*word << 1 | carry, *word >> 63);
        }
        self.reduce();
    }

    /// Reduces the polynomial modulo p, the characteristic polynomial. Only the last word may contain coefficients of
    /// x^19937 or of higher powers.
    fn reduce(&mut self) {
        let above = self.words[WORDS - 1] >> (DEGREE % 64);
        self.words[WORDS - 1] ^= above << (DEGREE % 64);
        if above == 0 {
            return;
        }
        for exponent in exponents() {
            let (word, bit) = (exponent / 64, exponent % 64);
            self.words[word] ^= above << bit;
            if bit > 0 {
                self.words[word + 1] ^= above >> (64 - bit);
            }
        }
    }
}

/// The kernel that computes the square of a residue, modulo the characteristic polynomial p.
struct Square<'a>(&'a Residue);

impl Kernel for Square<'_> {
    type Output = Residue;

    #[inline(always)]
    fn run<I: SimdIsa>(self) -> Residue {
        let mut product = [0u64; 2 * WORDS + BLOCK];
        for (pair, word) in product.as_chunks_mut::<2>().0.iter_mut().zip(self.0.words.iter()) {
            *pair = [spread_bits(*word as u32), spread_bits((*word >> 32) as u32)];
        }
        // The highest block is reduced first. The second-highest exponent of p is 623 less than the degree. The
        // reduction of a block of `64 * BLOCK` bits therefore changes only words below the block.
        for start in (WORDS..2 * WORDS).step_by(BLOCK).rev() {
            let mut high = [0u64; BLOCK + 2];
            high[1..=BLOCK].copy_from_slice(&product[start..start + BLOCK]);
            for exponent in exponents() {
                let position = 64 * start - DEGREE + exponent;
                let (word, bit) = (position / 64, position % 64);
                let to: &mut [u64; BLOCK + 1] =
                    product[word..].first_chunk_mut().expect("a block must be reduced to words below itself");
                for k in 0..=BLOCK {
                    to[k] ^= high[k + 1] << bit | high[k] >> 1 >> (63 - bit);
                }
            }
        }
        let low = *product.first_chunk().expect("the product has twice as many words");
        let mut square = Residue { words: Box::new(low) };
        square.reduce();
        square
    }
}

/// Returns `word` with a zero bit inserted above each bit. If the bits are the coefficients of a polynomial over the
/// field of two elements, the result has the coefficients of its square.
#[inline(always)]
fn spread_bits(word: u32) -> u64 {
    let x = u64::from(word);
    let x = (x | x << 16) & 0x0000_ffff_0000_ffff;
    let x = (x | x << 8) & 0x00ff_00ff_00ff_00ff;
    let x = (x | x << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    let x = (x | x << 2) & 0x3333_3333_3333_3333;
    (x | x << 1) & 0x5555_5555_5555_5555
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_characteristic_polynomial_has_the_published_number_of_terms() {
        assert_eq!(exponents().len() + 1, 135);
        assert!(exponents().last().unwrap() + 64 * BLOCK < DEGREE);
    }

    #[test]
    fn x_to_the_power_of_a_sum_is_the_product_of_the_powers() {
        for level in Level::available() {
            let times_power = |residue: &Residue, power: u64| {
                let mut product = residue.clone();
                (0..power).for_each(|_| product.multiply_by_x());
                product.words
            };
            for k in [1u64, 63, 64, 9968, 9969, 19936, 19937, 40_000, 1 << 30, (1 << 32) + 5, u64::MAX - 70] {
                for power in [1, 2, 65] {
                    let found = Residue::power(k + power, *level).words;
                    assert!(found == times_power(&Residue::power(k, *level), power), "{k} + {power}");
                }
            }
        }
    }
}
