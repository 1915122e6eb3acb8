//! Jumps of the Mersenne twister: Haramoto, Matsumoto, Nishimura, Panneton, L'Ecuyer 2008, "Efficient jump ahead for
//! F2-linear random number generators".
//!
//! The twister is linear over the field of two elements, so the state k words on is a sum of the next 19937 states: those
//! whose power of x is in `x^k mod p`, p being the characteristic polynomial of the recurrence.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, OnceLock};

use crate::simd::{Isa, Kernel, Level, dispatch};

use super::mt19937::{MATRIX, MIDDLE, SIZE, State};

/// Of the characteristic polynomial.
const DEGREE: usize = 19937;

/// 64-bit words of a polynomial of lower degree.
const WORDS: usize = DEGREE.div_ceil(64);

/// Words of a product that are reduced together.
const BLOCK: usize = 7;

/// The exponents of p below its degree. Matsumoto and Nishimura 1998, appendix A: with `A = x^624 + x^397` and
/// `B = x^623 + x^396` it is `A B^31 + a_0 A B^30 + .. + a_30 A + a_31`, a_i being bit i of the matrix's last row.
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
            // A binomial coefficient is odd if the bits of its lower number are bits of its upper one.
            for k in (0..=power).filter(|k| k & power == *k) {
                let exponent = (MIDDLE - 1) * power + (SIZE - MIDDLE) * k;
                toggle(exponent + SIZE);
                toggle(exponent + MIDDLE);
            }
        }
        if MATRIX >> 31 == 1 {
            toggle(0);
        }
        assert!(set.remove(&DEGREE), "the degree is the leading exponent");
        let sorted: Vec<usize> = set.into_iter().collect();
        // Neighbours stand apart: what a step reads should not be what the last one has just written.
        const APART: usize = 12;
        (0..APART).flat_map(|first| sorted.iter().skip(first).step_by(APART)).copied().collect()
    })
}

/// A polynomial over the field of two elements, modulo p.
#[derive(Clone)]
struct Residue {
    words: Box<[u64; WORDS]>,
}

impl Residue {
    /// x^k.
    fn power(k: u64, level: Level) -> Self {
        // As many leading bits of k as make an exponent below the degree.
        let mut bits = u64::BITS - k.leading_zeros();
        let mut later = 0;
        while k >> later >= DEGREE as u64 {
            later += 1;
        }
        bits = bits.min(later);
        let first = (k >> later) as usize;
        let mut it = Self { words: Box::new([0; WORDS]) };
        it.words[first / 64] = 1 << (first % 64);
        for bit in (0..bits).rev() {
            it = dispatch(level, Square(&it));
            if k >> bit & 1 == 1 {
                it.times_x();
            }
        }
        it
    }

    fn times_x(&mut self) {
        let mut carry = 0;
        for word in self.words.iter_mut() {
            (*word, carry) = (*word << 1 | carry, *word >> 63);
        }
        self.fold();
    }

    /// Takes off what stands at the degree and above, in the last word.
    fn fold(&mut self) {
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

/// The square of a residue.
struct Square<'a>(&'a Residue);

impl Kernel for Square<'_> {
    type Output = Residue;

    #[inline(always)]
    fn run<I: Isa>(self) -> Residue {
        let mut product = [0u64; 2 * WORDS + BLOCK];
        for (pair, word) in product.as_chunks_mut::<2>().0.iter_mut().zip(self.0.words.iter()) {
            *pair = [spread(*word as u32), spread((*word >> 32) as u32)];
        }
        // From the top, eight words at a time: p has no exponent in the 622 below its degree, so that what a block
        // leaves lies below it.
        for start in (WORDS..2 * WORDS).step_by(BLOCK).rev() {
            let mut high = [0u64; BLOCK + 2];
            high[1..=BLOCK].copy_from_slice(&product[start..start + BLOCK]);
            for exponent in exponents() {
                let at = 64 * start - DEGREE + exponent;
                let (word, bit) = (at / 64, at % 64);
                let to: &mut [u64; BLOCK + 1] =
                    product[word..].first_chunk_mut().expect("a block lands below itself");
                for k in 0..=BLOCK {
                    to[k] ^= high[k + 1] << bit | high[k] >> 1 >> (63 - bit);
                }
            }
        }
        let mut square = Residue { words: Box::new(*product.first_chunk().expect("half of it")) };
        square.fold();
        square
    }
}

/// The bits with a zero before each.
#[inline(always)]
fn spread(word: u32) -> u64 {
    let x = u64::from(word);
    let x = (x | x << 16) & 0x0000_ffff_0000_ffff;
    let x = (x | x << 8) & 0x00ff_00ff_00ff_00ff;
    let x = (x | x << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    let x = (x | x << 2) & 0x3333_3333_3333_3333;
    (x | x << 1) & 0x5555_5555_5555_5555
}

/// The state's words `distance` words on, `distance` being at least 1. `words` holds those from the state's first on, as
/// many as [`REACH`].
pub(super) fn jump(words: &[u32], distance: u64, level: Level) -> Box<State> {
    // Of the state's first word only one bit counts: so the sum is of states that begin at the second, one jump shorter.
    let terms = Terms::of_power(distance - 1, level);
    dispatch(level, Sum { terms: &terms, words: &words[1..] })
}

/// Words that [`jump`] reads.
pub(super) const REACH: usize = 34 * SIZE;

/// The sums of up to three neighbouring states, of which the first is always one: for each kind, which others are.
const KINDS: [&[usize]; 4] = [&[], &[1], &[2], &[1, 2]];

/// Words of each kind of sums.
const SUMS: usize = 33 * SIZE;

/// The states that a residue names, three neighbours at a time: where the words of their sum begin among those of all
/// [`KINDS`], which stand one after another.
struct Terms(Vec<u32>);

impl Terms {
    /// Those of x^k, perhaps from memory: fills of one size, and the passes of one fill, jump equally far.
    fn of_power(k: u64, level: Level) -> Arc<Self> {
        /// Powers that are remembered.
        const KEPT: usize = 16;
        static RECENT: Mutex<VecDeque<(u64, Arc<Terms>)>> = Mutex::new(VecDeque::new());
        // Nobody waits for it: to compute the power again is soon done.
        if let Ok(recent) = RECENT.try_lock()
            && let Some((_, it)) = recent.iter().find(|(power, _)| *power == k)
        {
            return Arc::clone(it);
        }
        let it = Arc::new(Self::of(&Residue::power(k, level)));
        if let Ok(mut recent) = RECENT.try_lock() {
            recent.truncate(KEPT - 1);
            recent.push_front((k, Arc::clone(&it)));
        }
        it
    }

    fn of(residue: &Residue) -> Self {
        let words = &residue.words;
        let has = |power: usize| power < DEGREE && words[power / 64] >> (power % 64) & 1 == 1;
        let mut terms = Vec::with_capacity(DEGREE / 4);
        let mut power = 0;
        while power < DEGREE {
            if has(power) {
                let kind = usize::from(has(power + 1)) + 2 * usize::from(has(power + 2));
                terms.push((SUMS * kind + power) as u32);
                power += 3;
            } else {
                power += 1;
            }
        }
        Self(terms)
    }
}

/// The sum of the states that the terms name.
struct Sum<'a> {
    terms: &'a Terms,
    words: &'a [u32],
}

impl Kernel for Sum<'_> {
    type Output = Box<State>;

    #[inline(always)]
    fn run<I: Isa>(self) -> Self::Output {
        // So many words of the sum stay in registers.
        const PART: usize = 104;
        const { assert!(SIZE.is_multiple_of(PART) && SUMS + 2 < REACH && DEGREE + SIZE <= SUMS) };
        let mut sums = vec![0; KINDS.len() * SUMS];
        for (sums, others) in sums.chunks_mut(SUMS).zip(KINDS) {
            sums.copy_from_slice(&self.words[..SUMS]);
            for other in others {
                sums.iter_mut().zip(&self.words[*other..]).for_each(|(sum, word)| *sum ^= word);
            }
        }
        let mut sum = Box::new(State([0; SIZE]));
        for (number, to) in sum.as_chunks_mut::<PART>().0.iter_mut().enumerate() {
            let mut part = [0u32; PART];
            for &term in &self.terms.0 {
                let from: &[u32; PART] =
                    sums[PART * number + term as usize..].first_chunk().expect("within reach");
                for k in 0..PART {
                    part[k] ^= from[k];
                }
            }
            *to = part;
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_polynomial_has_its_published_weight() {
        assert_eq!(exponents().len() + 1, 135);
        assert!(exponents().last().unwrap() + 64 * BLOCK < DEGREE);
    }

    #[test]
    fn remembered_powers_are_themselves() {
        let level = Level::best();
        // More than are kept, the first of them again and again.
        for k in (0..40u64).flat_map(|k| [100_000, 100_000 + k, 1 << k]) {
            assert_eq!(Terms::of_power(k, level).0, Terms::of(&Residue::power(k, level)).0, "{k}");
        }
    }

    #[test]
    fn powers_add_up() {
        for level in Level::available() {
            let product = |a: &Residue, by: u64| {
                let mut it = a.clone();
                (0..by).for_each(|_| it.times_x());
                it.words
            };
            // Of 2^32 + 5 the lower half is a small number.
            for k in [1u64, 63, 64, 9968, 9969, 19936, 19937, 40_000, 1 << 30, (1 << 32) + 5, u64::MAX - 70] {
                for by in [1, 2, 65] {
                    let found = Residue::power(k + by, *level).words;
                    assert!(found == product(&Residue::power(k, *level), by), "{k} {by}");
                }
            }
        }
    }
}
